"""Grouping accuracy on the eight LogHub-2k systems, beside drain3 with its defaults.

GA: the part of the lines whose cluster holds exactly the lines of their true event. FGA: the
harmonic mean of the part of our clusters, and of the part of the true events, that are exactly
right (Jiang et al., 2024). Nothing is tuned per system; leave-one-out shows what each constant of
the method would be if it were chosen on the other seven systems.
"""

import csv
import json
import subprocess
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from benchmarks.report import Row, show
from sensorium.capabilities.logs import merging
from sensorium.capabilities.logs.operations import cluster
from sensorium.capabilities.logs.schema import ClusterRequest
from sensorium.core.operation import Work

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data" / "logs"
PEER = (ROOT / ".bench/peers/bin/python", ROOT / "benchmarks/peers/drain3_run.py")
SYSTEMS = (
    "HDFS",
    "BGL",
    "Linux",
    "OpenSSH",
    "Zookeeper",
    "Android",
    "Apache",
    "Proxifier",
)
CHOICES = {
    "PLAIN_VALUES": (3, 4, 5, 6, 8),
    "HINTED_VALUES": (2, 3, 4),
    "FIRST_VALUES": (10, 20, 40),
    "MIN_CONSTANT": (0.5, 1, 2),
}

Grouper = Callable[[list[str]], Sequence[Hashable]]


def load(system: str) -> tuple[list[str], list[str], list[str]]:
    """A system's contents, raw lines, and true events."""
    with (DATA / f"{system}_2k.log_structured.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    text = (DATA / f"{system}_2k.log").read_bytes().decode("utf-8", "replace")
    raw = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return [row["Content"] for row in rows], raw, [row["EventId"] for row in rows]


def grouping_accuracy(truth: Sequence[Hashable], found: Sequence[Hashable]) -> tuple[float, float]:
    """(GA, FGA) of two labellings of the same lines."""
    events: dict[Hashable, set[int]] = defaultdict(set)
    clusters: dict[Hashable, set[int]] = defaultdict(set)
    for index, (event, label) in enumerate(zip(truth, found, strict=True)):
        events[event].add(index)
        clusters[label].add(index)
    true_sets = {frozenset(lines) for lines in events.values()}
    right = [lines for lines in clusters.values() if frozenset(lines) in true_sets]
    precision, recall = len(right) / len(clusters), len(right) / len(events)
    harmonic = 2 * precision * recall / (precision + recall) if right else 0.0
    return sum(map(len, right)) / len(truth), harmonic


def ours(lines: list[str]) -> Sequence[Hashable]:
    """The clusters of our default method."""
    answer = cluster(ClusterRequest(lines=lines, max_clusters=100_000), Work())
    return answer.assignments or []


def founding(lines: list[str]) -> Sequence[Hashable]:
    """The clusters of the founding method."""
    answer = cluster(ClusterRequest(lines=lines, method="kmeans"), Work())
    return answer.assignments or []


def drain3(lines: list[str]) -> Sequence[Hashable]:
    """The clusters of drain3, run in its own environment."""
    done = subprocess.run(
        list(map(str, PEER)),
        input=json.dumps({"lines": lines}),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: list[int] = json.loads(done.stdout)["clusters"]
    return answer


@contextmanager
def constants(**values: float) -> Iterator[None]:
    """The merging method with other constants, for as long as the block lasts."""
    before = {name: getattr(merging, name) for name in values}
    try:
        for name, value in values.items():
            setattr(merging, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(merging, name, value)


def leave_one_out(loaded: dict[str, tuple[list[str], list[str], list[str]]]) -> list[Row]:
    """GA on each system with each constant chosen on the other seven; and how flat that is."""
    rows = []
    for name, values in CHOICES.items():
        accuracy: dict[float, dict[str, float]] = {}
        for value in values:
            with constants(**{name: value}):
                accuracy[value] = {
                    system: grouping_accuracy(events, ours(contents))[0]
                    for system, (contents, _, events) in loaded.items()
                }
        held_out = []
        for system in SYSTEMS:
            others = {
                value: mean(score for name, score in scores.items() if name != system)
                for value, scores in accuracy.items()
            }
            held_out.append(accuracy[max(others, key=others.__getitem__)][system])
        spread = ", ".join(f"{v}: {mean(s.values()):.3f}" for v, s in accuracy.items())
        rows.append(Row(f"logs GA content, {name} left-one-out", mean(held_out), "", note=spread))
    return rows


def measure() -> list[Row]:
    """GA and FGA per system and in the mean; empty where the data is absent."""
    if not DATA.is_dir():
        return []
    loaded = {system: load(system) for system in SYSTEMS}
    rows = []
    for place, (name, target) in enumerate((("content", 0.90), ("raw lines", 0.80))):
        scores: dict[str, list[tuple[float, float]]] = {"ours": [], "drain3": [], "kmeans": []}
        for system, data in loaded.items():
            lines, events = data[place], data[2]
            us = grouping_accuracy(events, ours(lines))
            peer = grouping_accuracy(events, drain3(lines))
            scores["ours"].append(us)
            scores["drain3"].append(peer)
            scores["kmeans"].append(grouping_accuracy(events, founding(lines)))
            rows.append(
                Row(
                    f"logs GA {name}, {system}",
                    us[0],
                    "",
                    peer=f"drain3 {peer[0]:.3f}",
                    note=f"FGA {us[1]:.3f}, drain3 {peer[1]:.3f}",
                )
            )
        ga = {who: mean(score[0] for score in of) for who, of in scores.items()}
        fga = {who: mean(score[1] for score in of) for who, of in scores.items()}
        rows.append(
            Row(
                f"logs mean GA {name}",
                ga["ours"],
                "",
                f">= {target}, > drain3",
                ga["ours"] >= target and ga["ours"] > ga["drain3"],
                f"drain3 {ga['drain3']:.3f}",
                f"FGA {fga['ours']:.3f}, drain3 {fga['drain3']:.3f}; kmeans GA {ga['kmeans']:.3f}",
            )
        )
    return rows + leave_one_out(loaded)


if __name__ == "__main__":
    show(measure())
