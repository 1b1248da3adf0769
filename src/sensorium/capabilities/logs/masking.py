"""Which parts of a log line vary by nature: numbers, ids, addresses, paths, quantities, values.

One set of shapes serves every system; no shape names a product's vocabulary. The work is
ordered by how often text repeats: digits are flattened on whole blocks of lines, words are
masked once per distinct word, and patterns that span words run once per distinct line.

A key is a line's masked words with blanks between them. Within a word, `SEAM` stands between its
tokens (words proper, runs of punctuation), so that a key falls into tokens by plain splitting.
"""

import re
from collections.abc import Sequence

from sensorium.core.loading import load

WILDCARD = "\x01"
"""Stands for a varying part inside keys; input cannot hold it: control bytes become blanks."""

SEAM = "\x02"
"""Stands between the tokens of one word inside keys."""

MAX_LINE_CHARS = 4_096
"""What follows is left out of keys: patterns lie at the front of a line, payloads at its end."""

MAX_WORD_CHARS = 80
"""A longer run without blanks or brackets is a payload, whatever it is made of."""

SHORTEST_HEX = 8
"""So many letters a-f in a row are a number, not a word."""

LARGE = 50_000
"""Text of so many bytes is worth the time that loading numpy takes once."""

WORD_CACHE_SIZE = 100_000
MAX_CACHED_CHARS = 2 * MAX_WORD_CHARS

_FLATTEN = bytes(
    48 if 48 <= byte <= 57 else 32 if (byte < 32 and byte != 10) or byte == 127 else byte
    for byte in range(256)
)

_DELIMITERS = re.compile(r"""((?:[()\[\]{}<>"`=,;|]|(?<![^\W_])'|'(?![^\W_]))+)""")
_ANY_MARK = re.compile(r"""[()\[\]{}<>"'`=,;|]""")
_ENDS = ".:!?"
_EDGES = "-+*#.:!?&~_@$%^\\/"

_URL = re.compile(r"""[A-Za-z][A-Za-z0+.-]{1,20}://[^\s"'`<>()\[\]{},;|]*""")
_QUERY = re.compile(r"""/[^\s"'`<>()\[\]{}?]*\?[^\s"'`<>()\[\]{}]*""")
_SLASHED = re.compile(
    r"""
      [A-Za-z]:\\.* | \\\\.+                           # a drive's or a share's path
    | ~?/.+                                            # an absolute path
    | [^/]+/[^/]*/.*                                   # a relative path of two steps or more
    | [^/:]+/[^/:]*[A-Za-z_-]\.[A-Za-z]{1,5}           # a file below a folder
    """,
    re.VERBOSE | re.DOTALL,
)
_MAIL = re.compile(r"[^@/:]+@[^@/:.]+(?:\.[^@/:.]+)+")
_LETTERS_HEX = re.compile(r"\A(?:[a-f]+|[A-F]+)\Z")
_LITERALS = frozenset(
    form
    for word in ("none", "null", "nil", "nan", "true", "false")
    for form in (word, word.capitalize(), word.upper())
)
_PLACEHOLDER = re.compile(r"<[a-z]+>|\((?i:null|none|nil)\)")
_EMPTY = {pair: f"{pair[0]}{SEAM}{WILDCARD}{SEAM}{pair[1]}" for pair in ("()", "[]", '""', "''")}
_ASSIGNED = re.compile(
    r"""(?<=[^\W_])=(?:"[^"]*"|'[^']*'|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|<[^<>]*>|(?!["'=({\[<>])[^\s,;)\]}&"']*?(?=[.:!?]*(?:[,;)\]}&"']|\Z)))"""
)

_UNIT = (
    r"(?:[kKMGTP]?i?[Bb](?:ytes?|its?|ps)?(?:/s)?|[Bb]ytes?|[munμ]?s|m?secs?|(?:milli|micro|nano)?"
    r"seconds?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|[kMG]?[Hh]z|percent)(?![\w/])|%"
)
_MONTH_MARK = "\x03"
_MONTHS = frozenset(
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
)
_DATE = re.compile(
    rf"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun){SEAM}?,? )?"
    rf"(?:{_MONTH_MARK}[A-Z][a-z]+ {WILDCARD}|{WILDCARD} {_MONTH_MARK}[A-Z][a-z]+)"
    rf"(?:{SEAM}?,? {WILDCARD}){{0,2}}"
)
_QUANTITY = re.compile(
    rf"(?:[<>~]{SEAM})?{WILDCARD}[ {SEAM}]?(?:{_UNIT})"
    rf"(?: \({SEAM}{WILDCARD}(?: (?:{_UNIT}))?{SEAM}\))?"
)
_LITERAL = re.compile(r"""(?<=.)[{\[]["'][^{}\[\]]*[}\]]""")
_LOOSE = re.compile(rf"{SEAM}+(?=[ {SEAM}]|\Z)|(?<= ){SEAM}+")
MAX_NESTING = 4
_LIST = re.compile(rf"{WILDCARD}(?:{SEAM}[,;][ {SEAM}]{WILDCARD})+")


def flatten(block: str) -> str:
    """The text with every run of digits reduced to one `0` and control characters to blanks.

    Newlines stay. A lone surrogate becomes a question mark.
    """
    raw = block.encode("utf-8", "replace").translate(_FLATTEN)
    if len(raw) >= LARGE:
        squeeze = load("sensorium.capabilities.logs.digits:squeeze")
        return squeeze(raw).decode("utf-8")  # type: ignore[no-any-return]
    while b"00" in raw:
        raw = raw.replace(b"00", b"0")
    return raw.decode("utf-8")


def _is_address(core: str) -> bool:
    """Whether it is a path or a mail address."""
    if "/" in core or "\\" in core:
        return _SLASHED.fullmatch(core) is not None
    return "@" in core and _MAIL.fullmatch(core) is not None


def _is_value(core: str) -> bool:
    """Whether letters alone are a value: a hexadecimal number, or a word for true, false, none."""
    if len(core) >= SHORTEST_HEX:
        return _LETTERS_HEX.match(core) is not None
    return core in _LITERALS


def _varies(core: str) -> bool:
    """Whether a name or word varies by nature. One digit makes all of it an identifier."""
    if "0" in core:
        return True
    return _is_value(core) if core.isalpha() else _is_address(core)


def _mask_piece(piece: str) -> str:
    if len(piece) > MAX_WORD_CHARS or piece == WILDCARD:
        return WILDCARD
    core = piece.strip(_EDGES)
    if core and (_varies(core) or (piece[0] in "/\\~" and _is_address(piece))):
        if len(core) == len(piece):
            return WILDCARD
        lead, _, trail = piece.partition(core)
        lead = lead.rstrip("+-/~\\." if "/" in lead else "+-~\\")  # ../ belongs to the path
        trail = trail.lstrip("-/\\")
        return SEAM.join(filter(None, (lead, WILDCARD, trail)))
    word = piece.rstrip(_ENDS)
    return f"{word}{SEAM}{piece[len(word) :]}" if word and len(word) < len(piece) else piece


def mask_word(word: str) -> str:
    """One blank-free word of flattened text, in tokens, its varying parts as `WILDCARD`."""
    if word.isalpha():
        return _MONTH_MARK + word if word in _MONTHS else WILDCARD if _is_value(word) else word
    if not _ANY_MARK.search(word):
        return _mask_piece(word)
    if word in _EMPTY:
        return _EMPTY[word]
    bare = word.rstrip(".:,;")
    if bare[:1] in "(<" and _PLACEHOLDER.fullmatch(bare):
        return f"{WILDCARD}{SEAM}{word[len(bare) :]}" if len(bare) < len(word) else WILDCARD
    if "/" in word and ("://" in word or "?" in word):
        word = _QUERY.sub(WILDCARD, _URL.sub(WILDCARD, word))
    if "=" in word:
        word = _ASSIGNED.sub(f"={WILDCARD}", word)
    pieces = _DELIMITERS.split(word)
    for index in range(0, len(pieces), 2):
        pieces[index] = _mask_piece(pieces[index])
    return SEAM.join(filter(None, pieces))


class Masker(dict[str, str]):
    """Word of flattened text -> masked word, remembered up to a bound."""

    def __missing__(self, word: str) -> str:
        if len(self) >= WORD_CACHE_SIZE:
            self.clear()
        masked = mask_word(word)
        if len(word) <= MAX_CACHED_CHARS:
            self[word] = masked
        return masked

    def mask_all(self, contents: Sequence[str]) -> list[str]:
        """For each content its words, masked and joined by single blanks.

        All go through together, because a loop over lines would cost more than the masking.
        """
        words = " \n ".join([content[:MAX_LINE_CHARS] for content in contents]).split(" ")
        masked = " ".join(filter(None, map(self.__getitem__, words)))
        return [key.strip(" ") for key in masked.split("\n")]


def _without_literals(key: str) -> str:
    """A key in which a dictionary or list, written out as in code behind words, is a value."""
    for _ in range(MAX_NESTING):
        key, count = _LITERAL.subn(f"{SEAM}{WILDCARD}{SEAM}", key)
        if not count:
            break
    return _LOOSE.sub("", key)


def generalise(key: str) -> str:
    """A key with dates, quantities (number, unit, restatement), lists and literals as wildcards."""
    if "'" in key or '"' in key:
        key = _without_literals(key)
    if _MONTH_MARK in key:
        key = _DATE.sub(WILDCARD, key).replace(_MONTH_MARK, "")
    if WILDCARD not in key:
        return key
    return _LIST.sub(WILDCARD, _QUANTITY.sub(WILDCARD, key))


def tokens_of(key: str) -> tuple[str, ...]:
    """A key's words and punctuation marks, in order."""
    return tuple(key.replace(SEAM, " ").split(" "))


def spelled(key: str) -> str:
    """A key as it was written, without seams."""
    return key.replace(SEAM, "")


def seamed(text: str) -> str:
    """Text that holds wildcards, as a key; what is not yet masked stays as it is."""
    return " ".join(
        SEAM.join(
            part
            for piece in _DELIMITERS.split(word)
            for part in re.split(rf"({WILDCARD}|[{_ENDS}]+\Z)", piece)
            if part
        )
        for word in text.split(" ")
    )


def fill(key: str, pattern: Sequence[str]) -> str:
    """The key as it is spelled, with the wildcards of its pattern in place."""
    words = iter(pattern)
    return re.sub(rf"[^ {SEAM}]+", lambda _: next(words, ""), key)
