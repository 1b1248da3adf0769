"""Asks each engine what it can run on: once, because that needs a library or a driver."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from sensorium.core.errors import UnavailableError
from sensorium.core.loading import load
from sensorium.models.hardware.bounded import Bounded
from sensorium.models.hardware.engines import unloaded
from sensorium.models.hardware.schema import EngineName

LIBRARIES: dict[EngineName, str] = {
    "onnxruntime": "onnxruntime",
    "llama.cpp": "xllamacpp",
    "torch": "torch",
    "litert": "ai_edge_litert",
}
"""The module that an engine is."""
PACKAGES: dict[EngineName, str] = {
    "onnxruntime": "onnxruntime",
    "llama.cpp": "xllamacpp",
    "torch": "torch",
    "litert": "ai-edge-litert",
}
"""The package that brings it."""
LIMIT_S = 5.0


class Engine(NamedTuple):
    """An engine as it is here."""

    installed: bool
    builds: frozenset[str] = frozenset()
    problem: str = ""
    """Why it could not be asked."""


_known: dict[EngineName, Engine] = {}


def ask(name: EngineName, check: Callable[[], None]) -> Engine:
    """What an engine can run on; `check` raises where nobody waits any more."""
    if name not in _known:
        engine = _asked(name, check)
        if engine.problem or not engine.installed:
            return engine
        _known[name] = engine
    return _known[name]


def _asked(name: EngineName, check: Callable[[], None]) -> Engine:
    if not _is_installed(LIBRARIES[name]):
        return Engine(installed=False)
    try:
        return Engine(True, _PROBES[name](check))
    except TimeoutError:
        return Engine(True, problem=f"{PACKAGES[name]} did not answer within {LIMIT_S:g} s")
    except (UnavailableError, ImportError, OSError, RuntimeError, AttributeError):
        return Engine(True, problem=f"{PACKAGES[name]} is installed, but cannot be loaded")


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except (ImportError, ValueError):
        return False


def _llama() -> frozenset[str]:
    found: frozenset[str] = load("sensorium.models.hardware.engines.llama:builds")()
    return found


def _ort(check: Callable[[], None]) -> frozenset[str]:
    del check
    found: frozenset[str] = load("sensorium.models.hardware.engines.ort:builds")()
    return found


def _torch(check: Callable[[], None]) -> frozenset[str]:
    del check
    folder = unloaded.folder_of("torch")
    return unloaded.torch_builds(folder) if folder else frozenset()


def _litert(check: Callable[[], None]) -> frozenset[str]:
    del check
    folder = unloaded.folder_of("ai_edge_litert")
    return unloaded.litert_builds(folder) if folder else frozenset()


_PROBES: dict[EngineName, Callable[[Callable[[], None]], frozenset[str]]] = {
    "onnxruntime": _ort,
    "llama.cpp": Bounded(_llama, LIMIT_S),
    "torch": _torch,
    "litert": _litert,
}
