"""Leases: bytes on a device for a while, given by priority, taken back when their time is over."""

import asyncio
import bisect
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from sensorium.control.devices import Device
from sensorium.control.expiry import Expiry
from sensorium.control.wishes import Lease, Wish
from sensorium.core.errors import InvalidInputError, NotFoundError, OverloadedError

MAX_LEASES = 100_000
MAX_WAITING = 1_000
LOOK_S = 0.5
REMEMBERED = 10_000
"""How many ended leases are remembered, to tell their holders what became of them."""


@dataclass(order=True)
class _Waiting:
    order: tuple[int, int]
    wish: Wish = field(compare=False)
    turn: "asyncio.Future[Lease]" = field(compare=False)


class Leases:
    """Who holds how much of what. All of it runs on one event loop.

    `find_devices` tells what there is, when it is first asked for. `make_room` is asked to free so
    many bytes of a device that nobody leases (idle models), and may free fewer; none where it could
    not free the last number, for which nothing else would suffice. `look` reads anew what others
    hold.
    """

    def __init__(
        self,
        find_devices: Callable[[], Awaitable[list[Device]]],
        make_room: Callable[[str, int, int], Awaitable[None]] | None = None,
        look: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._look = look
        self._find_devices = find_devices
        self._make_room = make_room
        self._devices: dict[str, Device] = {}
        self._leases: dict[str, Lease] = {}
        self._expiry = Expiry(self._on_expiry)
        self._waiting: list[_Waiting] = []
        self._ended: dict[str, str] = {}
        self._sequence = 0
        self._looking: asyncio.TimerHandle | None = None

    async def lease(self, wish: Wish, wait_s: float = 0.0) -> Lease:
        """Give what is wished for, waiting so long for it; the highest priority goes first.

        Raises:
            InvalidInputError: there is no such device, or none that is so large.
            OverloadedError: there is not so much now, and it did not come in time.
        """
        await self._know_devices()
        self._expire()
        candidates = self._candidates(wish)
        lease = self._give(wish, self._open(wish, candidates))
        if lease is None and wish.preempt:
            lease = await self._take_back(wish, self._open(wish, candidates))
        if lease is not None:
            return lease
        if wait_s <= 0 or len(self._waiting) >= MAX_WAITING:
            raise self._no_room(wish, candidates)
        return await self._wait(wish, wait_s, candidates)

    def release(self, lease_id: str, holder: str) -> str:
        """End a lease; tells how it ended: `released`, or `expired` or `preempted` before.

        Raises:
            NotFoundError: there was none of that id and holder.
        """
        self._expire()
        lease = self._leases.get(lease_id)
        if lease is None or lease.wish.holder != holder:
            ended = self._ended.get(lease_id + holder)
            if ended is None:
                raise NotFoundError("there is no such lease of yours")
            return ended
        self._end(lease, "released")
        self._serve_waiting()
        return "released"

    def renew(self, lease_id: str, holder: str, duration_s: float) -> Lease:
        """Have a lease last so long from now.

        Raises:
            NotFoundError: there is none of that id and holder any more.
        """
        self._expire()
        lease = self._leases.get(lease_id)
        if lease is None or lease.wish.holder != holder:
            raise NotFoundError("there is no such lease of yours any more")
        lease.expires_at = time.monotonic() + duration_s
        self._expiry.note(lease.id, lease.expires_at)
        return lease

    async def devices(self) -> list[Device]:
        """What there is, and what others hold of it by now."""
        await self._know_devices()
        if self._look is not None:
            await self._look()
        self._expire()
        return list(self._devices.values())

    @property
    def held(self) -> list[Lease]:
        """The leases there are."""
        return list(self._leases.values())

    @property
    def waiting(self) -> int:
        """How many wishes wait."""
        return len(self._waiting)

    async def _know_devices(self) -> None:
        if not self._devices:
            found = await self._find_devices()
            self._devices = self._devices or {each.name: each for each in found}  # who was first

    def _candidates(self, wish: Wish) -> list[Device]:
        names = wish.devices or tuple(self._devices)
        unknown = [name for name in names if name not in self._devices]
        if unknown:
            there = ", ".join(self._devices)
            raise InvalidInputError(f"there is no device {unknown[0][:40]!r}; there is {there}")
        found = [self._devices[name] for name in names if self._devices[name].total_bytes]
        if not any(each.total_bytes >= wish.size for each in found):
            largest = max((each.total_bytes for each in found), default=0)
            raise InvalidInputError(f"no such device has {wish.size} bytes; the largest {largest}")
        return found

    def _open(self, wish: Wish, candidates: Iterable[Device]) -> list[Device]:
        """The devices for which nobody waits who goes first."""
        first = [each.wish for each in self._waiting if each.wish.priority >= wish.priority]
        wanted = {device.name for each in first for device in self._candidates(each)}
        return [each for each in candidates if each.name not in wanted]

    def _give(self, wish: Wish, candidates: Iterable[Device]) -> Lease | None:
        """A lease on the device with the most room, if there is enough."""
        device = max(candidates, key=lambda each: each.free_bytes, default=None)
        if device is None or device.free_bytes < wish.size:
            return None
        if len(self._leases) >= MAX_LEASES:
            raise OverloadedError("there are as many leases as there may be", retry_after_s=1.0)
        expires_at = time.monotonic() + wish.duration_s
        lease = Lease(secrets.token_hex(8), wish, device, expires_at)
        self._leases[lease.id] = lease
        device.leased_bytes += wish.size
        self._expiry.note(lease.id, expires_at)
        return lease

    async def _take_back(self, wish: Wish, candidates: list[Device]) -> Lease | None:
        """Take from idle models, then from lower priorities: the lowest first, then the newest."""
        for device in candidates:
            missing = wish.size - device.free_bytes
            if self._make_room is not None:
                lower = self._lower(wish, device)
                least = missing - sum(each.wish.size for each in lower)
                await self._make_room(device.name, missing, least)
            lower = self._lower(wish, device)
            if device.free_bytes + sum(each.wish.size for each in lower) < wish.size:
                continue
            lower.sort(key=lambda each: (each.wish.priority, -each.expires_at))
            taken: list[str] = []
            while device.free_bytes < wish.size and lower:
                loser = lower.pop(0)
                self._end(loser, "preempted")
                taken.append(loser.id)
            lease = self._give(wish, [device])
            if lease is not None:
                lease.preempted = taken
                return lease
        return None

    def _lower(self, wish: Wish, device: Device) -> list[Lease]:
        """The leases of a device that a wish may take back."""
        held = (each for each in self._leases.values() if each.device is device)
        return [each for each in held if each.wish.priority < wish.priority]

    async def _wait(self, wish: Wish, wait_s: float, candidates: list[Device]) -> Lease:
        self._sequence += 1
        turn: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        waiting = _Waiting((-wish.priority, self._sequence), wish, turn)
        bisect.insort(self._waiting, waiting)
        self._look_again()
        try:
            async with asyncio.timeout(wait_s):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it came in the moment in which they left
                self._end(turn.result(), "released")
                self._serve_waiting()
            if isinstance(error, TimeoutError):
                raise self._no_room(wish, candidates) from None
            raise
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            self._serve_waiting()

    def _look_again(self) -> None:
        """While somebody waits, see whether others have given memory back without a word."""
        if self._looking is None and self._waiting:
            self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._looked)

    def _looked(self) -> None:
        self._looking = None
        self._serve_waiting()
        self._look_again()

    def _serve_waiting(self) -> None:
        """Give to who waits, in order; a device of which there is not enough waits for who does."""
        kept: set[str] = set()
        for each in list(self._waiting):
            if len(kept) == len(self._devices):
                return
            candidates = self._candidates(each.wish)
            try:
                lease = self._give(each.wish, [d for d in candidates if d.name not in kept])
            except OverloadedError:
                return
            if lease is None:
                kept |= {device.name for device in candidates}
                continue
            self._waiting.remove(each)
            if each.turn.done():
                self._end(lease, "released")
            else:
                each.turn.set_result(lease)

    def _no_room(self, wish: Wish, candidates: list[Device]) -> OverloadedError:
        free = max((each.free_bytes for each in candidates), default=0)
        why = "others wait before you" if free >= wish.size else f"but {free}"
        return OverloadedError(
            f"{wish.size} bytes are not free now, {why}: wait for them, or preempt",
            retry_after_s=1.0,
            details={"free_bytes": free},
        )

    def _on_expiry(self) -> None:
        self._expire()
        self._serve_waiting()

    def _expire(self) -> None:
        for lease_id in self._expiry.due():
            self._end(self._leases[lease_id], "expired")

    def _end(self, lease: Lease, how: str) -> None:
        if self._leases.pop(lease.id, None) is None:  # it ended before its caller could look
            return
        self._expiry.forget(lease.id)
        lease.device.leased_bytes -= lease.wish.size
        self._ended[lease.id + lease.wish.holder] = how
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
