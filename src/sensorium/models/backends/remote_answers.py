"""What a remote server answers: read as Structs, in lines, or as a refusal."""

from collections.abc import Mapping
from typing import TypeVar

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


def read(body: bytes, kind: type[T]) -> T:
    """An answer, or a part of one, as a Struct.

    Raises:
        UnavailableError: it is none.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UnavailableError("the remote server answers with what is not its protocol") from None


class Lines:
    """Puts lines together from whatever parts they come in."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, part: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends.

        Raises:
            UnavailableError: one is too long.
        """
        *found, self._held = (self._held + part).split(b"\n")
        if len(self._held) > MAX_LINE:
            raise UnavailableError("the remote server answers with a line that does not end")
        return found

    def rest(self) -> list[bytes]:
        """The last line, which has no end."""
        held, self._held = self._held, b""
        return [held] if held else []


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


def refusal(status: int, headers: Mapping[str, str], said: str) -> SensoriumError:
    """The error that a status other than 200 is; `said` are the server's words."""
    why = f": {said}" if said else ""
    later = _wait(headers.get("retry-after", ""))
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
        seconds = float(text)
    except ValueError:
        return 1.0
    return min(seconds, RETRY_S) if seconds >= 0 else 1.0
