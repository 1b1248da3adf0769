"""A data folder that is full or cannot be written to: calls get an answer, never silence."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.servers import serving

TOKEN = {"token": "a"}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of our own without a free byte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", *options]).returncode:
        missing("the right to mount a file system")
    try:
        with (folder / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_an_audit_log_on_a_full_disk_costs_no_answer(full_disk: Path) -> None:
    with serving(environ={"SENSORIUM_DATA_DIR": str(full_disk)}) as server:
        with server.client() as http:
            for _ in range(20):
                answer = http.post("/v1/testing/change", json=TOKEN)
                assert answer.status_code == 200, answer.text
            assert http.post("/v1/testing/inline", json=TOKEN).status_code == 200
        told = [line for line in server.whole_log() if "audit log cannot be written" in line]
        assert len(told) == 20, "what is not on the disk is in the log"
        assert all("testing.change" in line for line in told)


def test_a_change_whose_record_fails_is_not_made_twice(full_disk: Path) -> None:
    with serving(environ={"SENSORIUM_DATA_DIR": str(full_disk)}) as server, server.client() as http:
        headers = {"idempotency-key": "once"}
        answers = [http.post("/v1/testing/change", json=TOKEN, headers=headers) for _ in range(2)]
        assert answers[0].json() == answers[1].json()


def test_a_read_only_data_folder_serves(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    bound = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
        ).returncode
    )
    if not bound:
        folder.chmod(0o500)
    try:
        environ = {"SENSORIUM_DATA_DIR": str(folder)}
        with serving(environ=environ) as server, server.client() as http:
            assert http.get("/healthz").status_code == 200
            assert http.post("/v1/testing/process", json=TOKEN).status_code == 200
            assert http.post("/v1/testing/change", json=TOKEN).status_code == 200
    finally:
        if bound:
            subprocess.run(["umount", str(folder)], check=True)
        folder.chmod(0o700)


def test_a_data_folder_that_is_a_file_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    environ = {"SENSORIUM_DATA_DIR": str(tmp_path / "data")}
    said = r"keys\.json in the data folder cannot be read"
    with pytest.raises(RuntimeError, match=said) as error, serving(environ=environ):
        pass
    assert "Traceback" not in str(error.value)
