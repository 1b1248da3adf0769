"""What a text is held to where there are tools."""

import json
import time
from typing import Any

import jsonschema_rs
import pytest

from sensorium.core.conversation import ImagePart, Message, Tool, ToolCall
from sensorium.core.generation import Generation, Piece
from sensorium.models.backends.gguf_schema import grammar_of
from sensorium.models.tools import CallReader, held, told

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


def test_arguments_that_are_free_stay_free() -> None:
    for parameters, free in (
        ({"type": "object"}, True),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, True),
        ({}, False),
        ({"type": "object", "properties": {}}, False),
    ):
        schema = held(
            Generation(tools=[Tool(name="f", parameters=parameters)], tool_choice="f")
        ).json_schema
        grammar_of(schema)
        valid = jsonschema_rs.validator_for(schema).is_valid
        assert valid({"name": "f", "arguments": {"a": 1}}) is free
        assert not valid({"name": "f", "arguments": 1})


@pytest.mark.parametrize("properties", [None, [1], 5, "text"])
def test_an_offer_takes_a_schema_that_is_wrong(properties: Any) -> None:
    tool = Tool(name="f", description="does", parameters={"properties": properties})
    found = told(Generation(messages=[Message(role="user", content="a")], tools=[tool]))
    assert found.messages[0].content.startswith("You can call these tools: f().\nf: does")


NAMED = [Tool(name="f"), Tool(name="g")]


def heard(*texts: str) -> list[Piece]:
    """What comes out of a reader, without the pieces that only ask."""
    found: list[Piece] = []

    def emit(piece: Piece) -> bool:
        if piece != Piece():
            found.append(piece)
        return True

    reader = CallReader(NAMED, emit)
    for text in texts:
        reader(Piece(text=text, tokens=[1]))
    reader(Piece(finish="stop", generated_tokens=len(texts)))
    return found


def called(text: str) -> list[tuple[str, Any]]:
    """The calls of a text; none where it came as it is."""
    *pieces, last = heard(*text)
    parts = [part for piece in pieces for part in piece.tool_calls]
    assert [part.index for part in parts] == [*range(len(parts))]
    assert last.finish == ("tool_calls" if parts else "stop")
    assert "".join(piece.text for piece in pieces) == ("" if parts else text)
    return [(part.name, json.loads(part.arguments)) for part in parts]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('{"name": "f", "arguments": {"x": 1}}', [("f", {"x": 1})]),
        (' \n{"name": "f", "parameters": {"x": 1}} ', [("f", {"x": 1})]),
        ('{"name": "f"}', [("f", {})]),
        ('[{"name": "f"}, {"name": "g", "arguments": {}}]', [("f", {}), ("g", {})]),
        ('```json\n{"name": "f"}\n```', [("f", {})]),
        ('<tool_call>\n{"name": "f"}\n</tool_call>', [("f", {})]),
        (
            '<tool_call>{"name": "f"}</tool_call>\n<tool_call>{"name": "g"}</tool_call>',
            [("f", {}), ("g", {})],
        ),
        ('<tool_call>{"name": "f"}<tool_call>{"name": "g"}', [("f", {}), ("g", {})]),
        ('{"name": "f", "arguments": {"x": "<tool_call>"}}', [("f", {"x": "<tool_call>"})]),
        (
            '<tool_call>{"name": "f", "arguments": {"x": "</tool_call><tool_call>"}}</tool_call>',
            [("f", {"x": "</tool_call><tool_call>"})],
        ),
        ('{"name": "f", "arguments": "{\\"a\\": 1}"}', [("f", {"a": 1})]),
        ('{"name": "f", "arguments": null}', [("f", {})]),
        ('{"name": "f", "arguments": {"a": 1180591620717411303424}}', [("f", {"a": 2**70})]),
    ],
)
def test_what_is_a_call(text: str, calls: list[Any]) -> None:
    assert called(text) == calls


@pytest.mark.parametrize(
    "text",
    [
        '{"name": ["f"], "arguments": {}}',
        '{"name": {"f": 1}}',
        '{"name": null}',
        '{"name": "other"}',
        '{"name": "f", "arguments": [1]}',
        '{"name": "f", "arguments": "[1]"}',
        '{"name": "f", "arguments": "\\"{}\\""}',
        '{"name": "f", "arguments": "text"}',
        '{"name": "f", "arguments": {"x": NaN}}',
        '{"name": "f", "arguments": {"x": "\\ud800"}}',
        '{"name": "f"} {"name": "g"}',
        '{"name": "f"} and more',
        '{"name": "f"',
        '[{"name": "f"}, 1]',
        "<tool_call>",
        "<tool",
        "[]",
        "{}",
        '{"name": "f", "arguments": ' + '{"a": ' * 100_000,
        "It is fine.",
        "",
    ],
)
def test_what_is_a_text(text: str) -> None:
    pieces = [text[at : at + 1000] for at in range(0, len(text), 1000)]
    *found, last = heard(*pieces)
    assert last.finish == "stop"
    assert "".join(piece.text for piece in found) == text
    assert not any(piece.tool_calls for piece in found)


def test_calls_are_told_of_without_tools() -> None:
    call = ToolCall(id="1", name="look", arguments='{"at": "x"}')
    said = [
        Message(role="user", content="Look at x."),
        Message(role="assistant", tool_calls=[call]),
        Message(role="tool", content="a wall", tool_call_id="1"),
    ]
    assert [(each.role, each.content) for each in told(Generation(messages=said)).messages] == [
        ("user", "Look at x."),
        ("assistant", '{"name": "look", "arguments": {"at": "x"}}'),
        ("user", "The result of look: a wall"),
    ]


@pytest.mark.parametrize("tools", [[], [Tool(name="look")]])
def test_pictures_of_results_and_of_the_system_stay_where_they_stand(tools: list[Tool]) -> None:
    image = [ImagePart(url="https://pictures.example/a.png", at=1)]
    said = [
        Message(role="system", content="ab", images=image),
        Message(role="tool", content="cd", name="look", images=image),
    ]
    found = told(Generation(messages=said, tools=tools)).messages
    assert [[each.content[i.at :] for i in each.images] for each in found] == [["b"], ["d"]]


def test_a_text_is_held_only_as_long_as_it_may_be_a_call() -> None:
    found: list[str] = []

    def emit(piece: Piece) -> bool:
        found.append(piece.text)
        return True

    reader = CallReader(NAMED, emit)
    for text, expected in [
        (" ", [""]),
        ("<tool_", ["", ""]),
        ("box", ["", "", " ", "<tool_", "box"]),
        ("{", ["", "", " ", "<tool_", "box", "{"]),
    ]:
        reader(Piece(text=text))
        assert found == expected


def test_holding_takes_no_longer_the_more_is_held() -> None:
    reader = CallReader(NAMED, lambda _: True)
    reader(Piece(text="{" + " " * 10_000_000))
    began = time.process_time()
    for _ in range(2000):
        reader(Piece(text="a"))
    assert time.process_time() - began < 1.0  # 10 MB copied at each would take many
