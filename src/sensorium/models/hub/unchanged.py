"""Whether what was fetched from an address is what it still has."""

from urllib.parse import urlsplit

from sensorium.core.errors import UnavailableError
from sensorium.models.hub.addresses import Reach
from sensorium.models.hub.answers import refusal
from sensorium.models.hub.connection import Connections, Target, TransientError
from sensorium.models.hub.place import Place


def is_unchanged(url: str, etag: str, place: Place) -> bool:
    """Whether the file at an address still has a validator.

    Raises:
        SensoriumError: it cannot be asked for.
    """
    if not etag:
        return False
    least = Reach.LOOPBACK if place.local_files else Reach.PUBLIC
    connections = Connections(
        connect_s=place.connect_s, stall_s=place.stall_s, token="", token_for=""
    )
    try:
        answer = connections.get(Target(url, least), {"Range": "bytes=0-0"})
        if answer.status not in (200, 206):
            raise refusal(answer.status, urlsplit(url).hostname or "the server")
        return bool(answer.headers.get("ETag", "").strip() == etag)
    except TransientError as error:
        raise UnavailableError(f"the server cannot be reached ({error})") from error
    finally:
        connections.close()
