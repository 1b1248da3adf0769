"""A file becomes a model that has run once."""

import time
from base64 import b64decode
from contextlib import suppress

from sensorium.core.conversation import ImagePart, Message
from sensorium.core.errors import NotSupportedError, UnavailableError
from sensorium.core.generation import Generation
from sensorium.core.loading import load
from sensorium.models.answering import Seer
from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadedModel, LoadOptions, TextModel
from sensorium.models.backends.table import backend_of
from sensorium.models.exchange import Facts
from sensorium.models.headers.reading import read_header
from sensorium.models.running import proves_batching
from sensorium.models.steadiness import is_steady
from sensorium.models.weighing import weigh

TOKENIZER = "sensorium.models.backends.tokenizer:of_folder"
PICTURE = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQAAAABbAUdZAAAAD0lEQVR42mP4DwQMg5cAANrpf4Em8vpjAAAAAElFTkSuQmCC"
)
"""A PNG, white, of 32 x 32 pixels."""


def load_model(artifact: Artifact, options: LoadOptions) -> tuple[LoadedModel | TextModel, Facts]:
    """Load a model on this thread, and try it on inputs made up for it.

    Raises:
        InvalidInputError: the file is malformed, or of a kind that is not run.
        UnavailableError: a library or a provider is missing.
    """
    began = time.perf_counter()
    weigh(artifact, options)  # what is malformed never gets to a parser in native code
    model = _loaded(artifact, options)
    try:
        joins, parallel = _tried(model, options)
        steady = is_steady(artifact, model.spec, options)
    except BaseException:
        model.close()
        raise
    seconds = time.perf_counter() - began
    return model, Facts(
        spec=model.spec, joins=joins, parallel=parallel, steady=steady, seconds=seconds
    )


def _loaded(artifact: Artifact, options: LoadOptions) -> LoadedModel | TextModel:
    """The model; where the library of a language model is missing, what its tokenizer can do."""
    try:
        backend = backend_of(artifact.format, options.engine)
    except UnavailableError as missing:
        if not _has_tokenizer(artifact, options):
            raise
        found: TextModel = load(TOKENIZER)(artifact.path, missing.message)
        return found
    return backend.load(artifact, options)


def _has_tokenizer(artifact: Artifact, options: LoadOptions) -> bool:
    """Whether it is a language model with a tokenizer that can be used by itself."""
    if artifact.format != "transformers" or not (artifact.path / "tokenizer.json").is_file():
        return False
    header = read_header(artifact, trusted=options.trusted)
    return "Classification" not in header.details.get("architectures", "")


def _trial(picture_task: str) -> Generation:
    if not picture_task:
        return Generation(prompt="a", max_tokens=1, temperature=0.0)
    message = Message(role="user", content=picture_task, images=[ImagePart(data=PICTURE)])
    return Generation(messages=[message], max_tokens=1, temperature=0.0)


def _tried(model: LoadedModel | TextModel, options: LoadOptions) -> tuple[bool, int]:
    """Whether calls may be joined, and how many texts it makes at once (0: it takes tensors)."""
    if isinstance(model, TextModel):
        _try_text(model)
        return False, model.parallel
    return proves_batching(model) and options.max_batch > 1, 0


def _try_text(model: TextModel) -> None:
    """Try the first of what language models may do that this one does."""
    tasks = model.picture_tasks if isinstance(model, Seer) else ()
    with suppress(NotSupportedError):
        model.generate(_trial(tasks[0] if tasks else ""), lambda _: True)
        return
    with suppress(NotSupportedError):
        model.embed(["a"])
        return
    model.tokenize("a", special=True)
