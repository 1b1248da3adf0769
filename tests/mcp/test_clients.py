"""MCP with the SDK's own client, over Streamable HTTP and over standard input and output."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.faults.observing import busy_worker, in_flight, until
from tests.servers import PLUGIN, ROOT, Server, serving

KEY = "key-of-the-mcp-tests"
LINES = [f"login failed for user {n}" for n in range(5)] + ["disk is full"]
Trial = Callable[[Any], Awaitable[None]]


@asynccontextmanager
async def over_http(server: Server, key: str | None = None) -> AsyncIterator[Any]:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
        async with Client(transport) as client:
            yield client


@asynccontextmanager
async def over_stdio() -> AsyncIterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = StdioServerParameters(
            command=sys.executable,
            args=["-m", "sensorium", "mcp"],
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("SENSORIUM_")},
                "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(PLUGIN)]),
                "SENSORIUM_DATA_DIR": folder,
            },
        )
        async with Client(command) as client:
            yield client


@pytest.fixture(params=["http", "stdio"])
def attempt(request: pytest.FixtureRequest, server: Server) -> Callable[[Trial], None]:
    """Tries something with a client, through either transport."""

    def run(trial: Trial) -> None:
        async def tried() -> None:
            opened = over_http(server) if request.param == "http" else over_stdio()
            async with opened as client:
                await trial(client)

        asyncio.run(tried())

    return run


def test_tools_are_few_and_say_what_they_take(attempt: Callable[[Trial], None]) -> None:
    async def trial(client: Any) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        ours = {name for name in tools if not name.startswith("testing_")}
        assert ours == {
            "chat_complete",
            "logs_cluster",
            "logs_compare",
            "metrics_detect_anomalies",
            "metrics_forecast",
            "models_get",
            "models_infer",
            "models_list",
            "text_complete",
            "text_count",
            "text_detokenize",
            "text_embed",
            "text_rerank",
            "text_tokenize",
            "vision_describe",
        }
        assert "testing_change" not in tools
        cluster = tools["logs_cluster"]
        assert cluster.input_schema["type"] == "object"
        assert cluster.input_schema["required"] == ["lines"]
        assert cluster.input_schema["properties"]["lines"]["description"]
        assert cluster.output_schema["properties"]["clusters"]
        assert cluster.annotations.read_only_hint
        assert 10 < len(cluster.description) < 120

    attempt(trial)


def test_models_are_resources(attempt: Callable[[Trial], None]) -> None:
    async def trial(client: Any) -> None:
        listed = (await client.list_resources()).resources
        assert [str(each.uri) for each in listed] == ["sensorium://models"]
        templates = (await client.list_resource_templates()).resource_templates
        assert [each.uri_template for each in templates] == ["sensorium://models/{model}"]
        read = await client.read_resource("sensorium://models")
        names = {each["name"] for each in json.loads(read.contents[0].text)["models"]}
        assert {"machine-state", "machine-life"} <= names
        read = await client.read_resource("sensorium://models/machine-state")
        assert json.loads(read.contents[0].text)["entry"]["format"] == "onnx"
        for wrong in ("sensorium://models/none", "sensorium://nothing", "file:///etc/passwd"):
            with pytest.raises(Exception, match="there is no"):
                await client.read_resource(wrong)

    attempt(trial)


def test_a_tool_answers_as_http_does(attempt: Callable[[Trial], None], server: Server) -> None:
    with server.client() as http:
        expected = http.post("/v1/logs/cluster", json={"lines": LINES}).json()

    async def trial(client: Any) -> None:
        result = await client.call_tool("logs_cluster", {"lines": LINES})
        assert not result.is_error
        assert result.structured_content == expected
        assert json.loads(result.content[0].text) == expected

    attempt(trial)


def test_what_is_wrong_is_the_agents_to_read(attempt: Callable[[Trial], None]) -> None:
    async def trial(client: Any) -> None:
        wrong = await client.call_tool("logs_cluster", {"lines": LINES, "max_clusters": -1})
        assert wrong.is_error
        assert wrong.content[0].text.startswith("invalid_input: ")
        assert "$.max_clusters" in wrong.content[0].text
        error = wrong.structured_content["error"]
        assert (error["code"], error["details"]["at"]) == ("invalid_input", "$.max_clusters")
        nothing = await client.call_tool("no_such_tool", {})
        assert nothing.structured_content["error"]["code"] == "not_found"

    attempt(trial)


def test_progress_is_told(attempt: Callable[[Trial], None]) -> None:
    async def trial(client: Any) -> None:
        heard: list[float] = []

        async def hear(done: float, total: float | None, message: str | None) -> None:
            assert message == "lines"
            assert total == 10_000
            heard.append(done)

        lines = [f"request {n} took {n} ms" for n in range(10_000)]
        arguments = {"lines": lines, "include_assignments": False}
        result = await client.call_tool("logs_cluster", arguments, progress_callback=hear)
        assert not result.is_error
        assert heard == sorted(heard)
        assert heard

    attempt(trial)


def test_an_agent_that_gives_up_stops_the_compute(server: Server) -> None:
    async def tried() -> None:
        async with over_http(server) as client:
            call = asyncio.create_task(
                client.call_tool("testing_process", {"token": "a", "seconds": 60})
            )
            await asyncio.to_thread(busy_worker, server)
            call.cancel()
            left = time.monotonic()
            with server.client() as http:
                await asyncio.to_thread(until, lambda: in_flight(http, "testing.process") == 0, 2.0)
            assert time.monotonic() - left < 40

    asyncio.run(tried())


def test_a_key_is_wanted_where_there_is_one() -> None:
    with serving(environ={"SENSORIUM_API_KEYS": KEY}) as server:
        with server.client() as http:
            for headers in ({}, {"authorization": "Bearer wrong"}):
                refused = http.post("/mcp", json={}, headers=headers)
                assert refused.status_code == 401
                assert refused.json()["code"] == "unauthenticated"

        async def tried() -> None:
            async with over_http(server, KEY) as client:
                assert (await client.call_tool("logs_cluster", {"lines": LINES})).content

        asyncio.run(tried())


def test_which_operations_are_tools_can_be_said() -> None:
    with serving("--mcp-operations", "system.health,testing.change") as server:

        async def tried() -> None:
            async with over_http(server) as client:
                names = [tool.name for tool in (await client.list_tools()).tools]
                assert names == ["system_health", "testing_change"]
                changed = await client.call_tool("testing_change", {"token": "x"})
                assert changed.structured_content["token"] == "x"
                refused = await client.call_tool("logs_cluster", {"lines": LINES})
                assert refused.is_error
                assert (await client.list_resources()).resources == []
                assert (await client.list_resource_templates()).resource_templates == []
                for each in ("models", "models/machine-state"):
                    with pytest.raises(Exception, match="there is no resource"):
                        await client.read_resource(f"sensorium://{each}")

        asyncio.run(tried())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"jsonrpc": "2.0"}', b"\xff" * 100])
def test_junk_is_refused_and_survived(server: Server, body: bytes) -> None:
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    answer = httpx.post(f"{server.url}/mcp", content=body, headers=headers)
    assert 400 <= answer.status_code < 500
    assert httpx.get(f"{server.url}/v1/health").status_code == 200


def test_a_page_from_elsewhere_may_not_call(server: Server) -> None:
    headers = {"origin": "http://evil.invalid"}
    assert httpx.post(f"{server.url}/mcp", json={}, headers=headers).status_code == 403


def test_there_is_no_session_to_listen_to(server: Server) -> None:
    for method in ("GET", "DELETE"):
        answer = httpx.request(method, f"{server.url}/mcp", headers={"accept": "text/event-stream"})
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_websocket_is_turned_away(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(server.ws_url.replace("/v1/ws", "/mcp"))
    assert refused.value.response.status_code == 403


def test_an_interrupt_ends_it_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sensorium", "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(PLUGIN)])},
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        hello = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        ask = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        process.stdin.write(json.dumps(ask).encode() + b"\n")
        process.stdin.flush()
        assert b"sensorium" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
