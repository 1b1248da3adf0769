"""What every operating system tells through psutil, and programs that tell the rest."""

import os
import subprocess
import sys

from sensorium.core.errors import UnavailableError
from sensorium.core.loading import load
from sensorium.models.hardware.cgroups import Limits
from sensorium.models.hardware.memory import bounded
from sensorium.models.hardware.parts import Check, Parts
from sensorium.models.hardware.schema import Cpu, Memory

LONGEST = 4 << 20
PROGRAM_S = 20.0


def memory() -> Memory:
    """Main memory as it is now."""
    try:
        found = load("psutil:virtual_memory")()
        swap = load("psutil:swap_memory")()
    except (UnavailableError, OSError, RuntimeError):
        return Memory()
    return bounded(
        total=found.total,
        available=found.available,
        swap=swap.total,
        swap_free=swap.free,
        limits=Limits(),
    )


def read(check: Check) -> Parts:
    """The little that is known of a machine of which nothing is known."""
    del check
    cores = os.cpu_count()
    cpu = Cpu(logical_cores=cores, usable_cores=float(cores or 0))
    return Parts(cpu=cpu, memory=memory(), gpus=[], npus=[], apis=[])


def output_of(*command: str) -> str:
    """What a program prints; nothing where it fails, is missing or takes too long."""
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0) if sys.platform == "win32" else 0
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROGRAM_S,
            check=False,
            creationflags=hidden,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout[:LONGEST].decode(errors="replace")
