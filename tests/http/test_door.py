"""The HTTP door against a real server."""

import gzip
import json
import signal
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
import zstandard

from tests.servers import Server, serving


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_health_is_live_and_names_the_version(http: httpx.Client) -> None:
    for path in ("/v1/health", "/healthz", "/v2/health/live", "/v1/system/health"):
        answer = http.get(path)
        assert (answer.status_code, answer.json()["status"]) == (200, "live")


def test_readiness_shows_the_workers(http: httpx.Client) -> None:
    answer = http.get("/readyz").json()
    assert answer["ready"] is True
    assert answer["workers"]["alive"] == answer["workers"]["wanted"]


@pytest.mark.parametrize("verb", ["inline", "awaiting", "thread", "process", "nested"])
def test_every_execution_class_answers(http: httpx.Client, verb: str) -> None:
    answer = http.post(f"/v1/testing/{verb}", json={"token": verb})
    assert answer.json() == {"token": verb, "seconds": 0.0}


def test_the_request_id_comes_back_or_is_made(http: httpx.Client) -> None:
    given = http.get("/v1/health", headers={"x-request-id": "abc-1"})
    made = http.get("/v1/health", headers={"x-request-id": "not ok"})
    assert given.headers["x-request-id"] == "abc-1"
    assert len(made.headers["x-request-id"]) == 16


@pytest.mark.parametrize(
    ("body", "status", "at"),
    [
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, None),
        (b'{"token": 1}', 422, "$.token"),
        (b'{"token": "a", "more": 1}', 422, None),
        (b'{"token": "a", "seconds": -1}', 422, "$.seconds"),
        (b'{"token": "a", "seconds": NaN}', 400, None),
        (b"{}", 422, None),
        (b"[" * 100_000, 422, None),
    ],
)
@pytest.mark.parametrize("verb", ["inline", "process"])
def test_bad_input_is_a_problem_document(
    http: httpx.Client, verb: str, body: bytes, status: int, at: str | None
) -> None:
    answer = http.post(f"/v1/testing/{verb}", content=body)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["code"]) == (status, "invalid_input")
    assert problem["details"].get("at") == at
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_a_bug_is_internal_and_tells_nothing(http: httpx.Client, server: Server) -> None:
    answer = http.post("/v1/testing/fail", json={"token": "t"}, headers={"x-request-id": "bug-1"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "path" not in answer.text
    assert server.logged("bug-1", "RuntimeError"), "the traceback, under the request's id"


def test_wrong_methods_and_addresses(http: httpx.Client) -> None:
    assert http.get("/v1/testing/inline").status_code == 405
    assert http.delete("/v1/system/health").headers["allow"] == "GET, HEAD, POST"
    for path in ("/v1/testing/nothing", "/v1/nothing/at", "/nothing", "/v1/", "/v1/a/b/c"):
        assert http.post(path).json()["code"] == "not_found", path


LINES = "one\ntwo\r\nthree\n"


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/plain", LINES.encode()),
        ("application/x-ndjson", b'"one"\n{"m": 1}\nfour5\n'.replace(b"four5", b'"three"')),
        ("application/json", b'{"lines": ["one", "two", "three"]}'),
    ],
)
def test_lines_come_in_several_formats(http: httpx.Client, media_type: str, body: bytes) -> None:
    answer = http.post(
        "/v1/testing/lines?beside=7", content=body, headers={"content-type": media_type}
    ).json()
    assert (answer["lines"], answer["beside"]) == (3, 7)


def test_ndjson_objects_give_the_member_that_is_named(http: httpx.Client) -> None:
    body = b'{"message": "abc", "level": "info"}\n{"message": "de"}\n'
    answer = http.post(
        "/v1/testing/lines?lines_from=message",
        content=body,
        headers={"content-type": "application/x-ndjson"},
    ).json()
    assert (answer["lines"], answer["characters"]) == (2, 5)


def test_a_form_with_files_gives_their_lines(http: httpx.Client) -> None:
    answer = http.post(
        "/v1/testing/lines",
        files=[("file", ("a.log", b"one\ntwo\n")), ("file", ("b.log", b"three"))],
        data={"beside": "4"},
    ).json()
    assert (answer["lines"], answer["beside"]) == (3, 4)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(LINES.encode())),
        ("gzip", gzip.compress(b"one\ntwo\n") + gzip.compress(b"three\n")),
        ("zstd", zstandard.compress(LINES.encode())),
    ],
    ids=["gzip", "two of gzip", "zstd"],  # a body of gzip has the time in it
)
def test_compressed_bodies(http: httpx.Client, encoding: str, body: bytes) -> None:
    headers = {"content-type": "text/plain", "content-encoding": encoding}
    answer = http.post("/v1/testing/lines", content=body, headers=headers).json()
    assert answer["lines"] == 3


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_compressed_body_that_is_cut_or_false(http: httpx.Client, encoding: str) -> None:
    whole = gzip.compress(b"x" * 9999) if encoding == "gzip" else zstandard.compress(b"x" * 9999)
    headers = {"content-type": "text/plain", "content-encoding": encoding}
    for body in (whole[:-5], b"nonsense"):
        answer = http.post("/v1/testing/lines", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


def test_a_large_body_goes_to_a_worker_and_back(http: httpx.Client) -> None:
    token = "x" * 900_000
    answer = http.post("/v1/testing/thread", json={"token": token})
    assert answer.json()["token"] == token


def test_a_stream_ends_as_ndjson_and_as_events(http: httpx.Client) -> None:
    lines = http.post("/v1/testing/count", json={"count": 2}).text.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"chunk": {"index": 0, "token": ""}},
        {"chunk": {"index": 1, "token": ""}},
        {"end": {}},
    ]
    events = http.post(
        "/v1/testing/count_async", json={"count": 1}, headers={"accept": "text/event-stream"}
    )
    assert events.headers["content-type"] == "text/event-stream"
    assert events.text == 'data: {"index":0,"token":""}\n\nevent: end\ndata: {}\n\n'


@pytest.mark.parametrize("verb", ["count", "count_async"])
def test_a_stream_that_fails_says_so_at_its_end(http: httpx.Client, verb: str) -> None:
    early = http.post(f"/v1/testing/{verb}", json={"fail_after": 0})
    late = http.post(f"/v1/testing/{verb}", json={"fail_after": 1}).text.splitlines()
    assert early.status_code == 422
    assert json.loads(late[0])["chunk"]["index"] == 0
    assert json.loads(late[-1])["error"]["code"] == "invalid_input"


@pytest.mark.parametrize("verb", ["mirror", "mirror_async"])
def test_a_listening_operation_hears_the_body_line_by_line(http: httpx.Client, verb: str) -> None:
    body = b"".join(b'{"token": "%d"}\n' % n for n in range(500))
    headers = {"content-type": "application/x-ndjson"}
    answer = http.post(f"/v1/testing/{verb}", content=body, headers=headers).text.splitlines()
    tokens = [json.loads(line)["chunk"]["token"] for line in answer[:-1]]
    assert tokens == [str(n) for n in range(500)]
    assert json.loads(answer[-1]) == {"end": {}}


def test_a_deadline_is_kept(http: httpx.Client) -> None:
    for verb in ("awaiting", "thread", "process", "stuck"):
        began = time.monotonic()
        answer = http.post(
            f"/v1/testing/{verb}",
            json={"token": "t", "seconds": 60},
            headers={"x-deadline-s": "0.2"},
        )
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded"), verb
        assert time.monotonic() - began < 25


def test_an_idempotency_key_changes_once(http: httpx.Client) -> None:
    headers = {"idempotency-key": "k1"}
    first = http.post("/v1/testing/change", json={"token": "a"}, headers=headers)
    again = http.post("/v1/testing/change", json={"token": "a"}, headers=headers)
    other = http.post("/v1/testing/change", json={"token": "b"}, headers=headers)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


def test_changes_are_audited(server: Server, http: httpx.Client) -> None:
    http.post("/v1/testing/change", json={"token": "x"}, headers={"x-request-id": "audit-me"})
    lines = (server.data_dir / "audit.jsonl").read_text().splitlines()
    entry = [json.loads(line) for line in lines if "audit-me" in line]
    assert [(e["operation"], e["principal"], e["code"]) for e in entry] == [
        ("testing.change", "anonymous", "ok")
    ]


def test_changes_made_by_way_of_another_operation_are_audited(
    server: Server, http: httpx.Client
) -> None:
    headers = {"x-request-id": "audit-nested", "idempotency-key": "nested"}
    answer = http.post("/v1/testing/nested_change", json={"token": "x"}, headers=headers)
    assert answer.status_code == 200
    lines = (server.data_dir / "audit.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines if "audit-nested" in line]
    assert [(entry["operation"], entry["code"]) for entry in entries] == [
        ("testing.change", "ok"),
        ("testing.change", "ok"),
    ]


def test_the_founding_addresses_use_the_founding_methods(http: httpx.Client) -> None:
    series = [{"values": [1.0] * 20 + [9.0]}]
    assert http.post("/api/anomaly", json={"series": series}).json()["series"][0]["method"] == (
        "sigma"
    )
    chosen = http.post("/api/anomaly", json={"series": series, "method": "novelty"}).json()
    assert chosen["series"][0]["method"] == "novelty"
    assert http.post("/api/clustering", json={"lines": ["a b", "a c"]}).status_code == 200
    assert http.post("/api/trend", json={"series": series}).status_code == 200


def test_metrics_count_what_happened(http: httpx.Client) -> None:
    http.post("/v1/testing/thread", json={"token": "t"})
    text = http.get("/metrics").text
    assert 'sensorium_calls_total{code="ok",operation="testing.thread"}' in text
    for name in ("call_seconds_bucket", "queue_depth", "workers_alive", "event_loop_lag_seconds"):
        assert f"sensorium_{name}" in text


def test_a_stopping_server_lets_a_call_finish() -> None:
    with serving() as own, own.client() as http:
        url = http.base_url
        with socket.create_connection((url.host, url.port or 0)) as raw:
            body = b'{"token": "late", "seconds": 5}'
            head = "POST /v1/testing/process HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            raw.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            while not in_flight(http, "testing.process"):
                time.sleep(0.01)
            own.process.send_signal(signal.SIGTERM)
            raw.settimeout(60)
            answer = b""
            while b"late" not in answer:
                piece = raw.recv(65536)
                assert piece, answer
                answer += piece
        assert own.stop() == 0


def in_flight(http: httpx.Client, operation: str) -> bool:
    """Whether a call of it runs; fails where one has ended already."""
    operations = http.get("/v1/system/activity").json()["operations"]
    found = [each for each in operations if each["operation"] == operation]
    assert not any(each["calls"] for each in found), "it ended before it was seen"
    return any(each["in_flight"] for each in found)


def test_a_listening_operation_takes_its_request_as_the_first_line(http: httpx.Client) -> None:
    headers = {"content-type": "application/x-ndjson"}
    path = "/v1/testing/mirror?request_in_body=true"
    good = http.post(path, content=b'{"count": 1}\n\n{"token": "a"}\n', headers=headers)
    bad = http.post(path, content=b'{"count": -1}\n{"token": "a"}\n', headers=headers)
    none = http.post(path, content=b"\n\n", headers=headers)
    assert [json.loads(line) for line in good.text.splitlines()] == [
        {"chunk": {"index": 0, "token": "a"}},
        {"end": {}},
    ]
    assert (bad.status_code, bad.json()["details"]) == (422, {"at": "$.count"})
    assert none.status_code == 400


def test_empty_lines_keep_a_quiet_stream_alive(http: httpx.Client) -> None:
    def quiet() -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.5)  # twice the limit in all, with a sign of life in between
            yield b"\n"
        yield b'{"token": "late"}\n'

    headers = {"content-type": "application/x-ndjson", "x-deadline-s": "2"}
    answer = http.post("/v1/testing/mirror", content=quiet(), headers=headers)
    assert json.loads(answer.text.splitlines()[-2])["chunk"]["token"] == "late"
