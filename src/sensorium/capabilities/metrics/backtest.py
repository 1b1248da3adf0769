"""Choosing a forecaster, and how sure it is, by what it would have said in the recent past."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sensorium.capabilities.metrics.forecasters import (
    Forecaster,
    Scale,
    last,
    linear,
    median,
    season,
    trend,
)
from sensorium.capabilities.metrics.points import Check, Floats
from sensorium.capabilities.metrics.schema import ForecastMethod

ORIGINS = 96
FEW_ORIGINS = 24
FEWEST_ORIGINS = 3
STEPS_PER_ORIGIN = 4
"""Origins lie a quarter of the horizon apart: closer ones say nearly the same again."""


@dataclass(frozen=True)
class Outlook:
    """A forecast of shape (steps,), and how far off it may be at each step."""

    method: str
    values: Floats
    half_width: Floats
    error: float | None


@dataclass(frozen=True)
class Plan:
    """From how many origins, how far apart, on windows of which length."""

    window: int
    origins: int
    apart: int


def look_ahead(
    history: Floats, scale: Scale, method: ForecastMethod, level: float, check: Check
) -> Outlook:
    """Carry a history of shape (n,), n >= 2, on by `scale.steps`.

    The method with the least mean absolute error over the backtests is taken. Its intervals are
    quantiles of its absolute errors at each step (split conformal prediction; Vovk, Gammerman and
    Shafer, "Algorithmic Learning in a Random World", 2005).
    """
    tested = replace(scale, steps=min(scale.steps, max(len(history) // 4, 1)))
    seasonal = method == "auto"
    plan = _plan(len(history), tested, seasonal=seasonal)
    if plan is None and seasonal:
        plan = _plan(len(history), tested, seasonal=False)
        seasonal = False
    if plan is None:
        return _walk(history, scale, level)
    choice = _candidates(method, seasonal=seasonal)
    windows = sliding_window_view(history, plan.window + tested.steps)
    windows = windows[:: -plan.apart][: plan.origins]
    errors = _errors(choice, windows, plan.window, tested, check)
    name = min(errors, key=lambda key: float(errors[key].mean()))
    values = _forecasts(choice, history[None, :], scale, check)[name][0]
    half_width = _grown(_quantile(errors[name], level), scale.steps)
    return Outlook(name, values, half_width, float(errors[name].mean()))


def _plan(length: int, scale: Scale, *, seasonal: bool) -> Plan | None:
    """The backtests that so long a history allows; None if too few."""
    if seasonal:
        return _origins(length, max(scale.day + scale.level, scale.trend), scale, FEW_ORIGINS)
    full = _origins(length, max(scale.line, scale.trend), scale, FEW_ORIGINS)
    return full or _origins(length, max(length // 2, 2), scale, FEWEST_ORIGINS)


def _origins(length: int, window: int, scale: Scale, fewest: int) -> Plan | None:
    spare = length - window - scale.steps
    apart = min(max(spare // (ORIGINS - 1), 1), max(scale.steps // STEPS_PER_ORIGIN, 1))
    origins = min(spare // apart + 1, ORIGINS)
    return Plan(window, origins, apart) if origins >= fewest else None


def _candidates(method: ForecastMethod, *, seasonal: bool) -> Mapping[str, Forecaster]:
    if method == "linear":
        return {"linear": linear}
    cheap: dict[str, Forecaster] = {"last": last, "median": median, "trend": trend}
    return {**cheap, "season": season} if seasonal else cheap


def _forecasts(
    choice: Mapping[str, Forecaster], windows: Floats, scale: Scale, check: Check
) -> dict[str, Floats]:
    results = {}
    for name, forecaster in choice.items():
        check()
        results[name] = forecaster(windows, scale)
    return results


def _errors(
    choice: Mapping[str, Forecaster], windows: Floats, length: int, scale: Scale, check: Check
) -> dict[str, Floats]:
    """Absolute errors of each method, shape (origins, steps)."""
    actual = windows[:, length:]
    forecasts = _forecasts(choice, windows[:, :length], scale, check)
    return {name: np.abs(values - actual) for name, values in forecasts.items()}


def _quantile(errors: Floats, level: float) -> Floats:
    """The half-width that holds a new error with probability `level`, per step."""
    count = len(errors)
    rank = math.ceil((count + 1) * level)
    widest: Floats = np.sort(errors, axis=0)[min(rank, count) - 1]
    if rank <= count:
        return widest
    # So rare an error was not met: go on from the largest as a normal tail would.
    normal = NormalDist()
    met = normal.inv_cdf(0.5 + count / (count + 1) / 2)
    widest *= normal.inv_cdf(0.5 + level / 2) / met
    return widest


def _grown(half_width: Floats, steps: int) -> Floats:
    """Half-widths for all steps: beyond those tested they grow as a random walk's."""
    tested = len(half_width)
    beyond = np.sqrt(np.arange(tested + 1, steps + 1) / tested)
    return np.concatenate([half_width, half_width[-1] * beyond])


def _walk(history: Floats, scale: Scale, level: float) -> Outlook:
    """The last value, and a random walk's intervals: all that so few values allow."""
    jump = float(np.sqrt(np.mean(np.square(np.diff(history)))))
    width = NormalDist().inv_cdf(0.5 + level / 2) * jump
    values = np.full(scale.steps, history[-1])
    return Outlook("last", values, width * np.sqrt(np.arange(1, scale.steps + 1)), None)
