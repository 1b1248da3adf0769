"""The operations by name; the modules that declare them are imported when first asked for."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from sensorium.core.errors import NotFoundError, SensoriumError, UnavailableError
from sensorium.core.loading import load
from sensorium.core.operation import NAME, Operation

log = logging.getLogger("sensorium.registry")
PLUGINS = "sensorium.capabilities"
"""The entry-point group in which a package names its modules of operations."""


class Registry:
    """Operations by name.

    `modules` maps a noun (`logs`) to the module that declares its operations. A plugin brings
    more nouns; it can neither replace nor add to one that is there.
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        self.awaits_plugins = False
        """Somebody will look for plugins in a moment: what is not there may come yet."""
        self._modules = dict(modules)
        self._operations: dict[str, Operation] = {}
        self._loaded: set[str] = set()

    def get(self, name: str) -> Operation:
        """The operation of that name.

        Raises:
            NotFoundError: there is none.
            UnavailableError: there is none yet.
        """
        found = self._operations.get(name)
        if found is None:
            noun = name.partition(".")[0]
            if noun in self._modules and noun not in self._loaded:
                self._load(noun)
                found = self._operations.get(name)
            if found is None:
                shown = name if NAME.fullmatch(name) and len(name) < 80 else "of that name"
                raise self.nothing(
                    f"there is no operation {shown}; system.operations lists those there are"
                )
        return found

    def nothing(self, message: str) -> SensoriumError:
        """The error for something that is not there; while plugins are awaited, only not yet."""
        if self.awaits_plugins:
            return UnavailableError(
                "the server is still looking for plugins; try again in a moment", retry_after_s=1.0
            )
        return NotFoundError(message)

    def __iter__(self) -> Iterator[Operation]:
        """Every operation, by name; imports every module that is not imported yet."""
        for noun in sorted(self._modules.keys() - self._loaded):
            with suppress(UnavailableError):
                self._load(noun)
        yield from (self._operations[name] for name in sorted(self._operations))

    def loaded(self) -> list[Operation]:
        """The operations whose modules are imported already."""
        return list(self._operations.values())

    def add(self, module: ModuleType) -> None:
        """Take up every operation that a module declares.

        Raises:
            ValueError: two functions declare the same operation.
        """
        for value in vars(module).values():
            declared = getattr(value, "__operation__", None)
            if not isinstance(declared, Operation):
                continue
            if self._operations.setdefault(declared.name, declared) is not declared:
                raise ValueError(f"{declared.name} is declared twice")

    def find_plugins(self) -> list[str]:
        """Look for installed plugins; returns the nouns that they bring.

        An entry point's name is the noun, its value the module.
        """
        try:
            installed = load("importlib.metadata:entry_points")(group=PLUGINS)
            found = [point for point in installed if point.name not in self._modules]
            self._modules.update((point.name, point.module) for point in found)
        finally:
            self.awaits_plugins = False
        return [point.name for point in found]

    @property
    def nouns(self) -> frozenset[str]:
        """The nouns whose modules are known, imported or not."""
        return frozenset(self._modules)

    def _load(self, noun: str) -> None:
        """Import a noun's module.

        Raises:
            UnavailableError: it cannot be imported; the log says why.
        """
        try:
            self.add(import_module(self._modules[noun]))
        except Exception:
            log.exception("the operations of %s cannot be loaded", noun)
            raise UnavailableError(f"the operations of {noun} cannot be loaded here") from None
        self._loaded.add(noun)
