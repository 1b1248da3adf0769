"""Neural processors on Linux: by their PCI ids and class, and by the kernel's list of them.

AMD's Ryzen AI says that it is a signal processor (class 0x1180), Intel's of Core Ultra that it is
an accelerator (0x1200), as data centre cards do; so ids come first and the class second.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from sensorium.models.hardware import files, gpus, pci
from sensorium.models.hardware.pci import Device
from sensorium.models.hardware.schema import Npu

DRIVERS = {"intel_vpu", "amdxdna"}
OF_PLATFORM = {"rocket": ("rockchip", "Rockchip NPU"), "ethosu": ("arm", "Arm Ethos-U")}
"""Drivers of neural processors that are not on a PCI bus."""
_ACCEL = re.compile(r"accel\d{1,4}")


def read(root: Path, devices: Iterable[Device]) -> list[Npu]:
    """The NPUs, in the order of their places."""
    nodes = _nodes(root)
    found = [npu_of(each, nodes.pop(each.slot, "")) for each in devices if _is_npu(each)]
    for place, node in nodes.items():
        npu = _only_listed(root / "sys/class/accel" / node / "device", place, node)
        if npu is not None:
            found.append(npu)
    return found


def _is_npu(device: Device) -> bool:
    if pci.name_of("npu", device.ids) or device.driver in DRIVERS:
        return True
    return device.kind >> 8 == gpus.ACCELERATOR and not gpus.is_gpu(device)


def npu_of(device: Device, node: str) -> Npu:
    """A PCI device as an NPU, with the name of its device file."""
    known = pci.name_of("npu", device.ids)
    maker = {"amd": "AMD", "intel": "Intel"}.get(device.vendor_name, device.vendor_name.title())
    return Npu(
        vendor=device.vendor_name,
        name=f"{maker} {known or f'accelerator {device.ids}'}",
        pci=device.slot,
        device_id=device.ids,
        driver=device.driver,
        device=node,
    )


def _nodes(root: Path) -> dict[str, str]:
    """Device files by the place of their device; one without a place by its own name."""
    folder = root / "sys/class/accel"
    nodes = {}
    for name in files.entries(folder):
        if _ACCEL.fullmatch(name):
            told = files.pairs(files.text(folder / name / "device/uevent"), "=")
            nodes[told.get("PCI_SLOT_NAME") or name] = name
    return nodes


def _only_listed(path: Path, place: str, node: str) -> Npu | None:
    """One that the PCI bus does not show: of a system on a chip, or in a sandbox."""
    device = pci.device_at(path, place)
    if device is not None:
        return npu_of(device, node)
    driver = files.pairs(files.text(path / "uevent"), "=").get("DRIVER", "")
    vendor, name = OF_PLATFORM.get(driver, ("", f"accelerator ({driver})"))
    return Npu(vendor=vendor, name=name, driver=driver, device=node) if driver else None
