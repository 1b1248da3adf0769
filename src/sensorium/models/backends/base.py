"""What every backend offers: is it here, load a file, run arrays through it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, TypeAlias

from msgspec import Meta, Struct

from sensorium.core.tensors import TensorSpec
from sensorium.models.artifact import Artifact

Arrays: TypeAlias = dict[str, Any]
"""numpy arrays by name; `BYTES` as objects of bytes, `BF16` as uint16."""


class LoadOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is loaded."""

    providers: Annotated[
        list[str], Meta(max_length=16, description="What computes, in order; [] for the CPU.")
    ] = []
    fallback: Annotated[
        bool, Meta(description="Where a provider is not available, take the CPU and say so.")
    ] = False
    placement: Annotated[
        Literal["", "inproc", "process"],
        Meta(description="In the server's process, or in one of its own; '': as suits the format."),
    ] = ""
    threads: Annotated[
        int, Meta(ge=0, le=1024, description="Threads of one run; 0: the backend's choice.")
    ] = 0
    max_batch: Annotated[
        int, Meta(ge=1, le=4096, description="Rows that one run may have; 1: calls are not joined.")
    ] = 64
    max_batch_bytes: Annotated[
        int, Meta(ge=1, le=2**40, description="Bytes of input that one run of several may have.")
    ] = 16 << 20


class ModelSpec(Struct, frozen=True, kw_only=True):
    """What a loaded model takes and gives."""

    platform: str
    """The protocol's name for what runs it, such as `onnxruntime_onnx`."""
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    optional: list[str] = []
    """Inputs that may be left out."""
    providers: list[str] = []
    """What really computes."""
    degraded: str = ""
    """Why it is not what was asked for."""


class LoadedModel(Protocol):
    """A model that is ready to run; one thread at a time calls it."""

    @property
    def spec(self) -> ModelSpec:
        """What it takes and gives."""

    def infer(self, inputs: Arrays, outputs: Sequence[str]) -> Mapping[str, Any]:
        """The outputs that are named, for inputs that fit the spec.

        Raises:
            InvalidInputError: the model cannot run these.
        """

    def interrupt(self) -> None:
        """Have the run that is under way end soon, if that can be done; from any thread."""

    def close(self) -> None:
        """Give back what it holds; a second time does nothing."""


class Backend(Protocol):
    """A way to run the files of some formats."""

    def load(self, artifact: Artifact, options: LoadOptions) -> LoadedModel:
        """The model, ready to run; takes as long as it takes.

        Raises:
            InvalidInputError: the file is malformed, or of a kind that is not run.
            UnavailableError: a library or a provider is missing.
        """
