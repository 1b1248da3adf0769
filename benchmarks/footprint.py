"""What a base installation takes on the disk, and a server in memory.

Installed as the container image does it: what the lock file lists and our wheel, without pip and
what only builds. Memory is proportional (PSS): pages that processes share count once.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.peer_environment import ROOT
from benchmarks.report import Row, show
from benchmarks.running import Running, ours

ONLY_BUILDS = ("pip", "hatchling", "editables", "trove-classifiers", "pathspec", "pluggy")
MIB = 1 << 20
SETTLED_S = 3.0


def installed() -> dict[str, float]:
    """MiB of each package in an environment of its own, the largest first."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        lock = str(ROOT / "requirements" / "base.lock")
        subprocess.run([*pip, "install", "--require-hashes", "-r", lock], check=True)
        own = [*pip, "install", "--no-deps", "--no-build-isolation", str(ROOT)]
        subprocess.run(own, check=True)
        subprocess.run([*pip, "uninstall", "-y", *ONLY_BUILDS], check=True)
        (packages,) = (Path(folder) / "lib").glob("python3*/site-packages")
        sizes = {each.name: size_mib(each) for each in packages.iterdir()}
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def size_mib(path: Path) -> float:
    """How much lies at a path."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file()) / MIB


def memory(server: Running) -> tuple[float, list[float]]:
    """MiB of the server's process, and of each of its workers."""
    process = psutil.Process(server.process.pid)
    return _pss(process), [_pss(worker) for worker in process.children()]


def _pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / MIB


def measure() -> list[Row]:
    """The disk, and the memory of a server that has done nothing and one that is warm."""
    sizes = installed()
    largest = ", ".join(f"{name} {size:.0f}" for name, size in list(sizes.items())[:4])
    rows = [Row("installed, base", sum(sizes.values()), "MiB", note=largest)]
    for what, flags in (("idle", ()), ("warm", ("--warm",))):
        with ours(*flags) as server:
            server.first_answer_s("/v1/health")
            time.sleep(SETTLED_S)
            own, workers = memory(server)
        note = (
            f"the server {own:.0f}, {len(workers)} workers {', '.join(f'{w:.0f}' for w in workers)}"
        )
        rows.append(Row(f"memory, {what}", own + sum(workers), "MiB", note=note))
    return rows


if __name__ == "__main__":
    show(measure())
