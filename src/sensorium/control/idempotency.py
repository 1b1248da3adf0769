"""One change per idempotency key: a repeated call gets the first one's answer."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from msgspec import Struct

from sensorium.core.dispatch import Answer
from sensorium.core.errors import ConflictError

Run = Callable[[], Coroutine[Any, Any, Answer]]
KEPT_S = 24 * 3600.0
KEPT_MAX = 10_000


class _Entry(Struct):
    digest: bytes
    making: "asyncio.Task[Answer]"
    at: float


class Idempotency:
    """Answers by principal, operation and key; kept for a day, the newest ten thousand.

    They are kept in memory: a restart forgets them.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str, str], _Entry] = OrderedDict()

    async def once(self, key: tuple[str, str, str], content: bytes, run: Run) -> Answer:
        """The answer of the first call with this key; only that one is run.

        It goes on when its caller leaves, because that caller may come again and ask what became
        of it. One that failed is forgotten, so that it may be tried again.

        Raises:
            ConflictError: the same key came with another request.
        """
        digest = hashlib.sha256(content).digest()
        entry = self._entries.get(key)
        if entry is not None and time.monotonic() - entry.at < KEPT_S:
            if entry.digest != digest:
                raise ConflictError("this idempotency key was used for another request")
            return replace(await asyncio.shield(entry.making), replayed=True)
        entry = _Entry(digest, asyncio.create_task(run()), time.monotonic())
        self._entries[key] = entry
        entry.making.add_done_callback(lambda done: self._forget_failed(key, done))
        while len(self._entries) > KEPT_MAX:
            self._entries.popitem(last=False)
        return await asyncio.shield(entry.making)

    def _forget_failed(self, key: tuple[str, str, str], done: "asyncio.Task[Answer]") -> None:
        failed = done.cancelled() or done.exception() is not None
        entry = self._entries.get(key)
        if failed and entry is not None and entry.making is done:
            del self._entries[key]
