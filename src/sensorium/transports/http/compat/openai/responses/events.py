"""A response as it comes: the events of its items, in order and numbered."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sensorium.core.conversation import ToolCallPart
from sensorium.core.dispatch import Answer
from sensorium.core.errors import SensoriumError
from sensorium.core.generation import Step
from sensorium.transports.http.compat.likelihoods import listed
from sensorium.transports.http.compat.openai.errors import error_body
from sensorium.transports.http.compat.openai.responses import answers
from sensorium.transports.http.compat.openai.responses.answers import Output
from sensorium.transports.http.compat.spoken import Chunk, Told
from sensorium.transports.http.speaking import SSE, event

IDS = {"message": "msg", "reasoning": "rs", "function_call": "fc"}


@dataclass
class _Item:
    """An item of the output, as far as it is told."""

    kind: str
    place: int
    id: str
    text: str = ""
    likely: list[Output] = field(default_factory=list)
    call_id: str = ""
    name: str = ""

    def told(self, status: str, *, begun: bool = False) -> Output:
        """The item; where it has only just begun, without its content."""
        if self.kind == "function_call":
            return answers.function_call(self.id, self.call_id, self.name, self.text, status)
        if self.kind == "reasoning":
            return answers.reasoning(self.id, self.text, status)
        return answers.message(self.id, [] if begun else [self.part()], status)

    def part(self) -> Output:
        """Its content."""
        if self.kind == "reasoning":
            return {"type": "reasoning_text", "text": self.text}
        return answers.part(self.text, self.likely)


class ResponseSpeaker:
    """See `speaking.Speaker`; what `over` makes of the body in the end is told."""

    media_type = SSE
    keep_alive = b": wait\n\n"

    def __init__(self, body: Output, *, top: int, over: Callable[[Output], Output]) -> None:
        self._body = body
        self._top = top
        self._over = over
        self._number = 0
        self._items: list[_Item] = []
        self._open: _Item | None = None
        """What is being thought or said."""
        self._calls: dict[int, _Item] = {}
        """All calls stay open until the end, because their parts may come by turns."""
        self._steps: list[Step] = []
        """Of tokens whose text is still to come."""
        self._finish = ""
        self._told = Told()

    def begin(self) -> Iterable[bytes]:
        """That it has begun."""
        yield self._event("response.created", response=self._body)
        yield self._event("response.in_progress", response=self._body)

    def item(self, answer: Answer) -> Iterable[bytes]:
        """What comes next."""
        chunk = answer.read(Chunk)
        if chunk.told is not None:
            self._told = chunk.told
            return
        self._finish = chunk.finish or self._finish
        self._steps += chunk.steps
        if chunk.reasoning:
            yield from self._think(chunk.reasoning)
        if chunk.text:
            yield from self._say(chunk.text)
        for part in chunk.tool_calls:
            yield from self._call(part)

    def end(self) -> Iterable[bytes]:
        """The ends of the items, and the whole response."""
        status = "incomplete" if self._finish == "length" else "completed"
        if not self._items:
            yield from self._begin("message")
        if said := [each for each in self._items if each.kind == "message"]:
            said[-1].likely += listed(self._steps, self._top)
        yield from self._close(status)
        for call in self._calls.values():
            yield self._of(call, "response.function_call_arguments.done", arguments=call.text)
            yield self._done(call, status)
        output = [each.told(status) for each in self._items]
        told = self._told
        body = answers.ended(self._body, output, told.model, told.usage, self._finish)
        body = self._over(body)
        yield self._event(f"response.{body['status']}", response=body)

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """An error: flat as the interface has it, and nested, where the clients look for it."""
        body = error_body(error)["error"]
        flat = {name: body[name] for name in ("code", "message", "param")}
        yield self._event("error", **flat, error=body)

    def _think(self, text: str) -> Iterator[bytes]:
        if self._open is None or self._open.kind != "reasoning":
            yield from self._begin("reasoning")
        assert self._open is not None
        self._open.text += text
        yield self._of(self._open, "response.reasoning_text.delta", content_index=0, delta=text)

    def _say(self, text: str) -> Iterator[bytes]:
        if self._open is None or self._open.kind != "message":
            yield from self._begin("message")
        assert self._open is not None
        likely = listed(self._steps, self._top)
        self._steps = []
        self._open.text += text
        self._open.likely += likely
        fields = {"content_index": 0, "delta": text, "logprobs": likely}
        yield self._of(self._open, "response.output_text.delta", **fields)

    def _call(self, part: ToolCallPart) -> Iterator[bytes]:
        call = self._calls.get(part.index)
        if call is None:
            yield from self._close("completed")
            call = self._calls[part.index] = self._new("function_call")
            call.call_id, call.name = part.id, part.name
            yield self._added(call)
        if part.arguments:
            call.text += part.arguments
            yield self._of(call, "response.function_call_arguments.delta", delta=part.arguments)

    def _begin(self, kind: str) -> Iterator[bytes]:
        yield from self._close("completed")
        self._open = self._new(kind)
        yield self._added(self._open)
        part = self._open.part()
        yield self._of(self._open, "response.content_part.added", content_index=0, part=part)

    def _close(self, status: str) -> Iterator[bytes]:
        """The end of what is being thought or said."""
        item, self._open = self._open, None
        if item is None:
            return
        fields: dict[str, Any] = {"content_index": 0, "text": item.text}
        if item.kind == "message":
            yield self._of(item, "response.output_text.done", **fields, logprobs=item.likely)
        else:
            yield self._of(item, "response.reasoning_text.done", **fields)
        yield self._of(item, "response.content_part.done", content_index=0, part=item.part())
        yield self._done(item, status)

    def _new(self, kind: str) -> _Item:
        item = _Item(kind, len(self._items), answers.new_id(IDS[kind]))
        self._items.append(item)
        return item

    def _added(self, item: _Item) -> bytes:
        told = item.told("in_progress", begun=True)
        return self._event("response.output_item.added", output_index=item.place, item=told)

    def _done(self, item: _Item, status: str) -> bytes:
        told = item.told(status)
        return self._event("response.output_item.done", output_index=item.place, item=told)

    def _of(self, item: _Item, kind: str, **fields: Any) -> bytes:
        return self._event(kind, item_id=item.id, output_index=item.place, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event(msgspec.json.encode(body), kind)
