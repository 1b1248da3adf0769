"""What lies beside a model's weights in its folder: JSON, and the template of conversations."""

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from sensorium.core.errors import InvalidInputError

T = TypeVar("T")
MAX_BYTES = 16 << 20
TEMPLATE = "chat_template.jinja"


class NamedTemplate(Struct):
    """One of several templates in a configuration."""

    name: str = ""
    template: str = ""


Templates = str | list[NamedTemplate] | None
"""The field `chat_template` of a `tokenizer_config.json`."""


def read_json(path: Path, kind: type[T], most: int = MAX_BYTES, *, optional: bool = False) -> T:
    """A file of JSON, of at most so many bytes; where it may be missing, `kind()` is had instead.

    Raises:
        InvalidInputError: it is missing, damaged or longer.
    """
    if optional and not path.is_file():
        return kind()
    try:
        with path.open("rb") as file:
            data = file.read(most)
    except OSError:
        raise InvalidInputError(f"its {path.name} is missing, or may not be read") from None
    return decoded(data, kind, path.name)


def decoded(data: bytes | Raw, kind: type[T], name: str) -> T:
    """JSON of the file of that name; errors as for `read_json`."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"its {name} is damaged: {str(error)[:200]!a}") from None


def template_of(folder: Path, told: Templates) -> str:
    """The template: a file of its own comes before the configuration; empty where there is none.

    Raises:
        InvalidInputError: it is no text.
    """
    try:
        with (folder / TEMPLATE).open("rb") as file:
            return file.read(MAX_BYTES).decode()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError):
        raise InvalidInputError(f"its {TEMPLATE} is damaged") from None
    if isinstance(told, list):
        return next((each.template for each in told if each.name == "default"), "")
    return told or ""
