"""Text from a language model: what is asked, and the pieces in which it comes. Light to load."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sensorium.core.types import Count

Finish = Literal["", "stop", "length"]


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody said in a conversation."""

    role: Annotated[
        str, Meta(max_length=64, description="Who said it: `system`, `user`, `assistant`.")
    ]
    content: Annotated[str, Meta(max_length=10_000_000, description="What was said.")]


class Generation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to go on with, and how.

    Give `prompt` for a text as it is, or `messages` for a conversation, which the model's own
    template turns into a text.
    """

    prompt: Annotated[str, Meta(max_length=10_000_000, description="The text to go on with.")] = ""
    messages: Annotated[
        list[Message], Meta(max_length=10_000, description="A conversation, oldest first.")
    ] = []
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
        dict[str, Annotated[float, Meta(ge=-1000, le=1000)]],
        Meta(description="Added to a token's logit, by its number as text."),
    ] = {}
    json_schema: Annotated[
        dict[str, Any], Meta(description="The text is JSON of this schema; {}: of none.")
    ] = {}
    grammar: Annotated[
        str, Meta(max_length=100_000, description="The text is of this grammar (GBNF).")
    ] = ""


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
    tokens: Annotated[list[Count], Meta(description="The numbers of its tokens.")] = []
    steps: Annotated[list[Step], Meta(description="Its tokens' likelihoods, on request.")] = []
    finish: Annotated[
        Finish, Meta(description="'stop': it is at its end; 'length': at its limit.")
    ] = ""
    prompt_tokens: Annotated[Count, Meta(description="On the last piece: tokens read.")] = 0
    generated_tokens: Annotated[Count, Meta(description="On the last piece: tokens made.")] = 0
