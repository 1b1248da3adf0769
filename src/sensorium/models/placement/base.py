"""What a placed model is to those who call it, wherever it runs."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, TypeVar

from sensorium.core.asking import Question, Reply
from sensorium.core.generation import Generation, Piece
from sensorium.models.exchange import Facts, Request, Result

R = TypeVar("R", bound=Reply)


class Placed(Protocol):
    """A loaded model in its place. One run at a time."""

    @property
    def facts(self) -> Facts:
        """What is known of it since it was loaded."""

    def coming_up(self) -> "asyncio.Future[None] | None":
        """None while it takes calls at once; else what ends when its new process has it.

        The future raises why that fails. It is everybody's: wait for it, and do not cancel it.
        """

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

    async def ask(self, question: Question, returns: type[R]) -> R:
        """What the model answers to something beside texts; errors as for `generate`."""

    async def close(self) -> None:
        """Give back what it holds, once no run is under way."""
