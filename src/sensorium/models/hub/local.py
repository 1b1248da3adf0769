"""Taking a model over from a file or folder of this machine."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sensorium.core.errors import ForbiddenError, InvalidInputError, NotFoundError
from sensorium.models.catalogue.digests import Stamp
from sensorium.models.catalogue.folders import files_beside, files_in, models_in, recognised
from sensorium.models.catalogue.manifest import FILE, Entry
from sensorium.models.catalogue.recognition import Found

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """The files of a local model by their paths below `folder`, with sizes and times."""

    folder: Path
    files: dict[str, Stamp]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for size, _ in self.files.values())


def find_source(location: str, allowed: bool) -> Source:
    """The model at a path: a file with its shards and external data, or a folder.

    Raises:
        ForbiddenError: files of this machine are not to be taken over.
        NotFoundError: there is none that can be read.
        InvalidInputError: it is no model.
    """
    if not allowed:
        raise ForbiddenError(
            "this server takes no models from files of its own machine; it does with --pull-files"
        )
    path = Path(location)
    try:
        if path.is_dir():
            if any(model.folder != path for model in models_in(path)):
                raise InvalidInputError(
                    "a folder of several versions is not taken over: copy it to the models"
                )
            files = files_in(path)
            files.pop(FILE, None)
            source = Source(path, files)
        elif path.is_file():
            source = Source(path.parent, files_beside(path))
        else:
            raise NotFoundError("there is no such file or folder on the server's machine")
    except OSError:
        raise NotFoundError("that file or folder cannot be read by the server") from None
    if not recognised(source.folder, source.files):
        raise InvalidInputError(
            "that holds no model: an .onnx, .gguf, .tflite, .task, .pt or .lgb file, a LightGBM "
            "text file, safetensors with a config.json, or a remote.toml"
        )
    return source


def copy_files(
    source: Source, tree: Path, check: Callable[[], None], digests: dict[str, str]
) -> Iterator[tuple[str, int]]:
    """Copy the files into a folder; yields the file and its new bytes for every MiB.

    The SHA-256 of each goes into `digests`.

    Raises:
        OSError: one cannot be read, or the copy cannot be written.
    """
    for path in sorted(source.files):
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with (source.folder / path).open("rb") as old, target.open("wb") as new:
            while data := old.read(BLOCK):
                check()
                digest.update(data)
                new.write(data)
                yield path, len(data)
            new.flush()
            os.fsync(new.fileno())
        digests[path] = digest.hexdigest()


def entries_of(tree: Path, files: dict[str, Stamp]) -> tuple[Entry, ...]:
    """The models that the files of a folder are, as its manifest is to say."""
    found = recognised(tree, files)
    if found and found[0].format == "transformers":
        found = [Found("transformers", found[0].path, tuple(sorted(files)))]
    return tuple(
        Entry(
            format=model.format,
            path=model.path,
            weights=model.weights,
            files=tuple(sorted(files)) if len(found) == 1 else model.weights,
        )
        for model in found
    )
