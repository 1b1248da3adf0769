"""The doors, opened once for the whole suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import doors
from tests.conformance.driver import FULL, Driver
from tests.conformance.loop import BackgroundLoop
from tests.servers import serving


@pytest.fixture(scope="package")
def loop() -> Iterator[BackgroundLoop]:
    running = BackgroundLoop()
    yield running
    running.close()


@pytest.fixture(scope="package")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="package")
def keys(data_dir: Path) -> doors.Keys:
    return doors.make_keys(data_dir)


@pytest.fixture(scope="package")
def all_doors(
    loop: BackgroundLoop, keys: doors.Keys, data_dir: Path
) -> Iterator[dict[str, Driver]]:
    environ = {"SENSORIUM_API_KEYS": FULL, "SENSORIUM_DATA_DIR": str(data_dir)}
    with serving("--mode", "http,grpc", "--grpc-port", "0", environ=environ) as server:
        yield loop.enter(doors.opened(server, keys, data_dir))
        loop.leave()


@pytest.fixture(params=doors.NAMES)
def driver(request: pytest.FixtureRequest, all_doors: dict[str, Driver]) -> Driver:
    return all_doors[request.param]


@pytest.fixture(params=doors.KEYED)
def keyed(request: pytest.FixtureRequest, all_doors: dict[str, Driver]) -> Driver:
    """A door that asks for keys."""
    return all_doors[request.param]


@pytest.fixture(scope="package")
def reference(all_doors: dict[str, Driver]) -> Driver:
    return all_doors[doors.REFERENCE]
