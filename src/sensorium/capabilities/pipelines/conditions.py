"""`when`: one comparison, of which there are few.

$scan.line_count > 100          ==  !=  <  <=  >  >=, with a literal of JSON or a reference
"error" in $scan.labels         an item of a list, a part of a text, a member of a map
$input.deep                     neither null, false, 0 nor empty
not $input.deep                 the opposite
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from sensorium.capabilities.pipelines.references import Reference, scan_reference
from sensorium.core.errors import InvalidInputError

ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
COMPARISONS = ("==", "!=", *ORDERED, "in")
_OPERATOR = re.compile(r"\s*(==|!=|<=|>=|<|>|in\b)\s*")


@dataclass(frozen=True)
class Condition:
    """A parsed comparison; `comparison` is empty for a value by itself."""

    text: str
    left: Any
    comparison: str = ""
    right: Any = None
    negated: bool = False

    @property
    def references(self) -> Iterator[Reference]:
        """What it looks at."""
        return (side for side in (self.left, self.right) if isinstance(side, Reference))

    def holds(self, resolve: Callable[[Reference], Any]) -> bool:
        """Whether it does.

        Raises:
            InvalidInputError: what it looks at is not there, or cannot be compared so.
        """
        left, right = (
            resolve(side) if isinstance(side, Reference) else side
            for side in (self.left, self.right)
        )
        if not self.comparison:
            return bool(left) is not self.negated
        try:
            return compare(left, self.comparison, right)
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.text}: {error.message}") from None


def compare(left: Any, comparison: str, right: Any) -> bool:
    """Whether a comparison holds; what is of another kind is never equal, null has no order.

    Raises:
        InvalidInputError: they have no order, or the right side holds nothing.
    """
    if comparison in ("==", "!="):
        same = (isinstance(left, bool) is isinstance(right, bool)) and bool(left == right)
        return same is (comparison == "==")
    if comparison == "in":
        if isinstance(right, list) or (isinstance(right, str | dict) and isinstance(left, str)):
            return left in right
        raise InvalidInputError("in looks into a list, a map or, for a text, a text")
    if left is None or right is None:
        return False
    for kinds in ((int, float), (str,)):
        if type(left) in kinds and type(right) in kinds:
            return ORDERED[comparison](left, right)
    raise InvalidInputError(f"{comparison} compares numbers, or texts")


def parse_condition(text: str) -> Condition:
    """The condition that a text is.

    Raises:
        ValueError: it is none.
    """
    negated = text.startswith("not ")
    left, rest = _operand(text.removeprefix("not ").strip())
    if not rest.strip():
        if not isinstance(left, Reference):
            raise ValueError("a condition looks at something: $STAGE… or $input…")
        return Condition(text, left, negated=negated)
    found = _OPERATOR.match(rest)
    if found is None:
        raise ValueError(f"{rest.strip()[:40]!r} is none of {', '.join(COMPARISONS)}")
    if negated:
        raise ValueError("not stands before a single reference; turn the comparison round instead")
    right, rest = _operand(rest[found.end() :].strip())
    if rest.strip():
        raise ValueError(f"one comparison at a time; {rest.strip()[:40]!r} goes into the next")
    condition = Condition(text, left, found[1], right)
    if not list(condition.references):
        raise ValueError("a condition looks at something: $STAGE… or $input…")
    return condition


def _operand(text: str) -> tuple[Any, str]:
    """The reference or literal with which a text begins, and the rest."""
    if text.startswith("$"):
        return scan_reference(text)
    found = re.match(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^\s=!<>]+', text)
    try:
        return msgspec.json.decode(found[0] if found else ""), text[found.end() if found else 0 :]
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError(
            f"{text[:40]!r} is neither a reference nor JSON; text stands in double quotes"
        ) from None
