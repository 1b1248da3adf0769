"""A worker that cannot start: the server says so, calls end in time, and it recovers by itself."""

import os
import time
from pathlib import Path

from tests.faults.observing import readiness, until, wait_until_all_alive
from tests.servers import PLUGIN, ROOT, serving

BREAKS = """\
import os, sys
from pathlib import Path

if "sensorium.workers.child" in sys.orig_argv:
    with open({starts!r}, "a") as starts:
        starts.write("x")
    if not Path({whole!r}).exists():
        os._exit(9)
"""


def test_it_backs_off_and_recovers(tmp_path: Path) -> None:
    starts, whole = tmp_path / "starts", tmp_path / "whole"
    code = BREAKS.format(starts=str(starts), whole=str(whole))
    (tmp_path / "sitecustomize.py").write_text(code)
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src"), str(PLUGIN)])
    environ = {"PYTHONPATH": path}
    with (
        serving("--workers", "2", environ=environ, ready=False) as own,
        own.client() as http,
    ):
        assert http.get("/v1/health").status_code == 200
        until(lambda: readiness(http)["workers"]["restarts"] >= 4, 10)
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        began = time.monotonic()
        late = http.post(
            "/v1/testing/process", json={"token": "t"}, headers={"x-deadline-s": "0.5"}
        )
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        assert time.monotonic() - began < 20
        assert http.post("/v1/testing/inline", json={"token": "t"}).status_code == 200
        assert len(starts.read_text()) < 20, "it backs off"
        whole.touch()
        wait_until_all_alive(http, 6)
        assert http.post("/v1/testing/process", json={"token": "t"}).status_code == 200
        assert http.get("/readyz").status_code == 200
