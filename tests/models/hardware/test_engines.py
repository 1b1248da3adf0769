"""What engines say that they can run on."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from sensorium.models.hardware.engines import probing, unloaded
from sensorium.models.hardware.parts import unwatched

LLAMA = "sensorium.models.hardware.engines.llama"


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_known", {})


def test_onnxruntime_lists_what_it_was_built_with() -> None:
    ort = pytest.importorskip("onnxruntime")
    found = probing.ask("onnxruntime", unwatched)
    assert found.installed
    assert found.builds == set(ort.get_available_providers())
    assert "CPUExecutionProvider" in found.builds


def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probing.LIBRARIES, "torch", "there_is_no_such_engine")
    assert probing.ask("torch", unwatched) == probing.Engine(installed=False)


@pytest.fixture
def xllamacpp(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A package of that name, with its devices."""
    devices = [{"name": name} for name in ("CPU", "CUDA0", "CUDA1", "Vulkan0", "MTL0", "")]
    module = SimpleNamespace(get_device_info=lambda: devices, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "xllamacpp", module)
    monkeypatch.delitem(sys.modules, LLAMA, raising=False)
    yield module
    sys.modules.pop(LLAMA, None)


def test_llama_cpp_lists_its_devices(xllamacpp: SimpleNamespace) -> None:
    found = probing.ask("llama.cpp", unwatched)
    assert found.builds == {"CPU", "CUDA", "Vulkan", "Metal"}


def test_llama_cpp_that_fails_is_told_and_asked_again(xllamacpp: SimpleNamespace) -> None:
    whole = xllamacpp.get_device_info

    def fail() -> list[dict[str, str]]:
        raise RuntimeError("no device")

    xllamacpp.get_device_info = fail
    found = probing.ask("llama.cpp", unwatched)
    assert found.problem == "xllamacpp is installed, but cannot be loaded"
    xllamacpp.get_device_info = whole
    assert "CUDA" in probing.ask("llama.cpp", unwatched).builds


def test_an_engine_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(check: Callable[[], None]) -> frozenset[str]:
        raise TimeoutError

    monkeypatch.setitem(probing.LIBRARIES, "llama.cpp", "sys")
    monkeypatch.setitem(probing._PROBES, "llama.cpp", hang)
    assert probing.ask("llama.cpp", unwatched).problem == "xllamacpp did not answer within 5 s"


@pytest.mark.parametrize(
    ("version", "built"),
    [
        ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n", ()),
        ("cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", ("cuda",)),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '7.1.25424'\n", ("hip",)),
        ("xpu: Optional[str] = '20260101'\n", ("xpu",)),
        ("", ()),
    ],
)
def test_torch_is_read_from_its_files(
    version: str, built: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "torch/version.py").write_text(version)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert probing.ask("torch", unwatched).builds == {"cpu", *built}
    assert "torch" not in sys.modules


def test_litert_is_read_from_its_files(tmp_path: Path) -> None:
    assert unloaded.litert_builds(tmp_path) == {"CPU"}
    (tmp_path / "libLiteRtWebGpuAccelerator.so").touch()
    (tmp_path / "vendors/qualcomm/compiler").mkdir(parents=True)
    assert unloaded.litert_builds(tmp_path) == {"CPU", "GPU"}
    (tmp_path / "vendors/intel/dispatch").mkdir(parents=True)
    (tmp_path / "vendors/intel/dispatch/libDispatch.so").touch()
    assert unloaded.litert_builds(tmp_path) == {"CPU", "GPU", "NPU"}


def test_where_a_library_lies() -> None:
    assert unloaded.folder_of("msgspec") == Path(import_module("msgspec").__file__ or "").parent
    assert unloaded.folder_of("sys") is None
    assert unloaded.folder_of("there_is_no_such_library") is None
