"""Memory that two processes share: every byte arrives, and every region comes back."""

import os
import random
import threading

import pytest

from sensorium.workers.shared import KEPT, PAGE, SIZE, Arena

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memfd here")


@pytest.fixture
def arena():
    made = Arena.create()
    yield made
    made.close()


@pytest.mark.parametrize("size", [0, 1, PAGE, PAGE + 1, 1_000_000])
def test_what_is_put_is_seen_through_another_mapping(arena, size):
    data = os.urandom(size)
    region = arena.put(data)
    other = Arena(os.dup(arena.descriptor))
    seen = other.view(region)
    assert bytes(seen) == data
    assert seen.readonly
    seen.release()
    other.close()


def test_regions_never_overlap_and_all_come_back(arena):
    dice, held = random.Random(1), {}
    for turn in range(3000):
        if held and dice.random() < 0.5:
            region = dice.choice(list(held))
            assert bytes(arena.view(region)) == held.pop(region)
            arena.free([region])
        else:
            data = bytes([turn % 256]) * dice.randint(1, 40_000)
            held[arena.put(data)] = data
    arena.free(list(held))
    assert arena.put(b"x") == (0, 1)


def test_a_full_arena_says_so_and_takes_more_when_some_is_freed(arena):
    part = memoryview(bytearray(SIZE // 8))
    regions = [arena.put(part) for _ in range(8)]
    assert None not in regions
    assert arena.put(b"x") is None
    arena.free(regions[3:4])
    assert arena.put(part) == regions[3]


def test_an_arena_that_grew_gives_memory_back_when_it_is_empty(arena):
    region = arena.put(bytearray(2 * KEPT))
    assert os.stat(arena.descriptor).st_blocks * 512 >= 2 * KEPT
    arena.free([region])
    assert os.stat(arena.descriptor).st_blocks * 512 < KEPT


@pytest.mark.parametrize("region", [(-1, 10), (SIZE, 1), (SIZE - 1, 2), (0, -1), (0, SIZE + 1)])
def test_a_region_outside_is_refused(arena, region):
    with pytest.raises(ValueError, match="outside"):
        arena.view(region)


def test_threads_do_not_get_in_each_others_way(arena):
    failures = []

    def work(mark):
        for _ in range(300):
            data = bytes([mark]) * 20_000
            region = arena.put(data)
            if bytes(arena.view(region)) != data:
                failures.append(mark)
            arena.free([region])

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
