"""What is said of an option that there is none of, where the command-line library is left out."""

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(name: str, known: Iterable[str]) -> str:
    """That there is no such option, and which was perhaps meant; both without hyphens."""
    near = get_close_matches(name, list(known), n=1)
    said = f"Unknown option: {_written(name)}."
    return f"{said} Did you mean {_written(near[0])}?" if near else said


def _written(name: str) -> str:
    return "--" + name.replace("_", "-")
