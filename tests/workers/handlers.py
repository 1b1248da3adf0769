"""What the workers of these tests do with a call: the header says."""

import os
import time
from collections.abc import Iterable
from typing import Any


def serve(header: bytes, body: bytearray, channel: Any) -> None:
    """`echo`, `pid`, `fail`, `crash`, `spin SECONDS`, `count N` or `mirror`."""
    verb, _, argument = header.decode().partition(" ")
    match verb:
        case "echo":
            channel.send(bytes(body))
        case "pid":
            channel.send(str(os.getpid()).encode())
        case "fail":
            channel.fail(b"as told")
        case "crash":
            os._exit(3)
        case "bug":
            raise RuntimeError("as told")
        case "spin":
            _spin(float(argument), channel)
            channel.send(b"spun")
        case "count" | "mirror":
            for item in _items(verb, argument, channel):
                channel.send(item)


def _items(verb: str, argument: str, channel: Any) -> Iterable[bytes]:
    if verb == "count":
        return (b"%d" % number for number in range(int(argument)))
    incoming: Iterable[bytes] = channel.incoming()
    return incoming


class _Flag:
    def __init__(self) -> None:
        self.raised = False

    def cancel(self) -> None:
        self.raised = True


def _spin(seconds: float, channel: Any) -> None:
    """Compute until the time is over or the call is cancelled."""
    flag = _Flag()
    channel.on_cancel(flag)
    until = time.monotonic() + seconds
    while time.monotonic() < until and not flag.raised:
        pass


def mirror_shared(header: bytes, body: bytearray, channel: Any) -> None:
    """Answer with what was shared, in shared memory again; HEADER holds the region."""
    offset, _, size = header.decode().partition(" ")
    region = channel.share(bytes(channel.shared((int(offset), int(size)))))
    channel.send(f"{region[0]} {region[1]}".encode())


def take_memory(header: bytes, body: bytearray, channel: Any) -> None:
    """Take HEADER bytes and say what came of it."""
    try:
        taken = bytearray(int(header))
        channel.send(b"taken %d" % len(taken))
    except MemoryError:
        channel.fail(b"no memory")
