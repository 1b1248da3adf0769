"""What the options of loading mean for a GGUF file, whichever library runs it."""

from sensorium.core.errors import NotSupportedError, UnavailableError
from sensorium.models.backends.base import LoadOptions, ModelSpec
from sensorium.models.hardware.cores import usable_cores
from sensorium.models.headers.header import Header

ENCODERS = ("bert", "nomic-bert", "jina-bert-v2", "modern-bert", "t5encoder")
"""Architectures that give vectors and no text."""
STEP, GPU_STEP = 128, 512
"""Tokens of prompt that one batch reads. Between batches the other texts go on by a token, and one
that nobody wants is ended; a processor is no slower with few, a GPU is."""
WIDEST = 2048
"""Tokens that a text may have which is made a vector: all of it is one batch."""

SMALL = 16 << 20
"""Bytes of weights below which one thread computes: several would wait for each other longer than
they compute, and where another process has one of the cores, for its turns too."""


def check_device(options: LoadOptions, *, has_gpu: bool, reason: str) -> None:
    """Whether it can be computed where it is to be.

    Raises:
        NotSupportedError: a provider is named that a GGUF file has not.
        UnavailableError: layers are to go to a GPU, and there is none.
    """
    if options.providers not in ([], ["cpu"]):
        raise NotSupportedError("of a GGUF model, say how many layers go to the GPU: gpu_layers")
    if options.gpu_layers and not (has_gpu or options.fallback):
        raise UnavailableError(f"{reason}; ask for fallback to take the CPU")


def spec_of(options: LoadOptions, trained: int, *, has_gpu: bool, reason: str) -> ModelSpec:
    """What is told of a model trained on so many tokens: where it is computed, and what lacks."""
    wanted = options.gpu_layers != 0
    lacks = [reason if wanted and not has_gpu else "", options.shortened(trained)]
    return ModelSpec(
        platform="llamacpp_gguf",
        inputs=[],
        outputs=[],
        providers=["gpu", "cpu"] if wanted and has_gpu else ["cpu"],
        degraded="; ".join(filter(None, lacks)),
    )


def threads_of(options: LoadOptions, header: Header) -> int:
    """How many threads compute: as many as are asked for, or as suits the model."""
    if options.threads or header.tensor_bytes < SMALL:
        return options.threads or 1
    return usable_cores()


def batch_tokens(options: LoadOptions, context: int, *, embeds: bool) -> int:
    """Tokens that one batch may have."""
    if embeds:
        return min(context, WIDEST)
    return GPU_STEP if options.gpu_layers else STEP
