"""What users put into a fetched model's folder is there after every pull, and after every kill."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sensorium.core.errors import ConflictError
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.hub import carrying, staging
from sensorium.models.hub.carrying import refuse_clashes
from sensorium.models.hub.kernel import exchange
from sensorium.models.hub.place import Place
from sensorium.models.hub.staging import sweep
from tests.models.hub.fake import FakeHub
from tests.models.hub.pulling import content, leftovers, noise, pulled
from tests.servers import ROOT

ONE, TWO = noise(30_000, 1), noise(20_000, 2)
MINE = {
    "notes.md": b"mine",
    ".hidden": b"mine too",
    "mine/deep/er.onnx": noise(10_000, 3),
}

PULLER = """
import os, signal, sys
from pathlib import Path
from sensorium.models.hub import staging
from sensorium.models.hub.place import Place
from sensorium.models.hub.pull import pull

endpoint, cache, steps, swaps = sys.argv[1:]
left = int(steps)
swap = staging.exchange

def step():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def before(event, arguments):
    if event in ("os.rename", "os.link"):
        text = str(arguments)
        if "org--m" in text and ("tree" in text or "leaving" in text or "trash" in text):
            step()

def swapped(one, other):
    done = int(swaps) and swap(one, other)
    step()
    return done

staging.exchange = swapped
sys.addaudithook(before)
for _ in pull("org/m:two", Place(cache=Path(cache), endpoint=endpoint), check=lambda: None):
    pass
"""
"""Is killed before or after one of the steps in which one folder takes the place of another."""


@pytest.fixture
def folder(hub: FakeHub, place: Place) -> Path:
    """A model that is here, with files of the user."""
    hub.add("org/m", {"m-one.gguf": ONE, "m-two.gguf": TWO})
    pulled("org/m:one", place)
    folder = place.cache / "org--m"
    for path, data in MINE.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.mark.parametrize("swaps", [True, False])
@pytest.mark.parametrize("links", [True, False])
def test_files_of_the_user_stay(
    place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    if not swaps:
        monkeypatch.setattr(staging, "exchange", lambda *_: False)
    if not links:
        monkeypatch.setattr(carrying.os, "link", refuse)
    inode = (folder / "notes.md").stat().st_ino
    pulled("org/m:two", place)
    assert content(folder) == {**MINE, "m-one.gguf": ONE, "m-two.gguf": TWO}
    assert not links or (folder / "notes.md").stat().st_ino == inode, "nothing was copied"
    assert leftovers(place) == []
    assert len(Catalogue(place.cache).entries()) == 2, "what lies beside is no model"
    pulled("org/m:two", place)
    assert content(folder).items() >= MINE.items()


def test_links_of_the_user_stay_links(place: Place, folder: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "file").write_text("far away")
    (folder / "far").symlink_to(far)
    (folder / "to-notes").symlink_to("notes.md")
    (folder / "to-nothing").symlink_to("nothing")
    for reference in ("org/m:two", "org/m:one"):
        pulled(reference, place)
    assert os.readlink(folder / "far") == str(far)
    assert (folder / "far" / "file").read_text() == "far away"
    assert (folder / "to-notes").read_bytes() == b"mine"
    assert os.readlink(folder / "to-nothing") == "nothing"


@pytest.mark.parametrize("path", ["m-two.gguf", "m-two.gguf/x"])
def test_a_file_of_the_user_where_one_of_the_model_is_to_go(
    hub: FakeHub, place: Place, folder: Path, path: str
) -> None:
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_bytes(b"by hand")
    before = content(folder)
    sent = hub.sent_bytes
    with pytest.raises(ConflictError, match=path) as caught:
        pulled("org/m:two", place)
    assert caught.value.details["files"] == [path]
    assert str(place.cache) not in caught.value.message
    assert hub.sent_bytes == sent, "that was told before anything was fetched"
    assert content(folder) == before
    (folder / path).rename(folder / "renamed")
    with suppress(OSError):
        (folder / "m-two.gguf").rmdir()
    pulled("org/m:two", place)
    assert content(folder)["renamed"] == b"by hand"


def test_which_names_clash() -> None:
    refuse_clashes(["a/b", "c"], ["a/d", "a/b.onnx", "cc"])
    for own, path in (("a/b", "a/b"), ("a", "a/b"), ("a/b/c", "a/b")):
        with pytest.raises(ConflictError, match=own):
            refuse_clashes([own], [path])
    with pytest.raises(ConflictError, match="and 5 more"):
        refuse_clashes([f"a/{n:02}" for n in range(15)], ["a"])


def test_a_copied_model_is_replaced_and_the_user_keeps_his(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "net.onnx"
    source.write_bytes(ONE)
    pulled(f"file://{source}", place)
    (place.cache / "net" / "notes.md").write_bytes(b"mine")
    source.write_bytes(TWO)
    pulled(f"file://{source}", place)
    assert content(place.cache / "net") == {"net.onnx": TWO, "notes.md": b"mine"}
    (source.parent / "net.onnx_data").write_bytes(b"data")
    (place.cache / "net" / "net.onnx_data").write_bytes(b"mine")
    with pytest.raises(ConflictError, match=r"net\.onnx_data"):
        pulled(f"file://{source}", place)
    assert content(place.cache / "net")["net.onnx_data"] == b"mine"


def test_a_web_file_is_replaced_and_the_user_keeps_his(hub: FakeHub, place: Place) -> None:
    hub.files["net.onnx"] = ONE
    pulled(f"{hub.url}/files/net.onnx", place)
    (place.cache / "net" / "notes.md").write_bytes(b"mine")
    hub.files["net.onnx"] = TWO
    pulled(f"{hub.url}/files/net.onnx", place)
    assert content(place.cache / "net") == {"net.onnx": TWO, "notes.md": b"mine"}


@pytest.mark.parametrize("swaps", [True, False])
def test_what_the_user_puts_there_at_the_last_moment_stays(
    place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    def meanwhile(one: Path, other: Path) -> bool:
        (folder / "late").mkdir()
        (folder / "late" / "file").write_bytes(b"late")
        (folder / "m-two.gguf").write_bytes(b"late and in the way")
        saved = folder / "notes.new"
        saved.write_bytes(b"saved anew")
        saved.replace(folder / "notes.md")
        return swaps and exchange(one, other)

    monkeypatch.setattr(staging, "exchange", meanwhile)
    pulled("org/m:two", place)
    there = content(folder)
    assert there["m-two.gguf"] == TWO
    assert there["late/file"] == b"late"
    assert there["notes.md"] == b"saved anew"
    assert b"late and in the way" in there.values()


@pytest.mark.parametrize("swaps", [True, False])
def test_a_kill_at_any_step_loses_nothing(
    hub: FakeHub, place: Place, folder: Path, swaps: bool
) -> None:
    killed = 0
    while (code := killed_puller(hub, place, killed, swaps)) == -signal.SIGKILL:
        killed += 1
        there = {path.read_bytes() for path in place.cache.rglob("*") if path.is_file()}
        assert there >= {*MINE.values(), ONE}
        if swaps:
            assert content(folder).items() >= MINE.items(), "they were never away"
        sweep(place.cache)
        assert content(folder).items() >= {**MINE, "m-one.gguf": ONE}.items()
        pulled("org/m:two", place)
        assert content(folder) == {**MINE, "m-one.gguf": ONE, "m-two.gguf": TWO}
        assert leftovers(place) == []
        Catalogue(place.cache).delete("org/m:m-two")
    assert code == 0
    assert killed >= 6


def killed_puller(hub: FakeHub, place: Place, steps: int, swaps: bool) -> int:
    """How a puller ended that was to be killed after so many steps."""
    command = [sys.executable, "-c", PULLER, hub.url, str(place.cache), str(steps)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run([*command, str(int(swaps))], env=environ, timeout=60).returncode
