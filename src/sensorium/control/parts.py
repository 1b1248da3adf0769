"""What operations get of the server: its parts by type, made late where they are far away."""

from collections.abc import Callable, Mapping
from typing import Any


class Parts(dict[type[Any], Any]):
    """The parts, by type.

    `late` maps the address of a type (`package.module:Type`) to what makes the part, when an
    operation first asks for it; so neither is loaded by a server that never needs them.
    """

    def __init__(
        self, here: Mapping[type[Any], Any], late: Mapping[str, Callable[[], Any]]
    ) -> None:
        super().__init__(here)
        self._late = late

    def __missing__(self, part: type[Any]) -> Any:
        made = self[part] = self._late[f"{part.__module__}:{part.__qualname__}"]()
        return made
