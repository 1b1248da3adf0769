"""HTTPS from settings."""

import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.servers import ROOT, serving


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1"
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*request.split(), *name, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_it_serves_https_and_its_own_health_check_follows(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    flags = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    with serving(*flags, ready=False) as server:
        assert server.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(certificate))
        answer = httpx.get(f"{server.url}/v1/health", verify=context)
        assert answer.json()["status"] == "live"
        environment = {
            "PYTHONPATH": str(ROOT / "src"),
            "SENSORIUM_PORT": server.url.rpartition(":")[2],
            "SENSORIUM_TLS_CERTIFICATE": str(certificate),
        }
        health = [server.process.args[0], "-m", "sensorium", "health"]  # type: ignore[index]
        assert subprocess.run(health, env=environment, check=False).returncode == 0


def test_a_certificate_that_is_none_stops_the_start(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with (
        pytest.raises(RuntimeError, match="the TLS certificate cannot be used"),
        serving("--tls-certificate", str(nonsense), ready=False),
    ):
        pytest.fail("it started")
