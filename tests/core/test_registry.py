"""Operations by name, and what a declaration must have."""

import sys
from types import ModuleType

import pytest
import sensorium_testing as testing

from sensorium.core.errors import NotFoundError, UnavailableError
from sensorium.core.loading import load
from sensorium.core.operation import Execution, Kind, operation, operation_of
from sensorium.core.registry import Registry


def test_a_module_is_imported_when_its_noun_is_first_asked_for() -> None:
    sys.modules.pop("sensorium.capabilities.logs.operations", None)
    registry = Registry({"logs": "sensorium.capabilities.logs.operations"})
    assert "sensorium.capabilities.logs.operations" not in sys.modules
    assert registry.get("logs.cluster").name == "logs.cluster"
    assert "sensorium.capabilities.logs.operations" in sys.modules


def test_a_plugin_brings_its_noun_and_takes_none() -> None:
    registry = Registry({})
    assert registry.find_plugins() == ["testing"]
    assert registry.get("testing.inline").function is testing.inline
    assert Registry({"testing": "sensorium.control.system"}).find_plugins() == []


def test_what_a_plugin_may_still_bring_is_not_there_yet() -> None:
    registry = Registry({"logs": "sensorium.capabilities.logs.operations"})
    registry.awaits_plugins = True
    assert registry.get("logs.cluster").name == "logs.cluster"
    with pytest.raises(UnavailableError) as early:
        registry.get("testing.inline")
    assert early.value.retry_after_s
    registry.find_plugins()
    assert registry.get("testing.inline").function is testing.inline
    with pytest.raises(NotFoundError):
        registry.get("testing.nothing")


@pytest.mark.parametrize("name", ["nothing.here", "testing.nothing", "x", "", "a.b.c", "A.b"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError):
        Registry({"testing": "sensorium_testing"}).get(name)


def test_two_functions_cannot_be_the_same_operation() -> None:
    module = ModuleType("twice")
    for attribute in ("one", "two"):

        @operation("twice.same", execution=Execution.INLINE)
        def declared(request: testing.Token, context: object) -> testing.Token:
            """The token."""
            return request

        setattr(module, attribute, declared)
    with pytest.raises(ValueError, match="declared twice"):
        Registry({}).add(module)


def test_a_declaration_needs_a_name_and_a_docstring() -> None:
    with pytest.raises(ValueError, match=r"noun\.verb"):
        operation("nodot", execution=Execution.INLINE)
    with pytest.raises(ValueError, match="docstring"):
        operation("a.b", execution=Execution.INLINE)(lambda request, context: request)
    with pytest.raises(TypeError, match="not declared"):
        operation_of(len)


def test_an_operation_says_what_flows() -> None:
    kinds = {
        each: operation_of(getattr(testing, each)).kind for each in ("inline", "count", "mirror")
    }
    assert kinds == {"inline": Kind.UNARY, "count": Kind.SERVER_STREAM, "mirror": Kind.DUPLEX}
    mirror = operation_of(testing.mirror)
    assert (mirror.request, mirror.incoming, mirror.response) == (
        testing.Times,
        testing.Token,
        testing.Item,
    )


def test_a_missing_library_names_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "sensorium.core.tracing", raising=False)
    with pytest.raises(UnavailableError, match=r"pip install 'sensorium\[otel\]'"):
        load("sensorium.core.tracing:OpenTelemetryTracer")


def test_a_broken_plugin_breaks_only_itself() -> None:
    registry = Registry({"broken": "no.such.module", "testing": "sensorium_testing"})
    assert {each.name.partition(".")[0] for each in registry} == {"testing"}
    with pytest.raises(UnavailableError, match="broken cannot be loaded"):
        registry.get("broken.anything")
