"""Pictures in other servers' messages, as parts of ours (`core.conversation.ImagePart`)."""

from binascii import a2b_base64
from typing import Any

from sensorium.core.errors import InvalidInputError, NotSupportedError, PayloadTooLargeError

MAX_URL = 8192
MAX_BYTES = 20 << 20
MARKS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")


def from_url(url: str, at: int, where: str) -> dict[str, Any]:
    """A picture that an address names: `http:`, `https:`, or `data:` with the file in it.

    `at` is before which character of the message it stands, `where` the field for errors.

    Raises:
        InvalidInputError: it is no such address, or not base64.
        NotSupportedError: it is the file of something else.
        PayloadTooLargeError: it is too large.
    """
    scheme, _, rest = url.partition(":")
    match scheme.lower():
        case "data":
            kind, _, data = rest.partition(",")
            if not kind.lower().endswith(";base64"):
                raise InvalidInputError("a data URL holds base64 here", details={"at": where})
            return from_base64(data, at, where)
        case "http" | "https" if len(url) <= MAX_URL:
            return {"url": url, "at": at}
        case _:
            raise InvalidInputError(
                "a picture's address begins with https:, http: or data:", details={"at": where}
            )


def from_base64(data: str, at: int, where: str) -> dict[str, Any]:
    """A picture's file as base64, in lines or not; arguments and errors as for `from_url`."""
    data = "".join(data.split())
    if len(data) // 4 * 3 > MAX_BYTES:
        raise PayloadTooLargeError(
            f"a picture may have at most {MAX_BYTES} bytes", details={"at": where}
        )
    try:
        file = a2b_base64(data, strict_mode=True)
    except ValueError:
        raise InvalidInputError("this is not base64", details={"at": where}) from None
    if not file.startswith(MARKS) or (file.startswith(b"RIFF") and file[8:12] != b"WEBP"):
        raise NotSupportedError(
            "a picture is a PNG, JPEG, GIF or WebP file here", details={"at": where}
        )
    return {"data": file, "at": at}
