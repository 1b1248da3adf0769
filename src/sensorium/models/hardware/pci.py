"""PCI devices from sysfs: what each is, what drives it, and what well-known ones are called."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sensorium.models.hardware import files

DEVICES = "sys/bus/pci/devices"
VENDORS = {
    0x1002: "amd",
    0x1022: "amd",
    0x106B: "apple",
    0x10DE: "nvidia",
    0x17CB: "qualcomm",
    0x19E5: "huawei",
    0x1AC1: "google",
    0x1DA3: "intel",  # Habana
    0x1E60: "hailo",
    0x8086: "intel",
}
_NUMBER = re.compile(r"(?:0x)?[0-9a-f]{1,6}", re.IGNORECASE)
_SLOT = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


class Device(NamedTuple):
    """A PCI function."""

    slot: str
    """`0000:01:00.0`; empty where nobody tells."""
    path: Path
    vendor: int
    device: int
    kind: int
    """Base class and subclass: 0x0300 is a VGA controller."""
    driver: str

    @property
    def vendor_name(self) -> str:
        """Its vendor in a word, or the vendor's id."""
        return VENDORS.get(self.vendor, f"{self.vendor:04x}")

    @property
    def ids(self) -> str:
        """`vendor:device`."""
        return f"{self.vendor:04x}:{self.device:04x}"


def devices(root: Path) -> list[Device]:
    """Every PCI function, by slot."""
    folder = root / DEVICES
    slots = filter(_SLOT.fullmatch, files.entries(folder))
    return [device for slot in slots if (device := device_at(folder / slot, slot))]


def device_at(path: Path, slot: str = "") -> Device | None:
    """The device of which that is the folder; None where it is no PCI device."""
    told = files.pairs(files.text(path / "uevent"), "=")
    vendor, _, device = told.get("PCI_ID", "").partition(":")
    numbers = (
        _hex(vendor) or _hex(files.word(path / "vendor")),
        _hex(device) or _hex(files.word(path / "device")),
    )
    if numbers[0] is None or numbers[1] is None:
        return None
    kind = _hex(told.get("PCI_CLASS", "")) or _hex(files.word(path / "class")) or 0
    return Device(
        slot=slot or told.get("PCI_SLOT_NAME", ""),
        path=path,
        vendor=numbers[0],
        device=numbers[1],
        kind=kind >> 8,
        driver=told.get("DRIVER", ""),
    )


def name_of(table: str, key: str) -> str:
    """What a well-known device is called; empty for another."""
    return _names().get(table, {}).get(key, "")


@cache
def _names() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = tomllib.loads(
        Path(__file__).with_name("pci.toml").read_text("utf-8")
    )
    return found


def _hex(found: str) -> int | None:
    return int(found, 16) if _NUMBER.fullmatch(found) else None
