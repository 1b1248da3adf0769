"""What the options of loading mean for a GGUF file."""

import pytest

from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.gguf_options import SMALL, threads_of
from sensorium.models.hardware.cores import usable_cores
from sensorium.models.headers.header import Header


@pytest.mark.parametrize(
    ("asked", "size", "threads"),
    [(0, SMALL - 1, 1), (0, SMALL, usable_cores()), (3, 1, 3), (1, SMALL, 1)],
)
def test_as_many_threads_compute_as_pay(asked: int, size: int, threads: int) -> None:
    header = Header(format="gguf", tensor_bytes=size)
    assert threads_of(LoadOptions(threads=asked), header) == threads
