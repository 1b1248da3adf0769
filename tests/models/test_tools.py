"""What a text is held to where there are tools."""

from typing import Any

import jsonschema_rs
import pytest

from sensorium.core.conversation import Tool
from sensorium.core.generation import Generation
from sensorium.models.backends.gguf_schema import grammar_of
from sensorium.models.tools import held

CITY = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/Name"}},
    "required": ["city"],
    "$defs": {"Name": {"enum": ["Paris", "Rome"]}},
}
ANSWER = {
    "type": "object",
    "properties": {"answer": {"$ref": "#/$defs/Name"}},
    "required": ["answer"],
    "$defs": {"Name": {"type": "integer"}},
}
TOOLS = [Tool(name="look", parameters=CITY), Tool(name="$ref", parameters={})]
CALL = {"name": "look", "arguments": {"city": "Paris"}}
OTHER = {"name": "$ref", "arguments": {}}
WRONG = [
    {"name": "look", "arguments": {"city": "Bonn"}},
    {"name": "look"},
    {"name": "other", "arguments": {}},
    {"answer": "Paris"},
]


def task(**more: Any) -> Generation:
    return Generation(tools=TOOLS, **more)


@pytest.mark.parametrize(
    ("asked", "right", "wrong"),
    [
        (task(json_schema=ANSWER), [CALL, OTHER, {"answer": 3}], WRONG),
        (task(tool_choice="required"), [CALL, OTHER], [*WRONG, {"answer": 3}]),
        (task(tool_choice="required", json_schema=ANSWER), [CALL], [*WRONG, {"answer": 3}]),
        (task(tool_choice="look"), [CALL], [*WRONG, OTHER]),
    ],
)
def test_what_a_text_may_be(asked: Generation, right: list[Any], wrong: list[Any]) -> None:
    schema = held(asked).json_schema
    grammar_of(schema)  # is checked there
    valid = jsonschema_rs.validator_for(schema).is_valid
    assert all(map(valid, right))
    assert not any(map(valid, wrong))


@pytest.mark.parametrize("asked", [task(), Generation(json_schema=ANSWER), task(grammar="root")])
def test_what_is_held_to_nothing_more(asked: Generation) -> None:
    assert held(asked) is asked
