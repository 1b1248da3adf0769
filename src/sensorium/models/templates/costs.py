"""What filters, methods and operators may make, reckoned before they do it."""

import re
from collections.abc import Callable, Sequence
from string import Formatter
from typing import Any

from sensorium.models.templates.budget import (
    BOX,
    ESCAPED,
    ITEM,
    Budget,
    TemplateLimitError,
    count,
    measure,
)

MAX_BITS = 4096
"""Of a whole number that is computed with."""
MAX_DIGITS = 4300
"""Of a text that becomes a number: what Python itself takes of a decimal one."""
MAX_NAMES = 256
"""Characters of `attribute`, such as `function.name`."""
MAX_FORM = 1 << 16
MAX_COMPARED = 1 << 28
"""Pairs of characters where a method compares each of one text with each of another."""
FIELD = 400
"""What a number may become in a format: a float has 310 digits."""
SLOW = {"strip", "lstrip", "rstrip", "rfind", "rindex", "rsplit", "rpartition"}
WIDTHS = {"center", "ljust", "rjust", "zfill"}
_DIGITS = re.compile(r"\d+")
_SPACES = [chr(each) for each in (*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680)]
_SPACES += [chr(each) for each in (*range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)]


def spend_method(budget: Budget, of: Any, name: str, given: Sequence[Any]) -> None:
    """Before a method of a text, a list or an object is called with these."""
    arguments = sum(map(budget.weigh, given))
    if not isinstance(of, str):
        if name in ("count", "index"):
            budget.weigh(of)
        budget.check(ESCAPED * arguments)  # an error tells what is not there
        return
    size = len(of) + arguments
    if name == "join" and given:
        size += (len(of) + BOX) * count(given[0])
    elif name == "replace" and len(given) > 1:
        size += _replaced(of, given[0], given[1])
    elif name in WIDTHS:
        size += _numbers(given)
    elif name in ("split", "rsplit", "splitlines"):
        size += BOX * max(
            [of.count(each) for each in given if each and isinstance(each, str)],
            default=_spaces(of),
        )
    if name in SLOW:
        _check_pairs(of, given)
    budget.check(3 * len(of))  # as `upper` makes of some
    budget.check(size)


def spend_form(budget: Budget, form: str, given: Sequence[Any], mark: str) -> None:
    """Before a format is filled, its fields being begun by `mark`."""
    if len(form) > MAX_FORM:
        raise TemplateLimitError("the model's chat template has a format that is too long")
    size = FIELD
    for each in given:  # `%a` spells a text by up to ten small characters for a large one
        size += 3 * len(each) if isinstance(each, str) else ESCAPED * budget.weigh(each)
    widths = sum(int(run[:10]) for run in _DIGITS.findall(form))
    if "*" in form:
        widths += _numbers(given)
    if mark == "{" and any("{" in (part[2] or "") for part in Formatter().parse(form)):
        raise TemplateLimitError("the model's chat template has a format in a format")
    budget.check(form.count(mark) * size + widths + len(form))


def spend_operator(budget: Budget, operator: str, left: Any, right: Any) -> None:
    """Before an operator is applied."""
    if isinstance(left, int) and isinstance(right, int):
        check_numbers(left, right)
        if operator == "**" and left.bit_length() * right > MAX_BITS:
            raise TemplateLimitError("the model's chat template computes with too great a number")
    elif isinstance(left, str) and operator == "%":
        spend_form(budget, left, right if isinstance(right, tuple) else (right,), "%")
    elif operator == "+" and isinstance(left, str) and isinstance(right, str):
        budget.check(len(left) + len(right))
    elif operator == "*":
        for several, times in ((left, right), (right, left)):
            if isinstance(several, str | list | tuple) and isinstance(times, int):
                each = 1 if isinstance(several, str) else ITEM
                budget.check(BOX + each * len(several) * max(times, 0))


def check_numbers(*numbers: Any) -> None:
    """Whether these are numbers, and none too great.

    Raises:
        TypeError: one is none.
        TemplateLimitError: one is too great to compute with.
    """
    for each in numbers:
        if not isinstance(each, int | float):
            raise TypeError(f"{type(each).__name__} is no number")
        if isinstance(each, int) and each.bit_length() > MAX_BITS:
            raise TemplateLimitError("the model's chat template computes with too great a number")


def _nothing(_: Budget, value: Any, *__: Any, **___: Any) -> Any:
    return value


def _text(budget: Budget, value: Any, *given: Any, **named: Any) -> str:
    text = budget.told(value)
    for each in (*given, *named.values()):
        budget.weigh(each)
    budget.check(3 * len(text))
    return text


def _trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    text = budget.told(value)
    _check_pairs(text, [chars])
    return text


def _words(budget: Budget, value: Any) -> str:
    text = budget.told(value)
    budget.check(BOX * len(text))
    return text


def _escape(budget: Budget, value: Any) -> str:
    text = budget.told(value)
    budget.check(ESCAPED * len(text))
    return text


def _center(budget: Budget, value: Any, width: int = 80) -> str:
    budget.check(_numbers([width]))
    return budget.told(value)


def _indent(
    budget: Budget, value: Any, width: Any = 4, first: bool = False, blank: bool = False
) -> str:
    text = budget.told(value)
    wide = _numbers([width]) if isinstance(width, int) else len(budget.told(width))
    budget.check((_spaces(text) + 1) * (BOX + wide))
    return text


def _replace(budget: Budget, s: Any, old: Any, new: Any, count: int | None = None) -> str:
    text = budget.told(s)
    budget.check(_replaced(text, budget.told(old), budget.told(new)))
    return text


def _format(budget: Budget, value: Any, *given: Any, **named: Any) -> str:
    form = budget.told(value)
    spend_form(budget, form, (*given, *named.values()), "%")
    return form


def _join(budget: Budget, value: Any, d: Any = "", attribute: Any = None) -> Any:
    between = len(budget.told(d)) + (BOX if isinstance(value, str) else 0)
    size = count(value) * between
    budget.check(size)
    for each in value:
        size += _told(budget, each)
        budget.check(size)
    _check_names([attribute])
    return value


def _to_json(
    budget: Budget, value: Any, indent: Any = None, separators: Any = None, **_: Any
) -> Any:
    weight, depth = measure(value)
    wide = sum(_told(budget, each) for each in (separators or ()))
    if indent is not None:
        wide += (depth + 1) * (_numbers([indent]) if isinstance(indent, int) else len(indent))
    budget.check(ESCAPED * weight + weight // ITEM * wide)
    return value


def _list(budget: Budget, value: Any, *given: Any, **named: Any) -> Any:
    budget.check(count(value) * (BOX if isinstance(value, str) else ITEM))
    _check_names(given[:1] if "attribute" not in named else [named["attribute"]])
    return value


def _batch(budget: Budget, value: Any, linecount: int, fill_with: Any = None) -> Any:
    budget.check(ITEM * _numbers([linecount]))
    return _list(budget, value)


def _compared(budget: Budget, value: Any, *given: Any, **named: Any) -> Any:
    more = [*given, *named.values()]
    _check_names(more)
    budget.spend(budget.weigh(value) + count(value) * sum(map(budget.weigh, more)))
    return _list(budget, value)


def _sum(budget: Budget, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
    _check_names([attribute])
    each = budget.weigh(iterable) + budget.weigh(start)
    if not all(isinstance(item, int | float) for item in iterable):
        budget.check(each * (1 + count(iterable)))
    return iterable


def _number(budget: Budget, value: Any, default: Any = 0, base: int = 10) -> Any:
    if isinstance(value, str) and len(value) > MAX_DIGITS:
        raise TemplateLimitError("the model's chat template computes with too great a number")
    return value


def _round(budget: Budget, value: Any, precision: int = 0, method: str = "common") -> Any:
    check_numbers(value, precision)
    if abs(precision) > 100:
        raise TemplateLimitError("the model's chat template computes with too great a number")
    return value


def _attr(budget: Budget, obj: Any, name: Any) -> Any:
    if not isinstance(name, str):
        raise TypeError("an attribute's name is a text")
    return obj


def _abs(budget: Budget, value: Any) -> Any:
    check_numbers(value)
    return value


FILTERS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("default", "d", "first", "last", "length", "count"), _nothing),
    **dict.fromkeys(("string", "safe", "upper", "lower", "capitalize", "truncate"), _text),
    **dict.fromkeys(("title", "wordcount"), _words),
    **dict.fromkeys(("escape", "e"), _escape),
    **dict.fromkeys(("list", "reverse", "slice", "items", "random", "map"), _list),
    **dict.fromkeys(("select", "reject", "selectattr", "rejectattr"), _list),
    **dict.fromkeys(("sort", "dictsort", "groupby", "unique", "min", "max"), _compared),
    **dict.fromkeys(("int", "float"), _number),
    "abs": _abs,
    "attr": _attr,
    "batch": _batch,
    "center": _center,
    "format": _format,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
    "tojson": _to_json,
    "trim": _trim,
}
"""Those that a template may use; each gives the value that the filter itself is to be given."""


def _told(budget: Budget, value: Any) -> int:
    """How long a value's text may be."""
    return len(value) if isinstance(value, str) else ESCAPED * budget.weigh(value)


def _replaced(text: str, old: Any, new: Any) -> int:
    return text.count(old) * len(new)


def _numbers(given: Sequence[Any]) -> int:
    return sum(abs(each) for each in given if isinstance(each, int))


def _spaces(text: str) -> int:
    """As many pieces as there are at most between spaces, or ends of lines."""
    return 1 + sum(map(text.count, _SPACES))


def _check_names(given: Sequence[Any]) -> None:
    if any(isinstance(each, str) and len(each) > MAX_NAMES for each in given):
        raise TemplateLimitError("the model's chat template names what has too long a name")


def _check_pairs(text: str, given: Sequence[Any]) -> None:
    if any(isinstance(each, str) and len(each) * len(text) > MAX_COMPARED for each in given):
        raise TemplateLimitError("the model's chat template takes too long")
