"""`system.hardware`: what this machine can compute with, and what a model can be made to run on."""

from sensorium.core.loading import load
from sensorium.core.operation import Execution, WorkContext, operation
from sensorium.core.types import Nothing
from sensorium.models.hardware.schema import Hardware


@operation("system.hardware", execution=Execution.THREAD, example=Nothing())
def hardware(request: Nothing, context: WorkContext) -> Hardware:
    """Processors, memory, GPUs and NPUs of this machine, and the execution providers it has."""
    del request
    found: Hardware = load("sensorium.models.hardware.detect:detect")(context.check)
    return found
