"""Metrics from a real Prometheus that scrapes our own server."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import httpx
import msgspec
import pytest

from sensorium.capabilities.metrics.schema import DetectAnomaliesResponse, ForecastResponse
from sensorium.cli.prometheus import query_range
from sensorium.core.errors import InvalidInputError, UnavailableError
from tests.cli.human import refusal, rows, run
from tests.conftest import missing
from tests.servers import Server, reserved_port

CALLS = 'sum by (operation) (rate(sensorium_calls_total{operation="system.echo"}[5s]))'
START_S = 60
SCRAPES = 12


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped the server a dozen times, a second apart."""
    binary = shutil.which("prometheus")
    if binary is None:
        missing("prometheus (Debian: apt-get install --no-install-recommends prometheus)")
        return
    folder = tmp_path_factory.mktemp("prometheus")
    target = {"targets": [server.url.removeprefix("http://")]}
    job = {"job_name": "sensorium", "scrape_interval": "1s", "static_configs": [target]}
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}))
    with reserved_port() as port:
        url = f"http://127.0.0.1:{port}"
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            wait_for_scrapes(url, server, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(60)


def wait_for_scrapes(url: str, server: Server, log: Path) -> None:
    """Return when it holds enough; the server is called meanwhile, so that there is something."""
    until = time.monotonic() + START_S
    query = {"query": 'count_over_time(up{job="sensorium"}[5m])'}
    with server.client() as ours, httpx.Client(base_url=url) as theirs:
        while time.monotonic() < until:
            ours.post("/v1/system/echo", json={"text": "hello"})
            try:
                found = theirs.get("/api/v1/query", params=query).json()["data"]["result"]
            except (httpx.TransportError, ValueError, KeyError):
                found = []
            if found and int(found[0]["value"][1]) >= SCRAPES:
                return
            time.sleep(0.05)
    raise RuntimeError("Prometheus did not scrape the server:\n" + log.read_text())


def asked(prometheus: str, query: str, hours: str = "0.02") -> list[str]:
    return ["--prometheus", prometheus, "--query", query, "--hours", hours, "--step", "1s"]


def test_anomalies_are_looked_for_in_what_prometheus_has(prometheus: str) -> None:
    done = run("metrics", "anomalies", *asked(prometheus, CALLS), "--json")
    assert done.returncode == 0, done.stderr.decode()
    (series,) = msgspec.json.decode(done.stdout, type=DetectAnomaliesResponse).series
    assert series.name == '{operation="system.echo"}'
    assert series.judged >= 3
    jump = ["metrics", "anomalies", *asked(prometheus, "sensorium_event_loop_lag_seconds")]
    assert all(len(row) == 8 for row in rows(*jump, "--sensitivity", "5"))


def test_a_counter_is_forecast(prometheus: str) -> None:
    query = 'sensorium_calls_total{operation="system.echo",code="ok"}'
    done = run("metrics", "forecast", *asked(prometheus, query), "--horizon", "5s", "--json")
    assert done.returncode == 0, done.stderr.decode()
    (series,) = msgspec.json.decode(done.stdout, type=ForecastResponse).series
    assert len(series.points) == 5
    assert series.points[-1].value > 0


def test_values_are_those_of_the_query_at_each_step(prometheus: str) -> None:
    (series,) = query_range(prometheus, "time()", 0.01, 3.0)
    assert series.name == "time()"
    times = series.timestamps or []
    assert len(times) in (12, 13)
    assert {round(b - a, 3) for a, b in pairwise(times)} == {3.0}
    assert series.values == pytest.approx(times, abs=0.01)


def test_a_span_of_more_points_than_one_query_gives_is_asked_in_parts(prometheus: str) -> None:
    (series,) = query_range(prometheus, "vector(7)", 7.0, 1.0)
    times = series.timestamps or []
    assert len(times) in (25_200, 25_201)
    assert times == sorted(set(times))


def test_series_are_named_by_the_labels_in_which_they_differ(prometheus: str) -> None:
    found = query_range(prometheus, "sensorium_queue_depth", 0.01, 1)
    names = [series.name for series in found]
    assert len(set(names)) == len(names) > 1
    assert all(name.startswith("sensorium_queue_depth{") and "job=" not in name for name in names)


def test_a_query_that_prometheus_refuses_is_explained_in_its_words(prometheus: str) -> None:
    said = refusal("metrics", "anomalies", *asked(prometheus, "rate("))
    assert said.startswith("sensorium: Prometheus refuses the query: ")
    assert "parse error" in said


def test_a_query_that_gives_nothing_says_so(prometheus: str) -> None:
    with pytest.raises(InvalidInputError, match=r"gives nothing for the last 0\.5 hours"):
        query_range(prometheus, "no_such_metric", 0.5)


def test_where_nobody_listens_that_is_said_without_the_password() -> None:
    with reserved_port() as port:
        url = f"http://me:secret@127.0.0.1:{port}"
        said = refusal("metrics", "anomalies", *asked(url, "up"))
    assert f"there is no Prometheus to reach at http://127.0.0.1:{port}" in said
    assert "secret" not in said


def test_what_is_no_prometheus_is_recognised(server: Server) -> None:
    with pytest.raises(UnavailableError, match="is no Prometheus"):
        query_range(server.url, "up", 1.0)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="--prometheus takes a URL"):
        query_range("http://here:there", "up", 1.0)


@contextmanager
def guarding(token: str) -> Iterator[str]:
    """An endpoint that answers as Prometheus does, to whoever has the token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("authorization") == f"Bearer {token}"
            result = [{"metric": {"__name__": "up"}, "values": [[1.5, "1"], [2.5, "NaN"]]}]
            answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}
            self.send_response(200 if wanted else 401)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode() if wanted else b"who are you?")

        def log_message(self, *arguments: object) -> None:
            del arguments

    with HTTPServer(("127.0.0.1", 0), Handler) as endpoint:
        thread = Thread(target=endpoint.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{endpoint.server_port}"
        finally:
            endpoint.shutdown()
            thread.join()


def test_a_bearer_token_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarding("letmein") as address:
        arguments = ["metrics", "anomalies", "--prometheus", address, "--query", "up"]
        assert "set SENSORIUM_PROMETHEUS_TOKEN to a bearer token" in refusal(*arguments)
        done = run(*arguments, "--json", SENSORIUM_PROMETHEUS_TOKEN="letmein")
        (series,) = msgspec.json.decode(done.stdout, type=DetectAnomaliesResponse).series
        assert (series.name, series.missing) == ("up", 1)
        monkeypatch.setenv("SENSORIUM_PROMETHEUS_TOKEN", "letmein")
        (found,) = query_range(address, "up", 1.0)
        assert (found.timestamps, found.values) == ([1.5, 2.5], [1.0, None])
