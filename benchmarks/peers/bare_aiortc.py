"""The least that answers over a data channel: aiortc, which sends every message back.

Its argument is the port on which it takes offers.
"""

import sys
from typing import Any

import uvicorn
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

peers: set[RTCPeerConnection] = set()


async def offer(request: Request) -> JSONResponse:
    """Connect a peer."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peers.add(peer)

    @peer.on("datachannel")
    def serve(channel: Any) -> None:
        channel.on("message", channel.send)

    sdp = (await request.json())["sdp"]
    await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
    await peer.setLocalDescription()
    return JSONResponse({"session": "", "sdp": peer.localDescription.sdp})


app = Starlette(routes=[Route("/v1/webrtc/offer", offer, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
