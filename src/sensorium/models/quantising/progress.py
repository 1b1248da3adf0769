"""What quantising a model tells while it runs. Light to load."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensorium.core.types import Count

Precision = Annotated[
    Literal["q8_0", "q4_K"],
    Meta(description="`q8_0`: 8.5 bits for each weight; `q4_K`: 4.5 for most of them."),
]
Phase = Literal["waiting", "quantising", "checking", "done"]


class QuantizeOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was made."""

    name: Annotated[str, Meta(description="What the model is called here.")]
    file: Annotated[str, Meta(description="Its file, relative to its folder.")]
    digest: Annotated[str, Meta(description="SHA-256 of its file.")]
    size_bytes: Annotated[Count, Meta(description="Bytes of its file.")]
    source_bytes: Annotated[Count, Meta(description="Bytes of the tensors that it was made of.")]
    tensors: Annotated[dict[str, Count], Meta(description="How many tensors have which type.")]
    kept: Annotated[
        str, Meta(description="Which tensors have more bits than was asked for, and why.")
    ] = ""
    licence: Annotated[str, Meta(description="That of the model that it was made of.")] = ""


class QuantizeProgress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far it is; the last one carries the outcome."""

    phase: Annotated[
        Phase,
        Meta(
            description="`waiting` until a pull of that name has ended, `quantising`, `checking` "
            "what was written, `done`."
        ),
    ]
    tensor: Annotated[str, Meta(description="The tensor that is being quantised.")] = ""
    done_bytes: Annotated[Count, Meta(description="Bytes of tensors read so far.")] = 0
    total_bytes: Annotated[Count, Meta(description="Of all its tensors; 0 while unknown.")] = 0
    outcome: Annotated[QuantizeOutcome | None, Meta(description="With the last item.")] = None


class Task(Struct, frozen=True, kw_only=True):
    """What the process that quantises is told."""

    root: str
    """The folder of models."""
    model: str
    """What the model that it is made of is called."""
    source: str
    """The folder of that model."""
    digest: str
    licence: str
    task: str
    precision: Precision
    folder: str
    """The folder that it goes into, below the root."""
