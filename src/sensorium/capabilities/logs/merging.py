"""From distinct masked lines to patterns: positions that vary become wildcards.

Keys with the same punctuation and the same first word form a family. In a family, keys that agree
everywhere but in one position are one pattern when that position takes enough values (see
`evidence`), repeated until nothing changes; then keys that differ in several positions at once are
tried (see `joint`). At last families that differ in their first word alone are compared.

Everything is decided by sets of keys, so that neither order nor repetition matters. A family too
large to be compared is folded first: its most varied position becomes a wildcard until it fits. So
the work grows linearly with the number of distinct keys, whatever the number of patterns.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter, sub

from sensorium.capabilities.logs.evidence import (
    MANY,
    Shapes,
    Skeleton,
    Tokens,
    first_word,
    varies,
    words_in,
)
from sensorium.capabilities.logs.joint import absorbed, merge_jointly, with_wildcards
from sensorium.capabilities.logs.pacing import Check, paced

MAX_FAMILY = 1_000
"""So many keys of a family are compared with one another."""
ROUNDS = 4


def _nothing() -> None:
    return None


def _values(keys: Sequence[Tokens], position: int, check: Check) -> int:
    """How many different words stand at a position."""
    check()
    return len(set(map(itemgetter(position), keys)))


def _fold(keys: list[Tokens], places: Sequence[int], check: Check) -> dict[Tokens, Tokens]:
    """Key -> key with wildcards in the most varied positions, so many that the rest is few."""
    varied = {at: _values(keys, at, check) for at in places}
    folded: list[int] = []
    distinct = set(keys)
    while len(distinct) > MAX_FAMILY:
        most = max(varied, key=lambda at: (varied[at], -at))
        if varied.pop(most) < MANY:
            break
        folded.append(most)
        distinct = {with_wildcards(key, folded) for key in paced(keys, check)}
    return {key: with_wildcards(key, folded) for key in paced(keys, check)}


def _round(keys: list[Tokens], shape: Skeleton, places: Sequence[int], check: Check) -> list[int]:
    """For each key, as bits, the positions at which it agrees with enough others in all others."""
    columns = {at: list(map(itemgetter(at), keys)) for at in places}
    columns = {at: column for at, column in columns.items() if len(set(column)) > 1}
    hashes = {at: [hash(word) * (2 * at + 1) for word in column] for at, column in columns.items()}
    sums = list(map(sum, zip(*hashes.values(), strict=True)))
    varying = [0] * len(keys)
    for position, column in columns.items():
        check()
        alike: dict[int, list[int]] = defaultdict(list)
        for index, number in enumerate(map(sub, sums, hashes[position])):
            alike[number].append(index)
        for members in alike.values():
            if len(members) == 1:
                continue
            values = set(map(column.__getitem__, members))
            if varies(keys[members[0]], shape, position, values):
                for index in members:
                    varying[index] |= 1 << position
    return varying


def _merge_family(keys: list[Tokens], shape: Skeleton, check: Check) -> dict[Tokens, Tokens]:
    """Key -> pattern, for keys with the same punctuation."""
    first = first_word(shape)
    places = [at for at in words_in(shape) if at != first]
    pattern = dict(zip(keys, keys, strict=True))
    if len(keys) > MAX_FAMILY:
        pattern = _fold(keys, places, check)
    for _ in range(ROUNDS):
        current = list(set(pattern.values()))
        if len(current) == 1:
            break
        varying = _round(current, shape, places, check)
        if any(varying):
            changed = {
                key: with_wildcards(key, [at for at in places if bits >> at & 1]) if bits else key
                for key, bits in zip(current, varying, strict=True)
            }
        else:
            changed = merge_jointly(current, shape, check)
            if not changed:
                break
        pattern = {key: changed.get(found, found) for key, found in pattern.items()}
    return pattern


def _merge_first_words(
    patterns: dict[Tokens, Tokens], shape: Skeleton, check: Check
) -> dict[Tokens, Tokens]:
    """Pattern -> pattern, where the first word varies."""
    position = first_word(shape)
    alike: dict[Tokens, list[Tokens]] = defaultdict(list)
    for pattern in paced(set(patterns.values()), check):
        alike[pattern[:position] + pattern[position + 1 :]].append(pattern)
    changed: dict[Tokens, Tokens] = {}
    for members in paced(alike.values(), check):
        values = {pattern[position] for pattern in members}
        if len(values) > 1 and varies(members[0], shape, position, values):
            changed.update((pattern, with_wildcards(pattern, [position])) for pattern in members)
    if changed:
        others = set(patterns.values()) - changed.keys()
        changed.update(absorbed(paced(others, check), set(changed.values())))
    return changed


def merge(keys: Iterable[Tokens], check: Check = _nothing) -> dict[Tokens, Tokens]:
    """Distinct token sequences -> the pattern of each, in which `WILDCARD` marks what varies.

    `check` is called between blocks of work and may raise to stop it.
    """
    shapes = Shapes()
    families: dict[Skeleton, dict[str, list[Tokens]]] = defaultdict(lambda: defaultdict(list))
    for key in paced(keys, check):
        shape = tuple(map(shapes.__getitem__, key))
        families[shape][key[first_word(shape)]].append(key)
    patterns: dict[Tokens, Tokens] = {}
    for shape, by_first in families.items():
        check()
        found: dict[Tokens, Tokens] = {}
        for members in paced(by_first.values(), check):
            if len(members) == 1:
                found[members[0]] = members[0]
            else:
                found.update(_merge_family(members, shape, check))
        if len(by_first) > 1:
            changed = _merge_first_words(found, shape, check)
            found = {key: changed.get(pattern, pattern) for key, pattern in found.items()}
        patterns.update(found)
    return patterns
