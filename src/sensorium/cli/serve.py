"""`sensorium serve`, without the command-line library: a server's start should not wait for it."""

import asyncio
import os
import sys
from importlib.util import find_spec
from typing import Any

from sensorium.app import App, load_settings
from sensorium.core.errors import SensoriumError
from sensorium.core.loading import load
from sensorium.core.telemetry import set_up_logging
from sensorium.serving import serve

HELP = """\
Usage: sensorium serve [OPTIONS]

Serve every operation until Ctrl-C.

Options:
  --mode DOORS       which doors to open: http (default), http,grpc, or all that are installed;
                     or, on standard input and output, native or mcp alone
  --host ADDRESS     where to listen (127.0.0.1; a public address needs an API key)
  --port NUMBER      the port (8484; 0 takes a free one)
  --data-dir FOLDER  where keys and records are kept
  --warm             load everything before the first call
  --ANY-SETTING V    any other setting; `sensorium config show` lists them

Examples:
  sensorium serve
  sensorium serve --port 9000 --warm
  sensorium serve --mode http,grpc --grpc-port 50051
  SENSORIUM_API_KEYS=secret sensorium serve --host 0.0.0.0
"""
DOORS = {"http": "uvicorn", "grpc": "grpc", "webrtc": "aiortc"}
"""The doors, and the library that each needs."""
SWITCHES = ("warm", "allow_unauthenticated", "make_key")


def main(arguments: list[str]) -> int:
    """Serve; returns the exit status."""
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(HELP)
        return 0
    try:
        flags = parse(arguments)
        mode = str(flags.pop("mode", "http"))
        warm = str(flags.pop("warm", False)).lower() in ("true", "1")
        settings = load_settings(flags)
        set_up_logging(settings.log)
        if mode in ALONE:
            load(ALONE[mode])(settings)
            os._exit(0)
        doors = doors_of(mode)
        run = load("uvloop:run") if find_spec("uvloop") else asyncio.run
        run(serve(settings, doors=doors, warm=warm, on_listening=announce))
    except SensoriumError as error:
        sys.stderr.write(f"sensorium: {error.message}\n")
        return 1
    # A thread may still compute for a client that is gone; the interpreter would wait for it.
    sys.stderr.flush()
    os._exit(0)


ALONE = {
    "mcp": "sensorium.cli.stdio:serve_mcp",
    "native": "sensorium.cli.stdio:serve_native",
}
"""The doors that own standard input and output."""


def doors_of(mode: str) -> frozenset[str]:
    """The doors that a mode opens.

    Raises:
        SensoriumError: it names one that there is not, or leaves out HTTP.
    """
    if mode == "all":
        return frozenset(door for door, library in DOORS.items() if find_spec(library))
    doors = frozenset(mode.split(","))
    if unknown := sorted(doors - DOORS.keys()):
        raise SensoriumError(f"there is no mode {unknown[0]!r}; there is: {', '.join(DOORS)}, all")
    if "http" not in doors:
        raise SensoriumError("the other doors come beside HTTP: --mode http," + ",".join(doors))
    return doors


def parse(arguments: list[str]) -> dict[str, Any]:
    """`--name value` and `--name=value` as settings by name.

    Raises:
        SensoriumError: something that is no option, or an option without its value.
    """
    flags: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--"):
            raise SensoriumError(f"{name!r} is not an option; see `sensorium serve --help`")
        key = name.removeprefix("--").replace("-", "_")
        if equals:
            flags[key] = value
        elif key in SWITCHES:
            flags[key] = True
        elif rest:
            flags[key] = rest.pop(0)
        else:
            raise SensoriumError(f"{name} needs a value")
    return flags


def announce(address: str, app: App) -> None:
    """Say where the server is, and with which key it can be called if that is news."""
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
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
