"""The operator's own files under `/static/`; loaded with the first request for one."""

import asyncio
from functools import cache

from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from sensorium.core.errors import NotFoundError
from sensorium.transports.http.exchange import Exchange, Message


async def serve(folder: str, exchange: Exchange) -> None:
    """Answer with a file of the folder; neither `..` nor a link leads out of it.

    Raises:
        NotFoundError: there is no such file in it.
    """
    path = exchange.scope["path"].removeprefix("/static/")
    try:
        response = await _files(folder).get_response(path or ".", exchange.scope)
    except HTTPException:
        raise NotFoundError("there is no such file") from None

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await exchange.start(message["status"], headers)
        else:
            await exchange.write(message["body"], more=message.get("more_body", False))

    await response(exchange.scope, _never, send)


@cache
def _files(folder: str) -> StaticFiles:
    return StaticFiles(directory=folder, html=True)


async def _never() -> Message:
    """A client that leaves is noticed when it is written to."""
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}
