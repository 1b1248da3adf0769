"""What lies in the folder of models: listed, found, hashed, served, deleted."""

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensorium.core.errors import NotFoundError
from sensorium.models.artifact import Artifact
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.catalogue.digests import Digests
from sensorium.models.catalogue.manifest import Entry, Manifest, ManifestFile, write_manifest


def put(root: Path, *paths: str) -> None:
    """Files that hold their own path."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def fetched(root: Path, folder: str, *paths: str, **properties: object) -> None:
    """A folder with a manifest; each file is a model."""
    put(root / folder, *paths)
    manifest = Manifest(
        source="hf://org/name",
        entries=tuple(
            Entry(format="gguf", path=path, weights=(path,), files=(path,)) for path in paths
        ),
        files=tuple(ManifestFile(path=path, size=len(path), sha256=sha256(path)) for path in paths),
        fetched_at=1.0,
        **properties,  # type: ignore[arg-type]
    )
    write_manifest(root / folder, manifest)


def names(catalogue: Catalogue) -> list[tuple[str, str, str]]:
    return [(found.name, found.version, found.format) for found in catalogue.entries()]


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def test_nothing_is_no_problem(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "none")
    assert catalogue.entries() == []
    with pytest.raises(NotFoundError, match="none yet"):
        catalogue.find("org/name")


def test_models_put_there_by_hand(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "a/m.onnx", "org--b/config.json", "org--b/model.safetensors", "c/remote.toml")
    put(
        tmp_path, "d/x.gguf", "e/nested/deep/y.tflite", "notes/README.md", "loose.onnx", ".h/m.onnx"
    )
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "model.txt").write_text("tree\nversion=v4\n")
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "model.txt").write_text("once upon a time")
    put(tmp_path, ".partial/h/tree/m.onnx", "with space/m.onnx", "..two/m.onnx")
    assert names(catalogue) == [
        ("a", "1", "onnx"),
        ("c", "1", "remote"),
        ("d", "1", "gguf"),
        ("e", "1", "litert"),
        ("f", "1", "lightgbm"),
        ("org--b", "1", "transformers"),
    ]
    found = catalogue.find("org/b")
    assert found.path == tmp_path / "org--b"
    assert found.size == len("org--b/config.json" + "org--b/model.safetensors")
    assert catalogue.find("org--b") == found
    assert catalogue.find("e").path == tmp_path / "e/nested/deep/y.tflite"


def test_versions_are_folders_of_whole_numbers(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "m/1/model.onnx", "m/10/model.onnx", "m/9/model.onnx", "m/config.pbtxt", "m/x/y")
    put(tmp_path, "m/11/README.md")
    assert names(catalogue) == [("m", v, "onnx") for v in ("10", "9", "1")]
    assert catalogue.find("m").version == "10"
    assert catalogue.find("m", "9").path == tmp_path / "m/9/model.onnx"
    with pytest.raises(NotFoundError, match="it has 1, 9, 10"):
        catalogue.find("m", "2")


def test_several_models_of_a_folder_are_variants(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "org--m/m-q4_k_m.gguf", "org--m/m-q8_0.gguf", "org--m/mmproj-m.gguf")
    assert [found.name for found in catalogue.entries()] == ["org--m:m-q4_k_m", "org--m:m-q8_0"]
    assert catalogue.find("org/m:q8_0").path.name == "m-q8_0.gguf"
    assert catalogue.find("org--m:m-q4_k_m").name == "org--m:m-q4_k_m"
    with pytest.raises(NotFoundError, match="holds several; there is org--m:m-q4_k_m, org--m:m-q8"):
        catalogue.find("org/m")
    with pytest.raises(NotFoundError, match="has no variant 'f16'; there is"):
        catalogue.find("org/m:f16")


def test_models_of_a_folder_share_a_projector(tmp_path: Path, catalogue: Catalogue) -> None:
    projector, names = "mmproj-m.gguf", ("m-q4_k_m.gguf", "m-q8_0.gguf")
    put(tmp_path / "m", *names, projector)
    put(tmp_path, "blind/m.gguf", "deep/1/a.onnx")
    found = catalogue.find("m:q8_0")
    assert found.projector == tmp_path / "m" / projector
    assert found.size == len(names[1] + projector)
    assert found.task == "image-text-to-text"
    digests = sorted((name, sha256(name)) for name in (names[1], projector))
    assert catalogue.digest(found) == sha256("".join(f"{told}  {name}\n" for name, told in digests))
    assert (catalogue.find("blind").projector, catalogue.find("blind").task) == (None, "")
    catalogue.delete("m:q4_k_m")
    assert catalogue.find("m").projector == found.projector
    catalogue.delete("m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("told", "task"),
    [("", "image-text-to-text"), ("text-generation", "image-text-to-text"), ("any-to-any",) * 2],
)
def test_what_a_model_with_a_projector_is_for(
    tmp_path: Path, catalogue: Catalogue, told: str, task: str
) -> None:
    put(tmp_path / "m", "m.gguf", "mmproj.gguf")
    files = ("m.gguf", "mmproj.gguf")
    manifest = Manifest(
        source="hf://org/name",
        task=told,
        entries=(Entry(format="gguf", path="m.gguf", weights=files, files=files),),
        files=tuple(ManifestFile(path=path, size=len(path), sha256=sha256(path)) for path in files),
        fetched_at=1.0,
    )
    write_manifest(tmp_path / "m", manifest)
    found = catalogue.find("m")
    assert (found.task, found.projector) == (task, tmp_path / "m" / "mmproj.gguf")
    (tmp_path / "m" / "mmproj.gguf").unlink()
    with pytest.raises(NotFoundError):
        catalogue.find("m")


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "a/m.onnx", "b/1/m.onnx", "b/2/m.onnx")
    for name in ("c", "org/name", "../a", "/etc", "a/../b", "", ".partial", "a\0", "x" * 500):
        with pytest.raises(NotFoundError, match="there is a, b: pull one"):
            catalogue.find(name)
    for number in range(30):
        put(tmp_path, f"many-{number:02}/m.onnx")
    with pytest.raises(NotFoundError, match="and 12 more"):
        catalogue.find("c")


def test_a_manifest_tells_where_a_model_is_from(tmp_path: Path, catalogue: Catalogue) -> None:
    fetched(tmp_path, "org--name", "m.gguf", revision="c0", licence="mit", task="chat")
    assert catalogue.entries() == [
        Artifact(
            name="org--name",
            version="1",
            format="gguf",
            path=tmp_path / "org--name" / "m.gguf",
            size=6,
            digest=sha256("m.gguf"),
            licence="mit",
            task="chat",
            source="hf://org/name@c0",
        )
    ]


def test_a_file_that_is_not_what_its_manifest_says(tmp_path: Path, catalogue: Catalogue) -> None:
    fetched(tmp_path, "m", "a.gguf", "b.gguf")
    (tmp_path / "m" / "a.gguf").write_text("longer than it was")
    (tmp_path / "m" / "b.gguf").unlink()
    (found,) = catalogue.entries()
    assert (found.name, found.digest) == ("m", "")
    assert catalogue.digest(found) == sha256("longer than it was")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"source":"x","entries":[],"files":[],"fetched_at":1}',
        b'{"source":"x","entries":[{"format":"gguf","path":"../../etc/passwd","weights":[],'
        b'"files":[]}],"files":[],"fetched_at":1}',
        b'{"source":"x","entries":[{"format":"gguf","path":"m.gguf","weights":["m.gguf"],'
        b'"files":["m.gguf"]}],"files":[],"fetched_at":1}',
        b'{"source":"x","entries":[{"format":"gguf","path":"/etc/passwd","weights":["/etc/passwd"],'
        b'"files":[]}],"files":[{"path":"/etc/passwd","size":1,"sha256":""}],"fetched_at":1}',
    ],
)
def test_a_manifest_that_cannot_be_trusted_counts_for_nothing(
    tmp_path: Path, catalogue: Catalogue, text: bytes
) -> None:
    put(tmp_path, "m/real.onnx")
    (tmp_path / "m" / "sensorium.json").write_bytes(text)
    (found,) = catalogue.entries()
    assert found.path == tmp_path / "m" / "real.onnx"
    assert found.source == ""


def test_unreadable_and_foreign_folders_are_passed_over(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    put(tmp_path, "a/m.onnx")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "m.onnx")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "locked").mkdir()
    put(tmp_path, "locked/m.onnx")
    (tmp_path / "locked").chmod(0)
    loop = tmp_path / "loop"
    loop.mkdir()
    (loop / "again").symlink_to(loop)
    deep = tmp_path / "deep" / "/".join("d" * 30)
    deep.mkdir(parents=True)
    (deep / "m.onnx").write_text("x")
    try:
        found = [artifact.name for artifact in catalogue.entries()]
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert found in (["a"], ["a", "locked"]), "root may read everything"


def test_a_folder_may_be_a_link_to_where_there_is_room(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/m.onnx", "elsewhere.txt")
    root = tmp_path / "root"
    root.mkdir()
    (root / "m").symlink_to(tmp_path / "elsewhere")
    catalogue = Catalogue(root)
    assert names(catalogue) == [("m", "1", "onnx")]
    assert catalogue.resolve_file("m", "m.onnx") == tmp_path / "elsewhere" / "m.onnx"
    catalogue.delete("m")
    assert (tmp_path / "elsewhere" / "m.onnx").exists(), "the link goes, not what it leads to"
    assert catalogue.entries() == []


def test_digests_are_computed_when_asked_for_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a/m.onnx", "b/config.json", "b/model.safetensors")
    catalogue = Catalogue(tmp_path)
    listed = {found.name: found for found in catalogue.entries()}
    assert [found.digest for found in listed.values()] == ["", ""]
    checks: list[None] = []
    digest = catalogue.digest(listed["a"], lambda: checks.append(None))
    assert digest == sha256("a/m.onnx")
    assert checks
    lines = f"{sha256('b/config.json')}  config.json\n"
    lines += f"{sha256('b/model.safetensors')}  model.safetensors\n"
    assert catalogue.digest(listed["b"]) == sha256(lines)
    told = subprocess.run(
        ["sha256sum", "config.json", "model.safetensors"],
        cwd=tmp_path / "b",
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == lines, "as sha256sum writes it"

    def fail(*_: object) -> str:
        raise AssertionError("it was hashed again")

    monkeypatch.setattr("sensorium.models.catalogue.digests.sha256_of", fail)
    again = Catalogue(tmp_path)
    assert again.find("a").digest == digest
    assert again.digest(again.find("a")) == digest
    (tmp_path / "a" / "m.onnx").write_text("changed")
    assert again.find("a").digest == ""
    monkeypatch.undo()
    assert again.digest(again.find("a")) == sha256("changed")


def test_digests_of_models_that_are_gone(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "a/m.onnx")
    found = catalogue.find("a")
    (tmp_path / "a" / "m.onnx").unlink()
    with pytest.raises(NotFoundError):
        catalogue.digest(found)


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":1}'])
def test_a_damaged_file_of_digests_costs_time_only(tmp_path: Path, text: bytes) -> None:
    put(tmp_path, "a/m.onnx")
    (tmp_path / ".digests.json").write_bytes(text)
    catalogue = Catalogue(tmp_path)
    assert catalogue.digest(catalogue.find("a")) == sha256("a/m.onnx")
    assert Digests(tmp_path).compute("a/m.onnx") == sha256("a/m.onnx")


def test_a_hundred_large_models_are_listed_quickly(tmp_path: Path, catalogue: Catalogue) -> None:
    for number in range(50):
        put(tmp_path, f"m{number}/m.gguf")
        os.truncate(tmp_path / f"m{number}" / "m.gguf", 8 << 30)
        fetched(tmp_path, f"f{number}", "m.gguf")
    begun = time.monotonic()
    listed = catalogue.entries()
    assert len(listed) == 100
    assert sum(found.size for found in listed) > 400 << 30
    assert time.monotonic() - begun < 10


# Deleting


def test_a_model_is_deleted_whole(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "org--m/1/m.onnx", "org--m/2/m.onnx", "other/m.onnx")
    put(tmp_path, ".partial/org--m/parts/x.data")
    with (tmp_path / "org--m/2/m.onnx").open() as in_use:
        catalogue.delete("org/m")
        assert in_use.read() == "org--m/2/m.onnx"
    assert names(catalogue) == [("other", "1", "onnx")]
    assert not (tmp_path / ".partial" / "org--m").exists()
    assert not list((tmp_path / ".partial").glob(".trash*"))
    for name in ("org/m", "../other", "", ".partial"):
        with pytest.raises(NotFoundError):
            catalogue.delete(name)


def test_a_variant_is_deleted_alone(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "hand/a.gguf", "hand/b-00001-of-00002.gguf", "hand/b-00002-of-00002.gguf")
    catalogue.delete("hand:b")
    assert [path.name for path in (tmp_path / "hand").iterdir()] == ["a.gguf"]
    fetched(tmp_path, "org--m", "a.gguf", "b.gguf")
    catalogue.delete("org/m:a")
    assert [found.name for found in catalogue.entries()] == ["hand", "org--m"]
    assert catalogue.find("org/m").path.name == "b.gguf"
    with pytest.raises(NotFoundError, match="no variant"):
        catalogue.delete("org/m:c")
    catalogue.delete("org/m:b")
    assert not (tmp_path / "org--m").exists()


# Files for other nodes


def test_files_are_served(tmp_path: Path, catalogue: Catalogue) -> None:
    put(tmp_path, "org--m/config.json", "org--m/model.safetensors", "org--m/sub/vocab.txt")
    (tmp_path / "org--m" / "link.json").symlink_to("config.json")
    for path in ("config.json", "sub/vocab.txt"):
        assert catalogue.resolve_file("org/m", path) == tmp_path / "org--m" / path
    assert catalogue.resolve_file("org--m", "link.json") == tmp_path / "org--m" / "config.json"


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "..", "/", "../org--m/config.json", "../secret", "sub/../config.json",
        "/etc/passwd", "config.json/", "sub", "sub//vocab.txt", "sub\\vocab.txt", "..\\secret",
        "config.json\0", "\0", ".hidden", "sub/.hidden", "leaves", "leaves/secret", "out/secret",
        "circle", "pipe",
        "tohidden", "C:config.json", "config.json:stream", "%2e%2e/secret", "none", "a" * 5000,
        "\udcff",
    ],
)  # fmt: skip
def test_no_other_file_is_served(tmp_path: Path, catalogue: Catalogue, path: str) -> None:
    put(tmp_path, "org--m/config.json", "org--m/model.safetensors", "org--m/sub/vocab.txt")
    put(tmp_path, "org--m/.hidden", "org--m/sub/.hidden", "secret", "elsewhere/secret")
    folder = tmp_path / "org--m"
    (folder / "leaves").symlink_to(tmp_path / "secret")
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "circle").symlink_to("circle")
    (folder / "tohidden").symlink_to(".hidden")
    os.mkfifo(folder / "pipe")
    with pytest.raises(NotFoundError) as error:
        catalogue.resolve_file("org/m", path)
    assert str(tmp_path) not in error.value.message


@pytest.mark.parametrize("name", ["", "..", ".", ".partial", "notes", "/etc", "../x", "a\0b"])
def test_nothing_is_served_of_what_is_no_model(
    tmp_path: Path, catalogue: Catalogue, name: str
) -> None:
    put(tmp_path, "notes/README.md", ".partial/m/README.md", "README.md")
    with pytest.raises(NotFoundError):
        catalogue.resolve_file(name, "README.md")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text(st.sampled_from("./\\abm\0:~"), max_size=12))
def test_whatever_is_asked_for_stays_in_the_folder(tmp_path: Path, path: str) -> None:
    put(tmp_path, "m/a.onnx", "m/b/a", "a", "b")
    try:
        found = Catalogue(tmp_path).resolve_file("m", path)
    except NotFoundError:
        return
    assert found in {tmp_path / "m/a.onnx", tmp_path / "m/b/a"}
