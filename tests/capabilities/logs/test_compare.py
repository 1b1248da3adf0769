"""`logs.compare`: what changed is told, what is noise is not."""

import random

import pytest

from sensorium.capabilities.logs.operations import compare
from sensorium.capabilities.logs.rates import dispersion, log_likelihood_ratio, p_value, significant
from sensorium.capabilities.logs.schema import CompareRequest, CompareResponse
from sensorium.core.operation import Work

KINDS = [
    "GET /items/{n} served in {n} ms",
    "user u{n} logged in",
    "cache miss for key k{n}",
    "job {n} finished",
    "retrying call {n}",
]
WEIGHTS = [50, 20, 15, 10, 5]


def traffic(size: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [kind.format(n=rng.randrange(9_999)) for kind in rng.choices(KINDS, WEIGHTS, k=size)]


def call(before: list[str], after: list[str], **options: float) -> CompareResponse:
    request = CompareRequest(before=before, after=after, **options)  # type: ignore[arg-type]
    return compare(request, Work())


@pytest.mark.parametrize("seed", range(10))
def test_the_same_traffic_reports_nothing(seed: int) -> None:
    answer = call(traffic(2_000, seed), traffic(1_000, seed + 100))
    assert (answer.new, answer.gone, answer.changed) == ([], [], [])


def test_new_gone_and_changed() -> None:
    before = traffic(2_000, 1) + ["old worker said hello"] * 40
    error = "2024-05-01 12:00:00 ERROR db: connection pool exhausted"
    after = traffic(2_000, 2) + [error] * 40 + ["retrying call 7"] * 500
    random.Random(3).shuffle(after)
    answer = call(before, after)
    assert [change.template for change in answer.new] == ["connection pool exhausted"]
    assert [change.template for change in answer.gone] == ["old worker said hello"]
    assert "retrying call <*>" in [change.template for change in answer.changed]
    new = answer.new[0]
    assert (new.before_count, new.after_count, new.factor, new.severity) == (0, 40, None, "error")
    assert new.examples[0] == error


def test_totals_are_allowed_for() -> None:
    answer = call(traffic(500, 1), traffic(10_000, 2))
    assert (answer.new, answer.gone, answer.changed) == ([], [], [])


def test_what_is_rare_is_uncertain() -> None:
    answer = call(traffic(500, 1), [*traffic(500, 2), "segfault in worker"])
    assert answer.new == []
    assert [change.template for change in answer.uncertain] == ["segfault in worker"]


def test_bursts_are_not_changes() -> None:
    rng = random.Random(4)

    def bursty() -> list[str]:
        lines = traffic(3_000, rng.randrange(10**6))
        for _ in range(rng.randint(2, 7)):
            place = rng.randrange(len(lines))
            lines[place:place] = [f"packet {n} dropped" for n in range(60)]
        return lines

    reported = sum(bool(call(bursty(), bursty()).changed) for _ in range(20))
    assert reported <= 2


@pytest.mark.parametrize(
    ("before", "after"), [([], []), ([], ["a b"]), (["a b"], []), ([""], [""])]
)
def test_empty_sides(before: list[str], after: list[str]) -> None:
    answer = call(before, after)
    assert (answer.before_lines, answer.after_lines) == (len(before), len(after))
    assert (answer.new, answer.gone, answer.changed) == ([], [], [])


def test_statistics() -> None:
    assert log_likelihood_ratio(10, 10, 100, 100) == pytest.approx(0)
    assert p_value(3.841) == pytest.approx(0.05, abs=1e-3)
    assert dispersion([[5, 5, 5], [9, 9, 9]]) == 1
    assert dispersion([[0, 0, 30], [0, 30, 0]]) > 5
    assert significant([0.001, 0.02, 0.5], 0.05) == [True, True, False]
    assert significant([], 0.05) == []
