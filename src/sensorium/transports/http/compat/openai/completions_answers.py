"""Texts that go on, as OpenAI's clients read them."""

from typing import Any

from sensorium.transports.http.compat.likelihoods import of_text
from sensorium.transports.http.compat.openai.chat_answers import Speaker, whole
from sensorium.transports.http.compat.spoken import Chunk, Whole

KIND = "text_completion"


def completion(found: Whole, request_id: str, top: int | None) -> dict[str, Any]:
    """The body; `top` likeliest tokens are told, and none of them where it is None."""
    choices = [
        {
            "index": index,
            "text": each.text,
            "logprobs": None if top is None else of_text(each.steps, top, 0),
            "finish_reason": each.finish or None,
        }
        for index, each in enumerate(found.choices)
    ]
    return whole(KIND, f"cmpl-{request_id}", found, choices)


class TextSpeaker(Speaker):
    """Chunks of a `text_completion`."""

    def __init__(self, request_id: str, model: str, *, usage: bool, top: int) -> None:
        super().__init__(f"cmpl-{request_id}", KIND, model, usage=usage, top=top)

    def _choice(self, chunk: Chunk, said: int | None) -> dict[str, Any]:
        return {
            "index": chunk.index,
            "text": chunk.text,
            "logprobs": of_text(chunk.steps, self._top, said or 0),
            "finish_reason": chunk.finish or None,
        }
