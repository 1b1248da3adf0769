"""Tables and bars on a terminal; reached only when somebody looks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.cells import cell_len
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

from sensorium.cli.fitting import PROSE, Column, fit
from sensorium.cli.numbers import show_bytes
from sensorium.cli.render import Report, cell


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str,
    styles: Sequence[str],
    kept: int,
) -> None:
    """Draw a table on standard output; see `render.Output.table`."""
    console = Console()
    texts = [[Text(cell(value)) for value in row] for row in rows]
    measured = [
        _measured(
            name,
            [row[place] for row in rows],
            [row[place] for row in texts],
            kept=place < kept or not name,
        )
        for place, name in enumerate(columns)
    ]
    widths = fit(measured, console.width)
    drawn = Table(
        title=Text(title) if title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
        header_style="bold",
    )
    for place, width in widths.items():
        whole = measured[place].prose or place == 0
        drawn.add_column(
            columns[place],
            justify="right" if measured[place].numeric else "left",
            overflow="fold" if whole else "ellipsis",
            no_wrap=not whole,
            width=width,
        )
    for number, cells in enumerate(texts):
        style = styles[number] if number < len(styles) else None
        drawn.add_row(*(cells[place] for place in widths), style=style)
    console.print(drawn)
    if left_out := [name for place, name in enumerate(columns) if place not in widths]:
        text = f"Left out here: {', '.join(left_out)}; --json has all."
        console.print(Text(text, style="dim"))


def _measured(name: str, values: Sequence[object], texts: Sequence[Text], *, kept: bool) -> Column:
    """How wide a column would be, and whether it holds figures, or prose."""
    values = [value for value in values if value is not None]
    numeric = bool(values) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
    lines = [line for text in texts for line in text.plain.split("\n")]
    return Column(
        max([cell_len(name), *map(cell_len, lines)]),
        numeric,
        any(len(line) > PROSE and " " in line for line in lines),
        kept,
    )


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
