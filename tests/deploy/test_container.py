"""The image's own steps without a container engine: lint it, build it, install it, start it.

No engine is needed: the Dockerfile's environment and commands are read from it and run in a clean
folder, as an unprivileged user.
"""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import missing
from tests.faults.observing import until
from tests.servers import ROOT, reserved_port

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SYSTEM_PYTHON = "/usr/bin/python3"
MAX_INSTALLED_MB = 460
"""Of that, ONNX Runtime has 80, numpy 75, the hub's client 35."""
MAX_RESIDENT_MB = 120


def run(*command: str, **options: object) -> None:
    """Run a command to its end; its output is shown where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """A folder with what the image's last stage holds: the installed environment, and /data."""
    if subprocess.run([SYSTEM_PYTHON, "-c", "import ensurepip"], check=False).returncode:
        missing("python3-venv")
    root = Path(tempfile.mkdtemp(prefix="image-"))
    root.chmod(0o755)
    try:
        env = root / "sensorium"
        run(SYSTEM_PYTHON, "-m", "venv", str(env))
        pip = [str(env / "bin" / "pip"), "--disable-pip-version-check", "-q"]
        run(*pip, "install", "--require-hashes", "-r", str(ROOT / "requirements" / "base.lock"))
        run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(root), str(ROOT))
        (wheel,) = root.glob("*.whl")
        run(*pip, "install", "--no-deps", str(wheel))
        tools = re.search(r"pip uninstall -y -q ([^\\\n&]+)", DOCKERFILE)
        assert tools is not None
        run(*pip, "uninstall", "-y", *tools[1].split())
        run(str(env / "bin" / "python"), "-m", "compileall", "-q", str(env / "lib"))
        yield root
    finally:
        shutil.rmtree(root)


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


def environment(root: Path, port: int) -> dict[str, str]:
    """The image's environment, with its folders inside ours."""
    block = re.search(r"^ENV PATH=(.*?[^\\])\n", DOCKERFILE, re.DOTALL | re.MULTILINE)
    assert block is not None
    pairs = dict(pair.split("=", 1) for pair in block[1].replace("\\\n", " ").split()[1:])
    assert pairs["PORT"] == "8080"
    pairs |= {"PORT": str(port), "SENSORIUM_DATA_DIR": str(root / "data")}
    return {"PATH": f"{root}/sensorium/bin:/usr/bin:/bin", **pairs}


def start(root: Path, log: Path, port: int, *, writable: bool) -> "subprocess.Popen[bytes]":
    """Start it as the image does, as a user that owns at most its data folder."""
    nobody = pwd.getpwnam("nobody")
    data = root / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    if os.geteuid() == 0:
        os.chown(data, nobody.pw_uid if writable else 0, nobody.pw_gid)
    data.chmod(0o700 if writable else 0o555)
    entry = re.search(r'^ENTRYPOINT \["(.+)"\]\nCMD \["(.+)"\]', DOCKERFILE, re.MULTILINE)
    assert entry is not None
    user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with log.open("wb") as errors:
        return subprocess.Popen(
            [f"{root}/sensorium/bin/{entry[1]}", entry[2]],
            env=environment(root, port),
            cwd="/",
            stderr=errors,
            **(user if os.geteuid() == 0 else {}),
        )


def until_live(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when it answers its health address."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("it did not start:\n" + log.read_text())


@pytest.mark.timeout(400)
@pytest.mark.parametrize("writable", [True, False])
def test_it_starts_as_the_image_does_and_wants_its_key(
    image: Path, tmp_path: Path, port: int, writable: bool
) -> None:
    log, url = tmp_path / "log", f"http://127.0.0.1:{port}"
    process = start(image, log, port, writable=writable)
    try:
        until_live(url, process, log)
        key = until(lambda: re.search(r"API key +(\S+)", log.read_text()), 5)
        body = {"lines": ["disk full on 10.0.0.1", "disk full on 10.0.0.2"]}
        refused = httpx.post(f"{url}/v1/logs/cluster", json=body, timeout=30)
        accepted = httpx.post(
            f"{url}/v1/logs/cluster", json=body, headers={"x-api-key": key[1]}, timeout=30
        )
        assert refused.status_code == 401, log.read_text()
        assert accepted.json()["clusters"][0]["count"] == 2
        health = [f"{image}/sensorium/bin/sensorium", "health"]
        assert subprocess.run(health, env=environment(image, port), check=False).returncode == 0
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        resident_mb = sum(each.memory_full_info().pss for each in family) / 1e6
        assert resident_mb < MAX_RESIDENT_MB
        assert key[1] not in (image / "data" / "keys.json").read_text() if writable else True
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.timeout(400)
def test_it_is_small(image: Path) -> None:
    size_mb = sum(f.stat().st_size for f in image.rglob("sensorium/**/*") if f.is_file()) / 1e6
    assert size_mb < MAX_INSTALLED_MB


def test_the_dockerfile_passes_its_linter() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    if not linter.exists():
        missing("hadolint")
    run(str(linter), str(DEPLOY / "Dockerfile"))


def test_the_dockerfile_is_multi_stage_and_unprivileged() -> None:
    assert len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)) == 2
    assert re.search(r"^USER [1-9]\d*$", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE
