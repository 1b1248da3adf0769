"""How many cores this process may use; cheap, because every start asks."""

import math
import os
from pathlib import Path

from sensorium.models.hardware import cgroups


def usable_cores(root: Path = Path("/")) -> int:
    """At least 1: the machine's, within this process' affinity and its container's quota.

    A quota of 1.5 cores counts as two: two threads use it up, one cannot.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # no Linux
        allowed = os.cpu_count() or 1
    quota = cgroups.read(root).cores
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))
