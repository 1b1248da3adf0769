"""Responses that may be asked for again, or gone on with: in memory, bounded, for an hour."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from sensorium.transports.http.compat.openai.errors import NotKeptError

MAX_KEPT = 1000
MAX_BYTES = 64 << 20
MAX_EACH = MAX_BYTES // 4
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
        self._places: dict[str, str] = {}
        """Of the items of all outputs: the ids of their responses, by their own."""
        self._bytes = 0

    def keep(
        self,
        principal: str,
        body: dict[str, Any],
        items: list[dict[str, Any]],
        messages: list[dict[str, Any]],
    ) -> bool:
        """Keep a response, if it is not too large; gives whether it is kept."""
        size = len(msgspec.json.encode(body)) + _weight(items) + _weight(messages)
        if size > MAX_EACH:
            return False
        now = time.monotonic()
        self._kept[body["id"]] = Kept(principal, body, items, messages, size, now + EXPIRES_S)
        self._places |= {each["id"]: body["id"] for each in body["output"]}
        self._bytes += size
        while len(self._kept) > MAX_KEPT or self._bytes > MAX_BYTES or self._oldest < now:
            self._drop(next(iter(self._kept)))
        return True

    def find(self, principal: str, id_: str, asked: str = "") -> Kept:
        """A response; changes nothing, and may be called on any thread.

        Raises:
            NotKeptError: there is none of that id, or it is another's; names what is `asked`.
        """
        found = self._kept.get(id_)
        if found is None or found.principal != principal or found.expires_at < time.monotonic():
            raise NotKeptError(
                f"{(asked or id_)[:80]!r} is not kept: responses are, in memory, for an hour at"
                f" most and up to {MAX_EACH >> 20} MiB each"
            )
        return found

    def item(self, principal: str, id_: str) -> dict[str, Any]:
        """An item of a response's output; as for `find`."""
        response = self.find(principal, self._places.get(id_, ""), id_)
        return next(each for each in response.body["output"] if each["id"] == id_)

    def delete(self, principal: str, id_: str) -> None:
        """Forget a response; errors as for `find`."""
        self.find(principal, id_)
        self._drop(id_)

    @property
    def _oldest(self) -> float:
        return next(iter(self._kept.values())).expires_at

    def _drop(self, id_: str) -> None:
        gone = self._kept.pop(id_)
        self._bytes -= gone.size
        for each in gone.body["output"]:
            del self._places[each["id"]]


def _weight(value: Any) -> int:
    """About how many bytes a value takes that is not deep."""
    if isinstance(value, str | bytes):
        return 64 + len(value)
    if isinstance(value, dict):
        return 64 + sum(_weight(each) for each in value.values())
    return 64 + sum(_weight(each) for each in value) if isinstance(value, list) else 32
