"""Several models in one folder: which one is meant, and how one of them is taken away."""

from collections.abc import Sequence

import msgspec

from sensorium.core.errors import NotFoundError
from sensorium.models.artifact import LATEST, SEPARATOR
from sensorium.models.catalogue.folders import Listed
from sensorium.models.catalogue.manifest import Manifest, write_manifest
from sensorium.models.catalogue.recognition import Found, matching

SHOWN = 20
"""At most so many names are told where a model is not found."""


def choose(folder: str, variant: str, models: list[Listed]) -> Listed:
    """The one model that is meant.

    Raises:
        NotFoundError: none is, or several are.
    """
    if not variant:
        usual = [model for model in models if model.usual]
        if usual:
            return usual[0]
    by_path = {model.path: model for model in models}
    founds = [Found(model.format, model.path, tuple(model.files)) for model in models]
    found = matching(variant, founds) if variant else []
    if variant == LATEST and not found:
        return choose(folder, "", models)
    if len(found) == 1:
        return by_path[found[0].path]
    choice = ", ".join(f"{folder}:{model.variant}" for model in models[:SHOWN])
    problem = f"has no variant {variant[:80]!r}" if variant and not found else "holds several"
    raise NotFoundError(f"{folder.replace(SEPARATOR, '/')} {problem}; there is {choice}")


def delete_variant(gone: Listed, models: Sequence[Listed]) -> None:
    """Delete the files that only this one needs, of those that lie in its folder.

    Raises:
        OSError: they cannot be deleted.
    """
    manifest = gone.manifest
    if manifest is None:
        others = {path for model in models if model is not gone for path in model.files}
        for path in gone.files.keys() - others:
            (gone.folder / path).unlink(missing_ok=True)
        return
    kept = tuple(entry for entry in manifest.entries if entry.path != gone.path)
    needed = {path for entry in kept for path in entry.files}
    files = tuple(file for file in manifest.files if file.path in needed)
    smaller: Manifest = msgspec.structs.replace(manifest, entries=kept, files=files)
    write_manifest(gone.folder, smaller)
    for file in manifest.files:
        if file.path not in needed:
            (gone.folder / file.path).unlink(missing_ok=True)
