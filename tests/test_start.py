"""What is loaded after a start, and what is not: a cold start should wait for nothing unneeded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, serving

HEAVY = {
    *("numpy", "scipy", "bottleneck", "pandas", "matplotlib"),
    *("starlette", "fastapi", "pydantic", "anyio", "httpx", "httpcore", "requests"),
    *("websockets", "zstandard", "python_multipart", "multipart", "prometheus_client"),
    *("rich", "cyclopts", "typer", "pygments"),
    *("grpc", "mcp", "aiortc", "torch", "transformers", "onnxruntime", "opentelemetry"),
    *("sensorium_testing", "hypothesis", "psutil"),
}
"""Top-level modules that a server loads when it first needs them, if ever.

`click` and `multiprocessing` are not among them: uvicorn imports both for its own command line.
"""
OURS = {
    "sensorium.capabilities.logs",
    "sensorium.capabilities.metrics",
    "sensorium.capabilities.models",
    "sensorium.capabilities.pipelines.operations",
    "sensorium.capabilities.pipelines.schema",
    "sensorium.capabilities.pipelines.library",
    "sensorium.client",
    "sensorium.control.devices",
    "sensorium.control.inference",
    "sensorium.control.leases",
    "sensorium.control.models",
    "sensorium.control.turns",
    "sensorium.core.compression",
    "sensorium.core.forms",
    "sensorium.core.tracing",
    "sensorium.models.backends",
    "sensorium.models.catalogue",
    "sensorium.models.hardware.detect",
    "sensorium.models.hub",
    "sensorium.models.placement",
    "sensorium.models.pool",
    "sensorium.transports.http.compat.hub",
    "sensorium.transports.http.compat.hub_file",
    "sensorium.transports.http.compat.open_inference",
    "sensorium.transports.http.metrics",
    "sensorium.transports.http.openapi",
}
"""Our own leaf modules that wait likewise."""
HOOK = """
import json, os, signal, sys
def tell(*_):
    with open(os.environ["LOADED_FILE"] + str(os.getpid()), "w") as file:
        json.dump(sorted(sys.modules), file)
    os.rename(file.name, file.name + ".json")
signal.signal(signal.SIGUSR1, tell)
"""
"""A `sitecustomize` that has every Python process write down its modules on SIGUSR1."""


@pytest.fixture
def spied(tmp_path: Path) -> dict[str, str]:
    """The environment in which a process tells what it has loaded."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    places = [str(tmp_path), str(ROOT / "src")]
    return {
        "PYTHONPATH": os.pathsep.join(places),
        "LOADED_FILE": str(tmp_path / "loaded-"),
    }


def test_a_server_that_answered_has_loaded_nothing_heavy(spied: dict[str, str]) -> None:
    with serving(environ=spied) as server, server.client() as http:
        assert http.get("/v1/health").status_code == 200
        loaded = _loaded_by(server.process.pid, spied)
        assert "sensorium.app" in loaded
        assert "uvicorn" in loaded
        assert not _heavy(loaded)
        assert not {name for name in loaded if _within(name, OURS)}


def test_a_worker_has_loaded_no_numbers_until_they_are_used(spied: dict[str, str]) -> None:
    with serving("--workers", "1", environ=spied) as server, server.client() as http:
        while http.get("/readyz").json()["workers"]["alive"] != 1:
            pass
        (worker,) = _children(server.process.pid)
        before = _loaded_by(worker, spied)
        assert "sensorium.workers.child" in before or "__main__" in before
        assert not _heavy(before)
        assert "sensorium.app" not in before
        series = [{"values": [1.0, 2.0, 1.0, 9.0]}]
        assert http.post("/v1/metrics/detect_anomalies", json={"series": series}).is_success
        assert "numpy" in _loaded_by(worker, spied)
        assert not _heavy(_loaded_by(server.process.pid, spied))


def test_a_first_log_does_not_load_what_only_metrics_need(spied: dict[str, str]) -> None:
    with serving("--workers", "1", environ=spied) as server, server.client() as http:
        assert http.post("/v1/logs/cluster", json={"lines": ["a b", "a c"]}).is_success
        loaded = _loaded_by(server.process.pid, spied)
        assert "sensorium.capabilities.logs.operations" in loaded
        assert not _heavy(loaded)
        assert not {name for name in loaded if _within(name, {"sensorium.capabilities.metrics"})}


@pytest.mark.parametrize("what", ["sensorium", "sensorium.__main__", "sensorium.core.operation"])
def test_importing_the_package_loads_nothing_heavy(what: str) -> None:
    code = f"import sys, json, {what}; print(json.dumps(sorted(sys.modules)))"
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(ran.stdout))
    assert not _heavy(loaded)
    assert not {name for name in loaded if _within(name, OURS - {"sensorium.client"})}


def _loaded_by(process_id: int, spied: dict[str, str]) -> set[str]:
    """The modules of a process, which says so itself."""
    told = Path(f"{spied['LOADED_FILE']}{process_id}.json")
    told.unlink(missing_ok=True)
    os.kill(process_id, 10)  # SIGUSR1
    while not told.exists():
        os.kill(process_id, 0)
    return set(json.loads(told.read_text()))


def _children(process_id: int) -> list[int]:
    return [
        int(number)
        for number in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    ]


def _heavy(loaded: set[str]) -> set[str]:
    return {name for name in loaded if _within(name, HEAVY)}


def _within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
