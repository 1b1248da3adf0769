"""Models and tensors as the `models` operations show them."""

from functools import partial

from sensorium.capabilities.models.schema import LoadedEntry, ModelEntry, OutputTensor
from sensorium.core.errors import SensoriumError
from sensorium.core.loading import load
from sensorium.core.tensors import EXACT, Tensor, unpack_bytes, unpack_numbers
from sensorium.models.artifact import Artifact
from sensorium.models.headers.header import Header
from sensorium.models.loaded import Loaded
from sensorium.models.pool import Pool

READ_HEADER = "sensorium.models.headers.reading:read_header"
FEW = 1 << 16
"""So many elements are turned into values; more would hold up the server, and stay raw."""


def header_of(artifact: Artifact) -> Header | None:
    """What a model's files say of it: nothing where they are damaged, or lie elsewhere."""
    try:
        # Nothing of it is run, so that none has to be trusted.
        found: Header = load(READ_HEADER)(artifact, trusted=True)
        return found
    except SensoriumError:
        return None


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
