"""How many cores a process may use, which is how many threads and workers are begun."""

import os
from pathlib import Path

import pytest

from sensorium.control.settings import ControlSettings
from sensorium.models.hardware.cores import usable_cores
from tests.models.hardware.machines import laid_out


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process may run on three cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5})


@pytest.mark.parametrize("name", ["container_cgroup1", "container_cgroup2"])
def test_a_quota_of_one_and_a_half_cores_is_two(name: str, allowed: None, tmp_path: Path) -> None:
    assert usable_cores(laid_out(name, tmp_path)) == 2


def test_without_a_quota_the_affinity_counts(allowed: None, tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 3


def test_where_there_is_no_affinity_every_core_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(tmp_path) == os.cpu_count()


def test_the_least_quota_leaves_one(allowed: None, tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("1000 100000\n")
    own = tmp_path / "proc/self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text("0::/\n")
    assert usable_cores(tmp_path) == 1


def test_a_server_in_a_small_container_on_a_large_machine_begins_few_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sensorium.control.settings.usable_cores", lambda: 3)
    assert ControlSettings().worker_count == 3
    assert ControlSettings(workers=7).worker_count == 7
