"""The stub file: up to date, and of use to a type checker."""

from pathlib import Path

import pytest
from mypy import api

from sensorium.app import MODULES
from sensorium.client.stubs import PATH, stub
from sensorium.core.registry import Registry

GOOD = """
from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from sensorium.capabilities.logs.schema import ClusterRequest, ClusterResponse
from sensorium.capabilities.metrics.schema import WatchEvent, WatchInput
from sensorium.client import AsyncSensorium, Sensorium
from sensorium.core.types import Series


def calls(client: Sensorium) -> None:
    assert_type(client.logs.cluster(lines=["a"], method="kmeans"), ClusterResponse)
    assert_type(client.logs.cluster(ClusterRequest(lines=["a"])).clusters[0].count, int)
    assert_type(client.with_options(timeout_s=1).system.echo(data={"any": 1}).text, str)
    series = [Series(values=[1.0, None])]
    client.metrics.detect_anomalies(series=series)
    for event in client.metrics.watch([WatchInput(series=series)], method="sigma"):
        assert_type(event, WatchEvent)
    client.logs.watch(open("app.log"))


async def awaited(items: AsyncIterator[WatchInput]) -> None:
    async with AsyncSensorium("http://host", api_key="k", timeout_s=5) as client:
        assert_type(await client.logs.cluster(lines=[]), ClusterResponse)
        async for event in client.metrics.watch(items):
            assert_type(event, WatchEvent)
"""
BAD = {
    "client.logs.cluster(lnes=[])": "call-overload",
    "client.logs.cluster(lines='text')": "call-overload",
    "client.logs.cluster(lines=[], method='magic')": "call-overload",
    "client.logs.cluster()": "call-overload",
    "client.metrics.watch()": "call-overload",
    "client.log": "attr-defined",
    "client.logs.clster": "attr-defined",
    "client.logs.cluster(lines=[]).cluster": "attr-defined",
    "Sensorium('http://host', key='k')": "call-arg",
}


def test_it_is_up_to_date() -> None:
    written = PATH.read_text()
    assert written == stub(Registry(MODULES)), "python -m sensorium.client.stubs writes it anew"


def test_a_type_checker_is_content_with_good_use_and_finds_bad_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [
        f"def bad_{n}(client: Sensorium) -> object:\n    return {c}\n" for n, c in enumerate(BAD)
    ]
    program = tmp_path / "program.py"
    program.write_text(GOOD + "\n\n" + "\n\n".join(bad))
    monkeypatch.setenv("MYPYPATH", "src")
    found, complaint, _ = api.run(
        ["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(program)]
    )
    assert not complaint
    errors = [line for line in found.splitlines() if " error: " in line]
    first_bad = GOOD.count("\n") + 1
    numbers = {int(line.split(":")[1]): line for line in errors}
    assert min(numbers) > first_bad, "\n".join(errors)
    lines = program.read_text().splitlines()
    for call, code in BAD.items():
        number = lines.index(f"    return {call}") + 1
        assert f"[{code}]" in numbers.get(number, ""), f"{call}: {numbers.get(number)}"
