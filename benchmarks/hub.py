"""A hub with one large file, in a process of its own; its connections are only so fast."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np

from tests.models.hub.fake import Trouble, blob_id, digest_of, serving_hub

REPOSITORY = "bench/model"
FILE = "model.gguf"
SMALL = "bench/small"
"""A repository that is quickly fetched, to have whoever fetches started."""
START_S = 60.0


class Hub:
    """A running hub."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        if not pipe.poll(START_S):
            raise RuntimeError("the hub did not start")
        self.url: str = pipe.recv()

    @property
    def sent_bytes(self) -> int:
        """What it has sent of the file so far, to anybody."""
        self._pipe.send(True)
        sent: int = self._pipe.recv()
        return sent


@contextmanager
def hub(size: int, bytes_per_s: float) -> Iterator[Hub]:
    """A hub whose file has so many bytes, and whose connections are so fast."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, size, bytes_per_s), daemon=True)
    process.start()
    try:
        yield Hub(here)
    finally:
        here.send(False)
        process.join(START_S)


def _serve(pipe: Connection, size: int, bytes_per_s: float) -> None:
    with serving_hub() as running:
        data = np.random.default_rng(0).bytes(size)
        running.add(REPOSITORY, {FILE: data})
        running.add(SMALL, {FILE: data[:20_000]})
        digest_of(data), blob_id(data)  # a real hub does not reckon them for each request either
        running.trouble = lambda asked: Trouble(rate=bytes_per_s)
        pipe.send(running.url)
        while pipe.recv():
            pipe.send(running.sent_bytes)
