"""What somebody types: with editing, a history that is kept, and texts of several lines."""

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType

readline: ModuleType | None
try:
    readline = import_module("readline")
except ImportError:  # Windows has none; its terminal edits lines by itself
    readline = None

FIRST, NEXT = ">>> ", "... "
BLOCK = '"""'
KEPT = 1000
"""Lines of history."""


class Questions:
    """Reads from the terminal; the history lies in a file that nobody else may read.

    A history that cannot be read or written is gone without a word: it is a comfort.
    """

    def __init__(self, history: Path) -> None:
        self._history = history
        self._before = 0
        if readline is None:
            return
        readline.set_history_length(KEPT)
        readline.set_auto_history(True)
        readline.parse_and_bind("set enable-bracketed-paste on")  # pasted lines are one text
        with suppress(OSError):
            readline.read_history_file(history)
        self._before = readline.get_current_history_length()

    def next(self) -> str:
        """The next text.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C; what was typed of the text is forgotten.
        """
        line = input(FIRST)
        if line.lstrip().startswith(BLOCK):
            return _block(line.lstrip().removeprefix(BLOCK))
        lines = [line]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(input(NEXT))
        return "\n".join(lines)

    def typed(self) -> str:
        """What stood in the line that Ctrl-C took away."""
        return str(readline.get_line_buffer()) if readline is not None else ""

    def complete(self, words: Sequence[str]) -> None:
        """Have the tab key complete lines that begin like one of these."""
        if readline is None:
            return

        def match(text: str, state: int) -> str | None:
            found = [word for word in words if text.startswith("/") and word.startswith(text)]
            return found[state] if state < len(found) else None

        readline.set_completer(match)
        readline.set_completer_delims("")
        readline.parse_and_bind("tab: complete")

    def close(self) -> None:
        """Add to the history file what was typed."""
        if readline is None:
            return
        new = readline.get_current_history_length() - self._before
        with suppress(OSError):
            self._history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            readline.append_history_file(max(0, new), self._history)
            self._history.chmod(0o600)


def _block(first: str) -> str:
    """The lines up to one that ends with the mark."""
    lines = [first]
    while not lines[-1].rstrip().endswith(BLOCK):
        lines.append(input(NEXT))
    lines[-1] = lines[-1].rstrip().removesuffix(BLOCK)
    return "\n".join(lines).strip("\n")
