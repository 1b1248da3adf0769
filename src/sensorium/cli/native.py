"""`sensorium native`: have a browser start us for its extensions (native messaging)."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sensorium.app import load_settings
from sensorium.cli.browsers import PLACES, Browser, folder_of, manifest_of
from sensorium.cli.render import note
from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.core.loading import load

NAME = "sensorium"
CHROMIUM_ID = re.compile(r"[a-p]{32}")
FIREFOX_ID = re.compile(r"[\w.{}+-]+(@[\w.-]+)?")
Which = Annotated[Browser, Parameter(help="The browser.")]
System = Annotated[
    bool, Parameter(negative=(), show_default=False, help="For all users of this machine.")
]


def install(
    *,
    browser: Which,
    extension_id: Annotated[
        list[str],
        Parameter(help="The extension that may start us; may be given several times."),
    ],
    system: System = False,
    every_door: Annotated[
        bool,
        Parameter(negative=(), show_default=False, help="Have it open the other doors as well."),
    ] = False,
) -> None:
    """Let a browser's extension start Sensorium.

    Writes a manifest where the browser looks for it, and a small program that it starts.
    """
    form = FIREFOX_ID if browser == "firefox" else CHROMIUM_ID
    for each in extension_id:
        if not form.fullmatch(each):
            raise InvalidInputError(f"{each[:80]!r} is not the id of an extension of {browser}")
    folder = folder_of(browser, sys.platform, Path.home(), system=system)
    own = load_settings().data_dir / "native"
    launcher = _write_launcher(own, "all" if every_door else "native")
    manifest = (folder or own) / f"{NAME}.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    content = manifest_of(browser, NAME, launcher, extension_id)
    manifest.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    if folder is None:
        load("sensorium.cli.registry:register")(
            PLACES[browser].windows, NAME, str(manifest), system=system
        )
    note(f"{browser} starts {launcher} for {', '.join(extension_id)}: {manifest}")


def uninstall(*, browser: Which, system: System = False) -> None:
    """Take back what `install` did for a browser."""
    folder = folder_of(browser, sys.platform, Path.home(), system=system)
    if folder is None:
        load("sensorium.cli.registry:forget")(PLACES[browser].windows, NAME, system=system)
        note(f"{browser} does not start Sensorium any more")
        return
    manifest = folder / f"{NAME}.json"
    try:
        manifest.unlink()
    except FileNotFoundError:
        raise NotFoundError(f"{browser} has no manifest of ours: {manifest}") from None
    note(f"removed: {manifest}")


def installed() -> dict[Browser, Path]:
    """The manifests of ours that browsers of this user, or of all, find."""
    found = {}
    for browser in PLACES:
        for system in (False, True):
            folder = folder_of(browser, sys.platform, Path.home(), system=system)
            if folder is not None and (folder / f"{NAME}.json").is_file():
                found[browser] = folder / f"{NAME}.json"
    return found


def problem_of(manifest: Path) -> str:
    """What keeps a manifest from working, or nothing."""
    try:
        launcher = Path(json.loads(manifest.read_text("utf-8"))["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return "it cannot be read"
    if not os.access(launcher, os.X_OK):
        return f"{launcher} is not there, or not executable"
    return ""


def _write_launcher(folder: Path, mode: str) -> Path:
    """The program that a browser starts; what it adds tells `serve` who did."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if sys.platform == "win32":
        launcher = folder / f"{NAME}-host.bat"
        launcher.write_text(
            f'@echo off\r\n"{sys.executable}" -m sensorium serve --mode {mode} %*\r\n', "utf-8"
        )
        return launcher
    launcher = folder / f"{NAME}-host"
    launcher.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m sensorium serve --mode {mode} "$@"\n', "utf-8"
    )
    launcher.chmod(0o755)
    return launcher
