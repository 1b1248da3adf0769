"""`sensorium demo`: real input through every capability of a real server, and what came back."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct

from sensorium.app import MODULES
from sensorium.cli import (
    demo_language,
    demo_logs,
    demo_metrics,
    demo_models,
    demo_pipelines,
    demo_resources,
    demo_system,
    demo_texts,
)
from sensorium.cli.demo_server import started
from sensorium.cli.demo_told import Own, Told
from sensorium.cli.render import FAILED, Output, note
from sensorium.client import Sensorium
from sensorium.core.errors import SensoriumError

Check = Callable[[Sensorium, Own], Told]
CHECKS: dict[str, Check] = {
    "system.health": demo_system.health,
    "system.ready": demo_system.ready,
    "system.operations": demo_system.operations,
    "system.echo": demo_system.echo,
    "system.measure": demo_system.measure,
    "system.hardware": demo_system.hardware,
    "logs.cluster": demo_logs.cluster,
    "logs.compare": demo_logs.compare,
    "logs.watch": demo_logs.watch,
    "metrics.detect_anomalies": demo_metrics.detect,
    "metrics.watch": demo_metrics.watch,
    "metrics.forecast": demo_metrics.forecast,
    "models.load": demo_models.load,
    "models.infer": demo_models.infer,
    "models.infer (LightGBM)": demo_models.lightgbm,
    "models.get": demo_models.get,
    "models.files": demo_models.files,
    "models.list": demo_models.listed,
    "models.unload": demo_models.unload,
    "chat.complete": demo_language.complete,
    "chat.stream": demo_language.stream,
    "text.complete": demo_language.text,
    "text.stream": demo_language.text_stream,
    "text.embed": demo_texts.embed,
    "text.rerank": demo_texts.rerank,
    "text.tokenize": demo_texts.tokenize,
    "text.detokenize": demo_texts.tokenize,
    "text.count": demo_texts.count,
    "resources.lease": demo_resources.lease,
    "resources.usage": demo_resources.usage,
    "resources.renew": demo_resources.renew,
    "resources.release": demo_resources.release,
    "pipelines.list": demo_pipelines.listed,
    "pipelines.check": demo_pipelines.check,
    "pipelines.run": demo_pipelines.run,
    "pipelines.run (a model)": demo_pipelines.through_a_model,
    "system.activity": demo_system.activity,
}
"""What is shown, in this order: operations, and in brackets what of one. A capability without a
row fails the demonstration."""
OTHERWISE = {
    "models.generate",
    "models.pull",
    "models.quantize",
    "models.delete",
    "vision.describe",
}
"""Operations that need what does not come with Sensorium, or that fetch and delete."""
DOORS = {"webrtc"}
"""Nouns that are a way in, and nothing that the server can do."""
PLAIN = Output()


class Row(Struct, frozen=True, kw_only=True):
    """A row as --json gives it."""

    capability: str
    input: str
    answer: str
    latency_ms: float
    unmet: list[str] = []
    """What does not hold."""


def demo(
    *,
    log: Annotated[
        str, Parameter(show_default=False, help="Use this log instead of the sample.")
    ] = "",
    metrics: Annotated[
        str, Parameter(show_default=False, help="Use this CSV or JSON instead of the sample.")
    ] = "",
    output: Output = PLAIN,
) -> int:
    """Send real input to every capability of a server, and check what comes back.

    Starts a server on a free port, with a data folder of its own, and stops it again. Ends with a
    status other than 0 if an answer is wrong.
    """
    own = Own(log, metrics)
    for path in filter(None, (log, metrics)):
        Path(path).stat()  # a wrong name should be said before anything is started
    with started() as server, Sensorium(server.url, retries=0) as client:
        if not output.as_json:
            note(f"a server at {server.url}, ready after {server.seconds:.1f} s")
        client.system.health()  # so that no row's time holds the making of a connection
        rows = [_row(client, own, name, check) for name, check in CHECKS.items()]
    rows += _without_row()
    return _show(output, rows)


def _row(client: Sensorium, own: Own, name: str, check: Check) -> Row:
    try:
        told = check(client, own)
    except SensoriumError as error:
        told = Told("", unmet=[error.message])
    return Row(
        capability=name,
        input=told.input,
        answer=told.answer,
        latency_ms=round(told.seconds * 1000, 1),
        unmet=told.unmet,
    )


def _without_row() -> list[Row]:
    shown = {name.partition(".")[0] for name in (*CHECKS, *OTHERWISE)}
    return [
        Row(
            capability=noun,
            input="",
            answer="",
            latency_ms=0.0,
            unmet=["this capability has no row in the demonstration"],
        )
        for noun in sorted(MODULES.keys() - shown - DOORS)
    ]


def _show(output: Output, rows: list[Row]) -> int:
    failed = [row for row in rows if row.unmet]
    if output.as_json:
        output.value(rows)
    else:
        output.table(
            ["capability", "input", "answer", "ms", ""],
            [(row.capability, row.input, row.answer, row.latency_ms, _mark(row)) for row in rows],
            styles=["red" if row.unmet else "" for row in rows],
        )
    for row in failed:
        note(f"sensorium: {row.capability}: {'; '.join(row.unmet)}")
    if not failed and not output.as_json:
        note(f"{len(rows)} of {len(rows)} answers are as they must be")
    return FAILED if failed else 0


def _mark(row: Row) -> str:
    return "wrong" if row.unmet else "right"
