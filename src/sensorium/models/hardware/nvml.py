"""What NVIDIA's driver tells of its GPUs, through a library object that has pynvml's functions.

What one GPU does not support is left out of it; a driver that cannot be asked at all is an error.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from sensorium.models.hardware.schema import Gpu, GpuNow

T = TypeVar("T")
MOST_GPUS = 256
_BUS_ID = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", re.IGNORECASE)


class Answer(NamedTuple):
    """What the driver told."""

    gpus: list[Gpu]
    driver_version: str
    cuda_version: str
    """The newest CUDA that the driver runs."""


class NoDriverError(Exception):
    """There is no driver: neither here nor an error."""


class Nvml:
    """The library, made ready at the first reading and kept so: that is what takes time."""

    def __init__(self, library: Any, own_processes: Callable[[], Iterable[int]]) -> None:
        self._library = library
        self._own_processes = own_processes
        self._ready = False

    def read(self) -> Answer:
        """Every GPU as it is now; takes as long as the driver takes.

        Raises:
            NoDriverError: there is no driver.
            OSError: there is one that fails; says how.
        """
        library = self._library
        try:
            if not self._ready:
                library.nvmlInit()
                self._ready = True
            version = str(library.nvmlSystemGetDriverVersion())
            number = min(library.nvmlDeviceGetCount(), MOST_GPUS)
            handles = [
                (n, self._asked(library.nvmlDeviceGetHandleByIndex, n)) for n in range(number)
            ]
        except library.NVMLError as error:
            self._ready = False  # a driver that was replaced wants a new start
            if isinstance(
                error, (library.NVMLError_LibraryNotFound, library.NVMLError_DriverNotLoaded)
            ):
                raise NoDriverError from None
            raise OSError(f"NVIDIA's driver says: {error}") from None
        cuda = self._asked(library.nvmlSystemGetCudaDriverVersion)
        own = set(self._own_processes())
        return Answer(
            [self._gpu(n, handle, version, own) for n, handle in handles if handle is not None],
            version,
            f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "",
        )

    def _gpu(self, index: int, handle: Any, version: str, own: set[int]) -> Gpu:
        library = self._library
        memory = self._asked(library.nvmlDeviceGetMemoryInfo, handle)
        place = self._asked(library.nvmlDeviceGetPciInfo, handle)
        capability = self._asked(library.nvmlDeviceGetCudaComputeCapability, handle)
        instances = self._asked(library.nvmlDeviceGetMigMode, handle)
        busy = self._asked(library.nvmlDeviceGetUtilizationRates, handle)
        running = self._asked(library.nvmlDeviceGetComputeRunningProcesses, handle)
        return Gpu(
            index=index,
            vendor="nvidia",
            name=str(self._asked(library.nvmlDeviceGetName, handle) or "NVIDIA GPU"),
            kind="unknown" if memory is None else "discrete",
            uuid=str(self._asked(library.nvmlDeviceGetUUID, handle) or ""),
            pci=_slot(getattr(place, "busId", "")),
            device_id=_ids(getattr(place, "pciDeviceId", 0)),
            driver="nvidia",
            driver_version=version,
            memory_bytes=None if memory is None else int(memory.total),
            compute_capability=f"{capability[0]}.{capability[1]}" if capability else "",
            mig=bool(instances and instances[0]),
            now=GpuNow(
                used_bytes=None if memory is None else int(memory.used),
                own_bytes=_own(running, own),
                busy=None if busy is None else min(max(busy.gpu, 0), 100) / 100,
            ),
        )

    def _asked(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """What the driver answers, or None where it does not support the question."""
        try:
            return function(*arguments)
        except self._library.NVMLError:
            return None


def merged(seen: list[Gpu], told: list[Gpu]) -> list[Gpu]:
    """GPUs that sysfs shows, NVIDIA's replaced by what the driver tells of them."""
    by_place = {gpu.pci: gpu for gpu in told if gpu.pci}
    known = [by_place.pop(gpu.pci, gpu) for gpu in seen]
    others = [gpu for gpu in told if not gpu.pci or gpu.pci in by_place]
    return [_with_ids(gpu, seen) for gpu in known] + others


def _with_ids(gpu: Gpu, seen: list[Gpu]) -> Gpu:
    if gpu.device_id:
        return gpu
    ids = next((each.device_id for each in seen if each.pci == gpu.pci), "")
    return replace(gpu, device_id=ids)


def _own(running: Any, own: set[int]) -> int | None:
    """Bytes that our processes hold; None where the driver knows none of them.

    In a container the driver may number processes as the host does.
    """
    ours = [each.usedGpuMemory for each in running or () if each.pid in own]
    known = [number for number in ours if number is not None]
    return sum(known) if known else None


def _slot(told: Any) -> str:
    """`00000000:65:00.0` as sysfs writes it."""
    text = told.decode() if isinstance(told, bytes) else str(told)
    found = _BUS_ID.fullmatch(text)
    return f"{int(found[1], 16):04x}:{found[2].lower()}" if found else ""


def _ids(number: int) -> str:
    """Both ids from the one number that holds them."""
    return f"{number & 0xFFFF:04x}:{number >> 16:04x}" if number else ""
