"""Running a command as a user does: in a pipe, or on a terminal of its own."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

SAMPLES = ROOT / "src" / "sensorium" / "cli" / "samples"


def environ(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SENSORIUM_")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm", **more}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "sensorium", *map(str, arguments)]


def run(
    *arguments: str | Path, stdin: bytes = b"", **more: str
) -> "subprocess.CompletedProcess[bytes]":
    """A command in a pipe."""
    return subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        env=environ(**more),
        timeout=60,
        check=False,
    )


def rows(*arguments: str | Path, stdin: bytes = b"") -> list[list[str]]:
    """The lines of a command that must succeed, cut at tabs."""
    done = run(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return [line.split("\t") for line in done.stdout.decode().splitlines()]


def refusal(*arguments: str | Path, stdin: bytes = b"", **more: str) -> str:
    """The one line that a command that must fail says of it."""
    done = run(*arguments, stdin=stdin, **more)
    assert done.returncode in (1, 2), done.stdout.decode()
    assert done.stdout == b""
    said = done.stderr.decode().splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("sensorium: ")
    return said[0]


def on_terminal(*arguments: str | Path, columns: int = 120, **more: str) -> str:
    """What a command that must succeed writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environ(COLUMNS=str(columns), **more),
    ) as process:
        os.close(theirs)
        text = b"".join(iter(lambda: _read(ours), b"")).decode()
        os.close(ours)
    assert process.returncode == 0, text
    return text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""
