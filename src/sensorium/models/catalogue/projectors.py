"""Which file lets a GGUF model see: a projector, told by the word `mmproj` in its name."""

import re
from collections.abc import Collection, Iterable
from itertools import takewhile
from operator import eq

from sensorium.models.catalogue.paths import file_of, folder_of, stem_of

TYPES = ("f16", "bf16", "f32", "q8_0")
"""Types of a projector's numbers, the preferred first: a picture suffers more than words do."""
SEES = "image-text-to-text"
"""What hubs call the task of models that are shown pictures in a conversation."""
_MARK = "mmproj"
_WORD = re.compile(rf"^{_MARK}[-._]?|[-._]{_MARK}(?=[-._]|$)")
_TYPE = re.compile(r"(?:^|[-._])(b?fp?16|fp?32|i?q[0-9]\w*)$")
_BETWEEN = re.compile(r"[-._]+")


def is_projector(path: str) -> bool:
    """Whether a file goes with a GGUF model, and is none of its own."""
    if _MARK not in path.lower():  # of thousands of files, as quick as may be
        return False
    name = file_of(path).lower()
    return name.endswith(".gguf") and _WORD.search(stem_of(name)) is not None


def projector_of(model: str, paths: Collection[str]) -> tuple[str, ...]:
    """The one projector among some files that is for a GGUF model; or none.

    It lies beside the model, or at the top. Of several, that is taken whose name has most words in
    common with the model's, and among those the first of `TYPES`; none, where another model is
    called more like it.
    """
    there = [path for path in paths if is_projector(path)]
    beside = [path for path in there if folder_of(path) == folder_of(model)]
    near = beside or [path for path in there if not folder_of(path)]
    best = min(near, key=lambda path: _rank(path, model), default=None)
    return () if best is None or _is_anothers(best, model, paths) else (best,)


def projector_among(files: Iterable[str]) -> str:
    """The projector among a model's own files; empty where it has none."""
    return next(filter(is_projector, files), "")


def task_of(told: str, projector: str) -> str:
    """What a model is for, as its source tells it; such models are often uploaded as of texts."""
    return SEES if projector and told in ("", "text-generation") else told


def _is_anothers(path: str, model: str, paths: Iterable[str]) -> bool:
    """Whether another model is called more like a projector, as in a folder of many models."""
    words, _ = _named(path)
    common = _common(words, model)
    if common == len(words):  # the most that any has
        return False
    others = (each for each in paths if each.lower().endswith(".gguf") and not is_projector(each))
    return any(_common(words, each) > common for each in others)


def _rank(path: str, model: str) -> tuple[int, int, int, str]:
    words, kind = _named(path)
    common = _common(words, model)
    place = TYPES.index(kind) if kind in TYPES else len(TYPES)
    return -common, len(words) - common, place, path


def _named(path: str) -> tuple[list[str], str]:
    """The words of a projector's name, and the type of its numbers."""
    name = _WORD.sub("", stem_of(path).lower(), count=1)
    told = _TYPE.search(name)
    return (_words(name[: told.start()]), told[1]) if told else (_words(name), "")


def _common(words: list[str], model: str) -> int:
    """With how many of these words a model's name begins."""
    return sum(takewhile(bool, map(eq, words, _words(stem_of(model).lower()))))


def _words(name: str) -> list[str]:
    return _BETWEEN.split(name) if name else []
