"""Event labels of the recorded logs, from each program's own format strings.

`<system>.events` is written by hand: a `header` line (the regular expression of what stands before
the message), perhaps a `footer` (what stands after it) and a `continuation` (how a line begins that
belongs to the record above it), then `ID<TAB>expression`, one per logging call of the program. A
message must match one expression in full and no other, so the order of the list does not matter.
`python -m benchmarks.recorded.labels` writes `<system>.labels` again, one event id per log line.
A list without expressions belongs to a log whose labels were recorded with it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Events:
    """What one program can log."""

    record: re.Pattern[str]
    continuation: re.Pattern[str] | None
    messages: dict[str, re.Pattern[str]]

    def label(self, lines: list[str]) -> list[str]:
        """One event id per line; ValueError where a line matches none or several."""
        labels: list[str] = []
        for number, line in enumerate(lines, 1):
            if labels and self.continuation and self.continuation.match(line):
                labels.append(labels[-1])
                continue
            message = self.content(line)
            found = [name for name, form in self.messages.items() if form.fullmatch(message)]
            if len(found) != 1:
                raise ValueError(f"line {number} matches {found or 'no event'}: {line}")
            labels += found
        return labels

    def content(self, line: str) -> str:
        """The line without header and footer; unchanged where it has none."""
        record = self.record.fullmatch(line)
        return record[1] if record else line


def systems() -> list[str]:
    """Names of the recorded systems."""
    return sorted(path.stem for path in FOLDER.glob("*.events"))


def listed() -> list[str]:
    """Names of those whose labels follow from a list."""
    return [system for system in systems() if read_events(system).messages]


def read_events(system: str) -> Events:
    """The hand-written events of a system."""
    parts = {"header": "", "footer": "", "continuation": ""}
    messages = {}
    for line in (FOLDER / f"{system}.events").read_text("utf-8").split("\n"):
        word, _, expression = line.partition(" ")
        if word in parts:
            parts[word] = expression
        elif line and word != "#":
            name, _, expression = line.partition("\t")
            messages[name] = re.compile(expression)
    return Events(
        record=re.compile(f"(?:{parts['header']})(.*?)(?:{parts['footer']})"),
        continuation=re.compile(parts["continuation"]) if parts["continuation"] else None,
        messages=messages,
    )


def read_lines(system: str) -> list[str]:
    """The raw lines of a recorded log, without their ends."""
    text = (FOLDER / f"{system}.log").read_text("utf-8")
    return text.removesuffix("\n").split("\n")


def read_contents(system: str) -> list[str]:
    """The lines without their headers, as parsers are usually given them."""
    events = read_events(system)
    return [events.content(line) for line in read_lines(system)]


def read_labels(system: str) -> list[str]:
    """The event id of each line."""
    return (FOLDER / f"{system}.labels").read_text("utf-8").split()


def main() -> None:
    """Write every labels file again that follows from a list."""
    for system in listed():
        labels = read_events(system).label(read_lines(system))
        (FOLDER / f"{system}.labels").write_text("\n".join(labels) + "\n", "utf-8")


if __name__ == "__main__":
    main()
