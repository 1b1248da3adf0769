"""Keys: wrong ones, odd ones, revoked ones, ones with limits; and that none is ever shown."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from sensorium.control.keys import FILE, KeyStore
from tests.security.raw import request, status, talk
from tests.servers import Server, serving

GIVEN = "given-key-abcdefghij"
TOKEN = b'{"token": "a"}'


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def store(data_dir: Path) -> KeyStore:
    return KeyStore(data_dir)


def _locked(data_dir: Path) -> AbstractContextManager[Server]:
    """A server that wants a key, at the level of logging that tells most."""
    environ = {"SENSORIUM_API_KEYS": GIVEN, "SENSORIUM_DATA_DIR": str(data_dir)}
    return serving("--log-level", "debug", environ=environ)


@pytest.fixture(scope="module")
def locked(data_dir: Path) -> Iterator[Server]:
    with _locked(data_dir) as running:
        yield running


@pytest.fixture
def http(locked: Server) -> Iterator[httpx.Client]:
    with locked.client() as client:
        yield client


def _call(http: httpx.Client, key: str | None, path: str = "/v1/testing/inline") -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return http.post(path, content=TOKEN, headers=headers)


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(5_000):
        if condition():
            return
    raise AssertionError("waited in vain")


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer wrong",
        b"Bearer " + GIVEN.encode()[:-1],
        b"Bearer " + GIVEN.encode() + b"x",
        b"Bearer " + GIVEN.upper().encode(),
        b"Basic " + GIVEN.encode(),
        b"Bearer",
        b"Bearer ",
        b"Bearer ' OR '1'='1",
        b"Bearer \xff\xfe\x80",
        b"Bearer " + "\u0430".encode(),
        b"Bearer *",
        b"Bearer null",
        b"Bearer sns_",
        b"Bearer sns__",
        b"Bearer sns_000000000000_" + b"a" * 43,
        b"Bearer " + b"a" * 50_000,
        GIVEN.encode(),
    ],
)
def test_what_is_no_key_opens_nothing(locked: Server, value: bytes) -> None:
    for header in (b"authorization", b"x-api-key"):
        if header == b"x-api-key" and value == GIVEN.encode():
            continue  # there it is one
        sent = request("POST", "/v1/testing/inline", "x-a: b", body=TOKEN)
        answer = talk(locked, sent.replace(b"x-a: b", header + b": " + value))
        assert status(answer) == 401, answer
        assert b'"unauthenticated"' in answer
        assert value.removeprefix(b"Bearer ").strip() not in answer or len(value) < 12


def test_the_answer_does_not_tell_why(http: httpx.Client, store: KeyStore) -> None:
    revoked, text = store.create("revoked")
    store.revoke(revoked.id)
    wrong_secret = f"sns_{revoked.id}_{'a' * 43}"
    bodies = []
    for key in ("wrong", wrong_secret, text, f"sns_{'0' * 12}_{'a' * 43}"):
        answer = _call(http, key)
        assert answer.status_code == 401
        body = answer.json()
        body.pop("request_id")
        bodies.append(body)
    assert all(body == bodies[0] for body in bodies)


def test_an_encoded_slash_is_no_way_around_the_key(locked: Server) -> None:
    for path in ("/v1/testing%2finline", "/v1%2ftesting/inline", "/%6detrics", "/metrics%3f"):
        assert status(talk(locked, request("POST", path, body=TOKEN))) in (401, 404, 405), path


def test_a_new_key_counts_within_a_second_and_a_revoked_one_no_more(
    http: httpx.Client, store: KeyStore
) -> None:
    key, text = store.create("comes and goes")
    _until(lambda: _call(http, text).status_code == 200)
    store.revoke(key.id)
    _until(lambda: _call(http, text).status_code == 401)


def test_a_key_covers_what_it_lists(http: httpx.Client, store: KeyStore) -> None:
    _, text = store.create("narrow", ("testing.in*", "system.echo"))
    _until(lambda: _call(http, text).status_code == 200)
    for path in ("/v1/testing/thread", "/v1/logs/cluster", "/api/clustering", "/v1/testing/change"):
        answer = _call(http, text, path)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    assert http.get("/metrics", headers={"x-api-key": text}).status_code == 403
    assert http.get("/v1/system/health", headers={"x-api-key": text}).status_code == 200


def test_an_operation_cannot_be_reached_by_way_of_another_envelope(
    locked: Server, http: httpx.Client, store: KeyStore
) -> None:
    _, text = store.create("narrow socket", ("testing.inline",))
    _until(lambda: _call(http, text).status_code == 200)
    with connect(locked.ws_url, additional_headers={"x-api-key": text}) as socket:
        socket.send('{"id": 1, "op": "testing.thread", "data": {"token": "a"}}')
        assert '"forbidden"' in str(socket.recv(10))


def test_a_web_socket_wants_a_key_that_counts(locked: Server) -> None:
    with (
        pytest.raises(InvalidStatus),
        connect(locked.ws_url, additional_headers={"x-api-key": "no"}),
    ):
        pass
    with connect(locked.ws_url, subprotocols=["sensorium.v1", f"sensorium.key.{GIVEN}"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "sensorium.v1", "the key is never said back"
        socket.send('{"id": 1, "op": "testing.inline", "data": {"token": "a"}}')
        assert '"token":"a"' in str(socket.recv(10))


def test_a_rate_is_per_key_and_says_when(http: httpx.Client, store: KeyStore) -> None:
    _, slow = store.create("slow", rate_per_s=0.2)
    _, other = store.create("other", rate_per_s=0.2)
    _until(lambda: _call(http, other).status_code == 200)
    assert _call(http, slow).status_code == 200
    for path in ("/v1/testing/inline", "/v1/logs/cluster"):
        refused = _call(http, slow, path)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 5
    assert _call(http, GIVEN).status_code == 200


def test_no_key_is_in_a_log_or_on_the_disk(tmp_path: Path) -> None:
    _, text = KeyStore(tmp_path).create("secret")
    secrets = (text.rpartition("_")[2], GIVEN, "wrong-key-of-somebody")
    paths = ("/v1/testing/fail", "/v1/testing/change", "/v1/testing/refuse", "/v1/no/thing")
    with _locked(tmp_path) as server:
        with server.client() as http:
            for path in paths:
                for key in (text, GIVEN, "wrong-key-of-somebody"):
                    answer = _call(http, key, path)
                    for secret in secrets:
                        assert secret not in answer.text
                        assert secret not in str(answer.headers)
            http.get(f"/metrics?key={GIVEN}", headers={"x-api-key": text})
        logged = "".join(server.whole_log())
        written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "RuntimeError" in logged
    assert "testing.change" in written
    for secret in secrets:
        assert secret not in logged + written
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0, "nobody else may read the key file"


@pytest.mark.parametrize("content", [b"{", b'{"keys": [{"id": 1}]}', b"\xff", b"[]"])
def test_a_damaged_key_file_opens_nothing_and_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    environ = {"SENSORIUM_DATA_DIR": str(tmp_path)}
    with pytest.raises(RuntimeError) as refused, serving(environ=environ):
        pass
    said = str(refused.value).splitlines()
    assert any("keys.json" in line and "damaged" in line for line in said), said
    assert "Traceback" not in str(refused.value)


def test_a_key_file_that_gets_damaged_opens_nothing(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    _, text = store.create("was good")
    environ = {"SENSORIUM_DATA_DIR": str(tmp_path)}
    with serving(environ=environ) as server, server.client() as http:
        assert _call(http, text).status_code == 200
        (tmp_path / FILE).write_bytes(b"{")
        _until(lambda: _call(http, text).status_code != 200)
        for key in (None, text, "wrong"):
            answer = _call(http, key)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert "damaged" in answer.json()["detail"]
        assert http.get("/healthz").status_code == 200
        (tmp_path / FILE).write_text('{"version": 1, "keys": []}')
        _until(lambda: _call(http, None).status_code == 200)


def test_a_key_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(GIVEN + "\n")
    environ = {"SENSORIUM_API_KEYS_FILE": str(file)}
    with serving(environ=environ) as server, server.client() as http:
        assert _call(http, GIVEN).status_code == 200
        assert _call(http, None).status_code == 401
