"""A server with small models, and Triton's own client in an environment of its own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.models import files
from tests.servers import ROOT, Server, serving

PINNED = Path(__file__).parent / "tritonclient.txt"
PLACE = ROOT / ".venv" / "tritonclient"
Script = Callable[[str], Any]


@pytest.fixture(scope="session")
def triton_python() -> Path:
    """Python with tritonclient, which wants another protobuf than ours."""
    python, stamp = PLACE / "bin" / "python", PLACE / "installed.txt"
    if not stamp.exists() or stamp.read_text() != PINNED.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", PLACE], check=True)
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *quiet, "-r", PINNED], check=True)
        stamp.write_text(PINNED.read_text())
    return python


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models."""
    folder = tmp_path_factory.mktemp("models")
    files.mlp(folder / "mlp")
    files.mlp(folder / "org--mlp")
    files.echo(folder / "echo")
    files.mlp(folder / "versions" / "1", seed=1)
    files.mlp(folder / "versions" / "2", seed=2)
    files.identity(folder / "strings", 8, [None])
    for kind, name in ((9, "bool"), (3, "int8"), (13, "uint64"), (10, "fp16"), (11, "fp64")):
        files.identity(folder / f"identity_{name}", kind, [None, 2])
    (folder / "damaged").mkdir()
    (folder / "damaged" / "model.onnx").write_bytes(b"\x08\x09nothing")
    return folder


@pytest.fixture(scope="session")
def served(models: Path) -> Iterator[Server]:
    """A server with those models, on HTTP and gRPC."""
    environ = {"SENSORIUM_MODEL_CACHE_PATH": str(models)}
    with serving("--mode", "http,grpc", "--grpc-port", "0", environ=environ) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def triton(triton_python: Path, served: Server) -> Script:
    """Run a script with Triton's client; `result` is what it leaves, as JSON."""
    port = served.port("grpc")

    def run(script: str) -> Any:
        whole = (
            "import json, numpy as np\n"
            f"HTTP, GRPC = {served.url.removeprefix('http://')!r}, '127.0.0.1:{port}'\n"
            f"{script}\nprint(json.dumps(result))\n"
        )
        done = subprocess.run(
            [triton_python, "-W", "ignore", "-c", whole], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
