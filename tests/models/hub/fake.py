"""A hub on this machine that speaks the real protocol, with a second server as its CDN.

A test sets `trouble`, which is asked for each request of a file and may say what goes wrong.
"""

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

CHUNK = 1 << 18
LFS_FROM = 10_000
"""Files of so many bytes are in LFS here: known by SHA-256 and served by the CDN."""
MODEL_INFO = {"licence": "apache-2.0", "task": "text-generation"}


@dataclass
class Trouble:
    """What goes wrong with one answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    stall_after: int | None = None
    """Send nothing more after so many bytes, and keep the connection."""
    flip_at: int | None = None
    """Flip a bit of the byte at this place of the file."""
    etag: str | None = None
    """`""` leaves it out."""
    no_range: bool = False
    announce: int | None = None
    """Say that the file has so many bytes."""
    chunked: bool = False
    """Do not say how many bytes there are."""
    rate: float | None = None
    """Bytes per second."""
    trickle: bool = False
    """Send a byte every 50 ms."""
    location: str | None = None


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    role: str
    """`hub` or `cdn`."""
    method: str
    path: str
    headers: dict[str, str]
    start: int | None
    number: int
    """How many requests for this path came before."""

    @property
    def file(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass
class Repo:
    """A repository at one commit; `listed` overrides what is said of a file's size."""

    files: dict[str, bytes]
    commit: str = "c0" * 20
    licence: str = "apache-2.0"
    task: str = "text-generation"
    gated: int = 0
    """The status with which its files are refused to those without the token."""
    listed_sizes: dict[str, int] = field(default_factory=dict)


class FakeHub:
    """See the module."""

    def __init__(self) -> None:
        self.url = ""
        self.cdn_url = ""
        self.token = ""
        self.repos: dict[str, Repo] = {}
        self.files: dict[str, bytes] = {}
        """Files that are served without being of a repository, at `/files/NAME`."""
        self.asked: list[Asked] = []
        self.sent_bytes = 0
        self.trouble: Callable[[Asked], Trouble | None] = lambda _: None
        self.api_trouble: Callable[[int], Response | None] = lambda _: None
        self.released = threading.Event()
        """Ends all stalls."""
        self._lock = threading.Lock()

    def add(self, name: str, files: dict[str, bytes], **properties: Any) -> Repo:
        """Put a repository up, or a new commit in its place."""
        self.repos[name] = repo = Repo(files, **properties)
        return repo

    def asked_for(self, file: str, role: str = "") -> list[Asked]:
        """The requests for a file, by the last part of its path."""
        return [a for a in self.asked if a.file == file and role in ("", a.role)]

    def app(self, role: str) -> Starlette:
        """One of the two servers."""
        routes = [
            Route("/api/models/{org}/{name}", self._info),
            Route("/api/models/{org}/{name}/revision/{revision:path}", self._info),
            Route("/{org}/{name}/resolve/{revision}/{path:path}", self._resolve),
            Route("/files/{path:path}", self._plain),
        ]
        cdn = [Route("/cdn/{digest}/{path:path}", self._cdn)]
        return Starlette(routes=routes if role == "hub" else cdn)

    async def _info(self, request: Request) -> Response:
        self._note(request, "hub")
        answer = self.api_trouble(sum(a.path.startswith("/api/") for a in self.asked) - 1)
        if answer is not None:
            return answer
        name = f"{request.path_params['org']}/{request.path_params['name']}"
        repo = self.repos.get(name)
        if repo is None:
            return _refused(401, "RepoNotFound")
        if request.path_params.get("revision", "main") not in ("main", "v1", repo.commit):
            return _refused(404, "RevisionNotFound")
        siblings = [_sibling(path, data, repo) for path, data in repo.files.items()]
        return JSONResponse(
            {
                "id": name,
                "sha": repo.commit,
                "siblings": siblings,
                "cardData": {"license": repo.licence},
                "pipeline_tag": repo.task,
            }
        )

    async def _resolve(self, request: Request) -> Response:
        asked = self._note(request, "hub")
        repo = self.repos.get(f"{request.path_params['org']}/{request.path_params['name']}")
        path = request.path_params["path"]
        if repo is None or path not in repo.files:
            return _refused(404, "EntryNotFound")
        if repo.gated and request.headers.get("authorization") != f"Bearer {self.token}":
            return _refused(repo.gated, "GatedRepo")
        data = repo.files[path]
        common = {"X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        if len(data) < LFS_FROM:
            return self._file(request, asked, data, f'"{blob_id(data)}"', common)
        trouble = self.trouble(asked)
        if trouble is not None and (trouble.location is not None or trouble.status):
            return self._file(request, asked, data, "", common, trouble)
        digest = digest_of(data)
        return Response(
            status_code=302,
            headers={
                **common,
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(data)),
                "ETag": f'"{digest}"',
                "Location": f"{self.cdn_url}/cdn/{digest}/{path}?signed={asked.number}",
            },
        )

    async def _cdn(self, request: Request) -> Response:
        asked = self._note(request, "cdn")
        path, digest = request.path_params["path"], request.path_params["digest"]
        for data in [repo.files[path] for repo in self.repos.values() if path in repo.files]:
            if digest_of(data) == digest:
                return self._file(request, asked, data, f'"cdn-{digest[:8]}"', {})
        return Response(status_code=403)

    async def _plain(self, request: Request) -> Response:
        asked = self._note(request, "hub")
        trouble = self.trouble(asked) or Trouble()
        data = self.files.get(request.path_params["path"])
        if data is None:
            return Response(status_code=404)
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        return self._file(request, asked, data, etag, {}, trouble)

    def _file(
        self,
        request: Request,
        asked: Asked,
        data: bytes,
        etag: str,
        headers: dict[str, str],
        trouble: Trouble | None = None,
    ) -> Response:
        trouble = trouble or self.trouble(asked) or Trouble()
        if trouble.location is not None:
            return Response(
                status_code=trouble.status or 302, headers={"Location": trouble.location}
            )
        if trouble.status:
            return Response(trouble.body or b"", trouble.status, headers=trouble.headers)
        etag = etag if trouble.etag is None else trouble.etag
        headers = {**headers, **({"ETag": etag} if etag else {}), **trouble.headers}
        if trouble.flip_at is not None:
            place = trouble.flip_at
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        size = len(data) if trouble.announce is None else trouble.announce
        start, end, status = 0, len(data), 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if_range = request.headers.get("if-range")
        if wanted and not trouble.no_range and if_range in (None, etag):
            start, end, status = int(wanted[1]), min(int(wanted[2]) + 1, size), 206
            if start >= len(data):
                return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        elif trouble.announce is not None:
            end = trouble.announce
        if not trouble.chunked:
            headers["Content-Length"] = str(end - start)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        body = self._body(data[start : min(end, len(data))], trouble)
        return _Quiet(body, status, headers=headers)

    async def _body(self, data: bytes, trouble: Trouble) -> AsyncIterator[bytes]:
        sent = 0
        view = memoryview(data)
        begun = asyncio.get_running_loop().time()
        limits = [n for n in (trouble.cut_after, trouble.stall_after) if n is not None]
        last = min([len(data), *limits])
        while sent < last:
            piece = bytes(view[sent : min(sent + (1 if trouble.trickle else CHUNK), last)])
            yield piece
            sent += len(piece)
            with self._lock:
                self.sent_bytes += len(piece)
            if trouble.trickle:
                await asyncio.sleep(0.05)
            if trouble.rate:
                elapsed = asyncio.get_running_loop().time() - begun
                await asyncio.sleep(max(0.0, sent / trouble.rate - elapsed))
        if trouble.stall_after is not None and sent < len(data):
            await asyncio.to_thread(self.released.wait)

    def _note(self, request: Request, role: str) -> Asked:
        found = re.match(r"bytes=(\d+)-", request.headers.get("range", ""))
        path = request.url.path
        with self._lock:
            asked = Asked(
                role=role,
                method=request.method,
                path=path,
                headers=dict(request.headers),
                start=int(found[1]) if found else None,
                number=sum(a.path == path for a in self.asked),
            )
            self.asked.append(asked)
        return asked


class _Quiet(StreamingResponse):
    """An answer that may end before its announced length without a word in the log."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except (RuntimeError, OSError):
            return


@contextmanager
def serving_hub() -> Iterator[FakeHub]:
    """A hub and its CDN on free ports of 127.0.0.1."""
    hub = FakeHub()
    with _serving(hub.app("hub")) as hub.url, _serving(hub.app("cdn")) as hub.cdn_url:
        try:
            yield hub
        finally:
            hub.released.set()


@contextmanager
def _serving(app: Starlette) -> Iterator[str]:
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", access_log=False
    )
    server = uvicorn.Server(config)
    server.config.timeout_graceful_shutdown = 1
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not (server.started and server.servers):
        thread.join(0.005)
        if not thread.is_alive():
            raise RuntimeError("the fake hub did not start")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(60)


@lru_cache(maxsize=64)
def digest_of(data: bytes) -> str:
    """The SHA-256 of a file's content, reckoned once."""
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=64)
def blob_id(data: bytes) -> str:
    """The git id of a file's content, reckoned once."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def _sibling(path: str, data: bytes, repo: Repo) -> dict[str, Any]:
    size = repo.listed_sizes.get(path, len(data))
    sibling: dict[str, Any] = {"rfilename": path, "size": size, "blobId": blob_id(data)}
    if len(data) >= LFS_FROM:
        digest = digest_of(data)
        sibling["lfs"] = {"sha256": digest, "size": size, "pointerSize": 134}
    return sibling


def _refused(status: int, code: str) -> Response:
    return Response(status_code=status, headers={"X-Error-Code": code, "X-Error-Message": code})
