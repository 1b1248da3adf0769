"""What is asked of a loaded model, and what it answers. Loads no numpy."""

from typing import Literal

from msgspec import Struct

from sensorium.core.asking import Embed, Rank
from sensorium.core.errors import SensoriumError, UnavailableError
from sensorium.core.tensors import Tensor
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions, ModelSpec


class Request(Struct, frozen=True):
    """What one caller wants of a model; checked against its spec already."""

    inputs: list[Tensor]
    outputs: list[str]


LONG = Embed | Rank
"""Questions that take as long as the model computes; the others only look something up."""
QUESTIONS = 2
"""So many of either kind are answered at once, beside the texts."""
Result = list[Tensor] | SensoriumError


class Facts(Struct, frozen=True, kw_only=True):
    """What loading a model has shown."""

    spec: ModelSpec
    joins: bool
    """Whether requests may be joined into one run: shown by trying it."""
    parallel: int = 0
    """How many texts it makes at once; 0 for a model of tensors."""
    questions: int = QUESTIONS
    """How many questions of either kind it answers at once, beside its texts."""
    steady: bool = False
    """Whether the number of rows alone tells how long a run takes."""
    seconds: float
    """How long it took to load and try."""


Action = Literal["load", "run", "generate", "ask"]


class ProcessDiedError(UnavailableError):
    """The process that ran the model died and is being replaced; try again."""

    def __init__(self) -> None:
        super().__init__(retry_after_s=1.0)


class ModelChangedError(UnavailableError):
    """The model's files have changed since it was loaded, and it is loaded afresh; try again."""

    def __init__(self) -> None:
        super().__init__(retry_after_s=1.0)


class Task(Struct, frozen=True, kw_only=True):
    """What the process is asked for. Every task tells the model, so that a process that took the
    place of another knows it too."""

    action: Action
    artifact: Artifact
    options: LoadOptions
