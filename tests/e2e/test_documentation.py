"""The three viewers of the API's document, in a browser that reaches no other host."""

import pytest

from tests.e2e.browser import tab
from tests.e2e.conftest import foreign
from tests.servers import Server

pytestmark = pytest.mark.browser

TEXT = {
    "swagger": "document.getElementById('operations').innerText",
    "redoc": "document.getElementById('operations').innerText",
    "rapidoc": "document.querySelector('rapi-doc').shadowRoot.textContent",
}


@pytest.mark.parametrize("viewer", TEXT)
def test_a_viewer_lists_the_operations(browser: str, server: Server, viewer: str) -> None:
    with server.client() as http:
        document = http.get("/api-doc/openapi.json").json()
    summaries = {
        each["summary"].rstrip(".")
        for path, methods in document["paths"].items()
        for each in methods.values()
        if path.startswith("/v1/")
    }
    assert len(summaries) > 8
    with tab(browser) as page:
        page.open(f"{server.url}/api-doc/{viewer}")
        for summary in summaries:
            page.wait(f"{TEXT[viewer]}.includes({summary!r})")
        assert page.complaints == []
        assert foreign(page, server) == []


def test_swagger_calls_an_operation(browser: str, server: Server) -> None:
    with tab(browser) as page:
        page.open(f"{server.url}/api-doc/swagger")
        page.click("[id='operations-system-system_echo'] .opblock-summary-control")
        page.click("[id='operations-system-system_echo'] .execute")
        page.wait(f"{TEXT['swagger']}.includes('Response headers')")
        assert '"text": "hello"' in page.run(TEXT["swagger"])
        assert page.complaints == []


def test_the_index_leads_to_every_viewer(browser: str, server: Server) -> None:
    with tab(browser) as page:
        page.open(f"{server.url}/api-doc")
        page.wait("document.querySelectorAll('.choices a').length === 4")
        assert page.run("location.pathname") == "/api-doc/"
        places = page.run("[...document.querySelectorAll('.choices a')].map((a) => a.href)")
        with server.client() as http:
            assert [http.get(place).status_code for place in places] == [200] * 4
        assert f"{server.url}/v1/logs/cluster" in page.texts("#first")[0]
        assert page.complaints == []
