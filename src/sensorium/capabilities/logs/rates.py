"""Whether a rate changed, for counts that come in bursts.

Under equal rates, of n lines seen on two sides the part on one side is binomial with that side's
share of all lines; the log-likelihood ratio G of the counts then follows chi-square with one degree
of freedom (Dunning, 1993). Log lines come in bursts, which makes chance differences larger than
that: G is divided by the dispersion of the counts over stretches of time (quasi-likelihood;
McCullagh and Nelder, 1989). Many patterns are judged at once, so the p-values are cut off by the
procedure of Benjamini and Hochberg (1995).
"""

import math
from collections.abc import Sequence

STRETCHES = 12
"""Each side is divided into so many stretches to see how bursty a pattern is."""


def log_likelihood_ratio(first: int, second: int, first_total: int, second_total: int) -> float:
    """G of two counts out of two totals; 0 where the rates are equal or a total is 0."""
    count, total = first + second, first_total + second_total
    ratio = 0.0
    for seen, of in ((first, first_total), (second, second_total)):
        expected = count * of / total if total else 0.0
        if seen and expected:
            ratio += seen * math.log(seen / expected)
    return max(0.0, 2.0 * ratio)


def dispersion(sides: Sequence[Sequence[int]]) -> float:
    """Variance over mean of the counts in the stretches of each side, at least 1 (chance).

    The sides are pooled, each around its own mean, so that a change between them does not count.
    """
    scatter = 0.0
    freedom = 0
    for stretches in sides:
        mean = sum(stretches) / len(stretches) if stretches else 0.0
        if mean > 0:
            scatter += sum((count - mean) ** 2 for count in stretches) / mean
            freedom += len(stretches) - 1
    return max(1.0, scatter / freedom) if freedom else 1.0


def p_value(ratio: float) -> float:
    """The chance that chi-square with one degree of freedom reaches `ratio`."""
    return math.erfc(math.sqrt(ratio / 2.0))


def significant(p_values: Sequence[float], false_alarm_rate: float) -> list[bool]:
    """Which of the p-values stand when `false_alarm_rate` of those that do may be chance."""
    ordered = sorted(p_values)
    limit = -1.0
    for rank, value in enumerate(ordered, start=1):
        if value <= false_alarm_rate * rank / len(ordered):
            limit = value
    return [value <= limit for value in p_values]
