"""Patterns of keys that vary in several positions at once.

Words that are rare at their position are left out; keys whose frequent words agree are one pattern
when the left-out positions take enough values, or when what they share is long beside them. What
counts as rare starts low and doubles, so that the most specific pattern wins.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from sensorium.capabilities.logs.evidence import (
    FEW,
    LONG,
    Skeleton,
    Tokens,
    body_at,
    constants,
    varies,
    words_in,
)
from sensorium.capabilities.logs.masking import WILDCARD
from sensorium.capabilities.logs.pacing import Check

MAX_FORMS = 50
"""So many sets of varying positions are tried on a key that fits nothing else."""


def with_wildcards(key: Tokens, places: Iterable[int]) -> Tokens:
    """The key with wildcards at `places`."""
    words = list(key)
    for place in places:
        words[place] = WILDCARD
    return tuple(words)


def _left_out(
    keys: Sequence[Tokens], frequency: Sequence[Counter[str]], least: int
) -> dict[Tokens, list[Tokens]]:
    """Keys by what is left of them without words seen fewer than `least` times at their place."""
    columns = [
        [word if counts[word] >= least else WILDCARD for word in column]
        for column, counts in zip(zip(*keys, strict=True), frequency, strict=True)
    ]
    alike: dict[Tokens, list[Tokens]] = defaultdict(list)
    for kept, key in zip(zip(*columns, strict=True), keys, strict=True):
        alike[kept].append(key)
    return alike


def _common(kept: Tokens, members: Sequence[Tokens], shape: Skeleton) -> Tokens | None:
    """The pattern of keys that share `kept` and differ in several places, if they have one."""
    places = words_in(shape)
    body = body_at(shape)
    shared = constants(kept, (at for at in places if at >= body))
    values = [set(column) for column in zip(*members, strict=True)]
    differing = [at for at in places if len(values[at]) > 1]
    # A word may be rare and yet the same in all of them.
    pattern = with_wildcards(members[0], differing)
    if len(differing) * LONG <= shared:
        return pattern
    if len(members) < FEW or shared < len(differing):
        return None
    found = any(varies(kept, shape, at, values[at]) for at in differing)
    return pattern if found else None


def absorbed(keys: Iterable[Tokens], patterns: Iterable[Tokens]) -> Iterator[tuple[Tokens, Tokens]]:
    """(key, pattern) for keys that fit a pattern: what takes many words takes this one too."""
    by_places: dict[tuple[int, ...], set[Tokens]] = defaultdict(set)
    for pattern in patterns:
        places = tuple(at for at, token in enumerate(pattern) if token == WILDCARD)
        by_places[places].add(pattern)
    forms = sorted(by_places, key=lambda places: (len(places), places))[:MAX_FORMS]
    for key in keys:
        for places in forms:
            masked = with_wildcards(key, places)
            if masked in by_places[places]:
                yield key, masked
                break


def merge_jointly(keys: Sequence[Tokens], shape: Skeleton, check: Check) -> dict[Tokens, Tokens]:
    """Key -> pattern, for those keys of one family that have one; `check` may raise to stop."""
    pattern: dict[Tokens, Tokens] = {}
    frequency = [Counter(column) for column in zip(*keys, strict=True)]
    most = max(max(counts.values()) for counts in frequency)
    least = 2
    while len(keys) > 1 and least <= 2 * most:
        check()
        remaining: list[Tokens] = []
        for kept, members in _left_out(keys, frequency, least).items():
            common = _common(kept, members, shape) if len(members) > 1 else None
            if common is None:
                remaining += members
            else:
                pattern.update(dict.fromkeys(members, common))
        keys, least = remaining, least * 2
    pattern.update(absorbed(keys, set(pattern.values())))
    return pattern
