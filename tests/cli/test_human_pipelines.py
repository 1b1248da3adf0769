"""`sensorium pipelines run|check|list` as people use them."""

import base64
import gzip
import json
from pathlib import Path

import pytest

from tests.cli.human import SAMPLES, on_terminal, refusal, rows, run
from tests.servers import Server

SAY = """\
[inputs.text]
kind = "text"
description = "What to say."

[inputs.times]
kind = "int"
default = 2

[[stages]]
name = "say"
operation = "system.echo"
request = { text = "$input.text", data = "$input.times" }

[outputs]
said = "$say.text"
times = "$say.data"
"""


@pytest.fixture
def say(tmp_path: Path) -> Path:
    path = tmp_path / "say.toml"
    path.write_text(SAY)
    return path


def test_a_file_is_run(say: Path) -> None:
    assert rows("pipelines", "run", say, "--input", "text=hi = ho", "-i", "times=5") == [
        ["said", '"hi = ho"'],
        ["times", "5"],
    ]
    answer = json.loads(run("pipelines", "run", say, "-i", "text=hi", "--json").stdout)
    assert answer["outputs"] == {"said": "hi", "times": 2}
    assert answer["stages"][0]["state"] == "ran"


def test_json_files_are_run_too(say: Path, tmp_path: Path) -> None:
    path = tmp_path / "say.json"
    path.write_text(
        '{"stages": [{"name": "s", "operation": "system.echo", "request": {"text": "x"}}],'
        ' "outputs": {"s": "$s.text"}}'
    )
    assert rows("pipelines", "run", path) == [["s", '"x"']]


def test_a_declared_one_is_run_on_a_packed_log() -> None:
    log = SAMPLES / "nginx.log.gz"
    found = dict(rows("pipelines", "run", "log-bursts", "--input", f"lines=@{log}"))
    assert any("timed out" in each["name"] for each in json.loads(found["bursts"]))
    plain = gzip.decompress(log.read_bytes())
    piped = run("pipelines", "run", "log-bursts", "-i", "lines=@-", stdin=plain)
    assert dict(line.split("\t") for line in piped.stdout.decode().splitlines()) == found


def test_it_runs_on_a_server(say: Path, server: Server) -> None:
    there = ("--server", server.url)
    assert rows("pipelines", "run", say, "-i", "text=hi", *there)[0] == ["said", '"hi"']
    log = f"lines=@{SAMPLES / 'after.log'}"
    assert dict(rows("pipelines", "run", "log-bursts", "-i", log, *there)).keys() == {
        "bursts",
        "counts",
        "patterns",
    }


@pytest.mark.parametrize(
    ("kind", "file", "content", "shown"),
    [
        ("list[text]", "a.txt", b"one\r\ntwo\n", ["one", "two"]),
        ("list[text]?", "a.txt", b"one", ["one"]),
        ("list[text]", "a.json", b'["one"]', ["one"]),
        ("text", "a.txt", b"one\ntwo\n", "one\ntwo\n"),
        ("bytes", "a.bin", b"\x00\xff", {"$bytes": base64.b64encode(b"\x00\xff").decode()}),
        ("map[float]", "a.json", b'{"a": 1}', {"a": 1.0}),
        ("any", "a.json", b"[1, null]", [1, None]),
        ("series", "a.csv", b"load\n1\n2\n", {"$series": {"name": "load", "values": [1.0, 2.0]}}),
        ("list[series]", "a.csv", b"a,b\n1,2\n3,4\n", 2),
        (
            "tensor",
            "a.json",
            b'{"datatype": "UINT8", "shape": [1], "values": [7]}',
            {"$tensor": {"datatype": "UINT8", "shape": [1], "data": "Bw=="}},
        ),
    ],
)
def test_a_file_becomes_what_the_input_wants(
    tmp_path: Path, kind: str, file: str, content: bytes, shown: object
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        f'[inputs.x]\nkind = "{kind}"\n[[stages]]\nname = "s"\nfunction = "first_of"\n'
        'request = { value = ["$input.x"] }\n[outputs]\nx = "$s"\n'
    )
    (tmp_path / file).write_bytes(content)
    ((_, found),) = rows("pipelines", "run", path, "-i", f"x=@{tmp_path / file}")
    value = json.loads(found)
    assert (len(value) if isinstance(shown, int) else value) == shown


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-i", "text"], "--input text: write NAME=VALUE, or NAME=@FILE"),
        (["-i", "txt=a"], "--input txt: there is no such input; there is text, times"),
        (["-i", "text=a", "-i", "times=many"], "input times: this text does not become an int"),
        ([], "input text: must be given, as text"),
        (["-i", "text=@nowhere.txt"], "nowhere.txt: No such file or directory"),
    ],
)
def test_a_wrong_input_is_told_in_a_line(say: Path, arguments: list[str], why: str) -> None:
    assert why in refusal("pipelines", "run", say, *arguments)


def test_a_series_file_with_two_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(SAY.replace('kind = "text"', 'kind = "series"'))
    (tmp_path / "two.csv").write_text("a,b\n1,2\n")
    said = refusal("pipelines", "run", path, "-i", f"text=@{tmp_path / 'two.csv'}")
    assert "holds 2 series, and one is wanted" in said


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nobodys", "there is no pipeline nobodys, and no file of that name"),
        ("nobodys.toml", "nobodys.toml: No such file or directory"),
    ],
)
def test_what_is_not_there_is_told(name: str, why: str) -> None:
    assert why in refusal("pipelines", "run", name)


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_that_holds_none_is_told(tmp_path: Path, command: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(SAY.replace("operation", "opration"))
    said = refusal("pipelines", command, path)
    assert said.endswith("unknown field `opration` (at $.stages[0])")


def test_all_that_is_wrong_is_told_line_by_line(say: Path) -> None:
    say.write_text(SAY.replace("text =", "txt =", 1).replace("$say.data", "$sy.data"))
    done = run("pipelines", "check", say)
    assert (done.returncode, done.stderr) == (1, b"")
    assert [line.split("\t")[:2] for line in done.stdout.decode().splitlines()] == [
        ["say", "request.txt"],
        ["", "outputs.times"],
    ]
    done = run("pipelines", "run", say, "-i", "text=a")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines() == [
        "sensorium: stage say: request.txt: there is no such field; there is text, data",
        "sensorium: outputs.times: $sy.data: there is no stage 'sy'",
    ]


def test_a_good_one_says_so(say: Path) -> None:
    assert "nothing is wrong" in on_terminal("pipelines", "check", say)
    assert rows("pipelines", "check", say) == []
    assert json.loads(run("pipelines", "check", "log-bursts", "--json").stdout)["valid"] is True


def test_a_stage_that_fell_back_is_told(say: Path) -> None:
    say.write_text(
        '[[stages]]\nname = "a"\nfunction = "join"\nrequest = { value = [] }\n'
        '[[stages]]\nname = "b"\nmodel = "nobodys"\nrequest = { x = [1.0] }\n'
        'fallback = { value = 5 }\n[outputs]\nb = "$b"\n'
    )
    done = run("pipelines", "run", say)
    assert done.stdout == b"b\t5\n"
    assert "not all went as it should: b: not_found:" in done.stderr.decode()


def test_on_a_terminal_each_stage_is_told() -> None:
    log = SAMPLES / "after.log"
    text = on_terminal("pipelines", "run", "log-bursts", "-i", f"lines=@{log}", columns=150)
    assert all(f"{name}" in text for name in ("scan", "counts", "judged", "bursts"))
    assert text.count("  ran  ") == 4
    assert "log-bursts" in on_terminal("pipelines", "list", columns=150)
