"""From lines to keys: each distinct line is read once, and each line becomes a small number.

A record is a line with a header or one that starts something new; continuation lines (stack
traces, indented details) belong to the record before them.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sensorium.capabilities.logs.headers import split_header
from sensorium.capabilities.logs.masking import MAX_LINE_CHARS, Masker, flatten
from sensorium.capabilities.logs.structured import read_structured

CHECK_EVERY = 50_000
ENTRY_CHARS = 100
"""What an entry of a table costs besides its text."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """A distinct kind of line: its masked content, its level, and whether it had a header."""

    key: str
    level: str
    stamped: bool
    continues: bool
    opens_trace: bool


class _Kind(NamedTuple):
    """What an `Entry` says besides its key."""

    level: str = ""
    stamped: bool = False
    continues: bool = False
    opens_trace: bool = False


_BARE = _Kind()
_CONTINUING = _Kind(continues=True)
_OPENING = _Kind(opens_trace=True)


class LineTable:
    """Numbers for distinct kinds of lines; `entries[number]` tells what it stands for.

    `chars` is about how much memory the entries hold; whoever reads without end starts a new table
    when it grows large.
    """

    def __init__(self, *, strip_headers: bool) -> None:
        self.entries: list[Entry] = []
        self.chars = 0
        self._cached_chars = 0
        self._strip = strip_headers
        self._numbers: dict[tuple[str, _Kind], int] = {}
        self._lines: dict[str, int] = {}
        self._masker = Masker()

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
        contents: list[str] = []
        kinds: list[_Kind] = []
        for flat, line in lines.items():
            self._cached_chars += len(flat) + ENTRY_CHARS
            content, kind = self._split(flat, line)
            contents.append(content)
            kinds.append(kind)
        numbers = self._numbers
        result = []
        for pair in zip(self._masker.mask_all(contents), kinds, strict=True):
            number = numbers.get(pair)
            if number is None:
                number = numbers[pair] = len(self.entries)
                self.chars += len(pair[0]) + ENTRY_CHARS
                self.entries.append(Entry(pair[0], *pair[1]))
            result.append(number)
        return result

    def _split(self, flat: str, line: str) -> tuple[str, _Kind]:
        """The content of a line, and what else its `Entry` says."""
        if not self._strip:
            return flat, _BARE
        structured = read_structured(line, flat)
        if structured is not None:
            message = flatten(structured.message).replace("\n", " ")
            return message, _Kind(structured.level, stamped=True)
        header = split_header(flat)
        if header.stamped:
            return flat[header.end :], _Kind(header.level, stamped=True)
        if flat[:1] in _CONTINUATION and _CONTINUES.match(flat):
            return flat, _CONTINUING
        if flat.startswith(TRACE):
            return flat, _OPENING
        return flat[header.end :], _Kind(header.level) if header.level else _BARE


def _flatten_all(lines: Sequence[str]) -> list[str]:
    """The lines flattened in one go; a line longer than what is read is cut first."""
    if max(map(len, lines), default=0) > MAX_LINE_CHARS:
        lines = [line[:MAX_LINE_CHARS] for line in lines]
    flat = flatten("\n".join(lines)).split("\n")
    if len(flat) != len(lines):
        flat = [flatten(line).replace("\n", " ") for line in lines]
    return flat


def header_share(numbers: Sequence[int], entries: Sequence[Entry]) -> float:
    """The part of the lines, continuation lines aside, in which a header was recognised."""
    stamped = [entry.stamped for entry in entries]
    counted = [not entry.continues for entry in entries]
    records = sum(map(counted.__getitem__, numbers))
    return sum(map(stamped.__getitem__, numbers)) / records if records else 0.0


@dataclass(frozen=True, slots=True)
class Joined:
    """Lines joined to records: the kind of each line's record, and where records begin."""

    records: list[int]
    heads: Counter[int]


def join(
    numbers: list[int], entries: Sequence[Entry], share: float, check: Callable[[], None]
) -> Joined:
    """Continuation lines joined to the record before them.

    A Python traceback without a header is known by its last line, which names the exception.
    `check` may raise to stop the work.
    """
    headers_rule = share >= HEADERS_ARE_RULE
    continues = [
        entry.continues or (headers_rule and not entry.stamped and bool(entry.key))
        for entry in entries
    ]
    if not any(continues) and not any(entry.opens_trace for entry in entries):
        return Joined(numbers, Counter(numbers))
    records: list[int] = []
    starts: list[int] = []
    opened = -1
    for index, number in enumerate(numbers):
        if index % CHECK_EVERY == 0:
            check()
        entry = entries[number]
        goes_on = continues[number] and bool(records)
        if opened >= 0 and not goes_on and not entry.opens_trace:
            if not entry.stamped:
                records[opened:] = [number] * (len(records) - opened)
                goes_on = True
            opened = -1
        if not goes_on:
            if entry.opens_trace:
                opened = len(records)
            starts.append(len(records))
        records.append(records[-1] if goes_on else number)
    return Joined(records, Counter(map(records.__getitem__, starts)))
