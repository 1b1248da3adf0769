"""What every backend keeps to: suites that the tests of each inherit."""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from sensorium.core.arrays import to_array, to_tensor
from sensorium.core.errors import InvalidInputError, UnavailableError
from sensorium.models.artifact import Artifact, Format
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.table import backend_of, row_of
from sensorium.models.exchange import Request
from sensorium.models.placement.process import InProcess
from sensorium.models.running import proves_batching

OPTIONS = LoadOptions(threads=1)
"""Beside the rest of the suite, threads that wait for each other cost more than they bring."""
DAMAGE = {
    "empty": b"",
    "text": b"nothing of the kind\n" * 20,
    "zip": b"PK\x03\x04" + bytes(200),
    "pickle": b"\x80\x02c__builtin__\nprint\nq\x00.",
    "other": b"\x1c\x00\x00\x00TFL3" + bytes(range(256)),
}
CYCLES, FEW_CYCLES = 20, 8
"""How often a model is loaded and closed to see a leak; fewer times where that takes a second."""
GROWTH = 24 << 20
"""Bytes that the process may be larger after so many loads; one leaked model each would be more."""


@dataclass
class Case:
    """A model whose outputs are known."""

    artifact: Artifact
    inputs: Callable[[int], dict[str, Any]]
    """So many rows for it, different from each other."""
    expected: Callable[[dict[str, Any]], dict[str, Any]]
    rtol: float = 1e-5
    options: LoadOptions = OPTIONS


def artifact(path: Path, format: Format, **more: Any) -> Artifact:
    """A file or folder as the catalogue would tell of it."""
    return Artifact(path.name, "1", format, path, digest=f"{format}-{path}", **more)


def load(artifact: Artifact, options: LoadOptions = OPTIONS) -> Any:
    """Load a model in this process, through the table."""
    return backend_of(artifact.format, options.engine).load(artifact, options)


def numbers(rows: int, width: int = 3) -> Any:
    """So many rows of small numbers, different from each other."""
    return np.random.default_rng(rows).normal(size=(rows, width)).astype(np.float32)


def assert_close(found: Any, expected: Any, rtol: float) -> None:
    """Numbers that are nearly, and others that are wholly, what is expected."""
    assert found.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(found, expected)


class TensorContract:
    """A model of tensors: a subclass has a fixture `case`."""

    damages = tuple(DAMAGE)
    joins = True
    cycles = CYCLES

    @pytest.fixture
    def model(self, case):
        loaded = load(case.artifact, case.options)
        yield loaded
        loaded.close()

    def test_it_gives_what_is_known(self, case, model):
        for rows in (1, 4, 2):
            inputs = case.inputs(rows)
            expected = case.expected(inputs)
            found = model.infer(inputs, list(expected))
            assert list(found) == list(expected)
            for name, value in expected.items():
                assert_close(found[name], value, case.rtol)

    def test_its_spec_is_what_goes_in_and_out(self, case, model):
        inputs = case.inputs(2)
        assert {each.name for each in model.spec.inputs} == set(inputs)
        assert {each.name for each in model.spec.outputs} == set(case.expected(inputs))
        found = model.infer(inputs, [each.name for each in model.spec.outputs])
        for each in model.spec.outputs:
            tensor = to_tensor(each.name, found[each.name], each.datatype)
            assert tensor.datatype == each.datatype
            assert len(tensor.shape) == len(each.shape)
            assert all(n in (-1, m) for n, m in zip(each.shape, tensor.shape, strict=True))
        assert model.spec.providers
        assert not model.spec.degraded

    def test_outputs_come_as_they_are_asked_for(self, case, model):
        inputs = case.inputs(1)
        for name, value in reversed(case.expected(inputs).items()):
            found = model.infer(inputs, [name])
            assert list(found) == [name]
            assert_close(found[name], value, case.rtol)

    def test_names_that_are_none_are_refused(self, case, model):
        inputs = case.inputs(1)
        outputs = list(case.expected(inputs))
        first = next(iter(inputs))
        for wrong in (
            {**inputs, "nobody": inputs[first]},
            {name: each for name, each in inputs.items() if name != first},
        ):
            with pytest.raises(InvalidInputError):
                model.infer(wrong, outputs)
        with pytest.raises(InvalidInputError):
            model.infer(inputs, [*outputs, "nobody"])
        model.infer(inputs, outputs)

    def test_elements_and_shapes_that_do_not_fit_are_refused(self, case, model):
        inputs = case.inputs(1)
        outputs = list(case.expected(inputs))
        first = next(iter(inputs))
        array = inputs[first]
        others = [np.full(array.shape, b"text", dtype=object), np.full(array.shape, 1 + 1j)]
        if array.dtype == object:
            others = [np.zeros(array.shape, np.float32), np.full(array.shape, b"\xff", object)]
        for wrong in (*others, array[None], array[..., None]):
            with pytest.raises(InvalidInputError):
                model.infer({**inputs, first: wrong}, outputs)
        model.infer(inputs, outputs)

    def test_rows_together_are_rows_alone(self, model):
        assert proves_batching(model) is self.joins

    def test_an_interrupt_while_nothing_runs_is_harmless(self, case, model):
        model.interrupt()
        inputs = case.inputs(2)
        expected = case.expected(inputs)
        found = model.infer(inputs, list(expected))
        for name, value in expected.items():
            assert_close(found[name], value, case.rtol)

    def test_closed_is_closed(self, case):
        model = load(case.artifact, case.options)
        model.close()
        model.close()
        model.interrupt()
        inputs = case.inputs(1)
        with pytest.raises(UnavailableError):
            model.infer(inputs, list(case.expected(inputs)))

    def test_it_runs_in_a_process_of_its_own(self, case):
        inputs = case.inputs(3)
        expected = case.expected(inputs)

        async def run():
            text = row_of(case.artifact.format).text
            placed = await InProcess.load(case.artifact, case.options, text=text)
            try:
                tensors = [to_tensor(name, array) for name, array in inputs.items()]
                (found,) = await placed.run([Request(tensors, list(expected))])
            finally:
                await placed.close()
            return placed.facts, found

        facts, found = asyncio.run(run())
        assert facts.joins is self.joins
        assert facts.parallel == 0
        for tensor, value in zip(found, expected.values(), strict=True):
            assert_close(to_array(tensor), value, case.rtol)

    def test_loading_and_closing_frees_what_it_took(self, case):
        process = psutil.Process()
        outputs = list(case.expected(case.inputs(1)))
        before = 0
        for number in range(self.cycles + 3):
            model = load(case.artifact, case.options)
            model.infer(case.inputs(2), outputs)
            model.close()
            del model
            if number == 2:  # what a library keeps for good is there now
                gc.collect()
                before = process.memory_info().rss
        gc.collect()
        assert process.memory_info().rss - before < GROWTH

    def test_damaged_files_are_typed_errors(self, case, tmp_path):
        for damage in self.damages:
            path = tmp_path / f"{damage}{case.artifact.path.suffix}"
            path.write_bytes(DAMAGE[damage])
            with pytest.raises(InvalidInputError) as caught:
                load(artifact(path, case.artifact.format), case.options)
            assert str(tmp_path) not in caught.value.message
            assert "Traceback" not in caught.value.message

    def test_a_file_cut_short_is_a_typed_error(self, case, tmp_path):
        if not case.artifact.path.is_file():
            pytest.skip("it is a folder: its own tests cut its files")
        whole = case.artifact.path.read_bytes()
        path = tmp_path / case.artifact.path.name
        path.write_bytes(whole[: len(whole) // 2])

        async def run():
            with pytest.raises(InvalidInputError):
                await InProcess.load(artifact(path, case.artifact.format), case.options)

        asyncio.run(run())
