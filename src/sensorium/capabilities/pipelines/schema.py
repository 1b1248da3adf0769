"""What a pipeline is, and what goes in and out of the `pipelines` operations."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

MAX_STAGES = 64

Name = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=64,
        pattern="^[a-z][a-z0-9_-]*$",
        description="Its name: small letters, digits, _ and -.",
    ),
]
Chosen = Annotated[
    str,
    Meta(
        max_length=64,
        pattern="^([a-z][a-z0-9_-]+)?$",
        description="The name of a declared pipeline; '' where `pipeline` holds one.",
    ),
]
Member = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z][a-z0-9_]*$")]
Description = Annotated[str, Meta(max_length=2000, description="What it is for.")]
Request = Annotated[
    dict[str, Any],
    Meta(
        max_length=256,
        description="What it is given: literals, and references such as $input.lines or "
        "$scan.clusters[0].template to what earlier stages gave.",
    ),
]
Limit = Annotated[
    Annotated[float, Meta(gt=0, le=86_400)] | None,
    Meta(description="It is late after so many seconds; null: when its pipeline is."),
]


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that a pipeline is given."""

    kind: Annotated[
        str,
        Meta(
            max_length=200,
            description="any, null, bool, int, float, text, bytes, list, map, tensor, image, "
            "audio or series; list[text] says what it holds, text? that null will do.",
        ),
    ] = "any"
    default: Annotated[
        Any, Meta(description="What it is when it is not given; null: it must be given.")
    ] = None
    description: Description = ""


class Fallback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stage gives when it fails or is late; with no name in it: `value`."""

    operation: Annotated[str, Meta(max_length=256, description="An operation.")] = ""
    model: Annotated[str, Meta(max_length=256, description="A model.")] = ""
    function: Annotated[str, Meta(max_length=64, description="A function.")] = ""
    request: Request = {}
    value: Annotated[Any, Meta(description="A literal, or a reference.")] = None
    deadline_s: Limit = None


class Stage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step: an operation, a model or a function."""

    name: Annotated[Member, Meta(description="How later stages refer to it.")]
    description: Description = ""
    operation: Annotated[str, Meta(max_length=256, description="An operation to call.")] = ""
    model: Annotated[
        str, Meta(max_length=256, description="A model to run; its request holds its inputs.")
    ] = ""
    function: Annotated[
        str, Meta(max_length=64, description="A function to apply; the documents list them.")
    ] = ""
    request: Request = {}
    when: Annotated[
        list[Annotated[str, Meta(max_length=1000)]],
        Meta(
            max_length=16,
            description="Run it only if all of these hold, such as $scan.line_count > 100.",
        ),
    ] = []
    after: Annotated[
        list[Member],
        Meta(max_length=MAX_STAGES, description="Stages to wait for beside those referred to."),
    ] = []
    deadline_s: Limit = None
    fallback: Annotated[
        Fallback | None, Meta(description="Instead of its failure, if it fails or is late.")
    ] = None


class Pipeline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stages, what they are given, and what comes of them."""

    name: Annotated[
        str,
        Meta(max_length=64, pattern="^([a-z][a-z0-9_-]+)?$", description="In a file: as the file."),
    ] = ""
    description: Description = ""
    inputs: Annotated[
        dict[Member, Input], Meta(max_length=64, description="What it is given, by name.")
    ] = {}
    stages: Annotated[
        list[Stage],
        Meta(min_length=1, max_length=MAX_STAGES, description="Its steps, each before its users."),
    ]
    outputs: Annotated[
        dict[Annotated[str, Meta(max_length=64)], Any],
        Meta(max_length=64, description="What it gives: references and literals by name."),
    ] = {}
    deadline_s: Annotated[
        Annotated[float, Meta(gt=0, le=86_400)] | None,
        Meta(description="It is late after so many seconds; null: when its caller says."),
    ] = None


def _no_inputs() -> msgspec.Raw:
    return msgspec.Raw(b"{}")  # made by a function, because a JSON schema cannot show a Raw


class RunRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pipeline to run, and on what."""

    name: Chosen = ""
    pipeline: Annotated[Pipeline | None, Meta(description="The pipeline itself.")] = None
    inputs: Annotated[
        msgspec.Raw, Meta(description="An object of its inputs by name, each as its kind is.")
    ] = field(default_factory=_no_inputs)


class StageRecord(Struct, frozen=True, kw_only=True):
    """What became of a stage."""

    name: Annotated[str, Meta(description="Its name.")]
    state: Annotated[
        Literal["ran", "skipped", "fell_back", "failed"], Meta(description="How it ended.")
    ]
    seconds: Annotated[float, Meta(description="How long it took, without waiting for others.")]
    reason: Annotated[str, Meta(description="Why, if it did not simply run.")] = ""


class RunResponse(Struct, frozen=True, kw_only=True):
    """What a pipeline gave."""

    outputs: Annotated[
        msgspec.Raw,
        Meta(
            description="An object of its outputs by name. What JSON has no word for stands in "
            '{"$tensor": …}, $image, $audio, $series or $bytes.'
        ),
    ] = field(default_factory=_no_inputs)
    degraded: Annotated[
        str, Meta(description="Which stages fell back, and why; '' if none did.")
    ] = ""
    stages: Annotated[list[StageRecord], Meta(description="Every stage, in its order.")]
    seconds: Annotated[float, Meta(description="How long all of it took.")]


class CheckRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pipeline to check."""

    name: Chosen = ""
    pipeline: Annotated[Pipeline | None, Meta(description="The pipeline itself.")] = None


class Problem(Struct, frozen=True, kw_only=True):
    """Something that would not work."""

    stage: Annotated[str, Meta(description="The stage that it is in; '' if in none.")]
    field: Annotated[str, Meta(description="Where, such as request.lines.")]
    message: Annotated[str, Meta(description="What is wrong.")]

    def __str__(self) -> str:
        where = ": ".join(filter(None, [self.stage and f"stage {self.stage}", self.field]))
        return f"{where}: {self.message}" if where else self.message


class CheckResponse(Struct, frozen=True, kw_only=True):
    """Whether a pipeline can run."""

    valid: Annotated[bool, Meta(description="Whether nothing is wrong with it.")]
    problems: Annotated[list[Problem], Meta(description="What is wrong, in its order.")] = []


class ListRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty request."""


class PipelineEntry(Struct, frozen=True, kw_only=True):
    """A declared pipeline."""

    name: Annotated[str, Meta(description="Its name.")]
    source: Annotated[
        Literal["shipped", "folder"],
        Meta(description="Whether it comes with Sensorium or lies in this server's folder."),
    ]
    description: Annotated[str, Meta(description="What it is for.")] = ""
    inputs: Annotated[dict[str, Input], Meta(description="What it is given, by name.")] = {}
    stages: Annotated[list[str], Meta(description="The names of its steps.")] = []
    outputs: Annotated[list[str], Meta(description="The names of what it gives.")] = []
    problem: Annotated[str, Meta(description="Why it cannot be read, if it cannot.")] = ""


class ListResponse(Struct, frozen=True, kw_only=True):
    """The declared pipelines."""

    pipelines: Annotated[list[PipelineEntry], Meta(description="By name.")]
