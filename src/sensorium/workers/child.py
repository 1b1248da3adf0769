"""The worker process: reads frames, runs each call on a thread of its own, writes frames.

    python -m sensorium.workers.child SOCKET_FD HANDLER SLOTS [INCOMING_FD OUTGOING_FD]

HANDLER is the address (`module:function`) of what serves a call: `(header, body, channel)`. The
main thread only reads, so that a cancel is heard while a call computes.
"""

import os
import queue
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

from sensorium.core.loading import load
from sensorium.workers import limits
from sensorium.workers.frames import CREDIT, HEADER, Frame, pack
from sensorium.workers.shared import Arena, Region


class _Cancellable(Protocol):
    def cancel(self) -> None:
        """Stop soon."""


class Wire:
    """The worker's end of the socket; writing is safe from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, kind: Frame, call: int = 0, body: bytes = b"") -> None:
        """Write one frame; blocks while the server is slow to read."""
        with self._lock:
            self._sock.sendall(pack(kind, call, body))

    def read(self) -> tuple[int, int, bytes] | None:
        """The next frame, or None where the server is gone."""
        header = self._exactly(HEADER.size)
        if header is None:
            return None
        kind, call, length = HEADER.unpack(header)
        body = self._exactly(length)
        return None if body is None else (kind, call, bytes(body))

    def _exactly(self, size: int) -> bytearray | None:
        data = bytearray(size)
        view = memoryview(data)
        have = 0
        while have < size:
            got = self._sock.recv_into(view[have:])
            if not got:
                return None
            have += got
        return data


class Call:
    """One call while it is served: the channel that its handler writes to."""

    def __init__(self, wire: Wire, number: int, header: bytes, arenas: Sequence[Arena]) -> None:
        self.header = header
        self._arenas = arenas
        self._regions: list[Region] = []
        self.body = bytearray()
        self.started = False
        self.items: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.credit = threading.Semaphore(CREDIT)
        self._wire = wire
        self._number = number
        self._work: _Cancellable | None = None
        self._cancelled = False

    def send(self, body: bytes) -> None:
        """Send the answer, or one item of it; waits while the other end is slow."""
        if not self._cancelled:  # `cancel` wakes one that waits, and none waits after it
            self.credit.acquire()
        if not self._cancelled:
            self._wire.send(Frame.ANSWER, self._number, body)

    def share(self, data: bytes | bytearray | memoryview) -> Region | None:
        """Put bytes where the server sees them until it has read the answer; None: send them."""
        region = self._arenas[1].put(data) if self._arenas else None
        if region is not None:
            self._regions.append(region)
        return region

    def shared(self, region: Region) -> memoryview:
        """What the server put into shared memory for this call; good until it is done."""
        return self._arenas[0].view(region)

    @property
    def sharing(self) -> bool:
        """Whether something in shared memory waits to be read."""
        return bool(self._regions)

    def forget(self) -> None:
        """The server has read what was shared with it."""
        if self._regions:
            self._arenas[1].free(self._regions)
            self._regions = []

    def report(self, body: bytes) -> None:
        """Send a progress report."""
        self._wire.send(Frame.REPORT, self._number, body)

    def fail(self, body: bytes) -> None:
        """End the call with an error."""
        self._wire.send(Frame.FAILED, self._number, body)

    def incoming(self) -> Iterator[bytes]:
        """The items sent to a listening call, until its sender ends or the call is cancelled."""
        while (item := self.items.get()) is not None:
            self._wire.send(Frame.WANTED, self._number)
            yield item

    def on_cancel(self, work: _Cancellable) -> None:
        """Have `work.cancel` called when the call is cancelled."""
        self._work = work
        if self._cancelled:
            work.cancel()

    def cancel(self) -> None:
        """The server does not want the answer any more: wakes the call wherever it waits."""
        self._cancelled = True
        if self._work is not None:
            self._work.cancel()
        self.items.put(None)
        self.credit.release()


class Child:
    """The worker's main loop."""

    def __init__(
        self, sock: socket.socket, handler: str, slots: int, arenas: Sequence[Arena] = ()
    ) -> None:
        self._arenas = arenas
        self._unread: dict[int, Call] = {}
        self._wire = Wire(sock)
        self._handler = handler
        self._calls: dict[int, Call] = {}
        self._started: queue.SimpleQueue[tuple[int, Call]] = queue.SimpleQueue()
        for _ in range(slots):
            threading.Thread(target=self._serve_calls, daemon=True).start()

    def run(self) -> None:
        """Read frames until the server goes away."""
        self._wire.send(Frame.READY)
        while (frame := self._wire.read()) is not None:
            kind, number, body = frame
            if kind == Frame.PING:
                self._wire.send(Frame.PONG)
            elif kind == Frame.CALL:
                self._calls[number] = Call(self._wire, number, body, self._arenas)
            elif kind == Frame.FORGET:
                if (read := self._unread.pop(number, None)) is not None:
                    read.forget()
            elif (call := self._calls.get(number)) is not None:
                self._hear(kind, number, call, body)

    def _hear(self, kind: int, number: int, call: Call, body: bytes) -> None:
        match kind:
            case Frame.PIECE:
                call.body += body
            case Frame.START:
                call.started = True
                self._started.put((number, call))
            case Frame.ITEM:
                call.items.put(body)
            case Frame.END:
                call.items.put(None)
            case Frame.TAKEN:
                call.credit.release(body[0])
            case Frame.CANCEL:
                call.cancel()
                if not call.started:
                    self._finish(number)

    def _serve_calls(self) -> None:
        handler: Any = None
        while True:
            number, call = self._started.get()
            try:
                handler = handler or load(self._handler)
                handler(call.header, call.body, call)
            except Exception:
                # The handler speaks its own errors; this is one that it did not foresee.
                sys.excepthook(*sys.exc_info())
                self._wire.send(Frame.FAILED, number)
            self._finish(number)

    def _finish(self, number: int) -> None:
        call = self._calls.pop(number, None)
        if call is not None and call.sharing:
            self._unread[number] = call
        self._wire.send(Frame.DONE, number)


def _step_back() -> None:
    """Be batch work: wake nobody from a core, and give way to an event loop that wakes up."""
    with suppress(OSError, AttributeError):  # forbidden here, or no Linux
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main(arguments: list[str]) -> None:
    """Serve until the server goes away."""
    descriptor, handler, slots, *shared = arguments
    _step_back()
    limits.apply()
    with socket.socket(fileno=int(descriptor)) as sock, suppress(OSError):
        Child(sock, handler, int(slots), [Arena(int(each)) for each in shared]).run()
    # A call may still compute for a server that is gone; nobody will read its answer.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
