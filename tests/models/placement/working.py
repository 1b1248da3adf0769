"""The small language model in a process of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sensorium.core.generation import Generation
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.placement.process import InProcess
from tests.language.lasting import TINYLM

T = TypeVar("T")
LIMIT_S = 60.0


def artifact(path: Path = TINYLM) -> Artifact:
    return Artifact("tinylm", "1", "gguf", path, size=path.stat().st_size)


def with_model(work: Callable[[InProcess], Awaitable[T]], path: Path = TINYLM) -> T:
    async def run() -> T:
        placed = await InProcess.load(artifact(path), LoadOptions(threads=1), text=True)
        try:
            async with asyncio.timeout(LIMIT_S):
                return await work(placed)
        finally:
            await placed.close()

    return asyncio.run(run())


async def text(placed: InProcess, prompt: str = "Once upon a time", tokens: int = 8) -> str:
    task = Generation(prompt=prompt, max_tokens=tokens, temperature=0.0)
    return "".join([piece.text async for piece in placed.generate(task)])
