"""What a command prints: tables on a terminal, plain lines in a pipe, JSON on request.

output.table(["pattern", "count"], rows)     a table; in a pipe one tab-separated line a row
output.line("3 clusters")                    a line for people; left out of --json
output.value(answer)                         --json: the whole answer; see `Output.as_json`
with progress("clustering") as report:       a bar with rate and time left, on stderr
    report(done, total, "lines")             (the signature of a client's `on_progress`)
raise SensoriumError("say what to do")       `guarded` makes it one line and exit status 1
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from sensorium.cli import encoding
from sensorium.core.errors import SensoriumError, UnauthenticatedError
from sensorium.core.loading import EXTRAS, how_to_install, load

Report = Callable[[int, int | None, str], None]
FAILED, MISUSED, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
"""Exit statuses."""


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """How to print; as a command's parameter (`output: Output = Output()`) it is `--json`."""

    as_json: Annotated[
        bool,
        Parameter(name="--json", negative=(), show_default=False, help="Print JSON, for programs."),
    ] = False

    @property
    def drawn(self) -> bool:
        """Whether a person looks on: standard output is a terminal and JSON was not asked for."""
        return not self.as_json and sys.stdout.isatty()

    def value(self, value: Any) -> None:
        """A Struct (or anything that JSON holds) as JSON: indented on a terminal, else one line."""
        text = msgspec.json.encode(value)
        if sys.stdout.isatty():
            text = msgspec.json.format(text, indent=2)
        sys.stdout.write(text.decode() + "\n")
        sys.stdout.flush()

    def line(self, text: str = "") -> None:
        """A line for people."""
        if not self.as_json:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        title: str = "",
        styles: Sequence[str] = (),
        kept: int = 1,
    ) -> None:
        """A table; columns of numbers stand to the right.

        Where a terminal is narrow, columns are left out, but none of the first that are `kept`.

        `styles` are rich's (`bold`, `red`), one per row, and only seen on a terminal. In a pipe
        the heading is left out, so that `cut` and `awk` get rows alone.
        """
        if self.as_json:
            return
        if self.drawn:
            load("sensorium.cli.drawing:table")(columns, list(rows), title, styles, kept)
            return
        for row in rows:
            sys.stdout.write("\t".join(_plain(cell) for cell in row) + "\n")
        sys.stdout.flush()


def cell(value: object) -> str:
    """A value as a table shows it: empty for None, four significant digits for a float."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"
    return str(value)


def note(text: str) -> None:
    """A line on standard error, beside the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def progress(label: str) -> Iterator[Report]:
    """A progress bar on standard error, drawn from the first report on; nothing in a pipe."""
    if sys.stderr.isatty():
        with load("sensorium.cli.drawing:bar")(label) as report:
            yield report
    else:
        yield _unseen


def guarded(action: Callable[[], object]) -> int:
    """Run a command; returns the exit status, and says in one line what went wrong."""
    try:
        result = action()
        sys.stdout.flush()
    except SensoriumError as error:
        note(f"sensorium: {said(error)}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whatever is still buffered has nobody to go to; the interpreter would complain of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        note(f"sensorium: {_about(error)}")
        return FAILED
    except UnicodeError as error:
        if (text := encoding.explained(error)) is None:
            raise
        note(f"sensorium: {text}")
        return MISUSED
    except ImportError as error:  # of a command whose module needs an extra
        cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        library = (cause.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        note(f"sensorium: {library} is not installed: {how_to_install(library)}")
        return FAILED
    return result if isinstance(result, int) else 0


def said(error: SensoriumError) -> str:
    """The message, where in the request it applies, and what was noted of it."""
    where = f"at {error.details['at']}" if "at" in error.details else ""
    if isinstance(error, UnauthenticatedError):
        where = "here: --api-key, or SENSORIUM_API_KEY"
    beside = "; ".join(filter(None, [where, *getattr(error, "__notes__", ())]))
    return f"{error.message} ({beside})" if beside else error.message


def _about(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what


def _plain(value: object) -> str:
    return cell(value).replace("\t", " ").replace("\n", " ")


def _unseen(done: int, total: int | None = None, unit: str = "") -> None:
    del done, total, unit
