"""Credentials and personal data in text that people will see.

The shapes are those of widely used formats: headers and URLs with credentials, `password=`-like
assignments, JSON web tokens, PEM private keys, well-known key prefixes, mail addresses, and card
numbers that pass the Luhn check (ISO/IEC 7812-1). Masking is best effort: a secret that looks
like a plain word cannot be told from one.
"""

import re

SECRET, EMAIL, CARD = "<secret>", "<email>", "<card>"
MAX_EXAMPLE_CHARS = 1_000

_PEM = re.compile(
    r"-----BEGIN[A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END[A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_IN_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@]{0,80}:)[^\s/@]{1,200}(?=@)")
_SCHEME = re.compile(
    r"\b((?i:bearer|basic|digest|token|apikey)\s+)"
    r"(?=[\w.~+/=-]*(?:\d|[A-Z]\S*[a-z]|[a-z]\S*[A-Z]|=))[\w.~+/=-]{8,}"
)
_VALUE = re.compile(
    r"""([=:]\s?["']?)(?!(?:null|none|true|false|[Bb]earer|[Bb]asic)\b|[\s*<])[^\s"'&,;)\]}]{1,400}"""
)
_NAMED = (
    *("pass", "password", "passwd", "passphrase", "pwd", "secret", "token"),
    *(
        f"{kind}{join}key"
        for kind in ("api", "access", "secret", "private")
        for join in ("", "_", "-")
    ),
    *("auth", "authorization", "credential", "credentials", "cookie", "signature"),
    *("sessionid", "session_id", "session-id"),
)
"""How the name of a credential ends."""
LONGEST_NAME = 24
_NAMES = (
    "token",
    "apikey",
    "pass",
    "pwd",
    "secret",
    "key",
    "auth",
    "cred",
    "session",
    "cookie",
    "signature",
)
_SCHEMES = ("bearer ", "basic ", "digest ", "token ", "apikey ")
_KEY = re.compile(
    r"\beyJ[\w-]{5,2000}\.[\w-]{5,4000}(?:\.[\w-]{0,2000})?"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|[spr]k[-_]|xox[abprs]-|AKIA|ASIA|AIza|ya29\.|npm_|pypi-"
    r"|hf_|SG\.)(?=[\w.-]*\d)[\w.-]{16,200}"
    r"|(?<![\w+/=])(?=[a-z+/]*[0-9A-Z])(?=[0-9a-z+/]*[A-Z])(?=[0-9A-Z+/]*[a-z])"
    r"[A-Za-z0-9+/]{40,}={0,2}"
)
SHORTEST_KEY = 20
_WORD = re.compile(r"\S+")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_CARD = re.compile(r"\d(?:[ -]?\d){12,18}(?![\d.])")
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"0" * 9)
_LIKE_A_CARD = b"0" * 13
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def passes_luhn(digits: str) -> bool:
    """Whether the digits' check digit is right by the Luhn formula."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _holds_one(text: str, words: tuple[str, ...]) -> bool:
    # A plain loop: this runs twice a line, and a generator would take twice the time.
    for word in words:  # noqa: SIM110
        if word in text:
            return True
    return False


def hide_named(text: str, replacement: str) -> str:
    """The text with the values of `password=`-like names and `Bearer`-like schemes replaced."""

    def hide(match: re.Match[str]) -> str:
        before = match.string[max(0, match.start() - LONGEST_NAME) : match.start()]
        named = before.rstrip("\"' ").lower().endswith(_NAMED)
        return f"{match[1]}{replacement}" if named else match[0]

    lowered = text.lower()
    # Most lines hold none of the words, and looking for words is far cheaper than matching.
    if _holds_one(lowered, _NAMES):
        text = _VALUE.sub(hide, text)
    if _holds_one(lowered, _SCHEMES):
        text = _SCHEME.sub(rf"\1{replacement}", text)
    return text


def _hide_in_word(match: re.Match[str]) -> str:
    word = match[0]
    if len(word) >= SHORTEST_KEY:
        word = _KEY.sub(SECRET, word)
    return _EMAIL.sub(EMAIL, word) if "@" in word else word


def _hide_card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    if match.string[match.start() - 1 : match.start()] in (".", "-"):
        return match[0]
    issued = digits[0] in "23456" and len(set(digits)) > 1
    return CARD if issued and passes_luhn(digits) else match[0]


def redact(text: str) -> str:
    """The text with credentials, mail addresses and card numbers replaced by what they were."""
    if "-----BEGIN" in text:
        text = _PEM.sub(SECRET, text)
    if "://" in text:
        text = _IN_URL.sub(rf"\1{SECRET}", text)
    text = hide_named(text, SECRET)
    # Only words that may hold one are looked through: the patterns are far dearer than splitting.
    if "@" in text or max(map(len, text.split()), default=0) >= SHORTEST_KEY:
        text = _WORD.sub(_hide_in_word, text)
    if _LIKE_A_CARD in text.encode("utf-8", "replace").translate(_DIGITS_ALIKE, b" -"):
        text = _CARD.sub(_hide_card, text)
    return text


def presentable(line: str, *, mask_secrets: bool) -> str:
    """An example line, at most `MAX_EXAMPLE_CHARS` long, without control characters.

    Characters that no encoding can carry (lone surrogates) become question marks.
    """
    # A secret cut in two would slip through, so some text behind the cut is looked at too.
    text = line[: 4 * MAX_EXAMPLE_CHARS].encode("utf-8", "replace").decode("utf-8")
    text = _CONTROL.sub(" ", text)
    if mask_secrets:
        text = redact(text)
    return text if len(text) <= MAX_EXAMPLE_CHARS else text[: MAX_EXAMPLE_CHARS - 1] + "…"
