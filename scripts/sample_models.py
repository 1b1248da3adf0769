"""The sample models that the package ships, made anew from made-up measurements of machines.

    python scripts/sample_models.py

Needs lightgbm, onnxmltools and onnx. `machine-state` is a small neural network (numpy trains it)
that tells a machine's state; `machine-life` is a LightGBM regression of the hours that it has
left, as the ONNX file that serves it and as the text that LightGBM wrote.
"""

import hashlib
from pathlib import Path

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from sensorium.models.catalogue.manifest import Entry, Manifest, ManifestFile, write_manifest

FOLDER = Path(__file__).parent.parent / "src" / "sensorium" / "models" / "samples"
MEANS = np.array([[60.0, 2.0, 10.0], [75.0, 5.0, 12.0], [92.0, 9.0, 15.0]])
SPREADS = np.array([[8.0, 0.7, 1.5], [8.0, 1.2, 1.5], [10.0, 2.0, 2.0]])
"""Of temperature (degrees Celsius), vibration (mm/s) and current (A): normal, worn, failing."""
HIDDEN = 16
STEPS = 2000
RATE = 0.05


def main() -> None:
    """Train and write both."""
    random = np.random.default_rng(20_261_126)
    states = random.integers(0, 3, 3000)
    measured = random.normal(MEANS[states], SPREADS[states])
    save("machine-state", state_model(measured, states, random))
    hours = random.uniform(0, 20_000, 3000)
    left = np.maximum(
        0, 24_000 - hours - 9_000 * states - 60 * (measured[:, 0] - 60) - 300 * measured[:, 1]
    )
    life = life_model(np.column_stack([measured, hours]), left)
    (FOLDER / "machine-life").mkdir(parents=True, exist_ok=True)
    save(
        "machine-life",
        convert_lightgbm(
            life,
            initial_types=[("measurements", FloatTensorType([None, 4]))],
            target_opset=15,
        ),
    )


def save(name: str, model: onnx.ModelProto) -> None:
    """Write a model into its folder."""
    (FOLDER / name).mkdir(parents=True, exist_ok=True)
    onnx.checker.check_model(model)
    onnx.save(model, FOLDER / name / "model.onnx")
    content = (FOLDER / name / "model.onnx").read_bytes()
    file = ManifestFile(
        path="model.onnx",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        verified=True,
    )
    only = (file.path,)
    manifest = Manifest(
        source="sensorium",
        licence="apache-2.0",
        task="tabular-classification" if name == "machine-state" else "tabular-regression",
        entries=(Entry(format="onnx", path=file.path, weights=only, files=only),),
        files=(file,),
        fetched_at=0.0,
    )
    write_manifest(FOLDER / name, manifest)


def life_model(inputs: np.ndarray, left: np.ndarray) -> lightgbm.Booster:
    """Gradient-boosted trees."""
    parameters = {"objective": "regression", "num_leaves": 15, "verbose": -1, "seed": 1}
    names = ["temperature", "vibration", "current", "hours"]
    data = lightgbm.Dataset(inputs, left, feature_name=names)
    return lightgbm.train({**parameters, "deterministic": True}, data, num_boost_round=40)


def state_model(
    inputs: np.ndarray, states: np.ndarray, random: np.random.Generator
) -> onnx.ModelProto:
    """A hidden layer and a softmax, by gradient descent on the cross-entropy."""
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    x, wanted = (inputs - mean) / spread, np.eye(3)[states]
    first, second = random.normal(0, 0.5, (3, HIDDEN)), random.normal(0, 0.5, (HIDDEN, 3))
    first_bias, second_bias = np.zeros(HIDDEN), np.zeros(3)
    for _ in range(STEPS):
        hidden = np.maximum(0, x @ first + first_bias)
        scores = np.exp(hidden @ second + second_bias)
        wrong = (scores / scores.sum(axis=1, keepdims=True) - wanted) / len(x)
        back = wrong @ second.T * (hidden > 0)
        second -= RATE * 10 * hidden.T @ wrong
        second_bias -= RATE * 10 * wrong.sum(axis=0)
        first -= RATE * 10 * x.T @ back
        first_bias -= RATE * 10 * back.sum(axis=0)
    tensors = {
        "mean": mean,
        "spread": spread,
        "first": first,
        "first_bias": first_bias,
        "second": second,
        "second_bias": second_bias,
    }
    nodes = [
        ("Sub", ["measurements", "mean"], "centred"),
        ("Div", ["centred", "spread"], "scaled"),
        ("Gemm", ["scaled", "first", "first_bias"], "layer"),
        ("Relu", ["layer"], "hidden"),
        ("Gemm", ["hidden", "second", "second_bias"], "scores"),
    ]
    graph = helper.make_graph(
        [
            *(helper.make_node(kind, given, [made]) for kind, given, made in nodes),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["state"], axis=1, keepdims=0),
        ],
        "machine-state",
        [helper.make_tensor_value_info("measurements", TensorProto.FLOAT, ["rows", 3])],
        [
            helper.make_tensor_value_info("state", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3]),
        ],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


if __name__ == "__main__":
    main()
