"""A client in process, and one of a real server."""

from collections.abc import Iterator

import pytest

from sensorium.client import Sensorium
from tests.servers import Server


@pytest.fixture(params=["here", "there"])
def client(request: pytest.FixtureRequest) -> Iterator[Sensorium]:
    url = None
    if request.param == "there":
        server: Server = request.getfixturevalue("server")
        url = server.url
    with Sensorium(url) as made:
        yield made
