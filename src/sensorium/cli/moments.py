"""Points in time as files write them, and as people read them."""

import math
from datetime import UTC, datetime

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From so large on an epoch counts in nano-, micro- or milliseconds, not seconds."""


def read_time(text: str) -> float:
    """Epoch seconds from an epoch (s, ms, us or ns) or ISO 8601; without a zone it is UTC.

    Raises:
        ValueError: it is neither.
    """
    try:
        number = float(text)
    except ValueError:
        return _from_iso(text)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a time")
    for bound, per_second in _UNITS:
        if abs(number) >= bound:
            return number / per_second
    return number


def _from_iso(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text[:40]!r} is not a time: it takes epoch seconds or milliseconds, or ISO 8601"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def show_time(seconds: float) -> str:
    """A time in UTC, to the second or finer where it is finer."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{seconds:.0f}"
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(" ", precision) + "Z"


def show_tick(seconds: float, span_s: float) -> str:
    """A time for an axis that spans so many seconds: no more than tells ticks apart."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{seconds:.0f}"
    if span_s < 600:
        return f"{moment:%H:%M:%S}"
    if span_s < 86_400:
        return f"{moment:%H:%M}"
    return f"{moment:%b %d %H:%M}" if span_s < 20 * 86_400 else f"{moment:%Y-%m-%d}"
