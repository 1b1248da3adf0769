"""What the process that fetches models is told. Light to load."""

from typing import Any

from msgspec import Struct

from sensorium.core.settings import Secret
from sensorium.models.hub.place import Place


class Task(Struct, frozen=True, kw_only=True):
    """What to fetch, and where to."""

    reference: str
    sha256: str
    place: Place


def written(value: Any) -> str:
    """A path or a secret as text, for the way to the process."""
    return value.reveal() if isinstance(value, Secret) else str(value)


def read(kind: type[Any], text: Any) -> Any:
    """A path or a secret, from its text."""
    return kind(text)
