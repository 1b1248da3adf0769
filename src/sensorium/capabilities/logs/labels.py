"""Names that people accept for patterns: subject, severity, label.

Each pattern is judged by its own words: every word and phrase of `themes` that it holds votes with
its weight, and the best subject wins if its votes reach a minimum. Groups of patterns are judged by
the votes of their members weighted by lines, never by the presence of a word in any one member.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

from sensorium.capabilities.logs import severities, themes
from sensorium.capabilities.logs.schema import SEVERITIES, Severity

ENOUGH_VOTES = 1.5
NO_THEME = "other"
LABEL_WORDS = 4

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z']+|[A-Z]+")
_READABLE = re.compile(r"[A-Za-z][A-Za-z'_-]*[A-Za-z]")
_SHORT = themes.words("a an and as at be by for from has in is it of on or the to with")
_SUBJECTS = {subject.name: subject for subject in themes.SUBJECTS}
_VOTES: dict[str, list[tuple[str, float]]] = {}
for _subject in themes.SUBJECTS:
    for _weight, _words in _subject.words.items():
        for _word in _words.split():
            _VOTES.setdefault(_word, []).append((_subject.name, _weight))
_PHRASES = {phrase: subject.name for subject in themes.SUBJECTS for phrase in subject.phrases}
_ANY_PHRASE = re.compile("|".join(map(re.escape, sorted(_PHRASES, key=len, reverse=True))))
_RANK: dict[Severity, int] = {severity: rank for rank, severity in enumerate(SEVERITIES)}


def words_of(template: str) -> list[str]:
    """The words of a template in lower case, with compound names taken apart."""
    return [word.lower() for word in _WORDS.findall(template)]


@lru_cache(maxsize=4_096)
def votes(template: str) -> tuple[tuple[str, float], ...]:
    """(subject, votes) of a template, the most voted first; a word counts once."""
    tally: Counter[str] = Counter()
    lowered = template.lower()
    for word in {*words_of(template), *re.findall(r"[a-z0-9]+", lowered)}:
        for subject, weight in _VOTES.get(word, ()):
            tally[subject] += weight  # type: ignore[assignment]
    for phrase in set(_ANY_PHRASE.findall(lowered)):
        tally[_PHRASES[phrase]] += 3
    return tuple(tally.most_common())


def theme_of(templates: Mapping[str, int]) -> str:
    """The subject of a group of templates, each weighted by its lines; `NO_THEME` if unclear."""
    total = sum(templates.values())
    tally: Counter[str] = Counter()
    for template, lines in templates.items():
        for subject, weight in votes(template):
            tally[subject] += weight * lines / total  # type: ignore[assignment]
    best = min(tally.items(), key=lambda item: (-item[1], item[0]), default=(NO_THEME, 0.0))
    return best[0] if best[1] >= ENOUGH_VOTES else NO_THEME


def severity_of(templates: Mapping[str, int], levels: Mapping[str, int]) -> Severity:
    """How bad lines are: what their levels say, else what their words say, each by majority.

    `templates` and `levels` give the number of lines of each; equal numbers count as the worse.
    """
    known: Counter[Severity] = Counter()
    for level, lines in levels.items():
        if level in severities.LEVELS:
            known[severities.LEVELS[level]] += lines
    if not known:
        for template, lines in templates.items():
            known[_severity_of_words(template)] += lines
    return max(known, key=lambda severity: (known[severity], _RANK[severity]), default="info")


@lru_cache(maxsize=4_096)
def _severity_of_words(template: str) -> Severity:
    lowered = template.lower()
    for harmless in severities.HARMLESS:
        lowered = lowered.replace(harmless, "")
    words = set(re.findall(r"[a-z']+", lowered)) | set(words_of(template)) - set(
        re.findall(r"[a-z']+", template.lower())
    )
    found: list[Severity] = ["info"]
    found += [severity for phrase, severity in severities.BAD_PHRASES if phrase in lowered]
    for severity, vocabulary in (
        ("critical", severities.CRITICAL),
        ("error", severities.ERROR),
        ("warning", severities.WARNING),
    ):
        if words & vocabulary:
            found.append(severity)  # type: ignore[arg-type]
    return worst(found)


def worst(severities: Iterable[Severity]) -> Severity:
    """The gravest of them."""
    return max(severities, key=_RANK.__getitem__, default="info")


def rank(severity: Severity) -> int:
    """The place of a severity among them all, the mildest being 0."""
    return _RANK[severity]


def is_trouble(severity: Severity) -> bool:
    """Whether it calls for attention."""
    return _RANK[severity] >= _RANK["warning"]


def theme_label(theme: str, severity: Severity) -> str:
    """The label of a subject at a severity, such as "Auth errors" or "Logins"."""
    subject = _SUBJECTS.get(theme)
    if subject is None:
        return "Other problems" if is_trouble(severity) else "Other"
    return subject.trouble if is_trouble(severity) else subject.calm


def label_of(template: str, theme: str, severity: Severity) -> str:
    """A label for one pattern: its subject's, or its first telling words where it has none."""
    if theme != NO_THEME:
        return theme_label(theme, severity)
    words = [word for word in _READABLE.findall(template) if word.lower() not in _SHORT]
    if not words:
        return "Blank lines" if not template else "Values only"
    text = " ".join(words[:LABEL_WORDS])
    return text[0].upper() + text[1:80]
