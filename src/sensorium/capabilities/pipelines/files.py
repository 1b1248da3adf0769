"""A pipeline as it is written in a file: TOML, or JSON."""

import tomllib
from functools import lru_cache
from pathlib import Path

import msgspec

from sensorium.capabilities.pipelines.schema import Pipeline
from sensorium.core.codec import explained
from sensorium.core.errors import InvalidInputError, PayloadTooLargeError

MAX_BYTES = 1 << 20


def read_file(path: Path) -> Pipeline:
    """The pipeline in a file, under the file's name; read again when it has changed.

    Raises:
        InvalidInputError: it holds none; says where in it, but not where the file is.
        OSError: it cannot be read.
    """
    status = path.stat()
    return _read_file(path, status.st_mtime_ns, status.st_size)


@lru_cache(256)
def _read_file(path: Path, changed: int, size: int) -> Pipeline:
    del changed
    if size > MAX_BYTES:
        raise PayloadTooLargeError(f"a pipeline's file has at most {MAX_BYTES} bytes")
    found = read_text(path.read_bytes(), path.suffix)
    if found.name not in ("", path.stem):
        raise InvalidInputError(f"{path.name} names its pipeline {found.name}, not {path.stem}")
    try:
        return msgspec.convert({**msgspec.to_builtins(found), "name": path.stem}, Pipeline)
    except msgspec.ValidationError:
        raise InvalidInputError(
            f"{path.name}: a pipeline's name is of small letters, digits, _ and -"
        ) from None


def read_text(text: bytes, suffix: str) -> Pipeline:
    """The pipeline that a text declares, in the format that a file's suffix tells.

    Raises:
        InvalidInputError: it declares none; `details.at` says where.
    """
    try:
        if suffix == ".json":
            return msgspec.json.decode(text, type=Pipeline)
        # TOML has dates, which JSON has not; they become text.
        return msgspec.convert(msgspec.to_builtins(tomllib.loads(text.decode())), Pipeline)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"it is not TOML: {error}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise explained(error) from None
