"""Pulls that are cancelled, killed or joined: nothing is fetched twice, nothing is half there."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sensorium.core.errors import CancelledCallError, ConflictError, DeadlineExceededError
from sensorium.core.operation import Work
from sensorium.models.catalogue.catalogue import Catalogue
from sensorium.models.hub.place import MIB, Place
from sensorium.models.hub.progress import PullOutcome, PullProgress
from sensorium.models.hub.pull import pull
from tests.models.hub.fake import FakeHub, Trouble
from tests.models.hub.pulling import all_of, content, leftovers, never, noise, pulled
from tests.servers import ROOT

FILE = "m.gguf"
DATA = noise(20_000_000)
MARGIN = 4 * MIB
"""What may be fetched again here: a block for each of four connections."""

PULLER = """
import json, sys
from pathlib import Path
from sensorium.models.hub.place import MIB, Place
from sensorium.models.hub.pull import pull
endpoint, cache, reference = sys.argv[1:]
place = Place(cache=Path(cache), endpoint=endpoint, connections=4, range_bytes=2 * MIB)
for item in pull(reference, place, check=lambda: None):
    fetched = item.outcome.fetched_bytes if item.outcome else None
    print(json.dumps([item.phase, item.done_bytes, fetched]), flush=True)
"""


def start_puller(hub: FakeHub, cache: Path, reference: str = "org/m") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PULLER, hub.url, str(cache), reference],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


def finish(process: "subprocess.Popen[str]") -> list[list[object]]:
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return [json.loads(line) for line in told.splitlines()]


@pytest.fixture(autouse=True)
def repository(hub: FakeHub) -> None:
    hub.add("org/m", {FILE: DATA})


def slowly(hub: FakeHub, bytes_per_s: float = 3e6) -> None:
    """Have each connection bring so much."""
    hub.trouble = lambda asked: Trouble(rate=bytes_per_s)


def run_until(
    steps: Iterator[PullProgress], reached: Callable[[PullProgress], bool]
) -> PullProgress:
    for item in steps:
        if reached(item):
            return item
    raise AssertionError("the pull ended before")


def test_a_killed_pull_is_gone_on_with(hub: FakeHub, place: Place) -> None:
    slowly(hub)
    process = start_puller(hub, place.cache)
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if json.loads(line)[1] > 8_000_000:
                break
        process.send_signal(signal.SIGKILL)
    first = hub.sent_bytes
    assert first < len(DATA)
    assert Catalogue(place.cache).entries() == []
    hub.trouble = lambda _: None
    outcome = pulled("org/m", place)
    assert content(place.cache / "org--m") == {FILE: DATA}
    again = outcome.fetched_bytes - (len(DATA) - first)
    assert again < MARGIN + 4 * MIB, "a block, and what was in the sockets, for each connection"
    assert outcome.fetched_bytes < len(DATA) - 8_000_000 + MARGIN
    assert leftovers(place) == []


def test_a_pull_of_a_web_address_that_was_killed_is_gone_on_with(
    hub: FakeHub, place: Place
) -> None:
    hub.files[FILE] = DATA
    slowly(hub)
    url = f"{hub.url}/files/{FILE}"
    process = start_puller(hub, place.cache, url)
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if json.loads(line)[1] > 8_000_000:
                break
        process.send_signal(signal.SIGKILL)
    hub.trouble = lambda _: None
    assert pulled(url, place).fetched_bytes < len(DATA) - 8_000_000 + MARGIN
    assert content(place.cache / "m") == {FILE: DATA}


def test_what_was_left_of_another_file_is_not_gone_on_with(hub: FakeHub, place: Place) -> None:
    hub.files[FILE] = DATA
    slowly(hub)
    url = f"{hub.url}/files/{FILE}"
    steps = pull(url, place, check=never)
    run_until(steps, lambda item: item.done_bytes > 4_000_000)
    steps.close()
    hub.files[FILE] = other = noise(20_000_000, seed=1)
    hub.trouble = lambda _: None
    assert pulled(url, place).fetched_bytes == len(other)
    assert content(place.cache / "m") == {FILE: other}


def test_what_was_damaged_on_the_disk_is_fetched_again(hub: FakeHub, place: Place) -> None:
    slowly(hub)
    steps = pull("org/m", place, check=never)
    run_until(steps, lambda item: item.done_bytes > 6_000_000)
    steps.close()
    (data,) = (place.cache / ".partial" / "org--m" / "parts").glob("*.data")
    with data.open("r+b") as file:
        file.write(b"\0" * len(DATA))
    hub.trouble = lambda _: None
    assert pulled("org/m", place).verified
    assert content(place.cache / "org--m") == {FILE: DATA}


@pytest.mark.parametrize("damage", ["", "{", '{"url":"x"}', "\0" * 100])
def test_a_damaged_journal_is_begun_anew(hub: FakeHub, place: Place, damage: str) -> None:
    slowly(hub)
    steps = pull("org/m", place, check=never)
    run_until(steps, lambda item: item.done_bytes > 3_000_000)
    steps.close()
    for header in (place.cache / ".partial" / "org--m" / "parts").glob("*.json"):
        header.write_text(damage)
    hub.trouble = lambda _: None
    assert pulled("org/m", place).verified


def test_a_cancelled_pull_stops_at_once_and_is_gone_on_with(hub: FakeHub, place: Place) -> None:
    slowly(hub, 4e5)
    work = Work()
    steps = pull("org/m", place, check=work.check)
    told = run_until(steps, lambda item: item.done_bytes > 6_000_000)
    work.cancel()
    begun = time.monotonic()
    with pytest.raises(CancelledCallError):
        list(steps)
    assert time.monotonic() - begun < 7, "all the rest takes longer"
    assert Catalogue(place.cache).entries() == []
    hub.trouble = lambda _: None
    outcome = pulled("org/m", place)
    assert outcome.fetched_bytes <= len(DATA) - told.done_bytes + MARGIN
    assert content(place.cache / "org--m") == {FILE: DATA}


def test_a_pull_is_asked_often_whether_it_is_wanted(hub: FakeHub, place: Place) -> None:
    slowly(hub)
    asked: list[float] = []
    told = list(pull("org/m", place, check=lambda: asked.append(time.monotonic())))
    gaps = sorted(later - before for before, later in itertools.pairwise(asked))
    assert gaps[len(gaps) // 2] < 0.2
    assert gaps[int(len(gaps) * 0.9)] < 1.5, "on a busy machine too"
    seconds = asked[-1] - asked[0]
    assert 3 < len(told) < 10 * seconds + 3, "told often, not too often"


def test_a_pull_is_late_while_a_server_stalls(hub: FakeHub, place: Place) -> None:
    hub.trouble = lambda asked: Trouble(stall_after=1000)
    work = Work(deadline=time.monotonic() + 0.4)
    begun = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        all_of("org/m", replace(place, stall_s=30), check=work.check)
    assert time.monotonic() - begun < 20


def test_two_threads_pull_once(hub: FakeHub, place: Place) -> None:
    slowly(hub)
    results: list[tuple[list[PullProgress], PullOutcome]] = []
    threads = [
        threading.Thread(target=lambda: results.append(all_of("org/m", place))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert hub.sent_bytes == len(DATA)
    assert sorted(outcome.fetched_bytes for _, outcome in results) == [0, len(DATA)]
    (waited,) = (told for told, outcome in results if not outcome.fetched_bytes)
    seen = [item for item in waited if item.phase == "waiting" and item.done_bytes]
    assert seen, "it saw how far the other was"
    assert seen[0].total_bytes == len(DATA)


def test_two_processes_pull_once(hub: FakeHub, place: Place) -> None:
    hub.files[FILE] = DATA
    slowly(hub)
    url = f"{hub.url}/files/{FILE}"
    with start_puller(hub, place.cache, url) as one, start_puller(hub, place.cache, url) as other:
        told = [finish(one), finish(other)]
    assert hub.sent_bytes == len(DATA)
    assert sorted(str(lines[-1][2]) for lines in told) == ["0", str(len(DATA))]
    assert any(phase == "waiting" and done for lines in told for phase, done, _ in lines)


def test_whoever_waits_takes_over_when_the_other_is_killed(hub: FakeHub, place: Place) -> None:
    slowly(hub)
    with start_puller(hub, place.cache) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)[1] > 4_000_000:
                break
        steps = pull("org/m", place, check=never)
        run_until(steps, lambda item: item.phase == "waiting" and item.done_bytes > 0)
        process.send_signal(signal.SIGKILL)
        rest = list(steps)
    assert rest[-1].outcome is not None
    assert rest[-1].outcome.fetched_bytes < len(DATA) - 4_000_000 + MARGIN


def test_a_waiting_pull_can_be_cancelled(hub: FakeHub, place: Place) -> None:
    slowly(hub)
    first = pull("org/m", place, check=never)
    run_until(first, lambda item: item.done_bytes > 0)
    work = Work(deadline=time.monotonic() + 0.2)
    with pytest.raises(DeadlineExceededError):
        all_of("org/m", place, check=work.check)
    with pytest.raises(ConflictError, match="being fetched"):
        Catalogue(place.cache).delete("org/m")
    first.close()
    Catalogue(place.cache).delete("org/m")
    assert leftovers(place) == [], "what was begun goes with it"


def test_the_old_model_is_there_until_the_new_one_is_complete(hub: FakeHub, place: Place) -> None:
    old = noise(30_000, seed=3)
    hub.add("org/m", {FILE: old}, commit="d1" * 20)
    before = pulled("org/m", place)
    hub.add("org/m", {FILE: DATA})
    slowly(hub)
    steps = pull("org/m", place, check=never)
    for item in steps:
        found = Catalogue(place.cache).find("org/m")
        if item.phase == "done":
            break
        assert found.digest == before.digest
        assert found.path.read_bytes() == old
    assert Catalogue(place.cache).find("org/m").path.read_bytes() == DATA


def test_readers_see_the_old_or_the_new_and_never_neither(hub: FakeHub, place: Place) -> None:
    versions = [noise(20_000, seed=n) for n in (1, 2)]
    hub.add("org/m", {FILE: versions[0]}, commit="d0" * 20)
    pulled("org/m", place)
    wrong: list[object] = []
    over = threading.Event()

    def look() -> None:
        catalogue = Catalogue(place.cache)
        while not over.is_set():
            try:
                if catalogue.find("org/m").path.read_bytes() not in versions:
                    wrong.append("another file")
            except Exception as error:
                wrong.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(10):
        hub.add("org/m", {FILE: versions[turn % 2]}, commit=f"{turn:02}" * 20)
        pulled("org/m", place)
    over.set()
    reader.join()
    assert wrong == []
