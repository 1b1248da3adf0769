"""From kinds of lines to patterns with a text and an id: the part that every operation shares."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from sensorium.capabilities.logs.evidence import Tokens
from sensorium.capabilities.logs.masking import (
    WILDCARD,
    fill,
    generalise,
    seamed,
    spelled,
    tokens_of,
)
from sensorium.capabilities.logs.merging import merge
from sensorium.capabilities.logs.pacing import Check, paced, release
from sensorium.capabilities.logs.redaction import hide_named

SHOWN = "<*>"
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
    text = spelled(key)
    hidden = hide_named(text, WILDCARD)
    return generalise(key if hidden == text else seamed(hidden))


def find_patterns(keys: Iterable[str], check: Check) -> dict[str, Pattern]:
    """Distinct keys (see `masking.Masker`) -> the pattern of each.

    The answer does not depend on the order of the keys. `check` may raise to stop the work.
    """
    tokens_by_key: dict[str, Tokens] = {}
    spelling: dict[Tokens, str] = {}
    for key in paced(keys, check):
        general = generalise(key)
        tokens = tokens_by_key[key] = tokens_of(general)
        known = spelling.get(tokens)
        spelling[tokens] = general if known is None else min(general, known)
    patterns = patterns_of(spelling, check)
    found = {key: patterns[tokens] for key, tokens in paced(tokens_by_key.items(), check)}
    release(check, spelling, patterns, tokens_by_key)
    return found


def patterns_of(spelling: Mapping[Tokens, str], check: Check) -> dict[Tokens, Pattern]:
    """Distinct signatures, each with a text that it is made of -> the pattern of each."""
    merged = merge(spelling, check)
    # Of several spellings (blanks differ) the first by the alphabet stands for all.
    texts: dict[Tokens, str] = {}
    for tokens, pattern in paced(merged.items(), check):
        text = spelling[tokens] if tokens == pattern else fill(spelling[tokens], pattern)
        texts[pattern] = min(text, texts.get(pattern, text))
    shown: dict[Tokens, str] = {}
    without: dict[Tokens, Tokens] = {}
    for pattern, text in paced(texts.items(), check):
        tokens, text = _without_credentials(pattern, text)
        shown[tokens] = min(text, shown.get(tokens, text))
        without[pattern] = tokens
    found = {tokens: _pattern(tokens, text) for tokens, text in paced(shown.items(), check)}
    result = {tokens: found[without[pattern]] for tokens, pattern in paced(merged.items(), check)}
    release(check, merged, texts, shown, without, found)
    return result


def _without_credentials(pattern: Tokens, text: str) -> tuple[Tokens, str]:
    """A pattern and its text with credentials as wildcards."""
    text = spelled(text)
    hidden = hide_named(text, WILDCARD)
    return (pattern, text) if hidden == text else (tokens_of(seamed(hidden)), hidden)


def _pattern(tokens: Tokens, text: str) -> Pattern:
    return Pattern(pattern_id(tokens), text.replace(WILDCARD, SHOWN)[:MAX_TEMPLATE_CHARS])
