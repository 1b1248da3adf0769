"""Files that are damaged after they were fetched: a pull finds them, and fetches those anew."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sensorium.core.errors import CancelledCallError, UnavailableError
from sensorium.core.operation import Work
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.hub import staging as staging_module
from sensorium.models.hub.kernel import exchange
from sensorium.models.hub.place import Place
from sensorium.models.hub.progress import PullProgress
from sensorium.models.hub.pull import pull
from sensorium.models.hub.soundness import Kept, find_damaged
from sensorium.models.hub.staging import Staging
from tests.models.hub.fake import FakeHub
from tests.models.hub.pulling import all_of, content, leftovers, never, noise, pulled

ONE, TWO, CARD = noise(3_000_000, 1), noise(2_000_000, 2), b"MIT"
FILES = {"m-one.gguf": ONE, "m-two.gguf": TWO, "LICENSE": CARD}


@pytest.fixture
def folder(hub: FakeHub, place: Place) -> Path:
    """A model that is here."""
    hub.add("org/m", FILES)
    pulled("org/m:one", place)
    return place.cache / "org--m"


def rot(file: Path) -> bytes:
    """Change a byte of a file and neither its size nor its time; returns what it was."""
    before, stat = file.read_bytes(), file.stat()
    middle = len(before) // 2
    with file.open("r+b") as opened:
        opened.seek(middle)
        opened.write(bytes([before[middle] ^ 1]))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return before


@pytest.mark.parametrize("damage", ["rot", "short", "unreadable"])
def test_a_damaged_file_is_fetched_anew(
    hub: FakeHub, place: Place, folder: Path, damage: str
) -> None:
    file = folder / "m-one.gguf"
    if damage == "rot":
        rot(file)
    elif damage == "short":
        os.truncate(file, 1_000_000)
    else:
        file.unlink()
        file.symlink_to("/proc/self/mem")  # a file whose reading fails, as that of a bad disk
    before = hub.sent_bytes
    told, outcome = all_of("org/m:one", place)
    assert outcome.fetched_bytes == hub.sent_bytes - before == len(ONE)
    assert outcome.verified
    assert content(folder) == {"m-one.gguf": ONE, "LICENSE": CARD}
    assert "checking" in {item.phase for item in told}
    assert leftovers(place) == []
    assert pulled("org/m:one", place).fetched_bytes == 0


def test_a_pull_of_another_variant_takes_no_damaged_file_over(
    hub: FakeHub, place: Place, folder: Path
) -> None:
    rot(folder / "m-one.gguf")
    rot(folder / "LICENSE")
    outcome = pulled("org/m:two", place)
    assert outcome.fetched_bytes == len(ONE) + len(TWO) + len(CARD)
    assert content(folder) == FILES
    assert len(Catalogue(place.cache).entries()) == 2


def test_a_variant_that_cannot_be_mended_goes(hub: FakeHub, place: Place, folder: Path) -> None:
    rot(folder / "m-one.gguf")
    hub.add("org/m", {"m-two.gguf": TWO}, commit="d1" * 20)
    assert pulled("org/m:two", place).name == "org--m"
    assert content(folder) == {"m-two.gguf": TWO}


@pytest.mark.parametrize("named", [False, True])
def test_a_damaged_file_of_a_web_address_is_fetched_anew(
    hub: FakeHub, place: Place, named: bool
) -> None:
    hub.files["m.onnx"] = ONE
    url = f"{hub.url}/files/m.onnx"
    digest = pulled(url, place).digest
    rot(place.cache / "m" / "m.onnx")
    assert pulled(url, place, sha256=digest if named else "").fetched_bytes == len(ONE)
    assert content(place.cache / "m") == {"m.onnx": ONE}


def test_a_damaged_model_is_not_called_verified_without_the_network(
    place: Place, folder: Path
) -> None:
    offline = replace(place, offline=True)
    assert pulled("org/m:one", offline).verified
    rot(folder / "m-one.gguf")
    with pytest.raises(UnavailableError, match="damaged"):
        pulled("org/m:one", offline)


def test_what_an_earlier_pull_completed_is_hashed_again(
    hub: FakeHub, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/m", FILES)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Staging, "publish", die)
        with pytest.raises(KeyboardInterrupt):
            pulled("org/m:one", place)
    rot(Staging(place.cache, "org--m").tree / "m-one.gguf")
    assert pulled("org/m:one", place).fetched_bytes == len(ONE)
    assert content(place.cache / "org--m") == {"m-one.gguf": ONE, "LICENSE": CARD}


def test_the_old_files_of_a_killed_pull_are_not_taken_for_new_ones(
    hub: FakeHub, place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the new folder took its place, before the old one was removed."""
    newer = noise(len(ONE), 9)
    hub.add("org/m", {**FILES, "m-one.gguf": newer}, commit="d1" * 20)

    def swap_and_die(one: Path, other: Path) -> bool:
        if not exchange(one, other):
            pytest.skip("this system cannot swap two folders")
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(staging_module, "exchange", swap_and_die)
        with pytest.raises(KeyboardInterrupt):
            pulled("org/m:one", place)
    assert (folder / "m-one.gguf").read_bytes() == newer
    rot(folder / "m-one.gguf")
    pulled("org/m:one", place)
    assert content(folder) == {"m-one.gguf": newer, "LICENSE": CARD}


def test_checking_tells_how_far_it_is_and_can_be_cancelled(place: Place, folder: Path) -> None:
    work = Work()
    steps = pull("org/m:one", place, check=work.check)
    item = next(item for item in steps if item.phase == "checking")
    assert 0 < item.done_bytes < item.total_bytes == len(ONE) + len(CARD)
    work.cancel()
    with pytest.raises(CancelledCallError):
        list(steps)
    assert content(folder) == {"m-one.gguf": ONE, "LICENSE": CARD}


def test_hashing_asks_for_every_block_whether_it_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as opened:
        opened.truncate(64 << 20)
    asked: list[float] = []
    kept = [Kept("large", file, 64 << 20, "")]
    assert list(find_damaged(kept, lambda: asked.append(time.monotonic())))
    assert len(asked) == 64


def test_what_a_pull_just_fetched_is_not_hashed_by_those_who_waited(
    hub: FakeHub, place: Place
) -> None:
    hub.add("org/m", FILES)
    first, second = (pull("org/m:one", place, check=never) for _ in range(2))
    next(first)
    waiting: Iterator[PullProgress] = (item for item in second)
    assert next(waiting).phase == "waiting"
    list(first)
    assert {item.phase for item in waiting} == {"resolving", "done"}
