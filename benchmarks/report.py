"""A benchmark's result rows, and how they are shown."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import msgspec


@dataclass(frozen=True)
class Row:
    """One measured figure: `met` is None where there is no target to meet."""

    what: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None
    peer: str = ""
    note: str = ""


HEADER = "| what | value | target | met | peer | note |\n|---|---|---|---|---|---|"


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [HEADER]
    for row in rows:
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        value = f"{row.value:.4g} {row.unit}".strip()
        lines.append(f"| {row.what} | {value} | {row.target} | {met} | {row.peer} | {row.note} |")
    return "\n".join(lines)


def to_json(rows: Iterable[Row]) -> bytes:
    """The rows as a JSON array, for a later run to compare with."""
    return msgspec.json.encode([asdict(row) for row in rows])


def show(rows: Iterable[Row]) -> None:
    """Print the table."""
    print(markdown(rows))
