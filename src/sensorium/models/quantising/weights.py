"""Tensors of safetensors files as float32, row by row, without holding a file in memory."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from sensorium.core.errors import InvalidInputError, NotSupportedError
from sensorium.models.headers.source import U64
from sensorium.models.headers.transformers import weight_files

TYPES: dict[str, Any] = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Weights:
    """The tensors of a folder, whose header was read and found whole before.

    Raises:
        NotSupportedError: a tensor has numbers of a type that is not converted.
    """

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, _Place] = {}
        for path in weight_files(folder):
            self._places |= _places(path)
        for name, place in self._places.items():
            if place.dtype not in TYPES:
                raise NotSupportedError(
                    f"its {name[:80]} is of {place.dtype[:20]}: only plain numbers are quantised"
                )

    @property
    def names(self) -> set[str]:
        """Their names."""
        return {*self._places}

    def shape(self, name: str) -> tuple[int, ...]:
        """The extents of a tensor."""
        return self._places[name].shape

    def size(self, name: str) -> int:
        """Bytes of a tensor."""
        place = self._places[name]
        return prod(place.shape) * int(np.dtype(TYPES[place.dtype]).itemsize)

    def rows(self, name: str, wanted: Any) -> Any:
        """Some rows of a tensor as float32; one of one dimension is a single row.

        Raises:
            InvalidInputError: a number is not finite.
        """
        place = self._places[name]
        shape = place.shape if len(place.shape) > 1 else (1, *place.shape)
        kind = TYPES[place.dtype]
        whole = np.memmap(place.path, dtype=kind, mode="r", offset=place.offset, shape=shape)
        rows = np.asarray(whole[wanted])
        if place.dtype == "BF16":
            rows = (rows.astype(np.uint32) << 16).view(np.float32)
        rows = rows.astype(np.float32, copy=False)
        if not np.isfinite(rows).all():
            raise InvalidInputError(f"its {name[:80]} holds numbers that are not finite")
        return rows


def _places(path: Path) -> dict[str, _Place]:
    with path.open("rb") as file:
        length = U64.unpack(file.read(U64.size))[0]
        entries = json.loads(file.read(length))
    entries.pop("__metadata__", None)
    return {
        name: _Place(
            path, each["dtype"], tuple(each["shape"]), U64.size + length + each["data_offsets"][0]
        )
        for name, each in entries.items()
    }
