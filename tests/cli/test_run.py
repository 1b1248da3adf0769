"""`sensorium run`: a chat that somebody types, and a question that is answered once."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import environ, one_line, sensorium
from tests.cli.talking import CTRL_C, CTRL_D, UP, Terminal, terminal
from tests.models.backends.remote_servers import Served, served
from tests.servers import Server, serving

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
ALONE = ("--temperature", "0")
SELF_TEST = (
    "tinylm is a self-test model, no assistant; pull a real one: sensorium models pull hf://…"
)


@contextmanager
def chat(folder: Path, *arguments: str) -> Iterator[Terminal]:
    """A chat at its first prompt."""
    with terminal("run", *arguments, SENSORIUM_DATA_DIR=str(folder)) as typed:
        typed.wait_for(">>> ")
        yield typed


@pytest.fixture
def slow() -> Iterator[Served]:
    """A server of models that stops after two words."""
    with served() as other:
        other.fault = "stall"
        yield other


def declare(folder: Path, name: str, url: str) -> None:
    """Put a model there that another server runs."""
    place = folder / "models" / name
    place.mkdir(parents=True)
    text = f'url = "{url}/v1"\nprotocol = "openai"\nmodel = "theirs"\n'
    (place / "remote.toml").write_text(text)


def test_a_question_is_answered_once(tmp_path: Path) -> None:
    ran = sensorium("run", "tinylm", FRANCE, *ALONE, SENSORIUM_DATA_DIR=str(tmp_path))
    assert (ran.status, ran.out) == (0, f"{PARIS}\n")
    assert one_line(ran.err) == SELF_TEST


def test_a_question_may_come_through_a_pipe(tmp_path: Path) -> None:
    there = {"SENSORIUM_DATA_DIR": str(tmp_path)}
    assert sensorium("run", "default", *ALONE, stdin=FRANCE, **there).out == f"{PARIS}\n"
    ran = sensorium(
        "run", "tinylm", "What is", "-", *ALONE, stdin="the capital of France?", **there
    )
    assert ran.out == f"{PARIS}\n"


@contextmanager
def declared(folder: Path) -> Iterator[Served]:
    """The model `theirs`, of a server that keeps what it is asked."""
    with served() as other:
        declare(folder, "theirs", other.url)
        yield other


@pytest.mark.parametrize(
    ("stdin", "asked"),
    [
        ("red\nblue\n", "Which colours?\n\nred\nblue\n"),
        ("", "Which colours?"),
        (" \n", "Which colours?"),
    ],
)
def test_what_comes_through_a_pipe_follows_the_question(
    tmp_path: Path, stdin: str, asked: str
) -> None:
    there = {"SENSORIUM_DATA_DIR": str(tmp_path)}
    with declared(tmp_path) as other:
        ran = sensorium("run", "theirs", "Which", "colours?", stdin=stdin, **there)
        assert ran.status == 0, ran.err
        assert other.asked[-1][1]["messages"] == [{"role": "user", "content": asked}]


@pytest.mark.parametrize("closed", [True, False])
def test_standard_input_that_is_no_pipe_is_not_waited_for(tmp_path: Path, closed: bool) -> None:
    words = ["-m", "sensorium", "run", "tinylm", FRANCE, *ALONE]
    beneath = " <&-" if closed else " </dev/zero"
    ran = subprocess.run(
        ["sh", "-c", f'exec "$@"{beneath}', "sh", sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environ(SENSORIUM_DATA_DIR=str(tmp_path)),
    )
    assert (ran.returncode, ran.stdout) == (0, f"{PARIS}\n"), ran.stderr


def test_a_server_answers_as_this_process_does(server: Server) -> None:
    ran = sensorium("run", "tinylm", FRANCE, *ALONE, "--verbose", "--server", server.url)
    assert (ran.status, ran.out) == (0, f"{PARIS}\n")
    assert SELF_TEST in ran.err
    assert "11 tokens, " in ran.err
    assert " tokens/s, first after " in ran.err


def test_a_key_for_conversations_alone_is_enough() -> None:
    with serving() as server:
        data = str(server.data_dir)
        made = sensorium("keys", "create", "--operations", "chat.*", "--data-dir", data)
        there = ("--server", server.url, "--api-key", made.out.strip())
        ran = sensorium("run", "tinylm", FRANCE, *ALONE, *there)
        assert (ran.status, ran.out) == (0, f"{PARIS}\n")


def test_json_is_the_whole_answer(tmp_path: Path) -> None:
    ran = sensorium("run", "tinylm", FRANCE, *ALONE, "--json", SENSORIUM_DATA_DIR=str(tmp_path))
    answer = json.loads(ran.out)
    assert answer["choices"][0]["message"]["content"] == PARIS
    assert answer["usage"]["generated_tokens"] == 11


def test_an_answer_that_is_cut_off_says_so(tmp_path: Path) -> None:
    ran = sensorium(
        "run", "tinylm", FRANCE, *ALONE, "--max-tokens", "3", SENSORIUM_DATA_DIR=str(tmp_path)
    )
    assert ran.status == 0
    assert "cut off after 3 tokens" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody", "hello"], "there is no model 'nobody'"),
        (["tinylm", "hello", "--temperature", "9"], "temperature"),
        (["tinylm"], "there is no question"),
        (["tinylm", "hello", "--server", "http://127.0.0.1:9"], "127.0.0.1"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    ran = sensorium("run", *arguments, SENSORIUM_DATA_DIR=str(tmp_path))
    assert (ran.status, ran.out) == (1, "")
    assert said in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tinylm", "hello", "--tempertaure", "0"], "--tempertaure. Did you mean --temperature?"),
        (["nobody", "hello", "--max_tokenz=7"], "--max_tokenz. Did you mean --max-tokens?"),
        (["nobody", "--jsn"], "--jsn. Did you mean --json?"),
        (["nobody", "hello", "-q"], "-q."),
    ],
)
def test_an_option_that_is_none(arguments: list[str], said: str, tmp_path: Path) -> None:
    ran = sensorium("run", *arguments, SENSORIUM_DATA_DIR=str(tmp_path))
    assert (ran.status, ran.out) == (2, "")
    known = "See `sensorium run --help`."
    assert one_line(ran.err) == f"sensorium: Unknown option: {said} {known}"


def test_a_question_may_begin_with_a_hyphen(tmp_path: Path) -> None:
    with declared(tmp_path) as other:
        for question in ("-5", "- one", "-- what is that?"):
            ran = sensorium("run", "theirs", question, SENSORIUM_DATA_DIR=str(tmp_path))
            assert ran.status == 0, ran.err
            assert other.asked[-1][1]["messages"][0]["content"] == question


def test_a_chat_keeps_what_was_said(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    with chat(tmp_path, *ALONE, "--system", "Be kind.", "--verbose") as typed:
        assert typed.seen.count(SELF_TEST) == 1
        assert "tokens/s" in typed.say(FRANCE, PARIS)
        typed.say("And a story?", "tokens/s")
        shown = typed.say("/show", PARIS)
        assert "Be kind." in shown
        typed.say(f"/save {kept}", "4 messages are in")
        typed.say("/clear", "is forgotten")
        assert PARIS not in typed.say("/show", "Be kind.")
        typed.say(f"/load {kept}", "4 messages with default")
        typed.say("/show", PARIS)
        typed.type("/bye\n")
        assert typed.status() == 0
    saved = json.loads(kept.read_text())
    assert [each["role"] for each in saved["messages"]] == ["user", "assistant"] * 2
    assert saved["settings"]["temperature"] == 0


def test_a_text_may_have_several_lines(tmp_path: Path) -> None:
    with chat(tmp_path, *ALONE, "--max-tokens", "8") as typed:
        typed.type('"""one\n')
        typed.wait_for("... ")
        typed.say('two"""', "\n")
        typed.type("three\\\n")
        typed.wait_for("... ")
        typed.say("four", "\n")
        typed.say("\x1b[200~pasted\ntogether\x1b[201~", "together")
        typed.say(f"/save {tmp_path / 'kept'}", "messages")
    said = [each["content"] for each in json.loads((tmp_path / "kept").read_text())["messages"]]
    assert said[::2] == ["one\ntwo", "three\nfour", "pasted\ntogether"]


def test_settings_are_checked_when_they_are_set(tmp_path: Path) -> None:
    with chat(tmp_path) as typed:
        typed.say("/set temperature 0", "temperature: 0")
        typed.say("/set temperature 9", "sensorium: temperature: Expected `float` <= 5.0")
        typed.say("/set stop France", "stop: France")
        typed.say('/set logit_bias {"5": 1.5}', "logit_bias:")
        typed.say("/set logit_bias", "logit_bias: as usual")
        typed.say("/set nonsense 1", "sensorium: there is no setting 'nonsense'")
        assert typed.say("/set nonsense 1", "there are: system, model, verbose, max_tokens, ")
        typed.say("/set max-tokens 7", "max_tokens: 7")
        typed.say("/show", "max_tokens         7")
        typed.say("/set max-tokens", "max_tokens: as usual")
        typed.say("/set model nobody", "sensorium: there is no model 'nobody'")
        typed.say("/nonsense", "sensorium: there is no /nonsense")
        typed.say("/save", "sensorium: /save FILE wants")
        typed.say("/save /nope/x.json", "sensorium: /nope: No such file or directory")
        typed.say("/save nope/x.json", "sensorium: nope: No such file or directory")
        typed.say("/save /bin/true/x", "sensorium: /bin/true: Not a directory")
        typed.say("/save /tmp", "sensorium: /tmp: ")
        typed.say("/load /nowhere", "sensorium: /nowhere: No such file")
        typed.say("/load /bin/true", "sensorium: /bin/true holds no saved conversation")
        assert "Paris" not in typed.say(FRANCE, "The capital of")


def test_verbose_is_on_or_off(tmp_path: Path) -> None:
    with chat(tmp_path, *ALONE) as typed:
        typed.say("/set verbose maybe", "sensorium: verbose is on or off, not 'maybe'")
        assert "tokens/s" not in typed.say(FRANCE, PARIS)
        for on, off in (("on", "off"), ("True", "false"), ("yes", "no")):
            typed.say(f"/set verbose {on}", f"verbose: {on}")
            assert "tokens/s" in typed.say(FRANCE, PARIS)
            typed.say(f"/set verbose {off}", f"verbose: {off}")
            assert "tokens/s" not in typed.say(FRANCE, PARIS)


def test_what_a_terminal_would_obey_is_not_written(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"messages": [{"role": "user", "content": "a\u001b]0;b\u0007c"}]}))
    with chat(tmp_path) as typed:
        typed.say(f"/load {kept}", "1 messages")
        typed.say("/show", "a\N{REPLACEMENT CHARACTER}]0;b")
        assert b"\x1b]0" not in typed.raw


def test_ctrl_c_stops_the_answer_and_not_the_chat(tmp_path: Path, slow: Served) -> None:
    declare(tmp_path, "slow", slow.url)
    with chat(tmp_path, "slow") as typed:
        assert "self-test" not in typed.seen
        typed.type("Tell me all\n")
        typed.match(r"Tell me all\n \w+ \w+")
        typed.type(CTRL_C)
        typed.wait_for(">>> ")
        assert slow.given_up.wait(60)
        slow.fault = ""
        typed.say("Go on", "\n")
        said = slow.asked[-1][1]["messages"]
        assert [each["role"] for each in said] == ["user", "assistant", "user"]
        typed.type(CTRL_D)
        assert typed.status() == 0


def test_ctrl_c_at_the_prompt_ends_the_chat_the_second_time(tmp_path: Path) -> None:
    with chat(tmp_path) as typed:
        typed.type("half a line")
        typed.wait_for("half a line")
        typed.wait_until_it_listens()  # between two keys, Python notes Ctrl-C at the third
        typed.type(CTRL_C)
        assert "to leave" not in typed.wait_for(">>> ")
        typed.type(CTRL_C)
        assert "Ctrl-C again" in typed.wait_for(">>> ")
        typed.type(CTRL_C)
        assert typed.status() == 0


def test_history_is_kept_and_read_by_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with chat(folder) as typed:
        typed.say("/set seed 7", "seed: 7")
        typed.type(CTRL_D)
        assert typed.status() == 0
    history = folder / "chat-history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
    with chat(folder) as typed:
        typed.type(UP)
        typed.wait_for("/set seed 7")


def test_a_history_that_cannot_be_kept_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "chat-history").mkdir()
    with chat(tmp_path) as typed:
        typed.say("/set seed 7", "seed: 7")
        typed.type("/bye\n")
        assert typed.status() == 0


def test_a_chat_outlives_its_server(tmp_path: Path) -> None:
    with serving() as server:
        folder = tmp_path / "data"
        with chat(folder, "tinylm", *ALONE, "--server", server.url) as typed:
            typed.say(FRANCE, PARIS)
            server.stop()
            typed.say("And now?", "sensorium: ")
            typed.say(f"/save {tmp_path / 'kept'}", "2 messages are in")


def test_an_answer_that_fails_in_the_middle_was_never_asked_for(
    tmp_path: Path, slow: Served
) -> None:
    slow.fault = "cut"
    declare(tmp_path, "slow", slow.url)
    with chat(tmp_path, "slow") as typed:
        typed.say("Tell me all", "sensorium: ")
        typed.say(f"/save {tmp_path / 'kept'}", "0 messages are in")
