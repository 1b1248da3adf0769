"""The `models` operations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from sensorium.capabilities.models.answers import entry, header_of, loaded_entry, output
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
    ModelFile,
    ModelFiles,
    Models,
    PullRequest,
    QuantizeRequest,
    UnloadRequest,
)
from sensorium.core.dispatch import LOCAL, Caller
from sensorium.core.errors import ConflictError, NotFoundError
from sensorium.core.generation import Generation, Piece
from sensorium.core.operation import Context, Execution, Form, operation
from sensorium.core.tensors import Tensor
from sensorium.models.catalogue.shelves import Shelves
from sensorium.models.hub.progress import PullProgress
from sensorium.models.hub.puller import Puller
from sensorium.models.pool import Pool
from sensorium.models.quantising.progress import QuantizeProgress
from sensorium.models.quantising.quantiser import Quantiser
from sensorium.models.settings import ModelSettings

READER = "sensorium.capabilities.models.open_inference"
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
