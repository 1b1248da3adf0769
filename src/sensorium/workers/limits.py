"""How much memory a worker may take: told in its environment, held to by the kernel."""

import os
from contextlib import suppress

VARIABLE = "SENSORIUM_WORKER_MEMORY"


def limited(memory_bytes: int) -> dict[str, str]:
    """The environment of a worker that may take so much; 0: any."""
    return {VARIABLE: str(memory_bytes)} if memory_bytes else {}


def apply() -> None:
    """Hold this process to what its environment says, where the system can.

    What it wants beyond that is refused to it: Python raises MemoryError, and a library may end
    the process.
    """
    text = os.environ.get(VARIABLE, "")
    if not text.isdigit():
        return
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - there is none on Windows

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = int(text) if most == resource.RLIM_INFINITY else min(int(text), most)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))
