"""The example extension in a real Chromium, with the host that `native install` sets up."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.cli.running import sensorium
from tests.conftest import missing
from tests.e2e.browser import FLAGS, Tab, executable

ROOT = Path(__file__).parent.parent.parent
EXTENSION = ROOT / "examples" / "extension"
PAGE = "chrome-extension://{id}/page.html"


def extension_id() -> str:
    """The id that the README of the example names."""
    readme = (EXTENSION / "README.md").read_text("utf-8")
    return readme.partition("--extension-id ")[2].split()[0]


@contextmanager
def browsing(profile: Path) -> Iterator[Tab]:
    """Chromium with that profile and the extension, at the extension's page."""
    path = executable()
    assert path is not None
    process = subprocess.Popen(
        [
            *(path, *FLAGS, f"--user-data-dir={profile}", f"--load-extension={EXTENSION}"),
            "--disable-features=DisableLoadExtensionCommandLineSwitch",
            "about:blank",
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = next(
            line.split()[-1] for line in process.stderr if line.startswith("DevTools listening on ")
        )
        with connect(address, max_size=None, compression=None) as connection:
            tab = Tab(connection, "")
            target = tab.send("Target.createTarget", url=PAGE.format(id=extension_id()))
            attached = tab.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            tab.session = attached["sessionId"]
            tab.send("Runtime.enable")
            tab.wait("globalThis.sensorium")
            yield tab
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if executable() is None:
        missing("Chromium")
    home = tmp_path_factory.mktemp("home")
    ran = sensorium(
        *("native", "install", "--browser", "chromium", "--extension-id", extension_id()),
        HOME=str(home),
        XDG_DATA_HOME=str(home / "data"),
    )
    assert ran.status == 0, ran.err
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # A profile of its own is where this browser looks, and not where the user's manifests lie.
        shutil.copytree(
            home / ".config" / "chromium" / "NativeMessagingHosts",
            Path(profile) / "NativeMessagingHosts",
        )
        with browsing(Path(profile)) as found:
            yield found


@pytest.mark.browser
def test_a_page_of_the_extension_clusters_lines(tab: Tab) -> None:
    lines = [f"login failed for user {n}" for n in range(5)] + ["disk is full"]
    tab.run(f"document.getElementById('lines').value = {json.dumps(chr(10).join(lines))}")
    tab.click("#cluster")
    tab.wait("document.querySelectorAll('#clusters tr').length === 2")
    assert tab.texts("#said") == ["2 patterns in 6 lines"]
    assert tab.texts("#clusters tr:first-child td")[0] == "5"


@pytest.mark.browser
def test_long_answers_come_whole_and_errors_are_told(tab: Tab) -> None:
    values = "Array.from({length: 40000}, (_, at) => Math.sin(at))"
    request = f"{{include_band: true, series: [{{values: {values}}}]}}"
    length = tab.run(
        f"sensorium.call('metrics.detect_anomalies', {request})"
        ".then(({series}) => series[0].band.upper.length)"
    )
    assert length == 40_000
    code = tab.run("sensorium.call('logs.cluster', {lines: 1}).catch((error) => error.code)")
    assert code == "invalid_input"


def test_installing_writes_and_uninstalling_removes(tmp_path: Path) -> None:
    places = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    ours = ("--browser", "firefox", "--extension-id", "logs@example.org")
    assert sensorium("native", "install", *ours, **places).status == 0
    manifest = tmp_path / ".mozilla" / "native-messaging-hosts" / "sensorium.json"
    content = json.loads(manifest.read_text())
    assert content["allowed_extensions"] == ["logs@example.org"]
    assert Path(content["path"]).stat().st_mode & 0o111
    checked = sensorium("doctor", "--json", **places)
    found = {each["check"]: each for each in json.loads(checked.out)}
    assert found["native messaging, firefox"]["state"] == "ok"
    Path(content["path"]).unlink()
    broken = json.loads(sensorium("doctor", "--json", **places).out)
    assert (
        "install it again" in {e["check"]: e for e in broken}["native messaging, firefox"]["detail"]
    )
    assert sensorium("native", "uninstall", "--browser", "firefox", **places).status == 0
    assert not manifest.exists()
    again = sensorium("native", "uninstall", "--browser", "firefox", **places)
    assert again.status != 0
    assert "no manifest" in again.err


def test_an_id_that_is_none_is_refused(tmp_path: Path) -> None:
    ran = sensorium(
        *("native", "install", "--browser", "chrome", "--extension-id", "../../evil"),
        HOME=str(tmp_path),
    )
    assert ran.status != 0
    assert "is not the id of an extension" in ran.err
    assert not list(tmp_path.rglob("*.json"))
