"""Text from a language model: what is asked, and the pieces in which it comes. Light to load."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sensorium.core.conversation import MAX_TEXT, Message, Tool, ToolCallPart
from sensorium.core.types import Count

Finish = Literal["", "stop", "length", "tool_calls"]
ToolChoice = Annotated[
    str,
    Meta(
        max_length=256,
        description="'auto': as the model likes; 'none'; 'required': some tool; or a tool's name.",
    ),
]
ParallelTools = Annotated[
    bool, Meta(description="Whether one answer may call several tools, and not one at most.")
]

TokenNumber = Annotated[str, Meta(pattern="^[0-9]{1,9}$")]


class Sampling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a text is made: how long, how freely, and to what it is held."""

    max_tokens: Annotated[
        int, Meta(ge=1, le=1_000_000, description="It ends after so many tokens.")
    ] = 256
    temperature: Annotated[
        float, Meta(ge=0, le=5, description="0: always the likeliest token.")
    ] = 0.8
    top_p: Annotated[
        float, Meta(ge=0, le=1, description="Only the likeliest tokens that make up so much.")
    ] = 0.95
    top_k: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Only the so many likeliest tokens; 0: all.")
    ] = 40
    min_p: Annotated[
        float, Meta(ge=0, le=1, description="Only tokens so likely beside the likeliest.")
    ] = 0.05
    repeat_penalty: Annotated[
        float, Meta(ge=0, le=10, description="1: none; above, what was said is less likely.")
    ] = 1.0
    presence_penalty: Annotated[
        float, Meta(ge=-2, le=2, description="Above 0, what was said is less likely.")
    ] = 0.0
    frequency_penalty: Annotated[
        float, Meta(ge=-2, le=2, description="Above 0, what was said often is less likely.")
    ] = 0.0
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**32 - 1)] | None,
        Meta(description="The same seed gives the same text; null: another each time."),
    ] = None
    stop: Annotated[
        list[str], Meta(max_length=16, description="It ends before any of these texts.")
    ] = []
    logprobs: Annotated[
        int, Meta(ge=0, le=20, description="Tell so many likeliest tokens at each step.")
    ] = 0
    logit_bias: Annotated[
        dict[TokenNumber, Annotated[float, Meta(ge=-1000, le=1000)]],
        Meta(description="Added to a token's logit, by its number as text."),
    ] = {}
    json_schema: Annotated[
        dict[str, Any], Meta(description="The text is JSON of this schema; {}: of none.")
    ] = {}
    grammar: Annotated[
        str, Meta(max_length=100_000, description="The text is of this grammar (GBNF).")
    ] = ""


class Generation(Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to go on with, and how.

    Give `prompt` for a text as it is, or `messages` for a conversation, which the model's own
    template turns into a text.
    """

    prompt: Annotated[str, Meta(max_length=MAX_TEXT, description="The text to go on with.")] = ""
    messages: Annotated[
        list[Message], Meta(max_length=10_000, description="A conversation, oldest first.")
    ] = []
    tools: Annotated[
        list[Tool], Meta(max_length=256, description="The tools that the model may call.")
    ] = []
    tool_choice: ToolChoice = "auto"
    parallel_tools: ParallelTools = True


class Likely(Struct, frozen=True, kw_only=True):
    """A token, and how likely it was."""

    token: Annotated[Count, Meta(description="Its number.")]
    text: Annotated[str, Meta(description="Its text.")]
    logprob: Annotated[float, Meta(description="The logarithm of its probability.")]


class Step(Struct, frozen=True, kw_only=True):
    """A token that was chosen, and what else was likely there."""

    chosen: Annotated[Likely, Meta(description="The token that was chosen.")]
    top: Annotated[list[Likely], Meta(description="The likeliest tokens, most likely first.")]


class Piece(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The next piece of the text; the last one says why it is the last, and how much it was."""

    text: Annotated[str, Meta(description="What comes next; whole characters.")] = ""
    reasoning: Annotated[str, Meta(description="What comes next of the model's thoughts.")] = ""
    tool_calls: Annotated[
        list[ToolCallPart], Meta(description="What comes next of the tools that it calls.")
    ] = []
    tokens: Annotated[list[Count], Meta(description="The numbers of its tokens.")] = []
    steps: Annotated[list[Step], Meta(description="Its tokens' likelihoods, on request.")] = []
    finish: Annotated[
        Finish,
        Meta(description="'stop': it is at its end; 'length': at its limit; 'tool_calls'."),
    ] = ""
    stopped_by: Annotated[str, Meta(description="The text of `stop` that ended it.")] = ""
    prompt_tokens: Annotated[Count, Meta(description="On the last piece: tokens read.")] = 0
    cached_tokens: Annotated[
        Count, Meta(description="On the last piece: of those, known from an earlier prompt.")
    ] = 0
    generated_tokens: Annotated[Count, Meta(description="On the last piece: tokens made.")] = 0
    seconds: Annotated[
        float, Meta(description="On the last piece: how long the tokens took; 0: it is not known.")
    ] = 0.0
    model: Annotated[str, Meta(description="On the last piece: the model.")] = ""
    version: Annotated[str, Meta(description="On the last piece: its version.")] = ""
    digest: Annotated[str, Meta(description="On the last piece: what its files hash to.")] = ""
