"""Where browsers look for native messaging hosts, on each system.

Chromium's and Mozilla's documentation name the places; on Windows a key of the registry names the
manifest instead.
"""

from pathlib import Path
from typing import Literal, NamedTuple

Browser = Literal["chrome", "chromium", "edge", "brave", "firefox"]
HOSTS = "NativeMessagingHosts"
MOZILLA = "native-messaging-hosts"


class Places(NamedTuple):
    """The folder for one user, and for all, from the root; and the registry's key."""

    linux: str
    linux_system: str
    macos: str
    macos_system: str
    windows: str


PLACES: dict[Browser, Places] = {
    "chrome": Places(
        f".config/google-chrome/{HOSTS}",
        "/etc/opt/chrome/native-messaging-hosts",
        f"Library/Application Support/Google/Chrome/{HOSTS}",
        f"/Library/Google/Chrome/{HOSTS}",
        rf"Software\Google\Chrome\{HOSTS}",
    ),
    "chromium": Places(
        f".config/chromium/{HOSTS}",
        "/etc/chromium/native-messaging-hosts",
        f"Library/Application Support/Chromium/{HOSTS}",
        f"/Library/Application Support/Chromium/{HOSTS}",
        rf"Software\Chromium\{HOSTS}",
    ),
    "edge": Places(
        f".config/microsoft-edge/{HOSTS}",
        "/etc/opt/edge/native-messaging-hosts",
        f"Library/Application Support/Microsoft Edge/{HOSTS}",
        f"/Library/Microsoft/Edge/{HOSTS}",
        rf"Software\Microsoft\Edge\{HOSTS}",
    ),
    "brave": Places(
        f".config/BraveSoftware/Brave-Browser/{HOSTS}",
        "/etc/opt/chrome/native-messaging-hosts",
        f"Library/Application Support/BraveSoftware/Brave-Browser/{HOSTS}",
        f"/Library/Google/Chrome/{HOSTS}",
        rf"Software\BraveSoftware\Brave-Browser\{HOSTS}",
    ),
    "firefox": Places(
        f".mozilla/{MOZILLA}",
        f"/usr/lib/mozilla/{MOZILLA}",
        "Library/Application Support/Mozilla/NativeMessagingHosts",
        "/Library/Application Support/Mozilla/NativeMessagingHosts",
        rf"Software\Mozilla\{HOSTS}",
    ),
}


def folder_of(browser: Browser, platform: str, home: Path, *, system: bool) -> Path | None:
    """Where a browser's manifests lie; None on Windows, where the registry names them."""
    places = PLACES[browser]
    if platform == "win32":
        return None
    if platform == "darwin":
        return Path(places.macos_system) if system else home / places.macos
    return Path(places.linux_system) if system else home / places.linux


def manifest_of(browser: Browser, name: str, launcher: Path, extensions: list[str]) -> object:
    """What tells a browser which program to start, and for which extensions."""
    allowed: dict[str, list[str]] = (
        {"allowed_extensions": extensions}
        if browser == "firefox"
        else {"allowed_origins": [f"chrome-extension://{each}/" for each in extensions]}
    )
    return {
        "name": name,
        "description": "Sensorium: logs, metrics and forecasts on this machine",
        "path": str(launcher),
        "type": "stdio",
        **allowed,
    }
