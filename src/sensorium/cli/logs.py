"""`sensorium logs cluster` and `logs compare`: log files in, what is in them out."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from sensorium.capabilities.logs.schema import (
    Change,
    Cluster,
    ClusterResponse,
    CompareResponse,
)
from sensorium.cli.connect import Target
from sensorium.cli.logfiles import STDIN, read_lines
from sensorium.cli.logwatch import watch
from sensorium.cli.render import Output, progress
from sensorium.cli.terminal import OF_SEVERITY, clipped
from sensorium.core.errors import InvalidInputError

HERE = Target()
PLAIN = Output()
TIMES = "\N{MULTIPLICATION SIGN}"
LINES_OF_TEMPLATE = 2
LEAST_SHARE = 0.01
"""Subjects of fewer lines are not summed up."""
BESIDE_TEMPLATE = 48
"""Roughly how many columns of a terminal stand beside the template."""

Field = Annotated[
    str,
    Parameter(
        show_default=False,
        help="The lines are JSON objects, and the message is in this field (a.b too).",
    ),
]
Method = Annotated[
    Literal["templates", "kmeans"],
    Parameter(help="One cluster per pattern of message, or a few groups of similar lines."),
]


def cluster(
    files: Annotated[
        list[Path],
        Parameter(
            allow_leading_hyphen=True,
            help="Log files, plain or .gz/.zst/.bz2/.xz; - is standard input.",
        ),
    ],
    /,
    *,
    field: Field = "",
    method: Method = "templates",
    max_clusters: Annotated[int, Parameter(help="Show the largest so many.")] = 50,
    examples: Annotated[int, Parameter(help="Show so many lines of each cluster.")] = 0,
    follow: Annotated[
        bool,
        Parameter(
            name=["--follow", "-f"],
            negative=(),
            show_default=False,
            help="Wait for more lines; print patterns not seen before, and changed rates.",
        ),
    ] = False,
    learn: Annotated[
        int,
        Parameter(
            help="With --follow: take the first so many lines to come for normal, beside what "
            "the files hold already."
        ),
    ] = 0,
    window: Annotated[
        int, Parameter(help="With --follow: judge rates once per so many lines.")
    ] = 1000,
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """Group the lines of log files into labelled patterns.

    In a pipe: count, share, severity, label, template and the examples, separated by tabs.
    """
    paths = list(map(str, files))
    check_sources(paths)
    with target.client() as client:
        if follow:
            watch(client, output, paths, field=field, learn=learn, window=window)
            return
        lines = read_lines(paths, field)
        with progress("clustering") as report:
            answer = client.with_options(on_progress=report).logs.cluster(
                lines=lines,
                method=method,
                max_clusters=max_clusters,
                examples=examples,
                include_assignments=False,
            )
    if output.as_json:
        output.value(answer)
    else:
        show_clusters(output, answer)


def compare(
    before: Annotated[Path, Parameter(allow_leading_hyphen=True, help="The log before.")],
    after: Annotated[Path, Parameter(allow_leading_hyphen=True, help="The log after.")],
    /,
    *,
    field: Field = "",
    min_change: Annotated[
        float, Parameter(help="A rate counts as changed from this factor on.")
    ] = 2.0,
    examples: Annotated[int, Parameter(help="Show so many lines of each pattern.")] = 0,
    everything: Annotated[
        bool,
        Parameter(
            name="--all",
            negative=(),
            show_default=False,
            help="Show too what is too rare to tell from chance.",
        ),
    ] = False,
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """What is new, gone, or changed in rate from one log to another.

    In a pipe: what happened, count before, count after, severity, label, template and the
    examples, separated by tabs.
    """
    paths = [str(before), str(after)]
    check_sources(paths)
    lines = [read_lines([path], field) for path in paths]
    with target.client() as client, progress("comparing") as report:
        answer = client.with_options(on_progress=report).logs.compare(
            before=lines[0], after=lines[1], min_change=min_change, examples=examples
        )
    if output.as_json:
        output.value(answer)
    else:
        show_changes(output, answer, everything=everything)


def check_sources(paths: Sequence[str]) -> None:
    """Refuse what cannot be read.

    Raises:
        InvalidInputError: there is no file, or standard input more than once.
    """
    if not paths:
        raise InvalidInputError("name a log file, or - for standard input")
    if paths.count(STDIN) > 1:
        raise InvalidInputError("standard input can be read only once")


def show_clusters(output: Output, answer: ClusterResponse) -> None:
    """Print clusters, and on a terminal what they amount to."""
    if output.drawn:
        _draw_clusters(output, answer)
        return
    output.table(
        [],
        [
            (each.count, f"{each.share:.2%}", *_names(each), each.template, *each.examples)
            for each in answer.clusters
        ],
    )


def _draw_clusters(output: Output, answer: ClusterResponse) -> None:
    if not answer.line_count:
        output.line("There are no lines.")
        return
    rows: list[tuple[object, ...]] = []
    styles: list[str] = []
    for each in answer.clusters:
        rows.append((each.count, f"{each.share:.1%}", *_names(each), _clipped(each.template)))
        styles.append(OF_SEVERITY.get(each.severity, ""))
        rows += [(None, "", "", "", _clipped(example)) for example in each.examples]
        styles += ["dim"] * len(each.examples)
    output.table(["lines", "share", "severity", "label", "pattern"], rows, styles=styles)
    if answer.other.clusters:
        output.line(
            f"… and {answer.other.clusters:,} smaller patterns with {answer.other.count:,} lines "
            "(--max-clusters shows more)"
        )
    patterns = len(answer.clusters) + answer.other.clusters
    output.line(clipped(f"{answer.line_count:,} lines, {patterns:,} patterns{_themes(answer)}", 0))


def _themes(answer: ClusterResponse) -> str:
    named = [
        f"{each.label} {each.share:.0%}"
        for each in answer.themes
        if each.name not in ("", "other") and each.share >= LEAST_SHARE
    ]
    return f"  ·  {', '.join(named)}" if named else ""


def show_changes(output: Output, answer: CompareResponse, *, everything: bool) -> None:
    """Print what changed, and on a terminal how much was compared."""
    kinds: list[tuple[str, str, Sequence[Change]]] = [
        ("new", "New", answer.new),
        ("gone", "Gone", answer.gone),
        ("changed", "Changed in rate", answer.changed),
    ]
    if everything:
        kinds.append(
            (
                "uncertain",
                "On one side only, but so rarely that chance explains it",
                answer.uncertain,
            )
        )
    if not output.drawn:
        output.table([], [row for kind, _, changes in kinds for row in _plain(kind, changes)])
        return
    for _, title, changes in kinds:
        if changes:
            _draw_changes(output, title, changes)
    if not any(changes for _, _, changes in kinds):
        output.line("Nothing differs that chance would not explain.")
    unsure = len(answer.uncertain)
    hidden = (
        f"; {unsure:,} too rare to tell (--all shows them)" if unsure and not everything else ""
    )
    output.line(
        f"{answer.before_lines:,} lines before, {answer.after_lines:,} after, "
        f"{answer.patterns:,} patterns{hidden}"
    )


def _draw_changes(output: Output, title: str, changes: Iterable[Change]) -> None:
    rows: list[tuple[object, ...]] = []
    styles: list[str] = []
    for each in changes:
        counts = (each.before_count, each.after_count, _factor(each))
        rows.append((*counts, *_names(each), _clipped(each.template)))
        styles.append(OF_SEVERITY.get(each.severity, ""))
        rows += [(None, None, "", "", "", _clipped(example)) for example in each.examples]
        styles += ["dim"] * len(each.examples)
    columns = ["before", "after", "rate", "severity", "label", "pattern"]
    output.table(columns, rows, title=title, styles=styles)


def _plain(kind: str, changes: Iterable[Change]) -> Iterable[tuple[object, ...]]:
    for each in changes:
        counts = (each.before_count, each.after_count)
        yield (kind, *counts, *_names(each), each.template, *each.examples)


def _factor(change: Change) -> str:
    """How the rate changed, for people."""
    if change.factor is None:
        return "new"
    if change.factor == 0:
        return "gone"
    return f"{TIMES} {change.factor:.3g}" if change.factor >= 1 else f"÷ {1 / change.factor:.3g}"


def _names(each: Cluster | Change) -> tuple[str, str]:
    return each.severity, each.label


def _clipped(text: str) -> str:
    return clipped(text, BESIDE_TEMPLATE, LINES_OF_TEMPLATE)
