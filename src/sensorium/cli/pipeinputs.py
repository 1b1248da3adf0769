"""`--input NAME=VALUE` and `NAME=@FILE`: text into the value that a pipeline's input wants."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sensorium.capabilities.pipelines.schema import Input
from sensorium.cli.logfiles import read_bytes, read_lines
from sensorium.cli.seriesfiles import Wanted, read_series
from sensorium.core.errors import InvalidInputError
from sensorium.core.values import Spec, Value, from_json, read_spec, to_json

SERIES = Spec("series")
LINES = (Spec("list", Spec("text")), Spec("list", Spec("text"), nullable=True))


def read_inputs(given: Iterable[str], declared: Mapping[str, Input]) -> msgspec.Raw:
    """The inputs as one JSON object.

    Raises:
        InvalidInputError: a name that there is none of, or a file that is not what it should be.
        OSError: a file cannot be read.
    """
    values: dict[str, msgspec.Raw] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals:
            raise InvalidInputError(f"--input {each[:80]}: write NAME=VALUE, or NAME=@FILE")
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise InvalidInputError(
                f"--input {name[:80]}: there is no such input; there is {known}"
            )
        spec = read_spec(declared[name].kind)
        value = _of_file(text[1:], spec) if text.startswith("@") else _of_text(text, spec)
        values[name] = msgspec.Raw(to_json(value))
    return msgspec.Raw(msgspec.json.encode(values))


def _of_text(text: str, spec: Spec) -> Value:
    """JSON, unless text is wanted; what is no JSON is text, and a line where lines are wanted."""
    if spec.kind == "text":
        return text
    try:
        return from_json(text.encode())
    except InvalidInputError:
        return [text] if spec in LINES else text


def _of_file(path: str, spec: Spec) -> Value:
    """Lines, text, bytes, series or JSON, as the kind is."""
    if spec in LINES and not path.endswith(".json"):
        return read_lines([path])
    if spec.kind in ("text", "bytes"):
        content = read_bytes(path)
        return content if spec.kind == "bytes" else content.decode("utf-8", "replace")
    if spec.kind == "series" or spec.item == SERIES:
        return _series(path, spec)
    return from_json(read_bytes(path))


def _series(path: str, spec: Spec) -> Any:
    found = read_series(path, Wanted())
    if spec.kind != "series":
        return found
    if len(found) != 1:
        raise InvalidInputError(f"{path} holds {len(found)} series, and one is wanted")
    return found[0]
