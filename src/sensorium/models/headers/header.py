"""What the header of a model file tells, whatever its format."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec
from sensorium.core.types import Count
from sensorium.models.artifact import Format

MAX_NAME = 512
"""Bytes in the name of a tensor or of a member."""
MAX_BLOCKS = 4096
MAX_HEADS = 1 << 16
MAX_LENGTH = 1 << 24
"""Numbers in a hidden state, or in a part of one."""
MAX_NUMBER = 2**31 - 1
MAX_TEXT = 256
"""Characters of a text that goes into the details."""
MAX_LISTED = 32
"""How many of a kind the details name."""
SHOWN = 64

T = TypeVar("T")


class Attention(Struct, frozen=True, kw_only=True):
    """The shape of a language model, on which the memory for its context depends."""

    blocks: Annotated[Count, Meta(description="Its layers.")]
    heads: Annotated[Count, Meta(description="Query heads in a layer.")] = 0
    kv_heads: Annotated[Count, Meta(description="Key and value heads in all layers together.")] = 0
    key_length: Annotated[Count, Meta(description="Numbers in a key of one head.")] = 0
    value_length: Annotated[Count, Meta(description="Numbers in a value of one head.")] = 0
    embedding_length: Annotated[Count, Meta(description="Numbers in a hidden state.")] = 0
    feed_forward_length: Annotated[Count, Meta(description="Numbers inside its MLP.")] = 0
    vocabulary: Annotated[Count, Meta(description="Tokens that it knows.")] = 0


class Header(Struct, frozen=True, kw_only=True):
    """What a model file says of itself, as far as its format says it."""

    format: Annotated[Format, Meta(description="The format of the file.")]
    architecture: Annotated[str, Meta(description="What it calls its architecture.")] = ""
    parameters: Annotated[Count, Meta(description="Numbers in all its tensors.")] = 0
    tensor_bytes: Annotated[Count, Meta(description="Bytes of all its tensors.")] = 0
    file_bytes: Annotated[Count, Meta(description="Bytes of its files of weights.")] = 0
    plain_bytes: Annotated[
        Count, Meta(description="Bytes of its tensors, were packed weights plain; 0: none are.")
    ] = 0
    tensors: Annotated[Count, Meta(description="How many tensors it has.")] = 0
    inputs: Annotated[list[TensorSpec], Meta(description="What it takes.")] = []
    outputs: Annotated[list[TensorSpec], Meta(description="What it gives.")] = []
    context_length: Annotated[Count, Meta(description="Tokens at once; 0 if not told.")] = 0
    quantisation: Annotated[str, Meta(description="The type of most of its numbers.")] = ""
    attention: Annotated[Attention | None, Meta(description="Of a language model.")] = None
    operators: Annotated[list[str], Meta(description="Kinds of its nodes; [] if not told.")] = []
    chat_template: Annotated[str, Meta(description="How it wants conversations, in Jinja.")] = ""
    details: Annotated[dict[str, str], Meta(description="What else it tells.")] = {}


def shown(text: str) -> str:
    """A text from a file so that a message can hold it: quoted, short, printable."""
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def decoded(data: bytes, what: str) -> str:
    """UTF-8 from a file.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidInputError(f"{what} is no UTF-8") from None


def parsed(data: bytes, kind: type[T], what: str) -> T:
    """JSON from a file.

    Raises:
        InvalidInputError: it is none, or not of that kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInputError(f"{what} is malformed: {reason[:200]!a}") from None


def listed(names: list[str]) -> str:
    """Some names as one detail; of many, the first."""
    more = len(names) - MAX_LISTED
    text = ", ".join(name[:SHOWN] for name in names[:MAX_LISTED])
    return f"{text} and {more} more" if more > 0 else text


def dominant(sizes: dict[str, int]) -> str:
    """The type that most of the bytes are of."""
    return max(sizes, key=lambda kind: sizes[kind], default="")
