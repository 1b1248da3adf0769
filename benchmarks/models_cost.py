"""What inference in process costs above a direct call of ONNX Runtime, and in a process of its own.

A row of an MLP of 27-64-64-3, in turns with `InferenceSession.run` on the same numbers. The event
loop is uvloop, as in the server. The client is called from plain code: each of its calls crosses to
the event loop's thread and back, and from there, as all do, to the model's. The tensor of 588 KiB
(1x3x224x224) goes through a model that gives it back, loaded in this process and in one of its own.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime as ort
import uvloop

from benchmarks.inproc import running, seconds_of, settings
from benchmarks.report import Row, show
from sensorium.app import App
from sensorium.client import Sensorium
from sensorium.control.inference import Inference
from sensorium.core.arrays import to_tensor
from sensorium.models.backends.base import LoadOptions
from tests.models import files

ROUNDS = 15
CALLS = 500
WARM = 100
LARGE_CALLS = 100
WIDTHS = (27, 64, 64, 3)
IMAGE = (3, 224, 224)
TARGET_US = 100.0
Times = list[tuple[list[float], list[float]]]
"""For each round, the seconds of each call: ours, and what it is beside."""


def measure() -> list[Row]:
    """Small calls on an event loop and through the client, then large tensors."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        session = _session(files.dense(folder / "mlp", WIDTHS))
        for place in ("inproc", "process"):
            files.identity(folder / f"image_{place}", 1, [None, *IMAGE])
        on_loop, large = uvloop.run(_on_loop(folder, session))
        client = _through_client(folder, session)
    return [
        _cost_row("Inference.infer on an event loop, above ONNX Runtime", on_loop, TARGET_US),
        _cost_row("Sensorium().models.infer from plain code, above ONNX Runtime", client, None),
        _large_row(large),
    ]


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options)


def _row() -> Any:
    return np.linspace(-1.3, 1.3, WIDTHS[0], dtype=np.float32).reshape(1, -1)


def _direct(session: ort.InferenceSession) -> Callable[[], Any]:
    return partial(session.run, ["y"], {"x": _row()})


async def _on_loop(folder: Path, session: ort.InferenceSession) -> tuple[Times, Times]:
    async with running(folder) as app:
        infer = app.dispatcher.parts[Inference].infer
        small = partial(infer, "mlp", [to_tensor("x", _row())])
        await seconds_of(small, WARM)
        direct = _direct(session)
        times = [(await seconds_of(small, CALLS), _seconds_of(direct)) for _ in range(ROUNDS)]
        return times, await _large(app)


async def _large(app: App) -> Times:
    infer = app.dispatcher.parts[Inference].infer
    tensor = to_tensor("x", np.random.default_rng(0).random((1, *IMAGE), dtype=np.float32))
    for place in ("inproc", "process"):
        options = LoadOptions(placement=place)
        await app.model_runtime.pool.load(f"image_{place}", options=options)
    there = partial(infer, "image_process", [tensor])
    here = partial(infer, "image_inproc", [tensor])
    for call in (there, here):
        await seconds_of(call, WARM)
    return [
        (await seconds_of(there, LARGE_CALLS), await seconds_of(here, LARGE_CALLS))
        for _ in range(ROUNDS)
    ]


def _through_client(folder: Path, session: ort.InferenceSession) -> Times:
    tensor = to_tensor("x", _row())
    direct = _direct(session)
    with Sensorium(settings=settings(folder)) as client:
        call = partial(client.models.infer, model="mlp", inputs=[tensor])
        _seconds_of(call, WARM)
        return [(_seconds_of(call), _seconds_of(direct)) for _ in range(ROUNDS)]


def _seconds_of(call: Callable[[], Any], count: int = CALLS) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def _cost_row(what: str, times: Times, target: float | None) -> Row:
    mine = [1e6 * median(call) for call, _ in times]
    others = [1e6 * median(direct) for _, direct in times]
    cost = median(m - o for m, o in zip(mine, others, strict=True))
    slow = sorted(1e6 * each for call, _ in times for each in call)
    return Row(
        what,
        cost,
        "us",
        "" if target is None else f"<= {target:g} us p50",
        None if target is None else cost <= target,
        peer=f"p50 {median(others):.1f} us",
        note=f"p50 {median(mine):.0f} us ({min(mine):.0f} to {max(mine):.0f} in {len(mine)} "
        f"rounds), p99 {slow[int(0.99 * len(slow))]:.0f} us",
    )


def _large_row(times: Times) -> Row:
    there = 1e6 * median(median(each) for each, _ in times)
    here = 1e6 * median(median(each) for _, each in times)
    ratio = median(median(a) / median(b) for a, b in times)
    note = f"p50 {there:.0f} us; in process {here:.0f} us"
    return Row(
        "588 KiB to a model in a process of its own and back", ratio, "x in process", note=note
    )


if __name__ == "__main__":
    show(measure())
