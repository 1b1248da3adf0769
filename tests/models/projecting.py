"""A small projector for tinylm, made here with random weights: 4 tokens for each picture."""

import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np

from tests.models.headers.building import ARRAY, TEXT, number, row, text, value
from tests.servers import ROOT

TINYLM = ROOT / "src/sensorium/models/samples/tinylm/tinylm-q8_0.gguf"
WIDTH = 256
"""Of what tinylm reads, as its projector makes it."""
INSIDE, MORE, BLOCKS, SIDE, PATCH = 32, 64, 2, 28, 14
TOKENS = (SIDE // PATCH) ** 2
FLOAT, BOOL = 6, 7
HALF = struct.pack("<IQ3f", FLOAT, 3, 0.5, 0.5, 0.5)
Shape = tuple[int, ...]


def projector(path: Path, *, width: int = WIDTH, architecture: str = "clip", sees: bool = True):
    """Write one of LLaVA's kind."""
    rng = np.random.default_rng(0)
    values, rows, data = _values(width, architecture, sees), [], b""
    for name, shape in _tensors(width):
        rows.append(row(name, shape, offset=len(data)))
        numbers = rng.normal(0, 0.3, prod(shape)).astype("<f4").tobytes()
        data += numbers + bytes(-len(numbers) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(rows), len(values)) + b"".join(values + rows)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def seeing(folder: Path, **more) -> Path:
    """A folder of tinylm with a projector; the model's file."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "tiny-q8_0.gguf"
    model.write_bytes(TINYLM.read_bytes())
    projector(folder / "mmproj-tiny-f32.gguf", **more)
    return model


def _values(width: int, architecture: str, sees: bool) -> list[bytes]:
    numbers = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "embedding_length": INSIDE,
        "feed_forward_length": MORE,
        "block_count": BLOCKS,
        "projection_dim": width,
        "attention.head_count": 2,
    }
    return [
        value("general.architecture", TEXT, text(architecture)),
        value("clip.has_vision_encoder", BOOL, bytes([sees])),
        value("clip.use_gelu", BOOL, b"\1"),
        value("clip.projector_type", TEXT, text("mlp")),
        *(number(f"clip.vision.{key}", told) for key, told in numbers.items()),
        value("clip.vision.attention.layer_norm_epsilon", FLOAT, struct.pack("<f", 1e-5)),
        value("clip.vision.image_mean", ARRAY, HALF),
        value("clip.vision.image_std", ARRAY, HALF),
    ]


def _tensors(width: int) -> Iterator[tuple[str, Shape]]:
    """Names and extents, the innermost first."""
    yield "v.class_embd", (INSIDE,)
    yield "v.patch_embd.weight", (PATCH, PATCH, 3, INSIDE)
    yield "v.position_embd.weight", (INSIDE, TOKENS + 1)
    layers = {"v.pre_ln": (INSIDE,), "mm.0": (INSIDE, width), "mm.2": (width, width)}
    for block in range(BLOCKS):
        square = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (INSIDE, INSIDE))
        inner: dict[str, Shape] = {"ln1": (INSIDE,), "ln2": (INSIDE,), **square}
        inner |= {"ffn_up": (INSIDE, MORE), "ffn_down": (MORE, INSIDE)}
        layers |= {f"v.blk.{block}.{name}": shape for name, shape in inner.items()}
    for name, shape in layers.items():
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[-1:]
