"""Disks that are full, fill up or cannot be written to: said plainly, and nothing half there."""

import os
import subprocess
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sensorium.core.errors import SensoriumError, UnavailableError
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.hub import room
from sensorium.models.hub.place import Place
from tests.conftest import missing
from tests.models.hub.fake import FakeHub, Trouble
from tests.models.hub.pulling import noise, pulled

FILE = "m.gguf"
Usage = namedtuple("Usage", "total used free")


def mount(folder: Path, options: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command).returncode:
        missing("the right to mount a file system")


@pytest.fixture
def small_disk(place: Place) -> Iterator[Place]:
    """A file system of our own with 4 MiB."""
    mount(place.cache, "size=4m")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place.cache)], check=True)


def refused(reference: str, place: Place) -> SensoriumError:
    with pytest.raises(SensoriumError) as error:
        pulled(reference, place)
    assert str(place.cache) not in error.value.message
    return error.value


def test_a_model_that_is_too_large_is_not_begun(hub: FakeHub, small_disk: Place) -> None:
    hub.add("org/m", {FILE: noise(6_000_000)})
    error = refused("org/m", small_disk)
    assert isinstance(error, UnavailableError)
    assert error.details["reason"] == "no_room"
    assert error.details["needed_bytes"] == 6_000_000
    assert 2_000_000 < error.details["missing_bytes"] < 6_000_000
    assert "6 MB are needed" in error.message
    assert hub.sent_bytes == 0


def test_a_web_file_that_turns_out_too_large(hub: FakeHub, small_disk: Place) -> None:
    hub.files[FILE] = noise(6_000_000)
    error = refused(f"{hub.url}/files/{FILE}", small_disk)
    assert error.details["reason"] == "no_room"
    assert hub.sent_bytes < 6_000_000


def test_a_disk_that_fills_up_meanwhile(hub: FakeHub, small_disk: Place) -> None:
    hub.files[FILE] = noise(6_000_000)
    hub.trouble = lambda asked: Trouble(no_range=True, chunked=True)
    error = refused(f"{hub.url}/files/{FILE}", small_disk)
    assert error.details["reason"] == "no_room"
    assert Catalogue(small_disk.cache).entries() == []
    hub.files[FILE] = noise(1_000_000)
    hub.trouble = lambda asked: None
    assert pulled(f"{hub.url}/files/{FILE}", small_disk).fetched_bytes == 1_000_000


def test_a_copy_that_finds_no_room(hub: FakeHub, small_disk: Place, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(noise(6_000_000))
    assert refused(f"file://{tmp_path}/{FILE}", small_disk).details["reason"] == "no_room"


def test_what_is_on_disk_already_needs_no_room(
    hub: FakeHub, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/m", {FILE: noise(5_000_000)})
    hub.trouble = lambda asked: Trouble(cut_after=900_000)
    refused("org/m", replace(place, attempts=1))
    monkeypatch.setattr(
        room.shutil, "disk_usage", lambda path: Usage(10_000_000, 4_500_000, 5_500_000)
    )
    hub.trouble = lambda asked: None
    assert pulled("org/m", place).verified
    hub.add("org/n", {FILE: noise(5_000_000)})
    assert refused("org/n", place).details["missing_bytes"] > 0


@pytest.mark.parametrize("reference", ["org/m", "WEB", "LOCAL"])
def test_a_folder_that_cannot_be_written_to(
    hub: FakeHub, place: Place, tmp_path: Path, reference: str
) -> None:
    hub.add("org/m", {FILE: noise(20_000)})
    hub.files[FILE] = noise(20_000)
    (tmp_path / FILE).write_bytes(b"x")
    text = {"WEB": f"{hub.url}/files/{FILE}", "LOCAL": f"file://{tmp_path}/{FILE}"}
    mount(place.cache, "ro")
    try:
        error = refused(text.get(reference, reference), place)
        assert error.details["reason"] == "unwritable"
        assert Catalogue(place.cache).entries() == []
    finally:
        subprocess.run(["umount", str(place.cache)], check=True)


def test_a_place_that_is_a_file(hub: FakeHub, place: Place) -> None:
    hub.add("org/m", {FILE: noise(20_000)})
    place.cache.write_text("x")
    assert refused("org/m", place).details["reason"] == "unwritable"
    assert Catalogue(place.cache).entries() == []
