"""The `pipelines` operations."""

import asyncio
import time
from pathlib import Path

import msgspec

from sensorium.capabilities.pipelines.files import read_file
from sensorium.capabilities.pipelines.flow import LIGHT_BYTES, Held
from sensorium.capabilities.pipelines.inputs import read_inputs
from sensorium.capabilities.pipelines.library import Pipelines
from sensorium.capabilities.pipelines.plan import Plan, make_plan
from sensorium.capabilities.pipelines.running import Run
from sensorium.capabilities.pipelines.schema import (
    CheckRequest,
    CheckResponse,
    Input,
    ListRequest,
    ListResponse,
    Pipeline,
    PipelineEntry,
    RunRequest,
    RunResponse,
    Stage,
)
from sensorium.core.dispatch import Caller
from sensorium.core.errors import (
    DeadlineExceededError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    SensoriumError,
)
from sensorium.core.operation import Context, Execution, operation
from sensorium.core.registry import Registry

_EXAMPLE = Pipeline(
    inputs={"lines": Input(kind="list[text]", default=["user 7 came", "user 9 came", "bye"])},
    stages=[
        Stage(
            name="scan",
            operation="logs.cluster",
            request={"lines": "$input.lines", "include_assignments": False},
        ),
        Stage(
            name="count",
            function="length",
            request={"value": "$scan.clusters"},
            when=["$scan.line_count > 0"],
        ),
    ],
    outputs={"patterns": "$scan.clusters[*].template", "count": "$count"},
)


@operation(
    "pipelines.run",
    execution=Execution.ASYNC,
    changes=True,
    large=True,
    deadline_s=600.0,
    example=RunRequest(pipeline=_EXAMPLE),
)
async def run(request: RunRequest, context: Context) -> RunResponse:
    """Run a pipeline: several operations and models as one call.

    Its caller's key must cover every operation in it (`models.infer` for a model), and each counts
    as a call of theirs. It is checked whole before its first stage runs.

    Raises:
        NotFoundError: there is no pipeline of that name.
        ForbiddenError: the key does not cover an operation in it.
        InvalidInputError: something else is wrong with it, or with what it is given.
        SensoriumError: of the stage that failed, with `details.stage`.
    """
    began = time.perf_counter()
    caller = context.get(Caller)
    pipeline = await _chosen(request, context)
    # At once, because a pipeline may run itself; what runs an operation is counted as its call.
    caller.account.spend(sum(1 for each in pipeline.stages if not each.operation))
    plan = _plan(pipeline, context)
    if plan.problems:
        raise _refusal(plan)
    inputs = await _inputs(request, plan)
    running = Run(plan, inputs, context, caller.on_progress)
    try:
        async with asyncio.timeout(pipeline.deadline_s):
            outputs = await running.outputs()
    except TimeoutError:
        raise DeadlineExceededError(
            f"the pipeline was not done within its {pipeline.deadline_s:g} s"
        ) from None
    records = running.records
    fell_back = [f"{each.name}: {each.reason}" for each in records if each.state == "fell_back"]
    return RunResponse(
        outputs=msgspec.Raw(outputs),
        degraded="; ".join(fell_back),
        stages=records,
        seconds=round(time.perf_counter() - began, 6),
    )


@operation("pipelines.check", execution=Execution.ASYNC, example=CheckRequest(pipeline=_EXAMPLE))
async def check(request: CheckRequest, context: Context) -> CheckResponse:
    """What is wrong with a pipeline, without running it.

    Raises:
        NotFoundError: there is no pipeline of that name.
    """
    plan = _plan(await _chosen(request, context), context)
    return CheckResponse(valid=not plan.problems, problems=plan.problems)


@operation("pipelines.list", execution=Execution.ASYNC, example=ListRequest())
async def list_pipelines(request: ListRequest, context: Context) -> ListResponse:
    """The declared pipelines: what each is for, takes and gives."""
    del request
    entries = await asyncio.to_thread(_entries, context.get(Pipelines))
    return ListResponse(pipelines=entries)


async def _chosen(request: RunRequest | CheckRequest, context: Context) -> Pipeline:
    """The pipeline that a request names or holds."""
    if bool(request.name) == (request.pipeline is not None):
        raise InvalidInputError("give the name of a pipeline, or a pipeline, and not both")
    if request.pipeline is not None:
        return request.pipeline
    return await asyncio.to_thread(_declared, context.get(Pipelines), request.name)


def _declared(pipelines: Pipelines, name: str) -> Pipeline:
    found = pipelines.declared().get(name)
    if found is None:
        raise NotFoundError(f"there is no pipeline {name}; pipelines.list shows those there are")
    return _read(found.path)


def _read(path: Path) -> Pipeline:
    try:
        return read_file(path)
    except OSError as error:
        raise InvalidInputError(f"{path.name} cannot be read: {error.strerror}") from None


def _refusal(plan: Plan) -> SensoriumError:
    """The first of its problems as an error, the others beside it."""
    first, *others = plan.problems
    more = f" (and {len(others)} more)" if others else ""
    kind = ForbiddenError if first in plan.forbidden else InvalidInputError
    return kind(f"{first}{more}", details={"problems": msgspec.to_builtins(plan.problems)})


async def _inputs(request: RunRequest, plan: Plan) -> dict[str, Held]:
    """What it is given, read on a thread where that is much."""
    if len(memoryview(request.inputs)) <= LIGHT_BYTES:
        return read_inputs(request.inputs, plan.specs, plan.defaults)
    return await asyncio.to_thread(read_inputs, request.inputs, plan.specs, plan.defaults)


def _plan(pipeline: Pipeline, context: Context) -> Plan:
    return make_plan(pipeline, context.get(Registry), context.get(Caller).principal.covers)


def _entries(pipelines: Pipelines) -> list[PipelineEntry]:
    return [_entry(name, *found) for name, found in pipelines.declared().items()]


def _entry(name: str, source: str, path: Path) -> PipelineEntry:
    try:
        found = _read(path)
    except SensoriumError as error:
        where = f" (at {error.details['at']})" if "at" in error.details else ""
        return PipelineEntry(name=name, source=source, problem=f"{error.message}{where}")  # type: ignore[arg-type]
    return PipelineEntry(
        name=name,
        source=source,  # type: ignore[arg-type]
        description=found.description,
        inputs=found.inputs,
        stages=[stage.name for stage in found.stages],
        outputs=list(found.outputs),
    )
