"""What a folder of transformers holds, seen before the library reads it: no code, no pickles."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.loading import how_to_install
from sensorium.models.dequantising import is_dequantised
from sensorium.models.folder_files import read_json

Kind = Literal["generates", "sees", "looks", "classifies", "embeds"]
"""`sees`: takes pictures in a conversation; `looks`: answers to tasks about one picture."""
Pooling = Literal["mean", "cls", "max", "last"]
QUANTISED: dict[str, tuple[str, ...]] = {
    "bitsandbytes": ("bitsandbytes", "accelerate"),
    "gptq": ("gptqmodel",),
    "awq": ("gptqmodel",),
    "compressed-tensors": ("compressed_tensors",),
}
"""The libraries that weights of a quantisation need."""
SEEING = frozenset(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())
POOLINGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
"""What sentence-transformers calls them."""
PASSED_OVER = ("Transformer", "Pooling", "Normalize")


class _Quantisation(Struct):
    quant_method: str = ""
    load_in_4bit: bool = False
    load_in_8bit: bool = False


class _Config(Struct):
    architectures: Annotated[list[str], Meta(max_length=16)] = []
    model_type: str = ""
    auto_map: Any = None
    quantization_config: _Quantisation | None = None


class _Module(Struct):
    type: str
    path: str = ""


class Described(Struct, frozen=True, kw_only=True):
    """What a folder holds."""

    kind: Kind
    pooling: Pooling = "mean"
    max_tokens: int = 0
    """Of a text to embed, where the folder says so; 0: as the model's configuration says."""
    quantised: bool = False
    dequantised: bool = False
    """Whether its quantised weights become plain numbers on load."""
    begins: bool = False
    """Whether the tokenizer's configuration says that every text has a token that begins it."""


def describe(folder: Path) -> Described:
    """What the model in a folder does.

    Raises:
        InvalidInputError: it is damaged, or of a kind that is not run.
        UnavailableError: a library that its quantisation needs is not installed.
    """
    whole = read_json(folder / "config.json", dict[str, Any])
    if _names_code(whole):
        raise InvalidInputError("its config.json names code of another place, which is never run")
    try:
        config = msgspec.convert(whole, _Config)
    except msgspec.ValidationError:
        raise InvalidInputError("its config.json is damaged") from None
    architecture = config.architectures[0] if config.architectures else ""
    if config.model_type not in CONFIG_MAPPING:
        code = ", and it comes with code of its own, which is never run" if config.auto_map else ""
        known = f"transformers does not know {config.model_type[:40]!r} models"
        raise InvalidInputError(known + code)
    if (folder / "adapter_config.json").exists():
        raise InvalidInputError("it holds an adapter: merge it into its model and save that")
    if not any(folder.glob("*.safetensors")):
        raise InvalidInputError("it has no safetensors, and weights in pickles are never loaded")
    plain = _is_plain(config.quantization_config)
    described = _kind(folder, architecture)
    quantised = config.quantization_config is not None
    return msgspec.structs.replace(
        described, quantised=quantised and not plain, dequantised=quantised and plain
    )


def _kind(folder: Path, architecture: str) -> Described:
    if (folder / "modules.json").is_file():
        return _sentences(folder)
    if architecture.endswith(("ForCausalLM", "LMHeadModel")):
        return Described(kind="generates", begins=_begins(folder))
    if architecture == "Florence2ForConditionalGeneration":
        return Described(kind="looks")
    if architecture in SEEING:
        return Described(kind="sees", begins=_begins(folder))
    if architecture.endswith("ForSequenceClassification"):
        return Described(kind="classifies")
    if architecture.endswith("Model"):
        return Described(kind="embeds")
    raise InvalidInputError(
        f"it is a {architecture[:60] or 'model without an architecture'}; run are ForCausalLM, "
        "ForSequenceClassification, encoders (Model), and those that take images with a text"
    )


def _names_code(value: Any) -> bool:
    """Whether an implementation is one that the library would fetch from a hub and run."""
    if isinstance(value, list):
        return any(map(_names_code, value))
    if not isinstance(value, dict):
        return False
    named = ("/" in str(each) for key, each in value.items() if key.endswith("_implementation"))
    return any(named) or any(map(_names_code, value.values()))


def _begins(folder: Path) -> bool:
    path = folder / "tokenizer_config.json"  # the library forgets this part of it
    return path.is_file() and read_json(path, dict[str, Any]).get("add_bos_token") is True


def _is_plain(found: _Quantisation | None) -> bool:
    """Whether the weights are plain numbers, or become so because no library here takes them."""
    if found is None or is_dequantised(found.quant_method):
        return True
    either = found.load_in_4bit or found.load_in_8bit
    method = found.quant_method or ("bitsandbytes" if either else "")
    if method not in QUANTISED:
        raise InvalidInputError(f"its weights are quantised by {method[:40]!r}, which is not run")
    for library in QUANTISED[method]:
        if find_spec(library) is None:
            raise UnavailableError(
                f"its weights are quantised by {method}, which needs {library}: "
                f"{how_to_install(library)}",
                details={"missing": library},
            )
    return False


def _sentences(folder: Path) -> Described:
    """What sentence-transformers says of a folder: how the vectors of tokens become one."""
    modules = read_json(folder / "modules.json", list[_Module])
    kinds = [each.type.rpartition(".")[2] for each in modules]
    unknown = [kind for kind in kinds if kind not in PASSED_OVER]
    if unknown:
        raise InvalidInputError(f"its modules.json has {unknown[0][:40]}, which is not run")
    pooling: Pooling = "mean"
    for kind, module in zip(kinds, modules, strict=True):
        if kind == "Pooling":
            pooling = _pooling(folder, module.path)
    limit = 0
    if (folder / "sentence_bert_config.json").is_file():
        found = read_json(folder / "sentence_bert_config.json", dict[str, Any])
        limit = found.get("max_seq_length") or 0
    return Described(
        kind="embeds", pooling=pooling, max_tokens=limit if isinstance(limit, int) else 0
    )


def _pooling(folder: Path, path: str) -> Pooling:
    inside = folder / path / "config.json"
    if not inside.resolve().is_relative_to(folder.resolve()):
        raise InvalidInputError("its modules.json names a file outside of its folder")
    config = read_json(inside, dict[str, Any])
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise InvalidInputError("it pools in a way that is not run; run are mean, cls, max, last")
    return POOLINGS[modes[0]]
