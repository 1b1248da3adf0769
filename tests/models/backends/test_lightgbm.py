"""LightGBM models, converted and as they are."""

import asyncio

import numpy as np
import pytest

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.models.backends.base import LoadOptions
from sensorium.models.placement.process import InProcess
from tests.models.backends.contract import OPTIONS, Case, TensorContract, artifact, load

lightgbm = pytest.importorskip(
    "lightgbm", reason="LightGBM is not installed: sensorium[lightgbm]", exc_type=ImportError
)
pytest.importorskip("onnxmltools", reason="onnxmltools is not installed: sensorium[lightgbm]")
WIDTH = 6
NATIVE = LoadOptions(providers=["native"])


def rows_of(rows, seed=0):
    """With one decimal, so that many stand exactly where a tree splits."""
    return np.round(np.random.default_rng(seed).normal(size=(rows, WIDTH)), 1).astype(np.float32)


def trained(path, rounds=20, **parameters):
    x = np.round(np.random.default_rng(9).normal(size=(600, WIDTH)), 1)
    y = x[:, 0] * 2 + np.sin(3 * x[:, 1])
    kind = parameters.get("objective", "regression")
    if kind.startswith("multi"):
        y = np.digitize(y, [-1, 1])
    elif kind in ("binary", "cross_entropy"):
        y = y > 0
    parameters = {"verbosity": -1, "num_threads": 1, "seed": 1, **parameters}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), rounds)
    path.write_text(booster.model_to_string())
    return booster


def regressing(tmp_path, options=OPTIONS, **parameters):
    booster = trained(tmp_path / "model.txt", **parameters)
    return Case(
        artifact(tmp_path / "model.txt", "lightgbm"),
        lambda rows: {"input": rows_of(rows, rows)},
        lambda x: {"variable": booster.predict(x["input"])[:, None].astype(np.float32)},
        options=options,
    )


def classifying(tmp_path, options=OPTIONS, **parameters):
    booster = trained(tmp_path / "model.txt", **parameters)

    def expected(x):
        scores = booster.predict(x["input"])
        if scores.ndim == 1:
            scores = np.stack([1 - scores, scores], axis=1)
        return {"label": scores.argmax(axis=1), "probabilities": scores.astype(np.float32)}

    made = artifact(tmp_path / "model.txt", "lightgbm")
    return Case(made, lambda rows: {"input": rows_of(rows, rows)}, expected, options=options)


class TestRegression(TensorContract):
    @pytest.fixture
    def case(self, tmp_path):
        return regressing(tmp_path)


class TestBinary(TensorContract):
    @pytest.fixture
    def case(self, tmp_path):
        return classifying(tmp_path, objective="binary")


class TestSeveralClasses(TensorContract):
    @pytest.fixture
    def case(self, tmp_path):
        return classifying(tmp_path, objective="multiclass", num_class=3)


class TestNative(TensorContract):
    @pytest.fixture
    def case(self, tmp_path):
        return classifying(tmp_path, NATIVE, objective="binary")


def test_it_is_converted_and_says_so(tmp_path):
    case = regressing(tmp_path)
    assert load(case.artifact).spec.platform == "lightgbm_onnx"
    native = load(case.artifact, NATIVE)
    assert (native.spec.platform, native.spec.providers) == ("lightgbm_native", ["native"])


def test_rows_on_a_split_go_the_same_way(tmp_path):
    """A threshold of 0.15 is larger in float32 than in float64, and so is a number of 0.15."""
    booster = trained(tmp_path / "model.txt", rounds=1, num_leaves=8)
    text = booster.model_to_string()
    (line,) = (each for each in text.splitlines() if each.startswith("threshold="))
    low, high = np.float64("0.15"), np.float64(np.float32("0.15"))
    assert high > low
    count = len(line.split("=")[1].split())
    text = text.replace(line, "threshold=" + " ".join(["0.15"] * count))
    text = "\n".join(each for each in text.splitlines() if not each.startswith("tree_sizes"))
    (tmp_path / "model.txt").write_text(text + "\n")
    native = lightgbm.Booster(model_str=text + "\n")
    model = load(artifact(tmp_path / "model.txt", "lightgbm"))
    assert model.spec.platform == "lightgbm_onnx"
    below = np.nextafter(np.float32(0.15), np.float32(0))
    rows = np.array([[v] * WIDTH for v in (np.float32(0.15), below)], dtype=np.float32)
    found = model.infer({"input": rows}, ["variable"])["variable"][:, 0]
    np.testing.assert_allclose(found, native.predict(rows), rtol=1e-5)
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"linear_tree": True}, "gives something else"),
        ({"zero_as_missing": True}, "gives something else"),
        ({"objective": "cross_entropy"}, "cannot be converted"),
    ],
)
def test_what_conversion_would_change_runs_in_lightgbm(tmp_path, parameters, reason):
    case = regressing(tmp_path, **parameters)
    model = load(case.artifact)
    assert model.spec.providers == ["native"]
    assert reason in model.spec.degraded
    inputs = case.inputs(5)
    found = model.infer(inputs, ["variable"])
    np.testing.assert_array_equal(found["variable"], case.expected(inputs)["variable"])


def test_many_leaves_are_not_converted(tmp_path, monkeypatch):
    monkeypatch.setattr("sensorium.models.backends.lightgbm.MAX_LEAVES", 10)
    case = regressing(tmp_path)
    assert "too many to convert" in load(case.artifact).spec.degraded


def test_missing_values_and_no_rows(tmp_path):
    case = regressing(tmp_path)
    rows = rows_of(4)
    rows[1:3] = np.nan
    for options in (OPTIONS, NATIVE):
        model = load(case.artifact, options)
        found = model.infer({"input": rows}, ["variable"])["variable"]
        expected = case.expected({"input": rows})["variable"]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    empty = model.infer({"input": rows[:0]}, ["variable"])["variable"]
    assert empty.shape == (0, 1)


def test_what_computes_is_never_the_cpu_in_silence(tmp_path):
    case = regressing(tmp_path)
    with pytest.raises(UnavailableError, match="cuda is not available"):
        load(case.artifact, LoadOptions(providers=["cuda"]))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("max_feature_idx=5", "max_feature_idx=99999999"),
        lambda text: text.replace("left_child=", "left_child=999999 "),
        lambda text: text.replace("num_leaves=", "num_leaves=7"),
        lambda text: text[: len(text) // 2] + "\nend of trees\n",
    ],
)
def test_damage_inside_is_a_typed_error(tmp_path, damage):
    trained(tmp_path / "model.txt")
    path = tmp_path / "damaged.txt"
    path.write_text(damage((tmp_path / "model.txt").read_text()))

    async def run():
        with pytest.raises(InvalidInputError):
            await InProcess.load(artifact(path, "lightgbm"), OPTIONS)

    asyncio.run(run())
