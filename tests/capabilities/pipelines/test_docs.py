"""The page on pipelines says what is so: its examples are sound, its tables whole."""

import re

import pytest
from msgspec.structs import fields

from sensorium.capabilities.pipelines.conditions import COMPARISONS
from sensorium.capabilities.pipelines.files import read_text
from sensorium.capabilities.pipelines.functions import FUNCTIONS
from sensorium.capabilities.pipelines.plan import make_plan
from sensorium.capabilities.pipelines.schema import Fallback, Pipeline, Stage
from sensorium.core.values import KINDS
from tests.capabilities.pipelines.conftest import Runner
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "pipelines.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_example_is_sound(runner: Runner, number: int) -> None:
    pipeline = read_text(EXAMPLES[number].encode(), ".toml")
    assert make_plan(pipeline, runner.app.registry, lambda name: True).problems == []


def test_the_example_is_the_file_that_the_commands_run() -> None:
    assert EXAMPLES[0] == (ROOT / "examples" / "pipelines" / "deploy.toml").read_text()


def test_every_function_is_listed_with_all_that_it_takes() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| .*? \| (.*) \|$", PAGE, re.MULTILINE))
    for name, function in FUNCTIONS.items():
        assert {each.name for each in fields(function.request)} == set(
            re.findall(r"`([a-z]+)`", listed[name])
        ) - {"as_it_is", "nchw", "nhwc"}, name


def test_every_kind_part_and_comparison_is_named() -> None:
    for name in (*KINDS, *COMPARISONS):
        assert f"`{name}`" in PAGE or f" {name} " in PAGE, name
    for struct in (Pipeline, Stage, Fallback):
        assert all(f"`{each.name}`" in PAGE for each in fields(struct)), struct
