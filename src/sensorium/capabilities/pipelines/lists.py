"""Functions on lists, maps and text."""

from collections import Counter
from itertools import chain
from typing import Any

from sensorium.capabilities.pipelines.conditions import compare
from sensorium.capabilities.pipelines.functions import (
    Convert,
    CountPerWindow,
    Filter,
    FirstOf,
    Flatten,
    Join,
    Length,
    Take,
)
from sensorium.core.conversion import fit
from sensorium.core.values import Value, read_spec

MAX_COUNTS = 1_000_000


def take(request: Take) -> list[Value]:
    """See `Take`."""
    return request.value[request.skip : request.skip + request.count]


def flatten(request: Flatten) -> list[Value]:
    """See `Flatten`."""
    return list(chain.from_iterable(request.value))


def join(request: Join) -> str:
    """See `Join`."""
    return request.separator.join(request.value)


def length(request: Length) -> int:
    """See `Length`."""
    return len(request.value)


def first_of(request: FirstOf) -> Value:
    """See `FirstOf`."""
    return next((each for each in request.value if each is not None), None)


def keep(request: Filter) -> list[dict[str, Any]]:
    """See `Filter`; a map without the field is compared as if it held null.

    Raises:
        InvalidInputError: the two have no order.
    """
    return [
        each
        for each in request.value
        if compare(each.get(request.field), request.comparison, request.to)
    ]


def count_per_window(request: CountPerWindow) -> list[dict[str, Any]]:
    """See `CountPerWindow`; series as maps, as in an operation's answer.

    Raises:
        ValueError: that would be more than `MAX_COUNTS` counts.
    """
    names, window = request.names, request.window
    full = len(request.value) // window * window
    if len(names) * full // window > MAX_COUNTS:
        raise ValueError(f"that makes more than {MAX_COUNTS} counts; take fewer names")
    counts = [Counter(request.value[at : at + window]) for at in range(0, full, window)]
    rows = [[float(count[number]) for count in counts] for number in range(len(names))]
    return [
        {"name": name, "values": row}
        for name, row in zip(names, rows, strict=True)
        if max(row, default=0.0) >= request.least
    ]


def converted(request: Convert) -> Value:
    """See `Convert`.

    Raises:
        InvalidInputError: see `core.conversion`.
    """
    return fit(request.value, read_spec(request.to), "$.value")
