"""Lines that are records already: JSON objects and logfmt."""

import re
from typing import Any, NamedTuple

import msgspec

MESSAGE_FIELDS = ("msg", "message", "log", "event", "text", "body", "MESSAGE", "Message", "@m")
LEVEL_FIELDS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel", "Level")

_LOGFMT = re.compile(r'(?:^|\s)(?:msg|message)=(?:"((?:[^"\\]|\\.)*+)"|(\S+))')
_LOGFMT_LEVEL = re.compile(r'(?:^|\s)(?:level|lvl|severity)="?([A-Za-z]+)')


class Structured(NamedTuple):
    """The message and the level (in capitals, or '') of a structured line."""

    message: str
    level: str


def _first(record: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _read_json(line: str) -> Structured | None:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    message = _first(record, MESSAGE_FIELDS)
    return Structured(message, _first(record, LEVEL_FIELDS).upper()) if message else None


def read_structured(line: str, flat: str) -> Structured | None:
    """The message of a JSON object or a logfmt line; None if `line` is neither.

    `flat` is the same line flattened. A JSON object without a message field is left as it is.
    """
    if flat[:1] == "{" and flat.rstrip()[-1:] == "}":
        return _read_json(line)
    if "msg=" not in flat and "message=" not in flat:
        return None
    level = _LOGFMT_LEVEL.search(flat)
    message = _LOGFMT.search(flat)
    if level is None or message is None:
        return None
    return Structured(message[1] or message[2] or "", level[1].upper())
