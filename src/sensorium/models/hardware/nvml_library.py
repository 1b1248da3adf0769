"""NVIDIA's management library, as its Python package has it; imported where there is a driver."""

import pynvml  # type: ignore[import-untyped, import-not-found, unused-ignore]

LIBRARY = pynvml
