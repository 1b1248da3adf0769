"""Inference: a model by name, its turn at the compute, and what came of it on the record."""

import os
import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from sensorium.control.turns import Compute, Turns
from sensorium.core.dispatch import Priority
from sensorium.core.errors import (
    CancelledCallError,
    InvalidInputError,
    OverloadedError,
    SensoriumError,
)
from sensorium.core.tensors import Inferred, Tensor
from sensorium.models.checking import check_inputs, chosen_outputs
from sensorium.models.exchange import Request
from sensorium.models.pool import Loaded, Pool

NOT_ITS_FAULT = (InvalidInputError, CancelledCallError, OverloadedError)


class Inference:
    """Runs tensors through the models of a pool."""

    def __init__(self, pool: Pool, queue_limit: int) -> None:
        self._pool = pool
        self._queue_limit = queue_limit
        self._compute = Compute(os.cpu_count() or 1)
        self._turns: WeakKeyDictionary[Loaded, Turns] = WeakKeyDictionary()

    async def infer(
        self,
        model: str,
        inputs: Sequence[Tensor],
        *,
        outputs: Sequence[str] = (),
        version: str = "",
        priority: Priority = Priority.INTERACTIVE,
    ) -> Inferred:
        """See `core.operation.Context.infer`."""
        async with self._pool.use(model, version) as loaded:
            spec = loaded.placed.facts.spec
            check_inputs(spec, inputs)
            request = Request(list(inputs), chosen_outputs(spec, outputs))
            try:
                found = await self.turns(loaded).infer(request, priority)
            except SensoriumError as error:
                if not isinstance(error, NOT_ITS_FAULT):
                    loaded.failed_at = time.time()
                raise
            loaded.succeeded_at = time.time()
            artifact = loaded.artifact
            return Inferred(
                model=artifact.name,
                version=artifact.version,
                digest=artifact.digest,
                outputs=found,
            )

    def turns(self, loaded: Loaded) -> Turns:
        """The queue before a loaded model."""
        found = self._turns.get(loaded)
        if found is None:
            found = Turns(loaded.placed, loaded.options, self._compute, self._queue_limit)
            self._turns[loaded] = found
        return found
