"""What Windows tells of the machine: CIM classes and the registry, through PowerShell as JSON.

Written after the documented formats and tried on recorded output alone, never on Windows.
"""

import ctypes
import json
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sensorium.models.hardware import files, gpus, instructions, npus, nvidia, portable
from sensorium.models.hardware.bounded import Bounded
from sensorium.models.hardware.parts import Check, Parts
from sensorium.models.hardware.pci import Device
from sensorium.models.hardware.schema import Api, ApiName, Cpu, Gpu, Npu

DISPLAY_CLASS = "{4d36e968-e325-11ce-bfc1-08002be10318}"
SCRIPT = f"""
$ErrorActionPreference = 'SilentlyContinue'
$key = 'HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Class\\{DISPLAY_CLASS}\\0*'
@{{
  processors = @(Get-CimInstance Win32_Processor | Select-Object Name, Manufacturer,
    Architecture, NumberOfCores, NumberOfLogicalProcessors, MaxClockSpeed)
  video = @(Get-CimInstance Win32_VideoController | Select-Object Name, AdapterRAM,
    DriverVersion, PNPDeviceID)
  memory = @(Get-ItemProperty $key | Select-Object MatchingDeviceId,
    'HardwareInformation.qwMemorySize')
  accelerators = @(Get-CimInstance Win32_PnPEntity -Filter "PNPClass='ComputeAccelerator'" |
    Select-Object Name, Service, PNPDeviceID)
}} | ConvertTo-Json -Depth 3 -Compress
"""
POWERSHELL = ("powershell.exe", "-NoProfile", "-NonInteractive", "-Command", SCRIPT)
MEMORY_SIZE = "HardwareInformation.qwMemorySize"
ARCHITECTURES = {0: "i686", 5: "arm", 9: "x86_64", 12: "aarch64"}
VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}
LIBRARIES: dict[ApiName, tuple[str, ...]] = {
    "cuda": ("nvcuda.dll",),
    "rocm": ("amdhip64_7.dll", "amdhip64_6.dll", "amdhip64.dll"),
    "vulkan": ("vulkan-1.dll",),
    "opencl": ("OpenCL.dll",),
    "level_zero": ("ze_loader.dll",),
    "directml": ("DirectML.dll",),
    "metal": (),
}
"""What the drivers put into System32."""
CAPPED_BYTES = 0xFFF0_0000
"""`AdapterRAM` has 32 bits: from here on it says nothing."""
_IDS = re.compile(r"PCI\\VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})", re.IGNORECASE)

Row = Mapping[str, Any]


def read(check: Check) -> Parts:
    """The machine as it is now; PowerShell is asked once, which takes a second."""
    cpu, video, neural, apis = _asked(check)
    parts = Parts(cpu, portable.memory(), video, neural, apis)
    return nvidia.added(parts, nvidia.driver(), check)


@cache
def _fixed() -> tuple[Cpu, list[Gpu], list[Npu], list[Api]]:
    told = portable.output_of(*POWERSHELL)
    system = Path(os.environ.get("SYSTEMROOT", "C:\\Windows"), "System32")
    return processors(told, _has_feature), graphics(told), accelerators(told), interfaces(system)


_asked = Bounded(_fixed, 3 * portable.PROGRAM_S)


def processors(told: str, has_feature: Callable[[int], bool]) -> Cpu:
    """The processors; `has_feature` is `IsProcessorFeaturePresent`."""
    rows = _rows(told, "processors")
    first: Row = rows[0] if rows else {}
    logical = sum(_whole(row, "NumberOfLogicalProcessors") or 0 for row in rows) or None
    speed = _whole(first, "MaxClockSpeed")
    features = (name for number, name in instructions.WINDOWS.items() if has_feature(number))
    return Cpu(
        model=" ".join(_text(first, "Name").split()),
        vendor=VENDORS.get(_text(first, "Manufacturer"), ""),
        architecture=ARCHITECTURES.get(_whole(first, "Architecture") or 0, "") if first else "",
        sockets=len(rows) or None,
        physical_cores=sum(_whole(row, "NumberOfCores") or 0 for row in rows) or None,
        logical_cores=logical,
        usable_cores=float(logical or 0),
        base_mhz=float(speed) if speed else None,
        instruction_sets=list(features),
    )


def graphics(told: str) -> list[Gpu]:
    """The GPUs, each vendor's counted from 0."""
    sizes = {
        ids: size
        for row in _rows(told, "memory")
        if (ids := _ids(row, "MatchingDeviceId")) and (size := _whole(row, MEMORY_SIZE))
    }
    found: list[Gpu] = []
    for row in _rows(told, "video"):
        device = _device(row, gpus.DISPLAY)
        if device is None or not gpus.is_gpu(device):
            continue
        listed = _whole(row, "AdapterRAM")
        if listed is not None and listed >= CAPPED_BYTES:
            listed = None
        vendor = device.vendor_name
        kind = gpus.kind_of(device)
        found.append(
            Gpu(
                index=sum(gpu.vendor == vendor for gpu in found),
                vendor=vendor,
                name=_text(row, "Name") or f"GPU {device.ids}",
                kind=kind,
                device_id=device.ids,
                driver=vendor,
                driver_version=_text(row, "DriverVersion"),
                memory_bytes=sizes.get((device.vendor, device.device), listed)
                if kind == "discrete"
                else None,
            )
        )
    return found


def accelerators(told: str) -> list[Npu]:
    """The NPUs: devices of the class of computing accelerators."""
    found = []
    for row in _rows(told, "accelerators"):
        device = _device(row, gpus.ACCELERATOR)
        name = _text(row, "Name")
        if device is not None:
            npu = npus.npu_of(device, "")
            found.append(npu)
        elif name:
            vendor = "qualcomm" if "qualcomm" in name.lower() or "hexagon" in name.lower() else ""
            found.append(Npu(vendor=vendor, name=name, driver=_text(row, "Service")))
    return found


def interfaces(system: Path) -> list[Api]:
    """APIs by the libraries in System32."""
    apis = []
    for name, libraries in LIBRARIES.items():
        there = [each for each in libraries if files.exists(system / each)]
        apis.append(Api(name=name, present=bool(there), evidence=", ".join(there)))
    return apis


def _has_feature(number: int) -> bool:
    windows = getattr(ctypes, "windll", None)
    return bool(windows and windows.kernel32.IsProcessorFeaturePresent(number))


def _rows(told: str, name: str) -> list[Row]:
    try:
        found = json.loads(told)[name]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    rows = found if isinstance(found, list) else [found]  # PowerShell unwraps a list of one
    return [row for row in rows if isinstance(row, dict)]


def _device(row: Row, base: int) -> Device | None:
    ids = _ids(row, "PNPDeviceID")
    if ids is None:
        return None
    return Device("", Path(), *ids, kind=base << 8, driver=_text(row, "Service"))


def _ids(row: Row, name: str) -> tuple[int, int] | None:
    found = _IDS.match(_text(row, name))
    return (int(found[1], 16), int(found[2], 16)) if found else None


def _whole(row: Row, name: str) -> int | None:
    found = row.get(name)
    usable = isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**63
    return found if usable else None


def _text(row: Row, name: str) -> str:
    found = row.get(name, "")
    return found[:256].strip() if isinstance(found, str) else ""
