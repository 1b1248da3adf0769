"""From one kind of value to another, where nothing is lost on the way.

| from | to | how |
|---|---|---|
| bool, int | int, bool | 0 and 1 |
| int, float | float, int | where the other holds it exactly |
| bool, int, float | text, and back | as JSON spells it |
| text | bytes, and back | UTF-8 |
| number, bool, list | tensor | of BOOL, INT64, FP64 or BYTES; a list of lists by its shape |
| tensor | number, bool, list | by its shape; numbers must be finite |
| image | tensor, and back | UINT8, [rows, columns, 3] or [rows, columns] |
| audio | tensor | INT16, [samples, channels]; not back: a tensor knows no rate |
| tensor, image, audio, series | map, and back | its fields |

`at_s` of a picture or a sound stays behind where a tensor is made of it.
"""

from collections.abc import Callable
from itertools import chain
from math import isfinite, prod
from typing import Any

import msgspec

from sensorium.core.errors import InvalidInputError, PayloadTooLargeError
from sensorium.core.tensors import (
    FLOATS,
    Tensor,
    pack_bytes,
    pack_numbers,
    unpack_bytes,
    unpack_numbers,
)
from sensorium.core.types import Audio, Image
from sensorium.core.values import (
    ANY,
    INT64,
    STRUCTS,
    Spec,
    Value,
    kind_of,
    plain,
    validate,
)

MAX_LISTED = 1 << 20
"""A tensor of more elements is not turned into a list."""
Rule = Callable[[Any], Value]


def convert(value: Value, kind: str) -> Value:
    """A value as another kind; the table above says what becomes what.

    Raises:
        InvalidInputError: it does not become that, or would lose something.
        PayloadTooLargeError: a tensor of more than `MAX_LISTED` elements as a list.
    """
    now = kind_of(value)
    if kind in (now, ANY):
        return value
    rule = _RULES.get((now, kind))
    if rule is None and kind in STRUCTS and now == "map":
        return validate(value, STRUCTS[kind])
    if rule is None:
        raise InvalidInputError(f"{_a(now)} does not become {_a(kind)}")
    try:
        return rule(value)
    except (ValueError, msgspec.MsgspecError) as error:
        why = "" if isinstance(error, msgspec.MsgspecError) else f": {error}"
        raise InvalidInputError(f"this {now} does not become {_a(kind)}{why}") from None


def fit(value: Value, spec: Spec, at: str = "$") -> Value:
    """A value as a spec wants it, converted where it is of another kind, and what it holds too.

    Raises:
        InvalidInputError: it does not fit; `details.at` says where.
    """
    if value is None and spec.nullable:
        return None
    try:
        found = convert(value, spec.kind)
    except InvalidInputError as error:
        inner = str(error.details.get("at", "$")).removeprefix("$")
        raise InvalidInputError(error.message, details={"at": at + inner}) from None
    if spec.item is None:
        return found
    if isinstance(found, dict):
        return {key: fit(member, spec.item, f"{at}.{key}") for key, member in found.items()}
    return [fit(item, spec.item, f"{at}[{index}]") for index, item in enumerate(found)]


def _a(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _whole(value: float) -> int:
    if not value.is_integer() or not -INT64 <= value < INT64:
        raise ValueError("it is no whole number of 64 bits")
    return int(value)


def _exact(value: int) -> float:
    if int(float(value)) != value:
        raise ValueError("a float does not hold it exactly")
    return float(value)


def _bool(value: int) -> bool:
    if value not in (0, 1):
        raise ValueError("only 0 and 1 do")
    return bool(value)


def _spelled(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _read(kind: Any) -> Rule:
    def read(text: str) -> Value:
        found = msgspec.json.decode(text, type=kind)
        if kind is int and not -INT64 <= found < INT64:
            raise ValueError("it is of more than 64 bits")
        return found

    return read


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _list_to_tensor(items: list[Any]) -> Tensor:
    """A list as a tensor; lists within it must be of one length on each level."""
    shape, flat = [len(items)], items
    while flat and all(type(item) is list for item in flat):
        shape.append(len(flat[0]))
        if len(shape) > 16 or any(len(item) != shape[-1] for item in flat):
            raise ValueError("the lists in it are not of one length")
        flat = list(chain.from_iterable(flat))
    return _tensor(shape, flat)


def _tensor(shape: list[int], flat: list[Any]) -> Tensor:
    kinds = {type(item) for item in flat}
    if kinds == {bool}:
        datatype, data = "BOOL", pack_numbers("BOOL", flat)
    elif kinds == {int}:
        datatype, data = "INT64", pack_numbers("INT64", flat)
    elif kinds <= {int, float}:
        numbers = [_exact(item) if type(item) is int else item for item in flat]
        datatype, data = "FP64", pack_numbers("FP64", numbers)
    elif kinds <= {str, bytes}:
        items = [item.encode() if isinstance(item, str) else item for item in flat]
        datatype, data = "BYTES", pack_bytes(items)
    else:
        raise ValueError("what it holds is not all numbers, all bools or all text")
    return Tensor(datatype=datatype, shape=shape, data=data)  # type: ignore[arg-type]


def _tensor_to_list(tensor: Tensor) -> Value:
    if not tensor.shape:
        raise ValueError("it is a single value")
    flat = _elements(tensor)
    for axis in range(len(tensor.shape) - 1, 0, -1):
        extent, rows = tensor.shape[axis], prod(tensor.shape[:axis])
        flat = [flat[row * extent : (row + 1) * extent] for row in range(rows)]
    return flat


def _tensor_to(kind: type) -> Rule:
    def single(tensor: Tensor) -> Value:
        if tensor.elements != 1:
            raise ValueError(f"it has {tensor.elements} elements")
        (found,) = _elements(tensor)
        if type(found) is not kind:
            raise ValueError(f"it is of {tensor.datatype}")
        return found

    return single


def _elements(tensor: Tensor) -> list[Any]:
    if tensor.elements > MAX_LISTED:
        raise PayloadTooLargeError(f"a list of {tensor.elements} elements is too long here")
    if tensor.datatype == "BYTES":
        return [_text_or_bytes(item) for item in unpack_bytes(tensor.data, tensor.elements)]
    found = unpack_numbers(tensor.datatype, tensor.data)
    if tensor.datatype in FLOATS:
        if not all(item is not None and isfinite(item) for item in found):
            raise ValueError("not all its elements are finite")
        return found
    if tensor.datatype == "BOOL":
        return [bool(item) for item in found]
    if any(item is not None and item >= INT64 for item in found):
        raise ValueError("an element is of more than an int of 64 bits holds")
    return found


def _text_or_bytes(item: bytes) -> str | bytes:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item


def _image_to_tensor(image: Image) -> Tensor:
    shape = [image.height, image.width, *([3] if image.format == "rgb24" else [])]
    return Tensor(datatype="UINT8", shape=shape, data=image.data)


def _tensor_to_image(tensor: Tensor) -> Image:
    rgb = len(tensor.shape) == 3 and tensor.shape[2] == 3
    if tensor.datatype != "UINT8" or not (rgb or len(tensor.shape) == 2):
        raise ValueError("that takes UINT8 of [rows, columns, 3] or [rows, columns]")
    height, width = tensor.shape[:2]
    form = "rgb24" if rgb else "gray8"
    made = {"width": width, "height": height, "format": form, "data": bytes(tensor.data)}
    return validate(made, Image)


def _audio_to_tensor(audio: Audio) -> Tensor:
    samples = len(audio.data) // (2 * audio.channels)
    return Tensor(datatype="INT16", shape=[samples, audio.channels], data=audio.data)


_SPELLED = {"bool": bool, "int": int, "float": float}
_RULES: dict[tuple[str, str], Rule] = {
    ("bool", "int"): int,
    ("int", "bool"): _bool,
    ("int", "float"): _exact,
    ("float", "int"): _whole,
    **{(kind, "text"): _spelled for kind in _SPELLED},
    **{("text", kind): _read(kind_type) for kind, kind_type in _SPELLED.items()},
    ("text", "bytes"): str.encode,
    ("bytes", "text"): _decoded,
    ("list", "tensor"): _list_to_tensor,
    ("tensor", "list"): _tensor_to_list,
    **{(kind, "tensor"): lambda value: _tensor([], [value]) for kind in _SPELLED},
    **{("tensor", kind): _tensor_to(kind_type) for kind, kind_type in _SPELLED.items()},
    ("image", "tensor"): _image_to_tensor,
    ("tensor", "image"): _tensor_to_image,
    ("audio", "tensor"): _audio_to_tensor,
    **{(kind, "map"): plain for kind in STRUCTS},
}
