"""The Open Inference Protocol's form of a request: JSON, or JSON with binary tensors after it.

The protocol and its binary tensor data extension are KServe's and Triton's:
https://github.com/kserve/open-inference-protocol
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from sensorium.capabilities.models.schema import InferRequest
from sensorium.core.tensors import Datatype, Shape, Tensor, pack_bytes, pack_numbers

MAX_HEADER = 256 << 10
"""Bytes of the JSON before binary tensors."""
MAX_NESTING = 16
SIZE, BINARY = "binary_data_size", "binary_data"
UNKNOWN = {"classification", "shared_memory_region"}
"""Extensions of Triton's that change what an answer is, so that to pass them over would mislead."""

Parameters = dict[str, Any]


class _Input(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=256)]
    datatype: Datatype
    shape: Shape
    parameters: Parameters = {}
    data: msgspec.Raw = msgspec.Raw(b"")


class _Output(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=256)]
    parameters: Parameters = {}


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the answer is to look; it travels in the request's tag."""

    id: str = ""
    binary: list[str] = []
    """The outputs that are wanted as binary."""
    all_binary: bool = False


class _Request(Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(max_length=1024)] = ""
    parameters: Parameters = {}
    inputs: Annotated[list[_Input], Meta(max_length=1024)]
    outputs: Annotated[list[_Output], Meta(max_length=1024)] = []


_READ = msgspec.json.Decoder(_Request)
_NUMBERS = msgspec.json.Decoder(list[float])
_INTEGERS = msgspec.json.Decoder(list[int])
_BOOLEANS = msgspec.json.Decoder(list[bool])
_STRINGS = msgspec.json.Decoder(list[str])


def read(body: bytes | bytearray, fields: Mapping[str, str]) -> InferRequest:
    """A request whose tensors are JSON; `fields` name the model and its version.

    Raises:
        ValueError: it is not of the protocol, or its tensors do not fit.
        MsgspecError: it is not the JSON of a request.
    """
    return _request(_READ.decode(body), memoryview(b""), fields)


def read_binary(body: bytes | bytearray, fields: Mapping[str, str]) -> InferRequest:
    """A request whose tensors follow after `fields["header_length"]` bytes of JSON.

    Errors as for `read`.
    """
    text = fields.get("header_length", "")
    length = int(text) if text.isdigit() and len(text) < 12 else -1
    if not 0 <= length <= min(len(body), MAX_HEADER):
        raise ValueError("the length of the JSON header is none that this body can have")
    view = memoryview(body)
    return _request(_READ.decode(view[:length]), view[length:], fields)


def _request(given: _Request, binary: memoryview, fields: Mapping[str, str]) -> InferRequest:
    tensors: list[Tensor] = []
    at = 0
    for each in given.inputs:
        size = each.parameters.get(SIZE)
        if size is None and not each.data:
            raise ValueError(f"the input {each.name} has neither data nor {SIZE}")
        if size is None:
            data: bytes | memoryview = elements(each.datatype, each.data)
        else:
            if not isinstance(size, int) or not 0 <= size <= len(binary) - at:
                raise ValueError(f"{SIZE} of {each.name} goes beyond the body")
            data, at = binary[at : at + size], at + size
        tensors.append(
            Tensor(name=each.name, datatype=each.datatype, shape=each.shape, data=data)  # type: ignore[arg-type]
        )
    if at != len(binary):
        raise ValueError(f"{len(binary) - at} bytes after the header belong to no input")
    told = [each.parameters for each in given.inputs]
    for parameters in told + [each.parameters for each in given.outputs]:
        if UNKNOWN & parameters.keys():
            raise ValueError(f"{', '.join(sorted(UNKNOWN))} are not supported")
    usual = given.parameters.get("binary_data_output") is True
    reply = Reply(
        id=given.id,
        binary=[each.name for each in given.outputs if each.parameters.get(BINARY, usual)],
        all_binary=usual and not given.outputs,
    )
    return InferRequest(
        model=fields.get("model", ""),
        version=fields.get("version", ""),
        inputs=tensors,
        outputs=[each.name for each in given.outputs],
        raw=True,
        tag=msgspec.json.encode(reply).decode(),
    )


def elements(datatype: str, given: msgspec.Raw) -> bytes:
    """A JSON list, flat or nested row by row, as raw elements.

    Raises:
        ValueError: an element is none of the datatype.
        MsgspecError: it is no such list.
    """
    try:
        return _pack(datatype, given)
    except msgspec.ValidationError:
        flat = _flattened(msgspec.json.decode(given), MAX_NESTING)
        return _pack(datatype, msgspec.json.encode(flat))


def _pack(datatype: str, given: bytes | msgspec.Raw) -> bytes:
    if datatype == "BYTES":
        return pack_bytes([text.encode() for text in _STRINGS.decode(given)])
    if datatype == "BOOL":
        return bytes(_BOOLEANS.decode(given))
    if datatype in ("FP16", "BF16", "FP32", "FP64"):
        return pack_numbers(datatype, _NUMBERS.decode(given))
    return pack_numbers(datatype, _INTEGERS.decode(given))


def _flattened(nested: Any, depth: int) -> list[Any]:
    if not isinstance(nested, list) or depth == 0:
        raise ValueError("the data of a tensor are a list, or lists of lists, of its elements")
    if nested and isinstance(nested[0], list):
        return [item for part in nested for item in _flattened(part, depth - 1)]
    return nested
