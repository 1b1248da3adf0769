"""When lines are one statement with a parameter, and when they are several statements."""

import pytest

from sensorium.capabilities.logs import merging
from sensorium.capabilities.logs.pacing import STEP, paced, release
from tests.capabilities.logs.conftest import Clusterer


@pytest.mark.parametrize(
    "lines",
    [
        [
            f"pam({service}:session): session opened for user {user} by (uid=0)"
            for service, user in (("a", "x"), ("b", "x"), ("b", "y"), ("c", "y"), ("c", "z"))
        ],
        ["install cron:all 1.0", "install libc6:amd64 1.1", "install sed:all <none>"],
        ["no answer within 4 ms for GET /a/b", "no answer within 5 ms for POST /a/b"],
        ['1.2.3.4 - "GET /a/b" 200', '1.2.3.4 - "PUT /a/b" 200', '1.2.3.4 - "POST /a/b" 200'],
        [f"moved {a} from {b} to {c}" for a, b, c in ("abc", "dbe", "fgc", "hgi", "jbc")],
        [
            "job 1 ended: {'a': 1}",
            "job 2 ended: {'b': ['x', 'y'], 'c': {'d': 3}}",
            "job 3 ended: 4",
        ],
        ["using .../a.deb ...", "using /b.deb ...", "using ../c/d.deb ..."],
        [f"[conn={n}] channel of kind {kind} open" for n, kind in enumerate(("x/y", "x/z", "v/w"))],
    ],
    ids=[
        "two-parameters",
        "composite",
        "announced",
        "verbs",
        "sparse",
        "literals",
        "paths",
        "fields",
    ],
)
def test_one_statement(clustered: Clusterer, lines: list[str]) -> None:
    assert len(clustered(lines).clusters) == 1


@pytest.mark.parametrize(
    "lines",
    [
        ["session opened for user root", "session closed for user root"],
        ["rewrite terminated with success", "rewrite terminated with error"],
        ["call ended due to statement timeout", "call ended due to lock timeout"],
        ["cache ready", "store ready", "queue ready"],
        [f"{verb} password for root from 1.2.3.4 port 5" for verb in ("Accepted", "Failed")],
        ['msg="Rule manager stopped"', 'msg="Scrape manager stopped"'],
        [f"[conn=1, chan=2, user=3] {what}" for what in ("Closing channel", "Channel closed")],
        [f"[conn=1, chan=2, user=3] {what}: 7" for what in ("Width", "Height", "Depth", "Size")],
    ],
    ids=["verbs", "outcomes", "reasons", "short", "first-words", "quoted", "context", "values"],
)
def test_several_statements(clustered: Clusterer, lines: list[str]) -> None:
    assert len(clustered(lines).clusters) == len(lines)


@pytest.mark.parametrize("tail", ["}", ") -", "(,", "] (:", "", "- -"])
def test_brackets_with_nothing_behind_them(clustered: Clusterer, tail: str) -> None:
    names = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
    ]
    lines = [f"[{name} x] {tail}" for name in names] + [f"({name}) {tail}" for name in names]
    assert sum(each.count for each in clustered(lines).clusters) == len(lines)


def test_a_large_family_is_folded(clustered: Clusterer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MAX_FAMILY", 50)
    names = [f"{a}{b}" for a in "wxyz" for b in "aeiouklmnp"]
    lines = [f"copy {a} and {b} done" for a in names for b in names[:5]] + ["copy it all and go"]
    answer = clustered(lines)
    assert [found.template for found in answer.clusters][:1] == ["copy <*> and <*> done"]
    assert answer.clusters[0].count == len(lines) - 1


def test_work_is_paced() -> None:
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1

    assert list(paced(range(3 * STEP), look)) == list(range(3 * STEP))
    assert looks == 3
    emptied: tuple[dict[int, int], list[int]] = ({1: 2}, [3, 4])
    release(look, *emptied)
    assert emptied == ({}, [])
    assert looks == 5
