"""The blocks of Q4_K, against the dequantiser of llama.cpp's own library."""

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="gguf is not installed: sensorium[quantize]")
from sensorium.models.quantising import q4_k  # noqa: E402


def back(made):
    return gguf.quants.dequantize(made, gguf.GGMLQuantizationType.Q4_K)


def error(found, expected):
    return float(np.sqrt(np.square(found - expected).mean()))


def numbers(*shape, seed=0, scale=1.0, shift=0.0):
    made = np.random.default_rng(seed).normal(shift, scale, shape)
    return made.astype(np.float32)


@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, 0.0), (0.02, 0.0), (1e-3, 0.0), (1.0, 3.0), (1.0, -3.0), (1e3, 0.0)]
)
def test_it_is_nearer_than_blocks_of_as_many_bits(scale, shift):
    rows = numbers(16, 512, scale=scale, shift=shift * scale)
    made = q4_k.quantise(rows)
    assert made.shape == (16, 288)
    assert made.dtype == np.uint8
    kind = gguf.GGMLQuantizationType.Q4_0
    other = gguf.quants.dequantize(gguf.quants.quantize(rows, kind), kind)
    assert error(back(made), rows) < error(other, rows)


def test_what_can_be_told_exactly_is():
    steps = np.arange(256, dtype=np.float32).reshape(8, 32) % 16
    rows = (steps * np.arange(1, 9)[:, None] * 63 / 8).reshape(1, 256).astype(np.float32)
    found = back(q4_k.quantise(rows))
    assert np.abs(found - rows).max() <= np.abs(rows).max() * 0.02
    zeros = np.zeros((2, 256), np.float32)
    assert (back(q4_k.quantise(zeros)) == 0).all()


def test_rows_do_not_see_each_other():
    rows = numbers(7, 768)
    whole = q4_k.quantise(rows)
    assert all((q4_k.quantise(rows[n : n + 1]) == whole[n]).all() for n in range(7))


def test_groups_of_one_value_and_of_one_sign():
    rows = numbers(1, 256)
    rows[0, :32], rows[0, 32:64], rows[0, 64:96] = 0.5, -0.5, 0
    rows[0, 96:128], rows[0, 128:160] = np.abs(rows[0, 96:128]), -np.abs(rows[0, 128:160])
    found = back(q4_k.quantise(rows))
    assert np.isfinite(found).all()
    assert error(found[0, :96], rows[0, :96]) < 0.02
    assert error(found, rows) < 0.1


def test_a_group_far_larger_than_its_neighbours():
    rows = numbers(1, 256)
    rows[0, :32] *= 1000
    found = back(q4_k.quantise(rows))
    assert error(found[0, :32], rows[0, :32]) < 100
