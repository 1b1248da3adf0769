"""A model's answer, written as it comes."""

import re
import sys
from collections.abc import Iterable

from sensorium.capabilities.language.schema import Chunk, Told
from sensorium.cli.render import note
from sensorium.cli.terminal import paint

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What could move a terminal's cursor, or worse; lines and tabs aside."""


def write_answer(chunks: Iterable[Chunk]) -> Told | None:
    """Write an answer to standard output; returns what it took, where that came.

    A model's thoughts are dim, and only shown on a terminal.
    """
    shown = sys.stdout.isatty()
    thinking, ended, told, made = False, "", None, False
    for chunk in chunks:
        if chunk.reasoning and shown:
            thinking = True
            _write(paint(harmless(chunk.reasoning), "dim"))
        if chunk.text:
            text = harmless(chunk.text) if shown else chunk.text
            _write("\n\n" + text if thinking else text)
            thinking, made = False, True
        ended = chunk.finish or ended
        told = chunk.told or told
    _write("\n")
    if not made:
        note("(it said nothing)")
    if ended == "length":
        made_tokens = "" if told is None else f" after {told.usage.generated_tokens} tokens"
        note(f"(cut off{made_tokens}: by max_tokens, or because the model holds no more)")
    return told


def told_line(told: Told) -> str:
    """What an answer took, in a line."""
    usage, timing = told.usage, told.timing
    known = f", {usage.cached_tokens} known before" if usage.cached_tokens else ""
    return (
        f"{told.model}: {usage.generated_tokens} tokens, {timing.tokens_per_s:.1f} tokens/s, "
        f"first after {timing.first_token_s:.2f} s, {usage.prompt_tokens} read{known}, "
        f"{timing.total_s:.2f} s in all"
    )


def harmless(text: str) -> str:
    """The text without what a terminal would obey."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
