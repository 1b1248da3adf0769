"""What a template may do before it is stopped."""

import time
from collections.abc import ItemsView, KeysView, Sequence, ValuesView
from typing import Any

from jinja2.runtime import LoopContext, Undefined
from jinja2.utils import Namespace

from sensorium.core.errors import InvalidInputError

MAX_STEPS = 1_000_000
"""Rounds of loops, calls, filters, operators."""
MAX_SIZE = 32 << 20
"""Characters and bytes of lists, of all that is made on the way."""
MAX_S = 2.0
"""Looked at in each step, so that a rendering takes this and a step. The longest step that the
other bounds leave takes about a second."""
MAX_DEPTH = 128
"""Of lists in lists: what hashes or copies them would go down as far, some of it in C unchecked."""
ITEM, BOX = 16, 64
"""What an item of a list counts, and what a list or a small text does."""
ESCAPED = 6
"""Characters that one may become in JSON or where a list is told, as `\\u0000`."""
SEVERAL = (list, tuple, dict, range, KeysView, ValuesView, ItemsView)
"""All that a template can go through time and again, texts aside."""
_LONG = "the model's chat template makes too long a text"


class TemplateLimitError(InvalidInputError):
    """The model's chat template does more than a template may."""


class Budget:
    """What one rendering may still do: all of it is spent before it is done.

    Raises, in all that it does:
        TemplateLimitError: it is used up.
    """

    def __init__(self, max_size: int = MAX_SIZE, max_s: float = MAX_S) -> None:
        self._steps = 0
        self._size = 0
        self._max_size = max_size
        self._until = time.monotonic() + max_s

    def step(self) -> None:
        """Count a step, and look at the clock."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateLimitError("the model's chat template does not come to an end")
        if time.monotonic() > self._until:
            raise TemplateLimitError("the model's chat template takes too long")

    def spend(self, size: int) -> None:
        """Count what is about to be made, and stays."""
        self.check(size)
        self._size += size

    def check(self, size: int) -> None:
        """Whether so much more could be made."""
        if not 0 <= size <= self._max_size - self._size:
            raise TemplateLimitError(_LONG)

    def weigh(self, value: Any) -> int:
        """What a value is with all in it: what it takes to compare, to hash or to tell it."""
        return measure(value, self._max_size)[0]

    def told(self, value: Any) -> str:
        """A value as text."""
        if isinstance(value, str):
            text = value
        else:
            self.step()
            self.check(ESCAPED * self.weigh(value))
            text = str(value)
        self.spend(len(text))
        return text

    def made(self, value: Any) -> Any:
        """Count what was made within bounds that were looked at, and return it."""
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, list | tuple | dict):
            self.spend(BOX + ITEM * len(value))
        elif isinstance(value, Namespace):
            self.spend(4 * BOX)
        return value


def measure(value: Any, most: int = MAX_SIZE) -> tuple[int, int]:
    """How much a value is, with all in it as often as it is in it; and how deep.

    Raises:
        TemplateLimitError: it is more than `most`, or too deep.
        TypeError: a loop is in it, which leads to what it goes through.
    """
    if isinstance(value, str):
        return len(value), 0
    total, level = 0, [value]
    for depth in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            if type(each) is str:
                total += len(each)
                continue
            for part in _parts(each):
                total += BOX + ITEM * len(part)
                if total > most:
                    raise TemplateLimitError(_LONG)
                below += part
            total += _alone(each)
        if total > most:
            raise TemplateLimitError(_LONG)
        if not below:
            return total, depth
        level = below
    raise TemplateLimitError("the model's chat template has lists in lists without an end")


def count(value: Any) -> int:
    """How many items there are in what a filter or a method goes through.

    Raises:
        TypeError: it cannot be gone through, or not a second time.
    """
    if isinstance(value, (str, *SEVERAL)):
        return len(value)
    if isinstance(value, Undefined):
        return 0
    raise TypeError(f"{type(value).__name__} is no list")


def _parts(value: Any) -> Sequence[Any]:
    """What it consists of, each of which can be gone through."""
    if isinstance(value, Namespace):
        value = object.__getattribute__(value, "_Namespace__attrs")
    if isinstance(value, dict):
        return value, value.values()
    return (value,) if isinstance(value, SEVERAL) else ()


def _alone(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, LoopContext):
        raise TypeError("a loop is no value")
    return ITEM + value.bit_length() // 3 if isinstance(value, int) else ITEM
