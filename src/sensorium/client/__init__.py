"""The Python client: every operation as a method, computed in this process or on a server.

    from sensorium.client import Sensorium

    with Sensorium() as here:                                    # computes in this process
        here.logs.cluster(lines=["error: disk full", "error: disk full"])

    with Sensorium("http://127.0.0.1:8484", api_key="…") as there:      # asks a server
        for event in there.logs.watch(open("app.log")):
            ...

`AsyncSensorium` is the same to be awaited. Type checkers and editors read the methods from
`__init__.pyi`, which `python -m sensorium.client.stubs` writes.
"""

from typing import Any

from sensorium.client.facade import AsyncClient, Client

__all__ = ["AsyncSensorium", "Sensorium"]


class Sensorium(Client):
    """Sensorium, to be called. Its attributes are nouns, their attributes operations."""

    def __getattr__(self, noun: str) -> Any:
        """The operations of a noun."""
        return self._noun(noun)


class AsyncSensorium(AsyncClient):
    """Sensorium, to be awaited. Its attributes are nouns, their attributes operations."""

    def __getattr__(self, noun: str) -> Any:
        """The operations of a noun."""
        return self._noun(noun)
