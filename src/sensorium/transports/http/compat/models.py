"""What other servers' dialects read of the models there are."""

from msgspec import Struct

from sensorium.core.errors import NotFoundError
from sensorium.transports.http.compat.call import READS, Call

SEPARATOR = "--"
"""Stands in our names for the slash of `org/name`."""
LATEST = ":latest"
"""The tag of a model that has no other, as Ollama's clients write it."""
UNKNOWN_TIME = "1970-01-01T00:00:00Z"


class Entry(Struct):
    """What is read of a model on disk."""

    name: str
    source: str = ""
    format: str = ""
    size_bytes: int = 0
    digest: str = ""
    licence: str = ""
    task: str = ""


class LoadedEntry(Struct):
    """What is read of a model that is loaded."""

    name: str
    providers: list[str] = []
    memory_bytes: int = 0
    expires_in_s: float | None = None


class Listed(Struct):
    """What is read of the answer of `models.list`."""

    models: list[Entry] = []
    loaded: list[LoadedEntry] = []
    aliases: dict[str, str] = {}

    @property
    def named(self) -> dict[str, Entry]:
        """The models by all the names that they have; of several versions, one."""
        entries = {each.name: each for each in self.models}
        aliases = {alias: name.replace("/", SEPARATOR) for alias, name in self.aliases.items()}
        known = {alias: entries[name] for alias, name in aliases.items() if name in entries}
        return {**known, **entries}


async def listed(call: Call, *, loaded: bool = False) -> Listed:
    """The models there are, or those that are loaded."""
    call.only(*READS)
    with call.exchange.while_connected():
        return await call.ask("models.list", {"loaded": loaded}, Listed)


async def found(call: Call, name: str) -> Entry:
    """One model, by any name that it has; `org/name` and `org--name` are the same.

    Raises:
        NotFoundError: there is none.
    """
    named = (await listed(call)).named
    wanted = name.removesuffix(LATEST)
    entry = named.get(name) or named.get(wanted) or named.get(wanted.replace("/", SEPARATOR))
    if entry is None:
        raise NotFoundError(
            f"there is no model {name[:200]!r}; GET /v1/models lists those there are"
        )
    return entry
