"""Windows and macOS, from recorded output of their own programs."""

import sys
from pathlib import Path

import pytest

from sensorium.models.hardware import macos, portable, windows
from sensorium.models.hardware.parts import unwatched
from tests.models.hardware.machines import FIXTURES

WINDOWS = (FIXTURES / "windows.json").read_text()


def displays(name: str) -> list[macos.Mapping[str, object]]:
    return macos._displays((FIXTURES / name).read_text())


def test_windows_processors() -> None:
    cpu = windows.processors(WINDOWS, {38, 39, 40, 41}.__contains__)
    assert (cpu.model, cpu.vendor) == ("AMD Ryzen 9 7950X 16-Core Processor", "amd")
    assert (cpu.sockets, cpu.physical_cores, cpu.logical_cores) == (1, 16, 32)
    assert (cpu.architecture, cpu.base_mhz, cpu.usable_cores) == ("x86_64", 4501.0, 32)
    assert cpu.instruction_sets == ["sse4_2", "avx", "avx2", "avx512f"]


def test_windows_gpus_have_the_memory_that_the_registry_tells() -> None:
    nvidia, amd, intel = windows.graphics(WINDOWS)
    assert (nvidia.name, nvidia.kind) == ("NVIDIA GeForce RTX 4090", "discrete")
    assert nvidia.memory_bytes == 25757220864  # not the 4 GiB that 32 bits can hold
    assert nvidia.driver_version == "32.0.15.6094"
    assert (amd.vendor, amd.kind, amd.memory_bytes) == ("amd", "integrated", None)
    assert (intel.vendor, intel.kind, intel.memory_bytes) == ("intel", "discrete", 17079205888)
    assert [gpu.index for gpu in (nvidia, amd, intel)] == [0, 0, 0]


def test_windows_npus() -> None:
    amd, qualcomm = windows.accelerators(WINDOWS)
    assert (amd.vendor, amd.name) == ("amd", "AMD Ryzen AI (7040/8040 series)")
    assert (amd.driver, amd.device_id) == ("IPUMCDMDriver", "1022:1502")
    assert qualcomm.vendor == "qualcomm"
    assert "Hexagon" in qualcomm.name


def test_windows_apis(tmp_path: Path) -> None:
    for name in ("nvcuda.dll", "vulkan-1.dll", "DirectML.dll"):
        (tmp_path / name).touch()
    apis = {api.name: api.present for api in windows.interfaces(tmp_path)}
    assert [name for name, present in apis.items() if present] == ["cuda", "vulkan", "directml"]


def test_the_script_for_powershell_is_whole() -> None:
    assert windows.SCRIPT.count("{") == windows.SCRIPT.count("}")
    assert windows.SCRIPT.count("(") == windows.SCRIPT.count(")")
    assert windows.DISPLAY_CLASS in windows.SCRIPT


def test_a_mac_of_apples_own() -> None:
    sysctl = (FIXTURES / "macos_m3.sysctl").read_text()
    cpu = macos.processors(sysctl)
    assert (cpu.model, cpu.vendor, cpu.architecture) == ("Apple M3 Pro", "apple", "arm64")
    assert (cpu.physical_cores, cpu.logical_cores) == (12, 12)
    assert cpu.instruction_sets == ["neon", "fp16", "dotprod", "i8mm", "bf16"]
    (gpu,) = macos.graphics(displays("macos_m3.json"))
    assert (gpu.name, gpu.kind, gpu.cores) == ("Apple M3 Pro", "integrated", 18)
    assert gpu.memory_bytes is None  # it shares the main memory
    assert [npu.name for npu in macos.neural(sysctl)] == ["Apple Neural Engine"]
    apis = {api.name: api for api in macos.interfaces(displays("macos_m3.json"), Path("/none"))}
    assert (apis["metal"].present, apis["metal"].version) == (True, "3")


def test_a_mac_of_intels() -> None:
    sysctl = (FIXTURES / "macos_intel.sysctl").read_text()
    cpu = macos.processors(sysctl)
    assert (cpu.vendor, cpu.max_mhz) == ("intel", 2400.0)
    assert cpu.instruction_sets == ["sse4_2", "avx", "f16c", "fma", "avx2"]
    intel, amd = macos.graphics(displays("macos_intel.json"))
    assert (intel.vendor, intel.kind, intel.driver) == ("intel", "integrated", "metal")
    assert (amd.vendor, amd.kind, amd.memory_bytes) == ("amd", "discrete", 8 << 30)
    assert macos.neural(sysctl) == []


@pytest.mark.parametrize("module", [windows, macos])
def test_where_their_programs_are_missing_little_is_known(
    module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portable, "output_of", lambda *_: "")
    module._fixed.cache_clear()  # type: ignore[attr-defined]
    found = module.read(unwatched)  # type: ignore[attr-defined]
    module._fixed.cache_clear()  # type: ignore[attr-defined]
    assert (found.cpu.model, found.gpus, found.npus) == ("", [], [])
    assert found.memory.total_bytes  # psutil knows it everywhere


def test_any_other_system_has_cores_and_memory() -> None:
    found = portable.read(unwatched)
    assert found.cpu.usable_cores > 0
    assert found.memory.now.available_bytes


def test_programs_that_fail_are_missing_or_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert portable.output_of(sys.executable, "-c", "print('told')") == "told\n"
    assert portable.output_of("there-is-no-such-program") == ""
    monkeypatch.setattr(portable, "PROGRAM_S", 0.2)
    assert portable.output_of(sys.executable, "-c", "import time; time.sleep(30)") == ""
