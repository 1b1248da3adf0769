"""`logs.cluster`: patterns, labels, records, odd input."""

import json
import time

import msgspec
import pytest

from sensorium.capabilities.logs.labels import severity_of, theme_of
from sensorium.capabilities.logs.operations import cluster
from sensorium.capabilities.logs.schema import ClusterRequest, ClusterResponse
from sensorium.core.errors import CancelledCallError
from sensorium.core.operation import Work
from tests.capabilities.logs.conftest import Clusterer

SHOP = [
    "2024-05-01 12:00:00 ERROR auth: Failed password for alice from 10.0.0.7 port 4242",
    "2024-05-01 12:00:01 ERROR auth: Failed password for bob from 10.0.0.9 port 4711",
    "2024-05-01 12:00:02 ERROR auth: Failed password for carol from 10.0.0.9 port 4712",
    "2024-05-01 12:00:03 WARN db: Query timed out after 3000 ms",
    "2024-05-01 12:00:04 WARN db: Query timed out after 2.5 s",
    "2024-05-01 12:00:05 ERROR fs: write failed: No space left on device /dev/sda1",
    "2024-05-01 12:00:06 INFO http: listening on port 8080",
]


def test_patterns_labels_and_places(clustered: Clusterer) -> None:
    answer = clustered(SHOP)
    failed = answer.clusters[0]
    assert failed.template == "Failed password for <*> from <*> port <*>"
    assert (failed.label, failed.severity, failed.count) == ("Auth errors", "error", 3)
    assert (failed.first_index, failed.last_index) == (0, 2)
    assert (failed.first_time, failed.last_time) == ("2024-05-01 12:00:00", "2024-05-01 12:00:02")
    assert failed.share == pytest.approx(3 / 7)
    assert answer.assignments == [0, 0, 0, 1, 1, 2, 3]
    assert [c.label for c in answer.clusters[1:3]] == ["Timeouts", "Disk errors"]
    assert answer.header_share == 1.0


def test_themes_gather_clusters_and_lines(clustered: Clusterer) -> None:
    answer = clustered(SHOP)
    assert sum(theme.count for theme in answer.themes) == len(SHOP)
    assert answer.themes[0].label == "Auth errors"
    assert answer.themes[0].clusters == [answer.clusters[0].id]


def test_a_group_is_judged_by_its_lines_not_by_any_member() -> None:
    disk, auth = "Disk usage on volume is high", "Failed password for <*>"
    assert theme_of({disk: 90, auth: 10}) == "disk"
    assert theme_of({disk: 10, auth: 90}) == "auth"


@pytest.mark.parametrize(
    ("template", "severity"),
    [
        ("connection refused by peer", "error"),
        ("request timed out", "warning"),
        ("finished with 0 errors", "info"),
        ("kernel panic - not syncing", "critical"),
        ("listening on port <*>", "info"),
    ],
)
def test_severity_without_a_level_comes_from_words(template: str, severity: str) -> None:
    assert severity_of({template: 1}, {}) == severity


def test_a_level_outweighs_words(clustered: Clusterer) -> None:
    lines = ["2024-05-01 12:00:00 INFO x: error handler installed"] * 2
    assert clustered(lines).clusters[0].severity == "info"


def test_ids_follow_from_the_template_alone(clustered: Clusterer) -> None:
    one, other = clustered(SHOP), clustered([SHOP[6], *SHOP[:3]])
    assert other.clusters[0].id == one.clusters[0].id
    assert len({found.id for found in one.clusters}) == len(one.clusters)


def test_headers_can_be_kept(clustered: Clusterer) -> None:
    answer = clustered(SHOP, strip_headers="never")
    assert "ERROR auth" in answer.clusters[0].template
    assert answer.header_share == 0.0


def test_a_pattern_has_its_id_among_other_lines_too(clustered: Clusterer) -> None:
    alone = clustered(SHOP[6:]).clusters[0].id
    among = clustered([*["plain line of text"] * 20, SHOP[6]]).clusters[1].id
    assert alone == among


def test_stack_traces_join_their_record(clustered: Clusterer) -> None:
    trace = [
        "2024-05-01 12:00:00 ERROR app: request failed",
        "java.lang.IllegalStateException: no pool",
        "\tat org.acme.Pool.take(Pool.java:42)",
        "\tat org.acme.Server.run(Server.java:7)",
        "Caused by: java.io.IOException: closed",
        "\t... 12 more",
    ]
    lines = [*SHOP * 20, *trace, SHOP[6]]
    answer = clustered(lines)
    assert answer.assignments is not None
    assert len(set(answer.assignments[140:146])) == 1
    found = answer.clusters[answer.assignments[140]]
    assert (found.template, found.count, found.records) == ("request failed", 6, 1)


def test_a_bare_traceback_is_known_by_its_exception(clustered: Clusterer) -> None:
    def trace(error: str) -> list[str]:
        return ["Traceback (most recent call last):", '  File "a.py", line 3, in f', error]

    lines = [*trace("ValueError: bad thing"), *trace("KeyError: 'x'"), "done"]
    answer = clustered(lines)
    assert answer.assignments is not None
    assert answer.assignments[:3] == [answer.assignments[0]] * 3
    assert answer.assignments[0] != answer.assignments[3]
    first = answer.clusters[answer.assignments[0]]
    assert (first.template, first.records) == ("ValueError: bad thing", 1)


def test_a_traceback_belongs_to_the_line_that_announces_it(clustered: Clusterer) -> None:
    trace = ["Traceback (most recent call last):", '  File "a.py", line 3, in f', "KeyError: 'x'"]
    answer = clustered(["all is well", "Unhandled error in GET", *trace, "all is well"])
    assert answer.assignments == [1, 0, 0, 0, 0, 1]
    assert answer.clusters[0].template == "Unhandled error in GET"


def test_structured_lines_are_read(clustered: Clusterer) -> None:
    lines = [
        json.dumps({"time": "2024-05-01T12:00:00Z", "level": "error", "msg": f"job {n} failed"})
        for n in range(3)
    ]
    lines += [f'time=2024-05-01T12:00:00Z level=warn msg="slow call {n} ms"' for n in range(3)]
    answer = clustered(lines)
    found = {(c.template, c.severity) for c in answer.clusters}
    assert found == {("job <*> failed", "error"), ("slow call <*>", "warning")}


def test_max_clusters_counts_the_rest(clustered: Clusterer) -> None:
    lines = [word for n, word in enumerate(("ready", "steady", "go")) for _ in range(3 - n)]
    answer = clustered(lines, max_clusters=1)
    assert [c.count for c in answer.clusters] == [3]
    assert (answer.other.clusters, answer.other.count) == (2, 3)
    assert answer.assignments == [0, 0, 0, -1, -1, -1]


def test_assignments_and_examples_can_be_left_out(clustered: Clusterer) -> None:
    answer = clustered(SHOP, include_assignments=False, examples=0)
    assert answer.assignments is None
    assert all(found.examples == [] for found in answer.clusters)


@pytest.mark.parametrize("method", ["templates", "kmeans"])
@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["", " ", "\t", "\x00"],
        ["x"] * 1_000,
        ["a" * 1_000_000, "b c " * 250_000],
        ["nul \x00 in", "surrogate \ud800", "two\nlines", "cr\r", "caf\u00e9 \u65e5\u672c"],
        ["(" * 5_000, '"' * 5_000, "\x01<*>\x02"],
    ],
    ids=["none", "empty", "blank", "same", "huge", "odd", "marks"],
)
def test_odd_input(clustered: Clusterer, method: str, lines: list[str]) -> None:
    answer = clustered(lines, method=method)
    assert sum(found.count for found in answer.clusters) == len(lines)
    assert answer.assignments is not None
    assert len(answer.assignments) == len(lines)
    encoded = msgspec.json.encode(answer)
    assert msgspec.json.decode(encoded, type=ClusterResponse) == answer


def test_all_different_lines_stay_apart(clustered: Clusterer) -> None:
    words = [f"{a}{b} {b}{c} {c}{a}" for a in "wxyz" for b in "klmn" for c in "pqrs"]
    answer = clustered(words, max_clusters=100)
    assert sum(found.count for found in answer.clusters) == len(words)


def test_secrets_are_in_no_template_and_no_example(clustered: Clusterer) -> None:
    lines = [f"login user={name} password={name}secret ok" for name in ("alice", "bob")]
    lines += ["mail to carol@example.org sent", "auth header Bearer abcDEF123ghi456 used"]
    text = msgspec.json.encode(clustered(lines)).decode()
    for secret in ("alicesecret", "bobsecret", "carol@", "abcDEF123"):
        assert secret not in text
    shown = msgspec.json.encode(clustered(lines, mask_secrets=False)).decode()
    assert "alicesecret" in shown


def test_a_cancelled_call_stops_soon() -> None:
    class Gaps(Work):
        worst, last = 0.0, 0.0

        def check(self) -> None:
            now = time.process_time()
            self.worst = max(self.worst, now - (self.last or now))
            self.last = now

    gaps = Gaps()
    lines = [
        f"user u{n * 7919 % 30011:x}z asks {chr(97 + n % 26) * 6} for q{n}" for n in range(50_000)
    ]
    cluster(ClusterRequest(lines=lines), gaps)
    assert gaps.worst < 0.25
    cancelled = Work()
    cancelled.cancel()
    with pytest.raises(CancelledCallError):
        cluster(ClusterRequest(lines=SHOP), cancelled)


def test_kmeans_chooses_its_number_of_groups(clustered: Clusterer) -> None:
    lines = [f"Failed password for user{n} from 10.0.0.{n}" for n in range(20)]
    lines += [f"Connection to db{n} timed out after {n} ms" for n in range(20)]
    answer = clustered(lines, method="kmeans")
    assert answer.assignments is not None
    assert len(answer.clusters) == 2
    assert {found.label for found in answer.clusters} == {"Auth errors", "Timeouts"}
    assert answer == clustered(lines, method="kmeans")
