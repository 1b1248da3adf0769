"""What is asked for is what computes, or it is said."""

from pathlib import Path

import pytest

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.models.hardware.choosing import choose, confirmed
from sensorium.models.hardware.detect import available
from sensorium.models.hardware.engines.probing import Engine
from sensorium.models.hardware.providers import Machine, told
from sensorium.models.hardware.schema import Api, Provider


def providers(*, driver: bool) -> list[Provider]:
    """Those of an ONNX Runtime for NVIDIA, on a machine with a driver or without."""
    machine = Machine("linux", "x86_64", [], [], [Api(name="cuda", present=driver)])
    names = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    return told(machine, lambda _: Engine(True, frozenset(names)), "onnxruntime")


HERE, NO_DRIVER = providers(driver=True), providers(driver=False)


@pytest.mark.parametrize("fallback", [True, False])
@pytest.mark.parametrize(
    ("requested", "ids"),
    [
        ([], ["cpu"]),
        (["cpu"], ["cpu"]),
        (["cuda"], ["cuda"]),
        (["tensorrt", "cuda", "cpu"], ["tensorrt", "cuda", "cpu"]),
        (["cuda", "CUDA", "CUDAExecutionProvider"], ["cuda"]),
        (["TensorRT", "cpuexecutionprovider"], ["tensorrt", "cpu"]),
    ],
)
def test_what_is_here_is_taken_in_the_order_asked_for(
    requested: list[str], ids: list[str], fallback: bool
) -> None:
    choice = choose(requested, HERE, fallback=fallback)
    assert (choice.ids, choice.degraded) == (ids, "")


def test_names_are_the_engines_own() -> None:
    assert choose(["cuda", "cpu"], HERE, fallback=False).names == [
        *("CUDAExecutionProvider", "CPUExecutionProvider"),
    ]
    assert choose(["nv-tensorrt-rtx"], HERE, fallback=True).degraded.startswith("nv_tensorrt_rtx: ")


def test_one_that_is_not_available_is_an_error_that_says_why() -> None:
    with pytest.raises(UnavailableError, match="cuda is not available here: no NVIDIA driver") as e:
        choose(["cuda", "cpu"], NO_DRIVER, fallback=False)
    assert e.value.details == {"provider": "cuda", "reason": "no NVIDIA driver"}


def test_one_that_is_unknown_is_an_error_that_names_the_known() -> None:
    with pytest.raises(InvalidInputError, match="there is no provider 'gpu'; there are cuda, "):
        choose(["gpu"], HERE, fallback=False)


@pytest.mark.parametrize(
    ("requested", "ids", "degraded"),
    [
        (["cuda"], ["cpu"], "cuda: no NVIDIA driver"),
        (["tensorrt", "cuda"], ["cpu"], "tensorrt: no NVIDIA driver; cuda: no NVIDIA driver"),
        (["cuda", "cpu"], ["cpu"], "cuda: no NVIDIA driver"),
        (["warp"], ["cpu"], "warp: unknown"),
    ],
)
def test_with_fallback_the_cpu_takes_its_place_and_it_is_said(
    requested: list[str], ids: list[str], degraded: str
) -> None:
    choice = choose(requested, NO_DRIVER, fallback=True)
    assert (choice.ids, choice.degraded) == (ids, degraded)


def test_with_fallback_the_others_stay() -> None:
    choice = choose(["directml", "cuda"], HERE, fallback=True)
    assert (choice.ids, choice.degraded) == (["cuda"], "directml: needs Windows")


@pytest.mark.parametrize("fallback", [True, False])
def test_where_there_is_not_even_a_cpu(fallback: bool) -> None:
    machine = Machine("linux", "x86_64", [], [], [])
    none = told(machine, lambda _: Engine(installed=False), "torch")
    with pytest.raises(
        UnavailableError, match=r"torch is not installed: pip install 'sensorium\[torch\]'"
    ):
        choose([], none, fallback=fallback)


def test_what_the_engine_left_out_is_found() -> None:
    choice = choose(["tensorrt", "cuda"], HERE, fallback=False)
    assert confirmed(choice, [*choice.names, "CPUExecutionProvider"], fallback=False) is choice
    used = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    with pytest.raises(UnavailableError, match="tensorrt could not be started"):
        confirmed(choice, used, fallback=False)
    kept = confirmed(choice, used, fallback=True)
    assert kept.ids == ["cuda"]
    assert kept.degraded.startswith("tensorrt could not be started")


@pytest.fixture
def model(tmp_path: Path) -> str:
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    same = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "identity", [value], [same])
    opset = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "identity.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return str(path)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_onnxruntime_swaps_in_silence_and_we_do_not(model: str) -> None:
    ort = pytest.importorskip("onnxruntime")
    known = available("onnxruntime")
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this is a build for CUDA")
    session = ort.InferenceSession(model, providers=["CUDAExecutionProvider"])
    assert session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(UnavailableError, match="cuda is not available here"):
        choose(["cuda"], known, fallback=False)
    choice = choose(["cuda"], HERE, fallback=False)  # as if it had been built with it
    with pytest.raises(UnavailableError, match="cuda could not be started"):
        confirmed(choice, session.get_providers(), fallback=False)
    choice = choose(["cuda"], known, fallback=True)
    session = ort.InferenceSession(model, providers=choice.names)
    assert confirmed(choice, session.get_providers(), fallback=True) == choice
    assert (choice.ids, bool(choice.degraded)) == (["cpu"], True)
