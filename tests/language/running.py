"""A server's parts in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sensorium.app import App, load_settings


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[App]:
    settings = load_settings({"data_dir": str(folder)}, environ={}, directory=folder)
    async with App(settings, isolated=False).running() as app:
        yield app
