"""What macOS tells of the machine, through `sysctl` and `system_profiler`.

Written after the documented formats and tried on recorded output alone, never on a Mac.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sensorium.models.hardware import files, instructions, portable
from sensorium.models.hardware.bounded import Bounded
from sensorium.models.hardware.parts import Check, Parts
from sensorium.models.hardware.schema import Api, Cpu, Gpu, Npu

SYSCTL = ("/usr/sbin/sysctl", "hw", "machdep.cpu")
PROFILER = ("/usr/sbin/system_profiler", "-json", "SPDisplaysDataType")
VULKAN = ("usr/local/lib/libvulkan.dylib", "opt/homebrew/lib/libvulkan.dylib")
METAL = ("spdisplays_mtlgpufamilysupport", "spdisplays_metalfamily", "spdisplays_metal")
VENDORS = {"apple": "apple", "amd": "amd", "ati": "amd", "intel": "intel", "nvidia": "nvidia"}
UNITS = {"MB": 1 << 20, "GB": 1 << 30}
_SIZE = re.compile(r"(\d{1,6})\s*(MB|GB)")
_VERSION = re.compile(r"metal\s?(\d)$", re.IGNORECASE)


def read(check: Check) -> Parts:
    """The machine as it is now; the programs are run once, which takes a second."""
    cpu, gpus, npus, apis = _asked(check)
    return Parts(cpu, portable.memory(), gpus, npus, apis)


@cache
def _fixed() -> tuple[Cpu, list[Gpu], list[Npu], list[Api]]:
    told = portable.output_of(*SYSCTL)
    displays = _displays(portable.output_of(*PROFILER))
    return processors(told), graphics(displays), neural(told), interfaces(displays, Path("/"))


_asked = Bounded(_fixed, 3 * portable.PROGRAM_S)


def processors(sysctl: str) -> Cpu:
    """The processors, from lines such as `hw.physicalcpu: 8`."""
    told = files.pairs(sysctl)
    model = told.get("machdep.cpu.brand_string", "")
    logical = files.whole(told.get("hw.logicalcpu", ""))
    hertz = files.whole(told.get("hw.cpufrequency_max", ""))
    return Cpu(
        model=model,
        vendor="apple" if model.startswith("Apple") else "intel" if "Intel" in model else "",
        architecture="arm64" if _is_arm(told) else "x86_64" if told else "",
        sockets=files.whole(told.get("hw.packages", "")),
        physical_cores=files.whole(told.get("hw.physicalcpu", "")),
        logical_cores=logical,
        usable_cores=float(logical or 0),
        max_mhz=hertz / 1e6 if hertz else None,
        instruction_sets=_instruction_sets(told),
    )


def neural(sysctl: str) -> list[Npu]:
    """Every processor of Apple's for Macs has a neural engine."""
    if not _is_arm(files.pairs(sysctl)):
        return []
    return [Npu(vendor="apple", name="Apple Neural Engine", driver="coreml")]


def graphics(displays: list[Mapping[str, Any]]) -> list[Gpu]:
    """The GPUs, each vendor's counted from 0."""
    gpus: list[Gpu] = []
    for each in displays:
        vendor = _vendor(each)
        name = _text(each, "sppci_model") or _text(each, "_name")
        if not vendor or not name:
            continue
        own = None if vendor == "apple" else _size(_text(each, "spdisplays_vram"))
        builtin = _text(each, "sppci_bus") == "spdisplays_builtin"
        gpus.append(
            Gpu(
                index=sum(gpu.vendor == vendor for gpu in gpus),
                vendor=vendor,
                name=name,
                kind="integrated" if own is None or builtin else "discrete",
                driver="metal" if _metal(each) else "",
                memory_bytes=own,
                cores=files.whole(_text(each, "sppci_cores")),
            )
        )
    return gpus


def interfaces(displays: list[Mapping[str, Any]], root: Path) -> list[Api]:
    """Metal where a GPU supports it; OpenCL is a part of macOS."""
    told = [metal for each in displays if (metal := _metal(each))]
    versions = [found[1] for each in told if (found := _VERSION.search(each))]
    vulkan = any(files.exists(root / path) for path in VULKAN)
    opencl = files.exists(root / "System/Library/Frameworks/OpenCL.framework")
    return [
        Api(name="cuda", present=False),
        Api(name="rocm", present=False),
        Api(name="vulkan", present=vulkan, evidence="libvulkan.dylib" if vulkan else ""),
        Api(name="opencl", present=opencl, evidence="OpenCL.framework" if opencl else ""),
        Api(name="level_zero", present=False),
        Api(name="directml", present=False),
        Api(name="metal", present=bool(told), version=max(versions, default="")),
    ]


def _displays(profile: str) -> list[Mapping[str, Any]]:
    """The GPUs that `system_profiler -json SPDisplaysDataType` lists."""
    try:
        found = json.loads(profile)["SPDisplaysDataType"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _is_arm(told: Mapping[str, str]) -> bool:
    return told.get("hw.optional.arm64") == "1"


def _instruction_sets(told: Mapping[str, str]) -> list[str]:
    if _is_arm(told):
        found = instructions.APPLE.items()
        return [
            "neon",
            *(ours for flag, ours in found if told.get(f"hw.optional.arm.{flag}") == "1"),
        ]
    return instructions.of_x86(_intel(told))


def _intel(told: Mapping[str, str]) -> Iterator[str]:
    for name in ("machdep.cpu.features", "machdep.cpu.leaf7_features"):
        for flag in told.get(name, "").lower().split():
            yield instructions.INTEL_MACS.get(flag, flag)


def _vendor(display: Mapping[str, Any]) -> str:
    told = _text(display, "spdisplays_vendor").lower().removeprefix("sppci_vendor_")
    return next((ours for theirs, ours in VENDORS.items() if told.startswith(theirs)), "")


def _metal(display: Mapping[str, Any]) -> str:
    """What is told of its support of Metal, in whichever way this version of macOS tells it."""
    return next(filter(None, (_text(display, name) for name in METAL)), "")


def _text(display: Mapping[str, Any], name: str) -> str:
    found = display.get(name, "")
    return found[:256] if isinstance(found, str) else ""


def _size(told: str) -> int | None:
    found = _SIZE.fullmatch(told.strip())
    return int(found[1]) * UNITS[found[2]] if found else None
