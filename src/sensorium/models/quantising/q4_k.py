"""Blocks of 256 weights in 4.5 bits each: llama.cpp's Q4_K, quantised in numpy.

A block has eight groups of 32. Each has a scale and a minimum of 6 bits; those are multiples of two
float16 for the whole block. A group's scale and minimum are searched as in `make_qkx2_quants` of
ggml: over 21 widths of the grid the weighted least squares are solved, and the best is kept.
"""

from typing import Any

import numpy as np

BLOCK, GROUPS, GROUP = 256, 8, 32
BLOCK_BYTES = 144
MOST = np.float32(15)
MOST_SCALE = np.float32(63)
WIDTHS = [np.float32(14 + 0.1 * step) for step in range(21)]


def quantise(rows: Any) -> Any:
    """Rows of float32, whose length is a multiple of 256, as uint8 of shape (rows, bytes)."""
    groups = np.ascontiguousarray(rows, dtype=np.float32).reshape(-1, GROUP)
    scales, minima = (each.reshape(-1, GROUPS) for each in _searched(groups))
    whole_scale, steps = _shared(scales)
    whole_minimum, offsets = _shared(minima)
    scale = whole_scale.astype(np.float32) * steps
    minimum = whole_minimum.astype(np.float32) * offsets
    blocks = groups.reshape(-1, GROUPS, GROUP)
    inverse = _inverse(scale)[..., None]
    numbers = np.rint((blocks + minimum[..., None]) * inverse).clip(0, MOST).astype(np.uint8)
    pairs = numbers.reshape(-1, GROUPS // 2, 2, GROUP)
    nibbles = pairs[:, :, 0] | (pairs[:, :, 1] << 4)
    parts = (
        whole_scale.view(np.uint8),
        whole_minimum.view(np.uint8),
        _packed(steps.astype(np.uint8), offsets.astype(np.uint8)),
        nibbles.reshape(len(blocks), -1),
    )
    return np.concatenate(parts, axis=1).reshape(len(rows), -1)


def _searched(groups: Any) -> tuple[Any, Any]:
    """The scale of each group, and what is taken from it, both at least 0."""
    values = np.ascontiguousarray(groups.T)  # sums over columns are many times as fast
    weight = np.sqrt(np.square(values).mean(0)) + np.abs(values)
    low = np.minimum(values.min(0), 0)
    width = values.max(0) - low
    above, inverse = values - low, _inverse(width)
    weighted = weight * values
    whole = (weight.sum(0), weighted.sum(0), _dot(weighted, values))
    scale, least = width / MOST, low
    error = _error(scale, least, _sums(np.rint(above * (inverse * MOST)), weight, values), whole)
    for steps in WIDTHS:
        numbers = above * (inverse * steps)
        np.minimum(np.rint(numbers, out=numbers), MOST, out=numbers)
        sums = _sums(numbers, weight, values)
        new_scale, new_least = _fitted(sums, whole)
        new_error = _error(new_scale, new_least, sums, whole)
        better = (new_error < error) & (new_scale > 0)
        scale, least = np.where(better, new_scale, scale), np.where(better, new_least, least)
        error = np.where(better, new_error, error)
    return scale, -least


def _sums(numbers: Any, weight: Any, values: Any) -> tuple[Any, Any, Any]:
    """Weighted sums of the numbers, of their squares, and of them times the values."""
    of_numbers = weight * numbers
    return of_numbers.sum(0), _dot(of_numbers, numbers), _dot(of_numbers, values)


def _fitted(sums: tuple[Any, Any, Any], whole: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """Scale and minimum with the least squared error; 0 where there are none."""
    first, second, mixed = sums
    weights, weighted, _ = whole
    inverse = _inverse(weights * second - first * first)
    scale = (weights * mixed - weighted * first) * inverse
    least = (second * weighted - first * mixed) * inverse
    scale = np.where(least > 0, mixed * _inverse(second), scale)
    return scale, np.minimum(least, 0)


def _error(scale: Any, least: Any, sums: tuple[Any, Any, Any], whole: tuple[Any, Any, Any]) -> Any:
    """The weighted squared error, from the sums alone."""
    first, second, mixed = sums
    weights, weighted, squared = whole
    of_scale = scale * (scale * second + 2 * (least * first - mixed))
    return of_scale + least * (least * weights - 2 * weighted) + squared


def _dot(one: Any, other: Any) -> Any:
    return np.einsum("ij,ij->j", one, other)


def _inverse(values: Any) -> Any:
    """1 / values, and 0 where they are not above 0."""
    return np.divide(1, values, out=np.zeros_like(values), where=values > 0)


def _shared(values: Any) -> tuple[Any, Any]:
    """A float16 for each block, and the multiples of it, up to 63, nearest to its eight values."""
    most = values.max(1, keepdims=True)
    steps = np.rint(values * _inverse(most) * MOST_SCALE).clip(0, MOST_SCALE)
    return (most / MOST_SCALE).astype(np.float16), steps


def _packed(scales: Any, minima: Any) -> Any:
    """Eight scales and eight minima of 6 bits in 12 bytes."""
    low = scales[:, :4] | ((scales[:, 4:] >> 4) << 6)
    middle = minima[:, :4] | ((minima[:, 4:] >> 4) << 6)
    rest = (scales[:, 4:] & 15) | ((minima[:, 4:] & 15) << 4)
    return np.concatenate((low, middle, rest), axis=1)
