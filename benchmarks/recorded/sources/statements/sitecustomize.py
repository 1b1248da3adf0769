"""Write down each log record of a Python program with the statement that made it.

Put this folder on PYTHONPATH and RECORD_INTO into the environment, and every process of an
unmodified program appends its records to that file, one JSON object a line. A statement is the
place in the source that logs, wrappers aside; a place that logs several format strings with
arguments is several statements. RECORD_LOGGERS (prefixes, comma-separated) and RECORD_LEVEL choose.
"""

import json
import logging
import os
import re
import sys
from pathlib import Path
from types import FrameType

INTO = os.environ.get("RECORD_INTO")
LOGGERS = tuple(os.environ.get("RECORD_LOGGERS", "").split(","))
LEVEL = int(os.environ.get("RECORD_LEVEL", "20"))
WRAPPERS = frozenset(["_log", "log", "_log_msg", "debug", "info", "warning", "error", "debug1"])
WRAPPING_FILES = frozenset(["logging.py", "log.py", "sitecustomize.py", "logger.py"])
CONTEXT = re.compile(r"(?:\[[^\]]*\] )+")
"""What some programs put before a format string: the connection, the request."""


def place(frame: FrameType | None) -> str:
    """Where the program logs: the innermost frame that is no wrapper around logging."""
    while frame is not None:
        code = frame.f_code
        path = Path(code.co_filename)
        wrapper = code.co_name in WRAPPERS or path.name in WRAPPING_FILES
        if not wrapper and path.parent.name != "logging":
            return f"{path.parent.name}/{path.name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def install(descriptor: int) -> None:
    """Have every record written down before it is handled."""
    handle = logging.Logger.handle

    def recording(self: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno >= LEVEL and record.name.startswith(LOGGERS):
            form = CONTEXT.sub("", str(record.msg)) if record.args else ""
            statement = f"{place(sys._getframe(1))} {form}"
            text = logging.Formatter("%(message)s").format(record)
            entry = {
                "statement": statement,
                "time": record.created,
                "level": record.levelname,
                "logger": record.name,
                "process": record.process,
                "thread": record.threadName,
                "text": text,
            }
            os.write(descriptor, json.dumps(entry).encode() + b"\n")
        handle(self, record)

    def enabled(self: logging.Logger, level: int) -> bool:
        return level >= min(LEVEL, self.getEffectiveLevel())

    logging.Logger.handle = recording  # type: ignore[method-assign]
    logging.Logger.isEnabledFor = enabled  # type: ignore[method-assign]


if INTO:
    install(os.open(INTO, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644))
