"""The execution providers that are known, and which of them this machine has, or why not.

A provider is available where its engine is installed and was built with it, and where the machine
has what it needs. ONNX Runtime lists what it was built with whatever the machine is, so its word
alone is not enough.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from sensorium.core.loading import EXTRAS, how_to_install
from sensorium.models.hardware.engines.probing import LIBRARIES, PACKAGES, Engine
from sensorium.models.hardware.schema import Api, EngineName, Gpu, Npu, Platform, Provider

MISSING = {
    "cuda": "no NVIDIA driver",
    "rocm": "no AMD GPU with the compute driver (ROCm)",
    "vulkan": "no Vulkan driver, or no loader for it",
    "level_zero": "no Level Zero driver of Intel, or no loader for it",
    "directml": "no DirectML",
    "metal": "no Metal",
    "gpu": "no GPU",
    "npu": "no NPU",
    "npu:amd": "no NPU of AMD",
    "npu:huawei": "no NPU of Huawei",
    "arm64": "no Arm processor",
}
"""What is said where that is needed and missing."""
SYSTEMS: dict[Platform, str] = {
    "linux": "Linux",
    "windows": "Windows",
    "macos": "macOS",
    "android": "Android",
    "ios": "iOS",
    "browser": "a browser",
}


class Definition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of `providers.toml`, where the fields are explained."""

    id: str
    engine: EngineName
    name: str
    vendor: str
    device: Literal["cpu", "gpu", "npu"]
    platforms: list[Platform]
    package: str = ""
    needs: str = ""
    build: str = ""
    note: str = ""
    retired: str = ""


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    provider: list[Definition]


class Machine(NamedTuple):
    """What of a machine decides which providers it has."""

    platform: Platform
    architecture: str
    gpus: Sequence[Gpu]
    npus: Sequence[Npu]
    apis: Sequence[Api]

    def has(self, need: str) -> bool:
        """Whether there is a device, an API's driver, or a kind of processor, of that name."""
        if need == "arm64":
            return self.architecture in ("aarch64", "arm64")
        what, _, vendor = need.partition(":")
        if what == "gpu":
            return any(not vendor or gpu.vendor == vendor for gpu in self.gpus)
        if what == "npu":
            return any(not vendor or npu.vendor == vendor for npu in self.npus)
        return any(api.present for api in self.apis if api.name == what)


@cache
def definitions() -> tuple[Definition, ...]:
    """Every provider that is known, in the order of the table."""
    text = Path(__file__).with_name("providers.toml").read_text("utf-8")
    return tuple(msgspec.convert(tomllib.loads(text), _Table).provider)


def told(machine: Machine, ask: Callable[[EngineName], Engine], only: str = "") -> list[Provider]:
    """Every provider, or those of one engine, and whether it is available."""
    rows = [row for row in definitions() if only in ("", row.engine)]
    engines: Mapping[EngineName, Engine] = {
        name: ask(name) for name in dict.fromkeys(row.engine for row in rows)
    }
    return [_provider(row, _reason(row, machine, engines[row.engine])) for row in rows]


def _reason(row: Definition, machine: Machine, engine: Engine) -> str:
    """Why it is not available; empty where it is. What cannot be mended comes first."""
    if row.retired:
        return f"retired {row.retired}"
    if machine.platform not in row.platforms:
        return f"needs {' or '.join(SYSTEMS[each] for each in row.platforms)}"
    if row.needs and not machine.has(row.needs):
        return MISSING[row.needs]
    if not engine.installed:
        return f"{row.engine} is not installed: {_install(row)}"
    if engine.problem:
        return engine.problem
    if (row.build or row.name) not in engine.builds:
        return f"{row.engine} here was built without it: {_how(row)}"
    return ""


def _install(row: Definition) -> str:
    library, usual = LIBRARIES[row.engine], PACKAGES[row.engine]
    if row.package in ("", usual):
        return how_to_install(library) if library in EXTRAS else f"pip install {usual}"
    return f"pip install '{row.package}'"


def _how(row: Definition) -> str:
    if not row.package:
        return "it has to be built with it"
    if row.package != PACKAGES[row.engine]:
        return f"install {row.package} in its place"
    return f"install another build of {row.package}"


def _provider(row: Definition, reason: str) -> Provider:
    return Provider(
        id=row.id,
        engine=row.engine,
        name=row.name,
        vendor=row.vendor,
        device=row.device,
        platforms=row.platforms,
        package=row.package,
        note=row.note,
        available=not reason,
        reason=reason,
    )
