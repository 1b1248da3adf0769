"""The command line as a user has it: a process of its own, in a pipe or on a terminal."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.servers import PLUGIN, ROOT

LIMIT_S = 60
COLUMNS = "100"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Ran(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


def environ(**more: str) -> dict[str, str]:
    """The environment of a command: nothing is set of Sensorium but what is named."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SENSORIUM_")}
    found = os.pathsep.join([str(ROOT / "src"), str(PLUGIN)])
    return {**kept, "PYTHONPATH": found, "COLUMNS": COLUMNS, "TERM": "xterm", **more}


def sensorium(
    *arguments: str, stdin: str | bytes = "", cwd: Path | None = None, **variables: str
) -> Ran:
    """Run a command in a pipe, to its end."""
    ran = subprocess.run(
        [sys.executable, "-m", "sensorium", *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
        cwd=cwd,
        env=environ(**variables),
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


def on_terminal(*arguments: str, **variables: str) -> tuple[int, str]:
    """Run a command on a terminal; returns its exit status and what was seen, colours aside."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sensorium", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ(**variables),
    )
    os.close(theirs)
    seen = _read_all(ours)
    return process.wait(LIMIT_S), _ESCAPES.sub("", seen).replace("\r\n", "\n")


def _read_all(descriptor: int) -> str:
    pieces: list[bytes] = []
    try:
        while piece := os.read(descriptor, 65_536):
            pieces.append(piece)
    except OSError:  # the other end of a terminal was closed
        pass
    finally:
        os.close(descriptor)
    return b"".join(pieces).decode()


def one_line(text: str) -> str:
    """The only line of a text."""
    lines: Sequence[str] = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]
