"""Files that the ONNX reader takes, given to ONNX Runtime in a process of its own.

It may refuse them. It may even fall over them, which is why models are loaded in workers: how
often it does is recorded, and that a worker's neighbours would not notice is tested elsewhere.
"""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sensorium.core.errors import InvalidInputError, NotFoundError
from tests.models.headers.fuzzing import mutant, seeds

COUNT = 300
WORDS = ("trying ", "loaded ", "refused ")
LOAD = """
import resource, sys
import onnxruntime
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
onnxruntime.set_default_logger_severity(4)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for path in sys.argv[1:]:
    print("trying", path, flush=True)
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        print("refused", type(error).__name__, flush=True)
    else:
        print("loaded", path, flush=True)
"""


def accepted(folder: Path) -> Iterator[Path]:
    """Mutants that the reader takes, as files."""
    every = [each for each in seeds() if each.format == "onnx"]
    number = found = 0
    while found < COUNT:
        rng = random.Random(number)
        number += 1
        chosen = rng.choice(every)
        data = mutant(chosen, every, rng)
        try:
            chosen.read(data)
        except (InvalidInputError, NotFoundError):
            continue
        found += 1
        path = folder / f"{number}.onnx"
        path.write_bytes(data)
        yield path


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_how_onnx_runtime_bears_what_the_reader_takes(
    tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    pytest.importorskip("onnxruntime")
    left = [str(path) for path in accepted(tmp_path)]
    told = {"loaded": 0, "refused": 0, "fell over": 0}
    while left:
        done = subprocess.run(
            [sys.executable, "-c", LOAD, *left],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # It writes lines of its own there, too.
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith(WORDS)]
        for what, _ in lines:
            told[what] = told.get(what, 0) + 1
        assert lines, done.stderr
        if done.returncode == 0:
            break
        assert done.returncode < 0, done.stderr
        told["fell over"] += 1
        left = left[left.index(lines[-1][1]) + 1 :]
    tried = told.pop("trying")
    assert tried == COUNT == sum(told.values())
    assert told["loaded"] > COUNT // 4
    for what, count in told.items():
        record_testsuite_property(f"onnxruntime {what}", count)
