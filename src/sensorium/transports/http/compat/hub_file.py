"""A model's file as the hub sends one; loaded with the first request for one."""

import asyncio
from pathlib import Path

from starlette.responses import FileResponse

from sensorium.core.errors import NotFoundError
from sensorium.transports.http.exchange import Exchange, Headers, Message


class _File(FileResponse):
    """Whole or in ranges, read by a thread piece by piece; it ends when the client leaves."""

    chunk_size = 1 << 20


async def send(exchange: Exchange, path: Path, size: int, digest: str, headers: Headers) -> None:
    """Answer with the file, which has so many bytes and that SHA-256.

    Raises:
        NotFoundError: it is another by now, or gone.
    """
    try:
        stat = await asyncio.to_thread(path.stat)
    except OSError:
        raise NotFoundError from None
    if stat.st_size != size:
        raise NotFoundError
    response = _File(
        path,
        filename=path.name,
        media_type="application/octet-stream",
        headers={"etag": f'"{digest}"'},
        stat_result=stat,
    )
    about = [
        *headers,
        (b"x-linked-etag", f'"{digest}"'.encode()),
        (b"x-linked-size", str(size).encode()),
        (b"cache-control", b"no-cache"),
        (b"x-content-type-options", b"nosniff"),
    ]

    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            await exchange.start(message["status"], [*message["headers"], *about])
        else:
            await exchange.write(message["body"], more=message.get("more_body", False))

    await response(exchange.scope, exchange.receive, forward)
