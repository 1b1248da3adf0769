"""What goes in and out of `chat.complete`, `chat.stream`, `text.complete` and `text.stream`."""

from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.conversation import MAX_TEXT, Message, Tool, ToolCallPart
from sensorium.core.generation import Finish, ParallelTools, Sampling, Step, ToolChoice
from sensorium.core.types import Count

DEFAULT = "default"
"""The alias of the model that answers where none is named."""
MAX_CHOICES = 16

ModelName = Annotated[
    str, Meta(min_length=1, max_length=256, description="The model: org/name, a name or an alias.")
]
Version = Annotated[
    str, Meta(max_length=20, pattern="^[0-9]*$", description="A whole number; '' for the highest.")
]
Choices = Annotated[
    int, Meta(ge=1, le=MAX_CHOICES, description="Make so many texts, each for itself.")
]
Index = Annotated[Count, Meta(description="Which of the texts, from 0.")]
Ended = Annotated[Finish, Meta(description="Why the text ended.")]
StoppedBy = Annotated[str, Meta(description="The text of `stop` that ended it.")]
Steps = Annotated[list[Step], Meta(description="Its tokens' likelihoods, on request.")]


class ConversationRequest(Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A conversation to go on with."""

    model: ModelName = DEFAULT
    version: Version = ""
    messages: Annotated[
        list[Message],
        Meta(min_length=1, max_length=10_000, description="What was said, oldest first."),
    ]
    tools: Annotated[
        list[Tool], Meta(max_length=256, description="The tools that the model may call.")
    ] = []  # noqa: RUF012 - a Struct gives each its own
    tool_choice: ToolChoice = "auto"
    parallel_tools: ParallelTools = True
    n: Choices = 1


class ContinuationRequest(Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to go on with, just as it stands."""

    model: ModelName = DEFAULT
    version: Version = ""
    prompt: Annotated[
        str, Meta(min_length=1, max_length=MAX_TEXT, description="The text to go on with.")
    ]
    n: Choices = 1


class Usage(Struct, frozen=True, kw_only=True):
    """How much a call has used."""

    prompt_tokens: Annotated[Count, Meta(description="Tokens read.")] = 0
    cached_tokens: Annotated[
        Count, Meta(description="Of those, known from an earlier prompt and not computed again.")
    ] = 0
    generated_tokens: Annotated[Count, Meta(description="Tokens made, of all texts.")] = 0


class Timing(Struct, frozen=True, kw_only=True):
    """How long a call has taken."""

    first_token_s: Annotated[float, Meta(description="Seconds until the first token.")] = 0.0
    total_s: Annotated[float, Meta(description="Seconds in all.")] = 0.0
    tokens_per_s: Annotated[
        float, Meta(description="Tokens made in a second, once the prompt was read.")
    ] = 0.0


class Told(Struct, frozen=True, kw_only=True):
    """Which model it was, and how much it took."""

    model: Annotated[str, Meta(description="The model that answered.")] = ""
    version: Annotated[str, Meta(description="Its version.")] = ""
    digest: Annotated[str, Meta(description="What its files hash to (SHA-256).")] = ""
    usage: Annotated[Usage, Meta(description="How much it has used.")] = Usage()
    timing: Annotated[Timing, Meta(description="How long it has taken.")] = Timing()


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer."""

    index: Index = 0
    message: Annotated[Message, Meta(description="What the model says.")]
    finish: Ended
    stopped_by: StoppedBy = ""
    steps: Steps = []


class ConversationResponse(Told, frozen=True, kw_only=True):
    """The answers of a model."""

    choices: Annotated[list[Answer], Meta(description="The answers.")]


class Continuation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way to go on."""

    index: Index = 0
    text: Annotated[str, Meta(description="How the text goes on.")]
    finish: Ended
    stopped_by: StoppedBy = ""
    steps: Steps = []


class ContinuationResponse(Told, frozen=True, kw_only=True):
    """How a text goes on."""

    choices: Annotated[list[Continuation], Meta(description="The ways to go on.")]


class Chunk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What comes next of one of the texts; the last chunk tells what all of them took."""

    index: Index = 0
    text: Annotated[str, Meta(description="What comes next; whole characters.")] = ""
    reasoning: Annotated[str, Meta(description="What comes next of the model's thoughts.")] = ""
    tool_calls: Annotated[
        list[ToolCallPart], Meta(description="What comes next of the tools that it calls.")
    ] = []
    steps: Steps = []
    finish: Ended = ""
    stopped_by: StoppedBy = ""
    told: Annotated[
        Told | None, Meta(description="On the last chunk: the model, and what it took.")
    ] = None
