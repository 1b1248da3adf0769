"""Models to be handed on, and beside them what must not be."""

import hashlib
import random
from pathlib import Path

from sensorium.models.catalogue.manifest import Entry, Manifest, ManifestFile, write_manifest

SECRET = b"for this server alone"
"""What no answer may hold."""
WEIGHTS = random.Random(7).randbytes(3_000_000)
TEXT = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": WEIGHTS,
    "tokenizer.json": b"{}",
    "sub/vocab.txt": b"a\nb\n",
    "sub/deep/notes \u00e4 #1.txt": b"a name that must be quoted",
    "empty.txt": b"",
}
PULLED = {"q4.gguf": b"GGUF four" * 1000, "q8.gguf": b"GGUF eight" * 2000, "LICENSE": b"free"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(root: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def fill(root: Path) -> None:
    """Models of every kind, and secrets within reach of them."""
    put(root / "org--text", TEXT)
    put(root / "counted", {"1/m.onnx": b"first", "2/m.onnx": b"second", "2/labels.txt": b"x"})
    put(root / "alone", {"m.onnx": b"alone"})
    _pulled(root / "org--pulled")
    put(root.parent, {"secret": SECRET, "elsewhere/secret": SECRET})
    put(root, {"secret": SECRET, "notes/secret": SECRET, ".partial/org--half/secret": SECRET})
    put(root, {".partial/org--half/m.onnx": SECRET, "far/remote.toml": SECRET})
    text = root / "org--text"
    put(text, {".env": SECRET, "sub/.env": SECRET, ".cache/secret": SECRET})
    (text / "leaves").symlink_to(root / "secret")
    (text / "out").symlink_to(root.parent / "elsewhere")
    (text / "tohidden").symlink_to(".env")
    (text / "circle").symlink_to("circle")
    (text / "again.json").symlink_to("config.json")


def _pulled(folder: Path) -> None:
    put(folder, {**PULLED, "remote.toml": SECRET})
    weights = ("q4.gguf", "q8.gguf")
    manifest = Manifest(
        source="hf://org/pulled",
        revision="ab" * 20,
        licence="mit",
        task="text-generation",
        entries=tuple(
            Entry(format="gguf", path=path, weights=(path,), files=("LICENSE", path))
            for path in weights
        ),
        files=tuple(
            ManifestFile(path=path, size=len(data), sha256=sha256(data), etag=SECRET.decode())
            for path, data in PULLED.items()
        ),
        fetched_at=1.0,
    )
    write_manifest(folder, manifest)
