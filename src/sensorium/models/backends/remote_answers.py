"""What a remote server answers: whole, in lines, or with a refusal."""

from collections.abc import AsyncIterator
from typing import TypeVar

import httpx
import msgspec

from sensorium.core.errors import (
    InvalidInputError,
    OverloadedError,
    SensoriumError,
    UnavailableError,
)

T = TypeVar("T")
MAX_LINE = 4 << 20
RETRY_S = 3600.0
"""No wait that a server asks for is longer."""


def read(body: bytes | str, kind: type[T]) -> T:
    """An answer, or a part of one, as a Struct.

    Raises:
        UnavailableError: it is none.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UnavailableError("the remote server answers with what is not its protocol") from None


async def whole(response: httpx.Response, limit: int, *, cut: bool = False) -> bytes:
    """An answer of at most so many bytes; with `cut`, no more than those of it.

    Raises:
        UnavailableError: it is longer.
    """
    found = bytearray()
    async for part in response.aiter_bytes():
        found += part
        if len(found) > limit:
            if cut:
                break
            raise UnavailableError(f"the remote server answers with more than {limit >> 20} MiB")
    return bytes(found[:limit])


async def lines_of(response: httpx.Response) -> AsyncIterator[str]:
    """Lines without their ends, which the last may lack.

    Raises:
        UnavailableError: one is too long.
    """
    held = bytearray()
    async for part in response.aiter_bytes():
        *whole, rest = part.split(b"\n")
        for line in whole:
            held += line
            yield held.decode("utf-8", "replace").rstrip("\r")
            held.clear()
        held += rest
        if len(held) > MAX_LINE:
            raise UnavailableError("the remote server answers with a line that does not end")
    if held:
        yield held.decode("utf-8", "replace")


def said(body: bytes) -> str:
    """The message in an error's body, in whichever of the usual forms."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    return found if isinstance(found, str) else ""


def refusal(response: httpx.Response, said: str) -> SensoriumError:
    """The error that a status other than 200 is; `said` are the server's words."""
    status = response.status_code
    why = f": {said}" if said else ""
    later = _wait(response.headers.get("retry-after", ""))
    if status == 429:
        return OverloadedError("the remote server has too much to do" + why, retry_after_s=later)
    if status in (401, 403):
        return UnavailableError("the remote server does not take the key of remote.toml")
    if status in (404, 405):
        return UnavailableError("the remote server has no such model or address" + why)
    if 300 <= status < 400:
        return UnavailableError(
            "the remote server redirects, which is not followed: write the new address into "
            "remote.toml"
        )
    if 400 <= status < 500 and status != 408:
        return InvalidInputError("the remote server refuses this" + why)
    return UnavailableError(f"the remote server failed ({status})" + why, retry_after_s=later)


def _wait(text: str) -> float:
    """Seconds to wait, as a server says them; one where it says a date or nothing."""
    try:
        return min(max(float(text), 0.0), RETRY_S)
    except ValueError:
        return 1.0
