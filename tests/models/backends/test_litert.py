"""TFLite models."""

import numpy as np
import pytest

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.models.backends.base import LoadOptions
from sensorium.models.running import proves_batching
from tests.models.backends import tflite
from tests.models.backends.contract import Case, TensorContract, artifact, load, numbers
from tests.servers import ROOT

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: sensorium[litert]")
DATA = ROOT.parent / "shared/data/models/tflite"


def calculated(prefix=""):
    a, b, total, product = (prefix + name for name in ("a", "b", "sum", "product"))
    return {
        "inputs": lambda rows: {a: numbers(rows), b: numbers(rows) + 1},
        "expected": lambda x: {total: x[a] + x[b], product: x[a] * x[b]},
    }


def saved(tmp_path, content):
    return artifact(tflite.save(tmp_path / "model.tflite", content), "litert")


class TestSigned(TensorContract):
    @pytest.fixture
    def case(self, tmp_path):
        return Case(saved(tmp_path, tflite.calculator()), **calculated())


class TestUnsigned(TensorContract):
    @pytest.fixture
    def case(self, tmp_path):
        return Case(saved(tmp_path, tflite.calculator(signatures=())), **calculated())


def test_several_signatures_are_parts(tmp_path):
    model = load(saved(tmp_path, tflite.calculator(signatures=("first", "second"))))
    assert [each.name for each in model.spec.inputs] == [
        *("first/a", "first/b", "second/a", "second/b")
    ]
    x = numbers(2)
    found = model.infer({"second/a": x, "second/b": x}, ["second/sum"])
    np.testing.assert_allclose(found["second/sum"], x + x)
    with pytest.raises(InvalidInputError, match="second: the input b is missing"):
        model.infer({"second/a": x}, ["second/sum"])
    with pytest.raises(InvalidInputError, match="no output that is wanted needs 'first/a'"):
        model.infer({"second/a": x, "second/b": x, "first/a": x}, ["second/sum"])


def test_quantised_tensors_are_served_as_they_are(tmp_path):
    model = load(saved(tmp_path, tflite.quantised(scale=0.5, zero=3)))
    assert [(each.datatype, each.shape) for each in model.spec.inputs] == [("INT8", [-1, 2])]
    found = model.infer({"x": np.array([[3, 5], [1, -7]], np.int8)}, ["y"])
    assert found["y"].tolist() == [[0.0, 1.0], [-1.0, -5.0]]


def test_strings_are_refused_when_the_model_is_loaded(tmp_path):
    with pytest.raises(InvalidInputError, match="only numbers and booleans"):
        load(saved(tmp_path, tflite.strings()))


def test_what_computes_is_never_the_cpu_in_silence(tmp_path):
    made = saved(tmp_path, tflite.calculator())
    with pytest.raises(UnavailableError, match=r"gpu (is not available|could not be started)"):
        load(made, LoadOptions(providers=["gpu"]))
    model = load(made, LoadOptions(providers=["gpu", "cpu"], fallback=True, threads=2))
    assert model.spec.providers == ["cpu"]
    assert model.spec.degraded.startswith("gpu")


@pytest.mark.skipif(not DATA.is_dir(), reason="the data that lies beside the project is not here")
def test_real_files():
    sine = load(artifact(DATA / "hello_world_float.tflite", "litert"))
    assert proves_batching(sine)
    x = np.linspace(0, 6, 50, dtype=np.float32)[:, None]
    (name,) = (each.name for each in sine.spec.outputs)
    assert np.abs(sine.infer({"dense_input": x}, [name])[name] - np.sin(x)).max() < 0.2
    speech = load(artifact(DATA / "micro_speech_quantized.tflite", "litert"))
    assert [(each.datatype, each.shape) for each in speech.spec.inputs] == [("INT8", [1, 1960])]
    with pytest.raises(InvalidInputError, match="SignalWindow"):
        load(artifact(DATA / "audio_preprocessor_int8.tflite", "litert"))
