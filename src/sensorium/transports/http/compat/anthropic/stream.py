"""A message as a stream of Anthropic's events."""

from collections.abc import Iterable
from typing import Any

import msgspec

from sensorium.core.conversation import ToolCallPart, tool_calls
from sensorium.core.dispatch import Answer
from sensorium.core.errors import SensoriumError
from sensorium.transports.http.compat.anthropic.answers import head, stopped, usage
from sensorium.transports.http.compat.anthropic.errors import error_body
from sensorium.transports.http.compat.spoken import Chunk, Usage
from sensorium.transports.http.speaking import SSE, event

THINKING, TEXT, CALL = "thinking", "text", "tool_use"


class MessageSpeaker:
    """Events of a message; see `speaking.Speaker`.

    A message is a row of blocks: thoughts, text, a tool's call. One is open at a time, so that of
    several calls, whose parts may come by turns, only the first is told as it is written. What it
    all took is known at its end: `message_start` tells of none.
    """

    media_type = SSE

    def __init__(self, model: str, request_id: str, *, thinks: bool) -> None:
        self._model = model
        self._request_id = request_id
        self._thinks = thinks
        self._block = -1
        """The index of the latest block."""
        self._open = ""
        """Its kind; empty once it is closed."""
        self._first: dict[int, int] = {}
        """The block of the first call, by the call's number."""
        self._later: list[ToolCallPart] = []
        """The parts of the other calls."""
        self._finish = self._stopped_by = ""
        self._took = Usage()

    @property
    def keep_alive(self) -> bytes:
        """See `speaking.Speaker`."""
        return _event("ping")

    def begin(self) -> Iterable[bytes]:
        """The message, empty."""
        message = {
            **head(self._model, self._request_id),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(self._took),
        }
        return (_event("message_start", message=message),)

    def item(self, answer: Answer) -> Iterable[bytes]:
        """What comes next of a block, or of the next one."""
        chunk = answer.read(Chunk)
        if chunk.told is not None:
            self._took = chunk.told.usage
        self._finish = chunk.finish or self._finish
        self._stopped_by = chunk.stopped_by or self._stopped_by
        if chunk.reasoning and self._thinks:
            empty = {"type": THINKING, THINKING: "", "signature": ""}
            yield from self._begun(THINKING, empty)
            yield self._delta(self._block, type="thinking_delta", thinking=chunk.reasoning)
        if chunk.text:
            yield from self._begun(TEXT, {"type": TEXT, TEXT: ""})
            yield self._delta(self._block, type="text_delta", text=chunk.text)
        for part in chunk.tool_calls:
            yield from self._call(part)

    def end(self) -> Iterable[bytes]:
        """Why it ended, and what it took."""
        for each in tool_calls(self._later):
            yield from self._closed()
            yield from self._called(each.id, each.name)
            yield self._arguments(self._block, each.arguments)
        yield from self._closed()
        told = stopped(self._finish, self._stopped_by)
        yield _event("message_delta", delta=told, usage=usage(self._took))
        yield _event("message_stop")

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """An event that the clients raise."""
        return (event(msgspec.json.encode(error_body(error, self._request_id)), "error"),)

    def _call(self, part: ToolCallPart) -> Iterable[bytes]:
        if not self._first:
            yield from self._called(part.id, part.name)
            self._first[part.index] = self._block
        if part.index not in self._first:
            self._later.append(part)
        elif part.arguments:
            yield self._arguments(self._first[part.index], part.arguments)

    def _called(self, id_: str, name: str) -> Iterable[bytes]:
        return self._begun(CALL, {"type": CALL, "id": id_, "name": name, "input": {}})

    def _arguments(self, block: int, text: str) -> bytes:
        return self._delta(block, type="input_json_delta", partial_json=text)

    def _begun(self, kind: str, block: dict[str, Any]) -> Iterable[bytes]:
        """Open a block of a kind, if none is open."""
        if self._open == kind:
            return
        yield from self._closed()
        self._open = kind
        self._block += 1
        yield _event("content_block_start", index=self._block, content_block=block)
        if self._block == 0:
            yield _event("ping")

    def _closed(self) -> Iterable[bytes]:
        if not self._open:
            return
        if self._open == THINKING:  # clients hand a signature back with the thoughts
            yield self._delta(self._block, type="signature_delta", signature="")
        self._open = ""
        yield _event("content_block_stop", index=self._block)

    @staticmethod
    def _delta(block: int, **delta: str) -> bytes:
        return _event("content_block_delta", index=block, delta=delta)


def _event(name: str, **fields: Any) -> bytes:
    return event(msgspec.json.encode({"type": name, **fields}), name)
