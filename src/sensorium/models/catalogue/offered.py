"""The files of a model that other nodes may have, each with what it hashes to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """A file by its path below the folder, with `/` between the parts."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    """Empty: yet to be computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The files of one version of a folder of models, or of one model of it."""

    name: str
    version: str
    versions: tuple[str, ...]
    """All that there are, the lowest first."""
    digest: str
    """The digest of the model that the name means; empty where it means several."""
    commit: str
    """What stands for exactly these files: 40 hexadecimal digits; empty: yet to be computed.

    It is the beginning of the model's digest where that is of all its files.
    """
    licence: str
    task: str
    source: str
    files: tuple[OfferedFile, ...]

    @property
    def hashed(self) -> bool:
        """Whether every hash is known."""
        return bool(self.commit)
