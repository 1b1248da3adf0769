"""MCP as a driver: JSON-RPC by hand, a POST for each call, as the stateless transport has it."""

import itertools
from typing import Any

import httpx
import msgspec

from sensorium.core.operation import Kind, Operation
from tests.conformance import drivers
from tests.conformance.driver import Call, Outcome
from tests.conformance.samples import BadRequest

MAX_REQUEST = 1_000_000
"""A little under what the door takes, for what stands around the arguments."""
ACCEPT = "application/json, text/event-stream"


class McpDriver(drivers._ServerDriver):
    """MCP over Streamable HTTP: an operation is a tool, and its error a tool's error."""

    name = "mcp"
    kinds = frozenset({Kind.UNARY})
    has_deadlines = False
    lets_strangers_in = False

    def __init__(self, url: str, process_id: int) -> None:
        super().__init__(url, process_id)
        self._numbers = itertools.count(1)

    async def call(self, call: Call) -> Outcome:
        number = next(self._numbers)
        headers = {"accept": ACCEPT, "content-type": "application/json"}
        if call.key is not None:
            headers["authorization"] = f"Bearer {call.key}"
        name = call.name.replace(".", "_", 1)
        answer = await self._http.post(
            "/mcp", content=request(number, name, call.body), headers=headers
        )
        outcome = Outcome()
        if answer.status_code == 401:
            drivers._read_problem(outcome, answer, answer.content)
        else:
            _read_result(outcome, _only_message(answer), number)
        return outcome

    def carries(self, operation: Operation, bad: BadRequest) -> bool:
        # Arguments are an object, or the message is none; and null stands for none at all.
        return bad.kind not in ("unreadable", "shape", "deep") and len(bad.body) < MAX_REQUEST


def request(number: int, name: str, arguments: bytes) -> bytes:
    """The message that calls a tool."""
    tool = msgspec.json.encode(name)
    return (
        b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%s,"arguments":%s}}'
        % (*(number, tool, arguments),)
    )


def _only_message(answer: httpx.Response) -> dict[str, Any]:
    """What was answered: exactly one message."""
    assert answer.status_code == 200, (answer.status_code, answer.text[:200])
    lines = (line.partition(": ") for line in answer.text.splitlines())
    messages = [value for field, _, value in lines if field == "data"]
    assert len(messages) == 1, messages
    found: dict[str, Any] = msgspec.json.decode(messages[0])
    return found


def _read_result(outcome: Outcome, message: dict[str, Any], number: int) -> None:
    """Take up a tool's result: what a program reads of it, and an agent, say the same."""
    assert message["id"] == number, f"the answer to {message['id']} came for {number}"
    result = message["result"]
    (content,) = result["content"]
    structured = result["structuredContent"]
    if result["isError"]:
        error = msgspec.convert(structured["error"], drivers._Error)
        drivers._read_error(outcome, error)
        assert content["text"].startswith(f"{error.code}: {error.message}")
        return
    outcome.items, outcome.ended = [content["text"].encode()], True
    assert msgspec.json.decode(content["text"]) == structured
