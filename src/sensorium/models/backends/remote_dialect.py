"""What a dialect is: how one protocol asks for texts, and what the lines of its answers say."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from sensorium.core.conversation import ToolCallPart
from sensorium.core.generation import Generation, Step


class Part(Struct, kw_only=True):
    """What one line of an answer tells; all of it may be missing."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCallPart] = []
    steps: list[Step] = []
    reason: str = ""
    """Why the text ends here."""
    stopped_by: str = ""
    error: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    done: bool = False
    """Nothing more comes."""


class Dialect(Protocol):
    """How one protocol says things."""

    media_type: str
    """Of an answer that comes in lines."""

    def request(self, task: Generation) -> tuple[str, Mapping[str, Any]]:
        """Where to and what to send, to have a text made.

        Raises:
            InvalidInputError: a message cannot be said in it.
            NotSupportedError: the protocol cannot ask for it.
        """

    def part(self, line: bytes) -> Part | None:
        """What a line says, if anything.

        Raises:
            UnavailableError: it is not of the protocol.
        """

    def embedding(self, texts: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
        """Where to and what to send, to have texts embedded."""

    def vectors(self, body: bytes) -> tuple[list[list[float]], int]:
        """The vectors of an answer, in the order of the texts, and how many tokens those have (0:
        it does not say); errors as for `part`."""
