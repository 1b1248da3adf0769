"""Pictures and sound of a connection: what comes in feeds calls, and pictures go out as video."""

import asyncio
import time
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, get_args

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from msgspec import Struct
from msgspec.structs import fields, replace

from sensorium.core.dispatch import Answer
from sensorium.core.errors import NotSupportedError
from sensorium.core.operation import Operation
from sensorium.core.types import Audio, Image

CLOCK_HZ = 90_000
"""RTP's clock for video."""
AUDIO_RATE_HZ = 48_000
MAX_SOUNDS = 100
"""Frames of sound that may wait: two seconds."""
Put = Callable[[Struct, int], None]


class PeerTracks:
    """The tracks of one connection; implements `conversation.Tracks`."""

    def __init__(self) -> None:
        self.outgoing: OutgoingVideo | None = None
        self._listeners: dict[object, tuple[Operation, Put]] = {}

    def feed(self, operation: Operation, put: Put) -> Callable[[], None]:
        """See `conversation.Tracks.feed`."""
        assert operation.incoming is not None
        if not (field_of(operation.incoming, Image) or field_of(operation.incoming, Audio)):
            raise NotSupportedError(f"{operation.name} takes neither pictures nor sound")
        token = object()
        self._listeners[token] = (operation, put)
        return lambda: void(self._listeners.pop(token, None))

    def show(self, operation: Operation, answer: Answer) -> Answer:
        """See `conversation.Tracks.show`."""
        name = field_of(operation.response, Image)
        if name is None or self.outgoing is None:
            return answer
        value = answer.read(operation.response)
        image = getattr(value, name)
        if image is None:
            return Answer(value)
        self.outgoing.put(image)
        return Answer(replace(value, **{name: None}))

    async def pump(self, track: MediaStreamTrack) -> None:
        """Hand what a track brings to whoever listens, until it ends."""
        kind: type[Image] | type[Audio]
        convert: Callable[[Any], Image | Audio]
        if track.kind == "video":
            kind, convert = Image, _image
        else:
            kind, convert = Audio, _sound()
        newest = _Newest(track, keep_all=track.kind == "audio")
        try:
            while (frame := await newest.next()) is not None:
                wanting = self._wanting(kind)
                if wanting:
                    media: Image | Audio = await asyncio.to_thread(convert, frame)
                    for operation, name, put in wanting:
                        assert operation.incoming is not None
                        put(operation.incoming(**{name: media}), len(media.data))
        finally:
            newest.stop()

    def _wanting(self, kind: type[Struct]) -> list[tuple[Operation, str, Put]]:
        found = []
        for operation, put in self._listeners.values():
            assert operation.incoming is not None
            name = field_of(operation.incoming, kind)
            if name is not None:
                found.append((operation, name, put))
        return found


class _Newest:
    """A track's frames, read as they come, because the library keeps all that are not.

    Of pictures only the newest waits.
    """

    def __init__(self, track: MediaStreamTrack, *, keep_all: bool) -> None:
        self._frames: asyncio.Queue[Any] = asyncio.Queue(MAX_SOUNDS if keep_all else 1)
        self._reading = asyncio.create_task(self._read(track))

    async def next(self) -> Any:
        """The next frame; None at the end."""
        return await self._frames.get()

    def stop(self) -> None:
        """Read no more."""
        self._reading.cancel()

    async def _read(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                self._put(await track.recv())
        except MediaStreamError:
            self._put(None)

    def _put(self, frame: Any) -> None:
        if self._frames.full():
            self._frames.get_nowait()
        self._frames.put_nowait(frame)


class OutgoingVideo(MediaStreamTrack):
    """Video made of the pictures that calls answer with; one that is late is left out."""

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


@lru_cache(maxsize=256)
def field_of(kind: type[Struct], medium: type[Struct]) -> str | None:
    """The name of a Struct's field that holds a picture, or sound; None where it has none."""
    return next((each.name for each in fields(kind) if _mentions(each.type, medium)), None)


def _mentions(hint: Any, medium: type[Struct]) -> bool:
    return hint is medium or any(_mentions(each, medium) for each in get_args(hint))


def _image(frame: Any) -> Image:
    pixels = frame.to_ndarray(format="rgb24")
    height, width = pixels.shape[:2]
    return Image(width=width, height=height, data=pixels.tobytes(), at_s=frame.time)


def _sound() -> Callable[[Any], Audio]:
    """A converter to one channel of 48 kHz; it holds what does not fill a frame yet."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE_HZ)

    def convert(frame: Any) -> Audio:
        at_s = frame.time
        data = b"".join(each.to_ndarray().tobytes() for each in resampler.resample(frame))
        return Audio(rate_hz=AUDIO_RATE_HZ, data=data, at_s=at_s)

    return convert


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


def void(_: object) -> None:
    """Drop a result."""
