"""The in-memory twin of the dispatcher, with the real doors on it."""

import asyncio
import json

import msgspec
import pytest
import sensorium_testing as testing

from sensorium.core.direct import DirectDispatcher
from sensorium.core.dispatch import LOCAL, Caller, Encoded
from sensorium.core.errors import InvalidInputError, NotFoundError, SensoriumError
from sensorium.core.registry import Registry
from sensorium.transports.conversation import Conversation


@pytest.fixture
def dispatcher() -> DirectDispatcher:
    return DirectDispatcher(Registry({"testing": "sensorium_testing"}))


@pytest.mark.parametrize("verb", ["inline", "awaiting", "thread", "process", "nested"])
def test_it_answers_structs_and_bodies(dispatcher: DirectDispatcher, verb: str) -> None:
    request = testing.Token(token="t")

    async def both() -> tuple[testing.Token, testing.Token]:
        made = await dispatcher.call(f"testing.{verb}", request, Caller())
        sent = Encoded(msgspec.json.encode(request))
        read = await dispatcher.call(f"testing.{verb}", sent, Caller())
        return made.read(testing.Token), read.read(testing.Token)

    assert asyncio.run(both()) == (request, request)


def test_a_struct_made_in_python_is_checked_like_one_from_a_wire(
    dispatcher: DirectDispatcher,
) -> None:
    wrong = testing.Token(token="t", seconds=-1)
    with pytest.raises(InvalidInputError) as raised:
        asyncio.run(dispatcher.call("testing.inline", wrong, Caller()))
    assert raised.value.details == {"at": "$.seconds"}


def test_errors_are_ours_alone(dispatcher: DirectDispatcher) -> None:
    with pytest.raises(NotFoundError):
        asyncio.run(dispatcher.call("testing.nothing", testing.EXAMPLE, Caller()))
    with pytest.raises(SensoriumError) as raised:
        asyncio.run(dispatcher.call("testing.fail", testing.EXAMPLE, Caller()))
    assert (raised.value.code, "secret" in raised.value.message) == ("internal", False)


@pytest.mark.parametrize("verb", ["count", "count_async", "mirror", "mirror_async"])
def test_a_conversation_over_it_ends_each_call_once(
    dispatcher: DirectDispatcher, verb: str
) -> None:
    sent: list[dict[str, object]] = []

    async def send(message: bytes) -> None:
        sent.append(json.loads(message))

    async def talk() -> None:
        conversation = Conversation(dispatcher, lambda: LOCAL, "test", send)
        await conversation.hear(json.dumps({"id": 1, "op": f"testing.{verb}", "data": {}}))
        if verb.startswith("mirror"):
            for token in "abc":
                await conversation.hear(json.dumps({"id": 1, "chunk": {"token": token}}))
            await conversation.hear(json.dumps({"id": 1, "end": {}}))
        await conversation.finish()

    asyncio.run(talk())
    indexes = [message["chunk"]["index"] for message in sent[:-1]]  # type: ignore[index]
    assert indexes == [0, 1, 2]
    assert sent[-1] == {"id": 1, "end": {}}
