"""Make `<system>.log`, `.labels` and `.events` of what `sitecustomize` wrote down.

    python -m benchmarks.recorded.sources.statements.assemble RAW SYSTEM

RAW is the file that RECORD_INTO named, or for a program in Java what its log4j wrote with
`%C:%L@@` before its own layout. Each system gets the layout of its own default configuration. A
record is its first line; statements become numbers in the order in which they first appear. Places
that log one format string, or the very same text, cannot be told apart by a reader and are one.
"""

import argparse
import json
import re
import socket
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.recorded.labels import FOLDER

MOST_LINES = 1_000
CLOCK = r"\d\d:\d\d:\d\d"
DATED = rf"[\d-]+ {CLOCK},\d+"
LAYOUTS = {
    "activemq": ("", rf"{DATED} \| \w+ +\| ", r" \| [\w.$]+ \| .*"),
    "amqtt": (
        "[{date} {clock},{ms}] :: {level} :: {logger} :: {text}",
        rf"\[{DATED}\] :: \w+ :: \S+ :: ",
        "",
    ),
    "asyncssh": ("{level}:{logger}:{text}", r"\w+:[\w.]+:", ""),
    "celery": (
        "[{date} {clock},{ms}: {level}/MainProcess] {text}",
        rf"\[{DATED}: \w+/MainProcess\] ",
        "",
    ),
    "dask": ("{date} {clock},{ms} - {logger} - {level} - {text}", rf"{DATED} - \S+ - \w+ - ", ""),
    "luigi": ("{clock} {level} {logger} [{process}]: {text}", rf"{CLOCK} \w+ \S+ \[\d+\]: ", ""),
    "paramiko": (
        "{level:3.3} [{day}-{clock}.{ms}] thr={process:<3} {logger}: {text}",
        rf"\w+ +\[\d+-{CLOCK}\.\d+\] thr=\d+ +\S+: ",
        "",
    ),
    "scrapy": ("{date} {clock} [{logger}] {level}: {text}", rf"[\d-]+ {CLOCK} \[\S+\] \w+: ", ""),
}
"""How a line of each system is written; what stands before the message, and what behind it."""


def read_python(raw: Path, layout: str) -> Iterator[tuple[str, str]]:
    """(statement, line) for each record of a Python program."""
    entries = [json.loads(line) for line in raw.read_text().splitlines()]
    for entry in sorted(entries, key=lambda entry: float(entry["time"])):
        moment = datetime.fromtimestamp(entry["time"], UTC)
        text = entry["text"].split("\n")[0].rstrip()
        if text:
            fields = entry | {
                "text": text,
                "date": moment.strftime("%Y-%m-%d"),
                "day": moment.strftime("%Y%m%d"),
                "clock": moment.strftime("%H:%M:%S"),
                "ms": f"{moment.microsecond // 1000:03}",
            }
            place, _, form = entry["statement"].partition(" ")
            yield form or place, layout.format(**fields)


def read_java(raw: Path) -> Iterator[tuple[str, str]]:
    """(statement, line) for each record of a Java program."""
    for line in raw.read_text().splitlines():
        statement, mark, text = line.partition("@@")
        if mark and re.fullmatch(r"[\w.$]+:\d+", statement) and text.count(" | ") >= 3:
            yield statement, text


def number(statements: list[str], texts: list[str]) -> list[str]:
    """A label for each record; statements that made the same text share one."""
    same = {statement: statement for statement in statements}

    def first(statement: str) -> str:
        while same[statement] != statement:
            statement = same[statement]
        return statement

    made: dict[str, str] = {}
    for statement, text in zip(statements, texts, strict=True):
        same[first(statement)] = first(made.setdefault(text, statement))
    numbers: dict[str, int] = {}
    return [f"S{numbers.setdefault(first(each), len(numbers) + 1):03}" for each in statements]


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path)
    parser.add_argument("system", choices=LAYOUTS)
    arguments = parser.parse_args()
    layout, header, footer = LAYOUTS[arguments.system]
    raw = arguments.raw
    records = list(read_python(raw, layout) if layout else read_java(raw))[:MOST_LINES]
    host = re.compile(rf"(?<![\w/]){re.escape(socket.gethostname())}(?![\w:])")
    folders = re.compile(f"{re.escape(str(raw.parent.resolve()))}|{tempfile.gettempdir()}(?=/)")
    lines = [host.sub("shop-1", folders.sub("/srv/recorded", line)) for _, line in records]
    bare = re.compile(f"(?:{header})(.*?)(?:{footer})")
    labels = number([statement for statement, _ in records], [bare.sub(r"\1", x) for x in lines])
    for ending, content in (("log", lines), ("labels", labels)):
        (FOLDER / f"{arguments.system}.{ending}").write_text("\n".join(content) + "\n")
    (FOLDER / f"{arguments.system}.events").write_text(
        f"# Labelled as recorded: an event is a place in the program's source that logs.\n"
        f"header {header}\n" + (f"footer {footer}\n" if footer else "")
    )
    print(f"{arguments.system}: {len(lines)} lines, {len(set(labels))} statements")


if __name__ == "__main__":
    main()
