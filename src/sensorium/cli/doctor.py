"""`sensorium doctor`: is everything here that a server needs, and how does one get what is not?"""

import asyncio
import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions
from importlib.metadata import version as version_of
from importlib.util import find_spec
from tempfile import TemporaryFile

from msgspec.structs import replace

from sensorium.app import App, Settings, load_settings
from sensorium.cli import hardware
from sensorium.cli.connect import Target
from sensorium.cli.doors import Finding, doors
from sensorium.cli.render import FAILED, Output
from sensorium.core.dispatch import Caller
from sensorium.core.errors import SensoriumError
from sensorium.core.loading import EXTRAS, how_to_install
from sensorium.core.version import VERSION

STYLES = {"ok": "", "missing": "yellow", "failed": "red"}
PROBES = {"opentelemetry": "opentelemetry.sdk"}
"""What to look for, where others bring a part of a library."""
OLDEST = (3, 11)
WORKER_S = 30.0


def doctor(
    *,
    target: Target = Target(),  # noqa: B008 - frozen
    output: Output = Output(),  # noqa: B008 - frozen
) -> int:
    """Check what a server needs: Python, libraries, data folder, doors, workers.

    With --server, check also that it answers, and that it takes the key. The exit status is 1
    where something failed; a missing extra is no failure.
    """
    findings = list(_findings(target))
    if output.as_json:
        output.value([finding._asdict() for finding in findings])
    else:
        styles = [STYLES[finding.state] for finding in findings]
        output.table(["check", "state", "detail"], findings, styles=styles, kept=3)
    return FAILED if any(finding.state == "failed" for finding in findings) else 0


def _findings(target: Target) -> Iterator[Finding]:
    yield _python()
    yield Finding("platform", "ok", platform.platform())
    yield from hardware.findings()
    yield from _extras()
    try:
        settings = load_settings()
    except SensoriumError as error:
        yield Finding("settings", "failed", error.message)
        return
    yield Finding("settings", "ok", _origins(settings))
    yield _data_folder(settings)
    yield from doors(settings)
    yield _worker(settings)
    if target.server:
        yield from _server(target)


def _python() -> Finding:
    detail = (
        f"{platform.python_version()} ({platform.python_implementation()}), Sensorium {VERSION}"
    )
    if sys.version_info >= OLDEST:
        return Finding("python", "ok", detail)
    return Finding("python", "failed", f"{detail}: Sensorium needs Python 3.11 or newer")


def _extras() -> Iterator[Finding]:
    distributions = packages_distributions()
    for extra in dict.fromkeys(EXTRAS.values()):
        libraries = [each for each, brings in EXTRAS.items() if brings == extra]
        missing = [each for each in libraries if not _is_there(PROBES.get(each, each))]
        if missing:
            yield Finding(f"extra {extra}", "missing", how_to_install(missing[0]))
            continue
        names = dict.fromkeys(distributions.get(each, [each])[0] for each in libraries)
        versions = ", ".join(f"{name} {_version(name)}" for name in names)
        yield Finding(f"extra {extra}", "ok", versions)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is a part of
        return False


def _version(distribution: str) -> str:
    try:
        return version_of(distribution)
    except PackageNotFoundError:
        return "installed"


def _origins(settings: Settings) -> str:
    changed = sum(each.origin != "default" for each in settings.account)
    return f"{changed} of {len(settings.account)} set; `sensorium config show` lists them"


def _data_folder(settings: Settings) -> Finding:
    folder = settings.data_dir
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with TemporaryFile(dir=there) as file:
            file.write(b"written")
    except OSError as error:
        why = error.strerror or str(error)
        return Finding("data folder", "failed", f"{folder}: {why}; choose another with --data-dir")
    detail = str(folder) if there == folder else f"{folder} (made when first needed)"
    return Finding("data folder", "ok", detail)


def _worker(settings: Settings) -> Finding:
    try:
        took_s = asyncio.run(_try_worker(settings))
    except (SensoriumError, OSError) as error:
        return Finding("worker process", "failed", str(error))
    return Finding("worker process", "ok", f"started and answered within {took_s:.1f} s")


async def _try_worker(settings: Settings) -> float:
    """Seconds that the first call to a fresh worker process takes."""
    name = "metrics.detect_anomalies"
    began = time.perf_counter()
    app = App(replace(settings, control=replace(settings.control, workers=1)))
    async with app.running():
        example = app.registry.get(name).example
        assert example is not None
        await app.dispatcher.call(name, example, Caller(door="cli", deadline_s=WORKER_S))
    return time.perf_counter() - began


def _server(target: Target) -> Iterator[Finding]:
    try:
        with target.client() as client:
            health = client.system.health()
            yield Finding("server", "ok", f"{target.server} answers: Sensorium {health.version}")
            known = client.system.operations()
        yield Finding("server's key", "ok", f"{len(known.operations)} operations may be seen")
    except SensoriumError as error:
        yield Finding("server", "failed", error.message)
