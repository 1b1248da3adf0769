"""Models as Ollama's clients read them: those there are, those loaded, one that is pulled."""

import hashlib
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from sensorium.core.dispatch import Answer
from sensorium.core.errors import SensoriumError
from sensorium.transports.http.compat.models import UNKNOWN_TIME, Entry, Listed, LoadedEntry
from sensorium.transports.http.compat.ollama.answers import NDJSON, SPACE, line, now
from sensorium.transports.http.compat.ollama.errors import error_body
from sensorium.transports.http.compat.ollama.names import theirs

NEVER_S = 10 * 365 * 86_400
"""How far ahead the end of a model lies that is not unloaded."""
LANGUAGE = ("gguf", "transformers", "remote")
"""The formats of models that these addresses can use."""
ENCODERS = ("bert", "t5encoder")
"""Parts of the names of architectures that give vectors and no text."""
EMBEDS = ("feature-extraction", "sentence-similarity")
SEES = ("image-text-to-text", "image-to-text", "visual-question-answering")
DEVICES = ("gpu", "cuda", "mps", "xpu")
MANIFEST = {"status": "pulling manifest"}
SUCCESS = {"status": "success"}


class Attention(Struct):
    """What is read of a language model's shape."""

    blocks: int = 0
    heads: int = 0
    embedding_length: int = 0
    vocabulary: int = 0


class Header(Struct):
    """What is read of what a model's files say of it."""

    architecture: str = ""
    parameters: int = 0
    context_length: int = 0
    quantisation: str = ""
    chat_template: str = ""
    details: dict[str, str] = {}
    attention: Attention | None = None


class Shown(Struct):
    """What is read of the answer of `models.get`."""

    entry: Entry
    header: Header | None = None


class Progress(Struct):
    """What is read of the items of `models.pull`."""

    phase: str
    file: str = ""
    done_bytes: int = 0
    total_bytes: int = 0


def tags(listed: Listed) -> dict[str, Any]:
    """The body that answers `/api/tags`: language models, by all the names that they have."""
    named = listed.named.items()
    return {"models": [_tag(name, each) for name, each in named if each.format in LANGUAGE]}


def running(listed: Listed) -> dict[str, Any]:
    """The body that answers `/api/ps`."""
    entries = {each.name: each for each in listed.models if each.format in LANGUAGE}
    return {
        "models": [_run(each, entries[each.name]) for each in listed.loaded if each.name in entries]
    }


def show(found: Shown) -> dict[str, Any]:
    """The body that answers `/api/show`; what is not known of a model is empty."""
    entry, header = found.entry, found.header or Header()
    return {
        "modelfile": "",
        "parameters": "",
        "template": header.chat_template,
        "license": entry.licence,
        "modified_at": UNKNOWN_TIME,
        "details": {
            **_details(entry),
            "family": header.architecture,
            "families": [header.architecture] if header.architecture else [],
            "parameter_size": _rounded(header.parameters) if header.parameters else "",
            "quantization_level": header.quantisation,
        },
        "model_info": {
            "general.basename": entry.name,
            "general.license": entry.licence,
            **_model_info(header),
        },
        "capabilities": _capabilities(entry, header),
    }


def _model_info(header: Header) -> dict[str, Any]:
    """Under the names that GGUF has for them, which apps look for; zeros are not known."""
    shape, kind = header.attention or Attention(), header.architecture
    known = {
        "general.architecture": kind,
        "general.parameter_count": header.parameters,
        f"{kind}.context_length": header.context_length,
        f"{kind}.block_count": shape.blocks,
        f"{kind}.embedding_length": shape.embedding_length,
        f"{kind}.attention.head_count": shape.heads,
        f"{kind}.vocab_size": shape.vocabulary,
    }
    return {name: value for name, value in known.items() if value}


def _rounded(parameters: int) -> str:
    """A number of parameters as it is part of models' names: `8.0B`."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if parameters >= size:
            return f"{parameters / size:.1f}{unit}"
    return str(parameters)


class PullSpeaker:
    """Lines that tell how far a pull is; see `speaking.Speaker`."""

    media_type = NDJSON
    keep_alive = SPACE

    def begin(self) -> Iterable[bytes]:
        """What is done first."""
        return (line(MANIFEST),)

    def item(self, answer: Answer) -> Iterable[bytes]:
        """How far it is."""
        found = answer.read(Progress)
        match found.phase:
            case "waiting":
                yield line({"status": "waiting for another pull of this model"})
            case "fetching":
                yield line(_fetching(found))
            case "checking":
                yield line({"status": "verifying sha256 digest"})
            case "done":
                yield line({"status": "writing manifest"})

    def end(self) -> Iterable[bytes]:
        """That all went well."""
        return (line(SUCCESS),)

    def fail(self, error: SensoriumError) -> Iterable[bytes]:
        """A line that the clients raise."""
        return (line(error_body(error)),)


def _capabilities(found: Entry, header: Header) -> list[str]:
    no_weights = found.format == "gguf" and not header.parameters
    if found.format not in LANGUAGE or no_weights:
        return []
    if found.task in EMBEDS or any(each in header.architecture.lower() for each in ENCODERS):
        return ["embedding"]
    sees = found.task in SEES or "pictures" in header.details
    return ["completion", "tools", *(["vision"] if sees else [])]


def _fetching(found: Progress) -> dict[str, Any]:
    # Clients draw a bar for each digest, and cut it short without looking how long it is. A
    # file's own is known once it is here, so that its name's stands for it.
    digest = f"sha256:{hashlib.sha256(found.file.encode()).hexdigest()}"
    told = {"status": f"pulling {found.file}", "digest": digest}
    return {**told, "total": found.total_bytes, "completed": found.done_bytes}


def _tag(name: str, entry: Entry) -> dict[str, Any]:
    return {
        "name": theirs(name),
        "model": theirs(name),
        "modified_at": UNKNOWN_TIME,
        "size": entry.size_bytes,
        "digest": entry.digest,
        "details": _details(entry),
    }


def _run(loaded: LoadedEntry, entry: Entry) -> dict[str, Any]:
    left_s = NEVER_S if loaded.expires_in_s is None else loaded.expires_in_s
    on_device = loaded.providers[:1] and loaded.providers[0] in DEVICES
    return {
        "name": theirs(entry.name),
        "model": theirs(entry.name),
        "size": loaded.memory_bytes,
        "size_vram": loaded.memory_bytes if on_device else 0,
        "digest": entry.digest,
        "details": _details(entry),
        "expires_at": now(min(left_s, NEVER_S)),
    }


def _details(entry: Entry) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": entry.format,
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
    }
