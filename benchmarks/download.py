"""How fast a model is fetched, beside the hub's own client, and what a killed pull fetches again.

500 MB from a hub on this machine whose connections bring 100 MB/s each, as a distant one's might.
In turns: ours through the client, with all that it does (SHA-256, the catalogue), and
`hf_hub_download` of huggingface_hub without xet; both are loaded before the clock runs. The pull
that goes on was killed at its half, with all its processes; what is fetched again is what the hub
sent in both, less the file.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.hub import FILE, REPOSITORY, Hub, hub
from benchmarks.peer_environment import ROOT, ensure, python
from benchmarks.report import Row, show

ROUNDS = 3
SIZE = 500_000_000
PER_CONNECTION = 100e6
MB = 1e6
FASTER = 5.0
AT_LEAST_MB_S = 100.0
AGAIN_MB = 32.0
LIMIT_S = 60.0
PLAIN = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""What has the hub's own client fetch over plain HTTP, and do nothing else."""


def measure() -> list[Row]:
    """Both clients in turns, then a pull that is killed and gone on with."""
    ensure()
    with hub(SIZE, PER_CONNECTION) as running:
        rounds = [(mine(running), theirs(running)) for _ in range(ROUNDS)]
        again, resumed = killed(running)
    rates = [SIZE / MB / seconds for seconds, _ in rounds]
    ratio = median(peer / own for own, peer in rounds)
    rate = median(rates)
    return [
        Row(
            "500 MB, beside huggingface_hub",
            ratio,
            "x as fast",
            f">= {FASTER:g}x",
            ratio >= FASTER,
            peer=f"{SIZE / MB / median(peer for _, peer in rounds):.0f} MB/s",
            note=f"{ROUNDS} rounds",
        ),
        Row(
            "500 MB",
            rate,
            "MB/s",
            f">= {AT_LEAST_MB_S:g} MB/s",
            rate >= AT_LEAST_MB_S,
            note=f"{min(rates):.0f} to {max(rates):.0f} MB/s, SHA-256 of all of it included",
        ),
        Row(
            "a killed pull: fetched again",
            again,
            "MB",
            f"< {AGAIN_MB:g} MB",
            again < AGAIN_MB,
            note=f"killed after {resumed:.0f} MB; in the sockets' buffers on their way included",
        ),
    ]


def mine(running: Hub) -> float:
    """The seconds of a whole pull."""
    with TemporaryDirectory() as folder, pulling(running, Path(folder)) as process:
        return last_of(process)


def theirs(running: Hub) -> float:
    """The seconds of the hub's own client."""
    script = ROOT / "benchmarks" / "peers" / "hub_download.py"
    with TemporaryDirectory() as folder:
        command = [str(python()), str(script), running.url, folder, REPOSITORY, FILE]
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=LIMIT_S, env={**os.environ, **PLAIN}
        )
    return float(done.stdout)


def killed(running: Hub) -> tuple[float, float]:
    """MB that were fetched twice because a pull was killed, and MB that it had by then."""
    before = running.sent_bytes
    with TemporaryDirectory() as folder:
        with pulling(running, Path(folder)) as process:
            assert process.stdout is not None
            for line in process.stdout:
                had: int = json.loads(line)["done"]
                if had > SIZE / 2:
                    break
            else:
                raise RuntimeError("the pull ended before its half")
        with pulling(running, Path(folder)) as process:
            last_of(process)
    return (running.sent_bytes - before - SIZE) / MB, had / MB


@contextmanager
def pulling(running: Hub, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A pull; what is left of it at the end is killed."""
    command = [sys.executable, "-m", "benchmarks.pulling", running.url, str(folder)]
    process = subprocess.Popen(
        [*command, f"hf://{REPOSITORY}"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT / "src", ROOT]))},
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def last_of(process: "subprocess.Popen[bytes]") -> float:
    """The seconds of a pull, once it has ended."""
    told, _ = process.communicate(timeout=LIMIT_S)
    seconds: float = json.loads(told.splitlines()[-1])["seconds"]
    return seconds


if __name__ == "__main__":
    show(measure())
