"""`system.measure`: what a camera or a microphone brings, for trying how media arrive."""

import math
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from sensorium.core.loading import load
from sensorium.core.operation import Execution, WorkContext, operation
from sensorium.core.types import Audio, Count, Image

FULL_SCALE = 32_768.0
SILENCE_DBFS = -96.0
"""What 16 bits can tell from silence."""


class MeasureRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to measure."""

    every: Annotated[int, Meta(ge=1, le=10_000, description="Answer after so many items.")] = 25
    images: Annotated[
        bool, Meta(description="With each answer, the latest picture as it came.")
    ] = False


class Medium(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture, a piece of sound, or both."""

    image: Annotated[Image | None, Meta(description="A picture.")] = None
    audio: Annotated[Audio | None, Meta(description="A piece of sound.")] = None


class Measurement(Struct, frozen=True, kw_only=True):
    """What came so far."""

    images: Annotated[Count, Meta(description="Pictures.")] = 0
    width: Annotated[Count, Meta(description="Pixels in a row of the latest.")] = 0
    height: Annotated[Count, Meta(description="Rows of the latest.")] = 0
    audio_s: Annotated[float, Meta(description="Seconds of sound.")] = 0.0
    loudness_dbfs: Annotated[
        float | None,
        Meta(
            description="Root mean square of the sound since the last answer, in decibels of full "
            "scale; -96 for silence, null without sound."
        ),
    ] = None
    image: Annotated[Image | None, Meta(description="The latest picture, if asked for.")] = None


class _Meter:
    """Counts what comes."""

    def __init__(self) -> None:
        self._images = 0
        self._latest: Image | None = None
        self._audio_s = 0.0
        self._squares = 0.0
        self._samples = 0

    def take(self, item: Medium) -> None:
        if item.image is not None:
            self._images += 1
            self._latest = item.image
        if item.audio is not None:
            samples = load("numpy:frombuffer")(item.audio.data, "<i2").astype("f8")
            self._audio_s += item.audio.seconds
            self._squares += float(samples @ samples)
            self._samples += samples.size

    def read(self, *, images: bool) -> Measurement:
        latest, loudness = self._latest, self._loudness()
        self._squares, self._samples = 0.0, 0
        return Measurement(
            images=self._images,
            width=latest.width if latest else 0,
            height=latest.height if latest else 0,
            audio_s=self._audio_s,
            loudness_dbfs=loudness,
            image=latest if images else None,
        )

    def _loudness(self) -> float | None:
        if not self._samples:
            return None
        rms = math.sqrt(self._squares / self._samples) / FULL_SCALE
        return max(SILENCE_DBFS, 20 * math.log10(rms)) if rms > 0 else SILENCE_DBFS


@operation(
    "system.measure",
    execution=Execution.THREAD,
    example=MeasureRequest(every=1),
    incoming_example=(
        Medium(image=Image(width=2, height=1, data=b"\x00\x10\x20\x30\x40\x50")),
        Medium(audio=Audio(rate_hz=8000, data=b"\x00\x40\x00\xc0")),
    ),
)
def measure(
    request: MeasureRequest, incoming: Iterator[Medium], context: WorkContext
) -> Iterator[Measurement]:
    """Pictures counted, their size, and how loud the sound is."""
    meter, waiting = _Meter(), 0
    for item in incoming:
        context.check()
        meter.take(item)
        waiting += 1
        if waiting >= request.every:
            yield meter.read(images=request.images)
            waiting = 0
    if waiting:
        yield meter.read(images=request.images)
