"""Numbers, and lengths of time, as people and programs write them."""

import math
import re

MISSING = ("", "nan", "null", "none", "na", "n/a", "nil", "-", "?")
"""What stands for a value that is not there, in small letters."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?", re.I)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def read_number(text: str) -> float | None:
    """A number; None where it is missing or not finite.

    Raises:
        ValueError: it is neither.
    """
    if text.lower() in MISSING:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    return value if math.isfinite(value) else None


def read_duration(text: str) -> float:
    """Seconds from `90`, `90s`, `15m`, `1.5h`, `2d` or `1w`, or several of them (`1h30m`).

    Raises:
        ValueError: it is nothing of the kind.
    """
    compact = text.replace(" ", "")
    pieces = list(_DURATION.finditer(compact))
    if not compact or "".join(piece.group() for piece in pieces) != compact:
        raise ValueError(f"{text!r} is not a length of time: write 90s, 15m, 1.5h, 2d or 1w")
    return sum(float(piece[1]) * _SECONDS[(piece[2] or "s").lower()] for piece in pieces)


def show_duration(seconds: float) -> str:
    """A length of time in its two largest units: `2h 5m`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    rest, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def show_bytes(count: float) -> str:
    """A number of bytes in the unit that leaves the fewest digits: `3.1 MiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
