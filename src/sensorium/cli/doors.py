"""What `sensorium doctor` finds of the doors: can each be opened here?"""

import socket
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Literal, NamedTuple

from sensorium.app import LIBRARIES, Settings
from sensorium.cli.native import installed, problem_of
from sensorium.client import Sensorium
from sensorium.core.errors import SensoriumError
from sensorium.core.loading import how_to_install

State = Literal["ok", "missing", "failed"]
PROBE_S = 1.0
PLACES = {"mcp": "at /mcp of http, or `sensorium mcp`", "webrtc": "takes its offers over http"}


class Finding(NamedTuple):
    """What was looked at, how it is, and what to do if it is not well."""

    check: str
    state: State
    detail: str


def doors(settings: Settings) -> Iterator[Finding]:
    """Each door, and the browsers that may start us."""
    running = _running(settings)
    ports = {
        "http": (settings.http.port, "--port"),
        "grpc": (settings.grpc.grpc_port, "--grpc-port"),
    }
    for name, library in LIBRARIES.items():
        if find_spec(library) is None:
            yield Finding(f"door {name}", "missing", how_to_install(library))
        elif name in ports:
            yield _port(f"door {name}", settings.http.host, *ports[name], running)
        else:
            yield Finding(f"door {name}", "ok", PLACES[name])
    yield from _browsers()


def _port(check: str, host: str, port: int, flag: str, running: str) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if running:
            return Finding(check, "ok", running)
        why = error.strerror or str(error)
        return Finding(check, "failed", f"{host} port {port}: {why}; choose another with {flag}")
    return Finding(check, "ok", f"{host} port {port} is free")


def _running(settings: Settings) -> str:
    """What to say of a port that a Sensorium has already, which is no failure."""
    scheme = "https" if settings.http.tls_certificate else "http"
    url = f"{scheme}://127.0.0.1:{settings.http.port}"
    try:
        with Sensorium(url, retries=0, timeout_s=PROBE_S) as client:
            return f"Sensorium {client.system.health().version} runs at {url} already"
    except SensoriumError:
        return ""


def _browsers() -> Iterator[Finding]:
    for browser, manifest in installed().items():
        problem = problem_of(manifest)
        detail = f"{manifest}: {problem}; install it again" if problem else str(manifest)
        yield Finding(f"native messaging, {browser}", "failed" if problem else "ok", detail)
