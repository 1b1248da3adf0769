"""Numbers by which the frequencies of positions are divided, where a model reaches beyond them."""

import math
from typing import Any

import numpy as np

from sensorium.core.errors import InvalidInputError
from sensorium.models.quantising.shape import Config


def factors(config: Config) -> Any | None:
    """One float32 for each pair in a head, as Llama 3.1 does it; None for other models.

    Raises:
        InvalidInputError: what the config tells of it is damaged.
    """
    if config.rope_kind != "llama3":
        return None
    told = config.rope
    try:
        factor, low, high = (
            float(told[name]) for name in ("factor", "low_freq_factor", "high_freq_factor")
        )
        trained = float(told["original_max_position_embeddings"])
        base = float(told["rope_theta"])
    except (KeyError, TypeError, ValueError):
        raise InvalidInputError("what its config.json says of positions is damaged") from None
    if not (factor >= 1 and 0 < low < high and trained > 0 and base > 1):
        raise InvalidInputError("what its config.json says of positions is damaged")
    pairs = np.arange(0, config.head_length, 2, dtype=np.float64) / config.head_length
    turns = trained * base**-pairs / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def row_order(rows: int, heads: int) -> Any:
    """Where the rows of queries or keys come from: llama.cpp turns neighbours, the library halves.

    Row `2k` of a head is its row `k` there, and row `2k + 1` the one half a head further.
    """
    return np.arange(rows).reshape(heads, 2, -1).swapaxes(1, 2).ravel()
