"""A hub on this machine and a place to pull to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sensorium.models.hub.place import MIB, Place
from tests.models.hub.fake import FakeHub, serving_hub


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving_hub() as running:
        yield running


@pytest.fixture
def place(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return Place(
        cache=tmp_path / "models",
        endpoint=hub.url,
        connections=4,
        range_bytes=MIB,
        stall_s=1.0,
        attempts=4,
    )
