"""Headers of GGUF files, the format of llama.cpp.

A file is: magic, version, two counts, the metadata, a row for each tensor, padding, the tensors.
Versions 2 and 3, little-endian. What llama.cpp itself refuses is refused here, and so is every
tensor that is not inside the file or that shares bytes with another.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.ggml import TYPES
from sensorium.models.headers.header import (
    MAX_BLOCKS,
    MAX_HEADS,
    MAX_LENGTH,
    MAX_NUMBER,
    MAX_TEXT,
    Attention,
    Header,
    dominant,
    shown,
)
from sensorium.models.headers.metadata import Cursor, Items, Value
from sensorium.models.headers.source import U32, U64, Source, opened

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_TENSORS = 1 << 16
MAX_TENSOR_NAME = 256
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 1 << 20
MAX_SHARDS = 512
SMALLEST_ROW = 24
"""Bytes of a tensor's row without its name and its extents."""
SHARD = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf")


@dataclass
class _Tensors:
    """What the rows of tensors add up to."""

    names: set[str] = field(default_factory=set)
    parameters: int = 0
    size: int = 0
    file_bytes: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each type."""


def read(source: Source) -> Header:
    """The header of a GGUF file; of one in several files, that of the first with all tensors.

    Raises:
        InvalidInputError: it is malformed; says how.
        NotFoundError: a file of it is missing.
    """
    tensors = _Tensors()
    values = _read_file(source, tensors)
    shards = _count(values, "split.count", MAX_SHARDS)
    if shards > 1 and source.path is not None:
        _read_shards(source.path, shards, tensors)
        told = _count(values, "split.tensors.count", MAX_TENSORS)
        if told and told != len(tensors.names):
            raise InvalidInputError(f"its files hold {len(tensors.names)} tensors, not {told}")
    architecture = _text(values, "general.architecture")
    if not architecture:
        raise InvalidInputError("it does not tell its general.architecture")
    return Header(
        format="gguf",
        architecture=architecture,
        parameters=tensors.parameters,
        tensor_bytes=tensors.size,
        file_bytes=tensors.file_bytes,
        tensors=len(tensors.names),
        context_length=_count(values, f"{architecture}.context_length", MAX_NUMBER),
        quantisation=dominant(tensors.sizes),
        attention=_attention(values, architecture),
        chat_template=_template(values),
        details=_details(values, tensors),
    )


def _read_file(source: Source, tensors: _Tensors) -> dict[str, Value]:
    """The metadata of one file; its tensors are added to the others."""
    if source.read(0, min(4, source.size)) != MAGIC:
        raise InvalidInputError("it does not begin with GGUF")
    cursor = Cursor(source, 4)
    version = cursor.number(U32)
    if version not in VERSIONS:
        swapped = version and version % (1 << 16) == 0
        raise InvalidInputError(
            "big-endian GGUF is not read" if swapped else f"GGUF version {version} is not read"
        )
    rows, keys = cursor.number(U64), cursor.number(U64)
    if rows + len(tensors.names) > MAX_TENSORS:
        raise InvalidInputError(f"{rows} tensors are more than {MAX_TENSORS} in all")
    values = cursor.values(keys)
    alignment = _count(values, "general.alignment", MAX_ALIGNMENT, 32)
    if alignment & (alignment - 1) or not alignment:
        raise InvalidInputError(f"a general.alignment of {alignment} is no power of two")
    tensors.file_bytes += source.size
    source.check(cursor.at, rows * SMALLEST_ROW)
    spans = [_read_row(cursor, tensors, alignment) for _ in range(rows)]
    _check_spans(spans, cursor.at + -cursor.at % alignment, source.size)
    return values


def _read_row(cursor: Cursor, tensors: _Tensors, alignment: int) -> tuple[int, int]:
    """Where a tensor begins among the tensors, and its bytes."""
    name = cursor.text(MAX_TENSOR_NAME, "a tensor's name")
    if name in tensors.names:
        raise InvalidInputError(f"the tensor {shown(name)} comes twice")
    tensors.names.add(name)
    dimensions = cursor.number(U32)
    if dimensions > MAX_DIMENSIONS:
        raise InvalidInputError(f"{shown(name)} has {dimensions} dimensions")
    extents = [cursor.number(U64) for _ in range(dimensions)]
    numbers = 1
    for extent in extents:
        numbers *= extent
        if not 0 < numbers < 1 << 63:
            raise InvalidInputError(f"{shown(name)} has an impossible shape: {extents}")
    kind = TYPES.get(code := cursor.number(U32))
    if kind is None:
        raise InvalidInputError(f"{shown(name)} is of the unknown type {code}")
    if (extents[0] if extents else 1) % kind.block_numbers:
        raise InvalidInputError(
            f"{shown(name)} has rows of {extents[0] if extents else 1} numbers, "
            f"which are no whole blocks of {kind.name}"
        )
    offset = cursor.number(U64)
    if offset % alignment:
        raise InvalidInputError(f"{shown(name)} is not aligned to {alignment} bytes")
    size = numbers // kind.block_numbers * kind.block_bytes
    tensors.parameters += numbers
    tensors.size += size
    tensors.sizes[kind.name] = tensors.sizes.get(kind.name, 0) + size
    return offset, size


def _check_spans(spans: list[tuple[int, int]], start: int, end: int) -> None:
    """That tensors are inside the file and share no bytes."""
    free = 0
    for offset, size in sorted(spans):
        if offset < free:
            raise InvalidInputError(f"two tensors share the bytes from offset {offset} on")
        free = offset + size
        if free > end - start:
            raise InvalidInputError(
                f"a tensor of {size} bytes at offset {offset} goes beyond the end of the file"
            )


def _read_shards(path: Path, count: int, tensors: _Tensors) -> None:
    """The other files of a model that lies in several."""
    match = SHARD.fullmatch(path.name)
    if not match or int(match[2]) != 1 or int(match[3]) != count:
        raise InvalidInputError(
            f"it is one of {count} files: give the first, NAME-00001-of-{count:05}.gguf"
        )
    for number in range(2, count + 1):
        with opened(path.with_name(f"{match[1]}-{number:05}-of-{count:05}.gguf")) as source:
            _read_file(source, tensors)


def _attention(values: Mapping[str, Value], architecture: str) -> Attention | None:
    def count(name: str, most: int = MAX_LENGTH) -> int:
        return _count(values, f"{architecture}.{name}", most)

    def by_block(name: str, most: int, unsaid: list[int]) -> list[int]:
        return _by_block(values, f"{architecture}.{name}", most, unsaid)

    blocks = count("block_count", MAX_BLOCKS)
    if not blocks:
        return None
    nothing = [0] * blocks
    heads = by_block("attention.head_count", MAX_HEADS, nothing)
    embedding = count("embedding_length")
    each = embedding // max(*heads, 1)
    experts = count("expert_used_count") * count("expert_feed_forward_length")
    return Attention(
        blocks=blocks,
        heads=max(heads),
        kv_heads=sum(by_block("attention.head_count_kv", MAX_HEADS, heads)),
        key_length=count("attention.key_length") or each,
        value_length=count("attention.value_length") or each,
        embedding_length=embedding,
        feed_forward_length=max(*by_block("feed_forward_length", MAX_LENGTH, nothing), experts),
        vocabulary=count("vocab_size", MAX_NUMBER) or _length(values, "tokenizer.ggml.tokens"),
    )


def _by_block(values: Mapping[str, Value], key: str, most: int, unsaid: list[int]) -> list[int]:
    """A number that is told once for all layers, or for each of them."""
    value, blocks = values.get(key), len(unsaid)
    if value is None:
        return unsaid
    if not isinstance(value, list):
        return [_count(values, key, most)] * blocks
    if len(value) < blocks:
        raise InvalidInputError(f"{shown(key)} has {len(value)} values for {blocks} blocks")
    return [_checked(each, key, most) for each in value[:blocks]]


def _count(values: Mapping[str, Value], key: str, most: int, unsaid: int = 0) -> int:
    return _checked(values.get(key, unsaid), key, most)


def _checked(value: Value, key: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        told = shown(str(value)) if isinstance(value, int | float | str) else "an array"
        raise InvalidInputError(f"{shown(key)} is {told}, and no number from 0 to {most}")
    return value


def _text(values: Mapping[str, Value], key: str) -> str:
    value = values.get(key)
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _length(values: Mapping[str, Value], key: str) -> int:
    value = values.get(key)
    if isinstance(value, Items):
        return value.count
    return len(value) if isinstance(value, list) else 0


def _template(values: Mapping[str, Value]) -> str:
    value = values.get("tokenizer.chat_template")
    return value if isinstance(value, str) else ""


def _details(values: Mapping[str, Value], tensors: _Tensors) -> dict[str, str]:
    architecture = _text(values, "general.architecture")
    sees = architecture == "clip" and values.get("clip.has_vision_encoder") is True
    found = {
        "name": _text(values, "general.name"),
        "licence": _text(values, "general.license"),
        "tokeniser": _text(values, "tokenizer.ggml.model"),
        "chat_template": "yes" if "tokenizer.chat_template" in values else "",
        "bos": str(values.get("tokenizer.ggml.bos_token_id", "")),
        "eos": str(values.get("tokenizer.ggml.eos_token_id", "")),
        "pooling": str(values.get(f"{architecture}.pooling_type", "")),
        "projector": _text(values, "clip.projector_type")
        or _text(values, "clip.vision.projector_type"),
        "pictures": "yes" if sees else "",
        "files": str(_count(values, "split.count", MAX_SHARDS) or 1),
        "types": ", ".join(f"{kind} {size} bytes" for kind, size in sorted(tensors.sizes.items())),
    }
    return {key: text for key, text in found.items() if text}
