"""Long work in short steps, so that a call that is no longer wanted ends soon."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

Check = Callable[[], None]
"""Called between steps; raises where the answer is no longer wanted."""

Item = TypeVar("Item")

STEP = 2_000


def paced(items: Iterable[Item], check: Check, step: int = STEP) -> Iterator[Item]:
    """The items, with a look at `check` before every `step` of them."""
    remaining = iter(items)
    while block := list(islice(remaining, step)):
        check()
        yield from block


def release(check: Check, *collections: dict[Any, Any] | list[Any]) -> None:
    """Empty what nobody needs any more: to let go of a million texts at once takes long."""
    for collection in collections:
        take = collection.popitem if isinstance(collection, dict) else collection.pop
        for _ in paced(range(len(collection)), check, 20 * STEP):
            take()
