"""Every address is either public or private, by decision: one that nobody classified fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sensorium.app import load_settings
from sensorium.serving.server import serve
from sensorium.transports.http.door import HttpDoor
from sensorium.transports.http.wiring import OPENAI
from tests.conformance import doors
from tests.conformance.driver import FULL
from tests.servers import serving

PUBLIC = {
    *("/", "/assets/*", "/static/*"),
    *("/api-doc", "/api-doc/", "/api-doc/assets/*", "/api-doc/openapi.json"),
    *("/api-doc/swagger", "/api-doc/redoc", "/api-doc/rapidoc"),
    *("/v1/health", "/healthz", "/v2/health/live"),
    *("/v1/health/ready", "/readyz", "/v2/health/ready"),
}
"""They show what the software is and how it is, nothing that it holds."""
PRIVATE = {"/metrics", "/api/clustering", "/api/anomaly", "/api/trend", "/v1/ws", "/mcp"}
FAMILIES = {
    "/v2": ("/v2/models/machine-state", "/v2/models/stats"),
    **dict.fromkeys(OPENAI, ()),
    "/v1/models": ("/v1/models", "/v1/models/tinylm"),
    "/v1/messages": (),
    "/api": ("/api/tags", "/api/ps"),
    "/hub": (
        "/hub/api/models/machine-state",
        "/hub/api/models/machine-state/revision/main",
        "/hub/api/models/machine-state/tree/main",
        "/hub/machine-state/resolve/main/model.onnx",
    ),
}
"""What is served below a first part, with addresses there that need a key; each is a call of an
operation, which is authorised as everywhere. `/v2` itself names the software, and `/api/version`
a protocol's version: these need none."""
POSTED = {
    **dict.fromkeys(("/v1/messages", "/v1/messages/count_tokens"), "POST"),
    **dict.fromkeys(("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"), "POST"),
    **dict.fromkeys(("/api/show", "/api/pull", "/api/none"), "POST"),
    "/api/delete": "DELETE",
    **dict.fromkeys(("/v1/chat/completions", "/v1/completions", "/v1/embeddings"), "POST"),
    **dict.fromkeys(("/v1/responses", "/v1/responses/input_tokens", "/v1/moderations"), "POST"),
    "/v1/responses/resp_1": "DELETE",
}
"""Addresses of families that do not answer GET, and the method that they take."""
PUBLIC_OPERATIONS = {"system.health", "system.ready"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> HttpDoor:
    """The door exactly as `serve` puts it together."""
    folder = tmp_path_factory.mktemp("static")
    found: list[HttpDoor] = []

    async def capture(door: HttpDoor, *_: object, **__: object) -> None:
        found.append(door)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sensorium.transports.http.server.serve", capture)
        flags: dict[str, Any] = {"port": "0", "static_dir": str(folder), "data_dir": str(folder)}
        settings = load_settings(flags, environ={}, directory=Path(folder))
        asyncio.run(serve(settings, warm=False, on_listening=lambda *_: None))
    return found[0]


def test_every_address_is_classified(door: HttpDoor) -> None:
    addresses = {*door.routes, *door.aliases, *door.mounted}
    assert not PUBLIC & PRIVATE
    assert addresses == PUBLIC | PRIVATE
    assert door.families.keys() == FAMILIES.keys()


def test_only_what_was_decided_is_public(door: HttpDoor) -> None:
    routes = {path for path, route in door.routes.items() if not route.permission}
    aliases = {
        path
        for path, alias in door.aliases.items()
        if alias.operation in PUBLIC_OPERATIONS and alias.health
    }
    assert routes | aliases == PUBLIC
    assert {each.name for each in doors.operations() if each.public} == PUBLIC_OPERATIONS


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.txt").write_text("static")
    flags = ("--static-dir", str(folder))
    with serving(*flags, environ={"SENSORIUM_API_KEYS": FULL}) as server, server.client() as http:
        yield http


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_a_public_address_needs_no_key(http: httpx.Client, path: str) -> None:
    named = {"/assets/*": "/assets/theme.js", "/static/*": "/static/a.txt"}
    answer = http.get(named.get(path, path.replace("*", "swagger.js")))
    assert answer.status_code in (200, 307, 308), answer.text


@pytest.mark.parametrize("path", sorted(PRIVATE - {"/v1/ws"}))
@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_private_address_needs_one(http: httpx.Client, path: str, key: str | None) -> None:
    headers = {} if key is None else {"x-api-key": key}
    method = "GET" if path == "/metrics" else "POST"
    answer = http.request(method, path, headers=headers, json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", [path for paths in FAMILIES.values() for path in paths])
@pytest.mark.parametrize("key", [None, "wrong", FULL])
def test_an_address_of_a_family_needs_one(http: httpx.Client, path: str, key: str | None) -> None:
    headers = {} if key is None else {"x-api-key": key}
    for method in ("GET", "HEAD"):
        answer = http.request(method, path, headers=headers)
        assert answer.status_code == (200 if key == FULL else 401), answer.text


@pytest.mark.parametrize("path", sorted(POSTED))
@pytest.mark.parametrize("key", [None, "wrong"])
def test_whatever_is_posted_to_a_family_needs_one(
    http: httpx.Client, path: str, key: str | None
) -> None:
    headers = {} if key is None else {"x-api-key": key}
    for body in (b"{}", b"no JSON"):
        answer = http.request(POSTED[path], path, headers=headers, content=body)
        assert (answer.status_code, "error" in answer.json()) == (401, True)


def test_the_version_of_a_protocol_is_public(http: httpx.Client) -> None:
    assert http.get("/api/version").status_code == 200


def test_every_operation_that_is_not_public_needs_one(http: httpx.Client) -> None:
    for each in doors.operations():
        answer = http.post(f"/v1/{each.name.replace('.', '/')}", json={})
        assert (answer.status_code == 401) is (each.name not in PUBLIC_OPERATIONS), each.name


def test_the_key_opens_them(http: httpx.Client) -> None:
    for headers in ({"x-api-key": FULL}, {"authorization": f"bearer {FULL}"}):
        assert http.get("/metrics", headers=headers).status_code == 200
