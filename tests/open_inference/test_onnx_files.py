"""Other people's ONNX files through a running server: what each gives, or why it cannot be run."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.tensors import Tensor
from tests.servers import ROOT, serving

FOLDER = ROOT.parent / "shared" / "data" / "models" / "onnx"
HEADER = "Inference-Header-Content-Length"
TABLE = FOLDER / "expect.csv"
EXPECTED = list(csv.DictReader(TABLE.read_text().splitlines())) if TABLE.exists() else []
pytestmark = pytest.mark.skipif(not EXPECTED, reason="../shared/data/models/onnx is not there")


@pytest.fixture(scope="module")
def http(tmp_path_factory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    for row in EXPECTED:
        name = row["case"].removesuffix(".onnx")
        source = FOLDER / row["case"]
        (folder / name).mkdir()
        shutil.copy(source / "model.onnx" if source.is_dir() else source, folder / name)
    with (
        serving(environ={"SENSORIUM_MODEL_CACHE_PATH": str(folder)}) as server,
        server.client() as client,
    ):
        yield client


def cases(*results):
    return [
        row["case"].removesuffix(".onnx")
        for row in EXPECTED
        if row["onnxruntime_cpu_result"] in results
    ]


def infer(http, name, arrays):
    """Outputs by name, through the binary tensor extension."""
    tensors = [to_tensor(key, array) for key, array in arrays.items()]
    inputs = [
        {
            "name": each.name,
            "datatype": each.datatype,
            "shape": each.shape,
            "parameters": {"binary_data_size": len(each.data)},
        }
        for each in tensors
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    answer = http.post(
        f"/v2/models/{name}/infer",
        content=b"".join([head, *(bytes(each.data) for each in tensors)]),
        headers={HEADER: str(len(head))},
    )
    assert answer.status_code == 200, answer.text
    length = int(answer.headers[HEADER])
    told, at, found = json.loads(answer.content[:length]), length, {}
    for each in told["outputs"]:
        size = each["parameters"]["binary_data_size"]
        tensor = Tensor(
            datatype=each["datatype"], shape=each["shape"], data=answer.content[at : at + size]
        )
        found[each["name"]], at = to_array(tensor), at + size
    assert at == len(answer.content)
    return found


def read(path: Path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


@pytest.mark.parametrize("name", cases("output_matches"))
def test_the_outputs_are_those_that_come_with_the_model(http, name):
    given = FOLDER / name / "test_data_set_0"
    metadata = http.get(f"/v2/models/{name}").json()
    arrays = {
        each["name"]: read(given / f"input_{n}.pb") for n, each in enumerate(metadata["inputs"])
    }
    found = infer(http, name, arrays)
    for n, each in enumerate(metadata["outputs"]):
        expected = read(given / f"output_{n}.pb")
        np.testing.assert_allclose(found[each["name"]], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", cases("loads"))
def test_a_model_that_loads_runs(http, name):
    metadata = http.get(f"/v2/models/{name}").json()
    arrays = {}
    for each in metadata["inputs"]:
        shape = [max(1, extent) for extent in each["shape"]]
        if each["datatype"] == "BYTES":
            arrays[each["name"]] = np.full(shape, "text", dtype=object)
        else:
            arrays[each["name"]] = np.ones(shape, np.float32)
    found = infer(http, name, arrays)
    assert set(found) == {each["name"] for each in metadata["outputs"]}
    for each in metadata["outputs"]:
        told = [extent for extent in each["shape"] if extent != -1]
        assert [extent for extent in found[each["name"]].shape if extent in told] == told


def test_squeezenet_gives_the_output_that_comes_with_it(http):
    expected = read(FOLDER / "light_squeezenet_output_0.pb")
    found = infer(http, "light_squeezenet", {"data_0": np.ones((1, 3, 224, 224), np.float32)})
    np.testing.assert_allclose(found["softmaxout_1"], expected, rtol=1e-3)


def test_a_classifiers_scores_are_a_table(http):
    found = infer(http, "logreg_iris", {"float_input": np.ones((3, 2), np.float32)})
    assert found["probabilities"].shape == (3, 3)
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1.0, rtol=1e-5)
    assert found["label"].tolist() == found["probabilities"].argmax(axis=1).tolist()


@pytest.mark.parametrize("name", cases("unsupported", "load_error"))
def test_what_cannot_be_run_is_said_clearly(http, name):
    answer = http.get(f"/v2/models/{name}")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert "ONNX Runtime cannot load it" in error
    assert "/" not in error
    assert http.get("/healthz").status_code == 200
