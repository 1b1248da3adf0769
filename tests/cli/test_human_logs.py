"""Log files as people have them, and what `logs cluster` and `logs compare` print of them."""

import bz2
import gzip
import json
import lzma
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard

from sensorium.capabilities.logs.schema import ClusterResponse, CompareResponse
from sensorium.cli.logfiles import read_lines
from sensorium.core.errors import InvalidInputError
from tests.cli.human import SAMPLES, command, environ, on_terminal, refusal, rows, run
from tests.servers import Server

LINES = [f"Connection from 10.0.0.{n} timed out" for n in range(1, 41)] + ["disk full"] * 10
TEXT = ("\n".join(LINES) + "\n").encode()
REDIS = SAMPLES / "redis.log.gz"
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "zst": zstandard.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
COMPRESSIONS = pytest.mark.parametrize("kind", COMPRESS)


@COMPRESSIONS
def test_a_file_reads_the_same_however_it_is_compressed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "app.log"  # the name does not tell
    path.write_bytes(COMPRESS[kind](TEXT))
    assert read_lines([str(path)]) == LINES


@COMPRESSIONS
def test_standard_input_reads_the_same_however_it_is_compressed(kind: str) -> None:
    found = rows("logs", "cluster", "-", stdin=COMPRESS[kind](TEXT))
    assert [row[0] for row in found] == ["40", "10"]


def test_files_compressed_in_several_parts_are_read_whole(tmp_path: Path) -> None:
    for name, compress in (("a.gz", gzip.compress), ("b.zst", zstandard.compress)):
        (tmp_path / name).write_bytes(compress(TEXT) + compress(b"the last line\n"))
        assert read_lines([str(tmp_path / name)]) == [*LINES, "the last line"]


@pytest.mark.parametrize("kind", ["gz", "zst", "bz2", "xz"])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(COMPRESS[kind](os.urandom(4000).hex().encode())[:-40])
    assert refusal("logs", "cluster", path) == f"sensorium: {path} is damaged or cut short"


def test_damage_within_a_file_is_noticed(tmp_path: Path) -> None:
    body = bytearray(gzip.compress(os.urandom(4000).hex().encode()))
    body[len(body) // 2] ^= 0xFF
    path = tmp_path / "app.log.gz"
    path.write_bytes(bytes(body))
    with pytest.raises(InvalidInputError, match="damaged"):
        read_lines([str(path)])


def test_several_files_are_one_log(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_bytes(TEXT)
    (tmp_path / "two.log.gz").write_bytes(gzip.compress(TEXT))
    found = rows("logs", "cluster", tmp_path / "one.log", tmp_path / "two.log.gz")
    assert [row[0] for row in found] == ["80", "20"]


def test_text_that_is_not_utf8_and_odd_line_ends_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo \xff\nthree\x0bstill three\nfour")
    assert read_lines([str(path)]) == ["one", "two \ufffd", "three\x0bstill three", "four"]


def test_ndjson_is_read_by_a_field(tmp_path: Path) -> None:
    path = tmp_path / "app.ndjson"
    records = [{"msg": line, "log": {"text": line.upper()}, "a.b": line[::-1]} for line in LINES]
    path.write_text("\n".join(map(json.dumps, records)) + "\nnot json\n[]\n{}\n")
    assert read_lines([str(path)], "msg") == LINES
    assert read_lines([str(path)], "log.text") == [line.upper() for line in LINES]
    assert read_lines([str(path)], "a.b") == [line[::-1] for line in LINES]


def test_a_field_that_no_line_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "app.ndjson"
    path.write_text('{"msg": "x", "level": "info"}\n')
    said = refusal("logs", "cluster", path, "--field", "message")
    assert said.endswith("no line has a field 'message'; there is: level, msg")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.log"], "missing.log: No such file or directory"),
        (["/"], "/: Is a directory"),
        (["-", "-"], "standard input can be read only once"),
        (["-", "--jason"], "Unknown option: --jason. Did you mean --json?"),
        (["-", "--method", "magic"], "magic"),
        (["-", "--max-clusters", "0"], "max_clusters"),
        ([], "FILES"),
    ],
)
def test_misuse_is_explained_in_one_line(arguments: list[str], said: str) -> None:
    assert said in refusal("logs", "cluster", *arguments, stdin=TEXT)


def test_in_a_pipe_a_cluster_is_a_line() -> None:
    found = rows("logs", "cluster", "-", "--examples", "2", stdin=TEXT)
    count, share, severity, _, template, *examples = found[0]
    assert (count, share, severity) == ("40", "80.00%", "warning")
    assert template == "Connection from <*> timed out"
    assert examples
    assert set(examples) <= set(LINES)
    assert found[1][4:] == ["disk full", "disk full"]


def test_json_is_the_whole_answer() -> None:
    done = run("logs", "cluster", REDIS, "--json", "--max-clusters", "5")
    answer = msgspec.json.decode(done.stdout, type=ClusterResponse)
    assert answer.line_count == 1249
    assert len(answer.clusters) == 5
    assert sum(each.count for each in answer.clusters) + answer.other.count == 1249


def test_a_server_answers_the_same(server: Server) -> None:
    for arguments in (["cluster", REDIS], ["compare", SAMPLES / "before.log", "-"]):
        stdin = (SAMPLES / "after.log").read_bytes()
        here = rows("logs", *arguments, stdin=stdin)
        assert here == rows("logs", *arguments, "--server", server.url, stdin=stdin)
        assert here


def test_a_reader_that_leaves_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        command("logs", "cluster", REDIS), stdout=writing, stderr=subprocess.PIPE, env=environ()
    ) as process:
        os.close(writing)
        assert process.communicate(timeout=60) == (None, b"")
    assert process.returncode == 141


def test_on_a_terminal_there_is_a_coloured_table_within_its_width() -> None:
    text = on_terminal("logs", "cluster", REDIS, columns=100, COLORTERM="")
    plain = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in text.splitlines()]
    assert any(line.split() == ["lines", "share", "severity", "label", "pattern"] for line in plain)
    assert max(map(len, plain)) <= 100
    assert any(re.match(r" +424 +33\.9% +info ", line) for line in plain)
    assert plain[-1].startswith("1,249 lines, ")
    errors = [line for line in text.splitlines() if " error " in line]
    assert errors
    assert all("\x1b[31m" in line for line in errors)


def test_no_color_is_heeded() -> None:
    text = on_terminal("logs", "cluster", REDIS, NO_COLOR="1")
    assert "\x1b[31m" not in text
    assert " error " in text


def test_compare_tells_what_is_new_gone_and_changed() -> None:
    found = rows("logs", "compare", SAMPLES / "before.log", SAMPLES / "after.log")
    assert {row[0] for row in found} == {"new", "gone", "changed"}
    new = [row for row in found if row[0] == "new"]
    assert any("Backend did not answer" in row[5] for row in new)
    assert all(row[1] == "0" and int(row[2]) > 0 for row in new)
    other = rows("logs", "compare", SAMPLES / "after.log", SAMPLES / "before.log")
    assert {row[5] for row in other if row[0] == "gone"} == {row[5] for row in new}


def test_compare_shows_what_is_rare_only_when_asked() -> None:
    files = [SAMPLES / "before.log", SAMPLES / "after.log"]
    answer = msgspec.json.decode(
        run("logs", "compare", *files, "--json").stdout, type=CompareResponse
    )
    assert answer.uncertain
    found = rows("logs", "compare", *files, "--all")
    rare = [row[5] for row in found if row[0] == "uncertain"]
    assert rare == [each.template for each in answer.uncertain]


def test_the_same_log_twice_differs_in_nothing() -> None:
    assert rows("logs", "compare", REDIS, REDIS) == []
    text = on_terminal("logs", "compare", REDIS, REDIS)
    assert "Nothing differs that chance would not explain." in text
