"""Tables and bars on a terminal; reached only when somebody looks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from sensorium.cli.numbers import show_bytes
from sensorium.cli.render import Report, cell


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], title: str, styles: Sequence[str]
) -> None:
    """Draw a table on standard output; see `render.Output.table`."""
    drawn = Table(
        title=Text(title) if title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
        header_style="bold",
    )
    for number, name in enumerate(columns):
        values = [row[number] for row in rows if row[number] is not None]
        numeric = bool(values) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values
        )
        drawn.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for number, row in enumerate(rows):
        style = styles[number] if number < len(styles) else None
        drawn.add_row(*(Text(cell(value)) for value in row), style=style)
    Console().print(drawn)


class _Rate(ProgressColumn):
    """Done, total and how fast."""

    def render(self, task: Task) -> Text:
        """See rich.progress."""
        unit = task.fields.get("unit", "")
        if unit == "bytes":
            total = show_bytes(task.total or 0)
            rate = f"  {show_bytes(task.speed)}/s" if task.speed else ""
            return Text(f"{show_bytes(task.completed)} of {total}{rate}")
        total = "" if task.total is None else f"/{task.total:,.0f}"
        rate = f"  {task.speed:,.0f} {unit}/s".replace(" /s", "/s") if task.speed else ""
        return Text(f"{task.completed:,.0f}{total} {unit}{rate}")


@contextmanager
def bar(label: str) -> Iterator[Report]:
    """A bar that appears with the first report and leaves no trace."""
    task: TaskID | None = None
    drawn = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )

    def report(done: int, total: int | None = None, unit: str = "") -> None:
        nonlocal task
        if task is None:
            drawn.start()
            task = drawn.add_task(label, total=total, unit=unit)
        drawn.update(task, completed=done, total=total, unit=unit)

    try:
        yield report
    finally:
        if task is not None:
            drawn.stop()
