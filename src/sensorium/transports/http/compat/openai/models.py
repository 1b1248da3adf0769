"""`/v1/models`."""

from typing import Any

from msgspec import Struct

from sensorium.core.errors import NotFoundError
from sensorium.transports.http.compat.openai.call import Call


class _Entry(Struct):
    name: str
    source: str = ""
    task: str = ""


class _Models(Struct):
    models: list[_Entry]
    aliases: dict[str, str] = {}


async def list_models(call: Call) -> None:
    """All models, those that make no text among them, and the other names that they have."""
    call.only("GET", "HEAD")
    found = await _found(call)
    await call.answer({"object": "list", "data": list(found.values())})


async def retrieve_model(call: Call, name: str) -> None:
    """One model; `org/name` and `org--name` are the same."""
    call.only("GET", "HEAD")
    found = await _found(call)
    entry = found.get(name) or found.get(name.replace("/", "--"))
    if entry is None:
        raise NotFoundError(
            f"there is no model {name[:200]!r}; GET /v1/models lists those there are"
        )
    await call.answer({**entry, "id": name})


async def _found(call: Call) -> dict[str, dict[str, Any]]:
    request = call.request("models.list", {}, {})
    with call.exchange.while_connected():
        listed = await call.ask("models.list", request, _Models)
    entries = {each.name: each for each in listed.models}  # of several versions, one
    named = {alias: entries[name] for alias, name in listed.aliases.items() if name in entries}
    return {name: _model(name, entry) for name, entry in {**named, **entries}.items()}


def _model(name: str, entry: _Entry) -> dict[str, Any]:
    """`created` is 0: when a model was made is not known."""
    organisation, separator, _ = entry.name.replace("--", "/").partition("/")
    owner = organisation if separator else entry.source.partition(":")[0] or "local"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
