"""Tensors through a loaded model: one request, or several joined into one run."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.errors import CancelledCallError, InvalidInputError, SensoriumError
from sensorium.core.tensors import Tensor
from sensorium.models.backends.base import Arrays, LoadedModel, ModelSpec
from sensorium.models.exchange import Request, Result

log = logging.getLogger("sensorium.models")
PROBE_ROWS = 3
PROBE_EXTENT = 8
"""What stands for an extent that may vary, in inputs made up to try a model."""
TOLERANCE = 1e-3


def run(model: LoadedModel, requests: Sequence[Request]) -> list[Result]:
    """The outputs of each request, in their order, or why there are none.

    Several requests differ in nothing but their inputs' rows, and are joined into one run. Where
    that fails, each runs alone, so that nobody suffers from another's input.
    """
    if len(requests) > 1:
        try:
            return list(_run_joined(model, requests))
        except CancelledCallError as error:  # nobody waits for any of them
            return [error for _ in requests]
        except Exception:
            pass  # whose fault it is shows when each runs alone
    return [_run_alone(model, each) for each in requests]


def _run_alone(model: LoadedModel, request: Request) -> Result:
    try:
        arrays = {each.name: to_array(each) for each in request.inputs}
        found = model.infer(arrays, request.outputs)
        return _tensors(model.spec, found)
    except SensoriumError as error:
        return error
    except ValueError as error:
        return InvalidInputError(str(error))
    except Exception:
        log.exception("a model failed")
        return SensoriumError()


def _run_joined(model: LoadedModel, requests: Sequence[Request]) -> list[list[Tensor]]:
    columns = zip(*(each.inputs for each in requests), strict=True)
    joined = {column[0].name: to_array(_joined(column)) for column in columns}
    counts = [each.inputs[0].shape[0] for each in requests]
    found = _tensors(model.spec, model.infer(joined, requests[0].outputs))
    if any(not each.shape or each.shape[0] != sum(counts) for each in found):
        raise ValueError("the outputs have other rows than the inputs")
    parts = [_cut(each, counts) for each in found]
    return [list(row) for row in zip(*parts, strict=True)]


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """The rows of some tensors, one after the other."""
    first = tensors[0]
    rows = sum(each.shape[0] for each in tensors)
    return Tensor(
        name=first.name,
        datatype=first.datatype,
        shape=[rows, *first.shape[1:]],
        data=b"".join([each.data for each in tensors]),
    )


def _cut(tensor: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """A tensor's rows, so many to each; they share its memory."""
    if tensor.datatype == "BYTES":
        ends = np.cumsum(counts)[:-1]
        return [to_tensor(tensor.name, each) for each in np.split(to_array(tensor), ends)]
    made: list[Tensor] = []
    width, at, view = len(tensor.data) // max(1, sum(counts)), 0, memoryview(tensor.data)
    for count in counts:
        shape = [count, *tensor.shape[1:]]
        part = view[at : at + count * width]
        made.append(
            Tensor(name=tensor.name, datatype=tensor.datatype, shape=shape, data=part)  # type: ignore[arg-type]
        )
        at += count * width
    return made


def _tensors(spec: ModelSpec, found: Mapping[str, Any]) -> list[Tensor]:
    kinds = {each.name: each.datatype for each in spec.outputs}
    return [to_tensor(name, np.asarray(value), kinds[name]) for name, value in found.items()]


def proves_batching(model: LoadedModel) -> bool:
    """Whether rows that are run together give what they give alone, on inputs made up for it.

    A first extent that may vary is not always a batch: it may be time. So it is tried. The run
    also makes the first real one quick.
    """
    spec = model.spec
    infer = partial(model.infer, outputs=[each.name for each in spec.outputs])
    open_ended = all(each.shape and each.shape[0] == -1 for each in (*spec.inputs, *spec.outputs))
    try:
        whole = probe(spec, PROBE_ROWS if open_ended else 1)
        together = infer(whole)
        if not open_ended:
            return False
        alone = [
            infer({name: array[row : row + 1] for name, array in whole.items()})
            for row in range(PROBE_ROWS)
        ]
    except (SensoriumError, ValueError):
        return False  # it takes other inputs than those; nothing was shown
    return all(_agree(value, [each[name] for each in alone]) for name, value in together.items())


def probe(spec: ModelSpec, rows: int) -> Arrays:
    """Inputs made up for a model, always the same: small numbers, different in each row."""
    random = np.random.default_rng(0)
    found: Arrays = {}
    for each in spec.inputs:
        if each.name in spec.optional:
            continue
        shape = [PROBE_EXTENT if extent == -1 else extent for extent in each.shape]
        if each.shape[:1] == [-1]:
            shape[0] = rows
        numbers = random.random(shape, dtype=np.float32)
        found[each.name] = _as_datatype(each.datatype, numbers)
    return found


def _as_datatype(datatype: str, numbers: Any) -> Any:
    match datatype:
        case "BYTES":
            return np.vectorize(lambda number: f"{number:.3f}".encode(), otypes=[object])(numbers)
        case "BOOL":
            return numbers > 0.5
        case "BF16":
            return (numbers.view(np.uint32) >> 16).astype(np.uint16)
        case "FP16" | "FP32" | "FP64":
            return numbers.astype({"FP16": "f2", "FP32": "f4", "FP64": "f8"}[datatype])
    kind = datatype.lower()
    return (numbers * 2).astype(kind)  # 0 or 1: indices that every table has


def _agree(together: Any, alone: Sequence[Any]) -> bool:
    if len(together) != len(alone) or any(len(each) != 1 for each in alone):
        return False
    expected = np.concatenate(alone)
    if together.dtype.kind not in "fc":
        return bool(np.array_equal(together, expected))
    scale = float(np.max(np.abs(expected), initial=0.0)) or 1.0
    return bool(np.allclose(together, expected, rtol=TOLERANCE, atol=TOLERANCE * scale * 0.1))
