"""`sensorium metrics anomalies` and `metrics forecast`: measured values in, judgement out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sensorium.capabilities.metrics.schema import DetectionMethod, ForecastMethod, ThresholdSide
from sensorium.cli.connect import Target
from sensorium.cli.metricsview import draw_all, show_anomalies, show_forecast
from sensorium.cli.numbers import read_duration
from sensorium.cli.picture import Picture, of_anomalies, of_forecast
from sensorium.cli.render import Output, note, progress
from sensorium.cli.seriesfiles import Wanted, read_series
from sensorium.core.errors import InvalidInputError
from sensorium.core.loading import load
from sensorium.core.types import Series

HERE = Target()
PLAIN = Output()
PLOTS_SAVED = 20
HISTORY_HORIZONS = 3
"""A forecast is drawn beside so many times its length of the past."""
FORMATS = (".png", ".svg")


@Parameter(name="*")
@dataclass(frozen=True)
class Source:
    """Where the values come from, if not from the file alone."""

    time_column: Annotated[
        str, Parameter(show_default=False, help="The column of times: its name, or number from 1.")
    ] = ""
    column: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            show_default=False,
            help="A column (or a JSON series) to read; again for more. Default: every one.",
        ),
    ] = ()
    interval: Annotated[
        str,
        Parameter(show_default=False, help="How far apart values without times are: 15s, 5m."),
    ] = ""
    prometheus: Annotated[
        str,
        Parameter(
            show_default=False,
            help="Ask the Prometheus at this URL, instead of a file. A bearer token goes in "
            "SENSORIUM_PROMETHEUS_TOKEN.",
        ),
    ] = ""
    query: Annotated[
        str, Parameter(show_default=False, help="With --prometheus: the query, in PromQL.")
    ] = ""
    hours: Annotated[float, Parameter(help="With --prometheus: how far back.")] = 24.0
    step: Annotated[
        str,
        Parameter(
            show_default=False,
            help="With --prometheus: how far apart values are. Default: 15s, or more for long "
            "spans. Give the scrape interval.",
        ),
    ] = ""

    def read(self, file: str) -> list[Series]:
        """The series; see `seriesfiles.read_series` and `prometheus.query_range` for errors."""
        if self.prometheus or self.query:
            if not (self.prometheus and self.query):
                raise InvalidInputError("--prometheus URL and --query QUERY go together")
            if file:
                raise InvalidInputError("give a file or --prometheus, not both")
            ask = load("sensorium.cli.prometheus:query_range")
            step_s = _seconds("--step", self.step) if self.step else None
            found: list[Series] = ask(self.prometheus, self.query, self.hours, step_s)
            return found
        if not file:
            raise InvalidInputError(
                "name a file, - for standard input, or --prometheus with --query"
            )
        interval_s = _seconds("--interval", self.interval) if self.interval else None
        return read_series(file, Wanted(self.time_column, self.column, interval_s))


File = Annotated[
    Path | None,
    Parameter(
        allow_leading_hyphen=True,
        show_default=False,
        help="CSV or JSON, plain or compressed; - is standard input.",
    ),
]
Plot = Annotated[
    str,
    Parameter(show_default=False, help="Write a plot too: NAME.png or NAME.svg (extra: plots)."),
]
NOWHERE = Source()


def anomalies(
    file: File = None,
    /,
    *,
    method: Annotated[
        DetectionMethod,
        Parameter(
            help="novelty: far from every value before; sigma: two deviations off the mean of 26 h."
        ),
    ] = "novelty",
    sensitivity: Annotated[
        float, Parameter(help="Divides the band's width: 2 alerts at half of it.")
    ] = 1.0,
    hold_off: Annotated[
        str,
        Parameter(
            show_default=False,
            help="Quiet after an anomaly: 0s, 30m, 12h. Default: the method's own.",
        ),
    ] = "",
    plot: Plot = "",
    source: Source = NOWHERE,
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """Find the values that left their expected band.

    In a pipe: time, series, value, expected, lower, upper, score and direction, separated by
    tabs.
    """
    _check_format(plot)
    series = source.read(str(file or ""))
    with target.client() as client, progress("judging") as report:
        answer = client.with_options(on_progress=report).metrics.detect_anomalies(
            series=series,
            method=method,
            sensitivity=sensitivity,
            hold_off_s=_seconds("--hold-off", hold_off) if hold_off else None,
            include_band=output.drawn or bool(plot),
        )
    pictures = [of_anomalies(*pair) for pair in zip(series, answer.series, strict=True)]
    if output.as_json:
        output.value(answer)
    else:
        draw_all(output, pictures)
        show_anomalies(output, answer)
    if plot:
        _save(pictures, plot)


def forecast(
    file: File = None,
    /,
    *,
    horizon: Annotated[str, Parameter(help="How far ahead: 30m, 6h, 2d.")] = "1h",
    method: Annotated[
        ForecastMethod,
        Parameter(help="auto: what did best on the recent past; linear: a line through 26 h."),
    ] = "auto",
    level: Annotated[
        float, Parameter(help="The share of values that the intervals should hold.")
    ] = 0.95,
    threshold: Annotated[
        float | None,
        Parameter(
            allow_leading_hyphen=True, show_default=False, help="Tell when this value is reached."
        ),
    ] = None,
    side: Annotated[
        ThresholdSide, Parameter(help="The side of the threshold that counts as reached.")
    ] = "either",
    look_ahead: Annotated[str, Parameter(help="How far ahead to look for the threshold.")] = "7d",
    plot: Plot = "",
    source: Source = NOWHERE,
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """Tell how values go on, with intervals, and when they reach a threshold.

    In a pipe: time, series, value, lower and upper, separated by tabs, and for a threshold one
    line a series: "threshold", series, state, time.
    """
    _check_format(plot)
    horizon_s = _seconds("--horizon", horizon)
    series = source.read(str(file or ""))
    with target.client() as client, progress("forecasting") as report:
        answer = client.with_options(on_progress=report).metrics.forecast(
            series=series,
            horizon_s=horizon_s,
            method=method,
            level=level,
            threshold=threshold,
            threshold_side=side,
            look_ahead_s=_seconds("--look-ahead", look_ahead),
        )
    past_s = horizon_s * HISTORY_HORIZONS
    pictures = [
        of_forecast(*pair, threshold, past_s) for pair in zip(series, answer.series, strict=True)
    ]
    if output.as_json:
        output.value(answer)
    else:
        draw_all(output, pictures)
        show_forecast(output, answer)
    if plot:
        _save(pictures, plot)


def _save(pictures: Sequence[Picture], path: str) -> None:
    load("sensorium.cli.plotfile:save")(pictures[:PLOTS_SAVED], Path(path))
    rest = len(pictures) - PLOTS_SAVED
    note(f"wrote {path}" + (f"; {rest:,} more series are not in it" if rest > 0 else ""))


def _check_format(plot: str) -> None:
    """Refuse a plot that cannot be made, before anything is computed."""
    if not plot:
        return
    if Path(plot).suffix.lower() not in FORMATS:
        raise InvalidInputError("--plot takes a name that ends in .png or .svg")
    load("sensorium.cli.plotfile:save")


def _seconds(option: str, text: str) -> float:
    try:
        return read_duration(text)
    except ValueError as error:
        raise InvalidInputError(f"{option}: {error}") from None
