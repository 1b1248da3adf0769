"""`sensorium models …` for people: what is there, what is loaded, and fetching with a bar."""

from typing import Annotated, Any

from cyclopts import Parameter

from sensorium.capabilities.models.schema import LoadedEntry
from sensorium.cli.connect import Target
from sensorium.cli.generated import takes
from sensorium.cli.numbers import show_bytes, show_duration
from sensorium.cli.render import Output, note, progress
from sensorium.models.backends.base import LoadOptions
from sensorium.models.hub.progress import PullOutcome
from sensorium.models.quantising.progress import Precision, QuantizeOutcome

Name = Annotated[str, Parameter(help="The model: org/name, a name or an alias.")]
PLAIN, HERE = Output(), Target()


def show_list(*, target: Target = HERE, output: Output = PLAIN) -> None:
    """The models on disk.

    Examples:
        sensorium models list
        sensorium models list --server http://127.0.0.1:8484 --json
    """
    with target.client() as client:
        answer = client.models.list()
    output.table(
        ["model", "version", "format", "size", "task", "licence", "state"],
        [
            (
                each.name,
                each.version,
                each.format,
                show_bytes(each.size_bytes),
                each.task,
                each.licence,
                each.state,
            )
            for each in answer.models
        ],
    )
    if output.as_json:
        output.value(answer)


def pull(
    model: Annotated[
        str, Parameter(help="hf://org/name[@revision][:file], https://…, file://… or a short name.")
    ],
    *,
    sha256: Annotated[
        str, Parameter(show_default=False, help="What its one file must hash to.")
    ] = "",
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """Fetch a model; one that was broken off goes on where it was.

    Examples:
        sensorium models pull hf://sentence-transformers/all-MiniLM-L6-v2
        sensorium models pull file:///data/model.onnx
    """
    outcome: PullOutcome | None = None
    with target.client() as client, progress(f"fetching {model}") as report:
        for step in client.models.pull(model=model, sha256=sha256):
            outcome = step.outcome
            if step.total_bytes:
                report(step.done_bytes, step.total_bytes, "bytes")
    assert outcome is not None
    if output.as_json:
        output.value(outcome)
        return
    came = f", {show_bytes(outcome.fetched_bytes)} of it now" if outcome.fetched_bytes else ""
    output.line(f"{outcome.name}: {outcome.format}, {show_bytes(outcome.size_bytes)}{came}")
    if not outcome.verified:
        note("sensorium: its source named no hash; it is what came, unverified")
    if outcome.problem:
        note(f"sensorium: it will not load as it is: {outcome.problem}")


def quantize(
    model: Name,
    *,
    to: Annotated[Precision, Parameter(help="q8_0, 8.5 bits a weight; q4_K, mostly 4.5.")],
    name: Annotated[
        str, Parameter(show_default=False, help="What to call it; '' for MODEL-q8_0, say.")
    ] = "",
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """Make a GGUF of a model in safetensors, with fewer bits.

    Examples:
        sensorium models quantize Qwen/Qwen2.5-0.5B-Instruct --to q8_0
        sensorium models quantize tinylm --to q4_K --name tinylm-small
    """
    outcome: QuantizeOutcome | None = None
    with target.client() as client, progress(f"quantising {model}") as report:
        for step in client.models.quantize(model=model, to=to, name=name):
            outcome = step.outcome
            if step.total_bytes:
                report(step.done_bytes, step.total_bytes, "bytes")
    assert outcome is not None
    if output.as_json:
        output.value(outcome)
        return
    sizes = f"{show_bytes(outcome.size_bytes)} from {show_bytes(outcome.source_bytes)}"
    output.line(f"{outcome.name}: gguf, {sizes}")
    if outcome.kept:
        note(f"sensorium: with more bits: {outcome.kept}")


@takes(LoadOptions, "How it is loaded")
def load(
    model: Name,
    *,
    version: Annotated[str, Parameter(show_default=False, help="'' for the highest.")] = "",
    keep_alive: Annotated[
        float | None, Parameter(show_default=False, help="Seconds unused; -1 for ever.")
    ] = None,
    fresh: Annotated[
        bool, Parameter(negative=(), help="Anew from disk, even if it is loaded.")
    ] = False,
    alias: Annotated[
        str, Parameter(show_default=False, help="Another name under which it answers.")
    ] = "",
    target: Target = HERE,
    output: Output = PLAIN,
    **options: Any,
) -> None:
    """Load a model on a server, and keep it.

    Examples:
        sensorium models load machine-state --keep-alive -1 --server http://127.0.0.1:8484
        sensorium models load org/name --context 32768 --parallel 2 --gpu-layers -1
    """
    if not target.server and not output.as_json:
        note("sensorium: without --server it is only tried: this process ends, and it with it")
    given = {name: value for name, value in options.items() if value is not None}
    with target.client() as client:
        answer = client.models.load(
            model=model,
            version=version,
            options=LoadOptions(**given) if given else None,
            keep_alive_s=keep_alive,
            fresh=fresh,
            alias=alias,
        )
    if output.as_json:
        output.value(answer)
        return
    output.line(
        f"{answer.name} version {answer.version} is loaded: {answer.platform} on "
        f"{', '.join(answer.providers)}, in {answer.load_s:.2f} s"
    )
    if answer.degraded:
        note(f"sensorium: not as asked for: {answer.degraded}")


def ps(*, target: Target = HERE, output: Output = PLAIN) -> None:
    """The models that a server has loaded.

    Examples:
        sensorium models ps --server http://127.0.0.1:8484
    """
    if not target.server and not output.as_json:
        note("sensorium: without --server there is only this process, which has nothing loaded")
    with target.client() as client:
        answer = client.models.list(loaded=True)
    if output.as_json:
        output.value(answer.loaded)
        return
    output.table(
        ["model", "version", "on", "memory", "state", "calls", "until"],
        [
            (
                each.name,
                each.version,
                ", ".join(each.providers),
                show_bytes(each.memory_bytes),
                each.state,
                each.in_use,
                _until(each),
            )
            for each in answer.loaded
        ],
    )
    for each in answer.loaded:
        if each.degraded:
            note(f"sensorium: {each.name} is not as asked for: {each.degraded}")


def stop(
    model: Name,
    *,
    version: Annotated[str, Parameter(show_default=False, help="'' for all.")] = "",
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """Unload a model from a server, after the calls that use it.

    Examples:
        sensorium models stop machine-state --server http://127.0.0.1:8484
    """
    with target.client() as client:
        answer = client.models.unload(model=model, version=version)
    if output.as_json:
        output.value(answer)
    else:
        output.line(f"{answer.model} is unloaded")


def rm(model: Name, *, target: Target = HERE, output: Output = PLAIN) -> None:
    """Delete a model's files.

    Examples:
        sensorium models rm org/name
    """
    with target.client() as client:
        answer = client.models.delete(model=model)
    if output.as_json:
        output.value(answer)
    else:
        output.line(f"{answer.model} is deleted")


def show(
    model: Name,
    *,
    version: Annotated[str, Parameter(show_default=False, help="'' for the highest.")] = "",
    target: Target = HERE,
    output: Output = PLAIN,
) -> None:
    """What a model is, takes and gives; it is loaded to tell.

    Examples:
        sensorium models show machine-state
    """
    with target.client() as client:
        answer = client.models.get(model=model, version=version, load=True, header=True)
    if output.as_json:
        output.value(answer)
        return
    entry, loaded, header = answer.entry, answer.loaded, answer.header
    rows = [
        ("model", f"{entry.name} version {entry.version} (of {', '.join(answer.versions)})"),
        ("files", f"{entry.format}, {show_bytes(entry.size_bytes)}, sha256 {entry.digest}"),
        ("from", entry.source),
        ("licence", entry.licence),
        ("task", entry.task),
    ]
    if header is not None:
        rows.append(("architecture", header.architecture))
        if header.parameters:
            rows.append(("parameters", f"{header.parameters:,} {header.quantisation}"))
        if header.context_length:
            rows.append(("context", f"{header.context_length:,} tokens"))
    if loaded is not None:
        rows.append(("runs on", f"{loaded.platform}, {', '.join(loaded.providers)}"))
        rows.append(("not as asked for", loaded.degraded))
        rows += [("takes", f"{each.name}  {each.datatype} {each.shape}") for each in loaded.inputs]
        rows += [("gives", f"{each.name}  {each.datatype} {each.shape}") for each in loaded.outputs]
    output.table(["", ""], [row for row in rows if row[1]])


def _until(loaded: LoadedEntry) -> str:
    if loaded.in_use:
        return "in use"
    return "for ever" if loaded.expires_in_s is None else show_duration(loaded.expires_in_s)
