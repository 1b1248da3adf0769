"""What the hub's protocol says of a model and its files."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from sensorium.core.errors import MalformedInputError, NotFoundError
from sensorium.transports.http.exchange import Headers

SEPARATOR = "--"
"""Stands in a model's name for the slash of `org/name`."""
POINTER_BYTES = 134
"""What clients are told of a pointer in git that there is not here."""
MAX_PATHS = 10_000


class File(Struct):
    """What is read of a file that `models.files` lists."""

    path: str
    size_bytes: int
    sha256: str


class Files(Struct):
    """What is read of the answer of `models.files`."""

    model: str
    version: str
    versions: list[str]
    commit: str
    licence: str
    task: str
    files: list[File]


class MissingError(NotFoundError):
    """Something that is not here, and how the hub calls that."""

    def __init__(self, message: str, hub_code: str, commit: str = "") -> None:
        super().__init__(message)
        self.headers: Headers = [(b"x-error-code", hub_code.encode())]
        if commit:  # a client remembers for this commit that the file is not there
            self.headers.append((b"x-repo-commit", commit.encode()))


def info(listed: Files) -> dict[str, Any]:
    """A model, with its files."""
    name = listed.model.partition(":")[0].replace(SEPARATOR, "/", 1)
    return {
        "id": name,
        "modelId": name,
        "sha": listed.commit,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        **({"pipeline_tag": listed.task} if listed.task else {}),
        "cardData": {"license": listed.licence} if listed.licence else {},
        "siblings": [
            {
                "rfilename": each.path,
                "size": each.size_bytes,
                "blobId": _object_id(each),
                "lfs": {
                    "sha256": each.sha256,
                    "size": each.size_bytes,
                    "pointerSize": POINTER_BYTES,
                },
            }
            for each in listed.files
        ],
    }


def tree(listed: Files, path: str, *, every: bool) -> list[dict[str, Any]]:
    """The files and folders in a folder, or every one below it.

    Raises:
        MissingError: there is no such folder.
    """
    below = f"{path.rstrip('/')}/" if path.strip("/") else ""
    files = [each for each in listed.files if each.path.startswith(below)]
    if not files:
        raise MissingError("there is no folder of that path", "EntryNotFound", listed.commit)
    folders = {
        parent
        for each in files
        for parent in _parents(each.path)
        if parent.startswith(below) and (every or "/" not in parent.removeprefix(below))
    }
    shown = [each for each in files if every or "/" not in each.path.removeprefix(below)]
    return [*map(_folder, sorted(folders)), *map(_file, shown)]


def paths_info(listed: Files, paths: Iterable[str]) -> list[dict[str, Any]]:
    """The files and folders of these paths; what is not there is left out."""
    files = {each.path: each for each in listed.files}
    folders = {parent for path in files for parent in _parents(path)}
    return [
        _file(files[path]) if path in files else _folder(path)
        for path in dict.fromkeys(path.rstrip("/") for path in paths)
        if path in files or path in folders
    ]


class _Wanted(Struct):
    paths: list[str] = []


def wanted(body: bytes, media_type: str) -> list[str]:
    """The paths in a form or in a JSON object.

    Raises:
        MalformedInputError: it is neither.
    """
    try:
        if media_type.startswith("application/json"):
            return msgspec.json.decode(body, type=_Wanted).paths
        return parse_qs(body.decode(), max_num_fields=MAX_PATHS).get("paths", [])
    except (msgspec.MsgspecError, ValueError):
        raise MalformedInputError("the body is not a list of paths") from None


def _parents(path: str) -> list[str]:
    """The folders that a file lies in."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: place + 1]) for place in range(len(parts))]


def _file(file: File) -> dict[str, Any]:
    lfs = {"oid": file.sha256, "size": file.size_bytes, "pointerSize": POINTER_BYTES}
    return {
        "type": "file",
        "path": file.path,
        "size": file.size_bytes,
        "oid": _object_id(file),
        "lfs": lfs,
    }


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}


def _object_id(file: File) -> str:
    """What stands where git's own id of a file would."""
    return file.sha256[:40]
