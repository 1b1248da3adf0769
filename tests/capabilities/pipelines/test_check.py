"""What is wrong with a pipeline is found before anything runs, and said with stage and field."""

import json
import tomllib

import pytest

from sensorium.capabilities.pipelines.files import read_text
from sensorium.capabilities.pipelines.plan import make_plan
from sensorium.capabilities.pipelines.schema import MAX_STAGES
from sensorium.core.errors import InvalidInputError
from tests.capabilities.pipelines.conftest import Runner

SCAN = {"name": "scan", "operation": "logs.cluster", "request": {"lines": ["a"]}}
ECHO = {"name": "say", "operation": "system.echo", "request": {"text": "hello"}}


def echo(**request):
    return {"name": "say", "operation": "system.echo", "request": request}


def applied(function, **request):
    return {"name": "f", "function": function, "request": request}


def test_a_good_one_has_no_problems(runner: Runner) -> None:
    counted = applied("length", value="$scan.clusters")
    assert runner.problems(SCAN, counted, outputs={"count": "$f"}) == []


@pytest.mark.parametrize(
    ("stages", "stage", "field", "why"),
    [
        # Names.
        ([{"name": "x"}], "x", "", "one of operation, model and function"),
        ([{**ECHO, "model": "mlp"}], "say", "", "only one"),
        ([ECHO, ECHO], "say", "name", "another stage"),
        ([{**ECHO, "name": "input"}], "input", "name", "what the pipeline is given"),
        ([{"name": "x", "operation": "logs.clutser"}], "x", "operation", "operation logs.clutser"),
        ([{"name": "x", "operation": "a b"}], "x", "operation", "no operation of that name"),
        ([{"name": "x", "operation": "logs.watch"}], "x", "operation", "streams"),
        ([{"name": "x", "function": "eval"}], "x", "function", "no function 'eval'"),
        # Fields.
        ([echo(txt="a")], "say", "request.txt", "no such field; there is text, data"),
        ([echo(text=5)], "say", "request.text", "Expected `str`"),
        ([{"name": "x", "operation": "logs.cluster"}], "x", "request.lines", "must be given"),
        (
            [{**SCAN, "request": {"lines": ["a"], "max_clusters": 0}}],
            *("scan", "request.max_clusters", ">= 1"),
        ),
        (
            [{**SCAN, "request": {"lines": ["a", 5]}}],
            *("scan", "request.lines[1]", "Expected `str`"),
        ),
        ([applied("take", value=[1])], "f", "request.count", "must be given"),
        ([applied("take", value=[1], count=-1)], "f", "request.count", ">= 0"),
        ([applied("take", value=[1], count=1, skp=1)], "f", "request.skp", "no such field"),
        (
            [{"name": "x", "operation": "metrics.detect_anomalies",
              "request": {"series": [{"values": [1]}, {"values": "$input.a", "nme": "x"}]}}],
            *("x", "request.series[1].nme", "no such field"),
        ),
        # References.
        ([echo(text="$nobody.x")], "say", "request.text", "no stage 'nobody'"),
        ([echo(text="$input.b")], "say", "request.text", "no input 'b'; there is a"),
        ([echo(text="$input")], "say", "request.text", r"\$input.NAME"),
        ([echo(text="$say.text")], "say", "request.text", "refers to itself"),
        ([echo(text="$scan.x"), SCAN], "say", "request.text", "scan comes later"),
        ([echo(text="$ b")], "say", "request", "reference"),
        ([SCAN, echo(text="$scan.clusters.x")], "say", "request.text", "no map"),
        ([SCAN, echo(text="$scan.cluster")], "say", "request.text", "no 'cluster'; there is clust"),
        ([SCAN, echo(text="$scan.clusters[0].tmpl")], "say", "request.text", "no 'tmpl'"),
        ([SCAN, echo(text="$scan.line_count[0]")], "say", "request.text", "no list"),
        ([SCAN, echo(text="$scan.clusters")], "say", "request.text", "takes text, and .* is list"),
        ([SCAN, echo(text="$scan.line_count")], "say", "request.text", "takes text, and .* is int"),
        ([SCAN, applied("flatten", value="$scan.other")], "f", "request.value", "takes list"),
        ([SCAN, applied("resize", value="$scan.line_count", width=1, height=1)],
         "f", "request.value", "takes map"),
        ([{**ECHO, "after": ["later"]}, {**ECHO, "name": "later"}], "say", "after", "comes later"),
        ([{**ECHO, "after": ["nobody"]}], "say", "after", "no stage"),
        # Conditions and fallbacks.
        ([{**ECHO, "when": ["$input.a >"]}], "say", "when", "neither a reference nor JSON"),
        ([{**ECHO, "when": ["$b > 1"]}], "say", "when", "no stage 'b'"),
        ([SCAN, {**ECHO, "when": ["$scan.lines > 1"]}], "say", "when", "no 'lines'"),
        ([{**ECHO, "fallback": {"operation": "no.such"}}], "say", "fallback.operation", "no oper"),
        (
            [{**ECHO, "fallback": {"operation": "system.echo", "request": {"a": 1}}}],
            *("say", "fallback.request.a", "no such field"),
        ),
        ([{**ECHO, "fallback": {"value": "$b"}}], "say", "fallback.value", "no stage 'b'"),
        ([{**ECHO, "fallback": {"model": "a", "function": "take"}}], "say", "", "only one"),
        # A user of a stage that falls back must find what it wants in both.
        (
            [{**SCAN, "fallback": {"operation": "system.echo"}},
             {**ECHO, "request": {"text": "$scan.clusters[0].template"}}],
            *("say", "request.text", "no 'clusters'; there is text"),
        ),
    ],
)  # fmt: skip
def test_a_bad_one_says_where_and_why(runner: Runner, stages, stage, field, why) -> None:
    problems = runner.problems(*stages, inputs={"a": {}})
    assert (problems[0]["stage"], problems[0]["field"]) == (stage, field), problems
    with pytest.raises(InvalidInputError, match=why) as refused:
        runner.run(*stages, inputs={"a": 1}, outputs={})
    assert refused.value.details["problems"] == problems


@pytest.mark.parametrize(
    ("given", "where", "why"),
    [
        ({"kind": "string"}, "inputs.x", "no kind 'string'"),
        ({"kind": "list[text]", "default": ["a", None]}, "inputs.x", "null does not become a text"),
        ({"kind": "int", "default": "a"}, "inputs.x", "does not become an int"),
    ],
)
def test_an_input_must_be_of_a_kind(runner: Runner, given, where, why) -> None:
    (problem,) = runner.problems(ECHO, inputs={"x": given})
    assert (problem["stage"], problem["field"]) == ("", where)
    assert why in problem["message"]


def test_an_inputs_kind_is_what_stages_see(runner: Runner) -> None:
    inputs = {"lines": {"kind": "list[text]"}, "picture": {"kind": "image?"}}
    (problem,) = runner.problems(echo(text="$input.lines"), inputs=inputs)
    assert problem["message"] == "takes text, and $input.lines is list"
    assert runner.problems(echo(text="$input.lines[0]"), inputs=inputs) == []
    (problem,) = runner.problems(echo(text="$input.picture.size"), inputs=inputs)
    assert "there is width, height" in problem["message"]


def test_stages_in_a_circle_are_told_as_one(runner: Runner) -> None:
    first = {"name": "a", "function": "length", "request": {"value": "$c"}}
    second = {"name": "b", "function": "length", "request": {"value": ["$a"]}}
    third = {"name": "c", "function": "length", "request": {"value": "x"}, "when": ["$b > 0"]}
    (problem,) = runner.problems(first, second, third)
    assert problem["message"] == "stages go round in a circle: a needs c needs b needs a"


def test_all_problems_are_told_at_once(runner: Runner) -> None:
    problems = runner.problems(
        echo(txt=1), applied("take", value="$x"), outputs={"a": "$say.nothing", "b": "$f"}
    )
    assert [(each["stage"], each["field"]) for each in problems] == [
        ("say", "request.txt"),
        ("f", "request.value"),
        ("f", "request.count"),
        ("", "outputs.a"),
    ]
    with pytest.raises(InvalidInputError, match=r"^stage say: request.txt: .* \(and 1 more\)$"):
        runner.run(echo(txt=1), applied("take", value=[1]), outputs={})


def test_it_is_bounded(runner: Runner) -> None:
    stages = [{**ECHO, "name": f"s{number}"} for number in range(MAX_STAGES + 1)]
    assert runner.problems(*stages[:-1]) == []
    with pytest.raises(InvalidInputError, match="length <= 64"):
        runner.problems(*stages)
    deep: object = "x"
    for _ in range(40):
        deep = [deep]
    (problem,) = runner.problems({**ECHO, "request": {"data": deep}})
    assert "nests too deeply" in problem["message"]


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"stages": []}, "$.pipeline.stages"),
        ({"stages": [{**ECHO, "opertion": "a.b"}]}, "$.pipeline.stages[0]"),
        ({"stages": [{**ECHO, "name": "A b"}]}, "$.pipeline.stages[0].name"),
        ({"stages": [{**ECHO, "deadline_s": 0}]}, "$.pipeline.stages[0].deadline_s"),
        ({"stages": [{**ECHO, "when": "$a"}]}, "$.pipeline.stages[0].when"),
        ({"stages": [ECHO], "inputs": {"A": {}}}, "$.pipeline.inputs a key"),
    ],
)
def test_what_is_no_pipeline_at_all_is_refused(runner: Runner, change, at) -> None:
    with pytest.raises(InvalidInputError) as refused:
        runner.call("pipelines.check", {"pipeline": change})
    assert at in f"{refused.value.details.get('at')} {refused.value.message}"


def test_one_is_named_or_given_and_not_both(runner: Runner) -> None:
    for request in ({}, {"name": "log-bursts", "pipeline": {"stages": [ECHO]}}):
        with pytest.raises(InvalidInputError, match="not both"):
            runner.call("pipelines.check", request)


def test_toml_and_json_say_the_same() -> None:
    text = b'[[stages]]\nname = "say"\noperation = "system.echo"\nrequest = { text = "hello" }\n'
    found = read_text(text, ".toml")
    assert found == read_text(json.dumps(tomllib.loads(text.decode())).encode(), ".json")


@pytest.mark.parametrize(
    ("text", "suffix", "why"),
    [
        (b"a = ", ".toml", "not TOML: Invalid"),
        (b"\xff", ".toml", "UTF-8"),
        (b"{", ".json", "not JSON"),
        (b"stages = 5", ".toml", "array"),
    ],
)
def test_what_is_neither_is_refused(text, suffix, why) -> None:
    with pytest.raises(InvalidInputError, match=why):
        read_text(text, suffix)


def test_a_date_of_toml_is_text(runner: Runner) -> None:
    text = b'[[stages]]\nname = "a"\noperation = "system.echo"\nrequest = { data = 1979-05-27 }'
    assert read_text(text, ".toml").stages[0].request == {"data": "1979-05-27"}


def test_a_float_that_is_none_is_refused(runner: Runner) -> None:
    text = b'[[stages]]\nname = "a"\noperation = "system.echo"\nrequest = { data = nan }'
    plan = make_plan(read_text(text, ".toml"), runner.app.registry, lambda name: True)
    assert [str(each) for each in plan.problems] == ["stage a: request: a float must be finite"]
