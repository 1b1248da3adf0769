"""The two clients without their nouns: settings, options, and how a method call is made."""

import ssl
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from sensorium.app import MODULES, Settings
from sensorium.client.backend import Backend
from sensorium.client.building import build_item, build_request
from sensorium.client.feeding import FeedError, feed, feed_async
from sensorium.client.local import Local
from sensorium.client.options import Options, Report
from sensorium.client.portal import Portal
from sensorium.core.dispatch import Priority
from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.core.loading import load
from sensorium.core.operation import Kind, Operation
from sensorium.core.registry import Registry

RETRIES = 3


class _Base:
    """What both clients share.

    Without a `url` it computes in this process, under `settings` (default: environment and
    `sensorium.toml`). With one it asks the server there; `timeout_s` bounds each call (default:
    the operation's own), `retries` says how often a call that was refused, or lost, is tried
    again where that is safe, `tls` replaces the usual checks of the server's certificate.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float | None = None,
        retries: int = RETRIES,
        settings: Settings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._options = Options(timeout_s=timeout_s)
        self._local = Local(settings) if url is None else None
        self._backend: Backend
        if self._local is not None:
            self._backend = self._local
            self._registry = self._local.app.registry
        else:
            self._backend = load("sensorium.client.remote:Remote")(url, api_key, retries, tls)
            self._registry = Registry(MODULES)
        self._nouns = set(MODULES)
        self._begin()

    def _begin(self) -> None:
        """Make what only one kind of client needs."""

    def with_options(
        self,
        *,
        timeout_s: float | None = None,
        priority: str | None = None,
        idempotency_key: str | None = None,
        on_progress: Report | None = None,
    ) -> Self:
        """This client, whose calls are made in another way; it shares everything else.

        `priority` is `interactive` or `batch`. `on_progress` is told how far the work is, in
        process only; give an `idempotency_key` to name a change that must happen once.
        """
        other = object.__new__(type(self))
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k not in self._nouns})
        now = self._options
        other._options = Options(
            timeout_s=now.timeout_s if timeout_s is None else timeout_s,
            priority=now.priority if priority is None else _priority(priority),
            idempotency_key=idempotency_key or now.idempotency_key,
            on_progress=on_progress or now.on_progress,
        )
        return other

    def operation(self, name: str) -> Operation:
        """The operation of that name, looked for among installed plugins too.

        Raises:
            NotFoundError: there is none.
        """
        try:
            return self._registry.get(name)
        except NotFoundError:
            self._nouns.update(self._registry.find_plugins())
            return self._registry.get(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._nouns})

    def _noun(self, noun: str) -> Any:
        if noun.startswith("_"):
            raise AttributeError(noun)
        if noun not in self._nouns:
            self._nouns.update(self._registry.find_plugins())
        if noun not in self._nouns:
            raise AttributeError(
                f"there is no {noun!r} here; there is: {', '.join(sorted(self._nouns))}"
            )
        found = self.__dict__[noun] = Noun(self, noun)
        return found


class Client(_Base):
    """Calls that wait for their answer. Safe to share between threads."""

    def _begin(self) -> None:
        self._portal = Portal()

    def call(self, name: str, request: Struct | None = None, /, **values: Any) -> Any:
        """The answer of a unary operation, by name.

        Raises:
            SensoriumError: every failure is one of its kinds, here and from a server alike.
        """
        operation = self.operation(name)
        _expect(operation, streams=False)
        built = build_request(operation, request, values)
        if self._local is not None and self._local.computes_here(operation):
            return self._local.call_here(operation, built, self._options)
        return self._portal.run(self._backend.call(operation, built, self._options))

    def stream(
        self, name: str, incoming: Any = None, request: Struct | None = None, /, **values: Any
    ) -> Generator[Any, None, None]:
        """The items of a streaming operation, by name; `incoming` feeds one that listens."""
        operation = self.operation(name)
        _expect(operation, streams=True)
        return self._items(operation, incoming, build_request(operation, request, values))

    def close(self) -> None:
        """Give up connections and threads; the client is of no use afterwards."""
        if self._portal.started:
            self._portal.run(self._backend.close())
            self._portal.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _items(
        self, operation: Operation, incoming: Any, request: Struct
    ) -> Generator[Struct, None, None]:
        listens = operation.kind is Kind.DUPLEX

        def make(item: Any) -> Struct:
            return build_item(operation, item)

        try:
            if self._local is not None and self._local.computes_here(operation):
                fed = feed(incoming, make) if listens else None
                yield from self._local.stream_here(operation, request, fed, self._options)
                return
            heard = feed_async(incoming, make) if listens else None
            yield from self._portal.iterate(
                self._backend.stream(operation, request, heard, self._options)
            )
        except FeedError as error:
            raise error.cause from None


class AsyncClient(_Base):
    """Calls that are awaited. Belongs to the event loop that first uses it."""

    async def call(self, name: str, request: Struct | None = None, /, **values: Any) -> Any:
        """See `Client.call`."""
        operation = self.operation(name)
        _expect(operation, streams=False)
        built = build_request(operation, request, values)
        return await self._backend.call(operation, built, self._options)

    def stream(
        self, name: str, incoming: Any = None, request: Struct | None = None, /, **values: Any
    ) -> AsyncGenerator[Any, None]:
        """See `Client.stream`; `incoming` may be an async iterable too."""
        operation = self.operation(name)
        _expect(operation, streams=True)
        return self._items(operation, incoming, build_request(operation, request, values))

    async def close(self) -> None:
        """See `Client.close`."""
        await self._backend.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _items(
        self, operation: Operation, incoming: Any, request: Struct
    ) -> AsyncGenerator[Struct, None]:
        heard = None
        if operation.kind is Kind.DUPLEX:
            heard = feed_async(incoming, lambda item: build_item(operation, item))
        items = self._backend.stream(operation, request, heard, self._options)
        try:
            async with aclosing(items):
                async for item in items:
                    yield item
        except FeedError as error:
            raise error.cause from None


class Noun:
    """The operations of one noun, as methods."""

    def __init__(self, client: Any, noun: str) -> None:
        self._client = client
        self._name = noun

    def __getattr__(self, verb: str) -> Any:
        method = _method(self._client, f"{self._name}.{verb}")
        self.__dict__[verb] = method
        return method

    def __dir__(self) -> list[str]:
        return _verbs(self._client, self._name)


def _method(client: Client | AsyncClient, name: str) -> Any:
    """A method that calls the operation: with its request or keyword arguments.

    One that listens takes what it listens to before them.
    """
    try:
        operation = client.operation(name)
    except NotFoundError as error:
        raise AttributeError(error.message) from None
    start: Callable[..., Any] = client.call if operation.kind is Kind.UNARY else client.stream

    def method(*arguments: Any, **values: Any) -> Any:
        return start(name, *arguments, **values)

    def outgoing(request: Struct | None = None, /, **values: Any) -> Any:
        return start(name, None, request, **values)

    made = outgoing if operation.kind is Kind.SERVER_STREAM else method
    made.__name__ = name.partition(".")[2]
    made.__doc__ = operation.description
    return made


def _verbs(client: Client | AsyncClient, noun: str) -> list[str]:
    names = [operation.name.split(".") for operation in client._registry]
    return [verb for each, verb in names if each == noun]


def _expect(operation: Operation, *, streams: bool) -> None:
    if streams is (operation.kind is Kind.UNARY):
        other = "call" if streams else "stream"
        raise InvalidInputError(f"{operation.name} is made with `{other}`, as its kind asks")


def _priority(text: str) -> Priority:
    try:
        return Priority(text)
    except ValueError:
        raise InvalidInputError("priority is 'interactive' or 'batch'") from None
