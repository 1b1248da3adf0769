"""From kinds of lines to patterns with a text and an id: the part that every operation shares."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from sensorium.capabilities.logs.masking import WILDCARD, generalise
from sensorium.capabilities.logs.merging import Tokens, fill, merge, tokenise
from sensorium.capabilities.logs.redaction import hide_named

SHOWN = "<*>"
CHECK_EVERY = 500
MAX_TEMPLATE_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern: its stable id and its text, in which `<*>` marks what varies."""

    id: str
    template: str


def pattern_id(tokens: Tokens) -> str:
    """16 hexadecimal digits that follow from the pattern's words alone."""
    text = " ".join(tokens).replace(WILDCARD, SHOWN)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def canonical(key: str) -> str:
    """A key without credentials, and with all that spans words generalised."""
    return generalise(hide_named(key, WILDCARD))


def find_patterns(keys: Iterable[str], check: Callable[[], None]) -> dict[str, Pattern]:
    """Distinct keys (see `masking.Masker`) -> the pattern of each.

    The answer does not depend on the order of the keys. `check` may raise to stop the work.
    """
    tokens_of: dict[str, Tokens] = {}
    spelling: dict[Tokens, str] = {}
    for index, key in enumerate(keys):
        if index % CHECK_EVERY == 0:
            check()
        general = generalise(key)
        tokens = tokens_of[key] = tokenise(general)
        known = spelling.get(tokens)
        spelling[tokens] = general if known is None else min(general, known)
    patterns = patterns_of(spelling, check)
    result: dict[str, Pattern] = {}
    for index, (key, tokens) in enumerate(tokens_of.items()):
        if index % CHECK_EVERY == 0:
            check()
        result[key] = patterns[tokens]
    return result


def patterns_of(spelling: Mapping[Tokens, str], check: Callable[[], None]) -> dict[Tokens, Pattern]:
    """Distinct signatures, each with a text that it is made of -> the pattern of each."""
    merged = merge(spelling, check)
    # Of several spellings (blanks differ) the first by the alphabet stands for all.
    texts: dict[Tokens, str] = {}
    for index, (tokens, pattern) in enumerate(merged.items()):
        if index % CHECK_EVERY == 0:
            check()
        text = spelling[tokens]
        texts[pattern] = min(text, texts.get(pattern, text))
    hidden: dict[Tokens, tuple[Tokens, str]] = {}
    shown: dict[Tokens, str] = {}
    for index, (pattern, text) in enumerate(texts.items()):
        if index % CHECK_EVERY == 0:
            check()
        tokens, text = hidden[pattern] = _without_credentials(pattern, fill(text, pattern))
        shown[tokens] = min(text, shown.get(tokens, text))
    found: dict[Tokens, Pattern] = {}
    for index, (tokens, text) in enumerate(shown.items()):
        if index % CHECK_EVERY == 0:
            check()
        found[tokens] = _pattern(tokens, text)
    result: dict[Tokens, Pattern] = {}
    for index, (tokens, pattern) in enumerate(merged.items()):
        if index % CHECK_EVERY == 0:
            check()
        result[tokens] = found[hidden[pattern][0]]
    return result


def _without_credentials(pattern: Tokens, text: str) -> tuple[Tokens, str]:
    """A pattern and its text with credentials as wildcards."""
    hidden = hide_named(text, WILDCARD)
    return (pattern, text) if hidden == text else (tokenise(hidden), hidden)


def _pattern(tokens: Tokens, text: str) -> Pattern:
    return Pattern(pattern_id(tokens), text.replace(WILDCARD, SHOWN)[:MAX_TEMPLATE_CHARS])
