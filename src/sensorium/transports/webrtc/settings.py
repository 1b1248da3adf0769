"""What can be set of the WebRTC door."""

from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.settings import Secret


class WebRtcSettings(Struct, frozen=True, kw_only=True):
    """The WebRTC door; offers come in through the other doors."""

    webrtc_ice_servers: Annotated[
        list[str],
        Meta(description="STUN and TURN servers (turn:host:3478) for both ends; default: none."),
    ] = []
    webrtc_ice_username: Annotated[str, Meta(description="The user name at those servers.")] = ""
    webrtc_ice_credential: Annotated[Secret, Meta(description="The password there.")] = Secret("")
    webrtc_max_sessions: Annotated[
        int, Meta(ge=1, le=10_000, description="Sessions at once; more are refused.")
    ] = 64
    webrtc_connect_s: Annotated[
        float, Meta(gt=0, le=3600, description="How long a session may take to be connected.")
    ] = 30.0
    webrtc_idle_s: Annotated[
        float, Meta(gt=0, le=86_400, description="A session in which nothing is called ends then.")
    ] = 300.0
