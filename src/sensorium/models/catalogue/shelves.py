"""All models that a server can load: those of its folder, and the samples of the package."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from sensorium.core.errors import ConflictError, NotFoundError
from sensorium.core.loading import load
from sensorium.models.artifact import Artifact
from sensorium.models.catalogue.absent import NoModelError
from sensorium.models.catalogue.offered import Offered
from sensorium.models.catalogue.shared import Shared

T = TypeVar("T")
SAMPLES = Path(__file__).parent.parent / "samples"


class Catalogue(Protocol):
    """The models under one folder; see `catalogue.Catalogue`."""

    def entries(self) -> list[Artifact]:
        """Every model and version."""

    def find(self, name: str, version: str = "") -> Artifact:
        """A model by name."""

    def digest(self, artifact: Artifact) -> str:
        """A model's digest."""

    def delete(self, name: str) -> Path:
        """Take a model away, and tell where it was."""

    def files(self, name: str, version: str = "", *, compute: bool = False) -> Offered:
        """What other nodes may have of a model."""

    def resolve_file(self, name: str, path: str, version: str = "") -> Path:
        """A model's file."""


class Shelves:
    """A folder's models before the samples, which are read and never changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hashing: Shared[Offered] = Shared("hashing")
        self._digesting: Shared[Artifact] = Shared("digesting")

    @cached_property
    def _own(self) -> Catalogue:
        return _catalogue(self._root)

    @cached_property
    def _samples(self) -> Catalogue:
        return _catalogue(SAMPLES)

    def entries(self) -> list[Artifact]:
        """Every model and version, by name; see `Catalogue.entries`."""
        own = self._own.entries()
        names = {each.name for each in own}
        samples = [each for each in self._samples.entries() if each.name not in names]
        return sorted(own + samples, key=lambda each: (each.name, int(each.version)))

    def find(self, name: str, version: str = "") -> Artifact:
        """A model by name; see `Catalogue.find`."""
        return self._either(lambda shelf: shelf.find(name, version))

    def found(self, name: str, version: str = "") -> Artifact | Future[Artifact]:
        """A model by name, with its digest.

        For the first time, that reads all its files: then it is a future, the same for all who ask
        meanwhile.
        """
        artifact = self.find(name, version)
        if artifact.digest:
            return artifact
        return self._digesting.start(
            artifact.path,
            lambda: replace(artifact, digest=self._either(lambda shelf: shelf.digest(artifact))),
        )

    def files(self, name: str, version: str = "") -> Offered:
        """The files of a model, with the hashes that are known; see `Catalogue.files`."""
        return self._either(lambda shelf: shelf.files(name, version))

    def hashed_files(self, name: str, version: str = "") -> Future[Offered]:
        """The same with every hash, computed once for all who ask meanwhile.

        It goes on when nobody waits any more, so that whoever asks again finds it done.
        """
        return self._hashing.start(
            (name, version),
            lambda: self._either(lambda shelf: shelf.files(name, version, compute=True)),
        )

    def resolve_file(self, name: str, path: str, version: str = "") -> Path:
        """A model's file; see `Catalogue.resolve_file`."""
        return self._either(lambda shelf: shelf.resolve_file(name, path, version))

    def delete(self, name: str) -> Path:
        """Take a model away; see `Catalogue.delete`.

        Raises:
            ConflictError: it is a sample.
        """
        try:
            return self._own.delete(name)
        except NotFoundError:
            if any(each.name == name for each in self._samples.entries()):
                raise ConflictError(f"{name} is a sample that comes with Sensorium") from None
            raise

    def _either(self, ask: Callable[[Catalogue], T]) -> T:
        """What the folder says, or else the samples; the folder tells what there is."""
        try:
            return ask(self._own)
        except NotFoundError as error:
            try:
                return ask(self._samples)
            except NoModelError as none:
                if isinstance(error, NoModelError):
                    raise NoModelError(none.name, [*error.there, *none.there]) from None
                raise error from None


def _catalogue(root: Path) -> Catalogue:
    made: Catalogue = load("sensorium.models.catalogue.catalogue:Catalogue")(root)
    return made
