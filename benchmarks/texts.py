"""Texts to be made for a benchmark, and processes of their own that have them made.

A process is told one `Ask` a line on its standard input, and answers each with a line of `Text`s.
All times are of the machine's monotonic clock, which its processes share.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from benchmarks.peer_environment import ROOT

END = 2
"""tinylm's token that ends a text; where it cannot come, texts are as long as the context."""
BIAS = -100.0
WORDS = ("sea", "wood", "town", "moon", "storm", "river", "winter", "garden", "mountain", "road")


class Ask(Struct, kw_only=True):
    """Streams side by side, each of some texts one after the other."""

    streams: int = 1
    texts: int = 1
    max_tokens: int = 200
    first: int = 0
    """The number of the first prompt."""
    leave: int = 0
    """So many of the streams leave at once when all have begun; another then waits for a place."""


class Text(Struct, kw_only=True):
    """When a text was asked for, when it began, when it ended, and how much it was."""

    stream: int
    asked: float
    first: float = 0.0
    last: float = 0.0
    tokens: int = 0
    pieces: int = 0
    left: float = 0.0
    """When its reader left; 0: it did not."""

    @property
    def per_s(self) -> float:
        """Tokens in a second, the prompt's reading among it."""
        return self.tokens / (self.last - self.asked)

    @property
    def waited_ms(self) -> float:
        """Milliseconds to the first token."""
        return 1e3 * (self.first - self.asked)


def prompt(number: int) -> str:
    """A question of its own for each number: no engine has it in its cache."""
    return f"{number}: tell me a story of the {WORDS[number % len(WORDS)]}."


@dataclass
class Maker:
    """A process that has texts made."""

    process: "subprocess.Popen[bytes]"

    def make(self, ask: Ask) -> list[Text]:
        """The texts, when all are over."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(ask) + b"\n")
        self.process.stdin.flush()
        return msgspec.json.decode(self.process.stdout.readline(), type=list[Text])


@contextmanager
def making(module: str, *arguments: str) -> Iterator[Maker]:
    """A process that runs one of the modules here."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Maker(process)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


def asked() -> Iterator[Ask]:
    """What the process is told, line by line."""
    for line in sys.stdin.buffer:
        yield msgspec.json.decode(line, type=Ask)


def answer(texts: list[Text]) -> None:
    """Answer with texts."""
    sys.stdout.buffer.write(msgspec.json.encode(texts) + b"\n")
    sys.stdout.buffer.flush()
