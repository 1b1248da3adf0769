"""What a detection method is: it learns point by point and tells each next point's band."""

from dataclasses import dataclass
from typing import Any, Protocol

from sensorium.capabilities.metrics.points import Floats
from sensorium.capabilities.metrics.schema import SeriesState


@dataclass(frozen=True)
class Bands:
    """The band of each of n points, arrays of shape (n,); NaN where there is none to tell.

    A point is an anomaly where it is further from `expected` than `half_width`.
    """

    expected: Floats
    half_width: Floats


class Detector(Protocol):
    """A causal method: each band follows from the points before alone.

    How points are cut into calls never changes a result, to the last bit.
    """

    def judge(self, times: Floats, values: Floats) -> Bands:
        """The bands of the next points (ordered, finite, shape (n,)), then learn from them."""

    @property
    def retained(self) -> int:
        """How many numbers it keeps."""

    def remembered(self) -> dict[str, Any]:
        """Its state, as the fields of `SeriesState` that are its own."""

    def resume(self, state: SeriesState) -> None:
        """Go on from a state.

        Raises:
            InvalidInputError: the state contradicts itself.
        """
