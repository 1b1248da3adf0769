"""Headers of safetensors files: a length, so many bytes of JSON, then the tensors without gaps."""

from dataclasses import dataclass, field

from msgspec import Raw, Struct
from msgspec import field as renamed

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.header import (
    MAX_NAME,
    MAX_TEXT,
    Header,
    dominant,
    parsed,
    shown,
)
from sensorium.models.headers.source import U64, Source

MAX_HEADER = 100_000_000
MAX_TENSORS = 1 << 16
MAX_RAW = 1024
"""Bytes of JSON in a shape, or in a pair of offsets."""
MAX_METADATA = 1 << 22
PACKED, UNPACKING = (".qweight",), (".qzeros", ".scales", ".g_idx")
"""How GPTQ and AWQ call the parts of a layer."""
BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E4M3": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}
"""Of one number of each type."""


class _Entry(Struct):
    """A tensor, or the metadata, which are no more than that they are there."""

    dtype: Raw = Raw()
    shape: Raw = Raw()
    data_offsets: Raw = Raw()


class _Whole(Struct):
    """The metadata alone: all tensors are passed over."""

    metadata: Raw = renamed(name="__metadata__", default=Raw(b"{}"))


@dataclass
class Tensors:
    """What the tensors of one file, or of several, add up to."""

    names: set[str] = field(default_factory=set)
    parameters: int = 0
    size: int = 0
    file_bytes: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each type."""
    packed: int = 0
    """Bytes of weights of which several share a word."""
    unpacking: int = 0
    """Bytes of what such weights are unpacked with."""

    def add(self, other: "Tensors") -> None:
        """Those of another file.

        Raises:
            InvalidInputError: a tensor is in both.
        """
        if both := self.names & other.names:
            raise InvalidInputError(f"the tensor {shown(min(both))} is in two files")
        self.names |= other.names
        self.parameters += other.parameters
        self.size += other.size
        self.file_bytes += other.file_bytes
        self.packed += other.packed
        self.unpacking += other.unpacking
        for dtype, size in other.sizes.items():
            self.sizes[dtype] = self.sizes.get(dtype, 0) + size


def read(source: Source) -> Header:
    """The header of one file.

    Raises:
        InvalidInputError: it is malformed; says how.
    """
    tensors = Tensors()
    metadata = read_file(source, tensors)
    return Header(
        format="transformers",
        file_bytes=tensors.file_bytes,
        parameters=tensors.parameters,
        tensor_bytes=tensors.size,
        tensors=len(tensors.names),
        quantisation=dominant(tensors.sizes),
        details={key: metadata[key][:MAX_TEXT] for key in ("format", "license") if key in metadata},
    )


def read_file(source: Source, tensors: Tensors) -> dict[str, str]:
    """The metadata of one file; its tensors are added to the others.

    Raises:
        InvalidInputError: it is malformed; says how.
    """
    if source.size < U64.size:
        raise InvalidInputError("it is too short for the length of a header")
    length = source.number(U64, 0)
    if length > MAX_HEADER:
        raise InvalidInputError(f"a header of {length} bytes is longer than {MAX_HEADER}")
    source.check(U64.size, length)
    data = source.read(U64.size, length)
    if not data.startswith(b"{"):
        raise InvalidInputError("its header does not begin with {")
    # Braces are counted before they become objects; a little more than one for each tensor is
    # left to the metadata, which may hold JSON as text.
    if data.count(b"{") > 2 * MAX_TENSORS:
        raise InvalidInputError(f"its header has more than {MAX_TENSORS} tensors")
    entries = parsed(data, dict[str, _Entry], "its header")
    raw = bytes(parsed(data, _Whole, "its header").metadata)
    if len(raw) > MAX_METADATA:
        raise InvalidInputError(f"its metadata are longer than {MAX_METADATA} bytes")
    entries.pop("__metadata__", None)
    if len(entries) > MAX_TENSORS:
        raise InvalidInputError(f"{len(entries)} tensors are more than {MAX_TENSORS}")
    tensors.file_bytes += source.size
    spans = [_read_entry(name, entry, tensors) for name, entry in entries.items()]
    _check_spans(spans, source.size - U64.size - length)
    return parsed(raw, dict[str, str], "its metadata")


def _read_entry(name: str, entry: _Entry, tensors: Tensors) -> tuple[int, int]:
    """Where a tensor begins among the tensors, and where it ends."""
    called = shown(name)
    if len(name) > MAX_NAME:
        raise InvalidInputError(f"the name {called} is longer than {MAX_NAME}")
    if name in tensors.names:
        raise InvalidInputError(f"the tensor {called} comes twice")
    tensors.names.add(name)
    bits = BITS.get(dtype := parsed(_short(entry.dtype, called), str, f"the dtype of {called}"))
    if bits is None:
        raise InvalidInputError(f"{called} is of the unknown dtype {shown(dtype)}")
    shape = parsed(_short(entry.shape, called), list[int], f"the shape of {called}")
    start, end = parsed(
        _short(entry.data_offsets, called), tuple[int, int], f"the data_offsets of {called}"
    )
    numbers = 1
    for extent in shape:
        numbers *= extent
        if extent < 0 or numbers >= 1 << 63:
            raise InvalidInputError(f"{called} has an impossible shape")
    if numbers * bits != 8 * (end - start):
        raise InvalidInputError(
            f"{called} has {end - start} bytes, but {numbers} numbers of {dtype}"
        )
    tensors.parameters += numbers
    tensors.size += end - start
    tensors.sizes[dtype] = tensors.sizes.get(dtype, 0) + end - start
    tensors.packed += (end - start) * name.endswith(PACKED)
    tensors.unpacking += (end - start) * name.endswith(UNPACKING)
    return start, end


def _short(raw: Raw, called: str) -> bytes:
    data = bytes(raw)
    if not data or len(data) > MAX_RAW:
        raise InvalidInputError(f"{called} has a dtype, shape or data_offsets missing or too long")
    return data


def _check_spans(spans: list[tuple[int, int]], size: int) -> None:
    """That the tensors fill the rest of the file, one after the other."""
    free = 0
    for start, end in sorted(spans):
        if start != free:
            what = "share bytes" if start < free else "leave a gap"
            raise InvalidInputError(f"two tensors {what} at offset {min(start, free)}")
        free = end
    if free != size:
        raise InvalidInputError(f"its tensors have {free} bytes, but the file has {size} for them")
