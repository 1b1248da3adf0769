"""Calls without a server, and sample lines of several made-up systems."""

from collections.abc import Callable
from typing import Any

import pytest

from sensorium.capabilities.logs.operations import cluster
from sensorium.capabilities.logs.schema import ClusterRequest, ClusterResponse
from sensorium.core.operation import Work

Clusterer = Callable[..., ClusterResponse]


@pytest.fixture
def clustered() -> Clusterer:
    def call(lines: list[str], **options: Any) -> ClusterResponse:
        return cluster(ClusterRequest(lines=lines, **options), Work())

    return call
