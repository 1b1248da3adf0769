"""The types that several capabilities and doors share."""

from typing import Annotated

from msgspec import Meta, Struct

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
