"""What joining calls into runs gains: eight callers of an MLP of 512-1024-1024-128.

Each caller sends a row, waits for its answer and sends the next. In turns, with the model loaded
as it is by default and with `max_batch=1`, which runs one call at a time. In process, one thread.
"""

import asyncio
import time
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import uvloop

from benchmarks.inproc import running
from benchmarks.report import Row, show
from sensorium.control.inference import Inference
from sensorium.core.arrays import to_tensor
from sensorium.models.backends.base import LoadOptions
from tests.models import files

ROUNDS = 9
SECONDS = 1.0
WIDTHS = (512, 1024, 1024, 128)
CALLERS = (1, 8, 32)
JUDGED = 8
TARGET = 3.5
Rates = dict[int, list[tuple[float, float]]]
"""Calls per second in each round, joined and one at a time, by the number of callers."""


def measure() -> list[Row]:
    """Calls per second, joined and not, in interleaved rounds."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for model in ("joined", "single"):
            files.dense(folder / model, WIDTHS)
        rates = uvloop.run(_rates(folder))
    return [_row(callers, found) for callers, found in rates.items()]


async def _rates(folder: Path) -> Rates:
    rates: Rates = {callers: [] for callers in CALLERS}
    async with running(folder) as app:
        await app.model_runtime.pool.load("joined")
        await app.model_runtime.pool.load("single", options=LoadOptions(max_batch=1))
        per_second = partial(_per_second, app.dispatcher.parts[Inference])
        for callers, found in rates.items():
            for _ in range(ROUNDS if callers == JUDGED else 3):
                joined = await per_second("joined", callers)
                found.append((joined, await per_second("single", callers)))
    return rates


async def _per_second(inference: Inference, model: str, callers: int) -> float:
    random = np.random.default_rng(0)
    until = time.perf_counter() + SECONDS

    async def caller() -> int:
        x = to_tensor("x", random.random((1, WIDTHS[0]), dtype=np.float32))
        calls = 0
        while time.perf_counter() < until:
            await inference.infer(model, [x])
            calls += 1
        return calls

    return sum(await asyncio.gather(*(caller() for _ in range(callers)))) / SECONDS


def _row(callers: int, found: list[tuple[float, float]]) -> Row:
    gain = median(joined / single for joined, single in found)
    judged = callers == JUDGED
    return Row(
        f"calls per second of {callers} callers, joined" if callers > 1 else "one caller, the same",
        gain,
        "x one at a time",
        f">= {TARGET:g}x" if judged else "",
        gain >= TARGET if judged else None,
        note=f"{median(j for j, _ in found):,.0f} calls/s, one at a time "
        f"{median(s for _, s in found):,.0f}; {min(j / s for j, s in found):.1f} to "
        f"{max(j / s for j, s in found):.1f}x in {len(found)} rounds",
    )


if __name__ == "__main__":
    show(measure())
