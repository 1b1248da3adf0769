"""The default library: models worth beginning with, by short names."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sensorium.models.artifact import Format, folder_name
from sensorium.models.catalogue.paths import is_safe
from sensorium.models.catalogue.recognition import Found

PATH = Path(__file__).with_name("library.toml")
Repository = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class LibraryModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of the library; `files` are the models among the files of its repository."""

    repository: Repository
    format: Format
    task: str
    licence: str
    note: str
    files: tuple[str, ...] = ()
    revision: str = ""
    sha256: dict[str, Sha256] = {}

    def __post_init__(self) -> None:
        if not all(is_safe(path) for path in self.files) or not self.sha256.keys() <= set(
            self.files
        ):
            raise ValueError("its files are relative paths, and sha256 names only them")

    @property
    def folder(self) -> str:
        """The folder that it is fetched into."""
        return folder_name(self.repository)

    @property
    def variant(self) -> str:
        """What tells it from other models in that folder."""
        return Found(self.format, self.files[0], ()).variant if self.files else ""


@cache
def library() -> Mapping[str, LibraryModel]:
    """The models of the library by their short names."""
    return msgspec.convert(tomllib.loads(PATH.read_text()), dict[str, LibraryModel])
