"""The functions that a stage may apply: a closed list, and what each takes and gives."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from sensorium.core.tensors import Datatype, Tensor
from sensorium.core.types import Image, Pixels, Series

Small = Annotated[int, Meta(ge=0, le=100_000)]
Axis = Annotated[int, Meta(ge=-16, le=15)]
Factor = Annotated[float, Meta(ge=-1e9, le=1e9)]
Factors = Annotated[list[Factor], Meta(min_length=1, max_length=10_000)]
Numbers = Tensor | list[Any] | float | int | bool
"""A tensor, or what becomes one."""


class Take(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` items of a list, after `skip`."""

    value: list[Any]
    count: Small
    skip: Small = 0


class Flatten(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The items of the lists in a list, as one list."""

    value: list[list[Any]]


class Join(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts as one, with the separator between them."""

    value: list[str]
    separator: str = ""


class Length(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many items, members or characters there are."""

    value: list[Any] | dict[str, Any] | str


class FirstOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first that is not null; what a skipped stage would have given is."""

    value: list[Any]


class Filter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The maps in a list whose `field` compares so with `to`."""

    value: list[dict[str, Any]]
    field: Annotated[str, Meta(max_length=64)]
    comparison: Literal["==", "!=", "<", "<=", ">", ">=", "in"] = "=="
    to: Any = None


class CountPerWindow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often each number came in each `window` of a list, as a series for each name.

    The numbers count through the names; others are passed over, and so is a last window that is
    not full. Names that nowhere came `least` times are left out.
    """

    value: list[int]
    names: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=10_000)]
    window: Annotated[int, Meta(ge=1, le=100_000)]
    least: Small = 0


class Convert(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value as another kind, where nothing is lost."""

    value: Any
    to: Annotated[str, Meta(max_length=200)]


class ToTensor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number, a list, a picture or a sound as a tensor of that datatype and shape.

    `nchw` and `nhwc` make a batch of one picture: [1, channels, rows, columns], or channels last.
    """

    value: Any
    datatype: Datatype | None = None
    layout: Literal["as_it_is", "nchw", "nhwc"] = "as_it_is"
    shape: Annotated[list[Annotated[int, Meta(ge=-1, le=2**31 - 1)]], Meta(max_length=16)] = []


class Normalise(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """(value * scale - mean) / deviation, as FP32; several of these go along `axis`."""

    value: Numbers
    scale: Factor = 1.0
    mean: Factor | Factors = 0.0
    deviation: Factor | Factors = 1.0
    axis: Axis = 1


class Softmax(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scores as shares that add up to 1 along `axis`."""

    value: Numbers
    axis: Axis = -1


class Argmax(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The index of the largest along `axis`: an int, or lists of them."""

    value: Numbers
    axis: Axis = -1


class TopK(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `k` largest of one row of scores: maps of index, score and label."""

    value: Numbers
    k: Annotated[int, Meta(ge=1, le=1000)] = 5
    labels: list[str] = []


class Scored(Struct, frozen=True, kw_only=True):
    """One of the largest scores."""

    index: int
    score: float
    label: str


class Resize(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture at another size, bilinear."""

    value: Image
    width: Pixels
    height: Pixels


class Letterbox(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture as large as fits into a size, its sides kept in proportion, in the middle."""

    value: Image
    width: Pixels
    height: Pixels
    fill: Annotated[int, Meta(ge=0, le=255)] = 114


@dataclass(frozen=True)
class Function:
    """What a function takes and gives, and where it is."""

    request: type[Struct]
    gives: Any
    target: str


def _function(request: type[Struct], gives: Any, module: str, name: str) -> Function:
    return Function(request, gives, f"sensorium.capabilities.pipelines.{module}:{name}")


FIRST_OF = "first_of"
FUNCTIONS = {
    "take": _function(Take, list[Any], "lists", "take"),
    "flatten": _function(Flatten, list[Any], "lists", "flatten"),
    "join": _function(Join, str, "lists", "join"),
    "length": _function(Length, int, "lists", "length"),
    FIRST_OF: _function(FirstOf, Any, "lists", "first_of"),
    "filter": _function(Filter, list[dict[str, Any]], "lists", "keep"),
    "count_per_window": _function(CountPerWindow, list[Series], "lists", "count_per_window"),
    "convert": _function(Convert, Any, "lists", "converted"),
    "to_tensor": _function(ToTensor, Tensor, "arrays", "tensor_of"),
    "normalise": _function(Normalise, Tensor, "arrays", "normalise"),
    "softmax": _function(Softmax, Tensor, "arrays", "softmax"),
    "argmax": _function(Argmax, Any, "arrays", "argmax"),
    "top_k": _function(TopK, list[dict[str, Any]], "arrays", "top_k"),
    "resize": _function(Resize, Image, "arrays", "resize"),
    "letterbox": _function(Letterbox, Image, "arrays", "letterbox"),
}
