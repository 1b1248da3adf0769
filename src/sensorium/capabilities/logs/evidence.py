"""When a position of a line varies: how many different words it takes to believe it.

The question is whether lines that agree everywhere else are one statement with a parameter or
several statements. The more words they share, the fewer values it takes; fewer, too, where what
stands before announces a value, or where the values look like names. One set of constants serves
every system.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from heapq import nsmallest

from sensorium.capabilities.logs.masking import WILDCARD

Tokens = tuple[str, ...]
Skeleton = tuple[str | None, ...]

MANY = 20
"""So many different first words of a line vary; the first word most often says what happened."""
SEVERAL = 5
"""So many plain words vary."""
FEW = 3
"""So many vary where they look like names, are announced, or stand in a long line."""
PAIR = 2
"""So many vary where they are announced in a line with a few words more."""
LONG = 6
"""A line with so many constant words is long."""
TELLING = 3
"""So many constant words are enough for a pair of announced values."""
TELLING_MASK = 4
"""So many are enough where one of the values is masked, which alone does not make others vary."""
MARKS_PER_WORD = 3
"""So many punctuation marks tell as much as a word."""
MAX_JUDGED = 50
"""So many values are looked at to see whether they look like names."""

_NAME = re.compile(r"\x01|[a-z][A-Z]|[A-Za-z][._\-/@$#\\:][A-Za-z]")
_ADDRESS = re.compile(r"\x01|[A-Za-z][./@\\][A-Za-z]")
_OPENING = frozenset("=:([{<'\"`@#")
_ENCLOSING = frozenset("([{<'\"`")
_ANNOUNCING = frozenset(["for", "from", "to", "by", "at", "on", "in", "of", "user"])


class Shapes(dict[str, str | None]):
    """Token -> itself where it is punctuation, None where it is a word."""

    def __missing__(self, token: str) -> str | None:
        is_word = token == WILDCARD or any(map(str.isalnum, token))
        shape = self[token] = None if is_word else token
        return shape


def words_in(shape: Skeleton) -> list[int]:
    """The positions of words, in order."""
    return [at for at, mark in enumerate(shape) if mark is None]


@lru_cache(maxsize=4_096)
def body_at(shape: Skeleton) -> int:
    """Where the statement begins, behind leading brackets that say in which context it was made."""
    depth = body = 0
    for at, mark in enumerate(shape):
        if mark is not None:
            depth += sum(map(mark.count, "[({<")) - sum(map(mark.count, "])}>"))
        if depth < 0 or (depth == 0 and mark is None):
            break
        if depth == 0:
            body = at + 1
    return body if None in shape[body:] else 0


@lru_cache(maxsize=4_096)
def first_word(shape: Skeleton) -> int:
    """The position of the first word of the statement; 0 where there is none."""
    body = body_at(shape)
    return next((at for at in range(body, len(shape)) if shape[at] is None), 0)


def constants(key: Tokens, places: Iterable[int], besides: int = -1) -> int:
    """How many words of a key are no wildcards, those at `besides` aside."""
    return sum(key[at] != WILDCARD for at in places if at != besides)


def _stands_alone(key: Tokens, shape: Skeleton, position: int) -> bool:
    """Whether no constant word follows at once: within quotes several of them are a sentence."""
    after = position + 1
    return after == len(key) or shape[after] is not None or key[after] == WILDCARD


def _is_announced(key: Tokens, shape: Skeleton, position: int) -> bool:
    """Whether a value is to be expected behind what stands before."""
    if position == body_at(shape):
        return False
    if shape[position - 1] is None:
        # What something is due to is a reason, and tells statements apart.
        reason = position > 1 and key[position - 2].lower() == "due"
        return key[position - 1].lower() in _ANNOUNCING and not reason
    mark = key[position - 1][-1:]
    if mark in _OPENING:
        return mark not in _ENCLOSING or _stands_alone(key, shape, position)
    return position > 1 and key[position - 2].lower() in _ANNOUNCING


def _needed(key: Tokens, shape: Skeleton, position: int, values: set[str]) -> int:
    """How many different values make a position vary; a mask among them counts as one more."""
    body = body_at(shape)
    places = [at for at in words_in(shape) if at >= body]
    telling = constants(key, places, position)
    telling += (len(key) - body - len(places)) // MARKS_PER_WORD
    announced = _is_announced(key, shape, position)
    first = position == places[0] and not announced
    looks = _ADDRESS if first else _NAME
    named = [value for value in nsmallest(MAX_JUDGED, values) if looks.search(value)]
    if not telling:
        return len(values) + PAIR
    if first:
        return FEW if len(named) >= FEW else MANY
    if WILDCARD in values and (telling >= TELLING_MASK or len(named) == len(values)):
        return PAIR
    if announced:
        return PAIR if telling >= TELLING else FEW
    if len(named) >= FEW or telling >= LONG:
        return FEW
    return SEVERAL


def varies(key: Tokens, shape: Skeleton, position: int, values: set[str]) -> bool:
    """Whether `values` at a position of lines that are otherwise like `key` are a parameter."""
    weight = len(values) + (WILDCARD in values)
    return len(values) >= PAIR and weight >= _needed(key, shape, position, values)
