"""The `models` operations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

from sensorium.capabilities.models.schema import (
    DeleteRequest,
    Done,
    FilesRequest,
    GenerateRequest,
    GetRequest,
    InferRequest,
    InferResponse,
    ListRequest,
    LoadedEntry,
    LoadRequest,
    Model,
    ModelEntry,
    ModelFile,
    ModelFiles,
    Models,
    OutputTensor,
    PullRequest,
    QuantizeRequest,
    UnloadRequest,
)
from sensorium.core.dispatch import LOCAL, Caller
from sensorium.core.errors import ConflictError, NotFoundError, SensoriumError
from sensorium.core.generation import Generation, Piece
from sensorium.core.loading import load
from sensorium.core.operation import Context, Execution, Form, operation
from sensorium.core.tensors import EXACT, Tensor, unpack_bytes, unpack_numbers
from sensorium.models.artifact import Artifact
from sensorium.models.catalogue.shelves import Shelves
from sensorium.models.headers.header import Header
from sensorium.models.hub.progress import PullProgress
from sensorium.models.hub.puller import Puller
from sensorium.models.loaded import Loaded
from sensorium.models.pool import Pool
from sensorium.models.quantising.progress import QuantizeProgress
from sensorium.models.quantising.quantiser import Quantiser
from sensorium.models.settings import ModelSettings

READER = "sensorium.capabilities.models.open_inference"
READ_HEADER = "sensorium.models.headers.reading:read_header"
FORMS = {
    "application/vnd.open-inference+json": Form(f"{READER}:read"),
    "application/vnd.open-inference": Form(f"{READER}:read_binary", light=True),
}
"""The forms of the Open Inference Protocol, without and with binary tensors."""
SAMPLE = "machine-state"
EXAMPLE = InferRequest(
    model=SAMPLE,
    inputs=[
        Tensor(name="measurements", datatype="FP32", shape=[2, 3], values=[61, 2, 10, 93, 9, 15])
    ],
)
FEW = 1 << 16
"""So many elements are turned into values; more would hold up the server, and stay raw."""


@operation(
    "models.infer",
    execution=Execution.ASYNC,
    example=EXAMPLE,
    large=True,
    forms=FORMS,
    queue_limit=4096,
)
async def infer(request: InferRequest, context: Context) -> InferResponse:
    """Run tensors through a model, loaded first if need be."""
    found = await context.infer(
        request.model, request.inputs, outputs=request.outputs, version=request.version
    )
    return InferResponse(
        model=found.model,
        version=found.version,
        digest=found.digest,
        outputs=[output(each, raw=request.raw) for each in found.outputs],
        tag=request.tag,
    )


@operation(
    "models.generate",
    execution=Execution.ASYNC,
    example=GenerateRequest(model="none", task=Generation(prompt="Once upon a time")),
)
async def generate(request: GenerateRequest, context: Context) -> AsyncIterator[Piece]:
    """A text from a language model as it stands, piece by piece."""
    pieces = context.generate(request.model, request.task, version=request.version)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


@operation(
    "models.pull",
    execution=Execution.ASYNC,
    changes=True,
    deadline_s=120.0,
    example=PullRequest(model="hf://sentence-transformers/all-MiniLM-L6-v2"),
)
async def pull(request: PullRequest, context: Context) -> AsyncIterator[PullProgress]:
    """Fetch a model, telling how far it is; one that was broken off goes on where it was."""
    local = context.get(Caller).principal is LOCAL or context.get(ModelSettings).pull_files
    puller = context.get(Puller)
    async with aclosing(puller.pull(request.model, request.sha256, local_files=local)) as steps:
        async for step in steps:
            yield step


@operation(
    "models.quantize",
    execution=Execution.ASYNC,
    changes=True,
    deadline_s=120.0,
    example=QuantizeRequest(model="none", to="q8_0"),
)
async def quantize(request: QuantizeRequest, context: Context) -> AsyncIterator[QuantizeProgress]:
    """Make a GGUF file of a model in safetensors, with fewer bits, telling how far it is."""
    name = context.get(Pool).named(request.model)
    artifact = await asyncio.to_thread(context.get(Shelves).find, name, request.version)
    steps = context.get(Quantiser).quantise(artifact, request.to, request.name)
    async with aclosing(steps):
        async for step in steps:
            yield step


@operation("models.list", execution=Execution.ASYNC, example=ListRequest(), resource="models")
async def list_models(request: ListRequest, context: Context) -> Models:
    """The models on disk, and those that are loaded."""
    pool = context.get(Pool)
    on_disk = await asyncio.to_thread(context.get(Shelves).entries)
    entries = [entry(each, pool) for each in on_disk]
    return Models(
        models=[each for each in entries if not request.loaded or each.state != "unloaded"],
        loaded=[loaded_entry(each) for each in pool.loaded],
        aliases=dict(pool.aliases),
    )


@operation(
    "models.get",
    execution=Execution.ASYNC,
    example=GetRequest(model=SAMPLE),
    resource="models/{model}",
)
async def get(request: GetRequest, context: Context) -> Model:
    """A model: its files, its versions, and what it takes and gives once it is loaded."""
    pool, shelves = context.get(Pool), context.get(Shelves)
    name = pool.named(request.model)
    current = None if request.version else pool.known(request.model, "")
    version = request.version if current is None else current.artifact.version
    artifact = await asyncio.to_thread(shelves.find, name, version)
    there = await asyncio.to_thread(shelves.entries)
    loaded = pool.find(artifact.name, artifact.version)
    if loaded is None and request.load:
        context.authorise("models.load")
        loaded = await pool.load(artifact.name, request.version)
    return Model(
        entry=entry(artifact, pool),
        versions=[each.version for each in there if each.name == artifact.name],
        loaded=None if loaded is None else loaded_entry(loaded),
        header=await asyncio.to_thread(header_of, artifact) if request.header else None,
    )


def header_of(artifact: Artifact) -> Header | None:
    """What a model's files say of it: nothing where they are damaged, or lie elsewhere."""
    try:
        # Nothing of it is run, so that none has to be trusted.
        found: Header = load(READ_HEADER)(artifact, trusted=True)
        return found
    except SensoriumError:
        return None


@operation(
    "models.files",
    execution=Execution.ASYNC,
    deadline_s=600.0,
    example=FilesRequest(model=SAMPLE),
)
async def files(request: FilesRequest, context: Context) -> ModelFiles:
    """A model's files with their hashes, as another node fetches them under /hub."""
    shelves = context.get(Shelves)
    name = context.get(Pool).named(request.model)
    found = await asyncio.to_thread(shelves.files, name, request.version)
    if not found.hashed:
        found = await asyncio.wrap_future(shelves.hashed_files(name, request.version))
    return ModelFiles(
        model=found.name,
        version=found.version,
        versions=list(found.versions),
        digest=found.digest,
        commit=found.commit,
        licence=found.licence,
        task=found.task,
        source=found.source,
        files=[
            ModelFile(path=each.path, size_bytes=each.size, sha256=each.sha256)
            for each in found.files
        ],
    )


@operation(
    "models.load",
    execution=Execution.ASYNC,
    changes=True,
    deadline_s=600.0,
    example=LoadRequest(model=SAMPLE),
)
async def load_model(request: LoadRequest, context: Context) -> LoadedEntry:
    """Load a model, or load it anew; calls that run keep the old one until they end."""
    pool = context.get(Pool)
    loaded = await pool.load(
        request.model,
        request.version,
        options=request.options,
        keep_alive_s=request.keep_alive_s,
        fresh=request.fresh,
    )
    if request.alias:
        await _check_alias(request.alias, context)
        pool.alias(request.alias, loaded.artifact.name)
    return loaded_entry(loaded)


@operation(
    "models.unload", execution=Execution.ASYNC, changes=True, example=UnloadRequest(model="none")
)
async def unload(request: UnloadRequest, context: Context) -> Done:
    """Let go of a model's memory, after the calls that use it."""
    pool = context.get(Pool)
    name = pool.named(request.model)
    try:
        found = await asyncio.to_thread(context.get(Shelves).find, name, request.version)
        name = found.name
    except NotFoundError:  # it holds several, or its files are gone: the pool knows what is meant
        name = request.model
    await pool.unload(name, request.version)
    return Done(model=request.model)


@operation(
    "models.delete", execution=Execution.ASYNC, changes=True, example=DeleteRequest(model="none")
)
async def delete(request: DeleteRequest, context: Context) -> Done:
    """Delete a model's files, after unloading it."""
    gone = await asyncio.to_thread(context.get(Shelves).delete, request.model)
    await context.get(Pool).forget(gone)
    return Done(model=request.model)


def output(tensor: Tensor, *, raw: bool) -> OutputTensor:
    """A tensor as an answer shows it."""
    shown = partial(OutputTensor, name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    if raw or tensor.elements > FEW:
        return shown(data=bytes(tensor.data))
    if tensor.datatype == "BYTES":
        items = unpack_bytes(tensor.data, tensor.elements)
        return shown(strings=[each.decode("utf-8", "replace") for each in items])
    values = unpack_numbers(tensor.datatype, tensor.data)
    if any(isinstance(each, int) and abs(each) > EXACT for each in values):
        return shown(data=bytes(tensor.data))  # a double would be another number
    return shown(values=[None if each is None else float(each) for each in values])


def entry(artifact: Artifact, pool: Pool) -> ModelEntry:
    """A model on disk as an answer shows it."""
    loaded = pool.find(artifact.name, artifact.version)
    return ModelEntry(
        name=artifact.name,
        version=artifact.version,
        format=artifact.format,
        size_bytes=artifact.size,
        digest=artifact.digest,
        licence=artifact.licence,
        task=artifact.task,
        source=artifact.source,
        state="unloaded" if loaded is None else loaded.state,
    )


def loaded_entry(loaded: Loaded) -> LoadedEntry:
    """A loaded model as an answer shows it."""
    facts = loaded.placed.facts
    return LoadedEntry(
        name=loaded.artifact.name,
        version=loaded.artifact.version,
        platform=facts.spec.platform,
        inputs=facts.spec.inputs,
        outputs=facts.spec.outputs,
        providers=facts.spec.providers,
        degraded=facts.spec.degraded,
        joins_calls=facts.joins,
        state=loaded.state,
        memory_bytes=loaded.memory_bytes,
        in_use=loaded.users,
        expires_in_s=loaded.expires_in_s,
        load_s=facts.seconds,
    )


async def _check_alias(alias: str, context: Context) -> None:
    """Let an alias through that hides no model.

    Raises:
        ConflictError: a model has that name.
    """
    try:
        await asyncio.to_thread(context.get(Shelves).find, alias)
    except NotFoundError:
        return
    raise ConflictError(f"a model is called {alias[:80]} already")
