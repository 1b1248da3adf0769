"""An inference answer in the form of the Open Inference Protocol."""

import asyncio
from collections.abc import AsyncIterator
from math import prod

import msgspec
from msgspec import Struct

from sensorium.core.tensors import LENGTH, unpack_numbers
from sensorium.transports.http.exchange import JSON, Exchange

BINARY = b"application/octet-stream"
HEADER_LENGTH = b"inference-header-content-length"
AT_ONCE = 1 << 14
"""So many elements are written as JSON before others have their turn on the event loop."""


class _Tensor(Struct):
    name: str
    datatype: str
    shape: list[int]
    data: bytes = b""

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return prod(self.shape)


class _Reply(Struct):
    id: str = ""
    binary: list[str] = []
    all_binary: bool = False


class Inferred(Struct):
    """What is read of the answer of `models.infer`."""

    version: str
    outputs: list[_Tensor]
    tag: str = ""


class _Head(Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list["_Output"]
    id: str = ""


class _Output(Struct, omit_defaults=True):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] = {}
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


async def write_answer(exchange: Exchange, found: Inferred, model: str) -> None:
    """Answer with outputs as JSON, or as binary after the JSON where that was asked for."""
    reply = msgspec.json.decode(found.tag, type=_Reply)
    outputs: list[_Output] = []
    blobs: list[bytes] = []
    for each in found.outputs:
        shown = _Output(each.name, each.datatype, each.shape)
        if reply.all_binary or each.name in reply.binary:
            shown.parameters = {"binary_data_size": len(each.data)}
            blobs.append(each.data)
        else:
            shown.data = msgspec.Raw(await _listed(each))
        outputs.append(shown)
    head = msgspec.json.encode(_Head(model, found.version, outputs, reply.id))
    if blobs:
        headers = [(HEADER_LENGTH, str(len(head)).encode())]
        await exchange.answer(200, BINARY, b"".join([head, *blobs]), headers)
    else:
        await exchange.answer(200, JSON, head)


async def _listed(tensor: _Tensor) -> bytes:
    """The elements of a tensor as a JSON list."""
    if tensor.datatype == "BYTES":
        return b"".join([part async for part in _texts(tensor)])
    if tensor.elements <= AT_ONCE:
        return _numbers(tensor.datatype, tensor.data)
    return b"".join([part async for part in _many_numbers(tensor)])


async def _many_numbers(tensor: _Tensor) -> AsyncIterator[bytes]:
    """Numbers as a JSON list, in parts."""
    size = len(tensor.data) // tensor.elements * AT_ONCE
    view = memoryview(tensor.data)
    before = b"["
    for start in range(0, len(view), size):
        yield before + _numbers(tensor.datatype, view[start : start + size])[1:-1]
        before = b","
        if start + size < len(view):
            await asyncio.sleep(0)
    yield b"]"


async def _texts(tensor: _Tensor) -> AsyncIterator[bytes]:
    """Byte strings as a JSON list, in parts."""
    items, at, before = [], 0, b"["
    while at < len(tensor.data):
        (length,) = LENGTH.unpack_from(tensor.data, at)
        at += LENGTH.size + length
        items.append(tensor.data[at - length : at].decode("utf-8", "replace"))
        if len(items) == AT_ONCE // 4:
            yield before + msgspec.json.encode(items)[1:-1]
            items, before = [], b","
            await asyncio.sleep(0)
    yield (before + msgspec.json.encode(items)[1:-1] if items or before == b"[" else b"") + b"]"


def _numbers(datatype: str, data: bytes | memoryview) -> bytes:
    found = unpack_numbers(datatype, data)
    if datatype == "BOOL":
        return msgspec.json.encode([bool(each) for each in found])
    return msgspec.json.encode(found)
