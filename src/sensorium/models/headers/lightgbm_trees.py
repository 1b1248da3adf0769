"""Trees of LightGBM models: that each is one, before LightGBM walks it.

LightGBM takes what the text says: a child that is its own ancestor makes it walk for ever, a
feature that there is not makes it read elsewhere, and a word where a number should be ends the
process.
"""

import re
from itertools import pairwise

from sensorium.core.errors import InvalidInputError
from sensorium.models.headers.header import decoded, shown

MAX_LEAVES = 1 << 17
_INTEGERS = re.compile(r"-?[0-9]{1,10}(?: -?[0-9]{1,10})*", re.ASCII)
_NUMBERS = re.compile(
    r"-?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?(?:e[+-]?[0-9]{1,3})?|inf|nan)"
    r"(?: -?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?(?:e[+-]?[0-9]{1,3})?|inf|nan))*",
    re.ASCII,
)
_FOR_SPLITS = ("split_gain", "internal_value", "internal_weight", "internal_count")
_FOR_LEAVES = ("leaf_weight", "leaf_count")
CATEGORICAL = 1
"""The bit of a decision_type that says so."""


def check_tree(data: bytes, number: int, features: int) -> None:
    """That the text of a tree is one of LightGBM's, for so many features.

    Raises:
        InvalidInputError: it is not; says how.
    """
    try:
        _check(_lines(data), features)
    except InvalidInputError as error:
        raise InvalidInputError(f"tree {number}: {error.message}") from None


def _lines(data: bytes) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in decoded(data, "a line").split("\n")[1:]:
        key, equals, value = line.partition("=")
        if line and (not equals or key in values):
            raise InvalidInputError(f"the line {shown(line)} is none of a tree")
        values[key] = value
    return values


def _check(values: dict[str, str], features: int) -> None:
    leaves = _one(values, "num_leaves", 1, MAX_LEAVES)
    categories = _one(values, "num_cat", 0, leaves - 1)
    if values.get("is_linear", "0") != "0":
        raise InvalidInputError("trees with linear leaves are not read")
    _numbers(values, "shrinkage", 1)
    _numbers(values, "leaf_value", leaves)
    if leaves == 1:
        return
    splits = leaves - 1
    for key in _FOR_SPLITS:
        _numbers(values, key, splits, optional=True)
    for key in _FOR_LEAVES:
        _numbers(values, key, leaves, optional=True)
    _integers(values, "split_feature", splits, 0, features - 1)
    for key in ("left_child", "right_child"):
        children = _integers(values, key, splits, -leaves, splits - 1)
        # A node is split after the one that it hangs from, so it stands behind it.
        if any(0 <= child <= node for node, child in enumerate(children)):
            raise InvalidInputError(f"{key} leads back")
    decisions = _integers(values, "decision_type", splits, -128, 127)
    thresholds = _numbers(values, "threshold", splits)
    _check_categories(values, categories, decisions, thresholds)


def _check_categories(
    values: dict[str, str], categories: int, decisions: list[int], thresholds: list[str]
) -> None:
    """That splits by category find their categories: a threshold tells which set it is."""
    for decision, threshold in zip(decisions, thresholds, strict=True):
        if decision & CATEGORICAL and not (threshold.isdigit() and int(threshold) < categories):
            raise InvalidInputError(f"a split by category has the threshold {shown(threshold)}")
    if not categories:
        return
    bounds = _integers(values, "cat_boundaries", categories + 1, 0, 1 << 31)
    if bounds[0] or any(later < earlier for earlier, later in pairwise(bounds)):
        raise InvalidInputError("its cat_boundaries do not grow from 0 on")
    _integers(values, "cat_threshold", bounds[-1], 0, (1 << 32) - 1)


def _one(values: dict[str, str], key: str, least: int, most: int) -> int:
    return _integers(values, key, 1, least, most)[0]


def _integers(values: dict[str, str], key: str, count: int, least: int, most: int) -> list[int]:
    text = values.get(key, "")
    found = [int(each) for each in text.split(" ")] if _INTEGERS.fullmatch(text) else []
    if len(found) != count or (found and not least <= min(found) <= max(found) <= most):
        raise InvalidInputError(f"{key} is not {count} numbers from {least} to {most}")
    return found


def _numbers(values: dict[str, str], key: str, count: int, optional: bool = False) -> list[str]:
    text = values.get(key)
    if text is None and optional:
        return []
    if not text or not _NUMBERS.fullmatch(text) or text.count(" ") != count - 1:
        raise InvalidInputError(f"{key} is not {count} numbers")
    return text.split(" ")
