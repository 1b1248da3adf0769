"""Run the benchmarks and write `docs/benchmarks.md`.

    python -m benchmarks [NAME…]      NAME is a module's: start, overhead, nab…; without one, all

Every module here that has a `measure()` is a benchmark. With names, only their sections of the
document are written anew. Input that a benchmark needs and does not find is named in its section;
one that fails otherwise makes the exit status 1.
"""

import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.peer_environment import ROOT, ensure
from benchmarks.report import Row, markdown

DOCUMENT = ROOT / "docs" / "benchmarks.md"
FOLDER = Path(__file__).parent
HEAD = """\
# Benchmarks

`make bench` writes this page; `make bench ARGS="start nab"` only those sections. Peers run beside
us in the same run, in an environment of their own (`benchmarks/peers.txt`). A bold **no** is a
target that was missed. The figures are of the machine and the moment that each section names: look
at ratios before milliseconds.
"""
MARK = "\n## "


def main(names: list[str]) -> int:
    """Run the benchmarks of these names, or all; returns the exit status."""
    known = benchmarks()
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.stderr.write(
            f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(known)}\n"
        )
        return 2
    ensure()
    failed = []
    for name in names or known:
        sys.stderr.write(f"{name} …\n")
        section, whole = run(name)
        write(name, section)
        sys.stdout.write(f"\n## {name}\n\n{section}\n")
        if not whole:
            failed.append(name)
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def benchmarks() -> list[str]:
    """The names of the modules that have a `measure()`."""
    sources = sorted(FOLDER.glob("*.py"))
    return [path.stem for path in sources if "\ndef measure(" in path.read_text()]


def run(name: str) -> tuple[str, bool]:
    """A benchmark's section, and whether all is well with it."""
    module = import_module(f"benchmarks.{name}")
    measure: Callable[[], list[Row]] = module.measure
    load_before = os.getloadavg()
    began, busy = time.perf_counter(), _busy_s()
    try:
        rows = measure()
    except FileNotFoundError as error:
        traceback.print_exc()
        return f"Not measured here: it needs {Path(error.filename or '').name}.", True
    except Exception as error:
        traceback.print_exc()
        return f"Not measured: {type(error).__name__}; the run's output says where.", False
    seconds = time.perf_counter() - began
    summary = (module.__doc__ or "").strip()
    cores = (_busy_s() - busy) / seconds
    circumstances = (
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; {machine()}; load average "
        f"{load_before[0]:.1f} before, {os.getloadavg()[0]:.1f} after; {cores:.1f} cores busy, "
        f"ours and others'; {seconds:.0f} s."
    )
    return f"{summary}\n\n{markdown(rows)}\n\n{circumstances}", True


def machine() -> str:
    """What it was measured on."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB; {platform.system()} "
        f"{platform.release()}; Python {platform.python_version()}; "
        f"Sensorium {version('sensorium')}"
    )


def write(name: str, section: str, document: Path = DOCUMENT) -> None:
    """Put a section in its place in the document, in the order of names."""
    text = document.read_text() if document.exists() else HEAD
    _, *parts = text.split(MARK)
    sections = dict(part.split("\n", 1) for part in parts)
    sections[name] = f"\n{section}\n"
    document.parent.mkdir(exist_ok=True)
    document.write_text(HEAD + "".join(f"{MARK}{n}\n{sections[n]}" for n in sorted(sections)))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _busy_s() -> float:
    """CPU seconds that the whole machine has spent."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
