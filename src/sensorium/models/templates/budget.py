"""What a template may do before it is stopped."""

import re
import time
from collections.abc import Sequence, Sized
from typing import Any

from sensorium.core.errors import InvalidInputError

MAX_STEPS = 1_000_000
"""Rounds of loops, and calls."""
MAX_SIZE = 32 << 20
"""Characters and items, of all that is made on the way."""
ITEM = 16
"""What an item of a list counts as."""
MAX_S = 2.0
MAX_NUMBER = 1 << 20
"""Of a width, a count or an exponent that is given to something that makes a text."""
LOOK_STEPS = 256
"""The clock is looked at every so many steps."""
WIDE = re.compile(r"\d{6,}")
"""A width in a format, such as `%999999999d`."""


class TemplateLimitError(InvalidInputError):
    """The model's chat template does more than a template may."""


class Budget:
    """What one rendering may still do."""

    def __init__(self) -> None:
        self._steps = 0
        self._size = 0
        self._until = time.monotonic() + MAX_S

    def step(self, count: int = 1) -> None:
        """Count steps.

        Raises:
            TemplateLimitError: there were too many, or they took too long.
        """
        before = self._steps // LOOK_STEPS
        self._steps += count
        if self._steps > MAX_STEPS:
            raise TemplateLimitError("the model's chat template does not come to an end")
        if self._steps // LOOK_STEPS > before and time.monotonic() > self._until:
            raise TemplateLimitError("the model's chat template takes too long")

    def made(self, value: Any) -> Any:
        """Count what was made, and return it.

        Raises:
            TemplateLimitError: all of it is too much.
        """
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, list | tuple | dict):
            self.spend(len(value) * ITEM)
        return value

    def check(self, size: int) -> None:
        """Whether so much more could be made; errors as for `made`."""
        if self._size + size >= MAX_SIZE:
            raise TemplateLimitError("the model's chat template makes too long a text")

    def spend(self, size: int) -> None:
        """Count characters or items; errors as for `made`."""
        self._size += size
        if self._size > MAX_SIZE:
            raise TemplateLimitError("the model's chat template makes too long a text")


def growth(name: str, given: Sequence[Any]) -> int:
    """How long a text may become at most by a method or filter of that name.

    `given` is what it is called with, the text itself among them.
    """
    texts = [each for each in given if isinstance(each, str)]
    sizes = [len(each) for each in given if isinstance(each, Sized)]
    numbers = [abs(each) for each in given if isinstance(each, int)]
    match name:
        case "format" if texts:
            fields = texts[0].count("{") + texts[0].count("%")
            wide = any(WIDE.search(text) for text in texts)
            return MAX_SIZE if wide else fields * sum(len(repr(each)) for each in given)
        case "replace" if len(texts) > 2:
            return texts[0].count(texts[1]) * len(texts[2])
        case "join" | "wordwrap" if len(sizes) > 1:
            return sizes[0] * sizes[1]
        case "indent" if texts:
            return (texts[0].count("\n") + 1) * max([*numbers, *map(len, texts[1:])], default=4)
    return max(numbers, default=0)


def check_arguments(arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Whether a filter or a method may be called with these.

    Raises:
        TemplateLimitError: a number is one that makes a text immense, or may be.
    """
    for each in (*arguments, *named.values()):
        if isinstance(each, int) and abs(each) > MAX_NUMBER:
            raise TemplateLimitError("the model's chat template calls with too great a number")


def check_operands(operator: str, left: Any, right: Any) -> None:
    """Whether an operator may be applied.

    Raises:
        TemplateLimitError: what comes of it is too large.
    """
    sizes = [len(each) if isinstance(each, Sized) else None for each in (left, right)]
    large = False
    match operator:
        case "*":
            of = max(size or 0 for size in sizes)
            times = [abs(each) for each in (left, right) if isinstance(each, int)]
            large = of * max(times, default=0) > MAX_SIZE // ITEM or min(times, default=0) > 2**64
        case "+":
            large = sum(size or 0 for size in sizes) > MAX_SIZE
        case "%":
            large = isinstance(left, str) and WIDE.search(left) is not None
        case "**":
            large = not (isinstance(right, int | float) and abs(right) <= 64)
            large = large or (isinstance(left, int) and abs(left) > 2**64)
    if large:
        raise TemplateLimitError("the model's chat template computes with too great a number")
