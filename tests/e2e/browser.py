"""Chromium without a window, driven through its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--disable-dev-shm-usage", "--window-size=1280,900"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    "--allow-loopback-in-peer-connection",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
WAIT_S = 30
ANSWER_S = 100
"""Longer than anything is waited for in a page."""


def executable() -> str | None:
    """Chromium's path, if it is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Tab:
    """An open page, and what it asked for and complained about."""

    connection: ClientConnection
    session: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol; events that come meanwhile are noted."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        session = self.session if session is None else session
        self.connection.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self.connection.recv(timeout=ANSWER_S))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                thrown = params["exceptionDetails"]
                self.complaints.append(thrown.get("exception", thrown).get("description", "thrown"))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url')}")
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                self.complaints.append(" ".join(str(a.get("value")) for a in params["args"]))
            case "Target.attachedToTarget":
                self._attached(params["sessionId"])

    def _attached(self, session: str) -> None:
        """Listen to a worker of the page as well; it has waited for that."""
        for method in ("Network.enable", "Runtime.enable", "Runtime.runIfWaitingForDebugger"):
            number = next(self._ids)
            message = {"id": number, "method": method, "sessionId": session}
            self.connection.send(json.dumps(message))

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self.send("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({url!r}) && document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """An expression's value; a promise's, once it is settled."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = WAIT_S) -> None:
        """Wait in the page until an expression is true there, also across a change of pages."""
        until = time.monotonic() + seconds
        while True:
            try:
                return self._wait(condition, max(1.1, until - time.monotonic()))
            except RuntimeError as error:
                gone = "context was destroyed" in str(error)
                if not gone or time.monotonic() > until:
                    raise

    def _wait(self, condition: str, seconds: float) -> None:
        found = self.run(
            "new Promise((resolve) => { const end = performance.now() + "
            f"{seconds * 1000 - 1000}; const look = () => {{ const found = Boolean({condition});"
            "if (found || performance.now() > end) resolve(found); else setTimeout(look, 20); };"
            "look(); })"
        )
        assert found, f"not within {seconds} s: {condition}; complaints: {self.complaints}"

    def click(self, selector: str) -> None:
        """Click the first element that matches."""
        self.wait(f"document.querySelector({selector!r})")
        self.run(f"document.querySelector({selector!r}).click()")

    def texts(self, selector: str) -> list[str]:
        """The text of every element that matches."""
        found: list[str] = self.run(
            f"[...document.querySelectorAll({selector!r})].map((each) => each.textContent)"
        )
        return found

    def colours(self, scheme: str) -> None:
        """Have the system prefer `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def size(self, width: int, height: int) -> None:
        """Have a window of that size, in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def computed_s(self) -> float:
        """The CPU time that the page's own thread has used; others may have the cores meanwhile."""
        self.send("Performance.enable", timeDomain="threadTicks")
        found = self.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in found if each["name"] == "TaskDuration")

    def picture(self, path: Path) -> None:
        """Save what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def browsing(*flags: str) -> Iterator[str]:
    """A browser with a profile of its own; gives the address that it is driven through."""
    path = executable()
    assert path is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [path, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert process.stderr is not None
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if line.startswith("DevTools listening on "):
                    break
            else:
                raise RuntimeError("Chromium did not start:\n" + "".join(said))
            yield said[-1].split()[-1]
        finally:
            process.terminate()
            process.communicate(timeout=WAIT_S)


@contextmanager
def tab(address: str) -> Iterator[Tab]:
    """A new tab with cookies and storage of its own."""
    with connect(address, max_size=None, compression=None, open_timeout=WAIT_S) as connection:
        opened = Tab(connection, "")
        context = opened.send("Target.createBrowserContext")["browserContextId"]
        target = opened.send("Target.createTarget", url="about:blank", browserContextId=context)
        attached = opened.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        opened.session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            opened.send(f"{part}.enable")
        opened.send(
            "Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True
        )
        yield opened
        opened.send("Target.disposeBrowserContext", session="", browserContextId=context)
