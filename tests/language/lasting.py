"""The small model, said to be trained on longer texts, so that one lasts until a test is done."""

import struct
from pathlib import Path

from tests.language.openai_words import MODEL
from tests.servers import ROOT

TINYLM = ROOT / "src" / "sensorium" / "models" / "samples" / "tinylm" / "tinylm-q8_0.gguf"
KEY = b"llama.context_length"
TOKENS = 1 << 13
"""Several seconds of text."""


def lasting(folder: Path) -> dict[str, str]:
    """The settings of a server that has it in the place of the small model."""
    data = bytearray(TINYLM.read_bytes())
    struct.pack_into("<I", data, data.index(KEY) + len(KEY) + 4, TOKENS)
    (folder / MODEL).mkdir()
    (folder / MODEL / "model.gguf").write_bytes(data)
    return {"SENSORIUM_MODEL_CACHE_PATH": str(folder)}
