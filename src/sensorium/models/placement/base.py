"""What a placed model is to those who call it, wherever it runs."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from sensorium.core.generation import Generation, Piece
from sensorium.models.exchange import Action, Facts, Request, Result


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

    def generate(self, task: Generation) -> AsyncGenerator[Piece, None]:
        """The pieces of a text; closing it ends the text.

        Raises:
            NotSupportedError: the model makes no text.
            SensoriumError: what the model has against the task, or that its process died.
        """

    async def ask(self, action: Action, body: bytes) -> bytes:
        """What a language model answers to something small; errors as for `generate`."""

    async def close(self) -> None:
        """Give back what it holds, once no run is under way."""
