"""Graphics processors on Linux from sysfs, whoever made them.

NVIDIA's are found here too, so that one is told even where its driver is missing or silent; what
NVML knows of them is laid over that by `nvml.merged`.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from sensorium.models.hardware import files, pci
from sensorium.models.hardware.pci import Device
from sensorium.models.hardware.schema import Gpu, GpuNow, Kind

DISPLAY = 0x03
ACCELERATOR = 0x12
"""AMD's Instinct have this class, like the NPUs of others."""
AMD, INTEL, NVIDIA = 0x1002, 0x8086, 0x10DE
FIRST_DISCRETE = 0x6600
"""AMD's processors with graphics have ids below this, and its cards that still have a driver
have higher ones."""
INTEL_CARDS = {0x0B, 0x49, 0x4F, 0x56, 0xE2}
"""First bytes of the ids of Intel's cards: Max, DG1, Arc A, Flex and Arc B."""
_CARD = re.compile(r"card\d{1,4}")


def read(root: Path, devices: Iterable[Device]) -> list[Gpu]:
    """The GPUs of vendors whose GPUs compute, in the order of their places."""
    places = {vendor: count() for vendor in (AMD, INTEL, NVIDIA)}
    targets = _targets(root)
    return [
        _gpu(root, device, next(places[device.vendor]), targets.get(_location(device.slot), ""))
        for device in _found(root, devices)
    ]


def is_gpu(device: Device) -> bool:
    """Whether a PCI device is a GPU of theirs."""
    base = device.kind >> 8
    if device.vendor == AMD:
        return base in (DISPLAY, ACCELERATOR)
    return device.vendor in (INTEL, NVIDIA) and base == DISPLAY


def _found(root: Path, devices: Iterable[Device]) -> Iterator[Device]:
    """From the PCI bus, and from the cards where the bus is not shown."""
    seen = set()
    for device in devices:
        if is_gpu(device):
            seen.add(device.slot)
            yield device
    folder = root / "sys/class/drm"
    for name in files.entries(folder):
        card = pci.device_at(folder / name / "device") if _CARD.fullmatch(name) else None
        if card is not None and card.slot not in seen and is_gpu(card):
            yield card


def _gpu(root: Path, device: Device, index: int, target: str) -> Gpu:
    name, uuid = _called(root, device)
    return Gpu(
        index=index,
        vendor=device.vendor_name,
        name=name,
        kind=kind_of(device),
        uuid=uuid,
        pci=device.slot,
        device_id=device.ids,
        driver=device.driver,
        driver_version=_driver_version(root, device),
        memory_bytes=_memory(device),
        compute_capability=target,
        now=GpuNow(
            used_bytes=files.number(device.path / "mem_info_vram_used"),
            busy=_busy(device.path),
        ),
    )


def _called(root: Path, device: Device) -> tuple[str, str]:
    """Its name, and the driver's name for this very one."""
    if device.vendor == NVIDIA:
        told = files.pairs(
            files.text(root / "proc/driver/nvidia/gpus" / device.slot / "information")
        )
        uuid = told.get("GPU UUID", "")
        return told.get("Model") or f"NVIDIA GPU {device.ids}", "" if "?" in uuid else uuid
    known = pci.name_of(device.vendor_name, f"{device.device:04x}")
    own = files.word(device.path / "product_name")  # of AMD's cards for servers
    maker = "AMD" if device.vendor == AMD else "Intel"
    uuid = files.word(device.path / "unique_id")
    return f"{maker} {known or own or f'GPU {device.ids}'}", uuid


def kind_of(device: Device) -> Kind:
    """Whether a GPU is a card, or a part of the processor that shares its memory."""
    if device.vendor == AMD:
        return "discrete" if device.device >= FIRST_DISCRETE else "integrated"
    if device.vendor == INTEL:
        return "discrete" if device.device >> 8 in INTEL_CARDS else "integrated"
    return "discrete"


def _driver_version(root: Path, device: Device) -> str:
    if device.driver == "nvidia":
        return nvidia_version(root)
    return files.word(root / "sys/module" / device.driver / "version") if device.driver else ""


def nvidia_version(root: Path) -> str:
    """The version of NVIDIA's driver in the kernel; empty where it is not loaded."""
    if told := files.word(root / "sys/module/nvidia/version"):
        return told
    found = re.search(
        r"\b(\d{3,4}\.\d+(?:\.\d+)?)\b", files.text(root / "proc/driver/nvidia/version")
    )
    return found[1] if found else ""


def _memory(device: Device) -> int | None:
    """What is its own: amdgpu tells it, and Intel's driver of cards for servers does."""
    total = files.number(device.path / "mem_info_vram_total")
    if total is not None:
        return total
    for card in files.entries(device.path / "drm"):
        if _CARD.fullmatch(card):
            return files.number(device.path / "drm" / card / "lmem_total_bytes")
    return None


def _busy(path: Path) -> float | None:
    percent = files.number(path / "gpu_busy_percent")
    return None if percent is None or percent > 100 else percent / 100


def _targets(root: Path) -> dict[int, str]:
    """What AMD's compilers call each GPU, such as `gfx1100`, by its location on the bus."""
    targets = {}
    folder = root / "sys/class/kfd/kfd/topology/nodes"
    for node in files.entries(folder):
        told = files.pairs(files.text(folder / node / "properties"), " ")
        version = files.whole(told.get("gfx_target_version", ""))
        location = files.whole(told.get("location_id", ""))
        if version and location is not None:
            major, rest = divmod(version, 10_000)
            domain = files.whole(told.get("domain", "0")) or 0
            minor, stepping = divmod(rest, 100)
            targets[domain << 16 | location] = f"gfx{major}{minor:x}{stepping:x}"
    return targets


def _location(slot: str) -> int:
    """A slot as the compute driver counts it: domain, bus, device and function in one number."""
    parts = re.split(r"[:.]", slot)
    if len(parts) != 4:
        return -1
    domain, bus, device, function = (int(part, 16) for part in parts)
    return domain << 16 | bus << 8 | device << 3 | function
