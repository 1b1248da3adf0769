"""What llama.cpp's server tells of a text, as pieces."""

from collections.abc import Callable, Sequence
from typing import Any

from sensorium.core.conversation import ToolCallPart
from sensorium.core.errors import SensoriumError
from sensorium.core.generation import Finish, Likely, Piece, Step
from sensorium.models.backends.gguf_engine import check_answer
from sensorium.models.backends.stops import Stops

FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}
Counts = tuple[int, int, int]
"""Tokens of the prompt, of those the known ones, and tokens made."""
MS = 1e-3


class Hearing:
    """What the library calls with each chunk; tells it to stop by returning True."""

    def __init__(self, emit: Callable[[Piece], bool], stops: Sequence[str]) -> None:
        self._emit = emit
        self._stops = Stops(stops)
        self._finish: Finish = ""
        self._ended = self._stopped = False
        self._seconds = 0.0
        self._problem: Exception | None = None

    def __call__(self, chunk: dict[str, Any]) -> bool:
        try:
            self._stopped = self._stopped or not self._hear(chunk)
        except Exception as error:  # the library would swallow it
            self._problem, self._stopped = error, True
        return self._stopped

    def check(self, returned: Any) -> None:
        """Raise what went wrong, now that the text is over."""
        if self._problem is not None:
            raise self._problem
        check_answer(returned or {})
        if not (self._ended or self._stopped):
            raise SensoriumError("the text broke off")

    def _hear(self, chunk: dict[str, Any]) -> bool:
        check_answer(chunk)
        wanted = None
        for choice in chunk.get("choices", []):
            self._finish = FINISHES.get(choice.get("finish_reason") or "", self._finish)
            piece = self._piece(choice)
            if piece != Piece():
                wanted = self._emit(piece)
        if timings := chunk.get("timings"):
            self._seconds = timings.get("predicted_ms", 0.0) * MS
        if self._stops.by:
            return self._end("stop", _from_timings(chunk.get("timings") or {}))
        usage = chunk.get("usage")
        if usage and self._finish and not self._ended:
            return self._end(self._finish, _from_usage(usage))
        return self._emit(Piece()) if wanted is None else wanted

    def _piece(self, choice: dict[str, Any]) -> Piece:
        """What a chunk adds to the text."""
        delta = choice.get("delta") or {}
        steps = _steps(choice.get("logprobs"))
        return Piece(
            text=self._stops.let_out(choice.get("text") or delta.get("content") or ""),
            reasoning=delta.get("reasoning_content") or "",
            tool_calls=[_call_part(each) for each in delta.get("tool_calls") or []],
            tokens=[each.chosen.token for each in steps],
            steps=steps,
        )

    def _end(self, finish: Finish, counts: Counts) -> bool:
        """Hand out the last piece; nothing more is wanted where a stop text has come."""
        self._ended = True
        prompt, cached, made = counts
        if rest := self._stops.rest():
            self._emit(Piece(text=rest))
        self._emit(
            Piece(
                finish=finish,
                stopped_by=self._stops.by,
                prompt_tokens=prompt,
                cached_tokens=cached,
                generated_tokens=made,
                seconds=self._seconds,
            )
        )
        return not self._stops.by


def _from_usage(usage: dict[str, Any]) -> Counts:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return usage["prompt_tokens"], cached, usage["completion_tokens"]


def _from_timings(timings: dict[str, Any]) -> Counts:
    cached = timings.get("cache_n", 0)
    return cached + timings.get("prompt_n", 0), cached, timings.get("predicted_n", 0)


def _call_part(told: dict[str, Any]) -> ToolCallPart:
    function = told.get("function") or {}
    return ToolCallPart(
        index=told.get("index", 0),
        id=told.get("id") or "",
        name=function.get("name") or "",
        arguments=function.get("arguments") or "",
    )


def _steps(logprobs: dict[str, Any] | None) -> list[Step]:
    return [
        Step(chosen=_likely(each), top=[_likely(other) for other in each["top_logprobs"]])
        for each in (logprobs or {}).get("content", [])
    ]


def _likely(told: dict[str, Any]) -> Likely:
    return Likely(token=told["id"], text=told["token"], logprob=told["logprob"])
