"""Where declared pipelines lie, and what runs hold. Every server has one: it loads nothing else."""

from pathlib import Path
from typing import Literal, NamedTuple

SHIPPED = Path(__file__).parent / "shipped"
SUFFIXES = (".toml", ".json")
MAX_FILES = 1000


class Declared(NamedTuple):
    """The file of a pipeline."""

    source: Literal["shipped", "folder"]
    path: Path


class Pipelines:
    """The pipelines that are shipped and those in a folder, which go before them."""

    def __init__(self, folder: Path, shipped: Path = SHIPPED) -> None:
        self.held_bytes = 0
        """What all runs hold now, of inputs and of what their stages gave."""
        self._folder = folder
        self._shipped = shipped

    def declared(self) -> dict[str, Declared]:
        """The file of each pipeline, by its name; looks at the folders."""
        found = {path.stem: Declared("shipped", path) for path in _files(self._shipped)}
        found |= {path.stem: Declared("folder", path) for path in _files(self._folder)}
        return dict(sorted(found.items()))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [each for each in sorted(folder.iterdir()) if each.suffix in SUFFIXES][:MAX_FILES]
