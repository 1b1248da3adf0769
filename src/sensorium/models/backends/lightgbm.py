"""LightGBM models: converted to ONNX and compared with the original, which is much faster."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lightgbm
import msgspec
import numpy as np
from onnxmltools.convert import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.core.tensors import TensorSpec
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import Arrays, LoadedModel, LoadOptions, ModelSpec
from sensorium.models.backends.onnx import load_onnx
from sensorium.models.fitting import check_arrays, check_outputs

NATIVE = "native"
"""The provider's name that asks for LightGBM itself."""
HEAD = "tree"
"""The first line of every model."""
MAX_FEATURES = 1 << 20
MAX_LEAVES = 300_000
"""Beyond, converting takes minutes."""
OPSET = 15
PROBES = 512
ZERO = 1e-30
"""LightGBM takes what is smaller for zero in training, and splits beside it at 1e-35."""
RTOL, ATOL = 1e-4, 1e-5
"""How far an answer may be from the original's, beside it and beside the largest of all: sums are
in float32 here and in float64 there."""
CLASSIFIERS = ("binary", "multiclass")
log = logging.getLogger("sensorium.models")


class NativeModel:
    """LightGBM itself; gives what the converted model gives, under the same names."""

    def __init__(self, booster: lightgbm.Booster, threads: int, degraded: str) -> None:
        self._booster: lightgbm.Booster | None = booster
        self._threads = threads
        columns = booster.num_model_per_iteration()
        self._classifies = objective(booster).startswith(CLASSIFIERS)
        if self._classifies:
            labels = TensorSpec(name="label", datatype="INT64", shape=[-1])
            shape = [-1, max(2, columns)]
            scores = TensorSpec(name="probabilities", datatype="FP32", shape=shape)
            outputs = [labels, scores]
        else:
            outputs = [TensorSpec(name="variable", datatype="FP32", shape=[-1, columns])]
        shape = [-1, booster.num_feature()]
        self.spec = ModelSpec(
            platform="lightgbm_native",
            inputs=[TensorSpec(name="input", datatype="FP32", shape=shape)],
            outputs=outputs,
            providers=[NATIVE],
            degraded=degraded,
        )

    def infer(self, inputs: Arrays, outputs: Sequence[str]) -> Mapping[str, Any]:
        """See `LoadedModel.infer`."""
        booster = self._booster
        if booster is None:
            raise UnavailableError("the model was unloaded; try again", retry_after_s=0.1)
        check_arrays(self.spec.inputs, inputs)
        check_outputs(self.spec.outputs, outputs)
        rows = inputs["input"]
        columns = self.spec.outputs[-1].shape[-1]
        scores: Any = np.zeros((0, columns))
        if len(rows):
            made: Any = booster.predict(rows, num_threads=self._threads)
            scores = made.reshape(len(rows), -1)
        if self._classifies and scores.shape[1] == 1:
            scores = np.concatenate([1 - scores, scores], axis=1)
        found = {self.spec.outputs[-1].name: scores.astype(np.float32)}
        if self._classifies:
            found["label"] = scores.argmax(axis=1)
        return {name: found[name] for name in outputs}

    def interrupt(self) -> None:
        """Nothing: a run of LightGBM goes to its end."""

    def close(self) -> None:
        """See `LoadedModel.close`."""
        self._booster = None


class LightGBMBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> LoadedModel:
        """See `base.Backend.load`."""
        text = _read(artifact)
        booster = _booster(text)
        threads = options.threads or 1
        if options.providers[:1] == [NATIVE]:
            return NativeModel(booster, threads, "")
        try:
            return _converted(text, booster, options)
        except _UnlikeError as error:
            log.warning("%s runs in LightGBM itself: %s", artifact.name, error)
            return NativeModel(booster, threads, f"LightGBM runs it, not ONNX Runtime: {error}")


BACKEND = LightGBMBackend()


class _UnlikeError(Exception):
    """Why a model cannot be converted."""


def objective(booster: lightgbm.Booster) -> str:
    """What the model was trained for, such as `binary`; empty where it does not say."""
    found: str = booster.dump_model(num_iteration=1).get("objective", "")
    return found


def round_down(text: str) -> str:
    """The model with its thresholds as float32 that are not larger.

    For a number x that is float32, `x <= threshold` is then the same in float32 as it was in
    float64; rounded to the nearest, as conversion does it, some would go the other way.
    """
    lines = [line for line in text.splitlines() if not line.startswith("tree_sizes=")]
    for at, line in enumerate(lines):
        if line.startswith("threshold="):
            values = _numbers(line)
            single = values.astype(np.float32)
            above = single.astype(np.float64) > values
            single[above] = np.nextafter(single[above], np.float32(-np.inf))
            lines[at] = "threshold=" + " ".join(repr(float(each)) for each in single)
    return "\n".join(lines) + "\n"


def probes(text: str, features: int) -> Any:
    """Rows that go every way through the trees: thresholds, their neighbours, and odd values."""
    random = np.random.default_rng(0)
    rows = random.normal(scale=10.0, size=(PROBES, features)).astype(np.float32)
    for feature, thresholds in _thresholds(text):
        chosen = random.choice(thresholds, size=PROBES).astype(np.float32)
        beyond = random.choice(np.array([-np.inf, np.inf], np.float32), size=PROBES)
        chosen = np.where(random.random(PROBES) < 0.4, chosen, np.nextafter(chosen, beyond))
        chosen[np.abs(chosen) < ZERO] = 0.0
        rows[:, feature] = np.where(random.random(PROBES) < 0.5, chosen, rows[:, feature])
    whole = random.random(rows.shape) < 0.1
    rows[whole] = np.round(np.abs(rows[whole]))  # categories are whole numbers
    for value in (0.0, np.nan, 1e30, -1e30):
        rows[random.random(rows.shape) < 0.02] = value
    rows[:4] = np.array([0.0, np.nan, 1e30, -1e30])[:, None]
    return rows


def _read(artifact: Artifact) -> str:
    try:
        text = artifact.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if text.partition("\n")[0].strip() != HEAD:
        raise InvalidInputError("it is no LightGBM model in its text form")
    if "\nend of trees" not in text:
        raise InvalidInputError("the model is cut short: it has no end of trees")
    return text


def _booster(text: str) -> lightgbm.Booster:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # parameters come with the model
            booster = lightgbm.Booster(model_str=text)
        features = booster.num_feature()
    except (lightgbm.basic.LightGBMError, ValueError, TypeError):
        raise InvalidInputError("LightGBM cannot load it: the file is damaged") from None
    if not 0 < features <= MAX_FEATURES:
        raise InvalidInputError(f"a model has 1 to {MAX_FEATURES} features, not {features}")
    return booster


def _converted(text: str, booster: lightgbm.Booster, options: LoadOptions) -> LoadedModel:
    """The model for ONNX Runtime.

    Raises:
        _UnlikeError: it cannot be converted, or gives something else then.
    """
    leaves = text.count("\nleaf_value=") and sum(
        line.count(" ") + 1 for line in text.splitlines() if line.startswith("leaf_value=")
    )
    if leaves > MAX_LEAVES:
        raise _UnlikeError(f"it has {leaves} leaves, too many to convert")
    features = booster.num_feature()
    kind = [("input", FloatTensorType([None, features]))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rounded = _booster(round_down(text))
            made = convert_lightgbm(
                rounded, initial_types=kind, zipmap=False, target_opset=OPSET
            ).SerializeToString()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise _UnlikeError(f"it cannot be converted: {reason}") from None
    model, native = load_onnx(made, options), NativeModel(booster, 1, "")
    try:
        difference = _compared(model, native, probes(text, features))
    except BaseException:
        model.close()
        raise
    log.info("a LightGBM model runs in ONNX Runtime, at most %.2g off", difference)
    model.spec = msgspec.structs.replace(
        model.spec, platform="lightgbm_onnx", outputs=native.spec.outputs
    )  # converted, labels are said to be one whatever the rows
    return model


def _compared(model: LoadedModel, native: LoadedModel, rows: Any) -> float:
    """How far a converted model is from the original at most."""
    expected = native.infer({"input": rows}, [each.name for each in native.spec.outputs])
    names = [each.name for each in model.spec.outputs]
    if set(names) != set(expected):
        raise _UnlikeError("it has other outputs when converted")
    found = model.infer({"input": rows}, names)
    scores = native.spec.outputs[-1].name
    ours, theirs = found[scores].astype(np.float64), expected[scores].astype(np.float64)
    if ours.shape != theirs.shape:
        raise _UnlikeError("it has outputs of another shape when converted")
    off = np.abs(ours - theirs)
    largest = float(np.max(np.abs(theirs), initial=0.0))
    bad = ~(off <= RTOL * np.abs(theirs) + ATOL * max(1.0, largest))
    if bad.any():
        raise _UnlikeError(
            f"converted, it gives something else for {bad.any(axis=1).sum()} of {len(rows)} "
            f"rows made up to compare (by up to {np.nanmax(off):.2g})"
        )
    return float(off.max(initial=0.0))


def _thresholds(text: str) -> Iterator[tuple[int, Any]]:
    """The thresholds of each feature that is split."""
    found: dict[int, list[float]] = {}
    splits: Any = np.zeros(0)
    for line in text.splitlines():
        if line.startswith("split_feature="):
            splits = _numbers(line).astype(int)
        elif line.startswith("threshold="):
            for feature, value in zip(splits, _numbers(line), strict=False):
                found.setdefault(int(feature), []).append(float(value))
    yield from ((feature, np.array(values)) for feature, values in sorted(found.items()))


def _numbers(line: str) -> Any:
    return np.array([float(each) for each in line.partition("=")[2].split()])
