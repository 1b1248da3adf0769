"""A file becomes a model that has run once."""

import time

from sensorium.models.artifact import Artifact
from sensorium.models.backends.base import LoadedModel, LoadOptions
from sensorium.models.backends.table import backend_of
from sensorium.models.exchange import Facts
from sensorium.models.running import proves_batching


def load_model(artifact: Artifact, options: LoadOptions) -> tuple[LoadedModel, Facts]:
    """Load a model on this thread, and try it on inputs made up for it.

    Raises:
        InvalidInputError: the file is malformed, or of a kind that is not run.
        UnavailableError: a library or a provider is missing.
    """
    began = time.perf_counter()
    model = backend_of(artifact.format).load(artifact, options)
    try:
        joins = proves_batching(model) and options.max_batch > 1
    except BaseException:
        model.close()
        raise
    return model, Facts(spec=model.spec, joins=joins, seconds=time.perf_counter() - began)
