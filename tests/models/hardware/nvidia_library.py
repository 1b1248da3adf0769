"""Stands in for pynvml: two GPUs, and ways for the driver to be unwell."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

# ruff: noqa: N802 - the names are pynvml's
GIB = 1 << 30


class NvmlError(Exception):
    """What pynvml raises."""


class NotFoundError(NvmlError):
    """There is no library of the driver's."""


class NotLoadedError(NvmlError):
    """The driver is not loaded."""


class NvmlStandIn:
    """The functions and errors of pynvml that are used; handles are the GPUs' numbers."""

    NVMLError = NvmlError
    NVMLError_LibraryNotFound = NotFoundError
    NVMLError_DriverNotLoaded = NotLoadedError

    def __init__(self, pid: int = 0) -> None:
        self.begun = 0
        self.on_init: Callable[[], None] = lambda: None
        self.on_count: Callable[[], None] = lambda: None
        self._pid = pid

    def nvmlInit(self) -> None:
        self.begun += 1
        self.on_init()

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.86.15"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 12080

    def nvmlDeviceGetCount(self) -> int:
        self.on_count()
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, gpu: int) -> str:
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetUUID(self, gpu: int) -> str:
        return f"GPU-{gpu}"

    def nvmlDeviceGetPciInfo(self, gpu: int) -> Any:
        place = ("00000000:18:00.0", "00000000:3A:00.0")[gpu]
        return SimpleNamespace(busId=place, pciDeviceId=0x233010DE)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> Any:
        return SimpleNamespace(total=80 * GIB, used=(gpu + 1) * GIB)

    def nvmlDeviceGetCudaComputeCapability(self, gpu: int) -> tuple[int, int]:
        return 9, 0

    def nvmlDeviceGetMigMode(self, gpu: int) -> list[int]:
        return [gpu, gpu]

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:
        if gpu == 1:  # one that is cut into instances does not tell
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=64, memory=10)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[Any]:
        return [
            SimpleNamespace(pid=self._pid, usedGpuMemory=GIB if gpu == 0 else None),
            SimpleNamespace(pid=1, usedGpuMemory=5 * GIB),
        ]
