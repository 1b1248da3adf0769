"""Headers of LightGBM models, which are text: lines of `key=value`, then the trees.

The whole file is read: LightGBM follows what it says without a look.
"""

import re

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec
from sensorium.models.headers.header import MAX_TEXT, Header, decoded, shown
from sensorium.models.headers.lightgbm_trees import check_tree
from sensorium.models.headers.source import Source

VERSIONS = ("v3", "v4")
MAX_HEADER = 1 << 25
MAX_FEATURES = 1 << 20
MAX_TREES = 200_000
MAX_CLASSES = 1 << 16
MAX_DIGITS = 10
MAX_SIZE = 1 << 30
_TREE = b"Tree="
_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")
_REST = re.compile(
    rb"end of trees\n++"
    rb"(?:feature_importances:\n(?>[^\n=]+=[0-9.e+-]+\n)*+\n++)?"
    rb"(?:parameters:\n(?>\[[a-z0-9_]+: [^\n]*\]\n)*+\n*+end of parameters\n++)?"
    rb"(?:pandas_categorical:[^\n]*+\n*+)?"
)
"""Never looks back at a line that it took: one that could would take for ever on some files."""


def read(source: Source) -> Header:
    """The header of a LightGBM model.

    Raises:
        InvalidInputError: it is malformed; says how.
    """
    if source.size > MAX_SIZE:
        raise InvalidInputError(f"it is longer than {MAX_SIZE} bytes")
    if source.read(0, min(5, source.size)) != b"tree\n":
        raise InvalidInputError("its first line is not 'tree'")
    values, end = _header(source)
    version = values.get("version", "")
    if version not in VERSIONS:
        raise InvalidInputError(f"LightGBM text version {shown(version)} is not read")
    features = _number(values, "max_feature_idx", MAX_FEATURES) + 1
    names = values.get("feature_names", "").split(" ")
    if len(names) != features:
        raise InvalidInputError(f"it names {len(names)} features, but has {features}")
    classes = _number(values, "num_class", MAX_CLASSES)
    per_round = _number(values, "num_tree_per_iteration", MAX_CLASSES)
    if not classes or not per_round:
        raise InvalidInputError("num_class or num_tree_per_iteration is 0")
    trees = _check_trees(source, values, end, features)
    if trees % per_round:
        raise InvalidInputError(f"it has {trees} trees, but {per_round} for each iteration")
    outputs = [-1, per_round] if per_round > 1 else [-1]
    return Header(
        format="lightgbm",
        file_bytes=source.size,
        architecture=values.get("objective", "")[:MAX_TEXT],
        tensor_bytes=source.size,
        tensors=trees,
        inputs=[TensorSpec(name="features", datatype="FP64", shape=[-1, features])],
        outputs=[TensorSpec(name="predictions", datatype="FP64", shape=outputs)],
        details={
            "version": version,
            "trees": str(trees),
            "classes": str(classes),
            "features": str(features),
        },
    )


def _header(source: Source) -> tuple[dict[str, str], int]:
    """The lines before the first tree, and where that one begins."""
    data, end = b"", -1
    for most in (1 << 16, 1 << 20, MAX_HEADER):
        if end < 0 and len(data) < source.size:
            data = source.read(0, min(most, source.size))
            end = data.find(b"\n\n")
    if end < 0:
        raise InvalidInputError("there is no end to the lines before its trees")
    values: dict[str, str] = {}
    for line in decoded(_printable(data[5:end]), "a line before its trees").split("\n"):
        key, _, value = line.partition("=")
        if key in values:
            raise InvalidInputError(f"it has {shown(key)} twice")
        values[key] = value
    return values, end + 2


def _number(values: dict[str, str], key: str, most: int) -> int:
    text = values.get(key, "")
    if not _is_number(text) or int(text) > most:
        raise InvalidInputError(f"{key} is {shown(text)}, and no number from 0 to {most}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def _check_trees(source: Source, values: dict[str, str], at: int, features: int) -> int:
    """How many trees there are, each of which lies where `tree_sizes` says."""
    sizes = values.get("tree_sizes", "").split(" ")
    if len(sizes) > MAX_TREES:
        raise InvalidInputError(f"it has more than {MAX_TREES} trees")
    for number, text in enumerate(sizes):
        start = b"%b%d\n" % (_TREE, number)
        if not _is_number(text) or int(text) < len(start):
            raise InvalidInputError(f"{shown(text)} is no size of a tree")
        data = _printable(source.read(at, int(text)))
        if not data.startswith(start):
            raise InvalidInputError(f"tree {number} does not begin where tree_sizes says")
        check_tree(data, number, features)
        at += int(text)
    _check_rest(source, at)
    return len(sizes)


def _check_rest(source: Source, at: int) -> None:
    """What stands behind the trees: how much features count, and the parameters of training."""
    size = source.size - at
    if size > MAX_HEADER:
        raise InvalidInputError(f"there are more than {MAX_HEADER} bytes behind its trees")
    if not _REST.fullmatch(_printable(source.read(at, size))):
        raise InvalidInputError("what stands behind its trees is not what LightGBM writes")


def _printable(data: bytes) -> bytes:
    if _CONTROL.search(data):
        raise InvalidInputError("it holds bytes that are no text")
    return data
