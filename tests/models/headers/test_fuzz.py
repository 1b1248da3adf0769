"""Thousands of broken files: each is read or refused, in little time and little memory."""

import json
import subprocess
import sys
from typing import Any

import pytest


def fuzzed(count: int, seed: int, limit_s: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.models.headers.fuzzing", str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize(
    ("count", "seed"),
    [
        (3000, 1),
        pytest.param(200_000, 2, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_every_mutant_is_read_or_refused(count: int, seed: int) -> None:
    told = fuzzed(count, seed, 1700)
    assert told["failures"] == []
    assert told["accepted"] + told["refused"] == count
    assert told["accepted"] > count // 20, "mutants that nobody could accept test little"
