"""uvicorn's WebSocket protocol, with a stop that lets calls finish."""

import logging
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sensorium.transports.http.unread import Unread

BAD_TEXT = "Invalid UTF-8 sequence received from client."


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a record is about us: whoever sends bad text is told, and has no log to fill."""
    return record.msg != BAD_TEXT


logging.getLogger("uvicorn.error").addFilter(_is_ours)


class DrainingProtocol(Unread, WebSocketsSansIOProtocol):
    """Where the original closes the connection at once, this one lets its application do it."""

    def shutdown(self) -> None:
        """See WebSocketsSansIOProtocol."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait(cast(Any, {"type": "websocket.drain"}))
        else:
            super().shutdown()
