"""The library `tokenizers` by itself: of a text, its tokens and nothing more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tokenizers import Encoding, Tokenizer

from sensorium.core.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Slow:
    """What another library's tokenizer has found."""

    ids: list[int]

    def __len__(self) -> int:
        return len(self.ids)


def whole(tokenizer: Any) -> Tokenizer:
    """The tokenizer, set to cut nothing off and to add nothing that fills up."""
    found: Tokenizer = tokenizer
    found.no_truncation()
    found.no_padding()
    return found


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """What the library raises as one error of ours, that `what` begins; no path is told.

    It has one kind for whatever is wrong, and a panic of it is no `Exception`.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        said = " ".join(word for word in str(error).split() if "/" not in word)
        raise InvalidInputError(f"{what}: {said[:200]}") from None


def encoded(tokenizer: Tokenizer, text: str, *, special: bool) -> Encoding:
    """A text's tokens; without their places in it, whose reckoning takes a third of the time.

    Raises:
        InvalidInputError: the tokenizer has no number for a part of it.
    """
    with refusing("the text cannot be made tokens"):
        return tokenizer.encode_batch_fast([text], add_special_tokens=special)[0]


def begun(found: Encoding | Slow, first: int | None) -> list[int]:
    """Numbers of tokens, with the one that begins every text where it is not there yet."""
    ids: list[int] = found.ids
    return ids if first is None or ids[:1] == [first] else [first, *ids]


def length(found: Encoding | Slow, first: int | None) -> int:
    """How many those would be. A list of them is made only where it tells something."""
    return len(found) if first is None else len(begun(found, first))
