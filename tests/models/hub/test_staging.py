"""How a model comes into the midst of the others, and what is swept away."""

import os
from pathlib import Path

import pytest

from sensorium.models.catalogue.manifest import Entry, Manifest, ManifestFile
from sensorium.models.hub import staging as module
from sensorium.models.hub.kernel import exchange
from sensorium.models.hub.place import Place
from sensorium.models.hub.staging import FORGOTTEN_S, Staging, sweep
from tests.models.hub.fake import FakeHub
from tests.models.hub.pulling import content, leftovers, noise, pulled

MANIFEST = Manifest(
    source="hf://org/m",
    entries=(Entry(format="gguf", path="m.gguf", weights=("m.gguf",), files=("m.gguf",)),),
    files=(ManifestFile(path="m.gguf", size=3, sha256=""),),
    fetched_at=1.0,
)


def staged(root: Path, text: str) -> Staging:
    staging = Staging(root, "org--m")
    staging.prepare()
    (staging.tree / "m.gguf").write_text(text)
    return staging


@pytest.mark.parametrize("swaps", [True, False])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    if not swaps:
        monkeypatch.setattr(module, "exchange", lambda *_: False)
    for text in ("old", "new"):
        staged(tmp_path, text).publish(MANIFEST)
        assert content(tmp_path / "org--m") == {"m.gguf": text.encode()}
    assert sorted(os.listdir(tmp_path)) == [".partial", "org--m"]
    assert [name for name in os.listdir(tmp_path / ".partial") if name != ".locks"] == []


def test_linux_swaps_two_folders_in_one_step(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if exchange(tmp_path / "a", tmp_path / "b"):
        assert os.listdir(tmp_path / "a") == ["b"]
    assert not exchange(tmp_path / "a", tmp_path / "none")


def test_files_are_taken_over_where_there_are_no_hard_links(
    hub: FakeHub, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = noise(3_000_000)
    hub.add("org/m", {"model.safetensors": weights, "config.json": b"1"})
    pulled("org/m", place)
    hub.add("org/m", {"model.safetensors": weights, "config.json": b"2"}, commit="d1" * 20)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(module.os, "link", refuse)
    assert pulled("org/m", place).fetched_bytes == 1
    assert content(place.cache / "org--m") == {"model.safetensors": weights, "config.json": b"2"}


def test_a_pull_that_was_complete_but_not_published_needs_no_byte(
    hub: FakeHub, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"model.safetensors": noise(3_000_000), "config.json": b"{}"}
    hub.add("org/m", files)
    with monkeypatch.context() as broken:
        broken.setattr(Staging, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pulled("org/m", place)
    sent = hub.sent_bytes
    assert pulled("org/m", place).fetched_bytes == 0
    assert hub.sent_bytes == sent
    assert content(place.cache / "org--m") == files
    assert leftovers(place) == []


def test_what_was_thrown_away_or_forgotten_is_swept(tmp_path: Path) -> None:
    partial = tmp_path / ".partial"
    for name in (".trash-1", "old", "young", "held"):
        (partial / name / "parts").mkdir(parents=True)
    for name in ("old", "held"):
        long_ago = os.stat(partial).st_mtime - FORGOTTEN_S - 60
        os.utime(partial / name, (long_ago, long_ago))
    with module.lock_of(tmp_path, "held"):
        sweep(tmp_path)
        assert sorted(os.listdir(partial)) == [".locks", "held", "young"]
    sweep(tmp_path)
    assert sorted(os.listdir(partial)) == [".locks", "young"]
    sweep(tmp_path / "none")


def test_only_what_a_pull_needs_is_kept(tmp_path: Path) -> None:
    staging = staged(tmp_path, "x")
    for path in ("parts/a.data", "parts/b.data", "tree/sub/c", "tree/sub/d", "tree/gone/e"):
        file = tmp_path / ".partial" / "org--m" / path
        file.parent.mkdir(exist_ok=True)
        file.touch()
    staging.keep_only({"a.data"}, {"m.gguf", "sub/c"})
    assert sorted(content(staging.tree)) == ["m.gguf", "sub/c"]
    assert os.listdir(staging.parts) == ["a.data"]
