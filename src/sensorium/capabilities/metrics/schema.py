"""What the metrics operations take and give."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sensorium.core.types import Count, EpochSeconds, Name, Series

DetectionMethod = Literal["novelty", "sigma"]

Method = Annotated[
    DetectionMethod,
    Meta(
        description="novelty: far from every value seen before. sigma: outside the mean of the "
        "26 hours before, plus or minus two standard deviations."
    ),
]
Sensitivity = Annotated[
    float,
    Meta(
        ge=0.1,
        le=5.0,
        description="Divides the band's width: 1 is the method's own, 2 alerts at half of it.",
        examples=[1.0],
    ),
]
HoldOff = Annotated[
    Annotated[float, Meta(ge=0.0, le=31_536_000.0)] | None,
    Meta(
        description="After an anomaly, report none of this series for so many seconds. null: the "
        "method's own; for novelty 12 points, save one twice as far from expected; for sigma none.",
        examples=[None, 0.0, 43_200.0],
    ),
]
NotNegative = Annotated[float, Meta(ge=0)]
SeriesList = Annotated[list[Series], Meta(max_length=100_000, description="The series to read.")]


class DetectAnomaliesRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Series to look through, and how."""

    series: SeriesList
    method: Method = "novelty"
    sensitivity: Sensitivity = 1.0
    hold_off_s: HoldOff = None
    include_band: Annotated[
        bool, Meta(description="Give the expected band of every point too, to draw it.")
    ] = False


class Anomaly(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A point outside its band."""

    index: Annotated[Count, Meta(description="Its position among the values given.")]
    timestamp: EpochSeconds
    value: Annotated[float, Meta(description="The value met.")]
    expected: Annotated[float, Meta(description="The middle of the band.")]
    lower: Annotated[float, Meta(description="The band's lower edge.")]
    upper: Annotated[float, Meta(description="The band's upper edge.")]
    score: Annotated[
        float,
        Meta(
            ge=0,
            le=1e6,
            description="Distance from expected in half-widths of the band: over 1 is outside.",
        ),
    ]
    direction: Annotated[
        Literal["above", "below"],
        Meta(description="On which side of expected it lies."),
    ]


class Band(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The band of every value given, in the order given; null where none could be told."""

    expected: Annotated[list[float | None], Meta(description="The middle.")]
    lower: Annotated[list[float | None], Meta(description="The lower edge.")]
    upper: Annotated[list[float | None], Meta(description="The upper edge.")]


class SeriesAnomalies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found in one series, in order of time."""

    name: Name
    method: Method
    anomalies: Annotated[list[Anomaly], Meta(description="The points outside their band.")]
    judged: Annotated[Count, Meta(description="Points that had a band to be judged by.")]
    missing: Annotated[Count, Meta(description="Values that were null.")]
    band: Annotated[Band | None, Meta(description="On request: the band of every value.")] = None


class DetectAnomaliesResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One result per series, in the order given."""

    series: Annotated[list[SeriesAnomalies], Meta(description="One result per series.")]


class LastAlert(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The anomaly of a series that was reported last."""

    timestamp: EpochSeconds
    seen: Annotated[Count, Meta(description="How many values had been judged before it.")]
    distance: Annotated[
        float, Meta(ge=0, le=1.7976931348623157e308, description="How far from expected it was.")
    ]


class SeriesState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a watch remembers of one series."""

    name: Name
    points: Annotated[Count, Meta(description="Values received, missing and late ones too.")]
    seen: Annotated[Count, Meta(description="Values judged and learned from.")]
    last_timestamp: Annotated[
        EpochSeconds | None, Meta(description="Time of the newest value learned from.")
    ] = None
    last_alert: Annotated[LastAlert | None, Meta(description="What it last reported.")] = None
    exponent: Annotated[
        int,
        Meta(ge=-200, le=600, description="novelty: a cell is 2 to this power wide."),
    ] = -200
    cells: Annotated[
        list[Annotated[int, Meta(ge=-(2**53), le=2**53)]],
        Meta(max_length=4096, description="novelty: the cells met so far, ascending."),
    ] = []
    times: Annotated[
        list[EpochSeconds],
        Meta(max_length=2_000_000, description="sigma: times in the window."),
    ] = []
    values: Annotated[
        list[float],
        Meta(max_length=2_000_000, description="sigma: values in the window."),
    ] = []


class WatchSnapshot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a watch remembers: give it to a later one, and that goes on from there."""

    method: Method
    series: Annotated[list[SeriesState], Meta(max_length=10_000, description="One per series.")]


class WatchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to judge the points to come."""

    method: Method = "novelty"
    sensitivity: Sensitivity = 1.0
    hold_off_s: HoldOff = None
    max_series: Annotated[
        int, Meta(ge=1, le=10_000, description="How many series it follows at most.")
    ] = 1000
    resume: Annotated[
        WatchSnapshot | None,
        Meta(description="Go on from this snapshot of an earlier watch."),
    ] = None


class WatchInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next points. A series goes on where its name was last met."""

    series: SeriesList = []
    snapshot: Annotated[bool, Meta(description="Answer with a snapshot of all state.")] = False


class WatchedAnomaly(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An anomaly, and whose; `index` counts from the series' first point ever."""

    name: Name
    anomaly: Annotated[Anomaly, Meta(description="The point outside its band.")]


class WatchEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to one input; one more, with a snapshot, when the input ends."""

    anomalies: Annotated[list[WatchedAnomaly], Meta(description="In order of arrival.")]
    points: Annotated[Count, Meta(description="Values in this input.")]
    missing: Annotated[Count, Meta(description="Of those, null: nothing to judge.")]
    late: Annotated[
        Count,
        Meta(description="Of those, older than their series' newest point: left out."),
    ]
    snapshot: Annotated[WatchSnapshot | None, Meta(description="On request, and last.")] = None


ForecastMethod = Literal["auto", "linear"]
CrossingState = Literal["already", "will", "never"]
ThresholdSide = Literal["above", "below", "either"]


class ForecastRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Series to carry on, how far, and how."""

    series: SeriesList
    horizon_s: Annotated[
        float,
        Meta(
            gt=0,
            le=31_536_000.0,
            description="How far ahead, in seconds.",
            examples=[3600.0],
        ),
    ] = 3600.0
    method: Annotated[
        ForecastMethod,
        Meta(
            description="auto: the cheap method that did best on this series' recent past. "
            "linear: a line through the last 26 hours."
        ),
    ] = "auto"
    level: Annotated[
        float,
        Meta(
            ge=0.5,
            le=0.99,
            description="Share of values that the intervals should hold.",
        ),
    ] = 0.95
    threshold: Annotated[
        Annotated[float, Meta(ge=-1e150, le=1e150)] | None,
        Meta(description="Tell when the series reaches this value."),
    ] = None
    threshold_side: Annotated[
        ThresholdSide,
        Meta(
            description="The side of the threshold that counts as having reached it; either: "
            "the side on which the series is not now."
        ),
    ] = "either"
    look_ahead_s: Annotated[
        float,
        Meta(
            gt=0,
            le=315_360_000.0,
            description="How far beyond the last point to look for the threshold, in seconds.",
        ),
    ] = 604_800.0


class ForecastPoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step ahead."""

    timestamp: EpochSeconds
    value: Annotated[float, Meta(description="The forecast.")]
    lower: Annotated[float, Meta(description="The interval's lower edge.")]
    upper: Annotated[float, Meta(description="The interval's upper edge.")]


class Crossing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a series reaches a threshold."""

    threshold: Annotated[float, Meta(description="The value asked about.")]
    state: Annotated[
        CrossingState,
        Meta(
            description="already: the last value has reached it. never: nothing points there "
            "within the time looked ahead."
        ),
    ]
    in_s: Annotated[NotNegative | None, Meta(description="Seconds from the last point until then.")]
    timestamp: Annotated[EpochSeconds | None, Meta(description="When.")]
    earliest_in_s: Annotated[
        NotNegative | None,
        Meta(description="When the interval's edge gets there, if within the horizon."),
    ]


class SeriesForecast(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to come of one series."""

    name: Name
    method: Annotated[
        str,
        Meta(
            max_length=64,
            description="The method used: last, median, trend, season (all of them cheap), or "
            "linear.",
        ),
    ]
    interval_s: Annotated[float, Meta(gt=0, description="Seconds between two steps.")]
    points: Annotated[list[ForecastPoint], Meta(description="The steps, in order of time.")]
    backtest_error: Annotated[
        NotNegative | None,
        Meta(description="Mean absolute error of the method on this series' recent past."),
    ]
    time_to_threshold: Annotated[
        Crossing | None, Meta(description="On request: when the threshold is reached.")
    ] = None


class ForecastResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One forecast per series, in the order given."""

    series: Annotated[list[SeriesForecast], Meta(description="One forecast per series.")]
