"""`call`, and the commands generated from the operations."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sensorium.app import MODULES
from sensorium.cli.call import read_request
from sensorium.cli.generated import PRESENT
from sensorium.cli.main import COMMANDS, GROUPS, HUMAN, NOUNS, build
from sensorium.core.registry import Registry
from tests.cli.running import environ, on_terminal, sensorium
from tests.faults.observing import until
from tests.servers import Server, serving

BIASED = '{"messages": [{"role": "user", "content": "Hi"}], "logit_bias": {"abc": 1}}'
GENERATED = "sensorium.cli.generated"


def test_every_operation_has_a_command_and_every_noun_a_word() -> None:
    assert NOUNS.keys() == MODULES.keys()
    for operation in Registry(MODULES):
        noun, _, verb = operation.name.partition(".")
        ran = build([noun])
        assert verb.replace("_", "-") in ran[noun], operation.name


def test_the_examples_of_help_are_commands_that_ask_just_that() -> None:
    tried = 0
    for operation in Registry(MODULES):
        noun, _, verb = operation.name.partition(".")
        command = build([noun])[noun][verb.replace("_", "-")]
        _, marked, example = (command.help or "").rpartition("For example:\n\n")
        if not marked or command.default_command.__module__ != GENERATED:
            continue
        words = shlex.split(example)
        assert words[:3] == ["sensorium", noun, verb.replace("_", "-")]
        _, bound, *_ = command.parse_args(words[3:], exit_on_error=False, print_error=False)
        given = dict(bound.arguments)
        request = read_request(operation, given.pop("data", ""), given)
        example = operation.example
        if named := PRESENT.get(operation.name):
            example = msgspec.structs.replace(example, model=named)
        assert msgspec.json.encode(request) == msgspec.json.encode(example)
        tried += 1
    assert tried > 30


@pytest.mark.parametrize(("verb", "name"), [("unload", "machine-state"), ("generate", "tinylm")])
def test_the_examples_of_models_name_one_that_is_there(verb: str, name: str) -> None:
    said = " ".join(sensorium("models", verb, "--help").out.split())
    assert name in said
    assert "none" not in said.partition("For example:")[2].partition("Parameters")[0]
    assert "repeat_penalty" not in said.partition("For example:")[2]


def test_a_commands_options_are_the_fields() -> None:
    ran = sensorium("metrics", "detect-anomalies", "--help")
    assert ran.status == 0
    for said in (
        "--sensitivity",
        "Divides the band's width",
        "(0.1 to 5)",
        "choices: novelty, sigma",
        "In --data, as JSON: series.",
        "sensorium metrics detect-anomalies --data",
        '{"series":[{"name":"cpu",',
        "--no-include-band",
    ):
        assert said in ran.out


def test_help_says_what_there_is() -> None:
    ran = sensorium("--help")
    assert (ran.status, ran.err) == (0, "")
    for name in (*NOUNS, *COMMANDS, *GROUPS, "serve", "health", "--install-completion"):
        assert f" {name} " in ran.out
    assert sensorium().out == ran.out


def test_help_is_quick_because_it_loads_no_operation() -> None:
    program = (
        "import sys; from sensorium.cli.main import main; main(['--help']);"
        "print(sorted(m for m in sys.modules if m.startswith('sensorium.')), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environ(), check=True
    )
    loaded = ran.stderr
    assert "sensorium.cli.main" in loaded
    for heavy in ("sensorium.app", "sensorium.client", "sensorium.capabilities", "cli.logs"):
        assert heavy not in loaded


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_command_computes_here_or_there(where: str, server: Server) -> None:
    to = [] if where == "here" else ["--server", server.url]
    ran = sensorium("system", "echo", "--text", "hi there", "--json", *to)
    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out) == {"text": "hi there", "data": None}


def test_the_server_and_the_key_may_stand_in_the_environment(server: Server) -> None:
    ran = sensorium("call", "system.activity", SENSORIUM_SERVER=server.url)
    assert json.loads(ran.out)["uptime_s"] > 0
    keyed = "sn-" + "1" * 40
    with serving(environ={"SENSORIUM_API_KEYS": keyed}) as locked:
        for key, status in (("wrong", 1), (keyed, 0)):
            ran = sensorium(
                "call", "system.echo", SENSORIUM_SERVER=locked.url, SENSORIUM_API_KEY=key
            )
            assert ran.status == status
            assert ("this API key is not known here" in ran.err) == (status == 1)


@pytest.mark.parametrize("verb", ["detect-anomalies", "detect_anomalies"])
@pytest.mark.parametrize("option", ["--include-band", "--include_band"])
def test_hyphens_and_underscores(verb: str, option: str) -> None:
    data = '{"series":[{"name":"cpu","values":[1,1,1]}]}'
    ran = sensorium("metrics", verb, "--data", data, option, "--json")
    assert ran.status == 0, ran.err
    assert len(json.loads(ran.out)["series"][0]["band"]["expected"]) == 3


def test_an_option_wins_over_data(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"text": "of the file", "data": {"a": 1}}')
    ran = sensorium("system", "echo", "--data", f"@{file}", "--text", "of the option", "--json")
    assert json.loads(ran.out) == {"text": "of the option", "data": {"a": 1}}


@pytest.mark.parametrize("data", ["@{file}", "-"])
def test_plain_lines_are_data_where_lines_are_taken(tmp_path: Path, data: str) -> None:
    file = tmp_path / "app.log"
    file.write_text("disk a full\ndisk b full\n[x] other\n")
    stdin = file.read_text() if data == "-" else ""
    ran = sensorium("call", "logs.cluster", "--data", data.format(file=file), stdin=stdin)
    assert json.loads(ran.out)["line_count"] == 3


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_listening_operation_reads_standard_input(where: str, server: Server) -> None:
    to = [] if where == "here" else ["--server", server.url]
    points = '{"series":[{"name":"a","values":[1.0]}]}\n\n{"series":[]}\n'
    ran = sensorium("call", "metrics.watch", "--stream", *to, stdin=points)
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert [event["points"] for event in events] == [1, 0, 0]
    assert events[-1]["snapshot"]["series"][0]["name"] == "a"
    lines = sensorium("logs", "watch", *to, stdin="disk a full\ndisk b full\n")
    last = [json.loads(line) for line in lines.out.splitlines()]
    assert [each["summary"]["lines"] for each in last if each["kind"] == "summary"] == [2]


def test_a_plugins_noun_is_a_command_too() -> None:
    ran = sensorium("testing", "inline", "--token", "mine")
    assert (ran.status, ran.out) == (0, "token\tmine\nseconds\t0\n")
    streamed = sensorium("testing", "count-async", "--count", "2")
    assert [json.loads(line)["index"] for line in streamed.out.splitlines()] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["logz"], 2, 'Unknown command "logz". Did you mean "logs"?'),
        (["logs", "clster"], 2, 'Did you mean "cluster"?'),
        (["system", "echo", "--txt", "a"], 2, "Did you mean --text?"),
        (["metrics", "forecast-x"], 2, 'Did you mean "forecast"?'),
        (["call", "logs.nothing"], 1, "there is no operation logs.nothing"),
        (["call", "logs.cluster", "--data", "@missing.json"], 1, "missing.json: No such file"),
        (["call", "system.echo", "--data", "{"], 1, "is not JSON"),
        (["call", "system.echo", "--data", "[]"], 1, "Expected `object`, got `array`"),
        (["call", "metrics.watch"], 1, "add --stream"),
        (["call", "logs.cluster", "--data", '{"lines":[1]}'], 1, "(at $.lines[0])"),
        (
            ["call", "chat.complete", "--data", BIASED],
            1,
            "sensorium: a key: Expected `str` matching",
        ),
        (["call", "chat.complete", "--data", BIASED], 1, "(at $.logit_bias)"),
        (["metrics", "detect-anomalies", "--sensitivity", "x"], 2, "--sensitivity"),
        (["metrics", "detect-anomalies"], 1, "missing required field `series`"),
        (["system", "echo", "--server", "nowhere"], 1, "not a server's address"),
        (["system", "echo", "--server", "http://a:1/v1"], 1, "ends before /v1: http://a:1"),
        (["system", "echo", "--server", "http://a/b/v1/"], 1, "ends before /v1: http://a/b"),
        (["testing", "fail", "--token", "a"], 1, "Something went wrong inside"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments: list[str], status: int, said: str) -> None:
    ran = sensorium(*arguments)
    assert (ran.status, ran.out) == (status, "")
    *logged, line = ran.err.splitlines()
    assert line.startswith("sensorium: ")
    assert said in line
    assert not logged or arguments[1] == "fail"


def test_a_closed_pipe_is_quiet() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sensorium", "testing", "count", "--count", "10000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as out, process.stderr as err:
        assert json.loads(out.readline())["index"] == 0
        out.close()
        assert (process.wait(60), err.read()) == (141, b"")


STARTED = """
import asyncio, sys, time
from sensorium.cli.generated import PRESENT
from sensorium.cli.main import main

def told(function):
    def tell(*arguments):
        print("started", flush=True)
        return function(*arguments)
    return tell

import sensorium_testing  # what its operations wait with
sensorium_testing._wait = told(sensorium_testing._wait)
sensorium_testing._compute = told(sensorium_testing._compute)
sensorium_testing.asyncio.sleep = told(asyncio.sleep)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("operation", ["awaiting", "thread", "process"])
def test_ctrl_c_ends_what_is_computed_here(operation: str) -> None:
    command = ["testing", operation, "--token", "a", "--seconds", "60"]
    with subprocess.Popen(
        [sys.executable, "-c", STARTED, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")


def test_ctrl_c_ends_what_a_server_computes(server: Server) -> None:
    def in_flight() -> int:
        with server.client() as http:
            found = http.get("/v1/system/activity").json()["operations"]
        return sum(each["in_flight"] for each in found if each["operation"] == "testing.process")

    command = ["testing", "process", "--token", "a", "--seconds", "60", "--server", server.url]
    with subprocess.Popen(
        [sys.executable, "-m", "sensorium", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ(),
    ) as process:
        until(in_flight, 30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    until(lambda: not in_flight(), 10)


def test_a_terminal_gets_tables() -> None:
    status, seen = on_terminal("system", "operations")
    assert status == 0
    assert "name " in seen
    assert "execution" in seen
    assert "─────" in seen
    status, raw = on_terminal("system", "operations", "--json")
    assert json.loads(raw)["operations"][0]["name"] == "chat.complete"
    piped = sensorium("system", "operations").out.splitlines()
    assert piped[0].split("\t")[:2] == ["operations", "chat.complete"]


def test_completion_is_installed_for_a_shell(tmp_path: Path) -> None:
    ran = sensorium("--install-completion", "--shell", "bash", HOME=str(tmp_path))
    assert ran.status == 0, ran.err
    (script,) = tmp_path.rglob("completions/sensorium")
    ask = (
        f"source {script}; complete -p sensorium >/dev/null;"
        "COMP_WORDS=(sensorium metrics detect-anomalies --sen); COMP_CWORD=3; _sensorium;"
        'echo "${COMPREPLY[@]}"'
    )
    offered = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert offered.stdout.strip() == "--sensitivity"
    (tmp_path / "web.log").touch()
    ask = ask.replace("metrics detect-anomalies --sen", f"logs cluster {tmp_path}/we")
    offered = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert offered.stdout.strip() == f"{tmp_path}/web.log"


def test_people_come_before_what_is_generated() -> None:
    for noun, commands in HUMAN.items():
        made = build([noun])[noun]
        for verb, (target, _) in commands.items():
            module = target.partition(":")[0]
            command = made[verb].default_command
            assert command is not None
            assert command.__module__ == module
