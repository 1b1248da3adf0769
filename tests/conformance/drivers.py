"""The doors there are, each as a driver."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol
from urllib.parse import urlencode

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from sensorium.app import App
from sensorium.core.dispatch import Caller, Dispatcher, Encoded, Principal
from sensorium.core.errors import SensoriumError
from sensorium.core.operation import Kind, Operation
from tests.conformance.driver import FULL, Call, Driver, Outcome
from tests.conformance.samples import BadRequest

GAUGES = ("sensorium_calls_in_flight{", "sensorium_slots_in_use{")


class DispatcherDriver(Driver):
    """No door at all: a dispatcher in this process.

    `principals` are those of keys that the dispatcher cannot know, having no key file.
    """

    name = "dispatcher"

    def __init__(
        self,
        app: App,
        dispatcher: Dispatcher | None = None,
        principals: Mapping[str, Principal] | None = None,
    ) -> None:
        self.kills = app.processes is not None
        self._app = app
        self._dispatcher = dispatcher or app.dispatcher
        self._principals = principals or {}

    async def call(self, call: Call) -> Outcome:
        outcome = Outcome()
        try:
            caller = Caller(self._principal(call.key), door=self.name, deadline_s=call.deadline_s)
            operation = self._dispatcher.registry.get(call.name)
            if operation.kind is Kind.UNARY:
                answer = await self._dispatcher.call(call.name, Encoded(call.body), caller)
                outcome.items.append(answer.json())
            else:
                await self._stream(call, caller, outcome)
            outcome.ended = True
        except SensoriumError as error:
            _read_error(outcome, error.body())
        return outcome

    async def _stream(self, call: Call, caller: Caller, outcome: Outcome) -> None:
        incoming = None if call.incoming is None else _encoded(call.incoming)
        answers = self._dispatcher.stream(call.name, Encoded(call.body), caller, incoming)
        async with aclosing(answers):
            async for answer in answers:
                _hear(outcome, call, answer.json())

    async def load(self) -> float:
        telemetry = self._app.telemetry
        slots = [r.read() for r in telemetry.readings if r.name == "sensorium_slots_in_use"]
        in_flight = sum(stats.in_flight for stats in telemetry.operations.values())
        return in_flight + sum(sum(lanes.values()) for lanes in slots)

    @property
    def process_id(self) -> int:
        return os.getpid()

    def _principal(self, key: str | None) -> Principal:
        return self._principals.get(key or "") or self._dispatcher.identify(key)


class IsolatedDriver(DispatcherDriver):
    """A dispatcher with worker processes."""

    name = "isolated"


class _ServerDriver(Driver):
    """A door of a server at a URL, in the process `process_id`."""

    accept = "application/x-ndjson"

    def __init__(self, url: str, process_id: int) -> None:
        self._url = url
        self._process_id = process_id
        self._http = httpx.AsyncClient(
            base_url=url, timeout=60, limits=httpx.Limits(max_connections=200)
        )

    async def load(self) -> float:
        answer = await self._http.get("/metrics", headers={"x-api-key": FULL})
        assert answer.status_code == 200, answer.text
        lines = (line for line in answer.text.splitlines() if line.startswith(GAUGES))
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    @property
    def process_id(self) -> int:
        return self._process_id

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()


class HttpDriver(_ServerDriver):
    """HTTP, with streams as NDJSON."""

    name = "http"

    async def call(self, call: Call) -> Outcome:
        outcome = Outcome()
        path = f"/v1/{call.name.replace('.', '/', 1)}"
        content: bytes | AsyncIterator[bytes] = call.body
        headers = {"accept": self.accept, "content-type": "application/json"}
        if call.incoming is not None:
            query, content = self._listening(call.body, call.incoming)
            path += f"?{query}"
            headers["content-type"] = "application/x-ndjson"
        if call.key is not None:
            headers["authorization"] = f"Bearer {call.key}"
        if call.deadline_s is not None:
            headers["x-deadline-s"] = str(call.deadline_s)
        request = self._http.stream("POST", path, content=content, headers=headers)
        async with request as response:
            await self._read(response, call, outcome)
        return outcome

    def _listening(
        self, body: bytes, incoming: AsyncIterable[bytes]
    ) -> tuple[str, AsyncIterator[bytes]]:
        """Query string and content of a listening call: its request is the first line."""
        return "request_in_body=true", _lines(incoming, body)

    async def _read(self, response: httpx.Response, call: Call, outcome: Outcome) -> None:
        media_type = response.headers.get("content-type", "")
        if media_type.startswith(("application/x-ndjson", "text/event-stream")):
            assert response.status_code == 200
            async for line in response.aiter_lines():
                self._hear_line(line, call, outcome)
            return
        body = await response.aread()
        if response.status_code == 200:
            assert media_type == "application/json", media_type
            outcome.items, outcome.ended = [body], True
            return
        _read_problem(outcome, response, body)

    def _hear_line(self, line: str, call: Call, outcome: Outcome) -> None:
        if line.strip():
            _hear_message(msgspec.json.decode(line, type=dict[str, msgspec.Raw]), call, outcome)


class EventsDriver(HttpDriver):
    """HTTP, with streams as server-sent events, and a listening call's request in the address."""

    name = "events"
    accept = "text/event-stream"

    _event = "chunk"

    def carries(self, operation: Operation, bad: BadRequest) -> bool:
        return self.carries_json(operation) or bad.kind == "unknown"

    def carries_json(self, operation: Operation) -> bool:
        # Every value in a query string is text.
        return operation.kind is not Kind.DUPLEX

    def _listening(
        self, body: bytes, incoming: AsyncIterable[bytes]
    ) -> tuple[str, AsyncIterator[bytes]]:
        return _query(body), _lines(incoming)

    def _hear_line(self, line: str, call: Call, outcome: Outcome) -> None:
        name, _, value = line.partition(": ")
        if name == "event":
            self._event = value
        elif name == "data":
            _hear_message({self._event: msgspec.Raw(value.encode())}, call, outcome)
            self._event = "chunk"


class WebSocketDriver(_ServerDriver):
    """WebSocket: the calls of a key share one connection."""

    name = "websocket"

    def __init__(self, url: str, process_id: int) -> None:
        super().__init__(url, process_id)
        self._numbers = itertools.count(1)
        self._connections: dict[str | None, _Connection] = {}
        self._opening = asyncio.Lock()

    async def call(self, call: Call) -> Outcome:
        number = next(self._numbers)
        message = enveloped(number, call)
        try:
            if _readable(message):
                return await (await self._connection(call.key)).call(call, number, message)
            connection = await _Connection.open(self._url, call.key)
            try:
                return await connection.call(call, None, message)
            finally:
                await connection.close()
        except InvalidHandshake:
            return Outcome(code="unauthenticated")

    def carries_item(self, operation: Operation, bad: BadRequest) -> bool:
        # What cannot be read is no message of any call, and null is a sign of life.
        return bad.kind not in ("unreadable", "deep") and bad.body != b"null"

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()
        await super().close()

    async def _connection(self, key: str | None) -> "_Connection":
        async with self._opening:
            if key not in self._connections:
                self._connections[key] = await _Connection.open(self._url, key)
        return self._connections[key]


def enveloped(number: int, call: Call) -> bytes:
    """The message that begins a call."""
    head = {"id": number, "op": call.name}
    if call.deadline_s is not None:
        head["deadline_s"] = call.deadline_s
    return msgspec.json.encode(head)[:-1] + b',"data":' + call.body + b"}"


class Socket(Protocol):
    """What carries messages both ways."""

    async def send(self, message: bytes | str) -> None: ...

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def close(self) -> None: ...


class _Connection:
    """One connection; hands each message to the call with its id."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._calls: dict[int | None, asyncio.Queue[dict[str, msgspec.Raw] | None]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, key: str | None) -> "_Connection":
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        address = url.replace("http", "ws", 1) + "/v1/ws"
        return cls(await connect(address, additional_headers=headers, max_size=None))

    async def call(self, call: Call, number: int | None, message: bytes) -> Outcome:
        outcome = Outcome()
        heard = self._calls[number] = asyncio.Queue()
        await self._socket.send(message)
        feeder = asyncio.create_task(self._feed(number, call.incoming))
        try:
            while not (outcome.ended or outcome.code):
                found = await heard.get()
                if found is None:
                    break
                _hear_message(found, call, outcome)
        except asyncio.CancelledError:
            await self._socket.send(msgspec.json.encode({"id": number, "cancel": True}))
            raise
        finally:
            feeder.cancel()
            del self._calls[number]
        return outcome

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    async def _feed(self, number: int | None, incoming: AsyncIterable[bytes] | None) -> None:
        if incoming is None:
            return
        mark = msgspec.json.encode({"id": number})[:-1]
        async for item in incoming:
            await self._socket.send(mark + b',"chunk":' + item + b"}")
        await self._socket.send(mark + b',"end":{}}')

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                message = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
                number = msgspec.json.decode(message.pop("id"), type=int | None)
                if number in self._calls:
                    self._calls[number].put_nowait(message)
        except ConnectionClosed:
            pass
        finally:
            for heard in self._calls.values():
                heard.put_nowait(None)


def _hear_message(message: Mapping[str, Any], call: Call, outcome: Outcome) -> None:
    """Take up a message of the envelope."""
    over = outcome.ended or outcome.code is not None
    assert not over, f"{message} came after the end"
    ((kind, value),) = message.items()
    match kind:
        case "data":
            outcome.items, outcome.ended = [bytes(value)], True
        case "chunk":
            _hear(outcome, call, bytes(value))
        case "end":
            outcome.ended = True
        case "error":
            _read_error(outcome, msgspec.json.decode(value, type=_Error))
        case _:
            raise AssertionError(f"a message of no known kind: {message}")


class _Error(msgspec.Struct, forbid_unknown_fields=True):
    code: str
    message: str
    details: dict[str, Any] = {}
    retry_after_s: float | None = None


def _read_error(outcome: Outcome, error: Any) -> None:
    outcome.code, outcome.message = error.code, error.message
    outcome.details = {k: v for k, v in error.details.items() if k != "malformed"}
    outcome.retry_after_s = error.retry_after_s


def _read_problem(outcome: Outcome, response: httpx.Response, body: bytes) -> None:
    """Take up HTTP's form of an error."""
    media_type = response.headers.get("content-type")
    assert media_type == "application/problem+json", (response.status_code, body[:200])
    problem = msgspec.json.decode(body)
    assert problem["status"] == response.status_code
    outcome.code, outcome.message = problem["code"], problem["detail"]
    outcome.details = problem["details"]
    after = response.headers.get("retry-after")
    outcome.retry_after_s = None if after is None else float(after)


def _hear(outcome: Outcome, call: Call, item: bytes) -> None:
    outcome.items.append(item)
    if call.on_item is not None:
        call.on_item()


def _query(body: bytes) -> str:
    """A request as a query string: text as it is, all else as JSON."""
    fields = msgspec.json.decode(body, type=dict[str, Any])
    return urlencode(
        {k: v if isinstance(v, str) else msgspec.json.encode(v).decode() for k, v in fields.items()}
    )


async def _lines(items: AsyncIterable[bytes], *first: bytes) -> AsyncIterator[bytes]:
    for line in first:
        yield line + b"\n"
    async for item in items:
        yield item + b"\n"


async def _encoded(items: AsyncIterable[bytes]) -> AsyncIterator[Encoded]:
    async for item in items:
        yield Encoded(item)


def _readable(message: bytes) -> bool:
    try:
        msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
