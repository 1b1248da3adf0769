"""Which tensors a GGUF has, of what type, and what each is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.models.headers.ggml import TYPES
from sensorium.models.quantising.progress import Precision
from sensorium.models.quantising.rope import factors
from sensorium.models.quantising.shape import Config
from sensorium.models.quantising.weights import Weights

LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
WHOLE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
}
HEAD = "lm_head.weight"
PASSED_OVER = (".rotary_emb.inv_freq",)
"""What older files hold, and is computed."""
GGML = {each.name: each for each in TYPES.values()}
WANTED: dict[Precision, tuple[str, ...]] = {
    "q8_0": ("Q8_0", "F16"),
    "q4_K": ("Q4_K", "Q8_0", "F16"),
}
"""Types by preference: a row must hold whole blocks."""
OUTER = ("token_embd.weight", "output.weight")
"""Where errors are heard most: these have 8 bits at least."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor of the file."""

    name: str
    source: str
    """The tensor that it is made of; empty where it is computed."""
    shape: tuple[int, ...]
    type: str
    heads: int = 0
    """Its rows are in another order, within so many heads; 0: they are not."""
    values: Any = None

    @property
    def row_bytes(self) -> int:
        """Of one row in the file."""
        kind = GGML[self.type]
        return self.shape[-1] // kind.block_numbers * kind.block_bytes

    @property
    def rows(self) -> int:
        """How many it has; a vector is one."""
        return self.shape[0] if len(self.shape) > 1 else 1


def planned(config: Config, weights: Weights, precision: Precision) -> list[Planned]:
    """The tensors of the file, in its order.

    Raises:
        InvalidInputError: one is missing, or of another shape than the config says.
        NotSupportedError: there is one that is not known.
    """
    shapes = _shapes(config, weights.names)
    if missing := sorted({*shapes} - weights.names):
        raise InvalidInputError(f"its files lack {len(missing)} tensors, such as {missing[0][:80]}")
    _check_known(weights.names - {*shapes}, config)
    for name, (_, shape) in shapes.items():
        if weights.shape(name) != shape:
            raise InvalidInputError(
                f"its {name} is {weights.shape(name)}, but its config.json says {shape}"
            )
    found = [
        Planned(
            name=called,
            source=name,
            shape=shape,
            type=_type(called, shape, precision),
            heads=_heads(called, config),
        )
        for name, (called, shape) in shapes.items()
    ]
    divided = factors(config)
    if divided is not None:
        found.append(Planned("rope_freqs.weight", "", divided.shape, "F32", values=divided))
    return found


def kept(tensors: Iterable[Planned], precision: Precision) -> str:
    """Which matrices have more bits than was asked for, and why; empty where none has."""
    wanted = WANTED[precision][0]
    more = [each for each in tensors if each.type not in (wanted, "F32")]
    outer = [each.name for each in more if each.name in OUTER and each.type == "Q8_0"]
    narrow = [each.name for each in more if each.name not in outer]
    told = []
    if outer:
        told.append(f"{' and '.join(outer)} in Q8_0, as errors there are heard most")
    if narrow:
        kinds = sorted({each.type for each in more if each.name in narrow})
        told.append(
            f"{len(narrow)} tensors in {' and '.join(kinds)}, as their rows hold no whole blocks "
            f"of {GGML[wanted].block_numbers}"
        )
    return "; ".join(told)


def _shapes(config: Config, there: set[str]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """What each tensor is called in the file, and its shape, by its name in the folder."""
    wide, inner = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_length
    keys = config.kv_heads * config.head_length
    matrices = {
        "attn_q": (queries, wide),
        "attn_k": (keys, wide),
        "attn_v": (keys, wide),
        "attn_output": (wide, queries),
        "ffn_gate": (inner, wide),
        "ffn_up": (inner, wide),
        "ffn_down": (wide, inner),
    }
    embedding, norm = WHOLE
    found: dict[str, tuple[str, tuple[int, ...]]] = {
        embedding: (WHOLE[embedding], (config.vocab_size, wide)),
        norm: (WHOLE[norm], (wide,)),
    }
    if not config.tie_word_embeddings:
        found[HEAD] = ("output.weight", (config.vocab_size, wide))
    for layer in range(config.num_hidden_layers):
        for part, called in LAYER.items():
            shape = matrices.get(called, (wide,))
            name, target = f"model.layers.{layer}.{part}", f"blk.{layer}.{called}"
            found[f"{name}.weight"] = (f"{target}.weight", shape)
            if called in matrices and f"{name}.bias" in there:
                found[f"{name}.bias"] = (f"{target}.bias", shape[:1])
    return found


def _check_known(others: set[str], config: Config) -> None:
    tied = {HEAD} if config.tie_word_embeddings else set()
    unknown = [each for each in sorted(others - tied) if not each.endswith(PASSED_OVER)]
    if unknown:
        raise NotSupportedError(
            f"it has {len(unknown)} tensors that are not converted, such as {unknown[0][:80]}"
        )


def _type(called: str, shape: tuple[int, ...], precision: Precision) -> str:
    if len(shape) == 1:
        return "F32"
    wanted = WANTED["q8_0" if called in OUTER else precision]
    return next(each for each in wanted if shape[-1] % GGML[each].block_numbers == 0)


def _heads(called: str, config: Config) -> int:
    if config.architecture != "llama":
        return 0
    part = called.split(".")[-2]
    return {"attn_q": config.num_attention_heads, "attn_k": config.kv_heads}.get(part, 0)
