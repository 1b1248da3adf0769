"""The server's own parts in this process, on a folder of models."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sensorium.app import App, Settings, load_settings


def settings(folder: Path, **more: Any) -> Settings:
    """Settings of a program whose models lie in a folder."""
    flags = {"model_cache_path": str(folder), "data_dir": str(folder / "data"), **more}
    return load_settings(flags, environ={}, directory=folder)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[App]:
    """An app without worker processes; what is in its folder is loaded when it is wanted."""
    async with App(settings(folder), isolated=False).running() as app:
        yield app


async def seconds_of(call: Callable[[], Awaitable[Any]], count: int) -> list[float]:
    """How long each of some calls took, one after the other."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return times
