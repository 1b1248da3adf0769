"""What is built of the TypeScript client for its tests, and the server that they call."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.servers import ROOT, Server, serving

CLIENT = ROOT / "clients" / "typescript"
KEY = "a-key-of-these-tests-alone"
ALIASES = "fast=tinylm,smart=org/not-here"


def run(folder: Path, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "npm_config_update_notifier": "false", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(folder: Path, *command: str, **environ: str) -> str:
    done = run(folder, *command, **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's folder as in a fresh clone, with what it is developed with."""
    if shutil.which("npm") is None:
        missing("npm")
    folder = tmp_path_factory.mktemp("client") / "typescript"
    made = shutil.ignore_patterns("node_modules", "dist", "build", "*.tgz")
    shutil.copytree(CLIENT, folder, ignore=made)
    succeed(folder, "npm", "ci", "--no-audit", "--no-fund")
    return folder


@pytest.fixture(scope="session")
def built(copy: Path) -> Path:
    """The folder of the modules that a browser loads."""
    succeed(copy, "npm", "run", "build")
    return copy / "dist"


@pytest.fixture(scope="session")
def own(built: Path) -> Iterator[Server]:
    """A server that wants a key, and serves the client's modules to browsers."""
    flags = ("--mode", "web", "--static-dir", str(built))
    environ = {"SENSORIUM_API_KEYS": KEY, "SENSORIUM_MODEL_ALIASES": ALIASES}
    with serving(*flags, environ=environ) as running:
        yield running
