"""Content encodings of bodies, bounded; a module of its own, because few bodies are compressed."""

import zlib
from collections.abc import Callable
from typing import Protocol

import zstandard

from sensorium.core.errors import MalformedInputError, NotSupportedError, PayloadTooLargeError

_SLICE = 4096
_ZSTD_SLICE = 1024
"""Input per step: a step unfolds to at most a thousand (zstd: 32 thousand) times as much."""
_MAX_MEMBERS = 10_000
"""How many a body may be made of, one after the other; each costs time, even an empty one."""
_MAX_WINDOW = 1 << 27


class _Engine(Protocol):
    """What unfolds one member."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""

    @property
    def unused_data(self) -> bytes:
        """Input from after its end."""

    def decompress(self, data: bytes) -> bytes:
        """The next output."""


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its content encoding (`gzip`, `deflate` or `zstd`).

    Raises:
        PayloadTooLargeError: it unfolds to more than `max_bytes`.
        MalformedInputError: it is not in that encoding, or cut short.
        NotSupportedError: another encoding.
    """
    match encoding.strip().lower():
        case "gzip" | "x-gzip":
            return _unfold(body, lambda: zlib.decompressobj(31), _SLICE, max_bytes)
        case "deflate":
            return _unfold(body, lambda: zlib.decompressobj(15), _SLICE, max_bytes)
        case "zstd":
            decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
            return _unfold(body, decompressor.decompressobj, _ZSTD_SLICE, max_bytes)
        case _:
            raise NotSupportedError("a body may be encoded as gzip, deflate or zstd")


def _unfold(body: bytes, make: Callable[[], _Engine], step: int, max_bytes: int) -> bytes:
    unfolded = bytearray()
    at = 0
    try:
        for _ in range(_MAX_MEMBERS):
            at = _unfold_member(make(), body, at, step, unfolded, max_bytes)
            if at == len(body):
                return bytes(unfolded)
    except (zlib.error, zstandard.ZstdError):
        raise MalformedInputError("the body is not in the encoding that it says") from None
    raise MalformedInputError(f"a body may be compressed in at most {_MAX_MEMBERS} pieces")


def _unfold_member(
    engine: _Engine, body: bytes, at: int, step: int, unfolded: bytearray, max_bytes: int
) -> int:
    """Unfold the member that begins at `at`; returns where it ends."""
    while not engine.eof:
        if at == len(body):
            raise MalformedInputError("the compressed body is cut short")
        piece = body[at : at + step]
        at += len(piece)
        _extend(unfolded, engine.decompress(piece), max_bytes)
    return at - len(engine.unused_data)


def _extend(unfolded: bytearray, piece: bytes, max_bytes: int) -> None:
    unfolded += piece
    if len(unfolded) > max_bytes:
        raise PayloadTooLargeError(
            f"the body decompresses to more than {max_bytes} bytes", details={"limit": max_bytes}
        )
