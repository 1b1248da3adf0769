"""`sensorium serve`, without the command-line library: a server's start should not wait for it."""

import asyncio
import os
import sys
from importlib.util import find_spec
from typing import Any

from msgspec import Struct

from sensorium.app import LIBRARIES, App, Settings, load_settings
from sensorium.core.errors import SensoriumError
from sensorium.core.loading import load
from sensorium.core.telemetry import set_up_logging
from sensorium.serving.server import serve

HELP = """\
Usage: sensorium serve [OPTIONS]

Serve every operation until Ctrl-C.

Options:
  --mode DOORS       which doors to open, joined by commas: http, grpc, webrtc, web (http and
                     webrtc), native (standard input and output), or all (the default) of what is
                     installed; or mcp, alone on standard input and output (SENSORIUM_MODE)
  --host ADDRESS     where to listen (127.0.0.1; a public address needs an API key)
  --port NUMBER      the port (8484; 0 takes a free one)
  --replace          take over from the server that runs at that port; no call is refused
  --data-dir FOLDER  where keys and records are kept
  --warm             load everything before the first call
  --ANY-SETTING [V]  any other setting, on where it takes none; `sensorium config show` lists them

Examples:
  sensorium serve
  sensorium serve --port 9000 --warm
  sensorium serve --mode http,grpc --grpc-port 50051
  sensorium serve --replace
  SENSORIUM_API_KEYS=secret sensorium serve --host 0.0.0.0
"""
DOORS = ("http", "grpc", "webrtc")
"""The doors that `all` opens, where their libraries are there."""
GROUPS = {"web": ("http", "webrtc"), "webrtc": ("http", "webrtc")}
"""Modes that are several doors: offers for WebRTC come in over HTTP."""
SWITCHES = ("warm", "replace")
"""Options that are no settings, and take no value."""
TRUTHS = ("true", "false", "1", "0")
"""What a setting that is on or off may be followed by; without, it is on."""
BROWSERS = ("chrome-extension://", "moz-extension://")


def main(arguments: list[str]) -> int:
    """Serve; returns the exit status."""
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(HELP)
        return 0
    _open_standard_streams()
    try:
        arguments, browser = without_marks(arguments)
        try:
            flags = parse(arguments)
        except SensoriumError as error:
            sys.stderr.write(f"sensorium: {error.message} See `sensorium serve --help`.\n")
            return 2
        mode = str(flags.pop("mode", os.environ.get("SENSORIUM_MODE") or "all"))
        doors = doors_of(mode, browser=browser)
        warm, take_over = (_switch(flags, name) for name in ("warm", "replace"))
        settings = load_settings(flags)
        set_up_logging(settings.log)
        if "mcp" in doors:
            load("sensorium.cli.stdio:serve_mcp")(settings)
            os._exit(0)
        run = load("uvloop:run") if find_spec("uvloop") else asyncio.run
        run(serve(settings, doors=doors, warm=warm, take_over=take_over, on_listening=announce))
    except KeyboardInterrupt:  # before there was a server to stop
        return 130
    except SensoriumError as error:
        sys.stderr.write(f"sensorium: {error.message}\n")
        return 1
    # A thread may still compute for a client that is gone; the interpreter would wait for it.
    sys.stderr.flush()
    os._exit(0)


def without_marks(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without those that a browser adds, and whether it did.

    Chrome and its kin add the extension's address (and on Windows `--parent-window`), Firefox the
    path of our manifest and the extension's id.
    """
    if any(each.startswith(BROWSERS) for each in arguments):
        ours = [e for e in arguments if not e.startswith((*BROWSERS, "--parent-window"))]
        return ours, True
    if len(arguments) >= 2 and arguments[-2].endswith("sensorium.json"):
        return arguments[:-2], True
    return arguments, False


def doors_of(mode: str, *, browser: bool = False) -> frozenset[str]:
    """The doors that a mode opens; `all` has native messaging where a browser started us.

    Raises:
        SensoriumError: it names one that there is not, or two that want standard output.
    """
    named = [each.strip().lower() for each in mode.split(",")]
    if named == ["all"]:
        found = {door for door in DOORS if find_spec(LIBRARIES[door])}
        return frozenset(found | {"native"} if browser else found)
    known = (*DOORS, *GROUPS, "native", "mcp")
    if unknown := sorted(set(named) - set(known)):
        raise SensoriumError(
            f"there is no mode {unknown[0]!r}; there is: {', '.join(dict.fromkeys(known))}, all"
        )
    if "mcp" in named and len(named) > 1:
        raise SensoriumError(
            "mcp has standard output for itself (--mode mcp); http serves it too, at /mcp"
        )
    return frozenset(door for each in named for door in GROUPS.get(each, (each,)))


def parse(arguments: list[str]) -> dict[str, Any]:
    """`--name value`, `--name=value`, and `--name` of what is on or off, as settings by name.

    Raises:
        SensoriumError: something that is no option, or an option without its value.
    """
    known = _known()
    flags: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--"):
            raise SensoriumError(f"{name[:80]!r} is not an option.")
        key = name.removeprefix("--").replace("-", "_")
        if key not in known:
            raise SensoriumError(load("sensorium.cli.options:unknown")(key, known))
        if equals:
            flags[key] = value
        elif isinstance(known[key], bool) and not (rest and rest[0].lower() in TRUTHS):
            flags[key] = True
        elif rest:
            flags[key] = rest.pop(0)
        else:
            raise SensoriumError(f"{name} needs a value.")
    return flags


def _known() -> dict[str, Any]:
    """The options with their defaults: every setting, and what is none."""
    sections = (section for section in Settings.__struct_defaults__ if isinstance(section, Struct))
    settings = {
        name: getattr(section, name) for section in sections for name in section.__struct_fields__
    }
    return {"mode": "all", **dict.fromkeys(SWITCHES, False), **settings}


def _open_standard_streams() -> None:
    """Where one is closed, what is opened next would take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _switch(flags: dict[str, Any], name: str) -> bool:
    return str(flags.pop(name, False)).lower() in ("true", "1")


def announce(address: str | None, app: App) -> None:
    """Say where the server is, and with which key it can be called if that is news."""
    lines: list[str] = []
    if address is not None:
        lines = [
            f"Sensorium is at {address}",
            f"  page        {address}/",
            f"  operations  {address}/api-doc/",
            f"  metrics     {address}/metrics",
        ]
    key = app.new_key()
    if key is not None:
        lines += ["", f"  API key     {key}", "  It is shown this once: keep it.", ""]
    elif app.access.key_needed and not app.access.has_key:
        lines += [
            "",
            "  This address is public and there is no API key, so every call is refused.",
            "  Make one with `sensorium keys create`, or set SENSORIUM_ALLOW_UNAUTHENTICATED=true.",
            "",
        ]
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()
