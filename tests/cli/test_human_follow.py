"""Logs that grow: `logs cluster --follow`, and the tail under it."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensorium.cli.following import Tail
from tests.cli.human import command, environ, run
from tests.servers import Server

KNOWN = [f"2026-01-01 00:00:{n % 60:02d} INFO user {n} logged in" for n in range(200)]


def text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_a_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\ntw")
    tail = Tail(str(path))
    assert tail.read() == ["one"]
    append(path, b"o\nthree\n")
    assert tail.read() == ["two", "three"]
    assert tail.read() == []
    tail.close()


def test_a_tail_goes_on_with_the_file_that_takes_the_name(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\n")
    tail = Tail(str(path))
    assert tail.read() == ["one"]
    append(path, b"two\n")
    path.rename(tmp_path / "app.log.1")
    assert tail.read() == ["two"]
    append(tmp_path / "app.log.1", b"late\n")
    path.write_bytes(b"three\n")
    assert tail.read() == ["late", "three"]
    tail.close()


def test_a_tail_begins_anew_where_a_file_was_emptied(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"one\ntwo\nthr")
    tail = Tail(str(path))
    assert tail.read() == ["one", "two"]
    path.write_bytes(b"four\n")
    assert tail.read() == ["four"]
    tail.close()


@contextmanager
def following(*arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """A command that follows, once it says that it waits."""
    with subprocess.Popen(
        command("logs", "cluster", "--follow", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ(),
    ) as process:
        try:
            assert process.stderr is not None
            assert "waiting for more" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def told(process: "subprocess.Popen[str]") -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n").split("\t")


@pytest.mark.parametrize("remote", [False, True], ids=["here", "on a server"])
def test_what_is_new_is_told_as_it_comes(tmp_path: Path, server: Server, remote: bool) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(text(KNOWN))
    where = ["--server", server.url] if remote else []
    with following(path, *where) as process:
        append(path, text(KNOWN[:50]))
        append(path, b"2026-01-01 00:01:00 ERROR disk /dev/sda1 is full\n")
        _, what, severity, _, template, _ = told(process)
        assert (what, severity) == ("new", "error")
        assert "is full" in template
        path.rename(tmp_path / "app.log.1")
        path.write_bytes(b"2026-01-01 00:02:00 CRITICAL the engine room is on fire\n")
        assert "engine room" in told(process)[4]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stdout is not None
        assert process.stdout.read() == ""
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_a_pattern_that_falls_silent_is_told(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    beats = [line for n in range(500) for line in (f"INFO heartbeat {n}", f"INFO user {n} came")]
    path.write_bytes(text(beats))
    with following(path, "--window", "100") as process:
        append(path, text([f"INFO user {n} came" for n in range(100)]))
        silent = told(process)
        assert silent[1] == "silent"
        assert "heartbeat" in silent[4]
        assert silent[5] == "0 in the last window, 50.0 usual"


def test_standard_input_is_followed_to_its_end() -> None:
    done = run("logs", "cluster", "-f", "-", stdin=text(KNOWN) + b"ERROR no space left")
    assert done.returncode == 0
    found = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [row[4] for row in found if row[1] == "new"][-1].endswith("no space left")
    assert done.stderr.decode().endswith("201 lines, 2 patterns\n")


def test_with_json_each_event_is_a_line() -> None:
    lines = [json.dumps({"message": line}) for line in KNOWN]
    arguments = ["logs", "cluster", "-f", "-", "--json", "--field", "message", "--learn", "200"]
    done = run(*arguments, stdin=text([*lines, '{"message": "ERROR odd"}', "{}"]))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["kind"] for event in events] == ["pattern", "summary"]
    assert "odd" in events[0]["pattern"]["template"]
    assert events[-1]["summary"]["lines"] == 201


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = run("logs", "cluster", "-f", tmp_path / "no.log")
    assert done.returncode == 1
    assert done.stderr.decode() == f"sensorium: {tmp_path / 'no.log'}: No such file or directory\n"


def test_a_line_in_two_pieces_is_one() -> None:
    with following("-") as process:
        assert process.stdin is not None
        for piece in ("WARN the first half ", "and the second\n"):
            process.stdin.write(piece)
            process.stdin.flush()
        assert "the first half and the second" in told(process)[4]
        process.stdin.close()
        assert process.wait(60) == 0
