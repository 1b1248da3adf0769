"""A model as it lies on disk, and in which formats models come."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Format = Literal[
    "onnx",
    "gguf",
    "torchscript",
    "transformers",
    "tokenizer",
    "litert",
    "mediapipe",
    "lightgbm",
    "remote",
]
SUFFIXES: dict[str, Format] = {
    ".onnx": "onnx",
    ".gguf": "gguf",
    ".pt": "torchscript",
    ".pt2": "torchscript",
    ".torchscript": "torchscript",
    ".tflite": "litert",
    ".task": "mediapipe",
    ".lgb": "lightgbm",
}
"""What the files of a format are called, where one file is the whole model."""
SEPARATOR = "--"
"""Stands in folder names for the slash of `org/name`."""
LATEST = "latest"
"""The tag with which Ollama's clients write a model that has no other; apps take it elsewhere."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One version of a model on disk.

    `path` is its file, or its folder where the format has several files (`transformers`).
    """

    name: str
    """`org--name`, the name of its folder."""
    version: str
    """A whole number as text; the highest is the one that is meant where none is said."""
    format: Format
    path: Path
    size: int = 0
    """Bytes of all its files."""
    digest: str = ""
    """SHA-256 of its file, or of the sorted `sha256  path` lines of its files."""
    licence: str = ""
    task: str = ""
    source: str = ""
    """Where it came from: `hf://org/name@revision`, an address, or empty."""
    projector: Path | None = None
    """The file that lets a GGUF model see."""

    def lies_in(self, path: Path) -> bool:
        """Whether it is the file or the folder at a path, or lies below."""
        return self.path.is_relative_to(path)


def folder_name(name: str) -> str:
    """The folder of a model that is called `org/name` or `org--name`; safe as a path.

    Raises:
        ValueError: no folder can be called that.
    """
    folder = name.replace("/", SEPARATOR)
    if not _NAME.fullmatch(folder) or ".." in folder:
        raise ValueError("a model is called org/name or name: letters, digits, '.', '_' and '-'")
    return folder
