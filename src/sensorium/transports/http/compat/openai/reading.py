"""What is read of the operations' answers."""

from msgspec import Struct

from sensorium.core.conversation import Message, ToolCallPart
from sensorium.core.generation import Step


class Usage(Struct, frozen=True):
    """What a call took."""

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


class Told(Struct):
    """Who answered."""

    model: str = ""
    digest: str = ""
    usage: Usage = Usage()


class Chosen(Struct):
    """One answer of a conversation."""

    message: Message
    finish: str
    index: int = 0
    steps: list[Step] = []


class Conversation(Told):
    """The answer of `chat.complete`."""

    choices: list[Chosen] = []


class Continued(Struct):
    """One way in which a text goes on."""

    text: str
    finish: str
    index: int = 0
    steps: list[Step] = []


class Continuation(Told):
    """The answer of `text.complete`."""

    choices: list[Continued] = []


class Chunk(Struct):
    """An item of `chat.stream` and `text.stream`."""

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallPart] = []
    steps: list[Step] = []
    finish: str = ""
    told: Told | None = None
