"""`sensorium pipelines …` for people: files or names, inputs from files, problems line by line."""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from sensorium.capabilities.pipelines.files import read_text
from sensorium.capabilities.pipelines.library import SUFFIXES
from sensorium.capabilities.pipelines.schema import Input, Pipeline, Problem, RunResponse
from sensorium.cli.answers import show_members
from sensorium.cli.connect import Target
from sensorium.cli.pipeinputs import read_inputs
from sensorium.cli.render import FAILED, Output, note, progress
from sensorium.client import Sensorium
from sensorium.core.errors import InvalidInputError, NotFoundError, SensoriumError

Which = Annotated[
    str, Parameter(help="A file (.toml or .json), or the name of a declared pipeline.")
]
PLAIN, HERE = Output(), Target()


def run(
    pipeline: Which,
    /,
    *,
    inputs: Annotated[
        list[str] | None,
        Parameter(
            name=["--input", "-i"],
            negative=(),
            show_default=False,
            help="NAME=VALUE, or NAME=@FILE: lines, text, CSV or JSON, as its kind is; - is "
            "standard input.",
        ),
    ] = None,
    target: Target = HERE,
    output: Output = PLAIN,
) -> int:
    """Run a pipeline, and print what it gives.

    On a terminal, standard error tells what became of each stage. In a pipe: a line for each
    output, its name and its JSON, separated by a tab.

    Examples:
        sensorium pipelines run log-bursts --input lines=@app.log
        sensorium pipelines run mine.toml -i text=hello -i size=5 --json
    """
    with target.client() as client, progress("running") as report:
        given = _given(pipeline)
        declared = _inputs(client, pipeline) if given is None else given.inputs
        values = read_inputs(inputs or [], declared)
        try:
            answer = client.with_options(on_progress=report).pipelines.run(
                name=pipeline if given is None else "", pipeline=given, inputs=values
            )
        except SensoriumError as error:
            if "problems" not in error.details:
                raise
            for each in msgspec.convert(error.details["problems"], list[Problem]):
                note(f"sensorium: {each}")
            return FAILED
    if answer.degraded:
        note(f"sensorium: not all went as it should: {answer.degraded}")
    if output.as_json:
        output.value(answer)
        return 0
    if sys.stderr.isatty():
        _tell_stages(answer)
    outputs: dict[str, Any] = msgspec.json.decode(answer.outputs)
    if output.drawn:
        show_members(outputs, output)
    else:
        output.table(
            [], [(name, msgspec.json.encode(each).decode()) for name, each in outputs.items()]
        )
    return 0


def check(pipeline: Which, /, *, target: Target = HERE, output: Output = PLAIN) -> int:
    """Say what is wrong with a pipeline, without running it.

    The status is 1 if anything is. In a pipe: stage, field and what is wrong, separated by tabs.

    Examples:
        sensorium pipelines check mine.toml
    """
    given = _given(pipeline)
    with target.client() as client:
        name = pipeline if given is None else ""
        answer = client.pipelines.check(name=name, pipeline=given)
    if output.as_json:
        output.value(answer)
    elif output.drawn:
        for each in answer.problems:
            output.line(str(each))
        if answer.valid:
            output.line(f"{pipeline}: nothing is wrong")
    else:
        output.table([], [(each.stage, each.field, each.message) for each in answer.problems])
    return 0 if answer.valid else FAILED


def show_list(*, target: Target = HERE, output: Output = PLAIN) -> None:
    """The declared pipelines.

    In a pipe: name, where it is from, inputs, outputs and what it is for, separated by tabs.

    Examples:
        sensorium pipelines list
    """
    with target.client() as client:
        answer = client.pipelines.list()
    if output.as_json:
        output.value(answer)
        return
    rows = [
        (
            each.name,
            each.source,
            ", ".join(f"{name}: {given.kind}" for name, given in each.inputs.items()),
            ", ".join(each.outputs),
            each.problem or each.description,
        )
        for each in answer.pipelines
    ]
    styles = ["red" if each.problem else "" for each in answer.pipelines]
    output.table(["pipeline", "from", "takes", "gives", "what for"], rows, styles=styles)


def _given(pipeline: str) -> Pipeline | None:
    """The pipeline in a file; None for a name."""
    path = Path(pipeline)
    if path.suffix not in SUFFIXES and "/" not in pipeline:
        return None
    try:
        return read_text(path.read_bytes(), path.suffix)
    except InvalidInputError as error:
        raise InvalidInputError(f"{pipeline}: {error.message}", details=error.details) from None


def _inputs(client: Sensorium, name: str) -> dict[str, Input]:
    """What a declared pipeline takes."""
    for each in client.pipelines.list().pipelines:
        if each.name == name and not each.problem:
            return each.inputs
        if each.name == name:
            raise InvalidInputError(f"{name}: {each.problem}")
    raise NotFoundError(
        f"there is no pipeline {name}, and no file of that name; `sensorium pipelines list` shows "
        "the pipelines"
    )


def _tell_stages(answer: RunResponse) -> None:
    width = max(len(each.name) for each in answer.stages)
    for each in answer.stages:
        reason = f"  {each.reason}" if each.reason else ""
        state = each.state.replace("_", " ")
        note(f"{each.name:{width}}  {state:9}  {each.seconds * 1000:8.1f} ms{reason}")
