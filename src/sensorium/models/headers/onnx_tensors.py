"""Weights of ONNX models, inside the file or in files beside it."""

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.models.headers.header import decoded, shown
from sensorium.models.headers.onnx_types import ELEMENTS, MAX_RANK, ElementType, element_type
from sensorium.models.headers.wire import BYTES, Field, Wire, expect

MAX_TENSORS = 1 << 18
MAX_NAME = 1024
MAX_LOCATION = 512
MAX_ENTRIES = 16
MAX_EXTERNAL = 10_000
"""Files beside the model."""
_TYPED = {4: 4, 5: 1, 7: 1, 10: 8, 11: 1}
"""Fields that hold elements one by one, and the fewest bytes of one."""
_MOST_PACKED = 16
"""Elements in one number of such a field: two bits each in an int32."""
_PLACE = re.compile(r"[\w.+ @=,()\[\]-]+(/[\w.+ @=,()\[\]-]+)*", re.ASCII)


@dataclass
class Weights:
    """What the tensors of a model add up to."""

    folder: Path | None = None
    """The model's own, in which files of weights must lie."""
    count: int = 0
    parameters: int = 0
    size: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each type."""
    external: dict[str, int | None] = field(default_factory=dict)
    """Sizes of the files beside the model, where there is a folder."""


@dataclass
class _Tensor:
    name: str = ""
    element: ElementType | None = None
    extents: list[int] = field(default_factory=list)
    raw: int | None = None
    """Bytes of its `raw_data`."""
    most: int = 0
    """How many elements its typed fields can hold."""
    strings: int = 0
    outside: bool = False
    entries: dict[str, str] = field(default_factory=dict)

    @property
    def called(self) -> str:
        return f"the tensor {shown(self.name)}"


def read_tensor(wire: Wire, message: Field, weights: Weights) -> str:
    """The name of a tensor, which is added to the weights.

    Raises:
        InvalidInputError: it is malformed, or its bytes lie where they may not.
        NotFoundError: the file with its bytes is missing.
    """
    expect(message, BYTES, "a tensor")
    tensor = _Tensor()
    for each in wire.fields(message.value, message.end):
        _read_field(wire, each, tensor)
    if tensor.element is None:
        raise InvalidInputError(f"{tensor.called} has no data_type")
    numbers = 1
    for extent in tensor.extents:
        numbers *= extent
        if extent < 0 or numbers >= 1 << 63:
            raise InvalidInputError(f"{tensor.called} has an impossible shape")
    size = (numbers * tensor.element.bits + 7) // 8
    if tensor.outside or tensor.entries:
        _check_outside(tensor, size, weights)
    else:
        _check_inside(tensor, numbers, size)
    kind = tensor.element.datatype or tensor.element.name
    weights.count += 1
    weights.parameters += numbers
    weights.size += size
    weights.sizes[kind] = weights.sizes.get(kind, 0) + size
    if weights.count > MAX_TENSORS or max(weights.parameters, weights.size) >= 1 << 63:
        raise InvalidInputError("it has more or larger tensors than any model")
    return tensor.name


def read_sparse(wire: Wire, message: Field, weights: Weights) -> str:
    """The name of a sparse tensor, whose values and indices are added to the weights."""
    expect(message, BYTES, "a sparse tensor")
    name = ""
    for each in wire.fields(message.value, message.end):
        if each.number == 1:
            name = read_tensor(wire, each, weights)
        elif each.number == 2:
            read_tensor(wire, each, weights)
    return name


def _read_field(wire: Wire, each: Field, tensor: _Tensor) -> None:
    match each.number:
        case 1:
            tensor.extents += wire.numbers(each, MAX_RANK, "a tensor's dims")
            if len(tensor.extents) > MAX_RANK:
                raise InvalidInputError(f"a tensor has more than {MAX_RANK} dimensions")
        case 2:
            tensor.element = element_type(each, "a tensor's data_type")
        case 6:
            tensor.strings += 1
        case 8:
            tensor.name = decoded(
                wire.bytes_of(each, MAX_NAME, "a tensor's name"), "a tensor's name"
            )
        case 9:
            expect(each, BYTES, "raw_data")
            tensor.raw = each.size
        case 13:
            _read_entry(wire, each, tensor)
        case 14:
            tensor.outside = each.value == 1
        case number if number in _TYPED:
            count = each.size // _TYPED[number] if each.kind == BYTES else 1
            tensor.most += _MOST_PACKED * count


def _read_entry(wire: Wire, message: Field, tensor: _Tensor) -> None:
    """One key of `external_data` with its value."""
    expect(message, BYTES, "external_data")
    texts = {1: "", 2: ""}
    for each in wire.fields(message.value, message.end):
        if each.number in texts:
            what = "a text in external_data"
            texts[each.number] = decoded(wire.bytes_of(each, MAX_LOCATION, what), what)
    if texts[1] in tensor.entries:
        raise InvalidInputError(f"{tensor.called} has {shown(texts[1])} twice in external_data")
    tensor.entries[texts[1]] = texts[2]
    if len(tensor.entries) > MAX_ENTRIES:
        raise InvalidInputError(f"{tensor.called} has more than {MAX_ENTRIES} external_data")


def _check_inside(tensor: _Tensor, numbers: int, size: int) -> None:
    """That the file holds as many bytes as the shape tells."""
    if tensor.raw is not None and tensor.element is not ELEMENTS[8]:
        if tensor.raw != size:
            raise InvalidInputError(f"{tensor.called} has {tensor.raw} bytes, not {size}")
    elif numbers > max(tensor.most, tensor.strings):
        raise InvalidInputError(f"{tensor.called} has not the {numbers} elements of its shape")


def _check_outside(tensor: _Tensor, size: int, weights: Weights) -> None:
    """That the bytes are in a file beside the model, and within it."""
    if tensor.element is ELEMENTS[8]:
        raise InvalidInputError(f"{tensor.called} keeps strings in another file")
    location = tensor.entries.get("location", "")
    if location not in weights.external:
        weights.external[location] = _size(tensor, location, weights.folder)
        if len(weights.external) > MAX_EXTERNAL:
            raise InvalidInputError(f"its tensors are in more than {MAX_EXTERNAL} files")
    offset, length = (_number(tensor, key) for key in ("offset", "length"))
    if length is not None and length != size:
        raise InvalidInputError(f"{tensor.called} has {length} bytes in its file, not {size}")
    end = weights.external[location]
    if end is not None and (offset or 0) + size > end:
        raise InvalidInputError(f"{tensor.called} goes beyond the end of its file")


def _number(tensor: _Tensor, key: str) -> int | None:
    text = tensor.entries.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidInputError(f"{tensor.called} has an {key} in external_data that is no number")
    return int(text)


def _size(tensor: _Tensor, location: str, folder: Path | None) -> int | None:
    """The size of a file with weights; None where no folder is known to look in."""
    if not _PLACE.fullmatch(location) or {".", ".."} & set(location.split("/")):
        raise InvalidInputError(f"{tensor.called} keeps its bytes outside of the model's folder")
    if folder is None:
        return None
    try:
        path = (folder / location).resolve(strict=True)
        status = path.stat()
        home = folder.resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFoundError(f"{tensor.called} is in a file that is missing") from None
    if not path.is_relative_to(home) or not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"{tensor.called} keeps its bytes outside of the model's folder")
    return status.st_size
