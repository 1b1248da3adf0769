"""What a watch remembers of the lines it saw: bounded, and the same in whatever order they came.

Signatures (token sequences of masked lines) are kept in families. Each decision to keep less is a
function of the *set* of signatures seen so far that never turns back as the set grows, so the end
does not depend on the order:

- A family with more than its limit of distinct signatures is *folded*: per position the distinct
  values are kept, up to a limit, and a position with more values than a bound `c` becomes a
  wildcard. `c` is the largest step for which the product of the values per position, each counted
  up to `c + 1`, stays within the family's limit; that product never falls.
- When the families together hold too much, families are merged by a coarser key: length and the
  first two words, then length and the first word, then length alone, with smaller limits.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sensorium.capabilities.logs.evidence import Tokens
from sensorium.capabilities.logs.masking import WILDCARD, fill
from sensorium.capabilities.logs.watch_schema import (
    MAX_SIGNATURE_CHARS,
    MAX_SIGNATURES,
    MAX_TOKENS,
    FamilyState,
    SignatureState,
)

FamilyKey = tuple[int | str, ...]

FAMILY_LIMITS = (MAX_SIGNATURES // 4, MAX_SIGNATURES // 8, MAX_SIGNATURES // MAX_TOKENS)
"""Distinct signatures of a family at each level; at the last, all families fit together."""

STEPS = (64, 32, 16, 8, 4, 2, 1)
"""The bounds `c` on the values of a position, the finest first."""

COARSEST = len(FAMILY_LIMITS) - 1


@dataclass(slots=True)
class Seen:
    """What is known of one signature."""

    text: str = ""
    count: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    example: str = ""
    known: bool = False

    def absorb(self, other: "Seen") -> None:
        """Add what is known of another signature that is now the same."""
        self.text = earliest(self.text, other.text)
        self.count += other.count
        self.levels.update(other.levels)
        self.example = earliest(self.example, other.example)
        self.known = self.known or other.known


def earliest(first: str, second: str) -> str:
    """The lesser of two texts, which for lines with time stamps is the earlier; '' is none."""
    return min(first, second) if first and second else first or second


def _seen(state: SignatureState) -> Seen:
    return Seen(
        text=state.text,
        count=state.count,
        levels=Counter(state.levels),
        example=state.example,
        known=state.known,
    )


def bounded(tokens: Tokens) -> Tokens:
    """A signature of bounded size: what lies behind the limit is one wildcard."""
    room = MAX_SIGNATURE_CHARS
    for place, token in enumerate(tokens):
        room -= len(token) + 1
        if room < 0 or (place == MAX_TOKENS - 1 and len(tokens) > MAX_TOKENS):
            return (*tokens[:place], WILDCARD)
    return tokens


class Family:
    """Signatures of one length, each for itself or folded."""

    def __init__(self) -> None:
        self.seen: dict[Tokens, Seen] = {}
        self.columns: list[set[str] | None] | None = None
        self._step = STEPS[0]

    def add(self, tokens: Tokens, what: Seen, limit: int) -> Tokens:
        """Take in what was seen of a signature, folding where there are more than `limit`.

        Returns the signature that it counts for.
        """
        if self.columns is None:
            self.put(tokens, what)
            if len(self.seen) <= limit:
                return tokens
            self._fold(limit)
            return self._project(tokens)
        if self._widen(tokens):
            self._refold(limit)
        return self._put_projected(tokens, what)

    def adopt(self, columns: list[set[str] | None], limit: int) -> None:
        """Become folded, with `columns` among the values that were seen."""
        if self.columns is None:
            self._fold(limit)
        for place, values in enumerate(columns):
            self._join(place, values)
        self._refold(limit)

    def size(self, limit: int) -> int:
        """Distinct signatures, counted up to the limit."""
        return len(self.seen) if self.columns is None else limit

    def put(self, tokens: Tokens, what: Seen) -> None:
        """Take in what was seen of a signature as it is."""
        found = self.seen.get(tokens)
        if found is None:
            self.seen[tokens] = what
        else:
            found.absorb(what)

    def _put_projected(self, tokens: Tokens, what: Seen) -> Tokens:
        projected = self._project(tokens)
        if projected != tokens:
            what.text = fill(what.text, projected)
        self.put(projected, what)
        return projected

    def _fold(self, limit: int) -> None:
        self.columns = [set() for _ in next(iter(self.seen), ())]
        for tokens in self.seen:
            self._widen(tokens)
        self._refold(limit)

    def _join(self, place: int, values: set[str] | None) -> None:
        column = self.columns[place] if self.columns is not None else None
        if column is None or self.columns is None:
            return
        if values is None or len(column | values) > STEPS[0]:
            self.columns[place] = None
        else:
            column |= values

    def _widen(self, tokens: Tokens) -> bool:
        """Note a signature's values; whether any was new."""
        new = False
        for place, (column, token) in enumerate(zip(self.columns or (), tokens, strict=True)):
            if column is not None and token not in column and token != WILDCARD:
                self._join(place, {token})
                new = True
        return new

    def _refold(self, limit: int) -> None:
        sizes = [STEPS[0] + 1 if column is None else len(column) for column in self.columns or ()]
        for step in STEPS:
            product = 1
            for size in sizes:
                product *= min(size, step + 1) or 1
            if product <= limit or step == STEPS[-1]:
                self._step = min(self._step, step)
                break
        before, self.seen = self.seen, {}
        for tokens, what in before.items():
            self._put_projected(tokens, what)

    def _project(self, tokens: Tokens) -> Tokens:
        return tuple(
            WILDCARD if column is None or len(column) > self._step else token
            for column, token in zip(self.columns or (), tokens, strict=True)
        )


class SignatureStore:
    """All families; `len` is the number of signatures kept."""

    def __init__(self) -> None:
        self.level = 0
        self._families: dict[FamilyKey, Family] = {}
        self._size = 0

    def __len__(self) -> int:
        return sum(len(family.seen) for family in self._families.values())

    def items(self) -> Iterator[tuple[Tokens, Seen]]:
        """The signatures kept, and what is known of each."""
        for family in self._families.values():
            yield from family.seen.items()

    @property
    def coarsened(self) -> bool:
        """Whether anything is kept less exactly than it came."""
        return self.level > 0 or any(
            family.columns is not None for family in self._families.values()
        )

    def add(self, tokens: Tokens, what: Seen) -> Tokens:
        """Take in what was seen of a signature (see `bounded`); returns what it counts for."""
        limit = FAMILY_LIMITS[self.level]
        family = self._family(tokens)
        before = family.size(limit)
        kept = family.add(tokens, what, limit)
        self._size += family.size(limit) - before
        while self._size > MAX_SIGNATURES and self.level < COARSEST:
            self._coarsen()
        return kept

    def export(self) -> list[FamilyState]:
        """The families as plain data, in an order that depends on their content alone."""
        states = [
            FamilyState(
                signatures=[
                    SignatureState(
                        tokens=list(tokens),
                        text=what.text,
                        count=what.count,
                        levels=dict(sorted(what.levels.items())),
                        example=what.example,
                        known=what.known,
                    )
                    for tokens, what in sorted(family.seen.items())
                ],
                columns=None
                if family.columns is None
                else [None if column is None else sorted(column) for column in family.columns],
            )
            for family in self._families.values()
        ]
        return sorted(states, key=lambda state: state.signatures[0].tokens)

    @classmethod
    def restore(cls, level: int, states: Iterable[FamilyState]) -> "SignatureStore":
        """The store whose `export` the states are.

        Raises:
            ValueError: they cannot be.
        """
        store = cls()
        store.level = level
        limit = FAMILY_LIMITS[level]
        for state in states:
            lengths = {len(signature.tokens) for signature in state.signatures}
            if len(lengths) != 1 or (
                state.columns is not None and len(state.columns) not in lengths
            ):
                raise ValueError("signatures and columns of a family must have one length")
            family = store._family(tuple(state.signatures[0].tokens))
            for signature in state.signatures:
                tokens = tuple(signature.tokens)
                if store._key(tokens) != store._key(tuple(state.signatures[0].tokens)):
                    raise ValueError("signatures of a family must begin alike")
                family.put(tokens, _seen(signature))
            if state.columns is not None:
                family.adopt([None if c is None else set(c) for c in state.columns], limit)
            store._size += family.size(limit)
        if store._size > MAX_SIGNATURES + limit * (level == COARSEST):
            raise ValueError("too many signatures")
        return store

    def _key(self, tokens: Tokens) -> FamilyKey:
        return (len(tokens), *tokens[: COARSEST - self.level])

    def _family(self, tokens: Tokens) -> Family:
        key = self._key(tokens)
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = Family()
        return family

    def _coarsen(self) -> None:
        families = list(self._families.values())
        self._families = {}
        self.level += 1
        limit = FAMILY_LIMITS[self.level]
        for family in families:
            joined = self._family(next(iter(family.seen)))
            if family.columns is not None:
                # Columns first: what is folded must not be taken for distinct signatures.
                if not joined.seen:
                    joined.seen, joined.columns = family.seen, family.columns
                    joined.adopt([], limit)
                    continue
                joined.adopt(family.columns, limit)
            for tokens, what in family.seen.items():
                joined.add(tokens, what, limit)
        self._size = sum(family.size(limit) for family in self._families.values())
