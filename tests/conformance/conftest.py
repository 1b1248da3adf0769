"""The doors, opened once for the whole suite."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import doors
from tests.conformance.driver import FULL, Driver
from tests.conformance.loop import BackgroundLoop
from tests.servers import serving

DOORS = ("driver", "keyed", "timed")
"""The fixtures that are a door."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A door is asked only for the kinds of operations that it carries."""
    beyond = {item for item in items if not _is_carried(item)}
    if beyond:
        config.hook.pytest_deselected(items=list(beyond))
    items[:] = [item for item in items if item not in beyond]


def _is_carried(item: pytest.Item) -> bool:
    given = item.callspec.params if hasattr(item, "callspec") else {}
    operation = given.get("operation")
    names = [given[fixture] for fixture in DOORS if fixture in given]
    return operation is None or all(doors.carries(name, operation.kind) for name in names)


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
    environ |= {f"SENSORIUM_{name.upper()}": value for name, value in doors.ROOM.items()}
    flags = ("--mode", "all", "--grpc-port", "0", "--mcp-operations", "*")
    with serving(*flags, environ=environ) as server:
        yield loop.enter(doors.opened(server, keys, data_dir))
        loop.leave()


@pytest.fixture(params=doors.NAMES)
def driver(request: pytest.FixtureRequest, all_doors: dict[str, Driver]) -> Driver:
    return all_doors[request.param]


@pytest.fixture(params=doors.KEYED)
def keyed(request: pytest.FixtureRequest, all_doors: dict[str, Driver]) -> Driver:
    """A door that asks for keys."""
    return all_doors[request.param]


@pytest.fixture(params=doors.TIMED)
def timed(request: pytest.FixtureRequest, all_doors: dict[str, Driver]) -> Driver:
    """A door whose callers can say how long they wait."""
    return all_doors[request.param]


@pytest.fixture(scope="package")
def reference(all_doors: dict[str, Driver]) -> Driver:
    return all_doors[doors.REFERENCE]
