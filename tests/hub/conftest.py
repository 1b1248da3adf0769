"""A server that hands its models to other nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.folder import fill
from tests.servers import Server, serving

KEY = "key-of-the-other-node"


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of models that it serves."""
    root: Path = tmp_path_factory.mktemp("node") / "models"
    fill(root)
    return root


@pytest.fixture(scope="package")
def node(models: Path) -> Iterator[Server]:
    """The server, with one key."""
    environ = {"SENSORIUM_API_KEYS": KEY, "SENSORIUM_MODEL_CACHE_PATH": str(models)}
    with serving(environ=environ) as running:
        yield running
