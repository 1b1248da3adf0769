"""What a remote server has told of one text so far."""

import secrets
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from sensorium.core.conversation import ToolCallPart
from sensorium.core.errors import InvalidInputError, SensoriumError, UnavailableError
from sensorium.core.generation import Finish, Piece
from sensorium.models.backends.remote_dialect import Dialect, Part

NOTHING = Piece()


class Told:
    """Takes the lines of an answer, and makes pieces of them."""

    def __init__(self, dialect: Dialect, scrubbed: Callable[[str], str]) -> None:
        self.done = False
        """Whether nothing more comes."""
        self.reason = ""
        self.pieces = 0
        """How many parts of the text have come, which are its tokens as a rule."""
        self._dialect = dialect
        self._scrubbed = scrubbed
        self._last = Part()
        self._ids: dict[int, str] = {}
        self._places: dict[int, int] = {}

    def take(self, lines: Sequence[bytes]) -> tuple[Piece, SensoriumError | None]:
        """What lines that came together say, as one piece; and what is wrong after that."""
        parts: list[Part] = []
        failure: SensoriumError | None = None
        for line in lines:
            try:
                part = self._dialect.part(line)
            except SensoriumError as error:
                failure = error
                break
            if part is None:
                continue
            if part.error:
                said = self._scrubbed(part.error)
                failure = UnavailableError(f"the remote server failed within the text: {said}")
                break
            self._note(part)
            parts.append(part)
            if part.done:
                self.done = True
                break
        return _joined(parts), failure

    def last(self) -> Piece:
        """The end of the text; tokens that were not told are counted by pieces.

        Raises:
            InvalidInputError: the rest was withheld.
        """
        told = self._last
        return Piece(
            finish=_finish(self.reason, bool(self._ids)),
            stopped_by=told.stopped_by,
            prompt_tokens=told.prompt_tokens,
            cached_tokens=told.cached_tokens,
            generated_tokens=told.generated_tokens or self.pieces,
        )

    def _note(self, part: Part) -> None:
        last = self._last
        self.reason = part.reason or self.reason
        last.stopped_by = part.stopped_by or last.stopped_by
        last.prompt_tokens = part.prompt_tokens or last.prompt_tokens
        last.cached_tokens = part.cached_tokens or last.cached_tokens
        last.generated_tokens = part.generated_tokens or last.generated_tokens
        if part.calls:
            part.calls = [self._numbered(each) for each in part.calls]
        if part.text or part.reasoning or part.calls or part.steps:
            self.pieces += 1

    def _numbered(self, call: ToolCallPart) -> ToolCallPart:
        """A part of a call with its place among the calls, and with an id if it is the first.

        Some servers tell no ids, or the same place for every call.
        """
        place = self._places.get(call.index)
        if place is not None and call.id in ("", self._ids[place]):
            return replace(call, index=place, id="")
        place = len(self._ids)
        self._places[call.index] = place
        self._ids[place] = call.id or f"call_{secrets.token_hex(12)}"
        return replace(call, index=place, id=self._ids[place])


def _joined(parts: Sequence[Part]) -> Piece:
    if not parts:
        return NOTHING
    if len(parts) == 1:
        (part,) = parts
        return Piece(
            text=part.text, reasoning=part.reasoning, tool_calls=part.calls, steps=part.steps
        )
    return Piece(
        text="".join([each.text for each in parts]),
        reasoning="".join([each.reasoning for each in parts]),
        tool_calls=[call for each in parts for call in each.calls],
        steps=[step for each in parts for step in each.steps],
    )


def _finish(reason: str, called: bool) -> Finish:
    if reason == "content_filter":
        raise InvalidInputError("the remote server withholds the rest of the text")
    if reason == "length":
        return "length"
    return "tool_calls" if called else "stop"
