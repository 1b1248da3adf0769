"""Every shape that a field can have, for the tests of messages."""

from enum import Enum
from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct, field

from sensorium.core.operation import Execution, WorkContext, operation
from sensorium.core.types import Series

Small = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]


class Colour(Enum):
    """An enum of Python's."""

    RED = "red"
    DARK_BLUE = "dark-blue"


class Circle(Struct, frozen=True, kw_only=True, tag="circle", forbid_unknown_fields=True):
    """One of the options of a union."""

    radius: Finite


class Box(Struct, frozen=True, kw_only=True, tag="box", forbid_unknown_fields=True):
    """Another, which holds others."""

    sides: list[Finite] = []
    inside: Circle | None = None


class Everything(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All shapes at once."""

    text: str
    number: Small = 7
    ratio: Finite = 0.5
    flag: bool = False
    data: bytes = b""
    maybe: Small | None = None
    word: Literal["one", "two words"] = "one"
    colour: Colour | None = None
    shape: Circle | Box | None = None
    shapes: list[Circle | Box] = []
    words: list[Literal["a", "b"]] = []
    values: list[Finite | None] = []
    names: list[str] | None = None
    table: list[list[Small]] = []
    holes: list[list[str] | None] = []
    counts: dict[str, Small] = {}
    colours: dict[str, Colour] = {}
    circles: dict[str, Circle] = {}
    lists: dict[str, list[str]] = {}
    free: dict[str, Any] | None = None
    raw: Raw = field(default_factory=lambda: Raw(b"null"))
    series: Series | None = None
    pairs: tuple[str, ...] = ()


@operation("shapes.all", execution=Execution.INLINE)
def shapes(request: Everything, context: WorkContext) -> Everything:
    """All of it back."""
    del context
    return request
