"""What a client does when a server is away, busy, strange, or wants a key."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sensorium.client import Sensorium, retries
from sensorium.core.errors import (
    ForbiddenError,
    InvalidInputError,
    OverloadedError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
)
from tests.client.scripted import scripted
from tests.servers import reserved_port, serving

OK = (200, {}, b'{"status":"live","version":"9"}')
ITEM = (200, {}, b'{"index":7,"token":"a"}')


def problem(code: str, status: int, **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, f'{{"code":"{code}","detail":"later","title":"x"}}'.encode()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, which are noted and not waited."""
    noted: list[float] = []

    async def sleep(seconds: float) -> None:
        noted.append(seconds)

    monkeypatch.setattr(retries.asyncio, "sleep", sleep)
    return noted


@pytest.fixture
def free_port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.mark.parametrize(
    "refusal",
    [
        problem("rate_limited", 429, retry_after="2"),
        problem("overloaded", 503, retry_after="1"),
        problem("unavailable", 503, retry_after="1"),
    ],
)
def test_a_refused_call_is_tried_again(refusal: Any, waits: list[float]) -> None:
    with scripted(refusal, refusal, OK) as server, Sensorium(server.url) as there:
        assert there.system.health().version == "9"
    asked = float(refusal[1]["retry-after"])
    assert len(server.asked) == 3
    assert all(asked <= wait <= asked * 1.1 for wait in waits)


def test_it_gives_up_in_the_end_with_the_servers_own_error(waits: list[float]) -> None:
    refusal = problem("rate_limited", 429, retry_after="1")
    with (
        scripted(refusal) as server,
        Sensorium(server.url, retries=2) as there,
        pytest.raises(RateLimitedError, match="later") as refused,
    ):
        there.system.health()
    assert refused.value.retry_after_s == 1
    assert (len(server.asked), len(waits)) == (3, 2)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (problem("overloaded", 503), OverloadedError),
        (problem("overloaded", 503, retry_after="3600"), OverloadedError),
        (problem("invalid_input", 422, retry_after="1"), InvalidInputError),
    ],
)
def test_what_will_not_get_better_is_not_tried_again(
    refusal: Any, error: type[Exception], waits: list[float]
) -> None:
    with scripted(refusal) as server, Sensorium(server.url) as there, pytest.raises(error):
        there.system.health()
    assert (len(server.asked), waits) == (1, [])


def test_every_try_of_a_change_carries_one_key(waits: list[float]) -> None:
    refusal = problem("overloaded", 503, retry_after="1")
    with scripted(refusal, ITEM, ITEM) as server, Sensorium(server.url) as there:
        there.call("testing.change", token="a")
        there.call("testing.change", token="a")
        there.with_options(idempotency_key="mine").call("testing.change", token="a")
    keys = [asked["idempotency-key"] for asked in server.asked]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == "mine"
    assert len(keys[2]) == 32


def test_options_travel_as_headers() -> None:
    with scripted(OK) as server, Sensorium(server.url, api_key="secret") as there:
        there.with_options(timeout_s=1.5, priority="batch").system.health()
        there.system.health()
    first, second = server.asked
    assert first["authorization"] == "Bearer secret"
    assert (first["x-deadline-s"], first["x-priority"]) == ("1.5", "batch")
    assert not {"x-deadline-s", "x-priority", "idempotency-key"} & second.keys()


def test_nobody_there(free_port: int, waits: list[float]) -> None:
    with Sensorium(f"http://127.0.0.1:{free_port}", retries=3) as there:
        for call in (there.system.health, lambda: list(there.metrics.watch([]))):
            with pytest.raises(UnavailableError, match=r"Connection refused; `sensorium serve`"):
                call()
    assert len(waits) == 6
    assert 0.125 <= waits[0] <= 0.25
    assert 0.5 <= waits[2] <= 1.0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_that_comes_up_is_found(
    free_port: int, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = b'{"chunk":{"anomalies":[],"points":0,"missing":0,"late":0}}\n{"end":{}}\n'
    with ExitStack() as stack:

        async def come_up(_: float) -> None:
            answer = (200, {}, end) if streamed else OK
            stack.enter_context(scripted(answer, port=free_port))

        monkeypatch.setattr(retries.asyncio, "sleep", come_up)
        with Sensorium(f"http://127.0.0.1:{free_port}") as there:
            if streamed:
                assert [event.points for event in there.metrics.watch([])] == [0]
            else:
                assert there.system.health().version == "9"


@pytest.mark.parametrize(
    "answer", [(502, {}, b"<html>Bad gateway</html>"), (404, {}, b"{}"), (302, {}, b"")]
)
def test_something_else_stands_there(answer: Any) -> None:
    with scripted(answer) as server, Sensorium(server.url) as there:
        with pytest.raises(UnavailableError, match=f"HTTP {answer[0]} came back"):
            there.system.health()
        with pytest.raises(UnavailableError, match=f"HTTP {answer[0]} came back"):
            list(there.metrics.watch([]))


def test_an_answer_that_is_not_understood() -> None:
    with (
        scripted((200, {}, b'{"status":"odd"}')) as server,
        Sensorium(server.url) as there,
        pytest.raises(UnavailableError, match="not what this client knows"),
    ):
        there.system.health()


@pytest.mark.parametrize(
    "body", [b"", b'{"chunk":{"index":0}}\n', b'{"chunk":{"index":0}}\n{"chunk":{"ind']
)
def test_a_stream_without_an_end_is_an_error(body: bytes) -> None:
    with (
        scripted((200, {}, body)) as server,
        Sensorium(server.url) as there,
        pytest.raises(UnavailableError, match=r"lost in the middle|not what this client"),
    ):
        list(there.stream("testing.count"))


def test_a_lost_connection_is_tried_again(waits: list[float]) -> None:
    cut = (200, {"content-length": "100"}, b'{"status"')
    with scripted(cut, OK) as server, Sensorium(server.url) as there:
        assert there.system.health().version == "9"
    assert len(server.asked) == 2


@pytest.mark.parametrize("url", ["127.0.0.1:8484", "ftp://host", "http://", ""])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InvalidInputError, match="not a server's address"):
        Sensorium(url)


def test_a_password_in_the_address_is_not_told(free_port: int, waits: list[float]) -> None:
    with (
        Sensorium(f"http://me:secret@127.0.0.1:{free_port}") as there,
        pytest.raises(UnavailableError) as error,
    ):
        there.system.health()
    assert "secret" not in str(error.value)


def test_keys() -> None:
    with serving(environ={"SENSORIUM_API_KEYS": "letmein"}) as server:
        with Sensorium(server.url, api_key="letmein") as there:
            assert there.system.echo(text="a").text == "a"
            assert list(there.metrics.watch([]))
        for key in (None, "wrong"):
            with Sensorium(server.url, api_key=key) as stranger:
                with pytest.raises(UnauthenticatedError):
                    stranger.system.echo(text="a")
                with pytest.raises(UnauthenticatedError):
                    list(stranger.metrics.watch([]))


def test_a_key_for_some_operations(tmp_path: Path) -> None:
    made = new_key(tmp_path, "--operations", "logs.*")
    with (
        serving(environ={"SENSORIUM_DATA_DIR": str(tmp_path)}) as server,
        Sensorium(server.url, api_key=made) as there,
    ):
        assert there.logs.cluster(lines=["a"]).line_count == 1
        with pytest.raises(ForbiddenError, match=r"may not call system\.echo"):
            there.system.echo(text="a")


def new_key(folder: Path, *arguments: str) -> str:
    command = ["sensorium", "keys", "create", "--data-dir", str(folder), *arguments]
    ran = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=True, timeout=60
    )
    return ran.stdout.strip()


def test_both_ways_work_over_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    flags = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    with serving(*flags, ready=False) as server:
        assert server.url.startswith("https://")
        with Sensorium(server.url, retries=0) as careful:
            for call in (careful.system.health, lambda: list(careful.metrics.watch([]))):
                with pytest.raises(UnavailableError, match=r"(?i)certificate"):
                    call()
        trusting = ssl.create_default_context(cafile=certificate)
        with Sensorium(server.url, tls=trusting) as there:
            assert there.system.health().status == "live"
            assert [event.points for event in there.metrics.watch([])] == [0]


def test_an_unfinished_program_ends(tmp_path: Path) -> None:
    """A client that is never closed, and a stream that is never read to its end."""
    with serving() as server:
        program = f"""
from sensorium.client import Sensorium
for client in (Sensorium({server.url!r}), Sensorium()):
    print(client.system.ready().ready)
    for items in (client.stream("testing.count", None, count=10**6),
                  client.stream("testing.count_async", None, count=10**6)):
        print(next(items).index)
"""
        ran = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PYTHONPATH": "src:tests/plugin", "HOME": str(tmp_path)},
        )
    assert (ran.returncode, ran.stdout.split()) == (0, ["True", "0", "0"] * 2)
    assert "Traceback" not in ran.stderr
