"""From distinct masked lines to patterns: positions that vary become wildcards.

The method has two steps, both by hashing and both independent of the order of lines. Step one:
keys that agree everywhere but in one position are one pattern when that position takes enough
values; repeated until nothing changes. Step two, for keys that vary in several positions at once:
words that are rare at their position are left out, and keys whose frequent words agree are one
pattern when every left-out position takes enough values. The work grows linearly with the
number of distinct keys, whatever the number of patterns.

What counts as enough is one set of constants for every system: many values for a plain word, fewer
where the context or the values themselves say that something varies.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import repeat
from operator import is_, sub

from sensorium.capabilities.logs.masking import WILDCARD

Tokens = tuple[str, ...]
Skeleton = tuple[str | None, ...]
Check = Callable[[], None]

PLAIN_VALUES = 5
"""So many distinct plain words at a position make it vary."""
HINTED_VALUES = 3
"""The same where the context announces a value, or where the values look like names."""
FIRST_VALUES = 20
"""The same for the first word of a line, which most often says what happened."""
MIN_CONSTANT = 1
"""Keys that differ in several positions share at least so many words for each of them."""
MAX_JUDGED = 50
"""So many values of a position are looked at to see whether they look like names."""
MAX_FORMS = 50
"""So many sets of varying positions are tried on a key that fits nothing else."""
ROUNDS = 4
CHECK_EVERY = 2_000

_TOKEN = re.compile(
    r"""
      (?<=[=:]\ ")[^"]*(?=") | (?<=[=:]")[^"]*(?=")   # a quoted value of a key is one word
    | [()\[\]{}<>"'`=,;|:]
    | [^\s()\[\]{}<>"'`=,;|:]+
    """,
    re.VERBOSE,
)
_PUNCTUATION = frozenset("()[]{}<>\"'`=,;|:")
_MARK = {mark: mark for mark in _PUNCTUATION}
_NAME_LIKE = re.compile(r"\x01|[a-z][A-Z]|[A-Za-z][._\-/@$#\\][A-Za-z]")
_ADDRESS_LIKE = re.compile(r"\x01|[A-Za-z][./@\\][A-Za-z]")
_ANNOUNCING = frozenset(
    [
        "for",
        "from",
        "to",
        "by",
        "at",
        "on",
        "in",
        "of",
        "user",
        "users",
        "host",
        "hosts",
        "hostname",
        "name",
        "named",
        "file",
        "path",
        "address",
        "addr",
        "port",
        "id",
        "uid",
        "key",
        "value",
        "client",
        "server",
        "node",
        "device",
        "service",
        "package",
        "module",
        "process",
        "thread",
        "task",
        "job",
        "container",
        "image",
        "pod",
        "queue",
        "topic",
        "table",
        "database",
        "session",
        "request",
    ]
)


def tokenise(key: str) -> Tokens:
    """A key's words and punctuation marks, in order."""
    return tuple(_TOKEN.findall(key))


def skeleton(tokens: Tokens) -> Skeleton:
    """The punctuation of a token sequence, None for its words: keys of one pattern share it."""
    return tuple(map(_MARK.get, tokens))


def _nothing() -> None:
    return None


def _is_announced(tokens: Tokens, position: int) -> bool:
    """Whether the word before says that a name follows; `key=value` often holds a state instead."""
    for before in reversed(tokens[:position]):
        if before == "=":
            return False
        if before not in _PUNCTUATION:
            return before.lower() in _ANNOUNCING
    return False


def needed_values(tokens: Tokens, position: int, values: Iterable[str]) -> int:
    """How many distinct values at `position` make it vary, given its context and the values."""
    hinted = _is_announced(tokens, position)
    shape = _ADDRESS_LIKE if position == 0 else _NAME_LIKE
    if hinted and position:
        return HINTED_VALUES
    names = sum(1 for value in nsmallest(MAX_JUDGED, values) if shape.search(value))
    if names >= HINTED_VALUES:
        return HINTED_VALUES
    return PLAIN_VALUES if position else FIRST_VALUES


def _has_word(tokens: Tokens, besides: int) -> bool:
    """Whether a word other than that at `besides` is left to tell what the pattern is about."""
    return any(
        token not in _PUNCTUATION and token != WILDCARD
        for at, token in enumerate(tokens)
        if at != besides
    )


def _agreeing(
    keys: Sequence[Tokens], position: int, rest: Sequence[int], check: Check
) -> Iterable[Sequence[int]]:
    """Indexes of the keys, in groups that agree in all positions but one.

    `rest` is a number per key that is the same for all keys of a group: most keys are alone with
    theirs, and only the others are compared word by word.
    """
    check()
    shared = Counter(rest)
    check()
    buckets: dict[Tokens, list[int]] = defaultdict(list)
    for index, number in enumerate(rest):
        if index % CHECK_EVERY == 0:
            check()
        if shared[number] > 1:
            key = keys[index]
            buckets[key[:position] + key[position + 1 :]].append(index)
    return buckets.values()


def _column(keys: Sequence[Tokens], position: int, check: Check) -> list[str]:
    check()
    return [key[position] for key in keys]


def _one_position(keys: Sequence[Tokens], check: Check) -> list[int]:
    """For each key, the positions at which it agrees with enough others in all other ones.

    Positions are bits of a number: hundreds of thousands of small sets would cost far more.
    """
    varying = [0] * len(keys)
    columns = [_column(keys, position, check) for position in range(len(keys[0]))]
    distinct = [len(set(column)) for column in columns]
    alone = distinct.count(1) == len(distinct) - 1
    hashes = [] if alone else [_hashed(column, at, check) for at, column in enumerate(columns)]
    sums = list(map(sum, zip(*hashes, strict=True)))
    for position, values_there in enumerate(distinct):
        if values_there < HINTED_VALUES - 1 or keys[0][position] in _PUNCTUATION:
            continue
        buckets: Iterable[Sequence[int]] = [range(len(keys))]
        if not alone:
            buckets = _agreeing(keys, position, list(map(sub, sums, hashes[position])), check)
        for members in buckets:
            if len(members) < 2 or not _has_word(keys[members[0]], position):
                continue
            values = {keys[index][position] for index in members}
            if _varies(keys[members[0]], position, values):
                for at, index in enumerate(members):
                    if at % CHECK_EVERY == 0:
                        check()
                    varying[index] |= 1 << position
        check()
    return varying


def _hashed(column: Sequence[str], position: int, check: Check) -> list[int]:
    """A number per word that also tells its position, so that exchanged words add up otherwise."""
    check()
    return [hash(word) * (2 * position + 1) for word in column]


def _with_wildcards(key: Tokens, places: Iterable[int]) -> Tokens:
    words = list(key)
    for place in places:
        words[place] = WILDCARD
    return tuple(words)


def _round(keys: list[Tokens], check: Check) -> list[Tokens]:
    """Each key of one skeleton with its varying positions as wildcards."""
    result = []
    for index, (key, bits) in enumerate(zip(keys, _one_position(keys, check), strict=True)):
        if index % CHECK_EVERY == 0:
            check()
        places = [at for at in range(bits.bit_length()) if bits >> at & 1]
        result.append(_with_wildcards(key, places) if places else key)
    return result


def _merge_single(keys: list[Tokens], check: Check) -> dict[Tokens, Tokens]:
    """Key -> pattern after step one, for keys of one skeleton."""
    pattern = dict(zip(keys, keys, strict=True))
    for _ in range(ROUNDS):
        check()
        current = list(set(pattern.values()))
        if len(current) < 2:
            break
        changed = dict(zip(current, _round(current, check), strict=True))
        check()
        if all(map(is_, changed.keys(), changed.values())):
            break
        check()
        pattern = dict(zip(pattern, map(changed.__getitem__, pattern.values()), strict=True))
    return pattern


def _left_out(
    keys: Sequence[Tokens], frequency: list[Counter[str]], least: int, check: Check
) -> dict[Tokens, list[Tokens]]:
    """Keys by what is left of them without words seen fewer than `least` times at their place."""
    columns = []
    for position, counts in enumerate(frequency):
        shown = {word: word if n >= least else WILDCARD for word, n in counts.items()}
        columns.append(map(shown.__getitem__, _column(keys, position, check)))
    buckets: dict[Tokens, list[Tokens]] = defaultdict(list)
    for index, (kept, key) in enumerate(zip(zip(*columns, strict=True), keys, strict=True)):
        if index % CHECK_EVERY == 0:
            check()
        buckets[kept].append(key)
    return buckets


def _common(kept: Tokens, members: Sequence[Tokens]) -> Tokens | None:
    """The pattern of keys that share `kept` and differ in several places, if they have one."""
    constant = sum(token != WILDCARD and token not in _PUNCTUATION for token in kept)
    places = [set(column) for column in zip(*members, strict=True)]
    differing = [at for at, values in enumerate(places) if len(values) > 1]
    if not differing or constant < MIN_CONSTANT * len(differing):
        return None
    if differing[0] == 0 and not _varies(kept, 0, places[0]):
        return None
    if not any(_varies(kept, at, places[at]) for at in differing):
        return None
    # A word may be rare and yet the same in all of them.
    return _with_wildcards(members[0], set(differing))


def _varies(tokens: Tokens, position: int, values: set[str]) -> bool:
    """Whether a position takes enough values to be a wildcard; a mask counts for two."""
    weight = len(values) + (1 if WILDCARD in values else 0)
    return weight >= HINTED_VALUES and weight >= needed_values(tokens, position, values)


def _merge_several(keys: list[Tokens], check: Check) -> dict[Tokens, Tokens]:
    """Key -> pattern after step two, for those keys of one skeleton that have one."""
    pattern: dict[Tokens, Tokens] = {}
    if len(keys) < HINTED_VALUES:
        return pattern
    frequency = [Counter(_column(keys, position, check)) for position in range(len(keys[0]))]
    most = max(max(counts.values()) for counts in frequency)
    least = 2
    while len(keys) >= HINTED_VALUES and least <= 2 * most:
        remaining: list[Tokens] = []
        for kept, members in _left_out(keys, frequency, least, check).items():
            common = _common(kept, members) if len(members) >= HINTED_VALUES else None
            if common is None:
                remaining += members
            else:
                pattern.update(zip(members, repeat(common)))
        keys, least = remaining, least * 2
    pattern.update(_absorbed(keys, set(pattern.values()), check))
    return pattern


def _absorbed(
    keys: Sequence[Tokens], patterns: Iterable[Tokens], check: Check
) -> Iterator[tuple[Tokens, Tokens]]:
    """(key, pattern) for keys that fit a pattern: what takes many words takes this one too."""
    by_places: dict[tuple[int, ...], set[Tokens]] = defaultdict(set)
    for pattern in patterns:
        places = tuple(at for at, token in enumerate(pattern) if token == WILDCARD)
        by_places[places].add(pattern)
    forms = sorted(by_places, key=lambda places: (len(places), places))[:MAX_FORMS]
    for index, key in enumerate(keys):
        if index % CHECK_EVERY == 0:
            check()
        for places in forms:
            masked = _with_wildcards(key, places)
            if masked in by_places[places]:
                yield key, masked
                break


def merge(keys: Iterable[Tokens], check: Check = _nothing) -> dict[Tokens, Tokens]:
    """Distinct token sequences -> the pattern of each, in which `WILDCARD` marks what varies.

    `check` is called between blocks of work and may raise to stop it.
    """
    by_skeleton: dict[Skeleton, list[Tokens]] = defaultdict(list)
    for index, key in enumerate(keys):
        if index % CHECK_EVERY == 0:
            check()
        by_skeleton[skeleton(key)].append(key)
    patterns: dict[Tokens, Tokens] = {}
    for group in by_skeleton.values():
        if len(group) == 1:
            patterns[group[0]] = group[0]
            continue
        single = _merge_single(group, check)
        several = _merge_several(list(set(single.values())), check)
        for index, (key, found) in enumerate(single.items()):
            if index % CHECK_EVERY == 0:
                check()
            patterns[key] = several.get(found, found)
    return patterns


def fill(key: str, pattern: Tokens) -> str:
    """The key as it is spelled, with the wildcards of its pattern in place."""
    words = iter(pattern)
    return _TOKEN.sub(lambda _: next(words, ""), key)
