"""`Catalogue`: the models under a folder, found by name, served by file, taken away."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from sensorium.core.errors import NotFoundError
from sensorium.models.artifact import SEPARATOR, Artifact, folder_name
from sensorium.models.catalogue.digests import Digests, nothing
from sensorium.models.catalogue.folders import Listed, models_in
from sensorium.models.catalogue.library import library
from sensorium.models.catalogue.manifest import Manifest, joint_digest, write_manifest
from sensorium.models.catalogue.partial import (
    changing,
    discard,
    partial_folder,
    remove,
    unwritable,
)
from sensorium.models.catalogue.paths import is_safe
from sensorium.models.catalogue.recognition import Found, matching

log = logging.getLogger("sensorium.models")
SHOWN = 20
"""At most so many names are told where a model is not found."""


class Catalogue:
    """The models under a folder, which need not exist yet; sees at once what others change."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digests = Digests(root)

    def entries(self) -> list[Artifact]:
        """Every model and version, by name; what is no model, or unreadable, is left out.

        A digest that is yet to be computed is empty; `digest` computes it.
        """
        return [
            self._artifact(folder, model)
            for folder in self._folders()
            for model in self._models(folder)
        ]

    def find(self, name: str, version: str = "") -> Artifact:
        """The model called `org/name`, `org--name` or by its short name in the library.

        `:variant` may follow where its folder holds several; without a version the highest is
        meant.

        Raises:
            NotFoundError: there is none, or there are several and no variant says which; the
                message tells what there is.
        """
        folder, variant = self._split(name)
        models = self._models(folder)
        if not models:
            raise NotFoundError(f"there is no model {name[:80]!r} here{self._what_there_is()}")
        wanted = version or models[0].version
        of_version = [model for model in models if model.version == wanted]
        if not of_version:
            versions = ", ".join(sorted({model.version for model in models}, key=int))
            raise NotFoundError(f"{folder} has no version {wanted[:20]!r}; it has {versions}")
        return self._artifact(folder, _choose(folder, variant, of_version))

    def digest(self, artifact: Artifact, check: Callable[[], None] = nothing) -> str:
        """The digest of a model of this catalogue, computed if need be and kept.

        Raises:
            NotFoundError: its files are gone or cannot be read.
        """
        folder, _, variant = artifact.name.partition(":")
        for model in self._models(folder):
            same = model.folder / model.path == artifact.path
            if model.version == artifact.version and same and variant in ("", model.variant):
                known = self._known_digest(model)
                return known or self._compute_digest(model, check)
        raise NotFoundError(f"the model {artifact.name} is not here any more")

    def delete(self, name: str) -> None:
        """Take a model away, all its versions, with what was fetched of it so far.

        A variant is taken alone where there are others. Whoever has it loaded keeps it.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is being fetched.
            UnavailableError: the folder cannot be written to.
        """
        folder, variant = self._split(name)
        begun = partial_folder(self._root, folder)
        if not folder or not (self._models(folder) or begun.exists()):
            raise NotFoundError(f"there is no model {name[:80]!r} here{self._what_there_is()}")
        with changing(self._root, folder):
            models = self._models(folder)
            models = [model for model in models if model.version == models[0].version]
            gone = _choose(folder, variant, models) if variant else None
            try:
                if gone is not None and len(models) > 1:
                    _delete_variant(gone)
                    return
                remove(begun)
                discard(self._root, self._root / folder)
            except OSError as error:
                raise unwritable(error) from error

    def resolve_file(self, name: str, path: str) -> Path:
        """The file at a relative path in a model's folder, to be served to another node.

        Raises:
            NotFoundError: there is no such file, or it is not one of the model's: it lies
                elsewhere, is hidden, or is reached by a link that leaves the folder.
        """
        folder = self._split(name)[0]
        missing = NotFoundError(f"the model {name[:80]!r} has no such file here")
        if not is_safe(path) or not self._models(folder):
            raise missing
        try:
            base = (self._root / folder).resolve(strict=True)
            found = (base / path).resolve(strict=True)
        except (OSError, RuntimeError):
            raise missing from None
        inside = found.is_relative_to(base) and is_safe(found.relative_to(base).as_posix())
        if not inside or not found.is_file():
            raise missing
        return found

    def _folders(self) -> list[str]:
        try:
            return sorted(os.listdir(self._root))
        except OSError:
            return []

    def _models(self, folder: str) -> list[Listed]:
        try:
            if not folder or folder_name(folder) != folder:
                return []
            path = self._root / folder
            return models_in(path) if path.is_dir() else []
        except ValueError:
            return []
        except OSError as error:
            log.warning("a folder of models cannot be read: %s", error.strerror)
            return []

    def _split(self, name: str) -> tuple[str, str]:
        """The folder that a name means, and the variant; an impossible name has no folder."""
        text, _, variant = name.partition(":")
        try:
            folder = folder_name(text)
        except ValueError:
            return "", ""
        known = library().get(text)
        if known is not None and not (self._root / folder).is_dir():
            return known.folder, variant or known.variant
        return folder, variant

    def _artifact(self, folder: str, model: Listed) -> Artifact:
        manifest = model.manifest
        return Artifact(
            name=folder if model.usual else f"{folder}:{model.variant}",
            version=model.version,
            format=model.format,
            path=model.folder / model.path,
            size=model.size,
            digest=self._known_digest(model),
            licence=manifest.licence if manifest else "",
            task=manifest.task if manifest else "",
            source=manifest.full_source if manifest else "",
        )

    def _known_digest(self, model: Listed) -> str:
        told = model.manifest.by_path if model.manifest else {}
        digests: dict[str, str] = {}
        for path, stamp in model.files.items():
            if path in told and told[path].size == stamp[0]:
                digests[path] = told[path].sha256
            else:
                digests[path] = self._digests.known(self._below_root(model, path), stamp)
        return joint_digest(digests) if all(digests.values()) else ""

    def _compute_digest(self, model: Listed, check: Callable[[], None]) -> str:
        try:
            digests = {
                path: self._digests.compute(self._below_root(model, path), check)
                for path in model.files
            }
        except OSError:
            raise NotFoundError("a file of the model is gone or cannot be read") from None
        finally:
            self._digests.keep()
        return joint_digest(digests)

    def _below_root(self, model: Listed, path: str) -> str:
        return (model.folder / path).relative_to(self._root).as_posix()

    def _what_there_is(self) -> str:
        names = [artifact.name for artifact in self.entries()]
        if not names:
            return "; there is none yet: pull one"
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"; there is {', '.join(names[:SHOWN])}{more}"


def _choose(folder: str, variant: str, models: list[Listed]) -> Listed:
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
    if len(found) == 1:
        return by_path[found[0].path]
    choice = ", ".join(f"{folder}:{model.variant}" for model in models[:SHOWN])
    problem = f"has no variant {variant[:80]!r}" if variant and not found else "holds several"
    raise NotFoundError(f"{folder.replace(SEPARATOR, '/')} {problem}; there is {choice}")


def _delete_variant(gone: Listed) -> None:
    manifest = gone.manifest
    if manifest is None:
        for path in gone.files:
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
