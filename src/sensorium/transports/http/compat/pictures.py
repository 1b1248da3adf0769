"""Pictures in other servers' messages, as parts of ours (`core.conversation.ImagePart`).

The base64 text goes on as it is: the operation decodes it, and says where it is none.
"""

from base64 import b64decode
from typing import Any

from sensorium.core.errors import InvalidInputError, NotSupportedError

MAX_URL = 8192
HEAD = 16
"""So many characters of base64 hold the bytes by which a file is known."""
MARKS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")


def from_url(url: str, at: int, where: str) -> dict[str, Any]:
    """A picture that an address names: `http:`, `https:`, or `data:` with the file in it.

    `at` is before which character of the message it stands, `where` the field for errors.

    Raises:
        InvalidInputError: it is no such address, or no picture.
    """
    scheme, _, rest = url.partition(":")
    match scheme.lower():
        case "data":
            kind, _, data = rest.partition(",")
            if not kind.endswith(";base64"):
                raise _wrong(where, "a data URL holds base64 here")
            return from_base64(data, at, where)
        case "http" | "https" if len(url) <= MAX_URL:
            return {"url": url, "at": at}
        case _:
            raise _wrong(where, "a picture's address begins with https:, http: or data:")


def from_base64(data: str, at: int, where: str) -> dict[str, Any]:
    """A picture's file as base64; see `from_url`.

    Raises:
        InvalidInputError: it is not base64.
        NotSupportedError: it is the file of something else.
    """
    try:
        head = b64decode(data[:HEAD].encode("ascii"), validate=True)
    except ValueError:
        raise _wrong(where, "this is not base64") from None
    if not head.startswith(MARKS) or (head.startswith(b"RIFF") and head[8:12] != b"WEBP"):
        raise NotSupportedError(
            "a picture is a PNG, JPEG, GIF or WebP file here", details={"at": where}
        )
    return {"data": data, "at": at}


def _wrong(where: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, details={"at": where})
