"""ONNX models keep to what every backend does; more of them is in tests/models/test_runs.py."""

import pytest
from onnx import TensorProto as T
from onnx import helper

from tests.models import files
from tests.models.backends.contract import Case, TensorContract, artifact, numbers


class TestOnnx(TensorContract):
    @pytest.fixture
    def case(self, tmp_path):
        nodes = [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Mul", ["a", "b"], ["product"]),
        ]
        inputs, outputs = ([(n, T.FLOAT, [None, 3]) for n in pair] for pair in NAMES)
        path = files.save(tmp_path, nodes, inputs, outputs)
        return Case(
            artifact(path, "onnx"),
            lambda rows: {"a": numbers(rows), "b": numbers(rows) + 1},
            lambda x: {"sum": x["a"] + x["b"], "product": x["a"] * x["b"]},
        )


NAMES = (("a", "b"), ("sum", "product"))
