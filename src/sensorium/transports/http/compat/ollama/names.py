"""What Ollama's clients call models, and how long they say these stay."""

import re

from sensorium.core.errors import InvalidInputError
from sensorium.transports.http.compat.models import LATEST, SEPARATOR

HUBS = ("hf.co/", "huggingface.co/")
FOR_EVER = -1.0
MAX_S = 1e9
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_PART = r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)"
_DURATION = re.compile(rf"-?({_PART})+|-?\d+\.?\d*")


def ours(name: str) -> str:
    """A model's name here: without the hub's address, and without a tag that says nothing."""
    for hub in HUBS:
        name = name.removeprefix(hub)
    return name.removesuffix(LATEST)


def theirs(name: str) -> str:
    """Our name as a client shows it, always with a tag."""
    shown = name.replace(SEPARATOR, "/", 1)
    return shown if ":" in shown else shown + LATEST


def reference(name: str) -> str:
    """What `models.pull` takes."""
    return f"hf://{ours(name)}" if name.startswith(HUBS) else ours(name)


def seconds(keep_alive: float | str | None) -> float | None:
    """How long a model stays loaded unused: `5m`, `1h30m`, or seconds; -1 for ever.

    Raises:
        InvalidInputError: it is no such time.
    """
    if keep_alive is None or keep_alive == "":
        return None
    found = _of_text(keep_alive) if isinstance(keep_alive, str) else keep_alive
    if not found <= MAX_S:
        raise InvalidInputError("that is too long", details={"at": "keep_alive"})
    return FOR_EVER if found < 0 else found


def _of_text(text: str) -> float:
    if len(text) > 100 or not _DURATION.fullmatch(text):
        raise InvalidInputError(
            "say it as '5m', '1h30m', or a number of seconds", details={"at": "keep_alive"}
        )
    sign = -1 if text.startswith("-") else 1
    parts = re.findall(_PART, text) or [(text.lstrip("-"), "")]
    return sign * sum(float(number) * UNITS[unit] for number, unit in parts)
