"""Content encodings of bodies, bounded; a module of its own, because few bodies are compressed."""

import zlib

import zstandard

from sensorium.core.errors import MalformedInputError, NotSupportedError, PayloadTooLargeError

_CHUNK = 1 << 20
_MAX_WINDOW = 1 << 27


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The body without its content encoding (`gzip`, `deflate` or `zstd`).

    Raises:
        PayloadTooLargeError: it unfolds to more than `max_bytes`.
        MalformedInputError: it is not in that encoding, or cut short.
        NotSupportedError: another encoding.
    """
    match encoding.strip().lower():
        case "gzip" | "x-gzip":
            return _inflate(body, 31, max_bytes)
        case "deflate":
            return _inflate(body, 15, max_bytes)
        case "zstd":
            return _unzstd(body, max_bytes)
        case _:
            raise NotSupportedError("a body may be encoded as gzip, deflate or zstd")


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    unfolded = bytearray()
    rest = body
    while True:  # a gzip file may be several, one after the other
        engine = zlib.decompressobj(window_bits)
        try:
            while not engine.eof:
                piece = engine.decompress(rest, _CHUNK)
                rest = engine.unconsumed_tail
                _extend(unfolded, piece, max_bytes)
                if not (rest or piece or engine.eof):
                    raise MalformedInputError("the compressed body is cut short")
        except zlib.error:
            raise MalformedInputError("the body is not in the encoding that it says") from None
        rest = engine.unused_data
        if not rest:
            return bytes(unfolded)


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    unfolded = bytearray()
    rest = body
    try:
        while rest:
            engine = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
            for start in range(0, len(rest), 4096):  # one call unfolds at most 4 KiB of input
                _extend(unfolded, engine.decompress(rest[start : start + 4096]), max_bytes)
                if engine.eof:
                    rest = engine.unused_data + rest[start + 4096 :]
                    break
            else:
                raise MalformedInputError("the compressed body is cut short")
    except zstandard.ZstdError:
        raise MalformedInputError("the body is not in the encoding that it says") from None
    return bytes(unfolded)


def _extend(unfolded: bytearray, piece: bytes, max_bytes: int) -> None:
    unfolded += piece
    if len(unfolded) > max_bytes:
        raise PayloadTooLargeError(
            f"the body decompresses to more than {max_bytes} bytes", details={"limit": max_bytes}
        )
