"""What is found on recorded machines."""

from pathlib import Path

import pytest

from tests.models.hardware.machines import GIB, laid_out, read


def test_a_desktop_with_a_radeon_and_graphics_on_its_processor(tmp_path: Path) -> None:
    found = read(laid_out("desktop_radeon", tmp_path))
    cpu = found.cpu
    assert (cpu.model, cpu.vendor) == ("AMD Ryzen 7 7700X 8-Core Processor", "amd")
    assert (cpu.sockets, cpu.physical_cores, cpu.logical_cores, cpu.usable_cores) == (1, 2, 4, 4)
    assert (cpu.architecture, cpu.max_mhz, cpu.base_mhz) == ("x86_64", 5573.0, None)
    assert cpu.instruction_sets == [
        *("sse4_2", "avx", "f16c", "fma", "avx2"),
        *("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"),
    ]
    assert found.memory.total_bytes == found.memory.usable_bytes == 65536000 * 1024
    assert found.memory.limit_bytes is None
    assert found.memory.now.available_bytes == 51200000 * 1024

    card, own = found.gpus
    assert (card.name, card.kind) == ("AMD Radeon RX 7900 XT/XTX/GRE", "discrete")
    assert (card.index, card.pci, card.device_id) == (0, "0000:03:00.0", "1002:744c")
    assert (card.memory_bytes, card.now.used_bytes) == (25753026560, 1503238553)
    assert (card.now.busy, card.compute_capability) == (0.37, "gfx1100")
    assert (card.uuid, card.driver) == ("5d4e1f0a2b3c4d5e", "amdgpu")
    assert (own.index, own.kind, own.compute_capability) == (1, "integrated", "gfx1036")
    assert own.name == "AMD Radeon Graphics (Ryzen 7000)"
    assert found.npus == []
    apis = {api.name: api for api in found.apis if api.present}
    assert apis.keys() == {"rocm", "vulkan", "opencl"}
    assert apis["rocm"].version == "7.1.0"
    assert apis["vulkan"].version == "1.4.318"
    assert apis["vulkan"].evidence == "loader, libvulkan_lvp.so, libvulkan_radeon.so"


def test_a_laptop_of_intel_with_an_npu(tmp_path: Path) -> None:
    found = read(laid_out("laptop_core_ultra", tmp_path))
    assert (found.cpu.physical_cores, found.cpu.logical_cores) == (3, 4)
    assert (found.cpu.max_mhz, found.cpu.base_mhz) == (4800.0, 3800.0)
    assert "avx_vnni" in found.cpu.instruction_sets
    (gpu,) = found.gpus
    assert (gpu.name, gpu.kind) == ("Intel Arc Graphics (Core Ultra 100H)", "integrated")
    assert (gpu.driver, gpu.memory_bytes, gpu.now.busy) == ("i915", None, None)
    (npu,) = found.npus
    assert (npu.vendor, npu.name) == ("intel", "Intel Core Ultra NPU (100 series)")
    assert (npu.driver, npu.device, npu.pci) == ("intel_vpu", "accel0", "0000:00:0b.0")
    assert [api.name for api in found.apis if api.present] == ["vulkan", "level_zero"]
    assert found.memory.swap_bytes == 0


def test_a_laptop_of_amd_whose_npu_has_no_driver(tmp_path: Path) -> None:
    found = read(laid_out("laptop_ryzen_ai", tmp_path))
    (gpu,) = found.gpus
    assert (gpu.name, gpu.kind) == ("AMD Radeon 8050S / 8060S", "integrated")
    assert (gpu.memory_bytes, gpu.driver) == (96 * GIB, "")
    (npu,) = found.npus
    assert (npu.vendor, npu.name, npu.driver) == ("amd", "AMD Ryzen AI (300 series)", "")
    assert found.cpu.usable_cores == 1


def test_a_server_of_nvidia_without_its_library(tmp_path: Path) -> None:
    found = read(laid_out("server_nvidia", tmp_path))
    first, second = found.gpus
    assert first.name == second.name == "NVIDIA H100 80GB HBM3"
    assert [first.index, second.index] == [0, 1]
    assert first.uuid == "GPU-11111111-2222-3333-4444-555555555555"
    assert second.uuid == ""  # the driver does not know it before the GPU was used
    assert (first.driver, first.driver_version, first.memory_bytes) == ("nvidia", "570.86.15", None)
    assert found.cpu.sockets == 2
    assert found.cpu.instruction_sets[-3:] == ["amx_tile", "amx_int8", "amx_bf16"]
    (cuda,) = [api for api in found.apis if api.present]
    assert (cuda.name, cuda.evidence) == ("cuda", "driver 570.86.15, libcuda.so.1")
    assert found.npus == []
    assert found.problems == ()


@pytest.mark.parametrize("name", ["container_cgroup1", "container_cgroup2"])
def test_a_container_has_what_its_limits_leave(name: str, tmp_path: Path) -> None:
    found = read(laid_out(name, tmp_path))
    cpu, memory = found.cpu, found.memory
    assert (cpu.logical_cores, cpu.allowed_cores, cpu.quota_cores) == (4, 3, 1.5)
    assert cpu.usable_cores == 1.5
    assert (memory.total_bytes, memory.limit_bytes, memory.usable_bytes) == (
        *(16 * GIB, 2 * GIB, 2 * GIB),
    )
    # Of the 1.5 GiB that it has, 1 GiB is of files that can be read again.
    assert memory.now.limit_used_bytes == GIB // 2
    assert memory.now.available_bytes == 2 * GIB - GIB // 2


def test_a_server_of_arm(tmp_path: Path) -> None:
    found = read(laid_out("server_arm", tmp_path))
    cpu = found.cpu
    assert (cpu.model, cpu.vendor, cpu.architecture) == ("Neoverse V1", "arm", "aarch64")
    assert (cpu.sockets, cpu.physical_cores, cpu.logical_cores) == (1, 2, 2)
    assert cpu.allowed_cores == 2  # not 64, which is what the kernel was built for
    assert cpu.max_mhz is None
    assert cpu.instruction_sets == [
        *("neon", "fp16", "dotprod", "sve", "sve_i8mm", "sve_bf16", "i8mm", "bf16"),
    ]
    (npu,) = found.npus
    assert (npu.vendor, npu.name, npu.device) == ("qualcomm", "Qualcomm Cloud AI 100", "accel3")
    assert found.gpus == []


def test_a_machine_with_nothing(tmp_path: Path) -> None:
    found = read(laid_out("nothing", tmp_path))
    assert (found.gpus, found.npus, found.problems) == ([], [], ())
    assert found.cpu.instruction_sets == []
    assert found.cpu.logical_cores == found.cpu.usable_cores == 1
    assert found.memory.now.available_bytes == 409600 * 1024  # an old kernel tells no more
    assert not any(api.present for api in found.apis)


def test_no_machine_at_all(tmp_path: Path) -> None:
    found = read(tmp_path / "nowhere")
    assert (found.cpu.model, found.cpu.logical_cores, found.cpu.usable_cores) == ("", None, 0)
    assert (found.memory.total_bytes, found.memory.usable_bytes) == (None, None)
    assert found.gpus == found.npus == []


@pytest.mark.parametrize(
    ("ids", "kind", "name"),
    [
        ("1002:74A1", "discrete", "AMD Instinct MI300X"),
        ("1002:FFFF", "discrete", "AMD GPU 1002:ffff"),
        ("8086:56A0", "discrete", "Intel Arc A770"),
        ("8086:E20B", "discrete", "Intel Arc B580"),
        ("8086:0001", "integrated", "Intel GPU 8086:0001"),
        ("10DE:2684", "discrete", "NVIDIA GPU 10de:2684"),
    ],
)
def test_cards_by_their_ids(ids: str, kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "sys/bus/pci/devices/0000:41:00.0"
    path.mkdir(parents=True)
    data_centre = ids == "1002:74A1"  # has the class of an accelerator, as NPUs do
    code = "120000" if data_centre else "38000"
    (path / "uevent").write_text(f"PCI_CLASS={code}\nPCI_ID={ids}\n")
    found = read(tmp_path)
    (gpu,) = found.gpus
    assert (gpu.kind, gpu.name, found.npus) == (kind, name, [])


def test_an_accelerator_that_only_its_device_file_shows(tmp_path: Path) -> None:
    for number, text in enumerate(["DRIVER=rocket\n", "DRIVER=odd\n", ""]):
        device = tmp_path / f"sys/class/accel/accel{number}/device"
        device.mkdir(parents=True)
        (device / "uevent").write_text(text)
    names = [(npu.vendor, npu.name, npu.device) for npu in read(tmp_path).npus]
    assert names == [("rockchip", "Rockchip NPU", "accel0"), ("", "accelerator (odd)", "accel1")]


def test_a_card_where_the_pci_bus_is_not_shown(tmp_path: Path) -> None:
    device = tmp_path / "sys/class/drm/card0/device"
    device.mkdir(parents=True)
    (device / "uevent").write_text(
        "DRIVER=xe\nPCI_CLASS=30000\nPCI_ID=8086:64A0\nPCI_SLOT_NAME=0000:00:02.0\n"
    )
    (gpu,) = read(tmp_path).gpus
    assert (gpu.name, gpu.pci) == ("Intel Arc Graphics 130V/140V", "0000:00:02.0")


def test_windows_lends_its_gpus_to_its_own_linux(tmp_path: Path) -> None:
    libraries = tmp_path / "usr/lib/wsl/lib"
    libraries.mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/dxg").touch()
    (libraries / "libd3d12.so").touch()
    assert [api.name for api in read(tmp_path).apis if api.present] == ["directml"]
    (libraries / "libcuda.so.1").touch()
    assert [api.name for api in read(tmp_path).apis if api.present] == ["cuda", "directml"]
