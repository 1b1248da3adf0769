"""What stages give flows on; what fails, is late or is cancelled ends as it should."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from sensorium.capabilities.pipelines import flow
from sensorium.capabilities.pipelines.library import Pipelines
from sensorium.core.dispatch import Caller, Encoded
from sensorium.core.errors import (
    DeadlineExceededError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    SensoriumError,
)
from tests.capabilities.pipelines.conftest import Plain, Runner, made
from tests.workers.test_pool import until


def stage(name: str, operation: str = "testing.inline", **more: Any) -> Plain:
    """A stage that gives back its own name as a token."""
    request = {"token": more.pop("token", name)}
    if "seconds" in more:
        request["seconds"] = more.pop("seconds")
    return {"name": name, "operation": operation, "request": request, **more}


def states(answer: Plain) -> dict[str, str]:
    return {each["name"]: each["state"] for each in answer["stages"]}


def test_what_one_stage_gives_another_takes(runner: Runner) -> None:
    answer = runner.run(
        stage("a", token="$input.word"),
        stage("b", "testing.process", token="$a.token"),
        {"name": "c", "function": "join", "request": {"value": ["$a.token", "$b.token", "$$c"]}},
        inputs={"word": "hi"},
        outputs={"all": {"of": ["$c", "$b.token"], "one": 1}, "b": "$b"},
    )
    assert answer["outputs"] == {
        "all": {"of": ["hihi$c", "hi"], "one": 1},
        "b": {"token": "hi", "seconds": 0.0},
    }
    assert [(each["name"], each["state"]) for each in answer["stages"]] == [
        (name, "ran") for name in "abc"
    ]
    assert answer["degraded"] == ""
    assert 0 < max(each["seconds"] for each in answer["stages"]) <= answer["seconds"]


def test_stages_that_do_not_need_each_other_run_side_by_side(runner: Runner) -> None:
    waiting = [stage(name, "testing.awaiting", seconds=3.0) for name in "abc"]
    last = stage("last", token="$a.token", after=["b", "c"])
    began = time.monotonic()
    answer = runner.run(*waiting, last)
    assert 3.0 <= time.monotonic() - began < 8.5, "and not one after the other"
    assert answer["seconds"] < 8.5
    assert states(answer)["last"] == "ran"


def test_a_stage_comes_after_those_that_it_names(runner: Runner) -> None:
    first = stage("a", "testing.change", seconds=0.1)
    before = runner.run(first, stage("b", "testing.change", after=["a"]))["outputs"]
    assert before["b"]["index"] == before["a"]["index"] + 1


def test_a_stage_is_skipped_with_those_that_need_it(runner: Runner) -> None:
    answer = runner.run(
        stage("a", when=["$input.deep"]),
        stage("b", token="$a.token"),
        stage("c", when=["$a == null", "not $input.deep"]),
        {"name": "d", "function": "first_of", "request": {"value": ["$a.token", "$c.token"]}},
        inputs={"deep": False},
    )
    assert states(answer) == {"a": "skipped", "b": "skipped", "c": "ran", "d": "ran"}
    assert answer["outputs"] == {
        "a": None,
        "b": None,
        "c": {"token": "c", "seconds": 0.0},
        "d": "c",
    }
    reasons = {each["name"]: each["reason"] for each in answer["stages"]}
    assert reasons == {"a": "not so: $input.deep", "b": "a was skipped", "c": "", "d": ""}
    assert answer["degraded"] == ""


@pytest.mark.parametrize(
    ("operation", "code", "why"),
    [
        ("testing.refuse", "invalid_input", "stage bad: refused"),
        ("testing.fail", "internal", "stage bad: Something went wrong"),
    ],
)
def test_a_failure_keeps_its_code_and_names_its_stage(
    runner: Runner, operation: str, code: str, why: str
) -> None:
    slow = stage("slow", "testing.process", seconds=60)
    with pytest.raises(SensoriumError, match=why) as failed:
        runner.run(stage("good"), slow, stage("bad", operation, after=["good"]))
    error = failed.value
    assert error.code == code
    assert error.details["stage"] == "bad"
    assert [(each["name"], each["state"]) for each in error.details["stages"]] == [
        ("good", "ran"),
        ("bad", "failed"),
    ]
    assert "secret" not in str(error.details["stages"])
    # What ran beside it is stopped.
    runner.wait(until(runner.idle))


def test_a_late_stage_ends_and_stops_computing(runner: Runner) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"stage a: .* 0\.2 s") as late:
        runner.run(stage("a", "testing.process", seconds=60, deadline_s=0.2))
    assert time.monotonic() - began < 30
    assert late.value.details["stage"] == "a"
    runner.wait(until(runner.idle))


@pytest.mark.parametrize(
    ("primary", "reason"),
    [
        (stage("a", "testing.refuse"), "invalid_input: refused"),
        (stage("a", "testing.process", seconds=60, deadline_s=0.2), "deadline_exceeded: it was"),
        (stage("a", token="$none.x[0]"), "invalid_input: $none.x[0]: there is no item 0, of 0"),
        ({"name": "a", "model": "none", "request": {"x": 1}}, "not_found: "),
        ({"name": "a", "function": "join", "request": {"value": "$none.y"}}, "invalid_input: join"),
    ],
)
@pytest.mark.parametrize(
    ("fallback", "gives"),
    [
        ({"operation": "testing.thread", "request": {"token": "$b.token"}}, {"token": "b"}),
        ({"function": "take", "request": {"value": [1, 2], "count": 1}}, [1]),
        ({"value": {"token": "$b.token", "n": 1}}, {"token": "b", "n": 1}),
        ({}, None),
    ],
)
def test_a_stage_falls_back(
    runner: Runner, primary: Plain, reason: str, fallback: Plain, gives: Any
) -> None:
    answer = runner.run(
        {"name": "none", "function": "first_of", "request": {"value": [{"x": [], "y": [1]}]}},
        stage("b"),
        {**primary, "fallback": fallback},
        outputs={"a": "$a"},
    )
    found = answer["outputs"]["a"]
    found = {k: v for k, v in found.items() if k != "seconds"} if isinstance(found, dict) else found
    assert found == gives
    record = answer["stages"][2]
    assert record["state"] == "fell_back"
    assert record["reason"].startswith(reason)
    assert answer["degraded"] == f"a: {record['reason']}"


def test_a_fallback_that_fails_too_is_the_failure(runner: Runner) -> None:
    primary = stage("a", "testing.refuse")
    with pytest.raises(SensoriumError, match="stage a: Something") as failed:
        runner.run({**primary, "fallback": {"operation": "testing.fail", "request": {"token": ""}}})
    assert (failed.value.code, failed.value.details["stage"]) == ("internal", "a")
    late = {"operation": "testing.process", "deadline_s": 0.1}
    late["request"] = {"token": "", "seconds": 60}
    with pytest.raises(DeadlineExceededError, match="stage a"):
        runner.run({**primary, "fallback": late})
    runner.wait(until(runner.idle))


def test_a_skipped_stage_does_not_fall_back(runner: Runner) -> None:
    answer = runner.run(stage("a", when=["1 in $input.l"], fallback={"value": 1}), inputs={"l": []})
    assert (states(answer), answer["outputs"]) == ({"a": "skipped"}, {"a": None})


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ("$input.list[0]", r"\$input.list\[0\]: there is no item 0, of 0"),
        ("$input.map.b", "there is no member 'b'"),
        ("$input.list.b", "no map"),
    ],
)
def test_a_reference_to_what_is_not_there_names_its_stage(
    runner: Runner, tree: str, why: str
) -> None:
    inputs = {"list": [], "map": {"a": 1}}
    for bad in (stage("a", token=tree), stage("a", when=[f"{tree} == 1"])):
        with pytest.raises(InvalidInputError, match=f"stage a: .*{why}") as failed:
            runner.run(bad, inputs=inputs)
        assert failed.value.details["stage"] == "a"
    with pytest.raises(InvalidInputError, match=why):
        runner.run(stage("a"), inputs=inputs, outputs={"x": tree})


def test_a_cancelled_run_stops_what_it_called(runner: Runner) -> None:
    async def drill() -> None:
        slow = [stage(name, "testing.process", seconds=60) for name in "ab"]
        last = stage("c", "testing.thread", seconds=60)
        running = asyncio.create_task(runner.calling("pipelines.run", made(*slow, last)))
        lanes = (runner.app.processes.lane, runner.app.threads.lane)
        await until(lambda: [lane.in_use for lane in lanes] == [2, 1])
        running.cancel()
        await until(runner.idle)
        with pytest.raises(asyncio.CancelledError):
            await running

    runner.wait(drill())


def test_the_whole_has_a_deadline_of_its_own_and_its_callers(runner: Runner) -> None:
    slow = stage("a", "testing.process", seconds=60, fallback={"value": "too late for that"})
    for pipeline, caller in (({"deadline_s": 0.3}, {}), ({}, {"deadline_s": 0.3})):
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            runner.call("pipelines.run", made(slow, **pipeline), **caller)
        assert time.monotonic() - began < 30
        runner.wait(until(runner.idle))


def test_what_is_large_is_passed_on_and_not_looked_into(runner: Runner) -> None:
    lines = [f"user {number} came" for number in range(200_000)]
    counted = {"name": "a", "operation": "testing.lines", "request": {"lines": "$input.lines"}}
    answer = runner.run(counted, inputs={"lines": lines})
    assert answer["outputs"]["a"]["lines"] == 200_000
    for looking in (
        stage("a", token="$input.lines[0]"),
        {"name": "a", "function": "length", "request": {"value": "$input.lines"}},
        stage("a", when=["$input.lines"]),
    ):
        with pytest.raises(PayloadTooLargeError, match=r"stage a: \$input.lines.* passed on whole"):
            runner.run(looking, inputs={"lines": lines}, outputs={})


@pytest.mark.parametrize("first", ["5 dollars", "$5", '{"$5": "in a text"}'])
def test_what_is_large_is_an_output_whatever_its_texts_begin_with(
    runner: Runner, first: str
) -> None:
    lines = [first, *["user came"] * 120_000]
    scan = {"lines": "$input.lines", "include_assignments": True}
    answer = runner.run(
        {"name": "a", "operation": "logs.cluster", "request": scan}, inputs={"lines": lines}
    )
    assert answer["outputs"]["a"]["line_count"] == len(lines)


def test_a_stage_is_one_step_of_those_that_a_call_may_lead_to(runner: Runner) -> None:
    """32 times a pipeline of 31 stages are 1,024 steps, and not twice as many: 2,000 may be."""
    inner = {"stages": [stage(f"s{n}", "testing.inline") for n in range(31)], "outputs": {}}
    outer = [
        {"name": f"o{n}", "operation": "pipelines.run", "request": escaped({"pipeline": inner})}
        for n in range(32)
    ]
    assert len(runner.run(*outer, outputs={})["stages"]) == 32


def test_what_a_run_holds_is_bounded(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MAX_HELD_BYTES", 1_000_000)
    large = "x" * 400_000
    two = [stage(name, token="$input.text") for name in "ab"]
    with pytest.raises(PayloadTooLargeError, match=r"stage [ab]: a pipeline may hold") as refused:
        runner.run(*two, inputs={"text": large})
    assert refused.value.details["stage"] in ("a", "b")
    assert states(runner.run(two[0], inputs={"text": large})) == {"a": "ran"}
    with pytest.raises(PayloadTooLargeError, match=r"^a pipeline may hold"):
        runner.run(two[0], inputs={"text": "x" * 1_000_001})
    assert runner.app.dispatcher.parts[Pipelines].held_bytes == 0


def test_what_all_runs_hold_is_bounded(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MAX_ALL_BYTES", 1_000_000)
    pipelines = runner.app.dispatcher.parts[Pipelines]
    request = made(stage("a", "testing.awaiting", seconds=60), inputs={"text": "x" * 600_000})

    async def drill() -> None:
        first = asyncio.create_task(runner.calling("pipelines.run", request))
        await until(lambda: pipelines.held_bytes > 600_000)
        with pytest.raises(OverloadedError, match="hold as much as they may"):
            await runner.calling("pipelines.run", request)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert pipelines.held_bytes == 0

    runner.wait(drill())


def test_a_pipeline_itself_may_not_be_large(runner: Runner) -> None:
    literal = {"name": "a", "operation": "system.echo", "request": {"data": ["x" * 9] * 100_000}}
    with pytest.raises(PayloadTooLargeError, match="beside inputs a request may have 1048576"):
        runner.run(literal)


def test_a_large_input_does_not_hold_up_the_loop(runner: Runner) -> None:
    lines = [f"2026-11-20 11:38:24 INFO [28377] shop: user {n} came" for n in range(90_000)]
    request = made(
        {"name": "scan", "operation": "testing.lines", "request": {"lines": "$input.lines"}},
        {"name": "count", "function": "length", "request": {"value": "$input.lines"}},
        inputs={"lines": lines},
        outputs={"count": "$count"},
    )
    request["pipeline"]["inputs"]["lines"] = {"kind": "list[text]"}
    body = Encoded(msgspec.json.encode(request))
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.process_time()  # others may have the cores meanwhile
            await asyncio.sleep(0.001)
            worst = max(worst, time.process_time() - before)

    async def drill() -> Plain:
        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        answer = await runner.app.dispatcher.call("pipelines.run", body, Caller())
        watching.cancel()
        found: Plain = msgspec.json.decode(answer.json())
        return found

    assert runner.wait(drill())["outputs"] == {"count": 90_000}
    assert worst < 0.1, f"the loop was held up for {worst * 1000:.0f} ms"


def escaped(tree: Any) -> Any:
    """A request within a request: its references are its own."""
    match tree:
        case str():
            return f"${tree}" if tree.startswith("$") else tree
        case list():
            return [escaped(item) for item in tree]
        case dict():
            return {key: escaped(member) for key, member in tree.items()}
    return tree


def nested(depth: int) -> Plain:
    request = made(stage("a"), outputs={"a": "$a"})
    for _ in range(depth):
        inner = {"name": "a", "operation": "pipelines.run", "request": escaped(request)}
        request = made(inner, outputs={"a": "$a.outputs.a"})
    return request


def test_a_pipeline_may_call_another_but_not_for_ever(runner: Runner) -> None:
    answer = runner.call("pipelines.run", nested(3))
    assert answer["outputs"]["a"]["token"] == "a"
    with pytest.raises(InvalidInputError, match="4 deep") as refused:
        runner.call("pipelines.run", nested(4))
    assert refused.value.details["stage"] == "a.a.a.a.a"


@pytest.mark.parametrize("width", [1, 60])
def test_one_that_calls_itself_ends(runner: Runner, width: int) -> None:
    stages = "".join(
        f'[[stages]]\nname = "s{n}"\noperation = "pipelines.run"\nrequest = {{ name = "again" }}\n'
        for n in range(width)
    )
    folder = runner.folder / "pipelines"
    folder.mkdir(exist_ok=True)
    (folder / "again.toml").write_text(stages)
    began = time.monotonic()
    with pytest.raises(InvalidInputError, match="no more"):
        runner.call("pipelines.run", {"name": "again"})
    assert time.monotonic() - began < 60
    runner.wait(until(runner.idle))


def test_what_it_changes_is_on_record_and_made_once_for_a_key(runner: Runner) -> None:
    request = made(stage("a", "testing.change"))
    first, second = (
        runner.call("pipelines.run", request, idempotency_key="k", request_id="audited")
        for _ in range(2)
    )
    assert first == second
    audit = (runner.folder / "audit.jsonl").read_text().splitlines()
    named = [line for line in audit if '"audited"' in line]
    assert sorted(name for line in named for name in ("pipelines.run", "testing.change")
                  if f'"{name}"' in line) == ["pipelines.run", "testing.change"]  # fmt: skip


def test_its_stages_are_counted_as_calls(runner: Runner) -> None:
    def calls() -> int:
        return runner.app.telemetry.of("testing.thread").codes["ok"]

    before = calls()
    runner.run(stage("a", "testing.thread"))
    assert calls() == before + 1


def test_progress_is_told_by_stages(runner: Runner) -> None:
    told: list[tuple[int, int | None, str]] = []
    runner.call(
        "pipelines.run",
        made(stage("a"), stage("b", after=["a"])),
        on_progress=lambda *report: told.append(report),
    )
    assert told == [(1, 2, "stages"), (2, 2, "stages")]


@pytest.mark.parametrize(
    ("inputs", "at", "why"),
    [
        ({}, "$.inputs.words", "must be given, as list"),
        ({"words": [], "other": 1}, "$.inputs.other", "no such input; there is words, size"),
        ({"words": "a"}, "$.inputs.words", "a text does not become a list"),
        ({"words": ["a", [1]]}, "$.inputs.words[1]", "a list does not become a text"),
        ({"words": [], "size": 1.5}, "$.inputs.size", "whole"),
        ({"words": [], "size": {"$int": 1}}, "$.inputs.size", r"no kind \$int"),
        ([], "$.inputs", "object"),
    ],
)
def test_inputs_are_checked(runner: Runner, inputs: Any, at: str, why: str) -> None:
    request = made(stage("a"))
    request["pipeline"]["inputs"] = {
        "words": {"kind": "list[text]"},
        "size": {"kind": "int", "default": 3},
        "perhaps": {"kind": "image?"},
    }
    request["inputs"] = inputs
    with pytest.raises(InvalidInputError, match=why) as refused:
        runner.call("pipelines.run", request)
    assert refused.value.details["at"] == at


def test_inputs_become_what_they_are_declared_as(runner: Runner) -> None:
    request = made(stage("a"), outputs={name: f"$input.{name}" for name in ("n", "s", "d", "p")})
    request["pipeline"]["inputs"] = {
        "n": {"kind": "int"},
        "s": {"kind": "series"},
        "d": {"kind": "list[float]", "default": [1, 2]},
        "p": {"kind": "image?"},
    }
    request["inputs"] = {"n": "5", "s": {"values": [1, None]}}
    assert runner.call("pipelines.run", request)["outputs"] == {
        "n": 5,
        "s": {"$series": {"values": [1.0, None]}},
        "d": [1.0, 2.0],
        "p": None,
    }


def test_there_is_no_pipeline_of_that_name(runner: Runner) -> None:
    for operation in ("pipelines.run", "pipelines.check"):
        with pytest.raises(NotFoundError, match="there is no pipeline nobodys"):
            runner.call(operation, {"name": "nobodys"})
