"""Words of the trade that tell how bad a line is, and the levels that say so outright."""

from sensorium.capabilities.logs.schema import Severity
from sensorium.capabilities.logs.themes import words

CRITICAL = words(
    "panic fatal emergency segfault sigsegv oom outofmemoryerror coredump catastrophic"
)
ERROR = words(
    "error errors err failed fail fails failing failure failures exception exceptions refused "
    "denied abort aborted aborting cannot unable corrupt corrupted corruption crash crashed "
    "unreachable unauthorized forbidden invalid illegal rejected traceback undefined broken "
    "couldn't can't critical severe unhandled uncaught"
)
WARNING = words(
    "warn warning warnings timeout timeouts timedout retry retrying retries deprecated slow "
    "missing unknown expired dropped lost interrupted attempt attack unexpected unrecognized "
    "mismatch degraded exceeded overflow throttled stale skipped skipping ignored"
)
BAD_PHRASES: tuple[tuple[str, Severity], ...] = (
    ("out of memory", "critical"),
    ("no space left", "error"),
    ("timed out", "warning"),
    ("not found", "warning"),
    ("no such", "error"),
    ("does not exist", "error"),
    ("not responding", "warning"),
)
HARMLESS = (
    "no error",
    "no errors",
    "without error",
    "without errors",
    "0 errors",
    "errors: 0",
    "error corrected",
    "errors corrected",
    "no failures",
    "0 failed",
    "failed: 0",
    "error-free",
)
LEVELS: dict[str, Severity] = {
    "TRACE": "debug",
    "VERBOSE": "debug",
    "DEBUG": "debug",
    "V": "debug",
    "D": "debug",
    "INFO": "info",
    "INFORMATION": "info",
    "LOG": "info",
    "I": "info",
    "NOTICE": "notice",
    "N": "notice",
    "WARN": "warning",
    "WARNING": "warning",
    "W": "warning",
    "ERR": "error",
    "ERROR": "error",
    "E": "error",
    "FAILURE": "error",
    "SEVERE": "error",
    "CRIT": "critical",
    "CRITICAL": "critical",
    "ALERT": "critical",
    "EMERG": "critical",
    "EMERGENCY": "critical",
    "FATAL": "critical",
    "PANIC": "critical",
    "F": "critical",
}
