"""NVIDIA's driver: what it tells, and all the ways in which it may not."""

import os
import threading
import time
from pathlib import Path

import pytest

from sensorium.core.errors import CancelledCallError, UnavailableError
from sensorium.models.hardware import nvidia
from sensorium.models.hardware.bounded import Bounded
from sensorium.models.hardware.linux import Linux
from sensorium.models.hardware.nvml import Answer, NoDriverError, Nvml
from sensorium.models.hardware.parts import Check, Parts, unwatched
from tests.models.hardware.machines import laid_out
from tests.models.hardware.nvidia_library import GIB, NvmlStandIn


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return laid_out("server_nvidia", tmp_path)


def read(root: Path, library: NvmlStandIn, limit_s: float = 5.0) -> Parts:
    nvml = Nvml(library, nvidia.own_processes)
    return Linux(root, Bounded(nvml.read, limit_s)).read(unwatched)


def test_what_it_tells_is_laid_over_what_is_seen(root: Path) -> None:
    found = read(root, NvmlStandIn(os.getpid()))
    first, second = found.gpus
    assert (first.name, first.uuid, first.pci) == ("NVIDIA H100 80GB HBM3", "GPU-0", "0000:18:00.0")
    assert (second.pci, second.index, second.device_id) == ("0000:3a:00.0", 1, "10de:2330")
    assert (first.memory_bytes, first.now.used_bytes, first.now.busy) == (80 * GIB, GIB, 0.64)
    assert (first.compute_capability, first.driver_version) == ("9.0", "570.86.15")
    assert (first.mig, second.mig) == (False, True)
    assert (first.kind, second.now.busy) == ("discrete", None)
    assert (first.now.own_bytes, second.now.own_bytes) == (GIB, None)
    cuda = next(api for api in found.apis if api.name == "cuda")
    assert (cuda.present, cuda.version) == (True, "12.8")
    assert found.problems == ()


def test_gpus_that_sysfs_does_not_show(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()  # as in a container
    assert [gpu.pci for gpu in read(tmp_path, NvmlStandIn()).gpus] == [
        *("0000:18:00.0", "0000:3a:00.0"),
    ]


def test_it_is_made_ready_once_and_anew_after_a_failure(root: Path) -> None:
    library = NvmlStandIn()
    nvml = Nvml(library, lambda: ())
    nvml.read()
    nvml.read()
    assert library.begun == 1

    def lost() -> None:
        raise library.NVMLError("Driver/library version mismatch")

    library.on_count = lost
    with pytest.raises(OSError, match="NVIDIA's driver says: Driver/library version mismatch"):
        nvml.read()
    library.on_count = lambda: None
    assert len(nvml.read().gpus) == 2
    assert library.begun == 2


def test_a_driver_that_fails_is_a_problem_and_the_gpus_are_what_is_seen(root: Path) -> None:
    library = NvmlStandIn()

    def fail() -> None:
        raise library.NVMLError("Unknown Error")

    library.on_init = fail
    found = read(root, library)
    assert found.problems == ("NVIDIA's driver says: Unknown Error",)
    assert [gpu.name for gpu in found.gpus] == ["NVIDIA H100 80GB HBM3"] * 2
    assert found.gpus[0].memory_bytes is None


@pytest.mark.parametrize("error", ["NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded"])
def test_no_driver_is_no_problem(root: Path, error: str) -> None:
    library = NvmlStandIn()

    def absent() -> None:
        raise getattr(library, error)

    library.on_init = absent
    found = read(root, library)
    assert (found.problems, len(found.gpus)) == ((), 2)


def test_a_missing_package_is_named_with_its_command(root: Path) -> None:
    def missing(check: Check) -> Answer:
        raise UnavailableError("pynvml is not installed")

    found = Linux(root, missing).read(unwatched)
    assert found.problems == ("nvidia-ml-py is not installed: pip install nvidia-ml-py",)


def test_it_is_not_asked_where_there_is_no_sign_of_it(tmp_path: Path) -> None:
    def asked(check: Check) -> Answer:
        raise AssertionError("there is nothing to ask")

    laid_out("desktop_radeon", tmp_path)
    assert len(Linux(tmp_path, asked).read(unwatched).gpus) == 2


def test_the_real_package_says_that_there_is_no_driver() -> None:
    pynvml = pytest.importorskip("pynvml")
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a driver here")
    with pytest.raises(NoDriverError):
        Nvml(pynvml, lambda: ()).read()


def test_own_processes_are_this_one_and_its_children() -> None:
    assert os.getpid() in nvidia.own_processes()


class Hung:
    """A driver that hangs until it is let go."""

    def __init__(self) -> None:
        self.library = NvmlStandIn()
        self.library.on_count = self._hang
        self.let_go = threading.Event()
        self.calls = 0

    def _hang(self) -> None:
        self.calls += 1
        self.let_go.wait(30)


@pytest.fixture
def hung() -> "Hung":
    made = Hung()
    yield made
    made.let_go.set()


def test_a_driver_that_hangs_does_not_hang_the_answer(root: Path, hung: Hung) -> None:
    nvml = Nvml(hung.library, lambda: ())
    machine = Linux(root, Bounded(nvml.read, 4.0))
    began = time.monotonic()
    found = machine.read(unwatched)
    assert time.monotonic() - began < 20
    assert found.problems == ("NVIDIA's driver did not answer within 5 s",)
    assert len(found.gpus) == 2
    began = time.monotonic()
    machine.read(unwatched)
    assert time.monotonic() - began < 3.5  # it is known to hang
    assert hung.calls == 1
    hung.let_go.set()
    while machine.read(unwatched).problems:
        pass
    assert machine.read(unwatched).gpus[0].memory_bytes == 80 * GIB


def test_a_caller_who_leaves_does_not_wait_for_it(root: Path, hung: Hung) -> None:
    left = threading.Event()

    def check() -> None:
        if hung.calls:
            left.set()
            raise CancelledCallError

    machine = Linux(root, Bounded(Nvml(hung.library, lambda: ()).read, 30))
    began = time.monotonic()
    with pytest.raises(CancelledCallError):
        machine.read(check)
    assert left.is_set()
    assert time.monotonic() - began < 20


def test_all_who_ask_at_once_wait_for_the_same(hung: Hung) -> None:
    ask = Bounded(Nvml(hung.library, lambda: ()).read, 30)
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(unwatched))) for _ in range(8)]
    for thread in threads:
        thread.start()
    while not hung.calls:
        pass
    hung.let_go.set()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 8
    assert all(len(answer.gpus) == 2 for answer in answers)


def test_what_a_bounded_call_raises_is_raised() -> None:
    def fail() -> int:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        Bounded(fail, 5)(unwatched)
