"""What a placed model is to those who call it, wherever it runs."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from sensorium.models.exchange import Facts, Request, Result


class Placed(Protocol):
    """A loaded model in its place. One run at a time."""

    @property
    def facts(self) -> Facts:
        """What is known of it since it was loaded."""

    def run(self, requests: Sequence[Request]) -> "asyncio.Future[list[Result]]":
        """The results of requests that are joined into one run; starts at once.

        The future raises `UnavailableError` where the model's process has died. It cannot be
        cancelled: `interrupt` ends a run early.
        """

    def interrupt(self) -> None:
        """Have what runs end soon: nobody waits for it any more."""

    async def close(self) -> None:
        """Give back what it holds, once no run is under way."""
