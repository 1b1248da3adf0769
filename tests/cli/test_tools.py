"""`config`, `keys`, `doctor` and `version`."""

import json
import socket
import stat
import sys
from pathlib import Path

import pytest

from sensorium.control.keys import KeyStore
from sensorium.core.version import VERSION
from tests.cli.running import on_terminal, one_line, sensorium
from tests.servers import Server

SETTINGS = {"SENSORIUM_API_KEYS": "hidden-key", "SENSORIUM_CORS_ORIGINS": "http://a,http://b"}


def test_version() -> None:
    assert sensorium("version").out == f"sensorium {VERSION}\n"
    assert sensorium("--version").out.strip() == VERSION
    assert json.loads(sensorium("version", "--json").out)["sensorium"] == VERSION


def test_config_shows_values_and_where_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "sensorium.toml").write_text("[http]\nport = 7001\n")
    (tmp_path / ".env").write_text("SENSORIUM_THREADS=7\n")
    ran = sensorium("config", "show", "--json", cwd=tmp_path, **SETTINGS)
    found = {each["name"]: each for each in json.loads(ran.out)}
    shown = {name: (each["value"], each["origin"]) for name, each in found.items()}
    assert shown["http.port"] == (7001, "sensorium.toml")
    assert shown["control.threads"] == (7, ".env SENSORIUM_THREADS")
    assert shown["http.cors_origins"] == (
        ["http://a", "http://b"],
        "environment SENSORIUM_CORS_ORIGINS",
    )
    assert shown["http.allowed_hosts"] == ([], "default")
    assert shown["control.api_keys"] == ("***", "environment SENSORIUM_API_KEYS")
    assert (found["http.port"]["flag"], found["http.port"]["variable"]) == (
        "--port",
        "SENSORIUM_PORT",
    )


@pytest.mark.parametrize("as_json", [True, False])
def test_config_never_shows_a_secret(as_json: bool, tmp_path: Path) -> None:
    ran = sensorium("config", "show", *(["--json"] if as_json else []), cwd=tmp_path, **SETTINGS)
    assert ran.status == 0
    assert "hidden-key" not in ran.out + ran.err
    assert "***" in ran.out


def test_a_setting_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    ran = sensorium("config", "show", cwd=tmp_path, SENSORIUM_PORT="abc")
    assert ran.status == 1
    assert "http.port (from environment SENSORIUM_PORT)" in one_line(ran.err)


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    where = {"SENSORIUM_DATA_DIR": str(tmp_path)}
    options = ["--name", "ci", "--operations", "logs.*, system.health", "--rate", "10"]
    made = sensorium("keys", "create", *options, **where)
    text = one_line(made.out)
    key = KeyStore(tmp_path).find(text)
    assert key is not None
    assert (key.name, key.operations, key.rate_per_s) == ("ci", ("logs.*", "system.health"), 10)
    assert key.id in one_line(made.err)
    assert text not in (tmp_path / "keys.json").read_text()
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600

    (listed,) = json.loads(sensorium("keys", "list", "--json", **where).out)
    assert (listed["id"], listed["revoked"]) == (key.id, None)
    assert not {"key", "digest"} & listed.keys()
    row = one_line(sensorium("keys", "list", "--data-dir", str(tmp_path)).out).split("\t")
    assert row[:4] == [key.id, "ci", "logs.*,system.health", "10"]
    assert row[6] == "valid"

    assert sensorium("keys", "revoke", key.id, **where).out == f"revoked {key.id} ci\n"
    assert KeyStore(tmp_path).find(text) is None
    assert one_line(sensorium("keys", "list", **where).out).split("\t")[6].startswith("revoked")


def test_a_key_as_json_is_shown_once_too(tmp_path: Path) -> None:
    ran = sensorium("keys", "create", "--json", "--data-dir", str(tmp_path))
    made = json.loads(ran.out)
    assert KeyStore(tmp_path).find(made["key"]) is not None
    assert (made["operations"], made["rate_per_s"], ran.err) == (["*"], None, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--rate", "0"], "above 0"),
        (["create", "--rate", "nan"], "above 0"),
        (["create", "--operations", ","], "--operations names none"),
        (["revoke", "abc"], "there is no key 'abc'"),
    ],
)
def test_wrong_keys_are_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    ran = sensorium("keys", *arguments, SENSORIUM_DATA_DIR=str(tmp_path))
    assert ran.status == 1
    assert said in one_line(ran.err)
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="no folder that nobody can write to")
@pytest.mark.parametrize("command", [["create"], ["revoke", "abc"]])
def test_a_folder_that_cannot_be_written_is_named(command: list[str]) -> None:
    ran = sensorium("keys", *command, SENSORIUM_DATA_DIR="/sys")
    assert (ran.status, ran.out) == (1, "")
    said = one_line(ran.err)
    assert said.startswith("sensorium: /sys: no keys can be written to this folder: ")
    assert "--data-dir, or SENSORIUM_DATA_DIR" in said
    assert ".lock" not in said


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    ran = sensorium("keys", "create", "--data-dir", str(folder))
    assert one_line(ran.err).startswith(f"sensorium: {folder}: no keys can be written")


ANY_PORTS = {"SENSORIUM_PORT": "0", "SENSORIUM_GRPC_PORT": "0"}
"""Whatever else runs on this machine may have the usual ones."""


def doctor(*arguments: str, **variables: str) -> tuple[int, dict[str, tuple[str, str]]]:
    ran = sensorium("doctor", "--json", *arguments, **{**ANY_PORTS, **variables})
    assert ran.err == ""
    return ran.status, {e["check"]: (e["state"], e["detail"]) for e in json.loads(ran.out)}


def test_a_healthy_installation(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    status, found = doctor("--server", server.url, SENSORIUM_DATA_DIR=str(folder))
    assert status == 0
    assert {state for state, _ in found.values()} <= {"ok", "missing"}
    assert found["data folder"] == ("ok", f"{folder} (made when first needed)")
    assert not folder.exists()
    assert found["worker process"][1].startswith("started and answered")
    assert VERSION in found["server"][1]
    assert {
        "extra plots",
        "extra otel",
        "door grpc",
        "door webrtc",
        "door mcp",
        "python",
        "platform",
        "server's key",
    } <= found.keys()


def test_a_missing_extra_comes_with_its_command(tmp_path: Path) -> None:
    hidden = tmp_path / "sitecustomize.py"
    hidden.write_text(
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'matplotlib' else found(name, *a)\n"
    )
    ran = sensorium("doctor", "--json", PYTHONPATH=f"{tmp_path}:src", **ANY_PORTS)
    found = {each["check"]: each for each in json.loads(ran.out)}
    assert found["extra plots"]["state"] == "missing"
    assert found["extra plots"]["detail"] == "pip install 'sensorium[plots]'"
    assert ran.status == 0


def test_a_part_of_an_extra_is_not_the_extra(tmp_path: Path) -> None:
    """OpenTelemetry's interface comes with the MCP SDK, what exports traces does not."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'opentelemetry.sdk' else found(n, *a)\n"
    )
    ran = sensorium("doctor", "--json", PYTHONPATH=f"{tmp_path}:src", **ANY_PORTS)
    checks = [each["check"] for each in json.loads(ran.out)]
    assert len(checks) == len(set(checks))
    (otel,) = [each for each in json.loads(ran.out) if each["check"] == "extra otel"]
    assert otel["state"] == "missing"


def test_a_command_that_needs_an_extra_says_which(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['google'] = None\n")
    ran = sensorium("lock", "--check", PYTHONPATH=f"{tmp_path}:src")
    assert ran.status == 1
    assert ran.err == "sensorium: google is not installed: pip install 'sensorium[grpc]'\n"


def test_a_port_in_use(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, found = doctor(SENSORIUM_PORT=port)
    assert (status, found["door http"][0]) == (1, "failed")
    assert "choose another with --port" in found["door http"][1]
    status, found = doctor(SENSORIUM_PORT=server.url.rpartition(":")[2])
    assert (status, found["door http"][0]) == (0, "ok")
    assert "runs at" in found["door http"][1]


def test_what_cannot_work_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    status, found = doctor(SENSORIUM_PORT="0", SENSORIUM_DATA_DIR=str(file / "data"))
    assert (status, found["data folder"][0]) == (1, "failed")
    assert "choose another with --data-dir" in found["data folder"][1]
    status, found = doctor("--server", "http://127.0.0.1:1", SENSORIUM_PORT="0")
    assert (status, found["server"][0]) == (1, "failed")
    status, found = doctor(SENSORIUM_PORT="x")
    assert (status, found["settings"][0]) == (1, "failed")


def test_a_terminal_gets_tables() -> None:
    status, seen = on_terminal("config", "show")
    assert status == 0
    assert "what it is" in seen
    assert "http.port" in seen
