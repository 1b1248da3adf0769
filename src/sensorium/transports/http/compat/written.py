"""The arguments of a tool's call, as a model wrote them."""

from typing import Any

import msgspec

UNREADABLE = "unreadable"


def written(text: str) -> dict[str, Any]:
    """The JSON object that a model wrote; what is none stands in one under `unreadable`."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {UNREADABLE: text}
