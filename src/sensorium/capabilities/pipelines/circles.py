"""Whether one stage needs another by way of others, so that a circle is told as one."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from sensorium.capabilities.pipelines.conditions import parse_condition
from sensorium.capabilities.pipelines.references import parse_tree, references_in
from sensorium.capabilities.pipelines.schema import Stage


def way_between(stages: Mapping[str, Stage], start: str, end: str) -> list[str]:
    """The stages from one to another that it needs, both included; none if it does not."""
    came_from = {start: ""}
    waiting = [start]
    while waiting:
        at = waiting.pop(0)
        if at == end:
            way = [end]
            while came_from[way[0]]:
                way.insert(0, came_from[way[0]])
            return way
        for each in _needed(stages[at]):
            if each in stages and each not in came_from:
                came_from[each] = at
                waiting.append(each)
    return []


def _needed(stage: Stage) -> Iterator[str]:
    """The stages that a stage refers to, as far as it can be read."""
    nodes: list[Any] = [stage.request]
    if stage.fallback is not None:
        nodes += [stage.fallback.request, stage.fallback.value]
    with suppress(ValueError):
        yield from (each.root for each in references_in(parse_tree(nodes)))
    for text in stage.when:
        with suppress(ValueError):
            yield from (each.root for each in parse_condition(text).references)
    yield from stage.after
