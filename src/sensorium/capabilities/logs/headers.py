"""The header of a log line: time, host, process, level, logger; and where its content begins.

The patterns read *flattened* text (see `masking.flatten`: each run of digits is one `0`), which
leaves a time stamp a handful of shapes. They name conventions (RFC 3164 and 5424, ISO 8601, the
common log format, the layouts of the usual logging libraries), never a product. A header holds a
time stamp, possibly after a few fields that are no words; without one, only a leading level counts.
Every pattern is bounded or possessive, and a header is looked for in a bounded part of the line.
"""

import re
from dataclasses import dataclass

MAX_HEADER_CHARS = 300
MAX_FIELDS_BEFORE = 4
MAX_COLUMNS = 6

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?"
_CLOCK = r"0:0(?::0)?(?:[.,:]0)?(?:\ [AP]M\b)?"
_ZONE = r"(?:Z\b|\ ?[-+]0(?::0)?\b|\ (?:UTC|GMT|[A-Z]{2,3}T)\b)?"
_STAMP = re.compile(
    rf"""(?<![\w.:/-])(?:
      0[-/.]0(?:[-/.]0)?(?:T|_|\ -\ |-|\ +){_CLOCK}{_ZONE}            # 2024-05-01 12:00:00.123
    | 0-0-0-0\.0\.0(?:\.0)?                                          # 2024-05-01-12.00.00.123
    | (?:{_DAY}\ +)?{_MONTH}\ +0(?:,?\ +0)?,?\ +{_CLOCK}{_ZONE}(?:\ 0\b)?   # May  1 12:00:00
    | (?:{_DAY}\ +)?0[\ /-]{_MONTH}[\ /-]0[:\ ]+{_CLOCK}{_ZONE}       # 01/May/2024:12:00:00 +0000
    | 0-{_CLOCK}                                                     # 20240501-12:00:00:123
    | [IWEF]0\ +{_CLOCK}                                             # I0501 12:00:00.123
    | {_CLOCK}(?=[\]\s|,])
    )""",
    re.VERBOSE,
)
_WEAK_STAMP = re.compile(r"0(?:\.0)?(?: 0)?(?= )")
_NO_WORD = re.compile(r"(?!(?:[A-Za-z]?[a-z]+|\S*[\"'{}=])[\s:;,]?\s)\S{1,80}\s+")
_OPENING = re.compile(r"\s*(?:<0>0?\s*)?[\[(]?")
_CLOSING = re.compile(r"[\])]?[,:]?")

_WORD = (
    r"(?:TRACE|VERBOSE|DEBUG|INFO|INFORMATION|NOTICE|WARN|WARNING|ERR|ERROR|CRIT|CRITICAL|SEVERE"
    r"|ALERT|EMERG|EMERGENCY|FATAL|PANIC|LOG|FAILURE)"
)
_LEVEL = re.compile(
    rf"""[\s|]*(?:
      ({_WORD})0?(?=[\s:,|]|$)[:,|]?
    | [\[<(]\s*((?i:{_WORD}))0?\s*[\])>]:?
    | ((?i:{_WORD}))(?::(?=\s)|\|?(?=\ *\|)|(?=\s+-\s|\s\s|\s+\[))
    | ([VDIWEFT])(?:(?=\s)|/(?=\w))
    )""",
    re.VERBOSE,
)
_BOX = r"\[(?:[^\[\]]|\[[^\[\]]*+\])*+\]"
_FIELDS = re.compile(
    rf"(?:\s*+(?:(?!\[(?i:{_WORD})\])(?:{_BOX}(?=[\s:\[]|$)|\([^()\s]*+\)(?=\s)|[-|:,>]++(?=\s|\[)|[.*#](?=\s)"
    r"|[#*]?0(?:[#.]0)?[:,]?(?=\s))))*+"
)
_COLUMN = re.compile(
    r"\s*+(?:[A-Z][A-Z_]*+(?=\s)|[\w.$@-]++\s+[-|](?=\s)|\[[^\[\]]*+\]"
    r"|(?=[^\s\"'=]*[-0./:_@])[^\s\"'={}]++(?<![:,;])(?=\s)|[-|](?=\s))"
)
_NAME = r"[A-Za-z_@/][\w.$/@+~-]*+"
_ANY_NAME = r"(?=0*+[A-Za-z_@/])[\w.$/@+~-]++(?:\[[^\]\s]*+\])?(?:\ \*0)?"
_TAG = (
    rf"{_NAME}(?:::\w++)*+(?:\ 0(?:\.0)*+)?(?:\([^()\s]*+\))?(?:\[[^\]\s]*+\])?"
    r"(?:\ \([^()]{1,80}\))?\ ?:(?=\s|$)"
)
_LOGGER = re.compile(
    rf"""\s*+(?:
      {_TAG}                                                 # name[pid]:
    | {_NAME}:0\]?:?(?=\s)                                   # file.go:12]
    | {_ANY_NAME}\s++(?:-|\||::)(?=\s)                       # name -
    | {_NAME}\s{{2,}}(?=\S)                                  # name, padded to a column
    | [A-Za-z_$][\w$]*+(?:\.[\w$]++)++(?=\s)                 # a.dotted.name
    )""",
    re.VERBOSE,
)
_DASHED = re.compile(rf"\s*+{_ANY_NAME}\s++(?:-|\|)(?=\s)", re.VERBOSE)
_HOST_AND_TAG = re.compile(rf"\s*+(?:[a-z]+=0|[\w.:/@-]++)\s++{_TAG}", re.VERBOSE)
_HOST = re.compile(r"\s*+[\w.:/@-]++(?=\s)")
_REST = re.compile(r"(?:\s++(?:[-|:](?=\s)|\[[^\[\]]*[-0][^\[\]]*\](?=\s)))*+\s*+")
_PIPES = re.compile(r"(?:\|[^|\s]{0,60}+(?=\|))*+\|")
_SYSLOG_CLOCK = re.compile(rf"{_MONTH} +0 +0:0:0\Z")
_WRITTEN_STAMP = re.compile(_STAMP.pattern.replace("0", "[0-9]+"), re.VERBOSE)
_LEADING = frozenset(" [TDINWECF")
_LEADING_LEVEL = re.compile(
    r"\s*\[?(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)"
    r"(?:\]:?\s++|:[\w.$-]++:\s*+)"
)


@dataclass(frozen=True, slots=True)
class Header:
    """What was recognised: where the content begins, and the level's word in capitals, or ''."""

    end: int
    level: str
    stamped: bool


NO_HEADER = Header(0, "", False)


def _find_stamp(text: str) -> tuple[int, int] | None:
    """Where the first time stamp begins and ends, when only fields that are no words precede it."""
    found = _STAMP.search(text)
    if found is None:
        return None
    at = _OPENING.match(text).end()  # type: ignore[union-attr]
    for _ in range(MAX_FIELDS_BEFORE + 1):
        if at >= found.start():
            return found.span()
        step = _NO_WORD.match(text, at)
        if step is None:
            return None
        at = step.end()
        if text[at : at + 1] in "[(":
            at += 1
    return None


def _find_level(text: str, at: int) -> tuple[int, str]:
    """Where the text goes on behind a level at `at` or behind a few columns, and the level."""
    for _ in range(MAX_COLUMNS + 1):
        level = _LEVEL.match(text, at)
        if level is not None:
            return level.end(), (level[level.lastindex or 0]).upper()
        column = _COLUMN.match(text, at)
        if column is None:
            break
        at = column.end()
    return -1, ""


def _stamped(text: str, begin: int, end: int) -> Header:
    """A header with a time stamp at `begin`..`end`."""
    if text.startswith("|", end):
        return Header(_PIPES.match(text, end).end(), "", True)  # type: ignore[union-attr]
    letter = text[begin] if text[begin] in "IWEF" and text[begin + 1] == "0" else ""
    at = _CLOSING.match(text, end).end()  # type: ignore[union-attr]
    at = _FIELDS.match(text, at).end()  # type: ignore[union-attr]
    tagged = _HOST_AND_TAG.match(text, at)
    behind, level = _find_level(text, at)
    if tagged is not None and (behind < 0 or behind > tagged.end()):
        return Header(_REST.match(text, tagged.end()).end(), letter, True)  # type: ignore[union-attr]
    if behind >= 0:
        at = _FIELDS.match(text, behind).end()  # type: ignore[union-attr]
    elif _SYSLOG_CLOCK.match(text[begin:end]):
        host = _HOST.match(text, at)
        at = host.end() if host else at
    # Behind a dash or a bar the content begins, unless one more name with a dash follows.
    logger = (_DASHED if text[:at].rstrip()[-1:] in ("-", "|") else _LOGGER).match(text, at)
    if logger is not None:
        at = logger.end()
    return Header(_REST.match(text, at).end(), level or letter, True)  # type: ignore[union-attr]


def split_header(flat: str) -> Header:
    """The header of one flattened line; `NO_HEADER` where there is none."""
    text = flat[:MAX_HEADER_CHARS]
    # Every shape of a time stamp holds one of these two, and most text holds neither.
    if "0:0" in text or "-0." in text:
        span = _find_stamp(text)
        if span is not None:
            return _stamped(text, *span)
    first = text[:1]
    if first == "0":
        weak = _WEAK_STAMP.match(text)
        behind = _find_level(text, weak.end())[0] if weak is not None else -1
        if weak is not None and behind >= 0:
            return _stamped(text, 0, weak.end())
    elif first in _LEADING:
        leading = _LEADING_LEVEL.match(text)
        if leading is not None:
            return Header(leading.end(), leading[1], False)
    return NO_HEADER


def time_stamp(line: str) -> str | None:
    """The first time stamp near the beginning of a line, as written; None where there is none."""
    found = _WRITTEN_STAMP.search(line[:MAX_HEADER_CHARS])
    return found[0] if found else None
