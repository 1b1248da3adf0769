"""A terminal on which somebody types, and reads what comes."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.cli.running import LIMIT_S, environ

CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal; `raw` is all that was written there."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self.process = process
        self.raw = b""
        self._descriptor = descriptor
        self._read_to = 0

    @property
    def seen(self) -> str:
        """What was written, without what moves the cursor or colours."""
        return _ESCAPES.sub("", self.raw.decode(errors="ignore")).replace("\r", "")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._descriptor, keys.encode())

    def wait_for(self, text: str) -> str:
        """What was written since the last wait, up to this text; it must come."""
        return self.match(re.escape(text))

    def match(self, pattern: str) -> str:
        """What was written since the last wait, up to what matches; it must come."""
        until = time.monotonic() + LIMIT_S
        while (found := re.compile(pattern).search(self.seen, self._read_to)) is None:
            if time.monotonic() > until or not self._read():
                raise AssertionError(f"{pattern!r} did not come: {self.seen!r}")
        begin, self._read_to = self._read_to, found.end()
        return self.seen[begin : found.end()]

    def say(self, line: str, answer: str) -> str:
        """Type a line at the prompt, and wait for an answer and the next prompt."""
        self.type(line + "\n")
        found = self.wait_for(answer)
        return found + self.wait_for(">>> ")

    def wait_until_it_listens(self) -> None:
        """Return once the command sleeps, as one does that waits for keys."""
        command = psutil.Process(self.process.pid)
        until = time.monotonic() + LIMIT_S
        while command.status() != psutil.STATUS_SLEEPING:
            assert time.monotonic() < until, "it never sleeps"

    def status(self) -> int:
        """The exit status, once it has ended."""
        while self._read():
            pass
        return self.process.wait(LIMIT_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], 1)
        if not ready:
            return self.process.poll() is None
        try:
            piece = os.read(self._descriptor, 65_536)
        except OSError:  # the other end was closed
            return False
        self.raw += piece
        return bool(piece)


@contextmanager
def terminal(*arguments: str, **variables: str) -> Iterator[Terminal]:
    """Run a command on a terminal of its own, whose Ctrl-C reaches it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "sensorium", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ(**variables),
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
