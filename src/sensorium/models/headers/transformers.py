"""Folders as `transformers` writes them: config.json, and weights in safetensors files."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.models.headers import safetensors
from sensorium.models.headers.header import (
    MAX_BLOCKS,
    MAX_HEADS,
    MAX_LENGTH,
    MAX_NUMBER,
    MAX_TEXT,
    Attention,
    Header,
    dominant,
    listed,
    parsed,
    shown,
)
from sensorium.models.headers.native_types import NATIVE_TYPES
from sensorium.models.headers.source import Source, opened

CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"
TEMPLATE, TOKENISER = "chat_template.jinja", "tokenizer_config.json"
PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
MAX_CONFIG = 1 << 22
MAX_INDEX = 1 << 26
MAX_MAPPED = 1 << 19
MAX_SHARDS = 1024
MAX_FILES = 2000
MAX_DEPTH = 8
MAX_BITS = 8
WIDE_BYTES, PLAIN_BYTES = 4, 2
"""Of one number as float32, or as float16 and bfloat16."""
_MOST = {
    "num_hidden_layers": MAX_BLOCKS,
    "num_attention_heads": MAX_HEADS,
    "num_key_value_heads": MAX_HEADS,
    "head_dim": MAX_LENGTH,
    "hidden_size": MAX_LENGTH,
    "intermediate_size": MAX_LENGTH,
}
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}\.safetensors")


class _Sizes(Struct):
    """What a config tells of the model's shape, under the names that most use."""

    num_hidden_layers: Any = None
    num_attention_heads: Any = None
    num_key_value_heads: Any = None
    head_dim: Any = None
    hidden_size: Any = None
    intermediate_size: Any = None
    vocab_size: Any = None
    max_position_embeddings: Any = None
    n_positions: Any = None


class _Config(_Sizes):
    architectures: list[str] | None = None
    model_type: str | None = None
    dtype: Any = None
    torch_dtype: Any = None
    auto_map: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = None
    text_config: _Sizes | None = None


class _Tokeniser(Struct):
    chat_template: Any = None


class _Index(Struct):
    weight_map: dict[str, str] = field(default_factory=dict)


def read(folder: Path, *, trusted: bool = False) -> Header:
    """The header of a model in a folder; `trusted` takes one that brings code of its own.

    Raises:
        InvalidInputError: a file is malformed, or a pickle, or the model wants its own code run.
        NotFoundError: there is no such folder, or a file of it is missing.
    """
    _refuse_pickles(folder)
    with opened(folder / CONFIG) as source:
        config = parsed(_whole(source, MAX_CONFIG, CONFIG), _Config, CONFIG)
    code = _own_code(config)
    if code and not trusted:
        raise InvalidInputError(
            f"its config.json wants code of its own run ({listed(code)}), which is done for "
            "trusted models only"
        )
    tensors = safetensors.Tensors()
    files = _read_weights(folder, tensors)
    text = config.text_config or config
    counts = {
        name: _count(name, getattr(text, name) or getattr(config, name))
        for name in _Sizes.__struct_fields__
    }
    return Header(
        format="transformers",
        architecture=(config.model_type or "")[:MAX_TEXT],
        parameters=tensors.parameters,
        tensor_bytes=tensors.size,
        file_bytes=tensors.file_bytes,
        plain_bytes=_plain_bytes(config, tensors),
        tensors=len(tensors.names),
        context_length=counts["max_position_embeddings"] or counts["n_positions"],
        quantisation=_quantisation(config, tensors),
        attention=_attention(counts),
        details={**_details(config, files, code), **_chat_template(folder)},
    )


def _refuse_pickles(folder: Path) -> None:
    for number, name in enumerate(_files(folder, MAX_DEPTH)):
        if number >= MAX_FILES:
            raise InvalidInputError(f"its folder has more than {MAX_FILES} files")
        if name.lower().endswith(PICKLES):
            raise InvalidInputError(
                f"{shown(name)} is a pickle, which can run any code as it is loaded: only "
                "safetensors are read; remove it"
            )


def _files(folder: Path, depth: int) -> Iterator[str]:
    if not depth:
        raise InvalidInputError(f"its folders are nested more than {MAX_DEPTH} deep")
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path), depth - 1)
                else:
                    yield entry.name
    except (OSError, ValueError):
        raise NotFoundError("the model's folder is missing, or may not be read") from None


def _whole(source: Source, most: int, name: str) -> bytes:
    if source.size > most:
        raise InvalidInputError(f"{name} is longer than {most} bytes")
    return source.read(0, source.size)


def _own_code(config: _Config) -> list[str]:
    """The classes that only the model's own code has.

    Many models bring code for a type that the library has long had itself; it is not needed.
    """
    if not config.auto_map:
        return []
    if config.architectures and config.model_type in NATIVE_TYPES:
        return []
    return sorted(shown(str(each)) for each in config.auto_map.values())


def weight_files(folder: Path) -> list[Path]:
    """The files of weights, which lie in the folder itself.

    Raises:
        InvalidInputError: the index of them is malformed.
        NotFoundError: the folder may not be read.
    """
    return [folder / shard for shard in _shards(folder)]


def _read_weights(folder: Path, tensors: safetensors.Tensors) -> int:
    """How many files the weights are in; what they hold is added up."""
    shards = _shards(folder)
    for shard, names in shards.items():
        here = safetensors.Tensors()
        with opened(folder / shard) as source:
            safetensors.read_file(source, here)
        if not names <= here.names:
            raise InvalidInputError(f"{shown(shard)} does not hold what {INDEX} says")
        tensors.add(here)
    return len(shards)


def _shards(folder: Path) -> dict[str, set[str]]:
    """The names of the files of weights, sorted, and the tensors that the index has in each."""
    try:
        with opened(folder / INDEX) as source:
            data = _whole(source, MAX_INDEX, INDEX)
    except NotFoundError:
        return {SINGLE: set()}
    if data.count(b":") > MAX_MAPPED:
        raise InvalidInputError(f"{INDEX} names more than {MAX_MAPPED} tensors")
    mapped = parsed(data, _Index, INDEX).weight_map
    shards: dict[str, set[str]] = {shard: set() for shard in sorted(set(mapped.values()))}
    if not shards or len(shards) > MAX_SHARDS:
        raise InvalidInputError(f"{INDEX} names {len(shards)} files")
    for shard in shards:
        if not _SHARD.fullmatch(shard):
            raise InvalidInputError(f"{INDEX} names {shown(shard)}, which is no file beside it")
    for name, shard in mapped.items():
        shards[shard].add(name)
    return shards


def _chat_template(folder: Path) -> dict[str, str]:
    """Whether there is one, in a file of its own or in the tokeniser's config."""
    told = {"chat_template": "yes"}
    if (folder / TEMPLATE).is_file():
        return told
    try:
        with opened(folder / TOKENISER) as source:
            data = _whole(source, MAX_INDEX, TOKENISER)
    except NotFoundError:
        return {}
    return told if parsed(data, _Tokeniser, TOKENISER).chat_template else {}


def _count(name: str, value: Any) -> int:
    """A number of the config; per layer, some give a list."""
    if isinstance(value, list):
        value = max((each for each in value if isinstance(each, int)), default=0)
    if value is None or isinstance(value, str | dict):
        return 0
    most = _MOST.get(name, MAX_NUMBER)
    if not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidInputError(f"the {name} of config.json is no number from 0 to {most}")
    return int(value)


def _attention(counts: dict[str, int]) -> Attention | None:
    layers, heads = counts["num_hidden_layers"], counts["num_attention_heads"]
    if not layers or not heads:
        return None
    length = counts["head_dim"] or counts["hidden_size"] // heads
    return Attention(
        blocks=layers,
        heads=heads,
        kv_heads=layers * (counts["num_key_value_heads"] or heads),
        key_length=length,
        value_length=length,
        embedding_length=counts["hidden_size"],
        feed_forward_length=counts["intermediate_size"],
        vocabulary=counts["vocab_size"],
    )


def _quantisation(config: _Config, tensors: safetensors.Tensors) -> str:
    method = (config.quantization_config or {}).get("quant_method")
    return method[:MAX_TEXT] if isinstance(method, str) else dominant(tensors.sizes)


def _plain_bytes(config: _Config, tensors: safetensors.Tensors) -> int:
    """What the tensors take once packed weights have the type of the others."""
    bits = (config.quantization_config or {}).get("bits")
    if not tensors.packed or not isinstance(bits, int) or not 0 < bits <= MAX_BITS:
        return 0
    dtype = config.dtype or config.torch_dtype
    wide = WIDE_BYTES if dtype == "float32" else PLAIN_BYTES
    return tensors.size - tensors.packed - tensors.unpacking + tensors.packed * 8 // bits * wide


def _details(config: _Config, files: int, code: list[str]) -> dict[str, str]:
    dtype = config.dtype or config.torch_dtype
    found = {
        "architectures": listed(config.architectures or []),
        "dtype": dtype[:MAX_TEXT] if isinstance(dtype, str) else "",
        "files": str(files),
        "own_code": listed(code) or ("not needed" if config.auto_map else ""),
    }
    return {key: text for key, text in found.items() if text}
