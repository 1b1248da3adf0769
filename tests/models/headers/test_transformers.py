"""Folders of transformers: config, shards, no pickles, no code of their own."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.models.headers.reading import read_header
from tests.models.headers.building import TINYLM, entry, needs_tinylm, safetensors

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 512,
    "vocab_size": 100,
    "torch_dtype": "bfloat16",
}
ONE = safetensors({"a": entry("BF16", [4], 0, 8)}, 8)
TWO = safetensors({"b": entry("BF16", [8], 0, 16)}, 16)
INDEX = "model.safetensors.index.json"


def folder(path: Path, config: dict[str, Any] | bytes = CONFIG, **files: bytes) -> Path:
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    (path / "config.json").write_bytes(data)
    for name, body in (files or {"model": ONE}).items():
        (path / f"{name}.safetensors").write_bytes(body)
    return path


def index(path: Path, weight_map: Any) -> Path:
    (path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInputError) as refused:
        read_header(path, "transformers")
    assert str(path) not in refused.value.message
    return refused.value.message


@needs_tinylm
def test_tinylm_tells_what_it_is() -> None:
    header = read_header(TINYLM / "hf-f16", "transformers")
    assert header.architecture == "llama"
    assert (header.context_length, header.quantisation) == (256, "F16")
    assert header.attention is not None
    assert (header.attention.kv_heads, header.attention.key_length) == (16, 32)
    assert header.details["architectures"] == "LlamaForCausalLM"
    assert header.details["chat_template"] == "yes"


def test_a_chat_template_is_beside_the_config_or_in_the_tokenisers(tmp_path: Path) -> None:
    path = folder(tmp_path)
    assert "chat_template" not in read_header(path, "transformers").details
    (path / "tokenizer_config.json").write_text('{"chat_template": "{{ x }}", "other": [1]}')
    assert read_header(path, "transformers").details["chat_template"] == "yes"
    (path / "tokenizer_config.json").write_text("{")
    assert "tokenizer_config.json is malformed" in refusal(path)


def test_a_config_tells_the_shape(tmp_path: Path) -> None:
    header = read_header(folder(tmp_path), "transformers")
    assert header.attention is not None
    assert (header.attention.blocks, header.attention.kv_heads) == (2, 4)
    assert (header.attention.key_length, header.attention.vocabulary) == (16, 100)
    assert header.details == {
        "architectures": "LlamaForCausalLM",
        "dtype": "bfloat16",
        "files": "1",
    }


def test_the_language_part_of_a_model_of_several_senses_counts(tmp_path: Path) -> None:
    config = {
        "model_type": "gemma3",
        "text_config": {"num_hidden_layers": 5, "num_attention_heads": 2, "head_dim": 8},
        "vision_config": {"num_hidden_layers": 9},
        "vocab_size": 70,
    }
    header = read_header(folder(tmp_path, config), "transformers")
    assert header.attention is not None
    assert (header.attention.blocks, header.attention.kv_heads) == (5, 10)
    assert header.attention.vocabulary == 70


def test_weights_in_several_files_add_up(tmp_path: Path) -> None:
    path = folder(tmp_path, one=ONE, two=TWO)
    index(path, {"a": "one.safetensors", "b": "two.safetensors"})
    header = read_header(path, "transformers")
    assert (header.tensors, header.tensor_bytes, header.details["files"]) == (2, 24, "2")
    assert header.file_bytes == len(ONE) + len(TWO)


@pytest.mark.parametrize(
    ("weight_map", "why"),
    [
        ({"a": "../one.safetensors"}, "no file beside it"),
        ({"a": "/etc/passwd"}, "no file beside it"),
        ({"a": "sub/one.safetensors"}, "no file beside it"),
        ({"a": "one.bin"}, "no file beside it"),
        ({"a": "..safetensors"}, "no file beside it"),
        ({"a": "one.safetensors\0"}, "no file beside it"),
        ({"a": "one.safetensors", "b": "one.safetensors"}, "does not hold"),
        ({"a": "one.safetensors", "x": "same.safetensors"}, "does not hold"),
        ({"a": "one.safetensors", "b": "both.safetensors"}, "is in two files"),
        ({}, "names 0 files"),
        ({str(n): f"{n}.safetensors" for n in range(2000)}, "names 2000 files"),
        ([], "malformed"),
        ({"a": 1}, "malformed"),
        ({str(n): ":" * 100 for n in range(6000)}, "more than 524288 tensors"),
    ],
)
def test_what_is_wrong_with_an_index_is_said(tmp_path: Path, weight_map: Any, why: str) -> None:
    both = safetensors({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 1, 2)}, 2)
    path = index(folder(tmp_path, one=ONE, same=ONE, both=both), weight_map)
    assert why in refusal(path)


def test_files_that_are_missing_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_header(tmp_path / "nowhere", "transformers")
    with pytest.raises(NotFoundError):
        read_header(tmp_path, "transformers")
    path = folder(tmp_path, other=ONE)
    with pytest.raises(NotFoundError):
        read_header(path, "transformers")
    with pytest.raises(NotFoundError):
        read_header(index(path, {"a": "one.safetensors"}), "transformers")


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.PKL", "training_args.bin", "2_Dense/pytorch_model.bin"]
)
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path)
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_bytes(b"\x80\x02.")
    assert "is a pickle" in refusal(path)


def test_code_of_its_own_is_for_the_trusted(tmp_path: Path) -> None:
    mapped = {"AutoModel": "modeling_own.Own", "AutoConfig": "configuration_own.OwnConfig"}
    path = folder(tmp_path, {**CONFIG, "model_type": "own", "auto_map": mapped})
    assert "'modeling_own.Own'" in refusal(path)
    assert read_header(path, "transformers", trusted=True).architecture == "own"
    folder(tmp_path, {**CONFIG, "auto_map": mapped})
    assert read_header(path, "transformers").details["own_code"] == "not needed"


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (b"", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"model_type":"\xff"}', "malformed"),
        (b'{"auto_map":3}', "malformed"),
        (b" " * (5 << 20), "longer than 4194304"),
        ({"num_hidden_layers": -1}, "num_hidden_layers of config.json is no number"),
        ({"num_hidden_layers": 1 << 31}, "no number from 0 to 4096"),
        ({"hidden_size": 1.5}, "hidden_size of config.json is no number"),
        ({"vocab_size": 1 << 80}, "vocab_size of config.json is no number"),
    ],
)
def test_what_is_wrong_with_a_config_is_said(tmp_path: Path, config: Any, why: str) -> None:
    assert why in refusal(folder(tmp_path, config))


def test_folders_are_bounded(tmp_path: Path) -> None:
    path = folder(tmp_path)
    deep = path.joinpath(*"abcdefghij")
    deep.mkdir(parents=True)
    assert "nested more than 8 deep" in refusal(path)
    shutil.rmtree(path / "a")
    for number in range(2000):
        os.close(os.open(path / f"{number}.txt", os.O_CREAT))
    assert "more than 2000 files" in refusal(path)
