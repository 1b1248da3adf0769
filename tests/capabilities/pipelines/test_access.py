"""A pipeline is no way around a key: over HTTP, with real keys."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sensorium.control.keys import KeyStore
from tests.capabilities.pipelines.conftest import Plain, made
from tests.faults.observing import figure
from tests.models import files
from tests.servers import Server, serving

GIVEN = "given-key-abcdefghij"
Call = Callable[[str, str, Plain], Any]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    files.mlp(folder / "models" / "mlp")
    return folder


@pytest.fixture(scope="module")
def locked(data_dir: Path) -> Iterator[Server]:
    environ = {"SENSORIUM_API_KEYS": GIVEN, "SENSORIUM_DATA_DIR": str(data_dir)}
    with serving("--workers", "1", environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def call(locked: Server) -> Iterator[Call]:
    with locked.client() as http:

        def post(key: str, operation: str, request: Plain) -> httpx.Response:
            path = f"/v1/{operation.replace('.', '/')}"
            headers = {"authorization": f"Bearer {key}"} if key else {}
            until = time.monotonic() + 30  # a new key counts within a second
            while True:
                answer = http.post(path, json=request, headers=headers)
                if answer.status_code != 401 or not key or time.monotonic() > until:
                    return answer

        yield post


@pytest.fixture
def key(data_dir: Path) -> Callable[..., str]:
    store = KeyStore(data_dir)
    return lambda *operations, **more: store.create("for a test", operations, **more)[1]


def token(name: str, operation: str, **more: Any) -> Plain:
    return {"name": name, "operation": operation, "request": {"token": name}, **more}


THREAD, CHANGE = token("a", "testing.thread"), token("a", "testing.change")
MODEL = {"name": "m", "model": "mlp", "request": {"x": [[1.0] * 8]}}


@pytest.mark.parametrize(
    ("operations", "stages", "forbidden"),
    [
        (("pipelines.*",), [THREAD], "testing.thread"),
        (("pipelines.*",), [CHANGE], "testing.change"),
        (("pipelines.*", "testing.thread"), [THREAD, token("b", "testing.inline")], "testing.inl"),
        (("pipelines.*",), [{**THREAD, "when": ["1 == $input.n"]}], "testing.thread"),
        (
            ("pipelines.*", "testing.thread"),
            [{**THREAD, "fallback": {"operation": "testing.inline", "request": {"token": ""}}}],
            "testing.inline",
        ),
        (("pipelines.*",), [MODEL], "models.infer"),
        (("pipelines.*", "models.get"), [MODEL], "models.infer"),
        (("pipelines.check",), [THREAD], ""),
    ],
)
def test_a_key_reaches_nothing_that_it_does_not_cover(
    call: Call, key: Callable[..., str], operations: tuple[str, ...], stages: list[Plain],
    forbidden: str,
) -> None:  # fmt: skip
    mine = key(*operations)
    request = made(*stages, inputs={"n": 0})
    answer = call(mine, "pipelines.run", request)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    if forbidden:
        assert f"this key may not call {forbidden}" in answer.json()["detail"]
        problems = call(mine, "pipelines.check", {"pipeline": request["pipeline"]}).json()
        assert [each["message"] for each in problems["problems"]] != []
        # The same by way of another pipeline.
        inner = {"pipeline": {"stages": [{**stages[-1], "when": []}]}}
        outer = made({"name": "o", "operation": "pipelines.run", "request": inner})
        answer = call(mine, "pipelines.run", outer)
        assert (answer.status_code, answer.json()["details"]["stage"]) == (403, "o")


def test_a_key_that_covers_the_stages_runs_them(call: Call, key: Callable[..., str]) -> None:
    mine = key("pipelines.run", "testing.thread", "models.infer")
    prepare = {"name": "x", "function": "to_tensor"}
    prepare["request"] = {"value": [[1.0] * 8], "datatype": "FP32"}
    answer = call(mine, "pipelines.run", made(THREAD, prepare, {**MODEL, "request": {"x": "$x"}}))
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"]["a"]["token"] == "a"


def test_a_key_that_is_revoked_in_the_middle_calls_no_further_stage(
    locked: Server, data_dir: Path
) -> None:
    store = KeyStore(data_dir)
    revoked, text = store.create("revoked", ("pipelines.run", "testing.*"))
    slow = {"name": "a", "operation": "testing.thread", "request": {"token": "", "seconds": 6}}
    request = made(slow, token("b", "testing.change", after=["a"]))
    admin = {"x-api-key": GIVEN}
    with (
        locked.client(headers=admin) as seen,
        locked.client() as http,
        ThreadPoolExecutor(1) as pool,
    ):
        headers = {"authorization": f"Bearer {text}"}
        until = time.monotonic() + 60
        while http.post("/v1/pipelines/run", json={}, headers=headers).status_code == 401:
            assert time.monotonic() < until
        running = pool.submit(http.post, "/v1/pipelines/run", json=request, headers=headers)
        while not figure(seen, "sensorium_slots_in_use", "thread"):
            assert time.monotonic() < until
        store.revoke(revoked.id)
        answer = running.result()
    assert (answer.status_code, answer.json()["details"]["stage"]) == (401, "b")


def test_what_is_public_needs_no_key_for_it(call: Call, key: Callable[..., str]) -> None:
    health = {"name": "h", "operation": "system.health"}
    answer = call(key("pipelines.run"), "pipelines.run", made(health))
    assert answer.json()["outputs"]["h"]["status"] == "live"


def test_each_stage_counts_for_the_rate(call: Call, key: Callable[..., str]) -> None:
    mine = key("pipelines.run", "testing.*", rate_per_s=3.0)
    one = token("a", "testing.inline")
    stages = [one, *(token(n, "testing.inline", after=["a"]) for n in "bcd")]
    answer = call(mine, "pipelines.run", made(*stages))
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert answer.json()["details"]["stage"] in ("b", "c", "d")
    assert int(answer.headers["retry-after"]) >= 1


def test_nobody_runs_one_without_a_key(call: Call) -> None:
    for operation in ("pipelines.run", "pipelines.check", "pipelines.list"):
        answer = call("", operation, {})
        assert answer.status_code == 401


def test_an_error_of_a_stage_is_the_calls_over_http(call: Call) -> None:
    refuse = {"name": "bad", "operation": "testing.refuse", "request": {"token": "t"}}
    answer = call(GIVEN, "pipelines.run", made(THREAD, {**refuse, "after": ["a"]}))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input")
    assert problem["detail"] == "stage bad: refused"
    assert problem["details"]["stage"] == "bad"
    assert problem["details"]["token"] == "t"
    assert [each["state"] for each in problem["details"]["stages"]] == ["ran", "failed"]


def test_a_large_body_is_read_in_a_worker(call: Call) -> None:
    lines = [f"user {number} came to see what there is" for number in range(60_000)]
    counted = {"name": "a", "operation": "testing.lines", "request": {"lines": "$input.lines"}}
    answer = call(GIVEN, "pipelines.run", made(counted, inputs={"lines": lines}))
    assert answer.json()["outputs"]["a"]["lines"] == 60_000
    bad = made(counted, inputs={"lines": lines})
    bad["pipeline"]["stages"][0]["nme"] = 1
    assert call(GIVEN, "pipelines.run", bad).json()["details"]["at"] == "$.pipeline.stages[0]"
