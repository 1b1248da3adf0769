"""Files of hundreds of megabytes: streamed, not held; and what goes wrong in the middle of one."""

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.hub.conftest import KEY
from tests.servers import Server

MB = 1_000_000
SIZE = 400 * MB
ADDRESS = "/hub/org/large/resolve/main/m.gguf"
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
def large(models: Path) -> Path:
    """A file with holes, which takes no room on the disk."""
    path = models / "org--large" / "m.gguf"
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_open(node: Server, path: Path) -> bool:
    return str(path) in {each.path for each in psutil.Process(node.process.pid).open_files()}


def test_large_files_are_streamed_and_not_held(node: Server, large: Path) -> None:
    server = psutil.Process(node.process.pid)
    with node.client(headers=HEADERS) as http:
        assert http.head(ADDRESS).headers["content-length"] == str(SIZE)
        etag = http.head(ADDRESS).headers["etag"]
        http.get(ADDRESS, headers={"range": "bytes=0-9"})
    before = server.memory_info().rss
    most = before

    def fetch(_: int) -> str:
        nonlocal most
        digest = hashlib.sha256()
        with node.client(headers=HEADERS) as http, http.stream("GET", ADDRESS) as answer:
            for number, piece in enumerate(answer.iter_raw()):
                digest.update(piece)
                if number % 64 == 0:
                    most = max(most, server.memory_info().rss)
        return f'"{digest.hexdigest()}"'

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(fetch, range(3))) == [etag] * 3
    assert most - before < 50 * MB
    until(lambda: not is_open(node, large))


def test_the_head_of_a_large_file_reads_nothing_of_it(node: Server, large: Path) -> None:
    server = psutil.Process(node.process.pid)
    with node.client(headers=HEADERS) as http:
        http.head(ADDRESS)  # the first one computes the hash
        before = server.io_counters().read_chars
        for _ in range(10):
            assert http.head(ADDRESS).headers["content-length"] == str(SIZE)
        assert server.io_counters().read_chars - before < MB


def test_a_client_that_leaves_in_the_middle_lets_go_of_the_file(node: Server, large: Path) -> None:
    with node.client(headers=HEADERS) as http:
        with http.stream("GET", ADDRESS) as answer:
            pieces = answer.iter_raw()  # held: the client closes what nobody iterates any more
            next(pieces)
            until(lambda: is_open(node, large))
        until(lambda: not is_open(node, large))
        assert http.get("/healthz").status_code == 200


def test_a_file_that_is_deleted_meanwhile_is_sent_to_its_end(node: Server, large: Path) -> None:
    with node.client(headers=HEADERS) as http:
        with http.stream("GET", ADDRESS) as answer:
            pieces = answer.iter_raw()
            came = len(next(pieces))
            until(lambda: is_open(node, large))
            large.unlink()
            assert came + sum(map(len, pieces)) == SIZE
        assert http.get(ADDRESS).status_code == 404


def test_a_file_that_is_cut_short_meanwhile_ends_the_connection(node: Server, large: Path) -> None:
    with node.client(headers=HEADERS) as http:
        with http.stream("GET", ADDRESS) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            os.truncate(large, 50 * MB)
            with pytest.raises(httpx.RemoteProtocolError):
                list(pieces)
        assert http.get("/healthz").status_code == 200


def test_other_calls_are_answered_while_a_file_is_hashed_and_sent(
    node: Server, large: Path
) -> None:
    os.utime(large)  # to be hashed anew
    with ThreadPoolExecutor(2) as threads, node.client(headers=HEADERS) as http:

        def fetch(_: int) -> int:
            with node.client(headers=HEADERS) as mine, mine.stream("GET", ADDRESS) as answer:
                return sum(map(len, answer.iter_raw()))

        fetching = [threads.submit(fetch, number) for number in range(2)]
        slowest = 0.0
        while not all(each.done() for each in fetching):
            begun = time.monotonic()
            assert http.get("/healthz").status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
        assert [each.result() for each in fetching] == [SIZE, SIZE]
        assert slowest < 5, "on a busy machine"
