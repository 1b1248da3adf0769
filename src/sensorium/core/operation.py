"""What an operation is: a function from a Struct to a Struct, and how it wants to be run."""

import inspect
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, Protocol, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from sensorium.core.asking import Question
from sensorium.core.errors import CancelledCallError, DeadlineExceededError
from sensorium.core.generation import Generation, Piece
from sensorium.core.tensors import Tensor

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")
NAME = re.compile(r"[a-z][a-z0-9]*\.[a-z][a-z0-9_]*")


class Execution(Enum):
    """Where an operation runs."""

    INLINE = "inline"
    """On the event loop: microseconds."""
    ASYNC = "async"
    """On the event loop, awaiting others; holds no slot."""
    THREAD = "thread"
    """On a thread, because it releases the GIL."""
    PROCESS = "process"
    """In a worker process, because it holds the GIL."""


class Kind(Enum):
    """What flows in and out of an operation."""

    UNARY = "unary"
    SERVER_STREAM = "server_stream"
    DUPLEX = "duplex"


class WorkContext(Protocol):
    """What computing code sees of the call that it serves."""

    @property
    def deadline(self) -> float | None:
        """When the call is late, on the clock of `time.monotonic`, in seconds."""

    def check(self) -> None:
        """Return at once while the call is wanted; call it at least every 20 ms.

        Raises:
            CancelledCallError: nobody waits for the answer any more.
            DeadlineExceededError: the answer would be too late.
        """

    def progress(self, done: int, total: int | None = None, unit: str = "") -> None:
        """Tell the caller how far the work is."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """What a model gave, and which it was."""

    model: str
    version: str
    digest: str
    """What its files hash to."""
    outputs: list[Tensor]


class Context(Protocol):
    """What an `ASYNC` operation sees of the server around it."""

    @property
    def deadline(self) -> float | None:
        """When the call is late, on the clock of `time.monotonic`, in seconds."""

    async def call(self, name: str, request: Struct, *, returns: type[R]) -> R:
        """Call another operation under this call's deadline, priority and principal.

        `returns` is the caller's own Struct of just the fields that it reads.
        """

    async def relay(self, name: str, body: bytes) -> bytes:
        """Call an operation that this call's caller named, with a request and an answer as JSON.

        It is as if they had called it themselves: their key must cover it, it counts for their
        rate and takes its turn. What an operation calls for reasons of its own goes by `call`.

        Raises:
            ForbiddenError: they may not call it.
            SensoriumError: whatever else the door would have told them.
        """

    def authorise(self, name: str) -> None:
        """Let this call's caller have what is not an operation, or raise as `relay` does."""

    async def infer(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[str] = (),
        version: str = "",
    ) -> Inferred:
        """The outputs of a model, loaded first if need be; all of them where none is named.

        Raises:
            NotFoundError: there is no such model.
            InvalidInputError: it takes other tensors than those.
            SensoriumError: it cannot be loaded, or cannot run now.
        """

    def generate(
        self, model: str, task: Generation, *, version: str = ""
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of a text as they come, the last with its `finish`; closing it ends the text.

        Raises:
            NotSupportedError: the model makes no text.
            SensoriumError: as for `infer`.
        """

    async def ask(
        self, model: str, question: Question, returns: type[R], *, version: str = ""
    ) -> R:
        """What a language model answers to something beside texts: a `core.asking.Reply`.

        Raises:
            NotSupportedError: the model has no answer to that.
            SensoriumError: as for `infer`.
        """

    def get(self, part: type[R]) -> R:
        """The server's one instance of a part, by its type; for `Caller`, whose call this is."""


class Work:
    """The `WorkContext` of a real call: a flag that another thread sets, and a deadline."""

    __slots__ = ("_cpu_s", "_report", "_started", "cancelled", "deadline")

    def __init__(
        self,
        deadline: float | None = None,
        report: Callable[[int, int | None, str], None] | None = None,
        cpu_s: float | None = None,
    ) -> None:
        self._cpu_s = cpu_s
        """What the thread may compute from now on, in seconds of the processor."""
        self._started = 0.0 if cpu_s is None else time.thread_time()
        self.deadline = deadline
        self.cancelled = False
        self._report = report

    def cancel(self) -> None:
        """Make the next `check` raise; safe from any thread."""
        self.cancelled = True

    def check(self) -> None:
        """See `WorkContext.check`."""
        if self.cancelled:
            raise CancelledCallError
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineExceededError
        if self._cpu_s is not None and time.thread_time() - self._started > self._cpu_s:
            raise DeadlineExceededError(f"it took more than {self._cpu_s:g} s of the processor")

    def progress(self, done: int, total: int | None = None, unit: str = "") -> None:
        """See `WorkContext.progress`."""
        if self._report is not None:
            self._report(done, total, unit)


@dataclass(frozen=True)
class Form:
    """A form of a request beside JSON.

    `reader` is the address of a function of the body and of the fields beside it that returns the
    request. `light`: it cuts the body rather than parse it, and may do so on the event loop
    whatever the body's size.
    """

    reader: str
    light: bool = False


@dataclass(frozen=True)
class Operation:
    """A registered operation. Types are read from the function's annotations at first use."""

    name: str
    function: Callable[..., Any]
    execution: Execution
    example: Struct | None = None
    incoming_example: tuple[Struct, ...] = ()
    lines_field: str | None = None
    """The field of the request (or of the incoming items) that a plain-text body fills."""
    forms: Mapping[str, Form] = field(default_factory=dict)
    """Other media types of its request, and how each is read."""
    resource: str = ""
    """Where MCP's clients read its answer: a path, in which `{field}` stands for a field."""
    large: bool = False
    """`ASYNC`: a body too large for the event loop is read in a worker process."""
    changes: bool = False
    """Changes something: audited, and made once per idempotency key."""
    public: bool = False
    """Needs no API key."""
    deadline_s: float = 60.0
    """Default: in all for a unary call, between two items for a stream."""
    queue_limit: int = 256
    """How many calls of it may wait; one more is refused at once."""

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self.function, include_extras=True)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters."""
        return tuple(inspect.signature(self.function).parameters)

    @cached_property
    def kind(self) -> Kind:
        """Unary, server stream or full duplex."""
        if len(self.parameters) == 3:
            return Kind.DUPLEX
        return Kind.SERVER_STREAM if _item_type(self._hints["return"]) else Kind.UNARY

    @cached_property
    def request(self) -> type[Struct]:
        """The Struct that it takes."""
        return self._struct(self._hints[self.parameters[0]])

    @cached_property
    def incoming(self) -> type[Struct] | None:
        """The Struct of the items that a duplex operation listens to."""
        if self.kind is not Kind.DUPLEX:
            return None
        return self._struct(_item_type(self._hints[self.parameters[1]]))

    @cached_property
    def response(self) -> type[Struct]:
        """The Struct that it returns, or that each item of its stream is."""
        returned = self._hints["return"]
        return self._struct(_item_type(returned) or returned)

    @cached_property
    def takes_nothing(self) -> bool:
        """Whether an empty request will do, so that it may be asked with a GET."""
        return (
            self.kind is Kind.UNARY
            and not self.changes
            and not any(each.required for each in fields(self.request))
        )

    @property
    def summary(self) -> str:
        """The first line of the function's docstring, without its full stop."""
        return inspect.cleandoc(self.function.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def description(self) -> str:
        """The function's docstring, without what only a caller in Python wants to know."""
        return inspect.cleandoc(self.function.__doc__ or "").partition("\nRaises:\n")[0].rstrip()

    @property
    def target(self) -> str:
        """The address from which `core.loading.load` brings the function in another process."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    def _struct(self, hint: Any) -> type[Struct]:
        if not (isinstance(hint, type) and issubclass(hint, Struct)):
            raise TypeError(f"{self.name}: {hint!r} is not a msgspec.Struct")
        return hint


def _item_type(hint: Any) -> Any:
    """What an iterator's annotation says that it yields, or None if it is no iterator."""
    if get_origin(hint) in (Iterator, AsyncIterator):
        return get_args(hint)[0]
    return None


def operation(name: str, *, execution: Execution, **properties: Any) -> Callable[[F], F]:
    """Declare the function as the operation `name`; returns the function unchanged.

    `properties` are fields of `Operation`. The function is `(request, context)`, or
    `(request, incoming, context)` for one that listens; one that streams returns an iterator
    (`THREAD`, `PROCESS`) or an async iterator (`ASYNC`). The first line of its docstring is the
    operation's summary in every door.

    Raises:
        ValueError: the name is not `noun.verb`, or there is no docstring.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not of the form noun.verb")

    def declare(function: F) -> F:
        declared = Operation(name, function, execution, **properties)
        if not declared.summary:
            raise ValueError(f"{name} has no docstring")
        function.__dict__["__operation__"] = declared
        return function

    return declare


def operation_of(function: Callable[..., Any]) -> Operation:
    """The operation that a function was declared as.

    Raises:
        TypeError: it was not declared as one.
    """
    declared = getattr(function, "__operation__", None)
    if not isinstance(declared, Operation):
        raise TypeError(f"{function!r} was not declared with @operation")
    return declared
