"""The demonstration passes, and would not with wrong input or a capability forgotten."""

import gzip
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorium.app import MODULES
from sensorium.cli import demo_metrics, demo_told
from sensorium.cli.demo import CHECKS, DOORS, OTHERWISE, demo
from sensorium.cli.demo_server import started
from sensorium.cli.demo_told import Own
from sensorium.client import Sensorium
from sensorium.core.errors import SensoriumError, UnavailableError
from tests.cli.human import SAMPLES, on_terminal, run
from tests.servers import Server

SAMPLED = ("logs.", "metrics.", "models.infer", "pipelines.run")
UNSAMPLED = "pipelines.run (a model)"
SHOWN = [name for name in CHECKS if name.startswith(SAMPLED) and name != UNSAMPLED]


def test_every_answer_is_right_and_every_operation_has_a_row() -> None:
    done = run("demo", "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr.decode()
    assert all(row["unmet"] == [] and row["latency_ms"] > 0 for row in rows)
    with Sensorium() as client:
        declared = {each.name for each in client.system.operations().operations}
    doors = {name for name in declared if name.partition(".")[0] in DOORS}
    shown = {row["capability"].partition(" (")[0] for row in rows}
    assert shown == declared - doors - OTHERWISE


def test_on_a_terminal_it_is_a_table() -> None:
    text = on_terminal("demo", columns=140)
    assert all(name in text for name in CHECKS)
    assert f"{len(CHECKS)} of {len(CHECKS)} answers are as they must be" in text


def shuffled(name: str, lines: list[str]) -> list[str]:
    head = 1 if name.endswith(".csv") else 0
    rows = [line.split(",") for line in lines[head:]]
    if head:  # the times stay where they are
        values = [row[1:] for row in rows]
        random.Random(1).shuffle(values)
        return [
            *lines[:head],
            *(",".join([row[0], *v]) for row, v in zip(rows, values, strict=True)),
        ]
    body = lines[:]
    random.Random(1).shuffle(body)
    return body


def emptied(name: str, lines: list[str]) -> list[str]:
    return lines[:1] if name.endswith(".csv") else []


def mixed(folder: Path) -> None:
    """Before and after become one: what is new is in both."""
    lines = [
        (folder / name).read_text("utf-8").splitlines() for name in ("before.log", "after.log")
    ]
    both = [*lines[0], *lines[1]]
    random.Random(2).shuffle(both)
    size = len(lines[0])
    (folder / "before.log").write_text("\n".join(both[:size]) + "\n", "utf-8")
    (folder / "after.log").write_text("\n".join(both[size:]) + "\n", "utf-8")


@pytest.mark.parametrize("spoil", [shuffled, emptied])
@pytest.mark.parametrize("name", SHOWN)
def test_spoilt_input_does_not_pass(
    name: str,
    spoil: Callable[[str, list[str]], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
) -> None:
    folder = tmp_path / "samples"
    shutil.copytree(SAMPLES, folder)
    for path in [*folder.glob("*.log"), *folder.glob("*.gz"), *folder.glob("*.csv")]:
        packed = path.suffix == ".gz"
        content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        lines = spoil(path.name, content.decode().splitlines())
        text = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(text) if packed else text)
    if spoil is shuffled:
        mixed(folder)
    monkeypatch.setattr(demo_told, "SAMPLES", folder)
    monkeypatch.setattr(demo_metrics, "SAMPLES", folder)
    with Sensorium(server.url) as client:
        assert outcome(client, name)


def outcome(client: Sensorium, name: str) -> list[str]:
    """What a row finds wrong."""
    try:
        return CHECKS[name](client, Own()).unmet
    except SensoriumError as error:  # where there is nothing at all to send
        return [error.message]


def test_a_capability_without_a_row_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MODULES, "faces", "sensorium.capabilities.faces.operations")
    for name in CHECKS.keys() - {"system.health"}:
        monkeypatch.delitem(CHECKS, name)
    assert demo() == 1
    said = capsys.readouterr().err
    assert "sensorium: faces: this capability has no row in the demonstration" in said
    assert "sensorium: logs: this capability" in said


def test_the_users_own_files_are_used(tmp_path: Path) -> None:
    log, metrics = tmp_path / "own.log.gz", tmp_path / "own.json"
    log.write_bytes(gzip.compress(b"".join(b"user %d came\n" % n for n in range(300))))
    metrics.write_text(json.dumps({"name": "load", "interval_s": 5, "values": [1, 2] * 100}))
    done = run("demo", "--log", log, "--metrics", metrics, "--json")
    assert done.returncode == 0, done.stderr.decode()
    inputs = {row["capability"]: row["input"] for row in json.loads(done.stdout)}
    assert inputs["logs.cluster"] == "own.log.gz, 300 lines"
    assert inputs["metrics.forecast"] == "own.json, 1 series, 200 values"


def test_a_file_that_is_not_there_fails_before_a_server_starts(tmp_path: Path) -> None:
    done = run("demo", "--log", tmp_path / "no.log")
    assert done.returncode == 1
    assert done.stderr.decode() == f"sensorium: {tmp_path / 'no.log'}: No such file or directory\n"


def test_the_server_is_stopped_whatever_happens() -> None:
    pids: list[int] = []

    def break_off() -> None:
        with started() as server:
            os.kill(server.pid, 0)
            pids.append(server.pid)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        break_off()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_server_that_does_not_start_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(UnavailableError, match="the server did not start"), started():
        pass
