"""Pictures and sound that come from a peer, as items for the calls that listen."""

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, get_args

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from msgspec import Struct
from msgspec.structs import fields, replace

from sensorium.core.dispatch import Answer
from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.core.operation import Operation
from sensorium.core.types import Audio, Image
from sensorium.transports.webrtc.outgoing import OutgoingVideo

log = logging.getLogger("sensorium.webrtc")
AUDIO_RATE_HZ = 48_000
MAX_SOUNDS = 100
"""Frames of sound that may wait: two seconds."""
Put = Callable[[Struct, int], None]


class _Listener(NamedTuple):
    """A call that is fed: the field of its items for each medium, and where the items go."""

    item: type[Struct]
    names: dict[type[Struct], str]
    put: Put
    end: Callable[[], None]


class PeerTracks:
    """The tracks of one connection; implements `conversation.Tracks`."""

    def __init__(self) -> None:
        self.outgoing: OutgoingVideo | None = None
        self._live = 0
        self._listeners: dict[object, _Listener] = {}

    def feed(self, operation: Operation, put: Put, end: Callable[[], None]) -> Callable[[], None]:
        """See `conversation.Tracks.feed`."""
        assert operation.incoming is not None
        names: dict[type[Struct], str] = {}
        for kind in (Image, Audio):
            if (name := field_of(operation.incoming, kind)) is not None:
                names[kind] = name
        if not names:
            raise NotSupportedError(f"{operation.name} takes neither pictures nor sound")
        if not self._live:
            raise InvalidInputError("this peer sends neither pictures nor sound")
        token = object()
        self._listeners[token] = _Listener(operation.incoming, names, put, end)

        def stop() -> None:
            self._listeners.pop(token, None)

        return stop

    def shows(self, operation: Operation) -> bool:
        """See `conversation.Tracks.shows`."""
        return self.outgoing is not None and field_of(operation.response, Image) is not None

    def show(self, operation: Operation, answer: Answer) -> Answer:
        """See `conversation.Tracks.show`."""
        name = field_of(operation.response, Image)
        assert name is not None
        assert self.outgoing is not None
        value = answer.read(operation.response)
        image = getattr(value, name)
        if image is None:
            return Answer(value)
        self.outgoing.put(image)
        return Answer(replace(value, **{name: None}))

    async def pump(self, track: MediaStreamTrack) -> None:
        """Hand what a track brings to whoever listens, until it ends."""
        kind: type[Image] | type[Audio] = Image if track.kind == "video" else Audio
        frames = _Frames(track, keep_all=kind is Audio)
        convert = _converter(kind)
        self._live += 1
        try:
            while (frame := await frames.next()) is not None:
                wanting = [each for each in self._listeners.values() if kind in each.names]
                if not wanting:
                    continue
                try:
                    media = await asyncio.to_thread(convert, frame)
                    for each in wanting:
                        each.put(each.item(**{each.names[kind]: media}), len(media.data))
                except Exception:  # the peer may change codec and form in the middle
                    log.debug("a frame was left out", exc_info=True)
                    convert = _converter(kind)
        finally:
            frames.stop()
            self._live -= 1
            if not self._live:
                for each in list(self._listeners.values()):
                    each.end()


class _Frames:
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


@lru_cache(maxsize=256)
def field_of(kind: type[Struct], medium: type[Struct]) -> str | None:
    """The name of a Struct's field that holds a picture, or sound; None where it has none."""
    return next((each.name for each in fields(kind) if _mentions(each.type, medium)), None)


def _mentions(hint: Any, medium: type[Struct]) -> bool:
    return hint is medium or any(_mentions(each, medium) for each in get_args(hint))


def _converter(kind: type[Image] | type[Audio]) -> Callable[[Any], Image | Audio]:
    """What makes our types of the library's frames; sound becomes one channel of 48 kHz."""
    if kind is Image:
        return _image
    resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE_HZ)

    def sound(frame: Any) -> Audio:
        at_s = frame.time
        data = b"".join(each.to_ndarray().tobytes() for each in resampler.resample(frame))
        return Audio(rate_hz=AUDIO_RATE_HZ, data=data, at_s=at_s)

    return sound


def _image(frame: Any) -> Image:
    pixels = frame.to_ndarray(format="rgb24")
    height, width = pixels.shape[:2]
    return Image(width=width, height=height, data=pixels.tobytes(), at_s=frame.time)
