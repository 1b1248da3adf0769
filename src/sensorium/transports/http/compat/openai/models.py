"""`/v1/models`."""

from typing import Any

from sensorium.transports.http.compat.call import Call
from sensorium.transports.http.compat.models import SEPARATOR, Entry, found, listed


async def list_models(call: Call) -> None:
    """All models, those that make no text among them, and the other names that they have."""
    named = (await listed(call)).named
    await call.answer(
        {"object": "list", "data": [_model(name, entry) for name, entry in named.items()]}
    )


async def retrieve_model(call: Call, name: str) -> None:
    """One model."""
    await call.answer(_model(name, await found(call, name)))


def _model(name: str, entry: Entry) -> dict[str, Any]:
    """`created` is 0: when a model was made is not known."""
    organisation, separator, _ = entry.name.replace(SEPARATOR, "/").partition("/")
    owner = organisation if separator else entry.source.partition(":")[0] or "local"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
