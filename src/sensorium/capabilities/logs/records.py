"""From lines to keys: each distinct line is read once, and each line becomes a small number.

A record is a line with a header or one that starts something new; continuation lines (stack
traces, indented details) belong to the record before them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sensorium.capabilities.logs.headers import split_header
from sensorium.capabilities.logs.masking import MAX_LINE_CHARS, Masker, flatten
from sensorium.capabilities.logs.structured import read_structured

CHECK_EVERY = 50_000
KIND_CHARS = 100
"""What a kind in a table costs besides its text."""

_MASKER = Masker()
"""One for all tables: words recur from call to call, and it is bounded."""

LINE_CACHE_CHARS = 16_000_000
"""Lines are remembered as they came until they hold so many characters together."""
HEADERS_ARE_RULE = 0.95
"""Where so many records carry a header, a line without one continues the record before it."""
_CONTINUES = re.compile(
    r"\s+\S|at [\w.$/<>]+\(|Caused by: |Suppressed: |\.\.\. 0 (?:more|common)"
    r"|[Ss]tack ?trace:|[}\])]+[,;]?\s*$|goroutine 0 \["
)
_CONTINUATION = frozenset(" aCS.s}])g")
"""The first characters of what `_CONTINUES` matches."""

TRACE = "Traceback (most recent call last)"
_ANNOUNCES = re.compile(r"error|exception|fail|could ?n.t|could not|cannot|unable", re.IGNORECASE)
"""What a line says of trouble whose traceback follows."""

_OWN_FIELDS = re.compile(r"\[?0:\S")
"""A line that begins with a process number continues nothing, even without a time stamp."""


class Nature(NamedTuple):
    """What is known of a line besides its content; a handful of them serves all lines."""

    level: str = ""
    stamped: bool = False
    continues: bool = False
    opens_trace: bool = False
    own_fields: bool = False


_BARE = Nature()
_CONTINUING = Nature(continues=True)
_OPENING = Nature(opens_trace=True)


class LineTable:
    """Numbers for distinct kinds of lines: `keys[n]` and `natures[n]` tell what kind n is.

    `chars` is about how much memory the kinds hold; whoever reads without end starts a new table
    when it grows large. Flat lists of strings, because the garbage collector walks all else.
    """

    def __init__(self, *, strip_headers: bool) -> None:
        self.keys: list[str] = []
        self.natures: list[Nature] = []
        self.chars = 0
        self._cached_chars = 0
        self._strip = strip_headers
        self._numbers: dict[Nature, dict[str, int]] = defaultdict(dict)
        self._lines: dict[str, int] = {}

    def add(self, lines: Sequence[str]) -> list[int]:
        """The number of each line's kind. Hand over at most a few thousand lines at a time."""
        seen = self._lines
        if self._cached_chars > LINE_CACHE_CHARS:
            seen.clear()
            self._cached_chars = 0
        flat = _flatten_all(lines)
        numbers = list(map(seen.get, flat))
        if None in numbers:
            unseen = dict(zip(flat, lines, strict=True))
            for text in unseen.keys() & seen.keys():
                del unseen[text]
            seen.update(zip(unseen, self._read(unseen), strict=True))
            numbers = list(map(seen.get, flat))
        return numbers  # type: ignore[return-value]

    def _read(self, lines: Mapping[str, str]) -> list[int]:
        """The numbers of lines that were not seen before, given as flattened -> as written."""
        self._cached_chars += sum(map(len, lines)) + KIND_CHARS * len(lines)
        contents: list[str] = []
        natures: list[Nature] = []
        for flat, line in lines.items():
            content, nature = self._split(flat, line)
            contents.append(content)
            natures.append(nature)
        result = []
        for key, nature in zip(_MASKER.mask_all(contents), natures, strict=True):
            numbers = self._numbers[nature]
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(self.keys)
                self.chars += len(key) + KIND_CHARS
                self.keys.append(key)
                self.natures.append(nature)
            result.append(number)
        return result

    def _split(self, flat: str, line: str) -> tuple[str, Nature]:
        """The content of a line, and its nature."""
        if not self._strip:
            return flat, _BARE
        structured = read_structured(line, flat)
        if structured is not None:
            message = flatten(structured.message).replace("\n", " ")
            return message, Nature(structured.level, stamped=True)
        header = split_header(flat)
        if header.stamped:
            return flat[header.end :], Nature(header.level, stamped=True)
        if flat[:1] in _CONTINUATION and _CONTINUES.match(flat):
            return flat, _CONTINUING
        if flat.startswith(TRACE):
            return flat, _OPENING
        if _OWN_FIELDS.match(flat):
            return flat[header.end :], Nature(header.level, own_fields=True)
        return flat[header.end :], Nature(header.level) if header.level else _BARE


def _flatten_all(lines: Sequence[str]) -> list[str]:
    """The lines flattened in one go; a line longer than what is read is cut first."""
    if max(map(len, lines), default=0) > MAX_LINE_CHARS:
        lines = [line[:MAX_LINE_CHARS] for line in lines]
    flat = flatten("\n".join(lines)).split("\n")
    if len(flat) != len(lines):
        flat = [flatten(line).replace("\n", " ") for line in lines]
    return flat


def header_share(numbers: Sequence[int], natures: Sequence[Nature]) -> float:
    """The part of the lines, continuation lines aside, in which a header was recognised."""
    stamped = [nature.stamped for nature in natures]
    counted = [not nature.continues for nature in natures]
    records = sum(map(counted.__getitem__, numbers))
    return sum(map(stamped.__getitem__, numbers)) / records if records else 0.0


@dataclass(frozen=True, slots=True)
class Joined:
    """Lines joined to records: the kind of each line's record, and where records begin."""

    records: list[int]
    heads: Counter[int]


def join(numbers: list[int], table: LineTable, share: float, check: Callable[[], None]) -> Joined:
    """Continuation lines joined to the record before them.

    A Python traceback without a header belongs to the line before it where that announces trouble;
    else it is known by its last line, which names the exception.
    `check` may raise to stop the work.
    """
    natures = table.natures
    headers_rule = share >= HEADERS_ARE_RULE
    continues = [
        nature.continues
        or (headers_rule and not (nature.stamped or nature.own_fields) and bool(key))
        for key, nature in zip(table.keys, natures, strict=True)
    ]
    if not any(continues) and not any(nature.opens_trace for nature in natures):
        return Joined(numbers, Counter(numbers))
    announces = [_ANNOUNCES.search(key) is not None for key in table.keys]
    records: list[int] = []
    starts: list[int] = []
    opened = ended = -1
    for index, number in enumerate(numbers):
        if index % CHECK_EVERY == 0:
            check()
        nature = natures[number]
        goes_on = continues[number] and bool(records)
        if opened >= 0 and not goes_on and not nature.opens_trace:
            if not nature.stamped:
                if natures[records[opened]].opens_trace:
                    records[opened:] = [number] * (len(records) - opened)
                goes_on = True
                ended = index
            opened = -1
        if nature.opens_trace and not goes_on:
            opened = len(records)
            goes_on = opened > 0 and announces[records[-1]] and ended < index - 1
        if not goes_on:
            starts.append(len(records))
        records.append(records[-1] if goes_on else number)
    return Joined(records, Counter(map(records.__getitem__, starts)))
