"""What ships as sample and benchmark input is what its provenance says, and labelled in full."""

import csv
import gzip
import hashlib
import re
import socket
import tempfile
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recorded import labels

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "src" / "sensorium" / "cli" / "samples"
RECORDED = ROOT / "benchmarks" / "recorded"
FOLDERS = pytest.mark.parametrize("folder", [SAMPLES, RECORDED], ids=["samples", "recorded"])
HOSTS = {"127.0.0.1", "activemq.apache.org", "github.com", "www.rsyslog.com"}
BYTES_AT_MOST = {SAMPLES: 400_000, RECORDED: 3_000_000}


def provenance(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "provenance.toml").read_text("utf-8"))


def data_files(folder: Path) -> list[Path]:
    """Everything that is data: not our programs, not the provenance itself."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix not in {".py", ".toml"}
    )


def text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader((SAMPLES / "metrics.csv").read_text("utf-8").splitlines()))


@FOLDERS
def test_provenance_names_every_file_with_its_sum_and_size(folder: Path) -> None:
    listed = {entry["name"]: entry for entry in provenance(folder)["file"]}
    assert sorted(listed) == [path.name for path in data_files(folder)]
    for path in data_files(folder):
        entry = listed[path.name]
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), path.name
        assert entry["lines"] == text(path).count("\n"), path.name
        assert entry["how"], path.name


@FOLDERS
def test_provenance_states_licence_machine_and_how_to_record_again(folder: Path) -> None:
    stated = provenance(folder)
    assert {"licence", "recorded_on", "machine", "record_again"} <= stated.keys()
    assert (ROOT / stated["record_again"].split()[1]).is_file()


@FOLDERS
def test_data_is_small_and_gives_no_machine_away(folder: Path) -> None:
    assert sum(path.stat().st_size for path in data_files(folder)) < BYTES_AT_MOST[folder]
    own = (str(ROOT), str(Path.home()), f"{tempfile.gettempdir()}/", f"@{socket.gethostname()}")
    for path in data_files(folder):
        for word in own:
            assert word not in text(path), (path.name, word)
        hosts = set(re.findall(r"https?://([\w-]+\.[\w.-]+)", text(path)))
        assert {host for host in hosts if not host.endswith(".invalid")} <= HOSTS, path.name


@pytest.mark.parametrize("system", sorted({*labels.systems()} - {*labels.listed()}))
def test_every_line_has_the_label_it_was_recorded_with(system: str) -> None:
    lines = labels.read_lines(system)
    assert len(labels.read_labels(system)) == len(lines)
    assert 500 <= len(lines) <= 3000
    record = labels.read_events(system).record
    assert [line for line in lines if not record.fullmatch(line)] == []


@pytest.mark.parametrize("system", labels.listed())
def test_every_line_has_the_one_label_its_events_give(system: str) -> None:
    lines = labels.read_lines(system)
    assert 500 <= len(lines) <= 3000
    assert labels.read_events(system).label(lines) == labels.read_labels(system)


@pytest.mark.parametrize("system", labels.listed())
def test_no_event_is_listed_that_did_not_happen(system: str) -> None:
    assert set(labels.read_labels(system)) == labels.read_events(system).messages.keys()


def test_a_line_that_no_event_describes_is_refused() -> None:
    events = labels.read_events("dpkg")
    with pytest.raises(ValueError, match="line 1 matches no event"):
        events.label(["2026-01-01 00:00:00 exploded everything"])


def test_continuation_lines_carry_the_label_of_their_record() -> None:
    lines, found = labels.read_lines("postgres"), labels.read_labels("postgres")
    continued = [n for n, line in enumerate(lines) if line.startswith("\t")]
    assert continued
    assert all(found[n] == found[n - 1] for n in continued)


def test_metrics_are_one_second_apart_with_a_calm_lead_in() -> None:
    times = [int(row["timestamp"]) for row in rows()]
    assert {later - earlier for earlier, later in pairwise(times)} == {1}
    assert len(times) >= 1800
    incidents = provenance(SAMPLES)["incident"]
    assert len(incidents) >= 5
    assert min(incident["begin"] for incident in incidents) - times[0] >= 600
    assert max(incident["end"] for incident in incidents) < times[-1]


@pytest.mark.parametrize("incident", provenance(SAMPLES)["incident"], ids=lambda i: i["name"])
def test_incidents_stand_out_of_the_calm_lead_in(incident: dict[str, Any]) -> None:
    calm_until = min(other["begin"] for other in provenance(SAMPLES)["incident"])
    for name in incident["shows_in"]:
        calm = [float(r[name]) for r in rows() if r[name] and int(r["timestamp"]) < calm_until]
        inside = [
            float(row[name])
            for row in rows()
            if row[name] and incident["begin"] <= int(row["timestamp"]) <= incident["end"]
        ]
        outside = [value for value in inside if not min(calm) <= value <= max(calm)]
        assert len(outside) >= len(inside) / 2, name


def test_deploy_story_has_new_gone_and_changed_kinds() -> None:
    story = provenance(SAMPLES)["deploy_story"]
    before, after = text(SAMPLES / "before.log"), text(SAMPLES / "after.log")
    for words in story["new"]:
        assert words in after
        assert words not in before
    for words in story["gone"]:
        assert words in before
        assert words not in after
    share = {"before": 0.0, "after": 0.0}
    for name, content in (("before", before), ("after", after)):
        for words in story["changed"]:
            share[name] += content.count(words) / content.count("\n")
    assert share["after"] >= 1.5 * share["before"] > 0
