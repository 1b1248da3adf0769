"""What the conformance suite asks of a door: one class per door, and every check runs on it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sensorium.core.operation import Kind, Operation
from tests.conformance.samples import BadRequest

FULL = "full-key-of-the-tests"
"""A key that may call everything."""


@dataclass
class Outcome:
    """How a call went, whatever the door."""

    items: list[bytes] = field(default_factory=list)
    """The answer, or the items of a stream, as JSON."""
    ended: bool = False
    """The door said that this was all."""
    code: str | None = None
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Call:
    """A call to make. `incoming` is what a listening operation is sent."""

    name: str
    body: bytes = b"{}"
    incoming: AsyncIterable[bytes] | None = None
    key: str | None = FULL
    deadline_s: float | None = None
    on_item: Callable[[], object] | None = None


class Driver(ABC):
    """A door, open."""

    name: ClassVar[str]
    keyless: ClassVar[bool] = False
    """Whether whoever reaches it may call everything, with a key or without."""
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)
    """What it carries at all: `docs/structure.md` has the table."""
    has_deadlines: ClassVar[bool] = True
    """Whether a caller can say how long a call may take."""
    lets_strangers_in: ClassVar[bool] = True
    """Whether what is public can be had without a key."""
    kills: bool = True
    """Whether what never looks whether it is wanted is stopped too."""

    @abstractmethod
    async def call(self, call: Call) -> Outcome:
        """Make a call; cancelling the task that awaits must cancel it the way the door does."""

    @abstractmethod
    async def load(self) -> float:
        """How many calls the server behind it still runs, and slots it still holds."""

    @property
    @abstractmethod
    def process_id(self) -> int:
        """The process of that server."""

    def carries(self, operation: Operation, bad: BadRequest) -> bool:
        """Whether the door can carry such bad input at all."""
        del operation, bad
        return True

    def carries_item(self, operation: Operation, bad: BadRequest) -> bool:
        """Whether it can carry such a bad item to a listening operation."""
        del operation
        return bad.kind != "unreadable"  # where a line or a message ends cannot be told then

    def carries_json(self, operation: Operation) -> bool:
        """Whether a request travels as JSON, so that its errors have the same words."""
        del operation
        return True
