"""TFLite files, written with the schema's own classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FLOAT32, INT32, STRING, INT8 = 0, 2, 5, 9


def calculator(kind: int = FLOAT32, signatures: Sequence[str] = ("serving_default",)) -> bytes:
    """a, b [-1, 3] -> sum and product, under each of these signatures; without any, unsigned."""
    schema = _schema()
    tensors = [_tensor(name, kind, [-1, 3]) for name in ("a", "b", "sum", "product")]
    adding = _operator(0, [0, 1], [2], schema.BuiltinOptions.AddOptions, schema.AddOptionsT())
    product = _operator(1, [0, 1], [3], schema.BuiltinOptions.MulOptions, schema.MulOptionsT())
    return model(
        tensors,
        [schema.BuiltinOperator.ADD, schema.BuiltinOperator.MUL],
        [adding, product],
        {"a": 0, "b": 1},
        {"sum": 2, "product": 3},
        signatures,
    )


def quantised(scale: float = 0.5, zero: int = 3) -> bytes:
    """x INT8 [-1, 2] -> the same, requantised: y = x with a scale of its own."""
    schema = _schema()
    tensors = [_tensor("x", INT8, [-1, 2]), _tensor("y", FLOAT32, [-1, 2])]
    tensors[0].quantization = quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [scale], [zero]
    options = schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT()
    operator = _operator(0, [0], [1], *options)
    return model(
        tensors, [schema.BuiltinOperator.DEQUANTIZE], [operator], {"x": 0}, {"y": 1}, ["main"]
    )


def strings() -> bytes:
    """x STRING [1] -> its text's shape: no numbers."""
    schema = _schema()
    tensors = [_tensor("x", STRING, [1]), _tensor("y", INT32, [1])]
    options = schema.ShapeOptionsT()
    options.outType = INT32
    operator = _operator(0, [0], [1], schema.BuiltinOptions.ShapeOptions, options)
    return model(tensors, [schema.BuiltinOperator.SHAPE], [operator], {"x": 0}, {"y": 1}, ["main"])


def model(
    tensors: Sequence[Any],
    codes: Sequence[int],
    operators: Sequence[Any],
    inputs: dict[str, int],
    outputs: dict[str, int],
    signatures: Sequence[str],
) -> bytes:
    """The bytes of a file with one graph."""
    import flatbuffers

    schema = _schema()
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.name = list(tensors), list(operators), "main"
    graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
    whole = schema.ModelT()
    whole.version, whole.subgraphs, whole.buffers = 3, [graph], [schema.BufferT()]
    whole.operatorCodes = [_code(code) for code in codes]
    whole.signatureDefs = [_signature(name, inputs, outputs) for name in signatures]
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def save(path: Path, content: bytes) -> Path:
    """Write a file, and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _schema() -> Any:
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


def _tensor(name: str, kind: int, shape: Sequence[int]) -> Any:
    tensor = _schema().TensorT()
    tensor.name, tensor.type, tensor.buffer = name, kind, 0
    tensor.shape = np.abs(shape).astype(np.int32)
    tensor.shapeSignature = np.array(shape, np.int32)
    return tensor


def _code(code: int) -> Any:
    made = _schema().OperatorCodeT()
    made.builtinCode = code
    made.deprecatedBuiltinCode = min(code, 127)
    made.version = 1 if code < 100 else 2
    return made


def _operator(
    code: int, inputs: Sequence[int], outputs: Sequence[int], kind: int, options: Any
) -> Any:
    made = _schema().OperatorT()
    made.opcodeIndex, made.builtinOptionsType, made.builtinOptions = code, kind, options
    made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    return made


def _signature(key: str, inputs: dict[str, int], outputs: dict[str, int]) -> Any:
    schema = _schema()
    made = schema.SignatureDefT()
    made.signatureKey = key
    for target, names in (("inputs", inputs), ("outputs", outputs)):
        maps = []
        for name, index in names.items():
            one = schema.TensorMapT()
            one.name, one.tensorIndex = name, index
            maps.append(one)
        setattr(made, target, maps)
    return made
