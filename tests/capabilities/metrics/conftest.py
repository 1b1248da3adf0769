"""A call's context, and series made of numbers."""

import pytest

from sensorium.core.operation import Work


@pytest.fixture
def context() -> Work:
    return Work()
