"""Which ways to program accelerators are here: told by files and device nodes, loading nothing."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sensorium.models.hardware import files
from sensorium.models.hardware.gpus import nvidia_version
from sensorium.models.hardware.schema import Api, ApiName

LIBRARIES = (
    *("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib"),
    *("lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib64", "lib", "usr/local/lib"),
    *("usr/lib/wsl/lib", "opt/rocm/lib", "run/opengl-driver/lib"),
)
VULKAN_DRIVERS = (
    *("etc/vulkan/icd.d", "usr/share/vulkan/icd.d", "usr/local/share/vulkan/icd.d"),
    "run/opengl-driver/share/vulkan/icd.d",
)
LEVEL_ZERO_DRIVERS = ("libze_intel_gpu.so.1", "libze_intel_npu.so.1", "libze_intel_vpu.so.1")
MOST_DRIVERS = 64
_VERSION = re.compile(r"\d+(?:\.\d+)*")


def read(root: Path) -> list[Api]:
    """Every API, present or not."""
    return [
        _cuda(root),
        _rocm(root),
        _vulkan(root),
        _opencl(root),
        _level_zero(root),
        _directml(root),
        Api(name="metal", present=False),
    ]


def _cuda(root: Path) -> Api:
    """The driver in the kernel; a library alone is what images for CUDA bring."""
    nodes = [
        each for each in ("dev/nvidiactl", "dev/nvmap", "dev/dxg") if files.exists(root / each)
    ]
    library = has_library(root, "libcuda.so.1")
    version = nvidia_version(root)
    if "dev/dxg" in nodes and not files.exists(root / "usr/lib/wsl/lib/libcuda.so.1"):
        nodes.remove("dev/dxg")  # Windows lends another vendor's GPU
    driver = bool(version or nodes)
    found = [f"driver {version}"] if version else nodes
    return Api(
        name="cuda",
        present=driver,
        evidence=", ".join([*found, *(["libcuda.so.1"] if library else [])]),
    )


def _rocm(root: Path) -> Api:
    """The compute driver in the kernel; the libraries may come with a Python package."""
    version = _VERSION.match(files.word(root / "opt/rocm/.info/version"))
    driver = files.exists(root / "dev/kfd")
    found = [*(["dev/kfd"] if driver else []), *(["ROCm's libraries"] if version else [])]
    return Api(
        name="rocm",
        present=driver,
        version=version[0] if version else "",
        evidence=", ".join(found),
    )


def _vulkan(root: Path) -> Api:
    drivers, versions = [], []
    for path in _listed(root, VULKAN_DRIVERS, ".json"):
        library, version = _vulkan_driver(files.text(path))
        if library:
            drivers.append(library)
            versions.append(version)
    loader = has_library(root, "libvulkan.so.1")
    return _loaded("vulkan", loader, drivers, max(versions, key=_ordered, default=""))


def _vulkan_driver(found: str) -> tuple[str, str]:
    """Library and version of a driver's manifest."""
    try:
        told = json.loads(found)["ICD"]
        library, version = told["library_path"], told.get("api_version", "")
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", ""
    if not isinstance(library, str) or not isinstance(version, str):
        return "", ""
    return Path(library).name[:64], version if _VERSION.fullmatch(version) else ""


def _ordered(version: str) -> list[int]:
    return [int(part[:9]) for part in version.split(".") if part]


def _opencl(root: Path) -> Api:
    drivers = [
        Path(files.word(path)).name for path in _listed(root, ("etc/OpenCL/vendors",), ".icd")
    ]
    return _loaded("opencl", has_library(root, "libOpenCL.so.1"), [d for d in drivers if d])


def _level_zero(root: Path) -> Api:
    drivers = [name for name in LEVEL_ZERO_DRIVERS if has_library(root, name)]
    return _loaded("level_zero", has_library(root, "libze_loader.so.1"), drivers)


def _directml(root: Path) -> Api:
    """On Linux, only what Windows lends to its own Linux."""
    lent = files.exists(root / "dev/dxg") and has_library(root, "libd3d12.so")
    return Api(name="directml", present=lent, evidence="dev/dxg, libd3d12.so" if lent else "")


def _loaded(name: ApiName, loader: bool, drivers: Sequence[str], version: str = "") -> Api:
    """An API whose loader finds drivers: it needs both."""
    found = [*(["loader"] if loader else []), *dict.fromkeys(drivers)]
    return Api(
        name=name, present=loader and bool(drivers), version=version, evidence=", ".join(found)
    )


def _listed(root: Path, folders: Sequence[str], suffix: str) -> Iterator[Path]:
    for folder in folders:
        names = [name for name in files.entries(root / folder) if name.endswith(suffix)]
        yield from (root / folder / name for name in names[:MOST_DRIVERS])


def has_library(root: Path, name: str) -> bool:
    """Whether a library lies where loaders look."""
    return any(files.exists(root / folder / name) for folder in LIBRARIES)
