"""Jinja's sandbox, with every way to go on for ever, or to grow without bound, counted.

The sandbox keeps templates from attributes that lead out of it. It does not keep them from loops
without an end, or texts without a bound: here every round, call and text is counted.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any

from jinja2 import TemplateError, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from sensorium.models.templates.budget import (
    Budget,
    check_arguments,
    check_operands,
    growth,
)

ROUNDS, JOINED, CUT = "counted_rounds", "counted_join", "counted_cut"
"""Filters that count. They are given the context, or Jinja would apply them while it compiles."""
UNBOUNDED = ("lipsum", "cycler", "joiner")


class Sandbox(ImmutableSandboxedEnvironment):
    """Where templates are compiled and run; several threads may run some at once."""

    intercepted_binops = frozenset({"*", "+", "%", "**"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, GenerationTag],
            finalize=self._told,
        )
        self._local = threading.local()
        for name in UNBOUNDED:
            del self.globals[name]
        self.filters["tojson"] = _to_json
        self.filters = {name: self._counted(made) for name, made in self.filters.items()}
        self.globals.update(raise_exception=_refuse, strftime_now=_now)
        self.filters |= {ROUNDS: self._rounds, JOINED: self._joined, CUT: self._cut}

    @property
    def budget(self) -> Budget:
        """What the rendering on this thread may still do."""
        found: Budget | None = getattr(self._local, "budget", None)
        return found if found is not None else self.begin()

    def begin(self) -> Budget:
        """Another budget, for the next rendering on this thread."""
        self._local.budget = Budget()
        return self.budget

    def call(self, context: Context, called: Any, *arguments: Any, **named: Any) -> Any:
        """A call, counted."""
        self.budget.step()
        check_arguments(arguments, named)
        of = getattr(called, "__self__", None)
        if isinstance(of, str):
            self.budget.check(growth(called.__name__, (of, *arguments)))
        return self.budget.made(super().call(context, called, *arguments, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator, within bounds."""
        check_operands(operator, left, right)
        return self.budget.made(super().call_binop(context, operator, left, right))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Without the few methods of texts that no template needs and that grow without bound."""
        if isinstance(obj, str) and attr in ("translate", "expandtabs", "format_map"):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format`, which the sandbox replaces by its own; within bounds."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        own: Callable[..., str] = wrapped

        def bounded(*arguments: Any, **named: Any) -> str:
            self.budget.check(growth("format", (value.__self__, *arguments, *named.values())))
            return own(*arguments, **named)

        return bounded

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Counting().visit(super()._parse(source, name, filename))  # type: ignore[no-any-return]

    def _told(self, value: Any) -> Any:
        """What is written out."""
        return self.budget.made(value)

    @pass_context
    def _rounds(self, _: Context, items: Any, weight: int) -> Iterable[Any]:
        """What a loop goes through, each round with so many characters in it at least."""
        if isinstance(items, Sequence | Mapping):
            self.budget.step(len(items))
            self.budget.spend(len(items) * weight)
            return items
        return self._each(items, weight)

    def _each(self, items: Iterable[Any], weight: int) -> Iterator[Any]:
        for item in items:
            self.budget.step()
            self.budget.spend(weight)
            yield item

    @pass_context
    def _joined(self, _: Context, *parts: Any) -> str:
        texts = [str(part) for part in parts]
        self.budget.spend(sum(map(len, texts)))
        return "".join(texts)

    @pass_context
    def _cut(self, _: Context, of: Any, start: Any, stop: Any, step: Any) -> Any:
        self.budget.step()
        return self.budget.made(of[start:stop:step])

    def _counted(self, made: Callable[..., Any]) -> Callable[..., Any]:
        """A filter whose calls and results are counted."""

        @wraps(made)
        def counted(*arguments: Any, **named: Any) -> Any:
            self.budget.step()
            check_arguments(arguments, named)
            given = (*arguments, *named.values())
            self.budget.check(growth(made.__name__.removeprefix("do_"), given))
            return self.budget.made(made(*arguments, **named))

        return counted


class _Counting(NodeTransformer):
    """Has loops, joined texts and slices go through what counts them."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - named by the library
        weight = sum(len(each.data) for each in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        node.iter = _filter(ROUNDS, node.iter, nodes.Const(weight))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        first, *others = node.nodes
        return _filter(JOINED, first, *others)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        ends = (node.arg.start, node.arg.stop, node.arg.step)
        return _filter(CUT, node.node, *(each or nodes.Const(None) for each in ends))


class GenerationTag(Extension):
    """`{% generation %}`, by which training marks what the model says: its content, as it is."""

    tags = {"generation"}  # noqa: RUF012 - as the library declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The tag's content."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _filter(name: str, of: Any, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(of, name, list(arguments), [], None, None)


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    """JSON as templates expect it: without the escapes that HTML wants."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> str:
    raise TemplateError(str(message)[:500])


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
