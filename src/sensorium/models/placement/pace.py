"""Which runs are so short that to hand them to another thread would take longer than they do.

To wake a model's thread, and then the event loop with its results, takes some 50 us: more than a
small model computes. What runs on the event loop, however, holds up everybody else, and neither a
deadline nor an interrupt ends it. So only a run whose length is known beforehand does: of a model
whose operators take the same time whatever its inputs hold (`Facts.steady`), of few bytes, and
after as many rows have just been quick a number of times. The first long one sends those to the
thread again, until they have been quick as often.
"""

from collections.abc import Sequence
from time import thread_time

from sensorium.core.errors import SensoriumError
from sensorium.models.backends.base import LoadedModel
from sensorium.models.exchange import Request, Result
from sensorium.models.running import run

QUICK_S = 60e-6
"""About what the way to the thread and back takes. While a longer run has the thread, the calls
that come meanwhile become the next run together, which gains more than the way costs."""
LONG_S = 120e-6
"""Between the two a run changes nothing: what is about as long as the limit does not go to and
fro."""
PROOF = 16
SMALL_BYTES = 64 << 10


class Pace:
    """Runs a model, and knows how many of its latest runs in a row were quick, by their rows.

    Rows are counted by their number's bits: 1, 2 and 3, 4 to 7, and so on. A run's time is the
    processor's, so that a busy machine does not make a model slow.
    """

    def __init__(self, model: LoadedModel, *, steady: bool) -> None:
        self._model = model
        self._steady = steady
        self._quick = [0] * SMALL_BYTES.bit_length()

    def is_quick(self, requests: Sequence[Request]) -> bool:
        """Whether to run these takes so little that it may be done on the event loop."""
        return self._steady and self._quick[_bits(requests)] >= PROOF

    def run(self, requests: Sequence[Request]) -> list[Result]:
        """See `running.run`; on whatever thread it is called."""
        began = thread_time()
        results = run(self._model, requests)
        seconds = thread_time() - began
        bits = _bits(requests)
        if seconds > LONG_S:
            self._quick[bits] = 0
        elif (
            seconds <= QUICK_S and bits and not any(isinstance(r, SensoriumError) for r in results)
        ):
            self._quick[bits] += 1  # what was refused says nothing of what is not
        return results


def _bits(requests: Sequence[Request]) -> int:
    """The bits of the number of rows; 0 where that does not tell how much there is to do."""
    rows = size = 0
    for request in requests:
        own = {each.shape[0] if each.shape else 0 for each in request.inputs}
        if len(own) != 1:
            return 0
        rows += own.pop()
        size += sum(len(each.data) for each in request.inputs)
    return rows.bit_length() if size <= SMALL_BYTES else 0
