"""What every test may use."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import PLUGIN, Server, serving

sys.path.insert(0, str(PLUGIN))
# A suite in the background of a shell inherits that Ctrl-C is ignored, and its servers would too.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A process that shares its cores may stand still for longer than any example takes.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that many tests share; one that changes or breaks it starts its own."""
    with serving() as running:
        yield running


def missing(what: str) -> None:
    """Skip for a missing program; where everything was to be installed, fail instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and here it must not be")
    pytest.skip(f"{what} is not installed")
