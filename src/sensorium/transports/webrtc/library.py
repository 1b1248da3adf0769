"""What we need of aiortc and aioice beyond their public names; it depends on their versions.

Importing this bounds what a peer can make the libraries do: they check little of what it sends.
"""

import logging
from typing import Any

from aioice import ice
from aiortc import RTCIceCandidate, RTCPeerConnection, rtcrtpreceiver
from aiortc.rtcsctptransport import RTCSctpTransport
from aiortc.sdp import candidate_from_sdp

from sensorium.transports.webrtc.schema import CandidateRequest

LOOPBACK = "127.0.0.1"
CANDIDATE_TYPES = ("host", "srflx", "prflx", "relay")
HIDDEN = ".local"
"""How names end that browsers give in place of an address. They are looked up by multicast, which
takes a second where nobody answers; the peer's own packets tell where it is sooner."""
MAX_PIXELS = 4096 * 2304
"""The largest picture that is decoded: some bytes can claim to be one of 16,383 x 16,383."""
OVERRUN_BYTES = 1 << 16
"""What a peer may send beyond the window that it was told of, before it is cut off."""
KEY_FRAME = b"\x9d\x01\x2a"
"""What begins a key frame of VP8, after three bytes (RFC 6386, 9.1)."""

for _name in ("aioice", "aiortc"):
    # They tell of each address that is tried, and of all that is wrong with what a peer sends,
    # whose log this is not to fill.
    logging.getLogger(_name).setLevel(logging.CRITICAL)

_receiver: Any = rtcrtpreceiver
_transport: Any = RTCSctpTransport
_find_addresses = ice.get_host_addresses
_make_decoder = _receiver.get_decoder
_receive_chunk = _transport._receive_data_chunk


def _addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """This host's addresses: the library leaves loopback out, even where there is nothing else."""
    return _find_addresses(use_ipv4, use_ipv6) or [LOOPBACK]


class _Bounded:
    """A decoder that leaves out pictures that are too large."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def decode(self, frame: Any) -> Any:
        """The pictures in a frame, or the sound."""
        return [] if _is_huge(frame.data) else self._inner.decode(frame)


def _is_huge(data: bytes) -> bool:
    """Whether this is a key frame of VP8 that says so. Its decoder takes memory before it looks."""
    if len(data) < 10 or data[0] & 1 or data[3:6] != KEY_FRAME:
        return False
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return width * height > MAX_PIXELS


def _decoder(codec: Any) -> Any:
    decoder = _make_decoder(codec)
    if codec.mimeType.lower() == "video/h264":
        decoder.codec.options = {"max_pixels": str(MAX_PIXELS)}
    return _Bounded(decoder) if codec.mimeType.lower() == "video/vp8" else decoder


async def _receive_within_window(transport: Any, chunk: Any) -> None:
    """Take a piece of a message. The library keeps to the window that it announces no better than
    its peer does, and looks through all pieces of an unfinished message at each of them."""
    if transport._advertised_rwnd >= -OVERRUN_BYTES:
        await _receive_chunk(transport, chunk)
    elif transport._association_state != transport.State.CLOSED:
        await transport._abort()
        transport._set_state(transport.State.CLOSED)


ice.get_host_addresses = _addresses
_receiver.get_decoder = _decoder
_transport._receive_data_chunk = _receive_within_window


def wants_video(peer: RTCPeerConnection) -> bool:
    """Whether the peer's offer has room for video of ours."""
    return any(
        each.kind == "video" and each._offerDirection in ("sendrecv", "sendonly")
        for each in peer.getTransceivers()
    )


def without_hidden_candidates(sdp: str) -> str:
    """A description without the candidates whose address it does not tell."""
    lines = sdp.splitlines(keepends=True)
    hidden = [each for each in lines if each.startswith("a=candidate:") and HIDDEN in each]
    return sdp if not hidden else "".join(each for each in lines if each not in hidden)


def candidate_of(request: CandidateRequest) -> RTCIceCandidate | None:
    """The library's form of a candidate; None for the sign that there are no more.

    Raises:
        ValueError, AssertionError: it makes no sense.
    """
    text = request.candidate.removeprefix("candidate:").strip()
    if not text:
        return None
    candidate = candidate_from_sdp(text)
    if candidate.type not in CANDIDATE_TYPES or not 0 <= candidate.port < 1 << 16:
        raise ValueError("neither its type nor its port is one")
    candidate.sdpMid = request.sdp_mid
    candidate.sdpMLineIndex = request.sdp_m_line_index
    return candidate
