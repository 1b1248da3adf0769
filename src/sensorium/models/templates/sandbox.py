"""Jinja's sandbox, with all that takes time or memory counted before it is done.

The sandbox keeps templates from attributes that lead out of it. It does not keep them from loops
without an end, or texts without a bound. Here a template has the filters, tests, functions and
methods that are named, and none else; each is counted by what it may make at most, and so are
rounds of loops, operators, comparisons and all that is written. Nothing is computed while a
template is compiled, where nobody would count it.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from jinja2 import TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from sensorium.models.templates.allowed import (
    COMPARING,
    GLOBALS,
    METHODS,
    ON_NUMBERS,
    ON_TEXTS,
    OPEN,
    TESTS,
)
from sensorium.models.templates.budget import BOX, ESCAPED, ITEM, Budget
from sensorium.models.templates.costs import (
    FILTERS,
    check_numbers,
    spend_form,
    spend_method,
    spend_operator,
)
from sensorium.models.templates.counting import (
    COMPARED,
    CUT,
    HELD,
    JOINED,
    ROUND,
    UNPACKED,
    counted,
)
from sensorium.models.templates.given import GenerationTag, escaped, now, to_json


class Sandbox(ImmutableSandboxedEnvironment):
    """Where templates are compiled and run; several threads may run some at once."""

    intercepted_binops = frozenset({"*", "+", "%", "**", "-", "/", "//"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, GenerationTag],
            finalize=pass_context(lambda _, value: self.budget.told(value)),
            optimized=False,
        )
        self._local = threading.local()
        self.globals = {name: self.globals[name] for name in GLOBALS}
        self.globals.update(raise_exception=self._refuse, strftime_now=now)
        self.filters |= {"tojson": to_json, "safe": str, "e": escaped, "escape": escaped}
        self.filters = {name: self._filter(name, self.filters[name]) for name in FILTERS}
        self.tests = {name: self.tests[name] for name in TESTS} | {
            name: self._test(name, self.tests[name]) for name in COMPARING
        }
        self.filters |= {
            ROUND: self._round,
            JOINED: self._joined,
            CUT: self._cut,
            COMPARED: self._compared,
            HELD: self._held,
            UNPACKED: self._unpacked,
        }

    @property
    def budget(self) -> Budget:
        """What the rendering on this thread may still do."""
        found: Budget = self._local.budget
        return found

    def begin(self, budget: Budget) -> None:
        """Have the next rendering on this thread spend that."""
        self._local.budget = budget

    def call(self, context: Context, called: Any, *arguments: Any, **named: Any) -> Any:
        """A call, counted."""
        budget = self.budget
        budget.step()
        given = (*arguments, *named.values())
        if isinstance(called, BuiltinMethodType):
            spend_method(budget, called.__self__, called.__name__, given)
        elif not isinstance(called, Macro | LoopContext | BlockReference):
            self._check_function(called, arguments)
            for each in given:
                budget.weigh(each)
        return budget.made(super().call(context, called, *arguments, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator, within bounds."""
        budget = self.budget
        budget.step()
        spend_operator(budget, operator, left, right)
        return budget.made(super().call_binop(context, operator, left, right))

    def call_filter(self, name: Any, *arguments: Any, **named: Any) -> Any:
        """A filter by its name, as `map` wants it: none that only counts."""
        if not isinstance(name, str) or " " in name:
            raise SecurityError
        return super().call_filter(name, *arguments, **named)

    def call_test(self, name: Any, *arguments: Any, **named: Any) -> Any:
        """A test by its name, as `select` wants it."""
        if not isinstance(name, str):
            raise SecurityError
        return super().call_test(name, *arguments, **named)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item, or attribute; its key can be hashed, and told where there is no such item."""
        if not isinstance(argument, str | int):
            self.budget.check(ESCAPED * self.budget.weigh(argument))
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Methods that are named, and what Jinja's own have."""
        known = METHODS.get(type(obj))
        if known is not None:
            return attr in known
        named = isinstance(obj, tuple) and attr in getattr(obj, "_fields", ())  # of `groupby`
        return named or (isinstance(obj, OPEN) and super().is_safe_attribute(obj, attr, value))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format`, which the sandbox replaces by its own; within bounds."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None or value.__name__ != "format":
            return None
        own: Callable[..., str] = wrapped

        def bounded(*arguments: Any, **named: Any) -> str:
            spend_form(self.budget, value.__self__, (*arguments, *named.values()), "{")
            return own(*arguments, **named)

        return bounded

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return counted(super()._parse(source, name, filename))

    def _filter(self, name: str, made: Callable[..., Any]) -> Callable[..., Any]:
        """A filter whose calls and results are counted."""
        cost = FILTERS[name]
        before = 1 if hasattr(made, "jinja_pass_arg") else 0

        @wraps(made)
        def filtered(*arguments: Any, **named: Any) -> Any:
            budget = self.budget
            budget.step()
            value = cost(budget, *arguments[before:], **named)
            found = made(*arguments[:before], value, *arguments[before + 1 :], **named)
            return budget.made(list(self._each(found)) if isinstance(found, Iterator) else found)

        return filtered

    def _each(self, items: Iterator[Any]) -> Iterator[Any]:
        budget = self.budget
        for item in items:
            budget.step()
            budget.spend(BOX)
            yield item

    def _test(self, name: str, made: Any) -> Callable[..., Any]:
        """A test that compares, counted."""

        @wraps(made)
        def tested(*arguments: Any) -> Any:
            budget = self.budget
            budget.step()
            if name in ON_NUMBERS:
                check_numbers(*arguments)
            if name in ON_TEXTS and not isinstance(arguments[0], str):
                raise TypeError(f"{type(arguments[0]).__name__} is no text")
            for each in arguments[: 1 if isinstance(arguments[-1], dict) else None]:
                budget.weigh(each)
            return made(*arguments)

        return tested

    def _check_function(self, called: Any, arguments: Sequence[Any]) -> None:
        """Whether it is a function, and does not hash what it is given a list of.

        Of what is none, an error of Jinja's would tell all that is in it.
        """
        if not isinstance(called, FunctionType | MethodType | type | Undefined):
            raise TypeError(f"{type(called).__name__} is no function")
        made = called is dict or called is Namespace
        if made and not all(isinstance(each, dict) for each in arguments):
            raise TypeError("an object is made of names, or of another")

    def _refuse(self, message: Any) -> str:
        raise TemplateError(self.budget.told(message)[:500])

    @pass_context
    def _round(self, _: Context, size: int) -> bool:
        """A round of a loop, or a run of a macro, that has so much in it."""
        self.budget.step()
        self.budget.spend(size)
        return True

    @pass_context
    def _joined(self, _: Context, *parts: Any) -> str:
        self.budget.step()
        return "".join([self.budget.told(part) for part in parts])

    @pass_context
    def _cut(self, _: Context, of: Any, start: Any, stop: Any, step: Any) -> Any:
        self.budget.step()
        return self.budget.made(of[start:stop:step])

    @pass_context
    def _compared(self, _: Context, value: Any) -> Any:
        """What is compared, or hashed, whole."""
        self.budget.step()
        self.budget.weigh(value)
        return value

    @pass_context
    def _held(self, _: Context, value: Any, constant: bool) -> Any:
        """Where something is looked for: a constant is compared with no more than it is."""
        self.budget.step()
        if not constant and not isinstance(value, dict):
            self.budget.weigh(value)
        return value

    @pass_context
    def _unpacked(self, _: Context, value: Any) -> Any:
        """What stands behind a star in a call."""
        self.budget.step()
        self.budget.check((BOX if isinstance(value, str) else ITEM) * len(value))
        return value
