"""Metrics files as series: CSV with or without a header, and JSON."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from sensorium.cli.logfiles import read_bytes, shown
from sensorium.cli.moments import read_time
from sensorium.cli.numbers import MISSING, read_number
from sensorium.core.errors import InvalidInputError
from sensorium.core.types import Series

T = TypeVar("T")
DELIMITERS = ",;\t|"
_TIME_NAME = re.compile(r"(time|date|timestamp|ts|datetime|epoch|when|@timestamp)\b", re.I)
EARLIEST_EPOCH = 1e8
"""Smaller numbers in a first column are values, not times (1973 in seconds)."""


@dataclass(frozen=True)
class Wanted:
    """Which columns to read, and how far apart values are where there are no times."""

    time_column: str = ""
    columns: tuple[str, ...] = ()
    interval_s: float | None = None


def read_series(path: str, wanted: Wanted) -> list[Series]:
    """The series in a CSV or JSON file; `-` is standard input.

    Raises:
        InvalidInputError: it cannot be read as either; says where and what to do.
        OSError: the file cannot be read.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{shown(path)} is not text in UTF-8") from None
    if not text.strip():
        raise InvalidInputError(f"{shown(path)} is empty")
    if text.lstrip()[0] in "{[":
        return from_json(text, shown(path), wanted)
    return from_csv(text, shown(path), wanted)


def from_csv(text: str, source: str, wanted: Wanted) -> list[Series]:
    """One series per column of numbers; errors as for `read_series`."""
    first = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    table = _Table(source, rows)
    at = _time_column(table, wanted.time_column)
    timestamps = None if at is None else table.times(at)
    found = [
        Series(
            name=table.names[number][:256],
            timestamps=timestamps,
            interval_s=wanted.interval_s if timestamps is None else None,
            values=table.values(number),
        )
        for number in _value_columns(table, at, wanted.columns)
    ]
    if not found:
        raise InvalidInputError(f"{source} has no column of numbers")
    return found


class _Table:
    """Rows of text under names."""

    def __init__(self, source: str, rows: list[tuple[int, list[str]]]) -> None:
        self.source = source
        _, first = rows[0]
        headed = not all(_is_value(cell) for cell in first)
        self.names = [
            (name if headed else "") or f"column {number}" for number, name in enumerate(first, 1)
        ]
        body = rows[1:] if headed else rows
        self.rows = [row for _, row in body]
        self._lines = [line for line, _ in body]
        if not self.rows:
            raise InvalidInputError(f"{source} has a heading and no rows")
        for line, row in body:
            if len(row) != len(first):
                raise InvalidInputError(
                    f"{source}, line {line}: {len(row)} columns, where the first line has "
                    f"{len(first)}"
                )

    def number(self, name: str) -> int:
        """A column by its name, or by its number from 1."""
        if name in self.names:
            return self.names.index(name)
        if name.isdecimal() and 1 <= int(name) <= len(self.names):
            return int(name) - 1
        raise InvalidInputError(
            f"{self.source} has no column {name!r}; there is: {', '.join(self.names)}"
        )

    def column(self, at: int) -> list[str]:
        return [row[at] for row in self.rows]

    def times(self, at: int) -> list[float]:
        return self._read(read_time, at)

    def values(self, at: int) -> list[float | None]:
        return self._read(read_number, at)

    def _read(self, reader: Callable[[str], T], at: int) -> list[T]:
        found: list[T] = []
        for text in self.column(at):
            try:
                found.append(reader(text))
            except ValueError as error:
                line = self._lines[len(found)]
                raise InvalidInputError(
                    f"{self.source}, line {line}, column {self.names[at]!r}: {error}"
                ) from None
        return found


def _time_column(table: _Table, named: str) -> int | None:
    """The column of times: the one named, one with such a name, or a first one of times."""
    if named:
        return table.number(named)
    for number, name in enumerate(table.names):
        if _TIME_NAME.match(name):
            return number
    first = table.rows[0][0]
    if len(table.names) == 1 or not _is_time(first):
        return None
    return 0


def _value_columns(table: _Table, at: int | None, named: Sequence[str]) -> list[int]:
    if named:
        return [table.number(name) for name in named]
    return [
        number
        for number in range(len(table.names))
        if number != at and any(_is_number(text) for text in table.column(number))
    ]


def _is_number(text: str) -> bool:
    try:
        return read_number(text) is not None
    except ValueError:
        return False


def _is_value(text: str) -> bool:
    return text.lower() in MISSING or _is_number(text) or _is_time(text)


def _is_time(text: str) -> bool:
    try:
        return read_time(text) >= EARLIEST_EPOCH
    except ValueError:
        return False


def from_json(text: str, source: str, wanted: Wanted) -> list[Series]:
    """Series from JSON: a Series, a list of them, numbers, pairs, or a request with `series`.

    Errors as for `read_series`.
    """
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidInputError(f"{source} begins like JSON, but: {error}") from None
    if isinstance(value, dict) and "series" in value:
        value = value["series"]
    items = value if isinstance(value, list) else [value]
    if items and all(not isinstance(item, dict) for item in items):
        items = [_bare(items, source, wanted)]
    try:
        found = msgspec.convert(items, list[Series])
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            f"{source}: {error}; a series is "
            '{"name": "cpu", "timestamps": [seconds, …], "values": [number or null, …]}'
        ) from None
    return _chosen(found, source, wanted.columns)


def _bare(items: list[Any], source: str, wanted: Wanted) -> dict[str, Any]:
    """A list of numbers, or of pairs of a time and a number, as a series."""
    if not all(isinstance(item, list) and len(item) == 2 for item in items):
        return {"values": items, "interval_s": wanted.interval_s}
    try:
        times = [read_time(str(time)) for time, _ in items]
    except ValueError as error:
        raise InvalidInputError(f"{source}: {error}") from None
    return {"timestamps": times, "values": [value for _, value in items]}


def _chosen(found: list[Series], source: str, names: Sequence[str]) -> list[Series]:
    if not names:
        return found
    there = Counter(series.name for series in found)
    for name in names:
        if name not in there:
            raise InvalidInputError(
                f"{source} has no series {name!r}; there is: {', '.join(there) or 'none'}"
            )
    return [series for series in found if series.name in names]
