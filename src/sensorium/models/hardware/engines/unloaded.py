"""What the installed torch and LiteRT were built with, read from their files.

Importing torch takes a second and hundreds of MB, in a process that may never need it.
"""

import platform
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from sensorium.models.hardware import files

_BUILT = re.compile(r"^(cuda|hip|xpu)\b[^=\n]*=\s*['\"][^'\"\n]+['\"]", re.MULTILINE)


def folder_of(library: str) -> Path | None:
    """Where a library is installed."""
    try:
        found = find_spec(library)
    except (ImportError, ValueError):
        return None
    places = found.submodule_search_locations if found is not None else None
    return Path(next(iter(places))) if places else None


def torch_builds(folder: Path) -> frozenset[str]:
    """`cpu`, and those of `cuda`, `hip`, `xpu` and `mps` that this build has."""
    built = set(_BUILT.findall(files.text(folder / "version.py")))
    if sys.platform == "darwin" and platform.machine() == "arm64":
        built.add("mps")
    return frozenset({"cpu", *built})


def litert_builds(folder: Path) -> frozenset[str]:
    """`CPU`, and `GPU` and `NPU` where the libraries for them are there."""
    built = {"CPU"}
    if any("Accelerator." in name for name in files.entries(folder)):
        built.add("GPU")
    vendors = folder / "vendors"
    if any(files.entries(vendors / name / "dispatch") for name in files.entries(vendors)):
        built.add("NPU")
    return frozenset(built)
