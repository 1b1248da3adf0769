"""Counting tokens: `text.count` through the dispatcher beside the library `tokenizers` itself.

The text has about 10,000 tokens of log lines. One caller, in turns with `Tokenizer.encode` of the
same text on the same machine, in this process; the models are in processes of their own. One is a
`tokenizer.json` by itself, its 16,000 tokens trained on the logs; the other is the language model
that ships, a GGUF file, beside the `tokenizer.json` that it was made with.
"""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from benchmarks.inproc import running
from benchmarks.peer_environment import ROOT
from benchmarks.report import Row, show
from sensorium.capabilities.language.text_schema import CountRequest, CountResponse
from sensorium.core.dispatch import Caller, Dispatcher

SHARED = ROOT.parent / "shared"
LOGS = SHARED / "data" / "logs"
TINYLM = SHARED / "models" / "tinylm" / "hf-f16" / "tokenizer.json"
TOKENS, VOCABULARY = 10_000, 16_000
ROUNDS, WARM = 40, 5
TARGET = 0.9


def measure() -> list[Row]:
    """How fast tokens are counted, as a part of the library's own speed."""
    lines = [line for path in sorted(LOGS.glob("*.log")) for line in _lines(path)]
    if not lines:
        raise FileNotFoundError(2, "absent", str(LOGS))
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "trained").mkdir()
        trained = _trained(lines)
        trained.save(str(folder / "trained" / "tokenizer.json"))
        whole = "\n".join(lines[::7])
        return uvloop.run(_rows(folder, trained, whole))


async def _rows(folder: Path, trained: Tokenizer, whole: str) -> list[Row]:
    rows = []
    async with running(folder) as app:
        text = _cut(trained, whole)
        rows.append(await _row(app.dispatcher, "trained", trained, text, judged=True))
        if TINYLM.exists():
            own = Tokenizer.from_file(str(TINYLM))
            text = _cut(own, whole)
            rows.append(await _row(app.dispatcher, "tinylm", own, text, judged=False))
    return rows


async def _row(
    dispatcher: Dispatcher, model: str, peer: Tokenizer, text: str, *, judged: bool
) -> Row:
    size = len(peer.encode(text).ids)
    caller = Caller()

    async def ours() -> int:
        done = await dispatcher.call("text.count", CountRequest(model=model, text=text), caller)
        return done.read(CountResponse).tokens

    async def theirs() -> int:
        return len(peer.encode(text).ids)

    counted = await ours()
    if not size <= counted <= size + 1:  # a prompt may have a token that begins it
        raise AssertionError(f"{counted} tokens, and the library has {size}")
    mine, others = await _seconds(ours, theirs)
    gain = median(b / a for a, b in zip(mine, others, strict=True))
    kind = "a tokenizer alone" if judged else "a GGUF model"
    return Row(
        f"text.count of {size:,} tokens, {kind}",
        gain,
        "x tokenizers",
        f">= {TARGET:g}x" if judged else "",
        gain >= TARGET if judged else None,
        note=f"{size / median(mine) / 1e6:.2f} million tokens/s in {median(mine) * 1e3:.1f} ms, "
        f"the library's encode {median(others) * 1e3:.1f} ms; {len(text):,} characters",
    )


async def _seconds(*calls: Callable[[], Awaitable[int]]) -> list[list[float]]:
    """How long each call took, in rounds of all."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(WARM + ROUNDS):
        for call, found in zip(calls, times, strict=True):
            began = time.perf_counter()
            await call()
            if number >= WARM:
                found.append(time.perf_counter() - began)
    return times


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()


def _trained(lines: list[str]) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet)
    )
    return made


def _cut(tokenizer: Tokenizer, text: str) -> str:
    """So much of a text as has the wanted number of tokens, or nearly."""
    end: int = tokenizer.encode(text[:200_000]).offsets[TOKENS - 1][1]
    return text[:end]


if __name__ == "__main__":
    show(measure())
