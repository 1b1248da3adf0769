"""What every backend offers: is it here, load a file, run arrays through it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Meta, Struct

from sensorium.core.generation import Generation, Piece
from sensorium.core.tensors import TensorSpec
from sensorium.models.artifact import Artifact

Arrays: TypeAlias = dict[str, Any]
"""numpy arrays by name; `BYTES` as objects of bytes, `BF16` as uint16."""

LONGEST_CONTEXT = 8192
"""Tokens that a text may have where nobody says otherwise; a cache for more costs memory."""


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
    trusted: Annotated[
        bool, Meta(description="Take a file that could run code of its own once it is loaded.")
    ] = False
    threads: Annotated[
        int, Meta(ge=0, le=1024, description="Threads of one run; 0: the backend's choice.")
    ] = 0
    memory_bytes: Annotated[
        int,
        Meta(ge=0, le=2**50, description="Memory that a process of its own may take; 0: any."),
    ] = 0
    max_batch: Annotated[
        int, Meta(ge=1, le=4096, description="Rows that one run may have; 1: calls are not joined.")
    ] = 64
    max_batch_bytes: Annotated[
        int, Meta(ge=1, le=2**40, description="Bytes of input that one run of several may have.")
    ] = 16 << 20
    context: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Tokens that a text may have; 0: the model's.")
    ] = 0
    parallel: Annotated[
        int, Meta(ge=1, le=256, description="Texts that a language model makes at once.")
    ] = 4
    gpu_layers: Annotated[
        int, Meta(ge=-1, le=10_000, description="Layers on the GPU, of a GGUF file; -1: all.")
    ] = 0
    engine: Annotated[
        Literal["", "xllamacpp", "llama-cpp-python"],
        Meta(description="The library that runs a GGUF file; '': the first that is installed."),
    ] = ""

    def tokens(self, trained: int) -> int:
        """Tokens that a text may have, with a model trained on so many (0: it does not say)."""
        wanted = self.context or LONGEST_CONTEXT
        return min(wanted, trained or wanted)

    def shortened(self, trained: int) -> str:
        """Why a text may have fewer tokens than were asked for; empty where it may have them."""
        if self.tokens(trained) >= self.context:
            return ""
        return f"it was trained on {trained} tokens, and a text has no more"


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

    def load(self, artifact: Artifact, options: LoadOptions) -> "LoadedModel | TextModel":
        """The model, ready to run; takes as long as it takes.

        Raises:
            InvalidInputError: the file is malformed, or of a kind that is not run.
            UnavailableError: a library or a provider is missing.
        """


@runtime_checkable
class TextModel(Protocol):
    """A language model that is ready to run; several threads may call it at once."""

    @property
    def spec(self) -> ModelSpec:
        """Its platform and what computes; it has no tensors in or out."""

    @property
    def parallel(self) -> int:
        """How many texts it makes at once; more wait."""

    def generate(self, task: Generation, emit: Callable[[Piece], bool]) -> None:
        """Make a text, and hand out its pieces as they come, the last with its `finish`.

        Ends within a token of `emit` having returned False: nobody wants more. An empty piece
        goes nowhere and only asks that, where a text is long in coming.

        Raises:
            InvalidInputError: the task is too long, or does not fit this model.
            NotSupportedError: the model makes no text, or not in the way that is asked for.
        """

    def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        """Vectors that stand for the texts, and how many tokens those have (0: unknown).

        The vectors are float32, of shape (texts, dimensions) and length 1.

        Raises:
            NotSupportedError: the model gives none.
        """

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """The numbers of a text's tokens.

        `special`: as a prompt has them, with the token that begins it, and with the names of
        special tokens read as those.

        Raises:
            NotSupportedError: they are not to be had.
        """

    def size(self, task: Generation) -> int:
        """How many tokens the prompt of a task has; errors as for `generate` and `tokenize`."""

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of tokens; errors as for `tokenize`, and for numbers that are none."""

    def close(self) -> None:
        """Give back what it holds; a second time does nothing."""
