"""Recorded machines: text files that hold trees of small files, laid out in a folder."""

from pathlib import Path

from sensorium.models.hardware.linux import Linux
from sensorium.models.hardware.nvml import Answer, NoDriverError
from sensorium.models.hardware.parts import Check, Parts, unwatched

FIXTURES = Path(__file__).parent / "fixtures"
MACHINES = sorted(path.stem for path in FIXTURES.glob("*.txt"))
GIB = 1 << 30


def laid_out(name: str, root: Path) -> Path:
    """The tree of a recorded machine. `=== PATH` begins a file, `=== PATH => TARGET` is a link."""
    for part in (FIXTURES / f"{name}.txt").read_text().split("\n=== ")[1:]:
        heading, _, content = part.partition("\n")
        place, _, target = heading.partition(" => ")
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        else:
            path.write_text(f"{content}\n" if content else "")
    return root


def no_driver(check: Check) -> Answer:
    """What NVIDIA's library answers where there is no driver."""
    del check
    raise NoDriverError


def read(root: Path) -> Parts:
    """The machine below a root, without NVIDIA's library."""
    return Linux(root, no_driver).read(unwatched)
