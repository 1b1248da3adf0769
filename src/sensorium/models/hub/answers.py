"""What the headers of an answer say, and what to say of an answer that is no file."""

import re
from email.message import Message
from email.utils import parsedate_to_datetime
from time import time

from sensorium.core.errors import ForbiddenError, NotFoundError, SensoriumError, UnavailableError
from sensorium.models.hub.connection import TransientError

MAX_WAIT_S = 60.0
"""A server that wants to be left alone for longer is not waited for."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})")


def content_range(headers: Message) -> tuple[int, int, int]:
    """The first and the last byte of a part, and the size of the whole.

    Raises:
        TransientError: the headers do not say, or contradict themselves.
    """
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None:
        raise TransientError("a part without its place")
    first, last, total = (int(number) for number in found.groups())
    length = content_length(headers)
    if not first <= last < total or length not in (None, last - first + 1):
        raise TransientError("a part of no possible place")
    return first, last, total


def content_length(headers: Message) -> int | None:
    """How many bytes follow, None where that is not said."""
    length = headers.get("Content-Length", "").strip()
    return int(length) if length.isdigit() and len(length) < 19 else None


def strong_etag(headers: Message) -> str:
    """The validator that promises the same bytes, `""` where there is none."""
    etag: str = headers.get("ETag", "").strip()
    return etag if etag.startswith('"') else ""


def size_after_all(headers: Message) -> int | None:
    """The size that an answer of 416 tells."""
    found = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
    return int(found[1]) if found else None


def failure(status: int, headers: Message, host: str) -> Exception:
    """What to raise for a status that is neither the file nor a part of it."""
    if status in (408, 425, 429) or status >= 500:
        wait_s = retry_after(headers.get("Retry-After", ""))
        if wait_s <= MAX_WAIT_S:
            return TransientError(f"an answer of {status}", wait_s)
        return UnavailableError(f"{host} wants to be left alone for now", retry_after_s=wait_s)
    return refusal(status, host)


def refusal(status: int, host: str) -> SensoriumError:
    """What to say of an answer that is no file."""
    if status in (401, 403):
        return ForbiddenError(
            f"{host} does not give this file to you: accept its terms there, and set HF_TOKEN to "
            "a token of that account"
        )
    if status in (404, 410):
        return NotFoundError(f"{host} has no such file")
    return UnavailableError(f"{host} answers {status}")


def retry_after(text: str) -> float:
    """Seconds that a `Retry-After` header asks for, 0 where it says nothing."""
    text = text.strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError):
        return 0.0
