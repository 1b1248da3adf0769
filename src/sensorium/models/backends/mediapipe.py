"""MediaPipe's `.task` bundles: the TFLite models inside, each a part of one model."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from sensorium.core.errors import InvalidInputError
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadOptions
from sensorium.models.backends.litert import IDENTIFIER, load_tflite
from sensorium.models.backends.parts import PartedModel
from sensorium.models.headers.archive import UNREADABLE

MAX_MEMBERS = 64
MAX_BYTES = 1 << 30
"""Of all that a bundle holds, unpacked."""
MAX_RATIO = 200
"""Of unpacked to packed bytes of one member."""
MAX_DEPTH = 3
"""Bundles in bundles: a gesture recogniser holds that of the hand."""
ENCRYPTED = 0x1
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class MediaPipeBackend:
    """See `base.Backend`."""

    def load(self, artifact: Artifact, options: LoadOptions) -> PartedModel:
        """See `base.Backend.load`."""
        try:
            with artifact.path.open("rb") as file:
                contents = dict(_models(zipfile.ZipFile(file), "", MAX_DEPTH, [MAX_BYTES]))
        except UNREADABLE:
            raise InvalidInputError("the bundle is damaged, or no zip file") from None
        if not contents:
            raise InvalidInputError("the bundle holds no TFLite model")
        parts = {}
        try:
            for name, content in contents.items():
                try:
                    parts[name] = load_tflite(content, options)
                except InvalidInputError as error:
                    raise InvalidInputError(f"{name}: {error.message}") from None
        except BaseException:
            for part in parts.values():
                part.close()
            raise
        return PartedModel("mediapipe_task", parts)


BACKEND = MediaPipeBackend()


def _models(
    bundle: zipfile.ZipFile, prefix: str, depth: int, left: list[int]
) -> Iterator[tuple[str, bytes]]:
    """The TFLite models of a bundle by their names without suffix; nothing is written to disk.

    `left` holds how many bytes may still be unpacked.

    Raises:
        InvalidInputError: it holds more than is taken, or what no bundle holds.
    """
    members = [each for each in bundle.infolist() if not each.is_dir()]
    if len(members) > MAX_MEMBERS:
        raise InvalidInputError(f"the bundle has more than {MAX_MEMBERS} members")
    seen: set[str] = set()
    for member in members:
        name = prefix + PurePosixPath(member.filename).stem
        content = _read(bundle, member, left)
        nested = depth > 1 and zipfile.is_zipfile(io.BytesIO(content))
        if content[4:8] != IDENTIFIER and not nested:
            continue
        if name in seen:
            raise InvalidInputError("two members of the bundle have the same name")
        seen.add(name)
        if nested:
            yield from _models(zipfile.ZipFile(io.BytesIO(content)), f"{name}/", depth - 1, left)
        else:
            yield name, content


def _read(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, left: list[int]) -> bytes:
    if member.flag_bits & ENCRYPTED or member.compress_type not in PACKINGS:
        raise InvalidInputError("a member of the bundle is encrypted or packed in an unusual way")
    if member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise InvalidInputError("a member of the bundle unpacks to far more than it is")
    left[0] -= member.file_size
    if left[0] < 0:
        raise InvalidInputError(f"the bundle unpacks to more than {MAX_BYTES >> 20} MiB")
    return bundle.read(member)
