"""Texts that go on, as OpenAI's clients read them."""

import time
from typing import Any

from sensorium.transports.http.compat.likelihoods import of_text
from sensorium.transports.http.compat.openai.chat_answers import (
    Speaker,
    fingerprint,
    usage,
)
from sensorium.transports.http.compat.spoken import Chunk, Whole

KIND = "text_completion"


def completion(found: Whole, request_id: str, top: int | None) -> dict[str, Any]:
    """The body; `top` likeliest tokens are told, and none of them where it is None."""
    return {
        "id": f"cmpl-{request_id}",
        "object": KIND,
        "created": int(time.time()),
        "model": found.model,
        "system_fingerprint": fingerprint(found.digest),
        "choices": [
            {
                "index": index,
                "text": each.text,
                "logprobs": None if top is None else of_text(each.steps, top, 0),
                "finish_reason": each.finish or None,
            }
            for index, each in enumerate(found.choices)
        ],
        "usage": usage(found.usage),
    }


class TextSpeaker(Speaker):
    """Chunks of a `text_completion`."""

    def __init__(self, request_id: str, model: str, *, usage: bool, top: int) -> None:
        super().__init__(f"cmpl-{request_id}", KIND, model, usage=usage, top=top)
        self._told: dict[int, int] = {}
        """How many characters of each text."""

    def _choice(self, chunk: Chunk) -> dict[str, Any]:
        offset = self._told.get(chunk.index, 0)
        self._told[chunk.index] = offset + len(chunk.text)
        return {
            "index": chunk.index,
            "text": chunk.text,
            "logprobs": of_text(chunk.steps, self._top, offset),
            "finish_reason": chunk.finish or None,
        }
