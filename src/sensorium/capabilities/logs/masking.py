"""Which parts of a log line vary by nature: numbers, ids, addresses, paths, quantities.

One set of shapes serves every system; no shape names a product's vocabulary. The work is
ordered by how often text repeats: digits are flattened on whole blocks of lines, words are
masked once per distinct word, and patterns that span words run once per distinct line.
"""

import re
from collections.abc import Sequence

WILDCARD = "\x01"
"""Stands for a varying part inside keys; input cannot hold it: control bytes become blanks."""

MAX_LINE_CHARS = 4_096
"""What follows is left out of keys: patterns lie at the front of a line, payloads at its end."""

MAX_WORD_CHARS = 80
"""A longer run without blanks or brackets is a payload, whatever it is made of."""

SHORTEST_HEX = 8
"""So many letters a-f in a row are a number, not a word."""

LONGEST_NAME = 14
"""A longer run of letters and digits is an id or a credential, not a numbered name."""

WORD_CACHE_SIZE = 100_000
MAX_CACHED_CHARS = 2 * MAX_WORD_CHARS

_FLATTEN = bytes(
    48 if 48 <= byte <= 57 else 32 if (byte < 32 and byte != 10) or byte == 127 else byte
    for byte in range(256)
)

_DELIMITERS = re.compile(r"""([()\[\]{}<>"'`=,;|]+)""")
_EDGES = "-+*#.:!?&~_@$%^\\"
_NUMERIC = "0.:,/-_+"

_URL = re.compile(r"""[A-Za-z][A-Za-z0+.-]{1,20}://[^\s"'`<>()\[\]{},;|]*""")
_SLASHED = re.compile(
    r"""
      [A-Za-z]:\\.* | \\\\.+                           # a drive's or a share's path
    | ~?/[^/].*                                        # an absolute path
    | [^/]+/[^/]*/.*                                   # a relative path of two steps or more
    | [^/:]+/[^/:]*[A-Za-z0_-]\.[A-Za-z]{1,5}          # a file below a folder
    """,
    re.VERBOSE | re.DOTALL,
)
_MAIL = re.compile(r"[^@/:]+@[^@/:.]+(?:\.[^@/:.]+)+")
_NUMBERED = re.compile(
    r"""
      [A-Za-z_][\w-]*(?:\.[\w-]+)+:0                   # a host with its port
    | [\w-]+(?:\.[\w-]+){2,}                           # a dotted name with a number in it
    | [0A-Fa-f]+(?:[-:][0A-Fa-f]*){2,}                 # a UUID, a hardware address, IPv6
    | 0[xX][0A-Fa-f]+                                  # a hexadecimal number
    """,
    re.VERBOSE,
)
_LETTERS_HEX = re.compile(r"\A(?:[a-f]+|[A-F]+)\Z")
_ALNUM = re.compile(r"[A-Za-z0]*0[A-Za-z0]*")
_HEX = re.compile(r"(?:[0a-f]+|[0A-F]+)\Z")
_ONE_RUN = re.compile(r"([A-Za-z]+)0([A-Za-z]*)\Z")
_JOINED = re.compile(rf"(?:(?<![A-Za-z])[-+])?{WILDCARD}(?:[-+._:/\\@*^~]*{WILDCARD})*")

_UNIT = (
    r"(?:[kKMGTP]?i?[Bb](?:ytes?|its?|ps)?(?:/s)?|[Bb]ytes?|[munμ]?s|m?secs?|(?:milli|micro|nano)?"
    r"seconds?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|[kMG]?[Hh]z|percent)(?![\w])|%"
)
_MONTH_MARK = "\x02"
_MONTHS = frozenset(
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
)
_DATE = re.compile(
    rf"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?"
    rf"(?:{_MONTH_MARK}[A-Z][a-z]+ {WILDCARD}|{WILDCARD} {_MONTH_MARK}[A-Z][a-z]+)"
)
_EMPTIES = [(f" {pair}", f" {pair[0]}{WILDCARD}{pair[1]}") for pair in ("()", "[]", '""', "''")]
_QUANTITY = re.compile(
    rf"(?:<{WILDCARD}|>{WILDCARD}|~{WILDCARD}|{WILDCARD}) ?(?:{_UNIT})"
    rf"(?: ?\({WILDCARD} ?(?:{_UNIT})\))?"
)
_LIST = re.compile(rf"{WILDCARD}(?:[ ,;]+{WILDCARD})+")


def flatten(block: str) -> str:
    """The text with every run of digits reduced to one `0` and control characters to blanks.

    Newlines stay. A lone surrogate becomes a question mark.
    """
    raw = block.encode("utf-8", "replace").translate(_FLATTEN)
    for run in (b"0000", b"00", b"00"):
        raw = raw.replace(run, b"0")
    while b"00" in raw:
        raw = raw.replace(b"00", b"0")
    return raw.decode("utf-8")


def _mask_run(match: re.Match[str]) -> str:
    """A run of letters and digits: an id becomes a wildcard, a numbered name keeps its letters."""
    text = match[0]
    if _HEX.match(text) or len(text) >= LONGEST_NAME:
        return WILDCARD
    numbered = _ONE_RUN.match(text)
    return f"{numbered[1]}{WILDCARD}{numbered[2]}" if numbered else WILDCARD


def _is_address(core: str) -> bool:
    """Whether it is a path or a mail address."""
    if "/" in core or "\\" in core:
        return _SLASHED.fullmatch(core) is not None
    return "@" in core and _MAIL.fullmatch(core) is not None


def _mask_core(core: str) -> str:
    if "0" not in core:
        if core.isalpha():
            is_hex = len(core) >= SHORTEST_HEX and _LETTERS_HEX.match(core) is not None
            return WILDCARD if is_hex else core
        return WILDCARD if _is_address(core) else core
    if not core.strip(_NUMERIC) or _NUMBERED.fullmatch(core) or _is_address(core):
        return WILDCARD
    masked = _JOINED.sub(WILDCARD, _ALNUM.sub(_mask_run, core))
    # Two varying parts in one name make it an identifier as a whole.
    return WILDCARD if masked.count(WILDCARD) > 1 else masked


def _mask_piece(piece: str) -> str:
    if len(piece) > MAX_WORD_CHARS:
        return WILDCARD
    core = piece.strip(_EDGES)
    masked = _mask_core(core) if core else ""
    if len(core) == len(piece):
        return masked
    lead, _, trail = piece.partition(core) if core else (piece, "", "")
    if masked[:1] == WILDCARD:
        lead = lead.rstrip("+-")
    return f"{lead}{masked}{trail}"


def mask_word(word: str) -> str:
    """One blank-free word of flattened text with its varying parts replaced by `WILDCARD`."""
    if word in _MONTHS:
        return _MONTH_MARK + word
    if "://" in word:
        word = _URL.sub(WILDCARD, word)
    pieces = _DELIMITERS.split(word)
    if len(pieces) == 1:
        return _mask_piece(word)
    for index in range(0, len(pieces), 2):
        if pieces[index]:
            pieces[index] = _mask_piece(pieces[index])
    return "".join(pieces)


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


def generalise(key: str) -> str:
    """A key with dates, quantities (number, unit, restatement) and lists as one wildcard each.

    Empty brackets and quotes that stand alone hold a wildcard too: a value was missing there.
    """
    for empty, filled in _EMPTIES:
        if empty in key:
            key = key.replace(empty, filled)
    if _MONTH_MARK in key:
        key = _DATE.sub(WILDCARD, key).replace(_MONTH_MARK, "")
    if WILDCARD not in key:
        return key
    return _LIST.sub(WILDCARD, _QUANTITY.sub(WILDCARD, key))
