"""One change per idempotency key: a repeated call gets the first one's answer."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

from sensorium.core.dispatch import Answer
from sensorium.core.errors import ConflictError

KEPT_S = 24 * 3600.0
KEPT_MAX = 10_000


@dataclass(slots=True)
class _Entry:
    digest: bytes
    answer: "asyncio.Future[Answer]"
    at: float


class Idempotency:
    """Answers by principal, operation and key; kept for a day, the newest ten thousand.

    They are kept in memory: a restart forgets them.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str, str], _Entry] = OrderedDict()

    async def once(
        self, key: tuple[str, str, str], content: bytes, run: Coroutine[Any, Any, Answer]
    ) -> Answer:
        """The answer of the first call with this key; only that one is run.

        A call that failed or was cancelled is forgotten, so that it may be tried again.

        Raises:
            ConflictError: the same key came with another request.
        """
        digest = hashlib.sha256(content).digest()
        entry = self._entries.get(key)
        if entry is not None and time.monotonic() - entry.at < KEPT_S:
            run.close()
            if entry.digest != digest:
                raise ConflictError("this idempotency key was used for another request")
            return replace(await asyncio.shield(entry.answer), replayed=True)
        entry = _Entry(digest, asyncio.get_running_loop().create_future(), time.monotonic())
        self._entries[key] = entry
        while len(self._entries) > KEPT_MAX:
            self._entries.popitem(last=False)
        try:
            answer = await run
        except BaseException as error:
            if self._entries.get(key) is entry:
                del self._entries[key]
            _settle(entry.answer, error)
            raise
        entry.answer.set_result(answer)
        return answer


def _settle(answer: "asyncio.Future[Answer]", error: BaseException) -> None:
    if isinstance(error, Exception):
        answer.set_exception(error)
        answer.exception()  # perhaps nobody else waits for it
    else:
        answer.set_exception(ConflictError("the first call with this key was cancelled"))
        answer.exception()
