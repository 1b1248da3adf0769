"""The same calls in process and on a server: the same Structs and the same errors."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from msgspec.structs import replace

from sensorium.app import MODULES
from sensorium.capabilities.language.schema import Timing
from sensorium.capabilities.logs.schema import ClusterRequest, ClusterResponse
from sensorium.client import Sensorium
from sensorium.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    SensoriumError,
    UnavailableError,
)
from sensorium.core.operation import Kind
from sensorium.core.registry import Registry
from tests.servers import Server

TELLS_OF_THE_SERVER = {
    "models.get",
    "models.list",
    "models.load",
    "pipelines.run",
    "resources.lease",
    "resources.usage",
    "system.activity",
    "system.hardware",
    "system.ready",
}
NAMES_NOTHING = {
    "vision.describe",
    "models.delete",
    "models.unload",
    "resources.release",
    "resources.renew",
}
"""Operations whose example names something that is not there."""
ABOUT_A_SESSION = {"webrtc.offer", "webrtc.candidate", "webrtc.close"}
LINES = [f"2024-05-01 12:00:{i:02d} ERROR auth: Failed login of user{i}" for i in range(50)]


@pytest.mark.parametrize(
    "name",
    [
        each.name
        for each in Registry(MODULES)
        if each.kind is Kind.UNARY
        and each.example
        and each.name not in TELLS_OF_THE_SERVER | ABOUT_A_SESSION | NAMES_NOTHING
    ],
)
def test_both_ways_give_the_same_struct(name: str, server: Server) -> None:
    with Sensorium() as here, Sensorium(server.url) as there:
        operation = here.operation(name)
        computed, asked = here.call(name, operation.example), there.call(name, operation.example)
        if name == "system.operations":  # the server has the tests' plugin as well
            known = {each.name for each in computed.operations}
            asked = type(asked)(operations=[e for e in asked.operations if e.name in known])
        if hasattr(computed, "timing"):
            computed, asked = (
                replace(each, timing=Timing(), usage=replace(each.usage, cached_tokens=0))
                for each in (computed, asked)
            )
        assert type(computed) is type(asked) is operation.response
        assert msgspec.json.encode(computed) == msgspec.json.encode(asked)


def test_fields_and_a_request_are_the_same_call(client: Sensorium) -> None:
    by_field = client.logs.cluster(lines=LINES, examples=1)
    by_request = client.logs.cluster(ClusterRequest(lines=LINES, examples=1))
    assert isinstance(by_field, ClusterResponse)
    assert by_field == by_request
    assert by_field.clusters[0].count == 50


def test_any_json_goes_through(client: Sensorium) -> None:
    echoed = client.system.echo(text="ü", data={"a": [1, None]})
    assert (echoed.text, msgspec.json.decode(echoed.data)) == ("ü", {"a": [1, None]})


def test_nested_fields_may_be_plain_data(client: Sensorium) -> None:
    series = [{"name": "cpu", "values": [1.0] * 40 + [9.0]}]
    found = client.call("metrics.detect_anomalies", series=series, method="sigma")
    assert [each.index for each in found.series[0].anomalies] == [40]


@pytest.mark.parametrize(
    ("values", "message", "at"),
    [
        ({"lines": ["a"], "max_clusters": 0}, "Expected `int` >= 1", "$.max_clusters"),
        ({"lines": ["a", 1]}, "Expected `str`, got `int`", "$.lines[1]"),
        ({"lines": ["a"], "method": "magic"}, "Invalid enum value 'magic'", "$.method"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_alike(
    client: Sensorium, values: dict[str, object], message: str, at: str
) -> None:
    with pytest.raises(InvalidInputError, match=message) as refused:
        client.call("logs.cluster", **values)
    assert type(refused.value) is InvalidInputError
    assert refused.value.details == {"at": at}


@pytest.mark.parametrize(
    ("values", "message"),
    [({"lnes": []}, "no field 'lnes'"), ({}, "Missing required argument 'lines'")],
)
def test_wrong_fields_are_refused_before_a_call(
    client: Sensorium, values: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        client.call("logs.cluster", **values)


def test_misuse_is_explained(client: Sensorium) -> None:
    with pytest.raises(AttributeError, match=r"no 'log' here; there is: chat, logs"):
        _ = client.log  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no operation logs\.clster"):
        _ = client.logs.clster  # type: ignore[attr-defined]
    with pytest.raises(InvalidInputError, match="not both"):
        client.call("logs.cluster", ClusterRequest(lines=[]), examples=1)
    with pytest.raises(InvalidInputError, match="takes EchoRequest, not ClusterRequest"):
        client.call("system.echo", ClusterRequest(lines=[]))
    with pytest.raises(InvalidInputError, match="is made with `stream`"):
        client.call("metrics.watch")
    with pytest.raises(InvalidInputError, match="priority is"):
        client.with_options(priority="high")


def test_what_an_operation_raises_arrives(client: Sensorium) -> None:
    with pytest.raises(InvalidInputError, match=r"^refused$") as refused:
        client.call("testing.refuse", token="mine")
    assert refused.value.details == {"token": "mine"}
    with pytest.raises(SensoriumError) as failed:
        client.call("testing.fail", token="hidden")
    assert type(failed.value) is SensoriumError
    assert "hidden" not in str(failed.value)


def test_the_request_id_of_a_failure_is_told(server: Server) -> None:
    with Sensorium(server.url) as there, pytest.raises(SensoriumError) as failed:
        there.call("testing.fail", token="a")
    assert failed.value.__notes__[0].startswith("request id ")


@pytest.mark.parametrize("name", ["testing.process", "testing.thread", "testing.awaiting"])
def test_a_timeout_ends_the_call(client: Sensorium, name: str) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        client.with_options(timeout_s=0.2).call(name, token="a", seconds=60.0)
    assert time.monotonic() - began < 25


def test_a_change_happens_once_per_key(client: Sensorium) -> None:
    keyed = client.with_options(idempotency_key=f"key-{id(client)}")
    first = keyed.call("testing.change", token="a")
    assert keyed.call("testing.change", token="a") == first
    assert client.call("testing.change", token="a").index == first.index + 1


def test_threads_share_a_client(client: Sensorium) -> None:
    together = threading.Barrier(8)

    def ask(number: int) -> bool:
        together.wait(60)
        names = ["testing.thread", "testing.awaiting", "testing.process", "testing.inline"]
        return all(
            client.call(name, token=f"{number}-{turn}").token == f"{number}-{turn}"
            for turn, name in enumerate(names * 5)
        )

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(ask, range(8)))


def test_progress_is_told_in_process() -> None:
    told: list[tuple[int, int | None, str]] = []
    with Sensorium() as here:
        watched = here.with_options(on_progress=lambda *report: told.append(report))
        watched.logs.cluster(lines=LINES * 400)
    assert told
    assert all(total == 20_000 and unit == "lines" for _, total, unit in told)


def test_the_calls_here_are_counted() -> None:
    with Sensorium() as here:
        here.logs.cluster(lines=LINES)
        with pytest.raises(InvalidInputError):
            here.call("logs.cluster", lines=[1])
        counted = {each.operation: each for each in here.system.activity().operations}
    assert (counted["logs.cluster"].calls, counted["logs.cluster"].failed) == (2, 1)
    assert counted["logs.cluster"].in_flight == 0


def test_small_calls_here_cost_little() -> None:
    def median_ms(call: object, times: int) -> float:
        took = []
        for _ in range(times):
            began = time.perf_counter()
            call()  # type: ignore[operator]
            took.append(time.perf_counter() - began)
        return 1000 * statistics.median(took)

    with Sensorium() as here:
        here.logs.cluster(lines=LINES)
        assert median_ms(lambda: here.logs.cluster(lines=LINES), 50) <= 3
        assert median_ms(lambda: here.system.echo(text="a"), 200) <= 0.3


def test_a_closed_client_says_so(server: Server) -> None:
    there = Sensorium(server.url)
    there.system.health()
    there.close()
    with pytest.raises(UnavailableError, match="this client is closed"):
        there.system.health()


def test_nouns_and_verbs_are_listed(client: Sensorium) -> None:
    assert {"logs", "metrics", "system", "call", "close"} <= set(dir(client))
    assert "cluster" in dir(client.logs)
    assert (client.logs.cluster.__doc__ or "").startswith("Group log lines")
