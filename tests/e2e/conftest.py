"""A browser for all tests, and a tab for each."""

from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.e2e.browser import Tab, browsing, executable, tab
from tests.servers import Server

OWN_SCHEMES = ("data:", "blob:")


@pytest.fixture(scope="session")
def browser() -> Iterator[str]:
    """The address that a running Chromium is driven through."""
    if executable() is None:
        missing("Chromium")
    with browsing() as address:
        yield address


@pytest.fixture
def page(browser: str, server: Server) -> Iterator[Tab]:
    """The page at `/`; in the end it has complained of nothing and asked no other host."""
    with tab(browser) as opened:
        opened.open(f"{server.url}/")
        yield opened
        assert opened.complaints == []
        assert foreign(opened, server) == []


def foreign(opened: Tab, server: Server) -> list[str]:
    """What a tab asked of others than the server."""
    own = (f"{server.url}/", *OWN_SCHEMES)
    return [request for request in opened.requests if not request.startswith(own)]
