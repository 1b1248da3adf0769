"""Tiny real models, made here."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from sensorium.models.artifact import Artifact


def mlp(folder: Path, *, width: int = 8, hidden: int = 16, out: int = 3, seed: int = 0) -> Path:
    """x [-1, width] -> y [-1, out]: two dense layers with a ReLU."""
    return dense(folder, (width, hidden, out), seed=seed)


def dense(folder: Path, widths: Sequence[int], seed: int = 0) -> Path:
    """x [-1, first width] -> y [-1, last width]: dense layers with a ReLU between any two."""
    random = np.random.default_rng(seed)
    nodes, tensors, before = [], [], "x"
    last = len(widths) - 2
    for number, size in enumerate(pairwise(widths)):
        weights = random.standard_normal(size, dtype=np.float32)
        tensors.append(numpy_helper.from_array(weights, f"w{number}"))
        after = "y" if number == last else f"h{number}"
        nodes.append(helper.make_node("MatMul", [before, f"w{number}"], [after]))
        if number < last:
            nodes.append(helper.make_node("Relu", [after], [before := f"r{number}"]))
    wide = [("x", T.FLOAT, [None, widths[0]])], [("y", T.FLOAT, [None, widths[-1]])]
    return save(folder, nodes, *wide, tensors)


def echo(folder: Path) -> Path:
    """x INT64 [-1, 4] -> the same: whose answer it is shows."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return save(folder, nodes, [("x", T.INT64, [None, 4])], [("y", T.INT64, [None, 4])])


def running_sum(folder: Path) -> Path:
    """x [-1, 2] -> its sum over the first axis so far: rows that are time, not a batch."""
    axis = numpy_helper.from_array(np.array(0, dtype=np.int64), "axis")
    nodes = [helper.make_node("CumSum", ["x", "axis"], ["y"])]
    return save(folder, nodes, [("x", T.FLOAT, [None, 2])], [("y", T.FLOAT, [None, 2])], [axis])


def identity(folder: Path, kind: int, shape: Sequence[int | None]) -> Path:
    """x of any type -> the same."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return save(folder, nodes, [("x", kind, shape)], [("y", kind, shape)])


def slow(folder: Path, rounds: int = 300, width: int = 256) -> Path:
    """x [-1, width] -> the same after so many products with a matrix, one after the other."""
    turn = numpy_helper.from_array(np.eye(width, dtype=np.float32)[::-1].copy(), "turn")
    nodes, before = [], "x"
    for number in range(rounds):
        after = "y" if number == rounds - 1 else f"h{number}"
        nodes.append(helper.make_node("MatMul", [before, "turn"], [after]))
        before = after
    wide = [None, width]
    return save(folder, nodes, [("x", T.FLOAT, wide)], [("y", T.FLOAT, wide)], [turn])


def save(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, int, Sequence[int | None]]],
    outputs: Sequence[tuple[str, int, Sequence[int | None]]],
    tensors: Sequence[onnx.TensorProto] = (),
) -> Path:
    """Write a graph as `folder`/model.onnx."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        list(tensors),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def artifact(path: Path, name: str = "model", version: str = "1") -> Artifact:
    """A file as the catalogue would tell of it."""
    return Artifact(
        name, version, "onnx", path, size=path.stat().st_size, digest=f"{name}-{version}-{path}"
    )
