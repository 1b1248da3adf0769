"""What the options of loading mean for a GGUF file."""

import pytest

from sensorium.models.backends.base import LONGEST_CONTEXT, LoadOptions
from sensorium.models.backends.gguf_options import SMALL, spec_of, threads_of
from sensorium.models.hardware.cores import usable_cores
from sensorium.models.headers.header import Header


@pytest.mark.parametrize(
    ("asked", "size", "threads"),
    [(0, SMALL - 1, 1), (0, SMALL, usable_cores()), (3, 1, 3), (1, SMALL, 1)],
)
def test_as_many_threads_compute_as_pay(asked: int, size: int, threads: int) -> None:
    header = Header(format="gguf", tensor_bytes=size)
    assert threads_of(LoadOptions(threads=asked), header) == threads


@pytest.mark.parametrize(
    ("asked", "trained", "tokens", "degraded"),
    [
        (0, 256, 256, ""),
        (0, 0, LONGEST_CONTEXT, ""),
        (0, 1 << 20, LONGEST_CONTEXT, ""),
        (1 << 20, 1 << 20, 1 << 20, ""),
        (128, 256, 128, ""),
        (512, 0, 512, ""),
        (512, 256, 256, "it was trained on 256 tokens, and a text has no more"),
    ],
)
def test_a_text_has_no_more_tokens_than_the_model_was_trained_on(
    asked: int, trained: int, tokens: int, degraded: str
) -> None:
    options = LoadOptions(context=asked)
    assert options.tokens(trained) == tokens
    assert spec_of(options, trained, has_gpu=False, reason="no GPU").degraded == degraded


def test_all_that_is_not_as_asked_is_said() -> None:
    options = LoadOptions(context=512, gpu_layers=-1, fallback=True)
    found = spec_of(options, 256, has_gpu=False, reason="no GPU").degraded
    assert found == "no GPU; it was trained on 256 tokens, and a text has no more"
