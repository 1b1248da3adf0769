"""The peers' own environment, from a pinned list, so that theirs never mixes with ours."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".bench" / "peers"
PYTHON = FOLDER / "bin" / "python"
PINNED = ROOT / "benchmarks" / "peers.txt"


def ensure() -> None:
    """Make the environment, or bring it up to the list; does nothing when it is."""
    stamp = FOLDER / "installed.txt"
    if stamp.exists() and stamp.read_text() == PINNED.read_text():
        return
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([PYTHON, "-m", "pip", "install", *quiet, "-r", PINNED], check=True)
    stamp.write_text(PINNED.read_text())
