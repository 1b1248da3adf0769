"""What a browser sees: the page at `/`, the documentation under `/api-doc/`, and static files.

Every file is named in a table before the first request, so that no path of a request ever
reaches the file system (`/static/` aside, which Starlette guards).
"""

import asyncio
import hashlib
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.core.loading import load
from sensorium.transports.http.exchange import Exchange, Headers
from sensorium.transports.http.routes import Route
from sensorium.transports.http.settings import HttpSettings

ASSETS = Path(__file__).parent / "assets"
MEDIA_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_NO_FOREIGN_HOST = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; font-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
)
PAGE_POLICY = f"{_NO_FOREIGN_HOST}style-src 'self'; img-src 'self'; worker-src 'self'"
DOCUMENTATION_POLICY = (
    # The three viewers write style elements, draw icons from data addresses, and ReDoc searches
    # in a worker that it makes of a blob.
    f"{_NO_FOREIGN_HOST}style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:"
)
_GZIP = 31


def routes(settings: HttpSettings) -> dict[str, Route]:
    """The addresses of the pages, and of the folder that the settings name."""
    page = _folder("page", PAGE_POLICY)
    documentation = _folder("api-doc", DOCUMENTATION_POLICY)
    viewers = {**documentation, **_folder("vendored", DOCUMENTATION_POLICY)}
    found = {
        "/": Route(page["index.html"].serve),
        "/assets/*": Route(_named(page)),
        "/api-doc": Route(_to_folder),
        "/api-doc/": Route(documentation["index.html"].serve),
        "/api-doc/assets/*": Route(_named(viewers)),
    }
    for viewer in ("swagger", "redoc", "rapidoc"):
        found[f"/api-doc/{viewer}"] = Route(documentation[f"{viewer}.html"].serve)
    if settings.static_dir:
        found["/static/*"] = Route(_static(settings.static_dir))
    return found


class Body(Struct, frozen=True):
    """A file's content, as it travels."""

    gzipped: bytes
    tag: bytes


class Asset:
    """A file of the package, read when first asked for and kept compressed."""

    def __init__(self, path: Path, policy: str) -> None:
        self._path = path
        self._media_type = MEDIA_TYPES[Path(path.name.removesuffix(".gz")).suffix]
        self._policy = policy.encode()
        self._body: Body | None = None

    async def serve(self, exchange: Exchange) -> None:
        """Answer with the file, or with 304 where the client has it."""
        if self._body is None:
            self._body = await asyncio.to_thread(_read, self._path)
        headers: Headers = [
            (b"etag", self._body.tag),
            (b"cache-control", b"no-cache"),
            (b"vary", b"accept-encoding"),
            (b"content-security-policy", self._policy),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        if self._body.tag in exchange.headers.get(b"if-none-match", b""):
            await exchange.start(304, headers)
            await exchange.write(b"", more=False)
        elif _takes_gzip(exchange.header(b"accept-encoding")):
            headers.append((b"content-encoding", b"gzip"))
            await exchange.answer(200, self._media_type, self._body.gzipped, headers)
        else:
            plain = await asyncio.to_thread(zlib.decompress, self._body.gzipped, _GZIP)
            await exchange.answer(200, self._media_type, plain, headers)


def _read(path: Path) -> Body:
    content = path.read_bytes()
    if path.suffix != ".gz":
        content = zlib.compress(content, wbits=_GZIP)
    # Weak, because the same tag stands for both encodings.
    return Body(content, f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'.encode())


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _folder(name: str, policy: str) -> dict[str, Asset]:
    """The files of one of our folders that a browser may ask for, by the name it asks with."""
    return {
        path.name.removesuffix(".gz"): Asset(path, policy)
        for path in (ASSETS / name).iterdir()
        if Path(path.name.removesuffix(".gz")).suffix in MEDIA_TYPES
    }


def _named(assets: dict[str, Asset]) -> Callable[[Exchange], Awaitable[None]]:
    async def serve(exchange: Exchange) -> None:
        asset = assets.get(exchange.scope["path"].rpartition("/")[2])
        if asset is None:
            raise NotFoundError("there is no such file")
        await asset.serve(exchange)

    return serve


async def _to_folder(exchange: Exchange) -> None:
    await exchange.answer(308, b"text/plain", b"", [(b"location", b"api-doc/")])


def _static(folder: str) -> Callable[[Exchange], Awaitable[None]]:
    """Serves a folder of the operator's; what serves it is loaded with the first request.

    Raises:
        InvalidInputError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise InvalidInputError(f"static_dir is {folder!r}, and there is no such folder")

    async def serve(exchange: Exchange) -> None:
        await load("sensorium.transports.http.static:serve")(folder, exchange)

    return serve
