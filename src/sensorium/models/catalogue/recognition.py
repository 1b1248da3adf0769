"""Which models a list of files holds, told by their names."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sensorium.models.artifact import SUFFIXES, Format
from sensorium.models.catalogue.paths import file_of, folder_of, stem_of
from sensorium.models.catalogue.projectors import is_projector, projector_of

REMOTE = "remote.toml"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
_BESIDE_TOKENIZER = ("chat_template.jinja", "special_tokens_map.json", "tokenizer_config.json")
_WEIGHTS = (".safetensors", ".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".pt", ".pth")
"""Beside a file of weights, a tokenizer is that of a model, even of one that is not run."""
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[a-z]+)")
_PARTIAL_WEIGHTS = ("adapter_", "consolidated", "optimizer", "training_args")
"""Safetensors that are not the weights that `config.json` describes."""


@dataclass(frozen=True, slots=True)
class Found:
    """A model among the files: `path` is its file, or its folder for `transformers`."""

    format: Format
    path: str
    weights: tuple[str, ...]
    """All files without which it is not what it is: shards, external data, a projector."""

    @property
    def variant(self) -> str:
        """What tells it from other models in the same folder."""
        shard = _SHARD.fullmatch(file_of(self.path))
        return shard["stem"] if shard else stem_of(self.path)


def suffix_format(path: str) -> Format | None:
    """The format of a file that is a whole model, by its suffix."""
    name = file_of(path).lower()
    if name == REMOTE:
        return "remote"
    return next((SUFFIXES[suffix] for suffix in SUFFIXES if name.endswith(suffix)), None)


def models_among(paths: Collection[str], trees: Collection[str] = ()) -> list[Found]:
    """The models that the files at these relative paths are, in the order of preference.

    `trees` are `.txt` files whose content says that they are LightGBM models.
    """
    if REMOTE in paths:
        return [Found("remote", REMOTE, (REMOTE,))]
    found = transformers_among(paths)
    if found:
        return found
    files = [_of_file(path, paths) for path in sorted(paths) if path not in trees]
    boosted = [Found("lightgbm", path, (path,)) for path in sorted(trees)]
    models = [model for model in files if model is not None] + boosted
    return models or tokenizers_among(paths)


def tokenizers_among(paths: Collection[str]) -> list[Found]:
    """The one tokenizer whose model is not among the files; none where there are weights."""
    if TOKENIZER not in paths or any(path.lower().endswith(_WEIGHTS) for path in paths):
        return []
    return [tokenizer_of(paths)]


def tokenizer_of(paths: Collection[str]) -> Found:
    """The tokenizer among some files, with what lies beside it."""
    beside = (path for path in _BESIDE_TOKENIZER if path in paths)
    return Found("tokenizer", TOKENIZER, (TOKENIZER, *beside))


def transformers_among(paths: Collection[str], folder: str = "") -> list[Found]:
    """The sets of safetensors that lie beside a `config.json` in that folder of the files.

    One is returned where the names say which is meant: the sharded or single `model`.
    """
    beside = [path for path in sorted(paths) if folder_of(path) == folder]
    if CONFIG not in map(file_of, beside):
        return []
    weights = [
        path
        for path in beside
        if path.endswith(".safetensors") and not file_of(path).startswith(_PARTIAL_WEIGHTS)
    ]
    sets = [group for group in _groups(weights) if group]
    usual = [group for group in sets if _base(group[0]) == "model"]
    return [Found("transformers", folder, group) for group in usual[:1] or sets]


def weights_of(path: str, paths: Collection[str]) -> tuple[str, ...] | None:
    """The file with its shards, external data and projector; None where a shard is missing.

    It comes first. External data lies beside an ONNX file and begins with its name or its stem:
    `model.onnx_data`, `model.onnx.data`, `model.data`, `model.weights`.
    """
    shard = _SHARD.fullmatch(file_of(path))
    whole = (path,) if shard is None else _shards(path, shard, paths)
    if path.lower().endswith(".gguf") and whole and not is_projector(path):
        return whole + projector_of(path, paths)
    if shard is not None or not path.lower().endswith(".onnx"):
        return whole
    name, stem = file_of(path), stem_of(path)
    return (path, *sorted(p for p in paths if p != path and _is_data(p, path, name, stem)))


def matching(variant: str, models: Sequence[Found]) -> list[Found]:
    """The models that a variant means: a path, a file name, its stem, or the end of its stem.

    The end is compared without case and begins after a `-`, `.` or `_`, so `Q4_K_M` names
    `model-q4_k_m.gguf`. The first of these ways that finds any decides.
    """
    text = variant.lower()
    ways: Iterable[list[Found]] = (
        [model for model in models if variant == model.path],
        [model for model in models if variant in (file_of(model.path), model.variant)],
        [
            model
            for model in models
            if re.search(rf"(^|[-._]){re.escape(text)}$", model.variant.lower())
        ],
    )
    return next((found for found in ways if found), [])


def _of_file(path: str, paths: Collection[str]) -> Found | None:
    kind = suffix_format(path)
    shard = _SHARD.fullmatch(file_of(path))
    later_shard = shard is not None and int(shard["number"]) != 1
    if kind is None or kind == "remote" or later_shard or is_projector(path):
        return None
    weights = weights_of(path, paths)
    return Found(kind, path, weights) if weights else None


def _groups(weights: list[str]) -> Iterable[tuple[str, ...]]:
    for path in weights:
        shard = _SHARD.fullmatch(file_of(path))
        if shard is None or int(shard["number"]) == 1:
            yield weights_of(path, weights) or ()


def _base(path: str) -> str:
    shard = _SHARD.fullmatch(file_of(path))
    return shard["stem"] if shard else stem_of(path)


def _shards(path: str, shard: "re.Match[str]", paths: Collection[str]) -> tuple[str, ...] | None:
    folder, count = folder_of(path), int(shard["count"])
    if not 0 < count <= len(paths):
        return None
    names = [f"{shard['stem']}-{n:05}-of-{count:05}{shard['suffix']}" for n in range(1, count + 1)]
    wanted = tuple(f"{folder}/{name}" if folder else name for name in names)
    return wanted if set(wanted) <= set(paths) else None


def _is_data(path: str, model: str, name: str, stem: str) -> bool:
    if folder_of(path) != folder_of(model) or path.lower().endswith(".onnx"):
        return False
    other = file_of(path)
    of_name = other.startswith((f"{name}_data", f"{name}.data"))
    return of_name or other in (f"{stem}.data", f"{stem}.weights", f"{stem}.bin")
