"""`/v1/models`, for clients that say which version of Anthropic's protocol they speak."""

from typing import Any

from sensorium.transports.http.compat.call import Call
from sensorium.transports.http.compat.models import UNKNOWN_TIME, found, listed


async def list_models(call: Call) -> None:
    """All models, and the other names that they have, on one page whatever its `limit`."""
    names = list((await listed(call)).named)
    ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
    await call.answer({"data": [_model(name) for name in names], "has_more": False, **ends})


async def retrieve_model(call: Call, name: str) -> None:
    """One model."""
    await found(call, name)
    await call.answer(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": UNKNOWN_TIME,
        "lifecycle": "active",
    }
