"""One worker process as the server sees it."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from sensorium.workers.frames import CREDIT, PIECE, TAKEN_AT_ONCE, Frame, Parser, pack
from sensorium.workers.shared import Arena, Region
from sensorium.workers.starting import start_process

CANCEL_GRACE_S: Final = 0.2
"""How long a cancelled call may go on before its worker is killed: for each call that shares the
worker, because they share its interpreter too."""


class WorkerDiedError(Exception):
    """The process that served the call is gone."""


class WorkFailedError(Exception):
    """The call ended with an error, whose bytes are the argument."""


class RunningCall:
    """A call that a worker serves; `done` is set when the worker is free of it."""

    def __init__(self, worker: "Worker", number: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_report: Callable[[bytes], None] | None = None
        self._worker = worker
        self._number = number
        self._credit = asyncio.Semaphore(CREDIT)
        self._answers: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._shared: list[Region] = []
        self._taken = 0
        """Answers that the worker has not heard of yet."""

    async def write(self, piece: bytes | bytearray) -> None:
        """Send the next bytes of the body; waits while the worker is slow to read."""
        for start in range(0, len(piece), PIECE):
            await self._worker.write(Frame.PIECE, self._number, piece[start : start + PIECE])

    def share(self, data: bytes | bytearray | memoryview) -> Region | None:
        """Put bytes where the worker sees them until the call is done; None: send them."""
        arena = self._worker.outgoing
        region = arena.put(data) if arena is not None else None
        if region is not None:
            self._shared.append(region)
        return region

    def shared(self, region: Region) -> bytes:
        """What the worker put into shared memory for this call."""
        arena = self._worker.incoming
        assert arena is not None
        return bytes(arena.view(region))

    def forget(self) -> None:
        """Let the worker use that memory again: all of it was read."""
        self._worker.forget(self._number)

    async def start(self) -> None:
        """The body is complete: have it served."""
        await self._worker.write(Frame.START, self._number)

    async def item(self, body: bytes) -> None:
        """Send an item to a call that listens; waits while it is slow to take them."""
        await self._credit.acquire()
        await self._worker.write(Frame.ITEM, self._number, body)

    async def end(self) -> None:
        """Send no more items."""
        await self._worker.write(Frame.END, self._number)

    async def answer(self) -> bytes | None:
        """The next answer, or None at the end.

        Raises:
            WorkFailedError: the call ended with an error.
            WorkerDiedError: the process is gone.
        """
        found = await self._answers.get()
        if isinstance(found, Exception):
            raise found
        if found is not None and not self.done.done():
            self._taken += 1
            if self._taken == TAKEN_AT_ONCE:
                self._taken = 0
                await self._worker.write(Frame.TAKEN, self._number, bytes([TAKEN_AT_ONCE]))
        return found

    def abort(self, problem: Exception) -> None:
        """Raise `problem` in place of the next answer."""
        self._answers.put_nowait(problem)

    def cancel(self, grace_s: float | None = None) -> None:
        """Have the call stopped; kills the worker if it does not stop within the grace.

        `grace_s` is for a call that is sure to end by itself, but not as soon as others.
        """
        if not self.done.done():
            self._worker.cancel(self._number, grace_s)

    def hear(self, kind: int, body: bytes) -> None:
        """Take up a frame that the worker sent about this call."""
        match kind:
            case Frame.ANSWER:
                self._answers.put_nowait(body)
            case Frame.REPORT:
                if self.on_report is not None:
                    self.on_report(body)
            case Frame.WANTED:
                self._credit.release()
            case Frame.FAILED:
                self._answers.put_nowait(WorkFailedError(body))
            case Frame.DONE:
                self.finish(None)

    def finish(self, problem: Exception | None) -> None:
        """The worker is free of this call."""
        self._answers.put_nowait(problem)
        self._credit.release()
        if self._shared and problem is None and self._worker.outgoing is not None:
            self._worker.outgoing.free(self._shared)
        if not self.done.done():
            self.done.set_result(None)


class Worker(asyncio.Protocol):
    """A spawned worker process and its calls.

    Created by `spawn`; `exited` is set when the process is gone, by itself or killed.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        cancel_grace_s: float,
        arenas: Sequence[Arena] = (),
    ) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.calls: dict[int, RunningCall] = {}
        self.last_heard = time.monotonic()
        self.silent = 0
        """How many heartbeats in a row it has left unanswered; its keeper counts."""
        self._process = process
        self._cancel_grace_s = cancel_grace_s
        self.outgoing: Arena | None = None
        self.incoming: Arena | None = None
        if arenas:
            self.outgoing, self.incoming = arenas
        """Shared memory for what goes to the process, and for what comes from it."""
        self._parser = Parser()
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._number = 0

    @classmethod
    async def spawn(
        cls,
        handler: str,
        slots: int,
        environment: Mapping[str, str],
        cancel_grace_s: float = CANCEL_GRACE_S,
        *,
        shared: bool = False,
    ) -> "Worker":
        """Start a process that serves calls with `handler` (`module:function`).

        With `shared`, large bytes may cross in memory that both see, where the system has it.
        """
        arenas = [arena for _ in range(2) if shared and (arena := Arena.create()) is not None]
        try:
            process, ours = start_process(handler, slots, environment, arenas)
        except BaseException:
            for arena in arenas:
                arena.close()
            raise
        worker = cls(process, cancel_grace_s, arenas)
        try:
            await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
        except BaseException:  # nobody else knows of the process yet
            ours.close()
            worker.kill()
            worker.reap()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def call(self, header: bytes) -> RunningCall:
        """Begin a call; write its body, then `start` it."""
        if self._transport is None or self.exited.done():
            raise WorkerDiedError
        self._number = (self._number + 1) & 0xFFFFFFFF
        call = self.calls[self._number] = RunningCall(self, self._number)
        self._transport.write(pack(Frame.CALL, self._number, header))
        return call

    async def write(self, kind: Frame, number: int, body: bytes | bytearray = b"") -> None:
        """Write a frame; waits while the worker is slow to read."""
        if self._transport is None or self.exited.done():
            raise WorkerDiedError
        self._transport.write(pack(kind, number, body))
        if not self._writable.is_set():
            await self._writable.wait()

    def cancel(self, number: int, grace_s: float | None = None) -> None:
        """Ask for a call's end; kill the process if it does not come within the grace."""
        if self._transport is None or self.exited.done():
            return
        self._transport.write(pack(Frame.CANCEL, number))
        if grace_s is None:
            grace_s = self._cancel_grace_s * max(1, len(self.calls))
        asyncio.get_running_loop().call_later(grace_s, self._kill_if_still, number)

    def forget(self, number: int) -> None:
        """Tell the process that a call's answers were read out of shared memory."""
        if self._transport is not None and not self.exited.done():
            self._transport.write(pack(Frame.FORGET, number))

    def ping(self) -> None:
        """Ask for a sign of life; `last_heard` tells when one came."""
        if self._transport is not None and not self.exited.done():
            self._transport.write(pack(Frame.PING))

    def kill(self) -> None:
        """End the process at once; it takes no call from now on."""
        self._process.kill()
        self._set_exited()

    def close(self) -> None:
        """Let the process end by itself: it does when its socket closes."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.last_heard = time.monotonic()
        for kind, number, body in self._parser.feed(data):
            if kind == Frame.READY:
                self.ready.set_result(None)
            elif (call := self.calls.get(number)) is not None:
                if kind == Frame.DONE:
                    del self.calls[number]
                call.hear(kind, body)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone, or on its way."""
        del exc
        self._writable.set()
        self.kill()
        for call in self.calls.values():
            call.finish(WorkerDiedError())
        self.calls.clear()

    def reap(self) -> int:
        """Collect the process, which has been killed; returns its exit status."""
        status = self._process.wait()
        for arena in (self.outgoing, self.incoming):
            if arena is not None:
                arena.close()
        return status

    def _set_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def _kill_if_still(self, number: int) -> None:
        if number in self.calls:
            self.kill()
