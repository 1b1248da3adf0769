"""Headers of LightGBM models, which are text: lines of `key=value`, then the trees.

`tree_sizes` tells where each tree begins; LightGBM itself follows it without a look.
"""

from sensorium.core.errors import InvalidInputError
from sensorium.core.tensors import TensorSpec
from sensorium.models.headers.header import MAX_TEXT, Header, decoded, shown
from sensorium.models.headers.source import Source

VERSIONS = ("v3", "v4")
MAX_HEADER = 1 << 25
MAX_FEATURES = 1 << 20
MAX_TREES = 200_000
MAX_CLASSES = 1 << 16
MAX_DIGITS = 10
_TREE = b"Tree="


def read(source: Source) -> Header:
    """The header of a LightGBM model.

    Raises:
        InvalidInputError: it is malformed; says how.
    """
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
    trees = _check_trees(source, values, end)
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
    for line in decoded(data[5:end], "a line before its trees").split("\n"):
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


def _check_trees(source: Source, values: dict[str, str], at: int) -> int:
    """How many trees there are, each of which begins where `tree_sizes` says."""
    sizes = values.get("tree_sizes", "").split(" ")
    if len(sizes) > MAX_TREES:
        raise InvalidInputError(f"it has more than {MAX_TREES} trees")
    for number, text in enumerate(sizes):
        start = b"%b%d\n" % (_TREE, number)
        if not _is_number(text) or int(text) < len(start):
            raise InvalidInputError(f"{shown(text)} is no size of a tree")
        source.check(at, int(text))
        if source.read(at, len(start)) != start:
            raise InvalidInputError(f"tree {number} does not begin where tree_sizes says")
        at += int(text)
    return len(sizes)
