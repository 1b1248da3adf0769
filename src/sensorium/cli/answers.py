"""Any operation's answer for people: figures as name and value, lists of Structs as tables."""

from typing import Any

import msgspec
from msgspec import Struct

from sensorium.cli.render import Output

LONGEST = 120


def show(answer: Struct, output: Output) -> None:
    """Print an answer; with --json, whole."""
    if output.as_json:
        output.value(answer)
        return
    show_members(msgspec.json.decode(msgspec.json.encode(answer)), output)


def show_members(read: dict[str, Any], output: Output) -> None:
    """Print what JSON holds by name."""
    plain = {name: value for name, value in read.items() if not _is_rows(value)}
    if plain:
        output.table(["", ""], [(name, _shown(value)) for name, value in _flat(plain)])
    for name, value in read.items():
        if _is_rows(value):
            _show_rows(name, value, output)


def _show_rows(name: str, rows: list[dict[str, Any]], output: Output) -> None:
    """A table of what its rows hold that is short; in a pipe each row begins with its name."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_shown(row.get(column)) for column in columns] for row in rows]
    if output.drawn:
        output.table(columns, cells, title=name.replace("_", " "))
    else:
        output.table(["", *columns], [[name, *row] for row in cells])


def _flat(value: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Members of members, with dotted names."""
    flat: list[tuple[str, Any]] = []
    for name, member in value.items():
        if isinstance(member, dict) and member:
            flat += _flat(member, f"{before}{name}.")
        else:
            flat.append((f"{before}{name}", member))
    return flat


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _shown(value: Any) -> Any:
    """A value that fits into a cell; what is longer is said to be there."""
    if isinstance(value, list | dict):
        text = msgspec.json.encode(value).decode()
        return text if len(text) <= LONGEST else f"({len(value)} items)"
    return value
