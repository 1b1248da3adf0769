"""The metadata of a GGUF file: keys and values, one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.header import decoded, shown
from sensorium.models.headers.source import U32, U64, Source

MAX_KEYS = 10_000
MAX_KEY = 1024
MAX_BYTES = 1 << 28
"""Of all metadata: a vocabulary of a million tokens with its merges is a tenth of that."""
MAX_STRINGS = 4_000_000
"""In all arrays together."""
KEPT_NUMBERS = 4096
"""A longer array of numbers is a vocabulary's, not one for each layer."""
KEPT_TEXT = 4096
TEMPLATE = "tokenizer.chat_template"
TEMPLATE_BYTES = 1 << 20
"""Templates of models that take tools are longer than other texts."""
CHUNK = 1 << 20
STRING, ARRAY = 8, 9
SCALARS = {
    0: Struct("<B"),
    1: Struct("<b"),
    2: Struct("<H"),
    3: Struct("<h"),
    4: Struct("<I"),
    5: Struct("<i"),
    6: Struct("<f"),
    7: Struct("<?"),
    10: Struct("<Q"),
    11: Struct("<q"),
    12: Struct("<d"),
}


@dataclass(frozen=True, slots=True)
class Items:
    """An array of which only the length was kept."""

    count: int


Value = int | float | bool | str | list[int | float | bool] | Items


class Cursor:
    """Reads on through the part of a GGUF file that comes before its tensors."""

    def __init__(self, source: Source, at: int = 0) -> None:
        self.at = at
        self._source = source
        self._strings = 0

    def number(self, layout: Struct) -> int:
        """The next number of that layout."""
        value = self._source.number(layout, self.at)
        self.at += layout.size
        return value

    def text(self, most: int, what: str) -> str:
        """The next string.

        Raises:
            InvalidInputError: it is longer than `most` bytes, or no UTF-8.
        """
        length = self.number(U64)
        if length > most:
            raise InvalidInputError(f"{what} of {length} bytes is longer than {most}")
        data = self._source.read(self.at, length)
        self.at += length
        return decoded(data, what)

    def values(self, count: int) -> dict[str, Value]:
        """The next keys with their values.

        Raises:
            InvalidInputError: there are too many, one comes twice, or a value is none.
        """
        return {key: value for key, value, _ in self.pairs(count)}

    def pairs(self, count: int) -> Iterator[tuple[str, Value, int]]:
        """The next keys with their values, and where each begins; errors as for `values`."""
        if count > MAX_KEYS:
            raise InvalidInputError(f"{count} metadata keys are more than {MAX_KEYS}")
        found: set[str] = set()
        for _ in range(count):
            start = self.at
            key = self.text(MAX_KEY, "a metadata key")
            if key in found:
                raise InvalidInputError(f"the metadata key {shown(key)} comes twice")
            found.add(key)
            value = self._value(self.number(U32), key)
            if self.at > MAX_BYTES:
                raise InvalidInputError(f"its metadata are more than {MAX_BYTES} bytes")
            yield key, value, start

    def _value(self, kind: int, key: str) -> Value:
        if kind == STRING:
            length = self._source.number(U64, self.at)
            most = TEMPLATE_BYTES if key == TEMPLATE else KEPT_TEXT
            if length > most:
                self._skip(8 + length)
                return Items(length)
            return self.text(most, f"the value of {shown(key)}")
        if kind == ARRAY:
            return self._array(key)
        if kind not in SCALARS:
            raise InvalidInputError(f"{shown(key)} has a value of the unknown type {kind}")
        return self.number(SCALARS[kind])

    def _array(self, key: str) -> Value:
        kind, count = self.number(U32), self.number(U64)
        if kind == STRING:
            self._skip_strings(count, key)
            return Items(count)
        if kind not in SCALARS:
            held = "arrays" if kind == ARRAY else f"the unknown type {kind}"
            raise InvalidInputError(f"{shown(key)} is an array of {held}")
        layout = SCALARS[kind]
        start = self.at
        self._skip(count * layout.size)
        if count > KEPT_NUMBERS:
            return Items(count)
        data = self._source.read(start, count * layout.size)
        return [each[0] for each in layout.iter_unpack(data)]

    def _skip(self, count: int) -> None:
        self._source.check(self.at, count)
        self.at += count

    def _skip_strings(self, count: int, key: str) -> None:
        """Only each string tells where the next begins, so they are passed one by one."""
        self._strings += count
        if self._strings > MAX_STRINGS:
            raise InvalidInputError(f"{shown(key)} has more than {MAX_STRINGS} strings")
        while count:
            self._source.check(self.at, 8 * count)
            if self.at > MAX_BYTES:
                raise InvalidInputError(f"its metadata are more than {MAX_BYTES} bytes")
            data = self._source.read(self.at, min(CHUNK, self._source.size - self.at))
            passed, count = _past_strings(data, count)
            self._skip(passed)


def _past_strings(data: bytes, count: int) -> tuple[int, int]:
    """Where the last string ends whose length is in these bytes, and how many are left then."""
    length_at = U64.unpack_from
    at, last = 0, len(data) - U64.size
    for left in reversed(range(count)):
        at += U64.size + length_at(data, at)[0]
        if at > last:
            return at, left
    return at, 0
