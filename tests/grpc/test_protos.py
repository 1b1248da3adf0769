"""The committed `.proto` files and locks: current, and good for a client made by the compiler."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import sensorium
from tests.grpc.running import port_of, serving_grpc

ROOT = Path(__file__).parent.parent.parent
PROTOS = ROOT / "clients" / "proto"

CLIENT = """
import json, sys
import grpc
from sensorium.v1 import logs_pb2, logs_pb2_grpc, metrics_pb2, metrics_pb2_grpc, shared_pb2

with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
    logs = logs_pb2_grpc.LogsServiceStub(channel)
    lines = [f"connection from 10.0.0.{n} closed" for n in range(9)] + ["disk is full"]
    kmeans = logs_pb2.LogsClusterRequest.METHOD_KMEANS
    found = {}
    for name, options in (("default", {}), ("kmeans", {"method": kmeans, "max_clusters": 3})):
        answer = logs.Cluster(logs_pb2.LogsClusterRequest(lines=lines, **options))
        found[name] = [
            [cluster.template, cluster.count, list(cluster.examples)] for cluster in answer.clusters
        ]
        found[name + " assignments"] = list(answer.assignments.items)

    def messages():
        yield logs_pb2.LogsWatchStream(request=logs_pb2.LogsWatchRequest())
        yield logs_pb2.LogsWatchStream(item=logs_pb2.LogsWatchInput(lines=lines))

    found["events"] = len(list(logs.Watch(messages())))
    metrics = metrics_pb2_grpc.MetricsServiceStub(channel)
    values = [1.0, 2.0, float("nan"), 4.0, 5.0, 6.0, 7.0, 8.0]
    series = shared_pb2.Series(name="cpu", interval_s=60, values=values)
    request = metrics_pb2.MetricsForecastRequest(series=[series], horizon_s=300)
    found["forecast"] = [point.value for point in metrics.Forecast(request).series[0].points]
    try:
        logs.Cluster(logs_pb2.LogsClusterRequest(lines=["a"], max_clusters=-1))
    except grpc.RpcError as error:
        found["refused"] = error.code().name
    print(json.dumps(found))
"""


def test_locks_and_protos_are_current() -> None:
    checked = sensorium("lock", "--check", "--protos", str(PROTOS))
    assert (checked.status, checked.err) == (0, ""), "run `sensorium lock --protos clients/proto`"
    assert sensorium("lock", "sensorium_testing", "--check").status == 0


def test_a_package_that_nobody_installed_is_said_to_be_none() -> None:
    refused = sensorium("lock", "no_such_package")
    assert refused.status != 0
    assert "no installed plugin" in refused.err


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python code made from the committed files by the usual compiler."""
    into = tmp_path_factory.mktemp("compiled")
    files = [str(path.relative_to(PROTOS)) for path in sorted(PROTOS.rglob("*.proto"))]
    assert len(files) >= 4
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROTOS)]
    command += ["--python_out", str(into), "--grpc_python_out", str(into), *files]
    subprocess.run(command, check=True)
    # The package has our name, and ours is installed here; a client's machine has only its own.
    for folder in (into / "sensorium", into / "sensorium" / "v1"):
        (folder / "__init__.py").touch()
    return into


def test_a_client_made_by_the_compiler_gets_what_http_gives(compiled: Path) -> None:
    with serving_grpc() as (server, _):
        ran = subprocess.run(
            [sys.executable, "-c", CLIENT, str(port_of(server))],
            env={"PYTHONPATH": str(compiled)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout)
        lines = [f"connection from 10.0.0.{n} closed" for n in range(9)] + ["disk is full"]
        with server.client() as http:
            for name, options in (
                ("default", {}),
                ("kmeans", {"method": "kmeans", "max_clusters": 3}),
            ):
                answer = http.post("/v1/logs/cluster", json={"lines": lines, **options}).json()
                assert found[name] == [
                    [each["template"], each["count"], each["examples"]]
                    for each in answer["clusters"]
                ]
                assert found[f"{name} assignments"] == answer["assignments"]
            series = {
                "name": "cpu",
                "interval_s": 60,
                "values": [1.0, 2.0, None, 4.0, 5.0, 6.0, 7.0, 8.0],
            }
            body = {"series": [series], "horizon_s": 300}
            forecast = http.post("/v1/metrics/forecast", json=body).json()
    assert found["forecast"] == [point["value"] for point in forecast["series"][0]["points"]]
    assert found["events"] >= 1
    assert found["refused"] == "INVALID_ARGUMENT"
