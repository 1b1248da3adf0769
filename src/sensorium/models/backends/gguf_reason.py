"""Why llama.cpp cannot load a file: it tells its log alone, which is standard error."""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress

_REASON = re.compile(
    r"error loading model: ([^\n]{1,300})"
    r"|clip_init: failed to load model '[^'\n]*': ([^\n]{1,300})"
    r"|mtmd_init_from_file: error: (mismatch [^\n]{1,300})"
)
"""The last two are what it says of projectors."""
_PATH = re.compile(r"[/\\]")
_ITS_LINE = re.compile(r"\d+(\.\d+){3} [A-Z] ")
LATE_S = 2.0
"""For so long it is waited for: a thread of its own writes."""
UNTOLD = "it may be damaged, or of a kind that this version does not know"


def reason_of(attempt: Callable[[], object]) -> str:
    """What it says while it tries, and fails, once more; nothing that names a path.

    Nor is told what a terminal would obey: the words may be the file's. What others
    write to standard error meanwhile comes there afterwards.
    """
    try:
        told = _written_during(attempt)
    except OSError:  # there is no room for a file
        return UNTOLD
    others = [line for line in told.splitlines(keepends=True) if not _ITS_LINE.match(line)]
    sys.stderr.write("".join(others))
    found = _REASON.search(told)
    reason = found[found.lastindex or 0] if found else "/"
    return reason if reason.isprintable() and not _PATH.search(reason) else UNTOLD


def _written_during(attempt: Callable[[], object]) -> str:
    sys.stderr.flush()
    told = ""
    with tempfile.TemporaryFile("a+b", buffering=0) as file:
        standard = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            with suppress(RuntimeError):
                attempt()
            end = time.monotonic() + LATE_S
            while not _REASON.search(told) and time.monotonic() < end:
                time.sleep(0.01)
                file.seek(0)  # what is written goes to the end all the same
                told = file.read().decode(errors="replace")
        finally:
            sys.stderr.flush()
            os.dup2(standard, 2)
            os.close(standard)
        return told
