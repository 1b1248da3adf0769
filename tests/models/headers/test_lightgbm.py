"""LightGBM models: text whose sizes of trees are followed only once they were checked."""

import pytest

from sensorium.core.tensors import TensorSpec
from tests.models.headers.building import cases, lightgbm, read, refusal


def test_a_model_tells_what_it_is() -> None:
    header = read("lightgbm", lightgbm(trees=12))
    assert header.architecture == "binary sigmoid:1"
    assert header.inputs == [TensorSpec(name="features", datatype="FP64", shape=[-1, 3])]
    assert header.outputs == [TensorSpec(name="predictions", datatype="FP64", shape=[-1])]
    assert header.details == {"version": "v4", "trees": "12", "classes": "1", "features": "3"}


def test_classes_have_trees_of_their_own() -> None:
    header = read("lightgbm", lightgbm(trees=6, num_class="3", num_tree_per_iteration="3"))
    assert header.outputs[0].shape == [-1, 3]
    assert "5 trees, but 3" in refusal("lightgbm", lightgbm(trees=5, num_tree_per_iteration="3"))


@cases(
    (b"", "first line"),
    (b"tree\n", "no end to the lines"),
    (b"tree\n" + b"a=1\n" * 100_000, "no end to the lines"),
    (b"tree\na=1\na=2\n\n", "'a' twice"),
    (b"tree\n\xff=1\n\n", "no UTF-8"),
    (lightgbm(version="v2"), "version 'v2' is not read"),
    (lightgbm(version=None), "version '' is not read"),
    (lightgbm(max_feature_idx="-1"), "max_feature_idx is '-1'"),
    (lightgbm(max_feature_idx="9" * 5000), "max_feature_idx is '999"),
    (lightgbm(max_feature_idx="3"), "names 3 features, but has 4"),
    (lightgbm(num_class="0"), "is 0"),
    (lightgbm(num_class=None), "num_class is ''"),
    (lightgbm(tree_sizes=None), "'' is no size"),
    (lightgbm(tree_sizes="1 2"), "'1' is no size"),
    (lightgbm().replace(b"Tree=1", b"Tree=7"), "tree 1 does not begin"),
    (lightgbm(tree_sizes="9999999999 150"), "names 9999999999 bytes"),
    (lightgbm(tree_sizes="-5 150"), "'-5' is no size"),
    (lightgbm(trees=1, tree_sizes="100"), "tree 0:"),
    (lightgbm().replace(b"sigmoid", b"sigm\0id"), "no text"),
    (lightgbm().replace(b"0.1", b"0\0001"), "no text"),
    (lightgbm().replace(b"[parameter_7: 7]", b"[parameter_7> 7]"), "behind its trees"),
    (lightgbm(rest="end of trees\n\0"), "no text"),
    (lightgbm(rest="Tree=2\n"), "behind its trees"),
    (lightgbm(rest="end of trees\n" + "[a: ]" * 100_000 + "\n"), "behind its trees"),
    (lightgbm(rest="end of trees\nparameters:\n" + "[a: ]]\n" * 100_000), "behind its trees"),
    (lightgbm(rest="end of trees\nfeature_importances:\n" + "a=" * 100_000), "behind its trees"),
    (lightgbm(tree_sizes="1 " * 300_000), "more than 200000 trees"),
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    assert why in refusal("lightgbm", data)


def test_lines_may_be_long() -> None:
    names = " ".join(f"feature_{n}" for n in range(200_000))
    header = read("lightgbm", lightgbm(max_feature_idx="199999", feature_names=names))
    assert header.details["features"] == "200000"
    assert len(read("lightgbm", lightgbm(objective="o" * 100_000)).architecture) == 256


@pytest.mark.parametrize(
    ("key", "text", "why"),
    [
        ("num_leaves", "0", "num_leaves is not 1 numbers from 1"),
        ("num_leaves", "999999", "num_leaves is not"),
        ("num_leaves", None, "num_leaves is not"),
        ("num_leaves", "5", "leaf_value is not 5 numbers"),
        ("num_cat", "4", "num_cat is not"),
        ("split_feature", "0 1 3", "split_feature is not 3 numbers from 0 to 2"),
        ("split_feature", "0 1 -1", "split_feature is not"),
        ("split_feature", "0 1", "split_feature is not"),
        ("split_feature", "0  2", "split_feature is not"),
        ("split_feature", "0 x 2", "split_feature is not"),
        ("split_feature", "9" * 5000, "split_feature is not"),
        ("left_child", "0 -1 -2", "left_child leads back"),
        ("left_child", "1 1 -2", "left_child leads back"),
        ("left_child", "3 -1 -2", "left_child is not 3 numbers from -4 to 2"),
        ("right_child", "2 -3 -5", "right_child is not"),
        ("right_child", "2 1 -4", "right_child leads back"),
        ("threshold", "0.5 x 0", "threshold is not 3 numbers"),
        ("threshold", "0.5 1e999 0.5", "a split by category has the threshold '0.5'"),
        ("threshold", "0.5 1 1", "a split by category has the threshold '1'"),
        ("threshold", "0.5 1 -0", "a split by category"),
        ("threshold", None, "threshold is not"),
        ("decision_type", "2 2 999", "decision_type is not"),
        ("leaf_value", "0.1 -0.1 inf", "leaf_value is not 4 numbers"),
        ("leaf_value", "0.1 -0.1 inf infinity", "leaf_value is not"),
        ("leaf_count", "5 6 7", "leaf_count is not"),
        ("cat_boundaries", "0 3", "cat_threshold is not 3 numbers"),
        ("cat_boundaries", "1 2", "do not grow from 0"),
        ("cat_boundaries", "0", "cat_boundaries is not 2 numbers"),
        ("cat_threshold", "7 4294967296", "cat_threshold is not"),
        ("is_linear", "1", "linear leaves"),
        ("shrinkage", "1\nshrinkage=1", "'shrinkage=1' is none of a tree"),
        ("shrinkage", "1\nwhat", "'what' is none of a tree"),
    ],
)
def test_what_is_wrong_with_a_tree_is_said(key: str, text: str | None, why: str) -> None:
    refused = refusal("lightgbm", lightgbm(tree={key: text}))
    assert refused.startswith("tree 1: ")
    assert why in refused


def test_a_tree_may_be_a_single_leaf() -> None:
    leaf = {"num_leaves": "1", "num_cat": "0", "leaf_value": "0.5", "split_feature": ""}
    assert read("lightgbm", lightgbm(tree=leaf)).tensors == 2
