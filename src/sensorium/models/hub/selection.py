"""Which files of a repository to fetch: the models that are meant, and what goes with them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.core.settings import Secret
from sensorium.models.catalogue.manifest import FILE, Entry
from sensorium.models.catalogue.paths import file_of, folder_of, is_safe
from sensorium.models.catalogue.projectors import is_projector
from sensorium.models.catalogue.recognition import (
    REMOTE,
    TOKENIZER,
    Found,
    matching,
    models_among,
    suffix_format,
    tokenizer_of,
    transformers_among,
    weights_of,
)

SHOWN = 20
PICKLES = ("torchscript",)
"""Formats that a file may use to run code: fetched only where the caller names the file."""
COMPANIONS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer*.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab*.json", "vocab*.txt", "merges.txt", "normalizer.json", "spiece.model",
    "sentencepiece*.model", "chat_template.*", "model.safetensors.index.json", "modules.json",
    "sentence_bert_config.json", "config_sentence_transformers.json", "quantize_config.json",
)  # fmt: skip
LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*")
POOLINGS = "[0-9]_*/config.json"
"""Where sentence transformers say how tokens become one vector."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as its source lists it."""

    path: str
    size: int | None
    sha256: str = ""
    blob: str = ""
    """Its git blob id, where the source has nothing better."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at a commit, as the hub at `endpoint` lists it."""

    endpoint: str
    token: Secret
    """What was shown to the hub, and is for nobody else."""
    commit: str
    licence: str
    task: str
    files: tuple[RemoteFile, ...]


def select(repository: str, listed: Sequence[RemoteFile], wanted: Sequence[str]) -> list[Entry]:
    """The models to fetch, each with its files.

    A wanted file wins: it is named by its path, its name, or the end of its stem (`q4_k_m`).
    Without one, safetensors with their configuration are preferred, then the one ONNX file (or
    `model.onnx` among several), the one GGUF, the one of another format. Names that leave the
    folder are passed over, and so is what would have this server call an address of theirs.

    Raises:
        NotFoundError: a wanted file is not there.
        InvalidInputError: there are several that might be meant, or none that can be loaded.
    """
    sizes = {file.path: file.size or 0 for file in listed if _is_taken(file.path)}
    paths = sizes.keys()
    found = [_named(repository, name, sizes) for name in wanted] or [_usual(repository, sizes)]
    return [_entry(model, paths) for model in found]


def size_text(size: float) -> str:
    """Bytes as people read them: `397.8 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.4g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"


def _is_taken(path: str) -> bool:
    return is_safe(path) and path != FILE and file_of(path).lower() != REMOTE


def _usual(repository: str, sizes: dict[str, int]) -> Found:
    models = [model for model in models_among(sizes) if model.format not in PICKLES]
    for kind in ("transformers", "onnx", "gguf", "litert", "mediapipe", "lightgbm", "tokenizer"):
        of_kind = [model for model in models if model.format == kind]
        usual = [m for m in of_kind if m.path in ("model.onnx", "onnx/model.onnx")]
        if len(of_kind) == 1 or usual:
            return (usual or of_kind)[0]
        if of_kind:
            raise InvalidInputError(
                f"{repository} holds several models: write hf://{repository}:FILE with one of "
                + _choice(of_kind, sizes),
                details={"files": [model.path or model.weights[0] for model in of_kind]},
            )
    raise InvalidInputError(
        f"{repository} holds nothing that can be loaded unasked: safetensors with a config.json, "
        "or an .onnx, .gguf, .tflite or .task file; name another by hf://org/name:FILE"
    )


def _named(repository: str, name: str, sizes: dict[str, int]) -> Found:
    paths = sizes.keys()
    if name in sizes:
        if is_projector(name):
            raise InvalidInputError(f"{name[:80]!r} goes with a model: name that, and it comes too")
        found = _of_path(name, paths)
        if found is not None:
            return found
        raise InvalidInputError(f"{name[:80]!r} of {repository} is no model file, or lacks a part")
    own = (path for path in sorted(paths) if path != TOKENIZER and not is_projector(path))
    by_path = (_of_path(path, paths) for path in own)
    models = list(dict.fromkeys(model for model in by_path if model is not None))
    meant = matching(name, models)
    if len(meant) == 1:
        return meant[0]
    problem = f"names several files of {repository}" if meant else f"is not in {repository}"
    raise NotFoundError(f"{name[:80]!r} {problem}; there is {_choice(meant or models, sizes)}")


def _of_path(path: str, paths: Collection[str]) -> Found | None:
    """The model that one file is, or begins, or belongs to."""
    if path == TOKENIZER:
        return tokenizer_of(paths)
    if path.endswith(".safetensors"):
        sets = transformers_among(paths, folder_of(path))
        return next((model for model in sets if path in model.weights), None)
    kind = suffix_format(path) or ("lightgbm" if path.lower().endswith(".txt") else None)
    weights = weights_of(path, paths)
    if kind is None or not weights:
        return None
    return Found(kind, weights[0], weights)


def _entry(model: Found, paths: Collection[str]) -> Entry:
    patterns: tuple[str, ...] = LICENCES
    if model.format in ("transformers", "onnx"):
        patterns += COMPANIONS
    base = model.path if model.format == "transformers" else folder_of(model.path)
    beside = {
        path
        for path in paths
        if folder_of(path) in ("", base) and any(fnmatchcase(file_of(path), p) for p in patterns)
    }
    if model.format in ("transformers", "onnx"):
        beside |= {path for path in paths if fnmatchcase(path, POOLINGS)}
    files = tuple(sorted({*model.weights, *beside}))
    return Entry(format=model.format, path=model.path, weights=model.weights, files=files)


def _choice(models: Sequence[Found], sizes: dict[str, int]) -> str:
    texts = [
        f"{model.path or model.weights[0]} ({size_text(sum(sizes[p] for p in model.weights))})"
        for model in models[:SHOWN]
    ]
    more = f" and {len(models) - SHOWN} more" if len(models) > SHOWN else ""
    return (", ".join(texts) + more) or "no model file"
