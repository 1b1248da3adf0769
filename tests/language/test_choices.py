"""What every backend's texts become, whatever it leaves out."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from sensorium.capabilities.language.choices import chunks
from sensorium.core.conversation import ToolCallPart, tool_calls
from sensorium.core.generation import Generation, Piece
from sensorium.core.operation import Context

PARTS = [
    ToolCallPart(name="look", arguments="{"),
    ToolCallPart(arguments="}"),
    ToolCallPart(index=1, id="theirs", name="look", arguments="{}"),
]


class Telling:
    """A context whose model calls two tools, the first without an id."""

    async def generate(self, *_: object, **__: object) -> AsyncGenerator[Piece, None]:
        for part in PARTS:
            yield Piece(tool_calls=[part])
        yield Piece(finish="tool_calls")


def calls(task: Generation, n: int = 1) -> dict[int, list[ToolCallPart]]:
    async def work() -> dict[int, list[ToolCallPart]]:
        found: dict[int, list[ToolCallPart]] = {}
        context = cast(Context, Telling())
        async for chunk in chunks(context, "any", "", task, n):
            found.setdefault(chunk.index, []).extend(chunk.tool_calls)
        return found

    return asyncio.run(work())


def test_every_call_of_a_tool_has_one_id_of_its_own() -> None:
    of: dict[int, Any] = {
        index: tool_calls(parts) for index, parts in calls(Generation(), 2).items()
    }
    ids = [call.id for each in of.values() for call in each]
    assert ids[1::2] == ["theirs", "theirs"]
    assert len(set(ids[::2])) == 2
    assert all(each.startswith("call_") and len(each) == 29 for each in ids[::2])
    assert [call.arguments for each in of.values() for call in each] == ["{}"] * 4


def test_one_call_at_most_where_one_is_asked_for() -> None:
    (parts,) = calls(Generation(parallel_tools=False)).values()
    assert [call.name for call in tool_calls(parts)] == ["look"]


def test_a_call_without_arguments_has_an_object_of_none() -> None:
    assert [call.arguments for call in tool_calls([ToolCallPart(id="a", name="look")])] == ["{}"]
