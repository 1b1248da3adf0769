"""Pictures that calls answer with, sent to the peer as video."""

import asyncio
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack

from sensorium.core.types import Image

CLOCK_HZ = 90_000
"""RTP's clock for video."""


class OutgoingVideo(MediaStreamTrack):
    """Video made of pictures as they come; one that is late is left out."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._newest: Image | None = None
        self._came = asyncio.Event()
        self._began = time.monotonic()

    def put(self, image: Image) -> None:
        """Send a picture next."""
        if image.width > 1 and image.height > 1:
            self._newest = image
            self._came.set()

    async def recv(self) -> Any:
        """The next picture as the library wants it."""
        await self._came.wait()
        self._came.clear()
        image = self._newest
        assert image is not None
        frame = await asyncio.to_thread(_frame, image)
        frame.pts = round((time.monotonic() - self._began) * CLOCK_HZ)
        frame.time_base = Fraction(1, CLOCK_HZ)
        return frame


def _frame(image: Image) -> Any:
    pixels = np.frombuffer(image.data, np.uint8)
    if image.format == "rgb24":
        pixels = pixels.reshape(image.height, image.width, 3)
    else:
        pixels = pixels.reshape(image.height, image.width)
    # Video halves the resolution of colour, so its sides are even.
    even = pixels[: image.height // 2 * 2, : image.width // 2 * 2]
    return av.VideoFrame.from_ndarray(
        np.ascontiguousarray(even), "rgb24" if image.format == "rgb24" else "gray"
    )
