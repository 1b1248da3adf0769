"""MediaPipe's bundles."""

import io
import zipfile

import numpy as np
import pytest

from sensorium.core.errors import InvalidInputError
from tests.models.backends import tflite
from tests.models.backends.contract import Case, TensorContract, artifact, load, numbers
from tests.models.backends.test_litert import calculated

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: sensorium[litert]")


def zipped(members, packing=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as bundle:
        for name, content in members:
            bundle.writestr(name, content)
    return file.getvalue()


def saved(tmp_path, content):
    return artifact(tflite.save(tmp_path / "model.task", content), "mediapipe")


class TestOnePart(TensorContract):
    @pytest.fixture
    def case(self, tmp_path):
        members = [("calculator.tflite", tflite.calculator()), ("labels.txt", "a\nb\n")]
        return Case(saved(tmp_path, zipped(members)), **calculated("calculator/"))


def test_each_part_runs_alone(tmp_path):
    hand = zipped([("detector.tflite", tflite.calculator()), ("marks.tflite", tflite.quantised())])
    members = [("hand.task", hand), ("gesture.tflite", tflite.calculator())]
    model = load(saved(tmp_path, zipped(members, zipfile.ZIP_DEFLATED)))
    assert {each.name for each in model.spec.inputs} == {
        *("hand/detector/a", "hand/detector/b", "hand/marks/x", "gesture/a", "gesture/b")
    }
    assert set(model.spec.optional) == {each.name for each in model.spec.inputs}
    found = model.infer({"hand/marks/x": np.zeros((2, 2), np.int8)}, ["hand/marks/y"])
    assert found["hand/marks/y"].tolist() == [[-1.5, -1.5], [-1.5, -1.5]]
    x = numbers(1)
    with pytest.raises(InvalidInputError, match="hand/marks: the input x is missing"):
        model.infer({"gesture/a": x, "gesture/b": x}, ["gesture/sum", "hand/marks/y"])
    model.close()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("labels.txt", "a")], "holds no TFLite model"),
        ([(f"{n}.txt", "") for n in range(65)], "more than 64 members"),
        ([("a.tflite", bytes(4 << 20))], "far more than it is"),
        ([("x/a.tflite", tflite), ("y/a.tflite", tflite)], "the same name"),
        ([("a.tflite", b"\x1c\0\0\0TFL3" + bytes(64))], "a: LiteRT cannot load it"),
    ],
)
def test_bundles_that_are_none(tmp_path, members, reason):
    content = tflite.calculator()
    whole = [(name, content if each is tflite else each) for name, each in members]
    with pytest.raises(InvalidInputError, match=reason):
        load(saved(tmp_path, zipped(whole, zipfile.ZIP_DEFLATED)))


def test_a_bundle_that_lies_about_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr("sensorium.models.backends.mediapipe.MAX_BYTES", 100)
    with pytest.raises(InvalidInputError, match="unpacks to more than"):
        load(saved(tmp_path, zipped([("a.tflite", tflite.calculator())])))
    monkeypatch.undo()
    whole = bytearray(zipped([("a.tflite", tflite.calculator())]))
    at = whole.rindex(b"PK\x01\x02")
    whole[at + 24 : at + 28] = (1 << 29).to_bytes(4, "little")
    with pytest.raises(InvalidInputError):
        load(saved(tmp_path, bytes(whole)))


def test_names_never_become_paths(tmp_path):
    made = saved(tmp_path / "deep", zipped([("../../evil.tflite", tflite.calculator())]))
    model = load(made)
    assert [each.name for each in model.spec.outputs] == ["evil/product", "evil/sum"]
    assert [each.name for each in tmp_path.rglob("*")] == ["deep", "model.task"]
    model.close()
