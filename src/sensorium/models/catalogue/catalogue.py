"""`Catalogue`: the models under a folder, found by name, served by file, taken away."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from sensorium.core.errors import NotFoundError
from sensorium.models.artifact import Artifact, folder_name
from sensorium.models.catalogue.absent import NoModelError
from sensorium.models.catalogue.digests import Digests, nothing, stamp_of
from sensorium.models.catalogue.folders import Listed, inside, models_in, offered_paths
from sensorium.models.catalogue.library import library
from sensorium.models.catalogue.manifest import joint_digest
from sensorium.models.catalogue.offered import Offered, OfferedFile
from sensorium.models.catalogue.partial import (
    changing,
    discard,
    partial_folder,
    remove,
    unwritable,
)
from sensorium.models.catalogue.projectors import projector_among, task_of
from sensorium.models.catalogue.variants import choose, delete_variant

log = logging.getLogger("sensorium.models")
COMMIT_DIGITS = 40
"""So many hexadecimal digits name a commit, as in git."""


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
        of_version, _ = self._of_version(name, folder, version)
        return self._artifact(folder, choose(folder, variant, of_version))

    def files(self, name: str, version: str = "", *, compute: bool = False) -> Offered:
        """The files of a model that other nodes may have: of all in its folder, or of a variant.

        A hash that is not known is empty unless it is to be computed here, and then kept.

        Raises:
            NotFoundError: there is no such model, or none of its files may be had.
        """
        folder, variant = self._split(name)
        models, versions = self._of_version(name, folder, version)
        chosen = [choose(folder, variant, models)] if variant else models
        usual = chosen[0] if variant or chosen[0].usual else None
        try:
            files = [
                self._offered(chosen[0], path, compute=compute)
                for path in offered_paths(chosen, whole=not variant)
                if inside(self._root / folder, chosen[0].folder, path) is not None
            ]
        except OSError:
            raise NotFoundError("a file of the model is gone or cannot be read") from None
        finally:
            if compute:
                self._digests.keep()
        if not files:
            raise NotFoundError(f"the model {name[:80]!r} has no file that others may have")
        manifest = chosen[0].manifest
        hashes = {file.path: file.sha256 for file in files}
        return Offered(
            name=f"{folder}:{usual.variant}" if variant and usual and not usual.usual else folder,
            version=chosen[0].version,
            versions=versions,
            digest=self._known_digest(usual) if usual else "",
            commit=joint_digest(hashes)[:COMMIT_DIGITS] if all(hashes.values()) else "",
            licence=manifest.licence if manifest else "",
            task=manifest.task if manifest else "",
            source=manifest.full_source if manifest else "",
            files=tuple(files),
        )

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

    def delete(self, name: str) -> Path:
        """Take a model away, all its versions, with what was fetched of it so far.

        A variant is taken alone where there are others. Whoever has it loaded keeps it. Returns
        where it was: its folder, or the variant's file.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is being fetched.
            UnavailableError: the folder cannot be written to.
        """
        folder, variant = self._split(name)
        begun = partial_folder(self._root, folder)
        if not folder or not (self._models(folder) or begun.exists()):
            raise NoModelError(name, self._names())
        with changing(self._root, folder):
            models = self._models(folder)
            models = [model for model in models if model.version == models[0].version]
            gone = choose(folder, variant, models) if variant else None
            try:
                if gone is not None and len(models) > 1:
                    delete_variant(gone, models)
                    return gone.folder / gone.path
                remove(begun)
                discard(self._root, self._root / folder)
                return self._root / folder
            except OSError as error:
                raise unwritable(error) from error

    def resolve_file(self, name: str, path: str, version: str = "") -> Path:
        """The file at a relative path in a model's folder, to be served to another node.

        With a version, the path is relative to where the files of that version lie.

        Raises:
            NotFoundError: there is no such file, or it is not one of the model's: it lies
                elsewhere, is hidden, or is reached by a link that leaves the folder.
        """
        folder = self._split(name)[0]
        models = [m for m in self._models(folder) if version in ("", m.version)]
        base = models[0].folder if models and version else self._root / folder
        found = inside(self._root / folder, base, path) if models else None
        if found is None:
            raise NotFoundError(f"the model {name[:80]!r} has no such file here")
        return found

    def _of_version(
        self, name: str, folder: str, version: str
    ) -> tuple[list[Listed], tuple[str, ...]]:
        """The models of a version, by default the highest, and which versions there are."""
        models = self._models(folder)
        if not models:
            raise NoModelError(name, self._names())
        versions = tuple(sorted({model.version for model in models}, key=int))
        wanted = version or models[0].version
        of_version = [model for model in models if model.version == wanted]
        if not of_version:
            there = ", ".join(versions)
            raise NotFoundError(f"{folder} has no version {wanted[:20]!r}; it has {there}")
        return of_version, versions

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
        projector = projector_among(model.files) if model.format == "gguf" else ""
        return Artifact(
            name=folder if model.usual else f"{folder}:{model.variant}",
            version=model.version,
            format=model.format,
            path=model.folder / model.path,
            size=model.size,
            digest=self._known_digest(model),
            licence=manifest.licence if manifest else "",
            task=task_of(manifest.task if manifest else "", projector),
            source=manifest.full_source if manifest else "",
            projector=model.folder / projector if projector else None,
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

    def _offered(self, model: Listed, path: str, *, compute: bool) -> OfferedFile:
        stamp = stamp_of(model.folder / path)
        told = model.manifest.by_path.get(path) if model.manifest else None
        if told is not None and told.size == stamp[0]:
            return OfferedFile(path, told.size, told.sha256)
        below = self._below_root(model, path)
        known = self._digests.known(below, stamp)
        if compute and not known:
            known = self._digests.compute(below)
        return OfferedFile(path, stamp[0], known)

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

    def _names(self) -> list[str]:
        return list(dict.fromkeys(artifact.name for artifact in self.entries()))
