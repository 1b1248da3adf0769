"""Plain counters in the hot path, and logs that carry the request's id.

Counters are turned into the Prometheus format elsewhere, when somebody scrapes them.
"""

import contextvars
import logging
import sys
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Meta, Struct

from sensorium.core.dispatch import Caller

BUCKETS_S = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the latency histogram, in seconds."""
RECENT = 64
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""The id of the request that the current task serves."""


class LogSettings(Struct, frozen=True, kw_only=True):
    """How the server logs."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="What is worth logging.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="JSON lines, or lines for people; auto: for people on a terminal."),
    ] = "auto"


class Durations:
    """How long something took, as a histogram."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1


class OperationStats(Durations):
    """What is counted of one operation."""

    __slots__ = ("codes", "in_flight", "last_failure", "last_success")

    def __init__(self) -> None:
        super().__init__()
        self.codes: Counter[str] = Counter()
        self.in_flight = 0
        self.last_success: float | None = None
        self.last_failure: float | None = None

    def ended(self, code: str, seconds: float) -> None:
        """Count a call that ended with an error's code, or `ok`."""
        self.codes[code] += 1
        self.add(seconds)


class RecentCall(Struct, frozen=True):
    """A call that ended a moment ago."""

    at: Annotated[float, Meta(description="When it ended: seconds since 1970-01-01T00:00:00Z.")]
    operation: Annotated[str, Meta(description="Which one.")]
    door: Annotated[str, Meta(description="How it came in.")]
    code: Annotated[str, Meta(description="ok, or an error's code.")]
    seconds: Annotated[float, Meta(description="How long it took.")]


class Reading(NamedTuple):
    """A figure that some part of the server keeps, by label, read when somebody scrapes."""

    name: str
    help: str
    kind: Literal["gauge", "counter", "histogram"]
    read: Callable[[], Mapping[str, Any]]
    """Numbers; `Durations` for a histogram."""


class Tracer(Protocol):
    """Follows calls into a tracing system."""

    def begin(self, operation: str, caller: Caller) -> Any:
        """Begin a call's span."""

    def end(self, span: Any, code: str) -> None:
        """End it, with an error's code or `ok`."""

    def stop(self) -> None:
        """Export what is left."""


class Telemetry:
    """The server's counters."""

    def __init__(self) -> None:
        self.started = time.time()
        self.operations: dict[str, OperationStats] = {}
        self.refusals: Counter[tuple[str, str]] = Counter()
        """Refused before they ran, by operation and code."""
        self.recent: deque[RecentCall] = deque(maxlen=RECENT)
        self.readings: list[Reading] = []
        """Added by the parts' owner."""
        self.tracer: Tracer | None = None
        self.loop_lag_s = 0.0
        self.loop_lag_max_s = 0.0

    def of(self, name: str) -> OperationStats:
        """The stats of an operation; made when first asked for."""
        stats = self.operations.get(name)
        if stats is None:
            stats = self.operations[name] = OperationStats()
        return stats


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode({k: v for k, v in entry.items() if v}).decode()

    def formatTime(  # noqa: N802 - the name is logging's
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """ISO 8601 in UTC, with milliseconds."""
        del datefmt
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03d}Z"


class ConsoleFormatter(JsonFormatter):
    """One line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        short = request_id.get()
        line = f"{self.formatTime(record)} {record.levelname.lower():7} {record.getMessage()}"
        if short:
            line += f" [{short}]"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def as_environment(settings: LogSettings) -> dict[str, str]:
    """The settings as environment variables, for a process of ours."""
    return {
        "SENSORIUM_LOG_LEVEL": settings.log_level,
        "SENSORIUM_LOG_FORMAT": settings.log_format,
    }


def set_up_logging(settings: LogSettings) -> None:
    """Send the logs of this process to standard error, as the settings say."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # we announce ourselves
    logging.getLogger("mcp.server").setLevel(logging.WARNING)  # it tells of each request
    # It warns of each bad form, which the caller is told of; a log is not the caller's to fill.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
