"""What other servers' dialects read of the answers of `chat` and `text`, and ask of them."""

from typing import Any

import msgspec
from msgspec import Struct

from sensorium.core.conversation import Message, ToolCallPart
from sensorium.core.generation import Step

MAX_TOKENS = 4096
"""Of an answer whose length is not said; the model's context ends it earlier."""
UNREADABLE = "unreadable"


class Usage(Struct, frozen=True):
    """What is read of what a call took."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0

    def plus(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.generated_tokens + other.generated_tokens,
        )


class Timing(Struct, frozen=True):
    """What is read of how long it took."""

    first_token_s: float = 0.0
    total_s: float = 0.0


class Told(Struct):
    """What is read of who answered, and of what all texts took together."""

    model: str = ""
    digest: str = ""
    usage: Usage = Usage()
    timing: Timing = Timing()


class Chosen(Struct):
    """What is read of one answer: a message of `chat`, or a text of `text`."""

    finish: str
    message: Message = Message(role="assistant")
    text: str = ""
    stopped_by: str = ""
    steps: list[Step] = []
    index: int = 0


class Whole(Told):
    """What is read of the answer of `chat.complete` and `text.complete`."""

    choices: list[Chosen] = []


class Chunk(Struct):
    """What is read of the items of `chat.stream` and `text.stream`."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallPart] = []
    steps: list[Step] = []
    finish: str = ""
    stopped_by: str = ""
    told: Told | None = None
    index: int = 0


class Counted(Struct):
    """What is read of the answer of `text.count`."""

    tokens: int


def written(text: str) -> dict[str, Any]:
    """The JSON object that a model wrote; what is none stands in one under `unreadable`."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {UNREADABLE: text}
