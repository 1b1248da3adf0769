"""What the Open Inference Protocol's doors tell of models, from the `models` operations."""

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec import Struct

from sensorium.core.dispatch import Caller, Dispatcher
from sensorium.core.errors import NotSupportedError
from sensorium.core.tensors import TensorSpec

R = TypeVar("R")
UNSUPPORTED = ("classification", "shared_memory_region")
"""Extensions of Triton's that change what an answer is, so that to pass them over would mislead."""
UNLOADED = "it is loaded when it is first wanted"


class Entry(Struct):
    """A model on disk."""

    name: str
    version: str
    state: str


class Loaded(Struct):
    """A model that is loaded."""

    name: str
    version: str
    platform: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    state: str


class Model(Struct):
    """A model that was asked for by its name."""

    entry: Entry
    versions: list[str]
    loaded: Loaded | None = None


class IndexRow(Struct):
    """A model in the repository's index."""

    name: str
    version: str
    state: str
    reason: str


class _Models(Struct):
    models: list[Entry]
    loaded: list[Loaded]


class Repository:
    """The models as the protocol sees them; each method raises what its operation raises."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def call(self, name: str, caller: Caller, returns: type[R], **fields: Any) -> R:
        """What is read of an operation's answer."""
        operation = self._dispatcher.registry.get(name)
        answer = await self._dispatcher.call(name, operation.request(**fields), caller)
        return answer.read(returns)

    async def loaded(self, caller: Caller, model: str, version: str) -> tuple[list[str], Loaded]:
        """The versions of a model, and the one that was asked for, loaded if it was not."""
        found = await self._get(caller, model, version, load=True)
        assert found.loaded is not None
        return [version] if version else found.versions, found.loaded

    async def is_ready(self, caller: Caller, model: str, version: str) -> bool:
        """Whether it is loaded, and its latest real inference did not fail."""
        found = await self._get(caller, model, version)
        return found.loaded is not None and found.loaded.state != "failing"

    async def statistics(self, caller: Caller, model: str, version: str) -> list[tuple[str, str]]:
        """Names and versions of the loaded models: of all, or of one; counts are in /metrics."""
        name = (await self._get(caller, model, version)).entry.name if model else ""
        found = await self.call("models.list", caller, _Models, loaded=True)
        return [
            (model or each.name, each.version)
            for each in found.loaded
            if name in ("", each.name) and version in ("", each.version)
        ]

    async def index(self, caller: Caller, *, ready: bool) -> list[IndexRow]:
        """Every model and version, or those that are `ready`."""
        found = await self.call("models.list", caller, _Models)
        rows = []
        for each in found.models:
            if each.state != "unloaded":
                rows.append(IndexRow(each.name, each.version, "READY", ""))
            elif not ready:
                rows.append(IndexRow(each.name, each.version, "UNAVAILABLE", UNLOADED))
        return rows

    async def load(self, caller: Caller, model: str, parameters: Iterable[str]) -> None:
        """Load a model, anew where it is loaded: its files may have changed.

        Raises:
            NotSupportedError: there are parameters, which say what a model is.
        """
        if names := sorted(parameters):
            raise NotSupportedError(
                f"loading takes no parameters here, and was given {', '.join(names)[:200]}: put "
                "the model's files into the models folder"
            )
        await self.call("models.load", caller, Struct, model=model, fresh=True)

    async def unload(self, caller: Caller, model: str) -> None:
        """Unload a model."""
        await self.call("models.unload", caller, Struct, model=model)

    async def _get(self, caller: Caller, model: str, version: str, *, load: bool = False) -> Model:
        return await self.call("models.get", caller, Model, model=model, version=version, load=load)
