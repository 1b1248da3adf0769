"""Responses that may be asked for again, or gone on with: in memory, bounded, for an hour."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from sensorium.transports.http.compat.openai.errors import NotKeptError

MAX_KEPT = 1000
MAX_BYTES = 64 << 20
EXPIRES_S = 3600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A response that is over."""

    principal: str
    """Whose it is; nobody else sees it."""
    body: dict[str, Any]
    items: list[dict[str, Any]]
    """What was asked, with what went before it."""
    messages: list[dict[str, Any]]
    """The conversation until then, the answer included, and without its instructions."""
    size: int
    expires_at: float


class Keeper:
    """Keeps the latest responses; the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0

    def keep(
        self,
        principal: str,
        body: dict[str, Any],
        items: list[dict[str, Any]],
        messages: list[dict[str, Any]],
    ) -> None:
        """Keep a response, if it is not too large."""
        size = len(msgspec.json.encode(body)) + _weight(items) + _weight(messages)
        if size > MAX_BYTES // 4:
            return
        now = time.monotonic()
        self._kept[body["id"]] = Kept(principal, body, items, messages, size, now + EXPIRES_S)
        self._bytes += size
        while len(self._kept) > MAX_KEPT or self._bytes > MAX_BYTES or self._oldest < now:
            self._drop(next(iter(self._kept)))

    def find(self, principal: str, id_: str) -> Kept:
        """A response; changes nothing, and may be called on any thread.

        Raises:
            NotKeptError: there is none of that id, or it is another's.
        """
        found = self._kept.get(id_)
        if found is None or found.principal != principal or found.expires_at < time.monotonic():
            raise NotKeptError(
                f"no response {id_[:80]!r} is kept; they are kept in memory, for an hour at most"
            )
        return found

    def delete(self, principal: str, id_: str) -> None:
        """Forget a response; errors as for `find`."""
        self.find(principal, id_)
        self._drop(id_)

    @property
    def _oldest(self) -> float:
        return next(iter(self._kept.values())).expires_at

    def _drop(self, id_: str) -> None:
        self._bytes -= self._kept.pop(id_).size


def _weight(value: Any) -> int:
    """About how many bytes a value takes that is not deep."""
    if isinstance(value, str | bytes):
        return 64 + len(value)
    if isinstance(value, dict):
        return 64 + sum(_weight(each) for each in value.values())
    return 64 + sum(_weight(each) for each in value) if isinstance(value, list) else 32
