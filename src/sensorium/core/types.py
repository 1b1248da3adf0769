"""The types that several capabilities and doors share."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Nothing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty request."""


Text = Annotated[str, Meta(max_length=1_000_000)]
Name = Annotated[str, Meta(max_length=256, description="The name it was given.")]
EpochSeconds = Annotated[
    float, Meta(ge=-1e12, le=1e12, description="Seconds since 1970-01-01T00:00:00Z.")
]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An int64: what every wire can carry."""


class Series(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values of one metric over time, shape (n,).

    Give either `timestamps` (epoch seconds, one per value) or `interval_s`; with neither, values
    are one minute apart. `null` stands for a missing value.
    """

    name: Annotated[str, Meta(max_length=256, description="Comes back with the answer.")] = ""
    timestamps: Annotated[
        list[EpochSeconds] | None, Meta(description="Epoch seconds, one per value.")
    ] = None
    interval_s: Annotated[
        Annotated[float, Meta(gt=0, le=1e9)] | None, Meta(description="Seconds between two values.")
    ] = None
    values: Annotated[
        list[float | None], Meta(description="The values, oldest first; null where missing.")
    ]


Pixels = Annotated[int, Meta(ge=1, le=16_384)]
At = Annotated[
    Annotated[float, Meta(ge=-1e12, le=1e12)] | None,
    Meta(description="Seconds since its stream began; null where it is of none."),
]


class Image(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture: rows of pixels from the top, each of `rgb24` (3 bytes) or `gray8` (1 byte).

    Raises:
        ValueError: `data` has not `width * height` pixels.
    """

    width: Annotated[Pixels, Meta(description="Pixels in a row.")]
    height: Annotated[Pixels, Meta(description="Rows.")]
    format: Annotated[
        Literal["rgb24", "gray8"], Meta(description="Red, green, blue; or brightness alone.")
    ] = "rgb24"
    data: Annotated[bytes, Meta(description="The pixels, with nothing between the rows.")]
    at_s: At = None

    def __post_init__(self) -> None:
        size = self.width * self.height * (3 if self.format == "rgb24" else 1)
        if len(self.data) != size:
            raise ValueError(
                f"a picture of {self.width} x {self.height} {self.format} has {size} bytes, "
                f"not {len(self.data)}"
            )


class Audio(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A piece of sound: signed 16-bit samples, little-endian, the channels' side by side.

    Raises:
        ValueError: `data` ends in the middle of a sample.
    """

    rate_hz: Annotated[int, Meta(ge=1000, le=384_000, description="Samples in a second.")]
    channels: Annotated[int, Meta(ge=1, le=8, description="Samples side by side.")] = 1
    data: Annotated[bytes, Meta(description="The samples.")]
    at_s: At = None

    def __post_init__(self) -> None:
        if len(self.data) % (2 * self.channels):
            raise ValueError("the sound ends in the middle of a sample")

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.data) / (2 * self.channels * self.rate_hz)
