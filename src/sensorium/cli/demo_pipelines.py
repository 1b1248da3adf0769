"""What the demonstration asks of the pipelines, and what must come back.

What is expected of the sample was counted in the file by hand, so lines in another order do not
pass.
"""

from pathlib import Path
from typing import Any

import msgspec

from sensorium.capabilities.pipelines.schema import Pipeline, Stage
from sensorium.cli.demo_told import Own, Told, sample_lines
from sensorium.client import Sensorium

BURSTS, MACHINES = "log-bursts", "machine-check"
NGINX, WORDS = "nginx.log.gz", "while waiting for request"
WINDOW = 50


def listed(client: Sensorium, own: Own) -> Told:
    """`pipelines.list`: those that come with Sensorium."""
    del own
    told = Told("nothing")
    with told.timed():
        answer = client.pipelines.list()
    told.answer = ", ".join(each.name for each in answer.pipelines)
    named = {each.name: each for each in answer.pipelines}
    told.expect(BURSTS in named and "lines" in named[BURSTS].inputs, f"{BURSTS} is not there")
    told.expect(not any(each.problem for each in answer.pipelines), "one cannot be read")
    return told


def check(client: Sensorium, own: Own) -> Told:
    """`pipelines.check`: a pipeline with two mistakes."""
    del own
    first = Stage(name="scan", operation="logs.cluster", request={"line": []})
    second = Stage(name="count", function="length", request={"value": "$scan.clutsers"})
    told = Told("a pipeline with two misspelt words")
    with told.timed():
        answer = client.pipelines.check(pipeline=Pipeline(stages=[first, second]))
    found = [(each.stage, each.field) for each in answer.problems]
    told.answer = "; ".join(" ".join(each) for each in found)
    told.expect(("scan", "request.line") in found, "it does not see the field that is none")
    told.expect(("count", "request.value") in found, "it does not see the answer that is none")
    return told


def run(client: Sensorium, own: Own) -> Told:
    """`pipelines.run`: which patterns of a log came in bursts, and when."""
    lines = own.lines() if own.log else sample_lines(NGINX)
    name = Path(own.log or NGINX).name
    told = Told(f"{BURSTS}, {name}, {len(lines):,} lines")
    inputs: Any = {"lines": lines, "window": WINDOW}
    with told.timed():
        answer = client.pipelines.run(name=BURSTS, inputs=inputs)
    outputs = msgspec.json.decode(answer.outputs)
    bursts = {each["name"]: each["anomalies"] for each in outputs["bursts"]}
    told.answer = f"{len(outputs['patterns'])} patterns, {len(bursts)} of them in bursts"
    told.expect(bool(outputs["patterns"]), "it found no pattern")
    told.expect(all(each.state == "ran" for each in answer.stages), "a stage did not run")
    if not own.log:
        _expect_burst(told, lines, bursts)
    return told


def _expect_burst(told: Told, lines: list[str], bursts: dict[str, list[Any]]) -> None:
    """One window holds nothing but time-outs; there were none before the one before it."""
    counted = [
        sum(WORDS in line for line in lines[at : at + WINDOW])
        for at in range(0, len(lines) - WINDOW + 1, WINDOW)
    ]
    full = WINDOW in counted and counted.index(WINDOW)
    told.expect(bool(full), "the sample is not as it was recorded")
    found = [
        (each["index"], each["value"])
        for pattern, anomalies in bursts.items()
        if WORDS in pattern
        for each in anomalies
    ]
    told.expect((full, WINDOW) in found, "it did not tell of the time-outs")


def through_a_model(client: Sensorium, own: Own) -> Told:
    """`pipelines.run`: measurements through a model, and its answer as numbers."""
    del own
    told = Told(f"{MACHINES}, two machines")
    inputs: Any = {"measurements": [[61, 2, 10], [93, 9, 15]]}
    with told.timed():
        answer = client.pipelines.run(name=MACHINES, inputs=inputs)
    outputs = msgspec.json.decode(answer.outputs)
    told.answer = f"states {outputs['states']}, {len(answer.stages)} stages"
    told.expect(outputs["states"] == [0, 2], "these are not the machines' states")
    return told
