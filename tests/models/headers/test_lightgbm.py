"""LightGBM models: text whose sizes of trees are followed only once they were checked."""

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
    (lightgbm(tree_sizes="150 150"), "tree 1 does not begin"),
    (lightgbm(tree_sizes="9999999999 150"), "names 9999999999 bytes"),
    (lightgbm(tree_sizes="-5 150"), "'-5' is no size"),
    (lightgbm(tree_sizes="1 " * 300_000), "more than 200000 trees"),
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    assert why in refusal("lightgbm", data)


def test_lines_may_be_long() -> None:
    names = " ".join(f"feature_{n}" for n in range(200_000))
    header = read("lightgbm", lightgbm(max_feature_idx="199999", feature_names=names))
    assert header.details["features"] == "200000"
    assert len(read("lightgbm", lightgbm(objective="o" * 100_000)).architecture) == 256
