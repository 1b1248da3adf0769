"""Numbers by which the frequencies of positions are divided, where a model reaches beyond them."""

import math
from typing import Any

import numpy as np

from sensorium.models.quantising.shape import Config, damaged_positions


def factors(config: Config) -> Any | None:
    """One float32 for each pair in a head, as Llama 3.1 does it; None for other models.

    Raises:
        InvalidInputError: what the config tells of it is damaged.
    """
    if config.rope_kind != "llama3":
        return None
    told = config.rope
    factor, low, high = told.factor, told.low_freq_factor, told.high_freq_factor
    trained, base = told.original_max_position_embeddings, told.rope_theta
    if factor is None or low is None or high is None or trained is None:
        raise damaged_positions()
    if not (factor >= 1 and low < high and base > 1):
        raise damaged_positions()
    pairs = np.arange(0, config.head_length, 2, dtype=np.float64) / config.head_length
    turns = trained * base**-pairs / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def row_order(rows: int, heads: int) -> Any:
    """Where the rows of queries or keys come from: llama.cpp turns neighbours, the library halves.

    Row `2k` of a head is its row `k` there, and row `2k + 1` the one half a head further.
    """
    return np.arange(rows).reshape(heads, 2, -1).swapaxes(1, 2).ravel()
