"""ONNX models through ONNX Runtime."""

import ctypes
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from sensorium.core.errors import (
    CancelledCallError,
    InvalidInputError,
    OverloadedError,
    UnavailableError,
)
from sensorium.core.tensors import Datatype, TensorSpec
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import Arrays, LoadOptions, ModelSpec
from sensorium.models.hardware.choosing import Choice, choose, confirmed
from sensorium.models.hardware.detect import available

DATATYPES: dict[str, Datatype] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
SCORES = "seq(map("
"""What classifiers of scikit-learn's family give: for each row, a score for each class."""
BFLOAT16 = 16
"""ONNX's number of the type (TensorProto.BFLOAT16)."""
SHRINK = "memory.enable_memory_arena_shrinkage"
QUIET = 4
DEVICE_FAILED = ("EPFail", "EngineError", "DeviceReset")
LARGE_BYTES = 32 << 20
"""After inputs of this size, the arena gives back what it grew to."""
ort.set_default_logger_severity(QUIET)


class OnnxModel:
    """A session of ONNX Runtime."""

    def __init__(self, session: ort.InferenceSession, chosen: Choice) -> None:
        self._session: ort.InferenceSession | None = session
        self._scores = {each.name for each in session.get_outputs() if each.type.startswith(SCORES)}
        self._strings = {each.name for each in session.get_inputs() if "string" in each.type}
        self._on_cpu = session.get_providers() == ["CPUExecutionProvider"]
        self._options: ort.RunOptions | None = None
        inputs = [_spec(each) for each in session.get_inputs()]
        outputs = [_spec(each) for each in session.get_outputs()]
        self._bf16 = any(each.datatype == "BF16" for each in (*inputs, *outputs))
        self.spec = ModelSpec(
            platform="onnxruntime_onnx",
            inputs=inputs,
            outputs=outputs,
            optional=[each.name for each in session.get_overridable_initializers()],
            providers=chosen.ids,
            degraded=chosen.degraded,
        )

    def infer(self, inputs: Arrays, outputs: Sequence[str]) -> Mapping[str, Any]:
        """See `LoadedModel.infer`."""
        session = self._session
        if session is None:
            raise UnavailableError("the model was unloaded; try again", retry_after_s=0.1)
        if self._strings:
            inputs = {
                name: _texts(name, array) if name in self._strings else array
                for name, array in inputs.items()
            }
        options = self._options = ort.RunOptions()
        if self._on_cpu and sum(each.nbytes for each in inputs.values()) > LARGE_BYTES:
            options.add_run_config_entry(SHRINK, "cpu:0")
        try:
            if self._bf16:
                found = self._run_values(session, inputs, outputs, options)
            else:
                found = session.run(list(outputs), inputs, options)
        except Exception as error:
            if options.terminate:
                raise CancelledCallError from None
            if "llocat" in str(error):
                raise OverloadedError("the run needs more memory than there is") from None
            if type(error).__name__ in DEVICE_FAILED:
                raise UnavailableError(f"what computes has failed: {_reason(error)}") from None
            raise InvalidInputError(f"the model cannot run this: {_reason(error)}") from None
        finally:
            self._options = None
        return {
            name: _scores(value) if name in self._scores else value
            for name, value in zip(outputs, found, strict=True)
        }

    def interrupt(self) -> None:
        """See `LoadedModel.interrupt`."""
        options = self._options
        if options is not None:
            options.terminate = True

    def close(self) -> None:
        """See `LoadedModel.close`."""
        self._session = None

    def _run_values(
        self,
        session: ort.InferenceSession,
        inputs: Arrays,
        outputs: Sequence[str],
        options: ort.RunOptions,
    ) -> list[Any]:
        """Run with bfloat16 among the tensors, which numpy cannot hold."""
        kinds = {each.name: each.datatype for each in self.spec.inputs}
        values = {
            name: ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, BFLOAT16)
            if kinds.get(name) == "BF16"
            else ort.OrtValue.ortvalue_from_numpy(array)
            for name, array in inputs.items()
        }
        found = session.run_with_ort_values(list(outputs), values, options)
        return [_from_value(each) for each in found]


class OnnxBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> OnnxModel:
        """See `base.Backend.load`."""
        return load_onnx(artifact.path, options)


BACKEND = OnnxBackend()


def load_onnx(source: Path | bytes, options: LoadOptions) -> OnnxModel:
    """A model from a file or its content; errors as for `base.Backend.load`."""
    chosen = choose(options.providers, available("onnxruntime"), fallback=options.fallback)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads or 1
    settings.inter_op_num_threads = 1
    settings.log_severity_level = QUIET
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(source, settings, providers=chosen.names)
    except Exception as error:
        raise InvalidInputError(f"ONNX Runtime cannot load it: {_reason(error)}") from None
    chosen = confirmed(chosen, session.get_providers(), fallback=options.fallback)
    return OnnxModel(session, chosen)


def _spec(argument: Any) -> TensorSpec:
    """A session's input or output in the protocol's terms.

    Raises:
        InvalidInputError: it is no tensor.
    """
    kind: str = argument.type
    if kind.startswith(SCORES):
        return TensorSpec(name=argument.name, datatype="FP32", shape=[-1, -1])
    if kind not in DATATYPES:
        raise InvalidInputError(f"{argument.name} is a {kind}, and only tensors are served")
    shape = [each if isinstance(each, int) and each >= 0 else -1 for each in argument.shape]
    return TensorSpec(name=argument.name, datatype=DATATYPES[kind], shape=shape)


def _scores(rows: Sequence[Mapping[Any, float]]) -> Any:
    """Scores by class as an array, shape (rows, classes), the classes in order."""
    return np.array([[row[key] for key in sorted(row)] for row in rows], dtype=np.float32)


def _texts(name: str, array: Any) -> Any:
    try:
        texts = [each.decode() for each in array.flat]
    except UnicodeDecodeError:
        raise InvalidInputError(f"the strings of {name} must be UTF-8") from None
    return np.array(texts, dtype=object).reshape(array.shape)


def _from_value(value: ort.OrtValue) -> Any:
    """Its array; neither numpy nor DLPack takes bfloat16 from here, so its bits are copied."""
    if value.data_type() == "tensor(bfloat16)":
        shape = value.shape()
        bits = (ctypes.c_uint16 * prod(shape)).from_address(value.data_ptr())
        return np.frombuffer(bits, dtype=np.uint16).reshape(shape).copy()
    return value.numpy()


def _reason(error: Exception) -> str:
    """What ONNX Runtime said, without its prefix, source lines and paths."""
    text = str(error).rpartition("[ONNXRuntimeError] : ")[2].splitlines()[0]
    return " ".join(word for word in text.split() if "/" not in word)[:300]
