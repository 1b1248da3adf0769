"""Series from a Prometheus, by its range query API; see prometheus.io/docs/.../querying/api."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from sensorium.cli.numbers import read_number
from sensorium.cli.render import progress
from sensorium.core.errors import (
    InvalidInputError,
    SensoriumError,
    UnauthenticatedError,
    UnavailableError,
)
from sensorium.core.types import Series

TOKEN = "SENSORIUM_PROMETHEUS_TOKEN"
TIMEOUT_S = 60.0
POINTS_PER_QUERY = 10_000
"""A Prometheus refuses more than 11,000 points a series."""
MIN_STEP_S = 15.0
POINTS_BY_DEFAULT = 5_000


class _Line(Struct):
    """One series of an answer."""

    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(Struct):
    result_type: str = msgspec.field(name="resultType")
    result: msgspec.Raw


class _Answer(Struct):
    """What the API says, whatever the status."""

    status: str
    data: _Data | None = None
    error: str = ""


def query_range(url: str, query: str, hours: float, step_s: float | None = None) -> list[Series]:
    """What the query gave over the last hours, one series per set of labels.

    `step_s` defaults to 15 s, or more where that would be over 5,000 points. The bearer token in
    SENSORIUM_PROMETHEUS_TOKEN goes along if it is set.

    Raises:
        UnavailableError: it cannot be reached, or is no Prometheus.
        UnauthenticatedError: it wants another token.
        InvalidInputError: it refuses the query, or the query gives nothing.
    """
    span = hours * 3600
    step = step_s or max(MIN_STEP_S, float(round(span / POINTS_BY_DEFAULT)))
    end = time.time()
    lines: dict[tuple[tuple[str, str], ...], list[tuple[float, str]]] = {}
    with _client(url) as http, progress("asking Prometheus") as report:
        for begin, until in _pieces(end - span, end, step):
            for line in _ask(http, query, begin, until, step):
                lines.setdefault(tuple(sorted(line.metric.items())), []).extend(line.values)
            report(round(until - end + span), round(span), "s")
    if not any(lines.values()):
        raise InvalidInputError(
            f"the query gives nothing for the last {hours:g} hours: try it on the Prometheus's "
            "own page, or a larger --hours"
        )
    names = _names([dict(labels) for labels in lines], query)
    return [_series(name, values) for name, values in zip(names, lines.values(), strict=True)]


def _client(url: str) -> httpx.Client:
    token = os.environ.get(TOKEN, "")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    address = url if "://" in url else f"http://{url}"
    try:
        return httpx.Client(
            base_url=address, headers=headers, timeout=TIMEOUT_S, follow_redirects=True
        )
    except (httpx.InvalidURL, ValueError):
        raise InvalidInputError("--prometheus takes a URL, such as http://localhost:9090") from None


def _pieces(begin: float, end: float, step: float) -> Iterator[tuple[float, float]]:
    """The span in parts that a Prometheus answers, without a point twice."""
    at = begin
    while at <= end:
        until = min(end, at + (POINTS_PER_QUERY - 1) * step)
        yield at, until
        at += POINTS_PER_QUERY * step


def _ask(http: httpx.Client, query: str, begin: float, end: float, step: float) -> list[_Line]:
    asked = {"query": query, "start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
    place = http.base_url.copy_with(userinfo=b"")
    try:
        response = http.get("/api/v1/query_range", params=asked)
    except httpx.TimeoutException:
        raise UnavailableError(
            f"the Prometheus at {place} did not answer within {TIMEOUT_S:.0f} s: ask for fewer "
            "--hours or a longer --step"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(f"there is no Prometheus to reach at {place}: {error}") from None
    return _read(response, str(place))


def _read(response: httpx.Response, place: str) -> list[_Line]:
    if response.status_code in (401, 403):
        raise UnauthenticatedError(
            f"the Prometheus at {place} wants other credentials: set {TOKEN} to a bearer token"
        )
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except msgspec.DecodeError:
        raise UnavailableError(
            f"what answers at {place} is no Prometheus (HTTP {response.status_code}): give the "
            "address whose /api/v1/query_range answers"
        ) from None
    if answer.status != "success" or answer.data is None:
        raise InvalidInputError(
            f"Prometheus refuses the query: {answer.error or 'it says not why'}"
        )
    if answer.data.result_type != "matrix":
        raise SensoriumError(f"Prometheus answered with a {answer.data.result_type}, not a matrix")
    return msgspec.json.decode(answer.data.result, type=list[_Line])


def _names(labels: list[Mapping[str, Any]], query: str) -> list[str]:
    """A name for each: the metric, and the labels in which they differ."""
    shared = {
        key
        for key, value in labels[0].items()
        if len(labels) > 1 and all(each.get(key) == value for each in labels)
    }
    names = []
    for each in labels:
        inside = ",".join(
            f'{key}="{value}"'
            for key, value in each.items()
            if key != "__name__" and key not in shared
        )
        name = each.get("__name__", "")
        text = f"{name}{{{inside}}}" if inside else name
        names.append((text or query)[:256])
    return names


def _series(name: str, values: list[tuple[float, str]]) -> Series:
    return Series(
        name=name,
        timestamps=[moment for moment, _ in values],
        values=[read_number(text) for _, text in values],
    )
