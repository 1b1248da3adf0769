"""Texts that are no UTF-8, and locales that know no other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import Ran, environ, one_line, sensorium
from tests.servers import Server

LATIN = b"caf\xe9"
C = {"LC_ALL": "C", "PYTHONUTF8": "0"}


def with_bytes(*arguments: str | bytes, **variables: str) -> Ran:
    """Run a command whose arguments are bytes."""
    ran = subprocess.run(
        [sys.executable, "-m", "sensorium", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        env=environ(**variables),
    )
    return Ran(ran.returncode, os.fsdecode(ran.stdout), ran.stderr.decode())


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C.UTF-8"}, C])
def test_standard_input_that_is_no_text(locale: dict[str, str], where: str, server: Server) -> None:
    to = [] if where == "here" else ["--server", server.url]
    ran = sensorium("run", "tinylm", *to, stdin=LATIN, **locale)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].startswith("sensorium: standard input is not UTF-8 text; ")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("words", [("run", "tinylm"), ("system", "echo", "--text")])
def test_an_argument_that_is_no_text(words: tuple[str, ...], where: str, server: Server) -> None:
    to = [] if where == "here" else ["--server", server.url]
    ran = with_bytes(*words, LATIN, *to)
    assert (ran.status, ran.out) == (2, "")
    assert one_line(ran.err) == "sensorium: an argument is not UTF-8 text"


def test_the_c_locale_hinders_no_text(tmp_path: Path) -> None:
    ran = sensorium("system", "echo", "--text", "café", **C)
    assert (ran.status, ran.err) == (0, "")
    assert "café" in ran.out
    ran = sensorium("run", "tinylm", "café", SENSORIUM_DATA_DIR=str(tmp_path), **C)
    assert (ran.status, ran.err.count("\n")) == (0, 1)


def test_a_files_name_may_be_any_bytes(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/" + LATIN
    with open(name, "wb") as file:
        file.write(LATIN + b" one\n")
    ran = with_bytes("logs", "cluster", name)
    assert (ran.status, ran.err) == (0, "")
    assert "one" in ran.out
    ran = with_bytes("call", "logs.cluster", "--data", b"@" + name)
    assert json.loads(ran.out)["line_count"] == 1


def test_lines_of_logs_may_be_any_bytes(server: Server) -> None:
    ran = sensorium("logs", "watch", "--server", server.url, stdin=LATIN + b" one\r\n")
    assert (ran.status, ran.err) == (0, "")
    assert '"lines":1' in ran.out
