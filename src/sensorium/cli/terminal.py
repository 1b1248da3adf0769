"""A terminal's colours and width, without the library that draws tables."""

import os
import shutil
import sys

STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold red": "1;31",
}
OF_SEVERITY = {
    "critical": "bold red",
    "error": "red",
    "warning": "yellow",
    "notice": "cyan",
    "debug": "dim",
}
"""How a row about something of that severity looks."""


def wanted() -> bool:
    """Whether standard output shows colours: a terminal, and nobody said no to them."""
    named = os.environ.get("TERM", "")
    return sys.stdout.isatty() and named != "dumb" and not os.environ.get("NO_COLOR")


def paint(text: str, style: str) -> str:
    """The text in that style where colours are wanted."""
    code = STYLES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if code and text and wanted() else text


def clipped(text: str, beside: int, lines: int = 1) -> str:
    """The text, cut to what so many lines hold where so many columns stand beside them."""
    room = max(40, shutil.get_terminal_size().columns - beside) * lines
    return text if len(text) <= room else f"{text[: room - 1]}…"
