"""What a pull ends with: the model that is here now, and whether it is one that loads."""

from pathlib import Path

from sensorium.core.errors import InvalidInputError, NotFoundError
from sensorium.models.catalogue.manifest import Entry, Manifest, joint_digest
from sensorium.models.catalogue.projectors import projector_among, task_of
from sensorium.models.catalogue.recognition import Found
from sensorium.models.headers.reading import read_header
from sensorium.models.hub.progress import PullOutcome


def outcome_of(folder: Path, manifest: Manifest, entry: Entry, fetched_bytes: int) -> PullOutcome:
    """What is told of a model in its folder."""
    files = [manifest.by_path[path] for path in entry.files]
    usual = manifest.entries[0].path == entry.path
    variant = Found(entry.format, entry.path, entry.weights).variant
    return PullOutcome(
        name=folder.name if usual else f"{folder.name}:{variant}",
        format=entry.format,
        digest=joint_digest({path: manifest.by_path[path].sha256 for path in entry.hashed}),
        files=entry.files,
        size_bytes=sum(file.size for file in files),
        fetched_bytes=fetched_bytes,
        verified=all(file.verified for file in files),
        source=manifest.full_source,
        licence=manifest.licence,
        task=task_of(manifest.task, projector_among(entry.weights)),
        problem=_problem(folder, entry),
    )


def _problem(folder: Path, entry: Entry) -> str:
    """Why it will not load, as far as its header tells.

    It stays here all the same: it is what its source has, and nobody wants to fetch it twice.
    """
    if entry.format == "remote":
        return ""
    projector = projector_among(entry.weights)
    try:
        read_header(
            folder / entry.path,
            entry.format,
            projector=folder / projector if projector else None,
        )
    except (InvalidInputError, NotFoundError) as error:
        return error.message
    return ""
