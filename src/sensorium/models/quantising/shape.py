"""What the config of a model says that can become a GGUF, and why another's cannot."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.models.folder_files import read_json
from sensorium.models.headers.header import MAX_BLOCKS, MAX_HEADS, MAX_LENGTH, MAX_NUMBER

ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
}
"""What llama.cpp calls them; in `llama`, rows of queries and keys have another order."""
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
ROPES = ("default", "linear", "llama3")
Extent = Annotated[int, Meta(ge=1, le=MAX_LENGTH)]
Heads = Annotated[int, Meta(ge=1, le=MAX_HEADS)]
Positive = Annotated[float, Meta(gt=0, le=1e30)]
"""What float32 can hold, as GGUF has it."""


class Rope(Struct):
    """How positions turn queries and keys, and how those beyond the training are reached."""

    rope_theta: Positive = 10_000.0
    factor: Positive | None = None
    low_freq_factor: Positive | None = None
    high_freq_factor: Positive | None = None
    original_max_position_embeddings: Positive | None = None


class Config(Struct):
    """The parts of a `config.json` that are needed."""

    hidden_size: Extent
    intermediate_size: Extent
    num_hidden_layers: Annotated[int, Meta(ge=1, le=MAX_BLOCKS)]
    num_attention_heads: Heads
    vocab_size: Extent
    architectures: list[str] = []
    num_key_value_heads: Heads | None = None
    head_dim: Extent | None = None
    max_position_embeddings: Annotated[int, Meta(ge=1, le=MAX_NUMBER)] = 2048
    rms_norm_eps: Annotated[float, Meta(ge=0, le=1)] = 1e-6
    tie_word_embeddings: bool = False
    hidden_act: str = "silu"
    rope_theta: Positive | None = None
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None
    partial_rotary_factor: float | None = None
    sliding_window: int | None = None
    use_sliding_window: bool | None = None
    bos_token_id: Any = None
    eos_token_id: Any = None

    @property
    def architecture(self) -> str:
        """What llama.cpp calls it."""
        return ARCHITECTURES[self.architectures[0]]

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head_length(self) -> int:
        """Numbers in a query of one head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def rope(self) -> Rope:
        """See `Rope`.

        Raises:
            InvalidInputError: what the config tells of it is damaged.
        """
        base = {} if self.rope_theta is None else {"rope_theta": self.rope_theta}
        try:
            return msgspec.convert({**base, **self._positions}, Rope)
        except msgspec.ValidationError:
            raise damaged_positions() from None

    @property
    def rope_kind(self) -> str:
        """How positions beyond those of the training are reached."""
        told = self._positions.get("rope_type") or self._positions.get("type") or "default"
        return str(told)

    @property
    def _positions(self) -> dict[str, Any]:
        return {**(self.rope_scaling or {}), **(self.rope_parameters or {})}

    @property
    def context(self) -> int:
        """Tokens that a text may have; llama.cpp knows no window that slides in these models."""
        slides = self.sliding_window if self.use_sliding_window is not False else None
        return min(self.max_position_embeddings, slides or MAX_NUMBER)


def damaged_positions() -> InvalidInputError:
    """The error of a config that tells wrongly of positions."""
    return InvalidInputError("what its config.json says of positions is damaged")


def read_config(folder: Path) -> Config:
    """The config of a model that can be converted.

    Raises:
        InvalidInputError: it is missing or damaged.
        NotSupportedError: it is of another kind; says which.
    """
    whole = read_json(folder / "config.json", dict[str, Any])
    _check_kind(whole)
    try:
        config = msgspec.convert(whole, Config)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"its config.json is damaged: {str(error)[:200]}") from None
    _check_parts(config)
    return config


def _check_kind(whole: dict[str, Any]) -> None:
    if whole.get("quantization_config"):
        raise NotSupportedError(
            "its weights are quantised already: a GGUF is made of the model with plain weights"
        )
    named = whole.get("architectures")
    architecture = str(named[0])[:60] if isinstance(named, list) and named else "model of no kind"
    if any(whole.get(each) for each in EXPERTS) or "moe" in architecture.lower():
        raise NotSupportedError(
            f"it is a {architecture}, a mixture of experts, which is not converted"
        )
    if architecture not in ARCHITECTURES:
        raise NotSupportedError(f"it is a {architecture}; converted are {', '.join(ARCHITECTURES)}")


def _check_parts(config: Config) -> None:
    if config.hidden_act != "silu":
        raise NotSupportedError(f"it computes with {config.hidden_act[:40]!r}; known is 'silu'")
    if config.partial_rotary_factor not in (None, 1.0):
        raise NotSupportedError("positions turn only a part of its heads, which is not converted")
    if config.rope_kind not in ROPES:
        raise NotSupportedError(
            f"its positions are scaled by {config.rope_kind[:40]!r}; known are {', '.join(ROPES)}"
        )
    if config.rope.factor is None and config.rope_kind != "default":
        raise damaged_positions()
    if config.head_length % 2 or not config.head_length:
        raise InvalidInputError(
            f"its heads have a length of {config.head_length}, which positions cannot turn"
        )
