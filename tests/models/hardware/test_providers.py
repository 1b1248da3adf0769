"""Execution providers: the table, and which of them a machine has."""

from collections import Counter
from pathlib import Path

import pytest

from sensorium.models.hardware.engines.probing import LIBRARIES, Engine
from sensorium.models.hardware.providers import MISSING, Machine, definitions, told
from sensorium.models.hardware.schema import EngineName, Provider
from tests.models.hardware.machines import laid_out, read
from tests.servers import ROOT

CPU_WHEEL = Engine(True, frozenset({"AzureExecutionProvider", "CPUExecutionProvider"}))
GPU_WHEEL = Engine(
    True,
    frozenset({"TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"}),
)
NONE = Engine(installed=False)
NOTHING = Machine("linux", "x86_64", [], [], [])


def machine(name: str, folder: Path) -> Machine:
    found = read(laid_out(name, folder))
    return Machine("linux", found.cpu.architecture, found.gpus, found.npus, found.apis)


def row(found: list[Provider], name: str, engine: str = "onnxruntime") -> Provider:
    (only,) = [each for each in found if (each.id, each.engine) == (name, engine)]
    return only


def only(engine: EngineName, how: Engine, there: Machine = NOTHING) -> list[Provider]:
    return told(there, lambda _: how, engine)


def test_the_table_has_what_it_must() -> None:
    rows = definitions()
    assert len(rows) >= 25
    assert {each.engine for each in rows} == LIBRARIES.keys()
    twice = [key for key, n in Counter((r.engine, r.id) for r in rows).items() if n > 1]
    assert not twice
    for each in rows:
        assert each.id.islower(), each
        assert each.platforms, each
        assert not each.needs or each.needs in MISSING, each
    for engine in LIBRARIES:
        assert row(only(engine, NONE), "cpu", engine).device == "cpu"


def test_it_has_every_provider_that_onnxruntime_knows() -> None:
    ort = pytest.importorskip("onnxruntime")
    ours = {r.name for r in definitions() if r.engine == "onnxruntime" and not r.retired}
    assert not set(ort.get_all_providers()) - ours


def test_a_gpu_wheel_on_a_machine_with_a_driver(tmp_path: Path) -> None:
    found = only("onnxruntime", GPU_WHEEL, machine("server_nvidia", tmp_path))
    assert [each.id for each in found if each.available] == ["cuda", "tensorrt", "cpu"]


def test_a_gpu_wheel_without_a_driver_has_the_cpu_alone() -> None:
    found = only("onnxruntime", GPU_WHEEL)
    assert [each.id for each in found if each.available] == ["cpu"]
    assert row(found, "cuda").reason == "no NVIDIA driver"


def test_a_cpu_wheel_on_a_machine_with_a_gpu_says_what_to_install(tmp_path: Path) -> None:
    found = only("onnxruntime", CPU_WHEEL, machine("server_nvidia", tmp_path))
    assert row(found, "cuda").reason == (
        "onnxruntime here was built without it: install onnxruntime-gpu in its place"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("directml", "needs Windows"),
        ("coreml", "needs macOS or iOS"),
        ("webnn", "needs a browser"),
        ("rocm", "retired since onnxruntime 1.23: use migraphx"),
        ("migraphx", "no AMD GPU with the compute driver (ROCm)"),
        ("vitisai", "no NPU of AMD"),
        ("acl", "no Arm processor"),
        ("dnnl", "onnxruntime here was built without it: it has to be built with it"),
    ],
)
def test_why_one_is_not_available(name: str, reason: str) -> None:
    found = row(only("onnxruntime", CPU_WHEEL), name)
    assert (found.available, found.reason) == (False, reason)


def test_an_engine_that_is_missing_or_unwell() -> None:
    assert row(only("litert", NONE), "cpu", "litert").reason == (
        "litert is not installed: pip install 'sensorium[litert]'"
    )
    unwell = Engine(True, problem="xllamacpp did not answer within 5 s")
    assert row(only("llama.cpp", unwell), "cpu", "llama.cpp").reason == unwell.problem


def test_what_other_engines_have(tmp_path: Path) -> None:
    desktop = machine("desktop_radeon", tmp_path)
    torch = only("torch", Engine(True, frozenset({"cpu", "hip"})), desktop)
    assert [(each.id, each.name) for each in torch if each.available] == [
        *(("rocm", "cuda"), ("cpu", "cpu")),  # torch calls it cuda, whosever GPU it is
    ]
    llama = only("llama.cpp", Engine(True, frozenset({"CPU", "Vulkan"})), desktop)
    assert [each.id for each in llama if each.available] == ["vulkan", "cpu"]
    assert row(llama, "rocm", "llama.cpp").reason == (
        "llama.cpp here was built without it: install another build of xllamacpp"
    )
    litert = only("litert", Engine(True, frozenset({"CPU", "GPU", "NPU"})), desktop)
    assert [each.id for each in litert if each.available] == ["gpu", "cpu"]


def test_other_systems_have_others() -> None:
    mac = Machine("macos", "arm64", [], [], [])
    found = only("onnxruntime", Engine(True, frozenset({"CoreMLExecutionProvider"})), mac)
    assert [each.id for each in found if each.available] == ["coreml"]
    assert row(found, "cuda").reason == "needs Linux or Windows"


def test_the_page_has_every_provider() -> None:
    page = (ROOT / "docs" / "hardware.md").read_text()
    lines = [
        f"| {r.engine} | `{r.id}` | {r.vendor} | {r.device} | {', '.join(r.platforms)} | "
        f"{_told(r.package, r.retired)} |"
        for r in definitions()
    ]
    missing = [line for line in lines if line not in page]
    assert not missing, "the table of docs/hardware.md lacks:\n" + "\n".join(missing)
    assert page.count("\n| onnxruntime | ") == sum(r.engine == "onnxruntime" for r in definitions())


def _told(package: str, retired: str) -> str:
    if retired:
        return f"retired {retired}"
    return f"`{package}`" if package else "a build of one's own"
