"""Tensors as JSON in an answer of the Open Inference Protocol, at the edges of its parts."""

import asyncio
import json
from typing import Any

import pytest

from sensorium.core.tensors import pack_numbers
from sensorium.transports.http.compat.open_inference_answer import (
    AT_ONCE,
    Inferred,
    _Tensor,
    write_answer,
)
from sensorium.transports.http.exchange import Exchange, Message

COUNTS = (0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE, 2 * AT_ONCE + 1)


def answered(tensor: _Tensor) -> list[Any]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    scope = {"type": "http", "method": "POST", "headers": []}
    exchange = Exchange(scope, receive, send, 1.0)
    asyncio.run(write_answer(exchange, Inferred("1", [tensor], "{}"), "m"))
    (output,) = json.loads(b"".join(each.get("body", b"") for each in sent))["outputs"]
    assert output["shape"] == tensor.shape
    found: list[Any] = output["data"]
    return found


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("datatype", ["FP32", "INT64", "UINT8", "BF16"])
def test_numbers(datatype: str, count: int) -> None:
    given = [number % 128 for number in range(count)]
    tensor = _Tensor("y", datatype, [count], pack_numbers(datatype, given))
    assert answered(tensor) == given


@pytest.mark.parametrize("count", COUNTS)
def test_booleans(count: int) -> None:
    given = [number % 3 == 0 for number in range(count)]
    assert answered(_Tensor("y", "BOOL", [count], bytes(given))) == given


def test_what_is_no_number_is_null() -> None:
    tensor = _Tensor("y", "FP32", [3], pack_numbers("FP32", [1, float("nan"), float("inf")]))
    assert answered(tensor) == [1, None, None]
