"""What a run has so far: its inputs, and what its stages gave.

What an operation answers stays as it came until somebody looks into it, and is passed on whole
without being read, because reading holds up the server: a text of a megabyte is cheap, a hundred
thousand numbers are not.
"""

from typing import Any

import msgspec

from sensorium.capabilities.pipelines.library import Pipelines
from sensorium.capabilities.pipelines.references import (
    INPUT,
    Reference,
    Step,
    follow,
    references_in,
)
from sensorium.core.errors import OverloadedError, PayloadTooLargeError
from sensorium.core.values import Value, from_json, size_of, to_json

MAX_PARTS = 100_000
"""So many separate values are read; passing on has no such bound."""
MAX_READ_BYTES = 16 << 20
LIGHT_BYTES = 64 << 10
"""What is larger is read on a thread."""
UNREAD: Any = object()
MAX_HELD_BYTES = 256 << 20
"""Of the inputs and all that the stages gave, together."""
MAX_ALL_BYTES = 1 << 30
"""Of all runs."""


class Held:
    """A value, JSON that nobody has read yet, or both; `tagged`: as `core.values` writes it."""

    __slots__ = ("_raw", "_tagged", "_value", "size")

    def __init__(
        self, value: Value = UNREAD, *, raw: bytes | None = None, tagged: bool = False
    ) -> None:
        self._value = value
        self._raw = raw
        self._tagged = tagged
        self.size = size_of(value) if raw is None else len(raw)

    @property
    def readable(self) -> bool:
        """Whether it may be looked into."""
        raw = self._raw
        return raw is None or (len(raw) <= MAX_READ_BYTES and raw.count(b",") < MAX_PARTS)

    def value(self, shown: str) -> Value:
        """The value.

        Raises:
            PayloadTooLargeError: it is too much to be looked into; `shown` says what it is.
            InvalidInputError: it is no value.
        """
        if self._value is UNREAD:
            assert self._raw is not None
            if not self.readable:
                raise PayloadTooLargeError(
                    f"{shown} holds more than {MAX_PARTS} values or {MAX_READ_BYTES} bytes: it can "
                    "be passed on whole, and not be looked into"
                )
            self._value = (from_json if self._tagged else msgspec.json.decode)(self._raw)
        return self._value

    def is_light(self, *, whole: bool) -> bool:
        """Whether it is dealt with in no time; `whole`: passed on without being looked into."""
        return self.size <= LIGHT_BYTES or (whole and self._raw is not None)

    def whole(self) -> Any:
        """What stands for it in JSON that is for an operation."""
        return self._value if self._raw is None else msgspec.Raw(self._raw)

    def shown(self) -> msgspec.Raw:
        """What stands for it in an answer: tagged JSON."""
        # Only in a map whose first member begins with a dollar sign is anything to be escaped; an
        # operation's answer has no blanks, and in a text the quotation mark would be escaped.
        if self._raw is not None and (self._tagged or b'{"$' not in self._raw):
            return msgspec.Raw(self._raw)
        return msgspec.Raw(to_json(self.value("an output")))


class Flow:
    """Inputs and results by name; what they take is counted until the flow is left."""

    def __init__(self, inputs: dict[str, Held], pipelines: Pipelines) -> None:
        self._inputs = inputs
        self._given: dict[str, Held] = {}
        self._bytes = 0
        self._pipelines = pipelines
        self.skipped: set[str] = set()

    def __enter__(self) -> "Flow":
        self._hold(sum(each.size for each in self._inputs.values()))
        return self

    def __exit__(self, *_: object) -> None:
        self._pipelines.held_bytes -= self._bytes
        self._bytes = 0

    def keep(self, name: str, held: Held) -> None:
        """Take up what a stage gave.

        Raises:
            PayloadTooLargeError: it is more than a run may hold.
            OverloadedError: with what the other runs hold it is more than there may be.
        """
        self._hold(held.size)
        self._given[name] = held

    def _hold(self, size: int) -> None:
        if self._bytes + size > MAX_HELD_BYTES:
            raise PayloadTooLargeError(
                f"a pipeline may hold {MAX_HELD_BYTES} bytes, its inputs among them",
                details={"limit": MAX_HELD_BYTES},
            )
        if self._pipelines.held_bytes + size > MAX_ALL_BYTES:
            raise OverloadedError("pipelines hold as much as they may", retry_after_s=1.0)
        self._bytes += size
        self._pipelines.held_bytes += size

    def skip(self, name: str) -> None:
        """A stage gave nothing, for which null stands."""
        self.skipped.add(name)
        self._given[name] = Held(None)

    def is_light(self, tree: Any, *, whole: bool = False) -> bool:
        """Whether a parsed tree is made in no time; `whole`: as JSON, not as a value."""
        for reference in references_in(tree):
            held, steps = self._start(reference)
            if not held.is_light(whole=whole and not steps):
                return False
        return True

    def look(self, reference: Reference) -> Value:
        """What a reference leads to.

        Raises:
            InvalidInputError: it leads to nothing.
            PayloadTooLargeError: it leads into what may not be looked into.
        """
        if reference.root in self.skipped:
            return None
        held, steps = self._start(reference)
        return follow(held.value(reference.text), steps, reference.text)

    def looked(self, tree: Any) -> Value:
        """A parsed request as a value; errors as for `look`."""
        match tree:
            case Reference():
                return self.look(tree)
            case list():
                return [self.looked(item) for item in tree]
            case dict():
                return {key: self.looked(member) for key, member in tree.items()}
        return tree

    def body(self, tree: Any) -> bytes:
        """A parsed request as JSON for an operation; errors as for `look`."""
        return msgspec.json.encode(self._composed(tree))

    def shown(self, tree: Any) -> msgspec.Raw:
        """A parsed output as tagged JSON; errors as for `look`."""
        if isinstance(tree, Reference):
            held, steps = self._start(tree)
            if not steps:
                return held.shown()
        return Held(self.looked(tree)).shown()

    def _composed(self, tree: Any) -> Any:
        """What is encoded: unread JSON goes in as it is."""
        match tree:
            case Reference():
                held, steps = self._start(tree)
                return self.look(tree) if steps else held.whole()
            case list():
                return [self._composed(item) for item in tree]
            case dict():
                return {key: self._composed(member) for key, member in tree.items()}
        return tree

    def _start(self, reference: Reference) -> tuple[Held, tuple[Step, ...]]:
        """Where a reference begins, and its steps from there."""
        if reference.root == INPUT:
            return self._inputs[str(reference.steps[0])], reference.steps[1:]
        return self._given[reference.root], reference.steps
