"""The machine that the tests run on."""

import json
import os
import subprocess
import sys
import time

import psutil

from sensorium.client import Sensorium
from sensorium.models.hardware.detect import _source, detect
from sensorium.models.hardware.parts import unwatched
from tests.servers import ROOT

HEAVY = {"pynvml", "psutil", "torch", "xllamacpp", "ai_edge_litert", "numpy", "onnxruntime"}


def test_it_is_as_others_say_that_it_is() -> None:
    found = detect()
    assert found.cpu.logical_cores == os.cpu_count()
    assert found.cpu.allowed_cores == len(os.sched_getaffinity(0))
    assert 0 < found.cpu.usable_cores <= (os.cpu_count() or 1)
    assert found.memory.total_bytes == psutil.virtual_memory().total
    assert found.memory.now.available_bytes is not None
    assert found.memory.now.available_bytes <= psutil.virtual_memory().total


def test_what_changes_is_read_anew_and_the_rest_stays() -> None:
    first, second = detect(), detect()
    assert first.cpu == second.cpu
    assert first.providers == second.providers


def test_it_takes_a_few_milliseconds() -> None:
    read = _source()
    took_s = []
    for _ in range(5):
        began = time.perf_counter()
        read(unwatched)
        took_s.append(time.perf_counter() - began)
    assert min(took_s) < 0.25


def test_reading_a_machine_loads_no_library() -> None:
    code = (
        "import sys, json; from sensorium.models.hardware.detect import _source;"
        "from sensorium.models.hardware.parts import unwatched; _source()(unwatched);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & set(json.loads(ran.stdout))


def test_the_operation_answers_in_process() -> None:
    with Sensorium() as client:
        found = client.system.hardware()
    assert found.cpu.usable_cores > 0
    assert len(found.providers) >= 25
