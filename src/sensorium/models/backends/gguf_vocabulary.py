"""A vocabulary alone becomes a model, so that llama.cpp loads it and tells tokens.

Such a file has a model's metadata and none of its tensors, and llama.cpp's server takes no model
without those. What its tokenizers read is copied as it is. The tensors beside it, of one layer as
narrow as may be, are all zero: a hole in the file, which takes no room on a disk.
"""

from math import prod
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.gguf import MAGIC
from sensorium.models.headers.metadata import CHUNK, STRING, Cursor, Items
from sensorium.models.headers.source import U32, U64, Source, opened

CONTEXT = 256
VERSION, ALIGNMENT, WIDTH = 3, 32, 32
TOKENS = "tokenizer.ggml.tokens"
READ = ("tokenizer.", "general.name")
"""Keys that llama.cpp's tokenizers read; the name tells it that a vocabulary is that of Phi 3."""
NUMBER, FLOAT = 4, 6
F32 = Struct("<f")
WHOLE, QUARTER = 0, 2
"""Types of tensors: F32, and Q4_0, of which a block is as wide as the layer and has 18 bytes."""
BLOCK_BYTES = 18
SQUARES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
Tensor = tuple[str, list[int], int]


def write_model(vocabulary: Path, target: Path) -> None:
    """Write a GGUF file with the vocabulary of another.

    Raises:
        InvalidInputError: that has none, or is malformed.
    """
    with opened(vocabulary) as source, target.open("wb") as file:
        spans, tokens = _spans(source)
        tensors = _tensors(tokens)
        ours = _shape()
        file.write(MAGIC + U32.pack(VERSION))
        file.write(U64.pack(len(tensors)) + U64.pack(len(ours) + len(spans)))
        file.write(b"".join(ours))
        for start, end in spans:
            _copy(source, start, end, file)
        size = 0
        for tensor in tensors:
            file.write(_row(tensor, size))
            size += _aligned(_bytes(tensor))
        file.truncate(_aligned(file.tell()) + size)


def _spans(source: Source) -> tuple[list[tuple[int, int]], int]:
    """Where the keys lie that are copied, with their values, and how many tokens there are."""
    cursor = Cursor(source, len(MAGIC))
    cursor.number(U32)
    cursor.number(U64)
    spans, tokens = [], 0
    for key, value, start in cursor.pairs(cursor.number(U64)):
        if key.startswith(READ):
            spans.append((start, cursor.at))
        if key == TOKENS and isinstance(value, Items):
            tokens = value.count
    if not tokens:
        raise InvalidInputError("it has no tensors, and no vocabulary either")
    return spans, tokens


def _copy(source: Source, start: int, end: int, file: BinaryIO) -> None:
    for at in range(start, end, CHUNK):
        file.write(source.read(at, min(CHUNK, end - at)))


def _shape() -> list[bytes]:
    """Keys and values of the model that the vocabulary is given."""
    numbers = {
        "context_length": CONTEXT,
        "embedding_length": WIDTH,
        "feed_forward_length": WIDTH,
        "block_count": 1,
        "attention.head_count": 1,
    }
    epsilon = _text("llama.attention.layer_norm_rms_epsilon") + U32.pack(FLOAT) + F32.pack(1e-5)
    return [
        _text("general.architecture") + U32.pack(STRING) + _text("llama"),
        *(_text(f"llama.{key}") + U32.pack(NUMBER) + U32.pack(n) for key, n in numbers.items()),
        epsilon,
    ]


def _tensors(tokens: int) -> list[Tensor]:
    norms = ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
    return [
        ("token_embd", [WIDTH, tokens], QUARTER),
        *((name, [WIDTH], WHOLE) for name in norms),
        *((f"blk.0.{name}", [WIDTH, WIDTH], WHOLE) for name in SQUARES),
    ]


def _row(tensor: Tensor, at: int) -> bytes:
    name, extents, kind = tensor
    shape = U32.pack(len(extents)) + b"".join(map(U64.pack, extents))
    return _text(f"{name}.weight") + shape + U32.pack(kind) + U64.pack(at)


def _bytes(tensor: Tensor) -> int:
    _, extents, kind = tensor
    numbers = prod(extents)
    return numbers // WIDTH * BLOCK_BYTES if kind == QUARTER else 4 * numbers


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT


def _text(text: str) -> bytes:
    data = text.encode()
    return U64.pack(len(data)) + data
