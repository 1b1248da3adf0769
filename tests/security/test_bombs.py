"""Bodies that unfold to far more than they are: refused, in bounded memory."""

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest
import zstandard

from tests.servers import Server, serving

LIMIT = 8 << 20
UNFOLDED = 1 << 30
QUICK_S = 30
ALLOWED = 96 << 20
"""How much more memory the server and its workers may take at once than before."""


@pytest.fixture(scope="module")
def bounded() -> Iterator[Server]:
    with serving("--max-body-bytes", str(LIMIT), "--workers", "2") as running:
        with running.client() as http:  # so that what is loaded once is loaded
            for _ in range(8):
                _post(http, gzip.compress(b"a\n"), "gzip")
                _post(http, zstandard.compress(b"a\n"), "zstd")
        yield running


class Peak:
    """The most memory that a process and its children held together, while entered."""

    def __init__(self, process_id: int) -> None:
        self._process = psutil.Process(process_id)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self.most = self._now()

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def grown(self) -> int:
        return self.most - self.before

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, self._now())

    def _now(self) -> int:
        total = 0
        for each in (self._process, *self._process.children(recursive=True)):
            try:
                total += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def _gzip_bomb() -> bytes:
    engine = zlib.compressobj(9, wbits=31)
    piece = bytes(1 << 20)
    return b"".join(engine.compress(piece) for _ in range(UNFOLDED >> 20)) + engine.flush()


def _zstd_bomb() -> bytes:
    engine = zstandard.ZstdCompressor(level=19, write_content_size=False).compressobj()
    piece = bytes(1 << 20)
    return b"".join(engine.compress(piece) for _ in range(UNFOLDED >> 20)) + engine.flush()


def _post(
    http: httpx.Client, body: bytes, encoding: str, path: str = "/v1/testing/lines"
) -> httpx.Response:
    headers = {"content-type": "text/plain", "content-encoding": encoding}
    return http.post(path, content=body, headers=headers)


@pytest.mark.parametrize(
    ("encoding", "make"),
    [
        ("gzip", _gzip_bomb),
        ("zstd", _zstd_bomb),
        ("gzip", lambda: gzip.compress(b"", 9) * 400_000),
        ("gzip", lambda: gzip.compress(bytes(LIMIT // 2), 9) * 200),
        ("zstd", lambda: zstandard.compress(b"") * 200_000),
    ],
    ids=["gzip", "zstd", "empty gzip members", "many gzip members", "empty zstd frames"],
)
def test_a_bomb_is_refused_in_bounded_memory(
    bounded: Server, encoding: str, make: Callable[[], bytes]
) -> None:
    bomb = make()
    assert len(bomb) <= LIMIT
    with bounded.client(timeout=60) as http, Peak(bounded.process.pid) as peak:
        answer = _post(http, bomb, encoding)
    assert (answer.status_code, answer.json()["code"]) in (
        (413, "payload_too_large"),
        (400, "invalid_input"),  # where it is the number of its pieces that is too large
    )
    assert answer.elapsed.total_seconds() < QUICK_S
    assert peak.grown < ALLOWED, f"{peak.grown >> 20} MiB more"


def test_a_zstd_frame_that_wants_a_huge_window_is_refused(bounded: Server) -> None:
    options = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    engine = zstandard.ZstdCompressor(compression_params=options).compressobj()
    body = engine.compress(b"a\n" * 1000) + engine.flush()
    with bounded.client() as http, Peak(bounded.process.pid) as peak:
        answer = _post(http, body, "zstd")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert peak.grown < ALLOWED


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "compress", "x" * 200, "identity, gzip"])
def test_other_encodings_are_not_supported(bounded: Server, encoding: str) -> None:
    with bounded.client() as http:
        answer = _post(http, b"abc", encoding)
    assert (answer.status_code, answer.json()["code"]) == (501, "not_supported")


def test_the_limit_holds_for_every_kind_of_operation(bounded: Server) -> None:
    body = gzip.compress(b'{"token": "' + b"a" * LIMIT + b'"}')
    with bounded.client() as http:
        for verb in ("inline", "awaiting", "thread", "process", "change", "count"):
            headers = {"content-encoding": "gzip"}
            answer = http.post(f"/v1/testing/{verb}", content=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large"), verb


def test_a_body_beyond_the_limit_is_refused_while_it_arrives(bounded: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(4096):
            yield bytes(1 << 20)

    with bounded.client() as http, Peak(bounded.process.pid) as peak:
        try:
            answer = http.post("/v1/testing/lines", content=endless())
            assert answer.status_code == 413
        except (httpx.WriteError, httpx.ReadError):
            pass  # closed while it was still sending
    assert peak.grown < ALLOWED
