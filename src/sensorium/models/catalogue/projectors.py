"""Which file lets a GGUF model see: a projector, told by the word `mmproj` in its name."""

import re
from collections.abc import Collection, Iterable
from itertools import takewhile

from sensorium.models.catalogue.paths import file_of, folder_of, stem_of

TYPES = ("f16", "bf16", "f32", "q8_0")
"""Types of a projector's numbers, the preferred first: a picture suffers more than words do."""
SEES = "image-text-to-text"
"""What hubs call the task of models that are shown pictures in a conversation."""
_WORD = re.compile(r"^mmproj[-._]?|[-._]mmproj(?=[-._]|$)")
_TYPE = re.compile(r"(?:^|[-._])(b?f16|f32|i?q[0-9]\w*)$")


def is_projector(path: str) -> bool:
    """Whether a file goes with a GGUF model, and is none of its own."""
    name = file_of(path).lower()
    return name.endswith(".gguf") and _WORD.search(stem_of(name)) is not None


def projector_of(model: str, paths: Collection[str]) -> tuple[str, ...]:
    """The one projector among some files that is for a GGUF model; or none.

    It lies beside the model, or at the top. Of several, that is taken whose name has most in
    common with the model's, and among those the first of `TYPES`.
    """
    there = [path for path in paths if is_projector(path)]
    beside = [path for path in there if folder_of(path) == folder_of(model)]
    top = [path for path in there if not folder_of(path)]
    stem = stem_of(model).lower()
    return tuple(sorted(beside or top, key=lambda path: _rank(path, stem))[:1])


def projector_among(files: Iterable[str]) -> str:
    """The projector among a model's own files; empty where it has none."""
    return next(filter(is_projector, files), "")


def task_of(told: str, projector: str) -> str:
    """What a model is for, as its source tells it; such models are often uploaded as of texts."""
    return SEES if projector and told in ("", "text-generation") else told


def _rank(path: str, model: str) -> tuple[int, int, str]:
    name = _WORD.sub("", stem_of(path).lower(), count=1)
    told = _TYPE.search(name)
    kind = TYPES.index(told[1]) if told and told[1] in TYPES else len(TYPES)
    name = name[: told.start()] if told else name
    common = sum(
        1 for _ in takewhile(lambda both: both[0] == both[1], zip(name, model, strict=False))
    )
    return -common, kind, path
