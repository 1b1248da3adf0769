"""The peers' own environments, from pinned lists, so that theirs never mix with ours."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST = "peers"
"""The environment of all peers but those that want other versions than the others."""


def python(name: str = MOST) -> Path:
    """The Python of an environment."""
    return _folder(name) / "bin" / "python"


def ensure(name: str = MOST) -> None:
    """Make an environment, or bring it up to its list; does nothing when it is.

    `benchmarks/NAME.txt` is its list.
    """
    stamp = _folder(name) / "installed.txt"
    pinned = ROOT / "benchmarks" / f"{name}.txt"
    if stamp.exists() and stamp.read_text() == pinned.read_text():
        return
    if not python(name).exists():
        subprocess.run([sys.executable, "-m", "venv", _folder(name)], check=True)
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([python(name), "-m", "pip", "install", *quiet, "-r", pinned], check=True)
    stamp.write_text(pinned.read_text())


def _folder(name: str) -> Path:
    return ROOT / ".bench" / name
