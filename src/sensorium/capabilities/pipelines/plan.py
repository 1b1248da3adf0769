"""A pipeline made ready to run, or what is wrong with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sensorium.capabilities.pipelines.circles import way_between
from sensorium.capabilities.pipelines.conditions import Condition, parse_condition
from sensorium.capabilities.pipelines.functions import FIRST_OF, FUNCTIONS
from sensorium.capabilities.pipelines.references import (
    INPUT,
    Reference,
    parse_tree,
    references_in,
)
from sensorium.capabilities.pipelines.schema import Fallback, Pipeline, Problem, Stage
from sensorium.capabilities.pipelines.shapes import ANYTHING, after, check_tree, of_spec
from sensorium.core.conversion import fit
from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.core.operation import Kind
from sensorium.core.registry import Registry
from sensorium.core.tensors import Tensor
from sensorium.core.values import Spec, Value, read_spec

UNPARSED = object()
VERBS = ("operation", "model", "function")
INFER = "models.infer"
"""What a key must cover to run a model."""
Allowed = Callable[[str], bool]


@dataclass(frozen=True)
class Action:
    """What a stage, or its fallback, does."""

    verb: str
    """operation, model, function or value."""
    name: str
    tree: Any
    """Its request or its value, with references parsed."""
    gives: Any
    deadline_s: float | None

    @property
    def takes_nulls(self) -> bool:
        """Whether it makes something of what skipped stages did not give."""
        return (self.verb, self.name) == ("function", FIRST_OF)


@dataclass(frozen=True)
class Step:
    """A stage made ready."""

    name: str
    action: Action
    fallback: Action | None
    conditions: list[Condition]
    needs: frozenset[str]
    """The stages without which it is not run."""
    waits_for: frozenset[str]
    """Those, those that it looks at otherwise, and those that it comes after."""


@dataclass
class Plan:
    """A pipeline made ready; it may be run if there are no problems."""

    specs: dict[str, Spec] = field(default_factory=dict)
    defaults: dict[str, Value] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    forbidden: list[Problem] = field(default_factory=list)
    """Those that a better key would not have."""


def make_plan(pipeline: Pipeline, registry: Registry, allowed: Allowed) -> Plan:
    """A pipeline made ready; `allowed` tells whether its caller may call what is of that name.

    Raises:
        UnavailableError: the server still looks for plugins.
    """
    return _Maker(pipeline, registry, allowed).plan


class _Maker:
    """Makes a plan, and gathers what is wrong on the way."""

    def __init__(self, pipeline: Pipeline, registry: Registry, allowed: Allowed) -> None:
        self.plan = Plan()
        self._registry = registry
        self._allowed = allowed
        self._order = [stage.name for stage in pipeline.stages]
        self._stages = {stage.name: stage for stage in pipeline.stages}
        self._given: dict[str, Any] = {}
        """The types of the inputs."""
        self._types: dict[str, list[Any]] = {}
        """Those of what each stage gives, and its fallback."""
        self._inputs(pipeline)
        for number, stage in enumerate(pipeline.stages):
            self._stage(number, stage)
        for name, node in pipeline.outputs.items():
            self.plan.outputs[name] = tree = self._parsed("", f"outputs.{name}", node)
            for reference in references_in(tree):
                self._led(reference, len(self._order), "", f"outputs.{name}")

    def _wrong(self, stage: str, where: str, message: str) -> None:
        self.plan.problems.append(Problem(stage=stage, field=where, message=message))

    def _inputs(self, pipeline: Pipeline) -> None:
        for name, given in pipeline.inputs.items():
            where = f"inputs.{name}"
            try:
                spec = self.plan.specs[name] = read_spec(given.kind)
                self._given[name] = of_spec(spec)
                if given.default is not None:
                    self.plan.defaults[name] = fit(given.default, spec)
            except InvalidInputError as error:
                self.plan.specs.setdefault(name, Spec())
                self._wrong("", where, error.message)

    def _stage(self, number: int, stage: Stage) -> None:
        if stage.name == INPUT:
            self._wrong(stage.name, "name", "$input is what the pipeline is given")
        elif self._order.index(stage.name) != number:
            self._wrong(stage.name, "name", "there is another stage of that name")
        conditions = list(self._conditions(number, stage))
        action = self._action(number, stage, stage, "")
        fallback = None
        if stage.fallback is not None:
            fallback = self._action(number, stage, stage.fallback, "fallback.")
        for name in stage.after:
            self._led(Reference(f"${name}", name, ()), number, stage.name, "after")
        actions = [action] if fallback is None else [action, fallback]
        self._types.setdefault(stage.name, [each.gives for each in actions])
        seen = {each.root for each in references_in([each.tree for each in actions])}
        seen |= {each.root for condition in conditions for each in condition.references}
        before = frozenset(self._order[:number])
        needs = before & {each.root for each in references_in(action.tree)}
        waits_for = before & (seen | set(stage.after))
        step = Step(stage.name, action, fallback, conditions, needs, waits_for)
        self.plan.steps.append(step)

    def _conditions(self, number: int, stage: Stage) -> Iterator[Condition]:
        for text in stage.when:
            try:
                condition = parse_condition(text)
            except ValueError as error:
                self._wrong(stage.name, "when", str(error))
                continue
            for reference in condition.references:
                self._led(reference, number, stage.name, "when")
            yield condition

    def _action(self, number: int, stage: Stage, does: Stage | Fallback, within: str) -> Action:
        """What a stage or its fallback does, checked; `within`: what stands before its fields."""
        verb, name = self._named(stage, does)
        where = f"{within}request"
        if isinstance(does, Fallback) and verb == "value":
            where = f"{within}value"
        tree = self._parsed(stage.name, where, getattr(does, where.removeprefix(within)))
        takes, gives = self._contract(stage.name, f"{within}{verb}", verb, name)

        def type_of(reference: Reference) -> Any:
            return self._type(reference, number)

        if tree is not UNPARSED:
            for at, message in check_tree(takes, tree, type_of, where):
                self._wrong(stage.name, at, message)
        return Action(verb, name, tree, gives, does.deadline_s)

    def _named(self, stage: Stage, does: Stage | Fallback) -> tuple[str, str]:
        """Whether it is an operation, a model or a function, and its name; else a value."""
        named = [verb for verb in VERBS if getattr(does, verb)]
        if len(named) > 1 or (isinstance(does, Stage) and not named):
            self._wrong(stage.name, "", "give one of operation, model and function, and only one")
        return (named[0], getattr(does, named[0])) if named else ("value", "")

    def _contract(self, stage: str, where: str, verb: str, name: str) -> tuple[Any, Any]:
        """What it takes and gives, `Any` where that is not known."""
        if verb == "operation":
            return self._operation(stage, where, name)
        if verb == "model":
            self._may(stage, where, INFER)
            return ANYTHING, dict[str, Tensor]
        if verb == "function":
            function = FUNCTIONS.get(name)
            if function is not None:
                return function.request, function.gives
            known = ", ".join(FUNCTIONS)
            self._wrong(stage, where, f"there is no function {name[:64]!r}; there is {known}")
        return ANYTHING, ANYTHING

    def _operation(self, stage: str, where: str, name: str) -> tuple[Any, Any]:
        try:
            operation = self._registry.get(name)
        except NotFoundError as error:
            self._wrong(stage, where, error.message)
            return ANYTHING, ANYTHING
        if operation.kind is not Kind.UNARY:
            self._wrong(stage, where, f"{name} streams; a stage takes what answers once")
        if not operation.public:
            self._may(stage, where, name)
        return operation.request, operation.response

    def _may(self, stage: str, where: str, name: str) -> None:
        if not self._allowed(name):
            self._wrong(stage, where, f"this key may not call {name}")
            self.plan.forbidden.append(self.plan.problems[-1])

    def _parsed(self, stage: str, where: str, node: Any) -> Any:
        try:
            return parse_tree(node)
        except ValueError as error:
            self._wrong(stage, where, str(error))
            return UNPARSED

    def _led(self, reference: Reference, number: int, stage: str, where: str) -> None:
        """Note it where a reference leads nowhere."""
        try:
            self._type(reference, number)
        except ValueError as error:
            self._wrong(stage, where, str(error))

    def _type(self, reference: Reference, number: int) -> Any:
        """What a reference in the stage of that number will be.

        Raises:
            ValueError: it leads nowhere.
        """
        if reference.root == INPUT:
            return self._input_type(reference)
        if reference.root not in self._stages:
            raise ValueError(f"{reference.text}: there is no stage {reference.root!r}")
        if reference.root not in self._order[:number]:
            raise ValueError(self._too_early(reference.root, self._order[number]))
        kinds = [after(kind, reference) for kind in self._types[reference.root]]
        return kinds[0] if len(kinds) == 1 else ANYTHING

    def _input_type(self, reference: Reference) -> Any:
        steps = reference.steps
        if not steps or not isinstance(steps[0], str):
            raise ValueError("an input is referred to as $input.NAME")
        if steps[0] not in self.plan.specs:
            known = ", ".join(self.plan.specs) or "none"
            raise ValueError(f"{reference.text}: there is no input {steps[0]!r}; there is {known}")
        kind = self._given.get(steps[0], ANYTHING)
        return after(kind, Reference(reference.text, INPUT, steps[1:]))

    def _too_early(self, later: str, stage: str) -> str:
        if later == stage:
            return f"{stage} refers to itself"
        way = way_between(self._stages, later, stage)
        if way:
            return f"stages go round in a circle: {' needs '.join([stage, *way])}"
        return f"{later} comes later; a stage refers to those before it"
