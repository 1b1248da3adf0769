"""uvicorn's WebSocket protocol, with a stop that lets calls finish."""

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sensorium.transports.http.unread import Unread


class DrainingProtocol(Unread, WebSocketsSansIOProtocol):
    """Where the original closes the connection at once, this one lets its application do it."""

    def shutdown(self) -> None:
        """See WebSocketsSansIOProtocol."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait(cast(Any, {"type": "websocket.drain"}))
        else:
            super().shutdown()
