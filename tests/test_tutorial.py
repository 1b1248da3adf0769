"""The README's tutorial: its operation, installed and called through every door as it says."""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.servers import ROOT, serving

TITLE = "## An operation of your own"
ADDRESS = "127.0.0.1:8484"
MAIN = sysconfig.get_path("purelib")


def blocks(kind: str) -> list[str]:
    """The tutorial's blocks that are to be run."""
    section = (ROOT / "README.md").read_text().partition(TITLE)[2].partition("\n## ")[0]
    found = re.findall(r"(<!-- not run here[^\n]*-->\n)?```(\w+)\n(.*?)```", section, re.DOTALL)
    return [code for reason, language, code in found if language == kind and not reason]


INSTALLING, LOCKING, CALLING, TYPESCRIPT = blocks("sh")
CALLS = [line for line in CALLING.splitlines() if line]


@dataclass
class Reader:
    """Somebody who follows the tutorial in a folder of their own."""

    folder: Path
    environment: dict[str, str]

    def types(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """With an environment that has what this one has, so that nothing is installed into it."""
    folder = tmp_path_factory.mktemp("tutorial")
    ignored = shutil.ignore_patterns("node_modules", "dist", "build", "__pycache__", "fields.lock")
    for part in ("examples/words", "clients/typescript"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    places = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    Path(places.strip(), "main.pth").write_text(f"import site; site.addsitedir({MAIN!r})\n")
    for command, module in (("pip", "pip"), ("sensorium", "sensorium")):
        shim = folder / "venv" / "bin" / command
        shim.write_text(f'#!/bin/sh\nexec "{python}" -m {module} "$@"\n')
        shim.chmod(0o755)
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment["SENSORIUM_DATA_DIR"] = str(folder / "data")
    made = Reader(folder, environment)
    made.types(INSTALLING)
    made.types(LOCKING)
    return made


@pytest.fixture(scope="module")
def address(reader: Reader) -> Iterator[str]:
    """Where a server serves the operation."""
    installed = next((reader.folder / "venv" / "lib").glob("python*/site-packages"))
    places = [ROOT / "src", reader.folder / "examples" / "words", installed]
    environ = {"PYTHONPATH": os.pathsep.join(map(str, places))}
    with serving("--mode", "all", "--grpc-port", "0", environ=environ) as server:
        server.wait_until_ready()
        with server.client() as http:
            while http.get("/readyz").json()["doors"]["grpc"] != "ready":
                pass
        yield server.url.removeprefix("http://")


def test_its_code_is_the_examples() -> None:
    (code,) = blocks("python")
    assert (ROOT / "examples/words/words/__init__.py").read_text() == code


@pytest.mark.parametrize("command", CALLS, ids=lambda each: " ".join(each.split()[:3])[:60])
def test_its_commands(reader: Reader, address: str, command: str) -> None:
    assert "HELLO!" in reader.types(command.replace(ADDRESS, address))


def test_every_door_is_there() -> None:
    doors = {"curl", "sensorium words", "websocket", "grpc", "webrtc", "mcp", "native"}
    assert all(any(door in command for command in CALLS) for door in doors)


def test_typescript(reader: Reader, address: str) -> None:
    if shutil.which("npm") is None:
        missing("npm")
    reader.types("cd clients/typescript && npm ci --no-audit --no-fund && npm run build")
    assert "HELLO!" in reader.types(TYPESCRIPT.replace(ADDRESS, address))
