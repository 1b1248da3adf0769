"""What other nodes may have of a model."""

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from sensorium.core.errors import NotFoundError
from sensorium.models.artifact import Artifact
from sensorium.models.catalogue import digests
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.catalogue.manifest import joint_digest
from sensorium.models.catalogue.shared import Shared
from sensorium.models.catalogue.shelves import SAMPLES, Shelves
from tests.models.catalogue.test_catalogue import fetched, put, sha256


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def paths(catalogue: Catalogue, name: str, version: str = "") -> list[str]:
    return [file.path for file in catalogue.files(name, version).files]


def test_the_files_of_a_fetched_model_have_the_hashes_of_its_manifest(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    fetched(tmp_path, "org--m", "a.gguf", licence="mit", task="text-generation", revision="c0")
    offered = catalogue.files("org/m")
    assert [(f.path, f.size, f.sha256) for f in offered.files] == [("a.gguf", 6, sha256("a.gguf"))]
    assert (offered.name, offered.version, offered.versions) == ("org--m", "1", ("1",))
    assert (offered.licence, offered.task) == ("mit", "text-generation")
    assert offered.source == "hf://org/name@c0"
    assert offered.digest == catalogue.find("org/m").digest
    assert offered.commit == offered.digest[:40], "of all its files is its digest"


def test_a_folder_offers_all_its_models_and_a_variant_only_its_own(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    fetched(tmp_path, "org--m", "a.gguf", "b.gguf")
    assert paths(catalogue, "org/m") == ["a.gguf", "b.gguf"]
    assert paths(catalogue, "org/m:b") == ["b.gguf"]
    assert catalogue.files("org/m:b").name == "org--m:b"
    put(tmp_path, "hand/a.gguf", "hand/b-00001-of-00002.gguf", "hand/b-00002-of-00002.gguf")
    offered = catalogue.files("hand", compute=True)
    assert len(offered.files) == 3
    assert offered.digest == "", "of several, none is meant"
    assert len(offered.commit) == 40
    assert paths(catalogue, "hand:b") == ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"]


def test_versions_have_their_own_files(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "m/1/old.onnx", "m/10/new.onnx", "m/10/deep/labels.txt", "m/2/middle.onnx")
    assert paths(catalogue, "m") == ["deep/labels.txt", "new.onnx"]
    assert paths(catalogue, "m", "2") == ["middle.onnx"]
    assert catalogue.files("m").versions == ("1", "2", "10")
    found = catalogue.resolve_file("m", "deep/labels.txt", "10")
    assert found == tmp_path / "m/10/deep/labels.txt"
    for path, version in (("new.onnx", "2"), ("../10/new.onnx", "2"), ("new.onnx", "3")):
        with pytest.raises(NotFoundError):
            catalogue.resolve_file("m", path, version)
    with pytest.raises(NotFoundError, match="it has 1, 2, 10"):
        catalogue.files("m", "3")


def test_the_commit_is_another_when_any_file_is(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "m/model.onnx", "m/tokenizer.json")
    first = catalogue.files("m", compute=True)
    (tmp_path / "m/tokenizer.json").write_text("another one")
    second = catalogue.files("m", compute=True)
    assert first.digest == second.digest == sha256("m/model.onnx")
    assert first.commit != second.commit


def test_what_nobody_else_may_have(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "m/model.onnx", "m/.env", "m/remote.toml", "secret", "m/.hidden/x", "m/sub/.y")
    put(tmp_path, "m/sensorium.json", "n/remote.toml", "n/LICENSE", "o/model.onnx")
    folder = tmp_path / "m"
    (folder / "out.txt").symlink_to(tmp_path / "secret")
    (folder / "key.txt").symlink_to("remote.toml")
    (folder / "in.txt").symlink_to("model.onnx")
    for name in ("remote.toml", "key.txt", "sensorium.json", "out.txt"):
        with pytest.raises(NotFoundError):
            catalogue.resolve_file("m", name)
    (folder / "remote.toml").unlink()
    assert paths(catalogue, "m") == ["in.txt", "model.onnx"]
    with pytest.raises(NotFoundError, match="that others may have"):
        catalogue.files("n")
    (tmp_path / "o/model.onnx").unlink()
    (tmp_path / "o/model.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(NotFoundError, match="that others may have"):
        catalogue.files("o")


def test_a_file_that_was_changed_is_hashed_anew(tmp_path: Path, catalogue: Catalogue) -> None:
    fetched(tmp_path, "org--m", "a.gguf")
    (tmp_path / "org--m/a.gguf").write_text("longer than before")
    assert catalogue.files("org/m").commit == "", "yet to be computed"
    (file,) = catalogue.files("org/m", compute=True).files
    assert (file.size, file.sha256) == (18, sha256("longer than before"))
    assert catalogue.files("org/m").hashed, "kept"


def test_hashes_are_kept_for_the_next_server(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "m/model.onnx")
    assert not catalogue.files("m").hashed
    assert catalogue.files("m", compute=True).hashed
    assert Catalogue(tmp_path).files("m").hashed


def test_samples_are_offered_too(tmp_path: Path) -> None:
    shelves = Shelves(tmp_path)
    offered = shelves.files("machine-state")
    content = (SAMPLES / "machine-state/model.onnx").read_bytes()
    assert [file.sha256 for file in offered.files] == [hashlib.sha256(content).hexdigest()]
    assert shelves.resolve_file("machine-state", "model.onnx", "1").read_bytes() == content


def slowly_hashing(
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[threading.Event, threading.Event, list[Path]]:
    """Tells that a hash is begun, lets it end, and lists what was hashed."""
    begun, may_end, hashed = threading.Event(), threading.Event(), list[Path]()

    def slow(path: Path, _: object) -> str:
        hashed.append(path)
        begun.set()
        assert may_end.wait(60)
        return "0" * 64

    monkeypatch.setattr(digests, "sha256_of", slow)
    return begun, may_end, hashed


def test_who_asks_meanwhile_shares_one_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "m/model.onnx")
    begun, may_end, hashed = slowly_hashing(monkeypatch)
    shelves = Shelves(tmp_path)
    first = shelves.hashed_files("m")
    assert begun.wait(60)
    second = shelves.hashed_files("m")
    assert not first.cancel(), "who leaves does not end it for others"
    may_end.set()
    assert first.result(10).files == second.result(10).files
    assert len(hashed) == 1
    assert shelves.hashed_files("m").result(10).hashed
    assert len(hashed) == 1, "and it was kept"


def test_callers_who_wait_for_a_digest_share_it_and_hold_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "org--m/model.onnx")
    begun, may_end, hashed = slowly_hashing(monkeypatch)
    shelves = Shelves(tmp_path)
    first = shelves.found("org/m")
    assert isinstance(first, Future)
    assert begun.wait(60)
    assert shelves.found("org--m:model.onnx", "1") is first, "by whatever name"
    may_end.set()
    assert first.result(10).digest == joint_digest({"model.onnx": "0" * 64})
    found = shelves.found("org/m")
    assert isinstance(found, Artifact)
    assert found == first.result()
    assert len(hashed) == 1


def test_a_shared_failure_is_everybodys_and_not_kept() -> None:
    shared: Shared[int] = Shared("test")

    def fail() -> int:
        raise NotFoundError("gone")

    with pytest.raises(NotFoundError, match="gone"):
        shared.start("key", fail).result(10)
    assert shared.start("key", lambda: 7).result(10) == 7


def test_threads_may_hash_at_once(tmp_path: Path, catalogue: Catalogue) -> None:
    names = [f"m{number}" for number in range(24)]
    put(tmp_path, *(f"{name}/model.onnx" for name in names))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda name: catalogue.files(name, compute=True), names))
    assert all(each.hashed for each in found)
    assert all(Catalogue(tmp_path).files(name).hashed for name in names)
