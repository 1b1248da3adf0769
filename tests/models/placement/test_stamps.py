"""Which files make a model, and whether they are still the same."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorium.models.placement.stamps import are_same, stamps_of

SHARDS = [f"model-0000{number}-of-00002.gguf" for number in (1, 2)]


def rewrite(path: Path) -> None:
    path.write_bytes(b"longer than it was")


def replace(path: Path) -> None:
    """With a file of the same size, which says that it is as old."""
    stat = path.stat()
    other = path.with_name("other.tmp")
    other.write_bytes(b"y" * stat.st_size)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [rewrite, replace, touch, Path.unlink])
@pytest.mark.parametrize(
    ("names", "model"),
    [
        (["model.onnx"], "model.onnx"),
        (["model.onnx", "model.onnx_data"], "model.onnx"),
        (SHARDS, SHARDS[0]),
        (["config.json", "model.safetensors"], ""),
    ],
)
def test_what_changed_is_seen(
    names: list[str], model: str, change: Callable[[Path], None], tmp_path: Path
) -> None:
    for name in [*names, "README.md"]:
        (tmp_path / name).write_bytes(b"x")
    stamps = stamps_of(tmp_path / model)
    assert {path.name for path in stamps} >= {*names}
    (tmp_path / "another.onnx").write_bytes(b"new")
    assert are_same(stamps)
    change(tmp_path / names[-1])
    assert not are_same(stamps)


def test_what_lies_beside_a_file_is_not_the_model(tmp_path: Path) -> None:
    for name in ("model.onnx", "other.onnx", "README.md"):
        (tmp_path / name).write_bytes(b"x")
    stamps = stamps_of(tmp_path / "model.onnx")
    rewrite(tmp_path / "other.onnx")
    (tmp_path / "README.md").unlink()
    assert are_same(stamps)


def test_a_file_that_was_never_there_has_not_changed(tmp_path: Path) -> None:
    stamps = stamps_of(tmp_path / "none" / "model.onnx")
    assert are_same(stamps)


def test_a_projector_in_the_folder_above_is_the_models_too(tmp_path: Path) -> None:
    model, projector = tmp_path / "q4" / "m.gguf", tmp_path / "mmproj.gguf"
    model.parent.mkdir()
    for path in (model, projector):
        path.write_bytes(b"x")
    stamps = stamps_of(model, projector)
    assert stamps.keys() == {model, projector}
    rewrite(projector)
    assert not are_same(stamps)
