"""How the shop writes its log: text with tracebacks, or one JSON object per line."""

import json
import logging
import sys
import time


class JsonFormatter(logging.Formatter):
    """One object per record; a traceback is one string with escaped line ends."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def configure(style: str, level: str) -> None:
    """Send everything from `level` up to standard output in the given style."""
    handler = logging.StreamHandler(sys.stdout)
    if style == "json":
        handler.setFormatter(JsonFormatter())
    else:
        form = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"
        handler.setFormatter(logging.Formatter(form))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("asyncio").setLevel("INFO")
