"""What goes in and out of the `models` operations."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensorium.core.generation import Generation
from sensorium.core.tensors import Datatype, Tensor, TensorSpec
from sensorium.core.types import Count
from sensorium.models.backends.base import LoadOptions
from sensorium.models.headers.header import Header
from sensorium.models.quantising.progress import Precision

ModelName = Annotated[
    str, Meta(min_length=1, max_length=256, description="The model: org/name, a name or an alias.")
]
Version = Annotated[
    str, Meta(max_length=20, pattern="^[0-9]*$", description="A whole number; '' for the highest.")
]
KeepAlive = Annotated[
    Annotated[float, Meta(ge=-1, le=1e9)] | None,
    Meta(description="Seconds that it stays loaded unused; -1 for ever, 0 not at all."),
]
Shape = Annotated[list[Count], Meta(description="Its extents.")]


class InferRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tensors for a model."""

    model: ModelName
    version: Version = ""
    inputs: Annotated[
        list[Tensor], Meta(max_length=1024, description="Its inputs, each with its name.")
    ]
    outputs: Annotated[
        list[str], Meta(max_length=1024, description="Which outputs to give; [] for all.")
    ] = []
    raw: Annotated[
        bool,
        Meta(description="Elements as raw bytes; without it, as values where they are few."),
    ] = False
    tag: Annotated[str, Meta(max_length=65_536, description="Comes back with the answer.")] = ""


class OutputTensor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model gave under one name; its elements stand in one of three fields."""

    name: Annotated[str, Meta(description="Its name.")]
    datatype: Annotated[Datatype, Meta(description="What its elements are.")]
    shape: Shape
    data: Annotated[
        bytes, Meta(description="Elements, raw: on request, or where they are many.")
    ] = b""
    values: Annotated[list[float | None], Meta(description="Elements, as numbers.")] = []
    strings: Annotated[list[str], Meta(description="Elements of BYTES, as text.")] = []


class InferResponse(Struct, frozen=True, kw_only=True):
    """What the model gave."""

    model: Annotated[str, Meta(description="Its name.")]
    version: Annotated[str, Meta(description="Its version.")]
    digest: Annotated[str, Meta(description="What its files hash to (SHA-256).")]
    outputs: Annotated[list[OutputTensor], Meta(description="In the order that was asked for.")]
    tag: Annotated[str, Meta(description="The request's.")] = ""


class GenerateRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text for a language model to go on with."""

    model: ModelName
    version: Version = ""
    task: Annotated[Generation, Meta(description="The text, and how to go on with it.")]


State = Literal["unloaded", "untested", "ready", "failing"]


class ModelEntry(Struct, frozen=True, kw_only=True):
    """A model that is on disk."""

    name: Annotated[str, Meta(description="Its name.")]
    version: Annotated[str, Meta(description="Its version.")]
    format: Annotated[str, Meta(description="The format of its files.")]
    size_bytes: Annotated[Count, Meta(description="Bytes of all its files.")]
    digest: Annotated[str, Meta(description="What its files hash to (SHA-256); '' unknown.")] = ""
    licence: Annotated[str, Meta(description="Its licence, where that is known.")] = ""
    task: Annotated[str, Meta(description="What it is for, where that is known.")] = ""
    source: Annotated[str, Meta(description="Where it was fetched from.")] = ""
    state: Annotated[State, Meta(description="Once loaded: as its latest real inference was.")] = (
        "unloaded"
    )


class ListRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which models to list."""

    loaded: Annotated[bool, Meta(description="Only those that are loaded.")] = False


class LoadedEntry(Struct, frozen=True, kw_only=True):
    """A model that is loaded."""

    name: Annotated[str, Meta(description="Its name.")]
    version: Annotated[str, Meta(description="Its version.")]
    platform: Annotated[str, Meta(description="What runs it.")]
    inputs: Annotated[list[TensorSpec], Meta(description="What it takes.")]
    outputs: Annotated[list[TensorSpec], Meta(description="What it gives.")]
    providers: Annotated[list[str], Meta(description="What computes.")]
    degraded: Annotated[str, Meta(description="Why it is not what was asked for, if so.")] = ""
    joins_calls: Annotated[
        bool, Meta(description="Whether calls that wait are joined into one run.")
    ]
    state: Annotated[State, Meta(description="As its latest real inference was.")]
    memory_bytes: Annotated[Count, Meta(description="What it is reckoned to hold.")]
    in_use: Annotated[Count, Meta(description="Calls that wait for it or run.")]
    expires_in_s: Annotated[
        float | None, Meta(description="Seconds until it is unloaded unused; null: it is not.")
    ] = None
    load_s: Annotated[float, Meta(description="How long it took to load.")]


class Models(Struct, frozen=True, kw_only=True):
    """The models of this server."""

    models: Annotated[list[ModelEntry], Meta(description="By name and version.")]
    loaded: Annotated[list[LoadedEntry], Meta(description="Those that are loaded.")]
    aliases: Annotated[dict[str, str], Meta(description="Other names, and what they mean.")] = {}


class GetRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model to describe."""

    model: ModelName
    version: Version = ""
    load: Annotated[
        bool, Meta(description="Load it if it is not, to tell what it takes and gives.")
    ] = False
    header: Annotated[
        bool, Meta(description="Also read what its files say of it: its context, its template, …")
    ] = False


class Model(Struct, frozen=True, kw_only=True):
    """A model: what is on disk, and what is loaded."""

    entry: Annotated[ModelEntry, Meta(description="What is on disk.")]
    versions: Annotated[list[str], Meta(description="The versions on disk.")]
    loaded: Annotated[LoadedEntry | None, Meta(description="null while it is not loaded.")] = None
    header: Annotated[
        Header | None, Meta(description="What its files say of it; null where nobody asked.")
    ] = None


class FilesRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose files to list."""

    model: ModelName
    version: Version = ""


class ModelFile(Struct, frozen=True, kw_only=True):
    """A file of a model."""

    path: Annotated[str, Meta(description="Its path in the model's folder, with '/'.")]
    size_bytes: Annotated[Count, Meta(description="Its bytes.")]
    sha256: Annotated[str, Meta(description="What it hashes to.")]


class ModelFiles(Struct, frozen=True, kw_only=True):
    """The files of one version of a model."""

    model: Annotated[str, Meta(description="Its name.")]
    version: Annotated[str, Meta(description="Its version.")]
    versions: Annotated[list[str], Meta(description="The versions on disk, the lowest first.")]
    digest: Annotated[
        str, Meta(description="What models.get tells; '' where the folder holds several models.")
    ] = ""
    commit: Annotated[
        str, Meta(description="40 hexadecimal digits that stand for exactly these files.")
    ]
    licence: Annotated[str, Meta(description="Its licence, where that is known.")] = ""
    task: Annotated[str, Meta(description="What it is for, where that is known.")] = ""
    source: Annotated[str, Meta(description="Where it was fetched from.")] = ""
    files: Annotated[list[ModelFile], Meta(description="By path.")]


class LoadRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model to load, and how."""

    model: ModelName
    version: Version = ""
    options: Annotated[
        LoadOptions | None, Meta(description="How; null: as it is, or by default.")
    ] = None
    keep_alive_s: KeepAlive = None
    fresh: Annotated[
        bool, Meta(description="Load it anew from disk, even if it is loaded already.")
    ] = False
    alias: Annotated[
        str, Meta(max_length=256, description="Another name under which it answers from now on.")
    ] = ""


class UnloadRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model to unload."""

    model: ModelName
    version: Annotated[Version, Meta(description="A whole number; '' for all of them.")] = ""


class DeleteRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model to delete from disk."""

    model: ModelName


class PullRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model to fetch."""

    model: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="hf://org/name[@revision][:file], https://…, file:///…, or a short name.",
        ),
    ]
    sha256: Annotated[
        str,
        Meta(pattern="^([0-9a-fA-F]{64})?$", description="What its one file must hash to."),
    ] = ""


class QuantizeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model to make a GGUF of."""

    model: ModelName
    version: Version = ""
    to: Precision
    name: Annotated[
        str,
        Meta(max_length=190, description="What to call it; '' for NAME-q8_0 or NAME-q4_k."),
    ] = ""


class Done(Struct, frozen=True, kw_only=True):
    """It is done."""

    model: Annotated[str, Meta(description="The model's name.")]
