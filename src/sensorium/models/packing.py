"""Tensors on their way between the server and a model's process: large ones in shared memory."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from sensorium.core.errors import ErrorBody, SensoriumError, from_body
from sensorium.core.tensors import Datatype, Tensor
from sensorium.models.exchange import Request, Result

LARGE = 16 << 10
"""From so many bytes on, shared memory is quicker than the socket."""
Region: TypeAlias = tuple[int, int]
Share = Callable[[bytes | memoryview], Region | None]
Shared = Callable[[Region], bytes | memoryview]


class Sent(Struct, frozen=True, array_like=True):
    """A tensor, its bytes here or in shared memory."""

    name: str
    datatype: Datatype
    shape: list[int]
    data: bytes
    region: Region | None


class _SentRequest(Struct, frozen=True, array_like=True):
    inputs: list[Sent]
    outputs: list[str]


class _SentOutcome(Struct, frozen=True, array_like=True):
    tensors: list[Sent]
    error: ErrorBody | None = None


def pack_requests(requests: Sequence[Request], share: Share) -> bytes:
    """Requests for a model's process."""
    sent = [_SentRequest(_sent(each.inputs, share), each.outputs) for each in requests]
    return msgspec.msgpack.encode(sent)


def unpack_requests(body: bytes | bytearray, shared: Shared) -> list[Request]:
    """What `pack_requests` made."""
    sent = msgspec.msgpack.decode(body, type=list[_SentRequest])
    return [Request(_received(each.inputs, shared), each.outputs) for each in sent]


def pack_results(results: Sequence[Result], share: Share) -> bytes:
    """Results for the server."""
    return msgspec.msgpack.encode([_outcome(each, share) for each in results])


def unpack_results(body: bytes, shared: Shared) -> list[Result]:
    """What `pack_results` made."""
    sent = msgspec.msgpack.decode(body, type=list[_SentOutcome])
    return [
        _received(each.tensors, shared) if each.error is None else from_body(each.error)
        for each in sent
    ]


def _outcome(result: Result, share: Share) -> _SentOutcome:
    if isinstance(result, SensoriumError):
        return _SentOutcome([], result.body())
    return _SentOutcome(_sent(result, share))


def _sent(tensors: Sequence[Tensor], share: Share) -> list[Sent]:
    made = []
    for each in tensors:
        region = share(each.data) if len(each.data) >= LARGE else None
        data = b"" if region is not None else bytes(each.data)
        made.append(Sent(each.name, each.datatype, each.shape, data, region))
    return made


def _received(sent: Sequence[Sent], shared: Shared) -> list[Tensor]:
    return [
        Tensor(
            name=each.name,
            datatype=each.datatype,
            shape=each.shape,
            data=each.data if each.region is None else shared(each.region),  # type: ignore[arg-type]
        )
        for each in sent
    ]
