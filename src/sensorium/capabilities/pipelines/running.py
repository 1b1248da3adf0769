"""One run of a pipeline: its stages in their order, side by side where none needs another."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from sensorium.capabilities.pipelines.conditions import Condition
from sensorium.capabilities.pipelines.flow import Flow, Held
from sensorium.capabilities.pipelines.functions import FUNCTIONS
from sensorium.capabilities.pipelines.library import Pipelines
from sensorium.capabilities.pipelines.plan import INFER, Action, Plan, Step
from sensorium.capabilities.pipelines.schema import StageRecord
from sensorium.capabilities.pipelines.shapes import bare, fields_of
from sensorium.core.conversion import convert
from sensorium.core.errors import (
    DeadlineExceededError,
    ErrorBody,
    InvalidInputError,
    SensoriumError,
    from_body,
)
from sensorium.core.loading import load
from sensorium.core.operation import Context
from sensorium.core.values import STRUCTS, Value

T = TypeVar("T")
log = logging.getLogger("sensorium.pipelines")
Report = Callable[[int, int | None, str], None]
State = Literal["ran", "skipped", "fell_back", "failed"]
_KINDS = {struct: kind for kind, struct in STRUCTS.items()}


class Run:
    """A plan under way. `report` is told of stages that ended."""

    def __init__(
        self, plan: Plan, inputs: dict[str, Held], context: Context, report: Report | None
    ) -> None:
        self._plan = plan
        self._context = context
        self._report = report
        self._flow = Flow(inputs, context.get(Pipelines))
        self._records: dict[str, StageRecord] = {}
        self._failed = False

    @property
    def records(self) -> list[StageRecord]:
        """What became of each stage that ended, in the pipeline's order."""
        return [self._records[s.name] for s in self._plan.steps if s.name in self._records]

    async def outputs(self) -> bytes:
        """Run it; returns its outputs as JSON.

        Raises:
            SensoriumError: of the first stage that failed, with `details.stage`; no other stage
                runs any more.
        """
        with self._flow as flow:
            await self._stages()
            trees = self._plan.outputs
            shown = {name: await self._eased(flow.shown, trees[name], whole=True) for name in trees}
            return msgspec.json.encode(shown)

    async def _stages(self) -> None:
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for step in self._plan.steps:
                    before = [tasks[name] for name in step.waits_for]
                    tasks[step.name] = group.create_task(self._step(step, before))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _step(self, step: Step, before: list["asyncio.Task[None]"]) -> None:
        """A stage, once those before it are done; what they raise cancels this one."""
        if before:
            await asyncio.wait(before)
        if self._failed:  # those that begin in the same moment are not cancelled yet
            return
        began = time.perf_counter()
        try:
            state, reason = await self._attempt(step)
        except SensoriumError as error:
            raise self._failure(error, step, began) from None
        except Exception:
            log.exception("stage %s failed", step.name)
            raise self._failure(SensoriumError(), step, began) from None
        self._record(step, state, began, reason)

    async def _attempt(self, step: Step) -> tuple[State, str]:
        """Do what a stage does, or why it is not done, or what it falls back on."""
        why = await self._skips(step)
        if why:
            self._flow.skip(step.name)
            return "skipped", why
        try:
            self._flow.keep(step.name, await self._in_time(step.action))
            return "ran", ""
        except SensoriumError as error:
            if step.fallback is None:
                raise
            why = _said(error)
        self._flow.keep(step.name, await self._in_time(step.fallback))
        return "fell_back", why

    async def _skips(self, step: Step) -> str:
        """Why a stage is not run; '' if it is."""
        skipped = sorted(step.needs & self._flow.skipped)
        if skipped and not step.action.takes_nulls:
            return f"{skipped[0]} was skipped"
        for condition in step.conditions:
            if not await self._holds(condition):
                return f"not so: {condition.text}"
        return ""

    async def _holds(self, condition: Condition) -> bool:
        def judge(_: Any) -> bool:
            return condition.holds(self._flow.look)

        return await self._eased(judge, [condition.left, condition.right])

    async def _in_time(self, action: Action) -> Held:
        try:
            async with asyncio.timeout(action.deadline_s):
                return await self._act(action)
        except TimeoutError:
            raise DeadlineExceededError(f"it was not done within {action.deadline_s:g} s") from None

    async def _act(self, action: Action) -> Held:
        if action.verb == "operation":
            body = await self._eased(self._flow.body, action.tree, whole=True)
            return Held(raw=await self._context.relay(action.name, body))
        values = await self._eased(self._flow.looked, action.tree)
        if action.verb == "model":
            return Held(await self._infer(action.name, values))
        if action.verb == "function":
            return await asyncio.to_thread(apply, action.name, values)
        return Held(values)

    async def _eased(self, work: Callable[[Any], T], tree: Any, *, whole: bool = False) -> T:
        """What work makes of a tree: on a thread, where it is so much that it would hold us up."""
        if self._flow.is_light(tree, whole=whole):
            return work(tree)
        return await asyncio.to_thread(work, tree)

    async def _infer(self, model: str, inputs: dict[str, Value]) -> Value:
        """What a model gives: its outputs by name."""
        tensors = [
            msgspec.structs.replace(convert(value, "tensor"), name=name)
            for name, value in inputs.items()
        ]
        self._context.authorise(INFER)
        found = await self._context.infer(model, tensors)
        return {each.name: each for each in found.outputs}

    def _record(self, step: Step, state: State, began: float, reason: str) -> None:
        seconds = round(time.perf_counter() - began, 6)
        record = StageRecord(name=step.name, state=state, seconds=seconds, reason=reason)
        self._records[step.name] = record
        if self._report is not None:
            self._report(len(self._records), len(self._plan.steps), "stages")

    def _failure(self, error: SensoriumError, step: Step, began: float) -> SensoriumError:
        """The same error, which says in which stage it came up, and what became of the others."""
        self._failed = True
        self._record(step, "failed", began, _said(error))
        body = error.body()
        inner = body.details.get("stage")
        return from_body(
            ErrorBody(
                code=body.code,
                message=f"stage {step.name}: {body.message}",
                details={
                    **body.details,
                    "stage": f"{step.name}.{inner}" if inner else step.name,
                    "stages": msgspec.to_builtins(self.records),
                },
                retry_after_s=body.retry_after_s,
            )
        )


def apply(name: str, values: dict[str, Value]) -> Held:
    """What a function gives.

    Raises:
        InvalidInputError: the values are none that it takes.
    """
    function = FUNCTIONS[name]
    for field, each in (fields_of(function.request) or {}).items():
        kind = _KINDS.get(bare(each.type))
        if kind is not None and field in values:
            values[field] = convert(values[field], kind)
    try:
        return Held(load(function.target)(msgspec.convert(values, function.request)))
    except (ValueError, msgspec.MsgspecError) as error:
        raise InvalidInputError(f"{name}: {error}") from None


def _said(error: SensoriumError) -> str:
    return f"{error.code}: {error.message}"
