"""The one way in: formats, files that are none, and messages that show no paths."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.models.artifact import Artifact
from sensorium.models.headers.reading import READERS, read_header
from sensorium.models.headers.source import PAGE, PAGES, Source, held, opened
from tests.models.headers.building import gguf, onnx, outcome

FORMATS = sorted(READERS)
MAGIC = [b"", b"GGUF\3\0\0\0", b"tree\n", b"\0\0\0\x08TFL3", b"PK\3\4", b"\x80\2", b"\x08\x09"]


def test_a_model_as_it_lies_on_disk_tells_its_format(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx())
    model = Artifact(name="m", version="1", format="onnx", path=path)
    assert read_header(model) == read_header(path, "onnx")
    assert read_header(model).file_bytes == path.stat().st_size
    path.write_bytes(gguf())
    with pytest.raises(InvalidInputError):
        read_header(model)
    assert read_header(model, "gguf").format == "gguf"


@pytest.mark.parametrize("format", [None, "remote"])
def test_what_is_no_file_has_no_header(format: None) -> None:
    with pytest.raises(InvalidInputError, match="known format"):
        read_header(Path("model"), format)


@pytest.mark.parametrize("format", FORMATS)
def test_what_cannot_be_read_is_not_found(tmp_path: Path, format: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    names = ["nothing", "pipe", "loop", "nul\0", "a" * 5000, "folder"]
    (tmp_path / "folder").mkdir()
    for name in [*names, "/dev/zero"]:
        with pytest.raises(NotFoundError) as missing:
            read_header(tmp_path / name, format)  # type: ignore[arg-type]
        assert str(tmp_path) not in missing.value.message


@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None)
@given(start=st.sampled_from(MAGIC), rest=st.binary(max_size=200))
def test_any_bytes_are_a_model_or_refused(format: str, start: bytes, rest: bytes) -> None:
    refused = outcome(format, start + rest)  # type: ignore[arg-type]
    assert refused is None or (refused.isascii() and len(refused) < 400)


def test_a_source_holds_a_few_pages(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1000 * PAGE)
    with opened(path) as source:
        for number in range(1000):
            source.read(number * PAGE + 7, 8)
        assert len(source._pages) <= PAGES
        vast = Source(source._file, 1 << 40)
        with pytest.raises(InvalidInputError, match="too many for a header"):
            vast.read(0, 1 << 30)


def test_a_file_that_is_cut_short_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * PAGE))
    with opened(path) as source:
        source.read(0, 8)
        os.truncate(path, 100)
        with pytest.raises(InvalidInputError, match="cut short"):
            source.read(2 * PAGE, 8)


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(-5, 400), st.integers(-5, 400))
def test_a_source_reads_what_is_there(data: bytes, at: int, count: int) -> None:
    source = held(data)
    if at < 0 or count < 0 or at + count > len(data):
        with pytest.raises(InvalidInputError):
            source.read(at, count)
        return
    assert source.read(at, count) == data[at : at + count]
    assert source.part(at, count).read(0, count) == data[at : at + count]
