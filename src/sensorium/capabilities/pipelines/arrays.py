"""Functions on tensors and pictures. Loads numpy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensorium.capabilities.pipelines.functions import (
    Argmax,
    Letterbox,
    Normalise,
    Numbers,
    Resize,
    Softmax,
    TopK,
    ToTensor,
)
from sensorium.core.arrays import (
    DTYPES,
    bf16_to_float32,
    float32_to_bf16,
    to_array,
    to_tensor,
)
from sensorium.core.conversion import convert
from sensorium.core.tensors import FLOATS, Tensor
from sensorium.core.types import Image
from sensorium.core.values import kind_of

Array = NDArray[Any]
MAX_PIXELS = 1 << 22
"""Of a picture that is made, or half made."""


def tensor_of(request: ToTensor) -> Tensor:
    """See `ToTensor`. To a float it is rounded; to an int only what is one goes.

    Raises:
        ValueError: the shape or the datatype does not fit.
        InvalidInputError: nothing of that kind becomes a tensor.
    """
    tensor = convert(request.value, "tensor")
    datatype = request.datatype or tensor.datatype
    shape = request.shape
    if tensor.datatype == "BYTES" or datatype == "BYTES":
        if tensor.datatype != datatype:
            raise ValueError(f"{tensor.datatype} is not made {datatype}")
        return to_tensor("", to_array(tensor).reshape(shape or tensor.shape), "BYTES")
    array = _laid_out(_numbers(tensor), request)
    cast = _cast(array.reshape(shape) if shape else array, datatype)
    return to_tensor("", cast, "BF16" if datatype == "BF16" else "")


def normalise(request: Normalise) -> Tensor:
    """See `Normalise`.

    Raises:
        ValueError: there is no such axis, or it has another length than the numbers.
    """
    array = _numbers(request.value)
    mean, deviation = (_along(each, array, request) for each in (request.mean, request.deviation))
    if not np.all(deviation):
        raise ValueError("a deviation is 0")
    found = (array.astype(np.float32) * np.float32(request.scale) - mean) / deviation
    return to_tensor("", found)


def softmax(request: Softmax) -> Tensor:
    """See `Softmax`; the largest is taken away first, so that nothing overflows."""
    array = _numbers(request.value)
    wide = np.float64 if array.dtype == np.float64 else np.float32
    scores = array.astype(wide)
    if not scores.size:
        raise ValueError("there are no scores")
    powers = np.exp(scores - scores.max(axis=request.axis, keepdims=True))
    return to_tensor("", powers / powers.sum(axis=request.axis, keepdims=True))


def argmax(request: Argmax) -> Any:
    """See `Argmax`; the first of equal ones."""
    array = _numbers(request.value)
    if not array.size:
        raise ValueError("there are no scores")
    return np.argmax(array, axis=request.axis).tolist()


def top_k(request: TopK) -> list[dict[str, Any]]:
    """See `TopK`; of equal ones the first goes before.

    Raises:
        ValueError: it is more than one row.
    """
    array = _numbers(request.value)
    if not array.ndim or array.size != array.shape[-1]:
        raise ValueError(f"it has the shape {list(array.shape)}, and one row is wanted")
    row = array.reshape(-1).astype(np.float64)
    order = np.argsort(-row, kind="stable")[: request.k].tolist()
    labels = request.labels
    return [
        {
            "index": index,
            "score": float(row[index]),
            "label": labels[index] if index < len(labels) else "",
        }
        for index in order
    ]


def resize(request: Resize) -> Image:
    """See `Resize`: each pixel from the four around its centre, as OpenCV's INTER_LINEAR.

    Raises:
        ValueError: it would have more than `MAX_PIXELS`.
    """
    image = request.value
    return _image(_scaled(_pixels(image), request.width, request.height), image)


def letterbox(request: Letterbox) -> Image:
    """See `Letterbox`; errors as for `resize`."""
    image, width, height = request.value, request.width, request.height
    if width * height > MAX_PIXELS:
        raise ValueError(f"that is more than {MAX_PIXELS} pixels")
    factor = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    scaled = _scaled(_pixels(image), *inner)
    whole: Array = np.full((height, width, scaled.shape[2]), request.fill, np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    whole[top : top + inner[1], left : left + inner[0]] = scaled
    return _image(whole, image)


def _numbers(value: Numbers) -> Array:
    """A tensor, or what becomes one, as an array; bfloat16 as float32.

    Raises:
        ValueError: it holds no numbers.
    """
    tensor = convert(value, "tensor")
    if tensor.datatype == "BYTES":
        raise ValueError("it holds text, and numbers are wanted")
    array = to_array(tensor)
    return bf16_to_float32(array) if tensor.datatype == "BF16" else array


def _laid_out(array: Array, request: ToTensor) -> Array:
    """A picture's array as a batch of one."""
    if request.layout == "as_it_is":
        return array
    if kind_of(request.value) != "image" and array.ndim not in (2, 3):
        raise ValueError("a layout is for pictures")
    whole = array if array.ndim == 3 else array[:, :, None]
    return (whole.transpose(2, 0, 1) if request.layout == "nchw" else whole)[None]


def _cast(array: Array, datatype: str) -> Array:
    if datatype == "BF16":
        return float32_to_bf16(array.astype(np.float32))
    with np.errstate(over="ignore", invalid="ignore"):
        found = array.astype(DTYPES[datatype])
        again = found.astype(array.dtype)
    # A sign that turns over comes back as it was.
    same = np.array_equal(again, array) and np.array_equal(found < 0, array < 0)
    if datatype not in FLOATS and not same:
        raise ValueError(f"not every element is one of {datatype}")
    return found


def _along(numbers: float | list[float], array: Array, request: Normalise) -> Array:
    """Numbers in the shape in which they go along the axis."""
    found = np.atleast_1d(np.asarray(numbers, np.float32))
    if len(found) == 1:
        return found
    if not -array.ndim <= request.axis < array.ndim:
        raise ValueError(f"there is no axis {request.axis}")
    if array.shape[request.axis] != len(found):
        raise ValueError(f"axis {request.axis} has {array.shape[request.axis]}, not {len(found)}")
    shape = [1] * array.ndim
    shape[request.axis] = len(found)
    return found.reshape(shape)


def _pixels(image: Image) -> Array:
    channels = 3 if image.format == "rgb24" else 1
    flat = np.frombuffer(image.data, np.uint8)
    return flat.reshape(image.height, image.width, channels)


def _image(pixels: Array, like: Image) -> Image:
    height, width = pixels.shape[:2]
    data = pixels.tobytes()
    return Image(width=width, height=height, format=like.format, data=data, at_s=like.at_s)


def _scaled(pixels: Array, width: int, height: int) -> Array:
    """Bilinear, with pixel centres at half coordinates; edges repeat."""
    if height * max(width, pixels.shape[1]) > MAX_PIXELS:
        raise ValueError(f"that is more than {MAX_PIXELS} pixels")
    rows, down = _neighbours(pixels.shape[0], height)
    columns, across = _neighbours(pixels.shape[1], width)
    wide = pixels.astype(np.float32)
    upper, lower = wide[rows[0]], wide[rows[1]]
    between = upper + (lower - upper) * down[:, None, None]
    left, right = between[:, columns[0]], between[:, columns[1]]
    found: Array = left + (right - left) * across[None, :, None]
    return np.rint(found).clip(0, 255).astype(np.uint8)


def _neighbours(size: int, wanted: int) -> tuple[tuple[Array, Array], Array]:
    """For each place wanted, the two that it lies between, and how far from the first."""
    centres = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
    first = np.floor(centres).astype(int)
    share = (centres - first).astype(np.float32)
    return (first.clip(0, size - 1), (first + 1).clip(0, size - 1)), share
