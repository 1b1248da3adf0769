"""One pull through our client: arguments are the hub's address, a folder and the reference.

Writes `{"done": bytes}` as it goes, and `{"seconds": …}` at its end.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.hub import SMALL
from benchmarks.inproc import settings
from sensorium.client import Sensorium


def main(endpoint: str, folder: str, reference: str) -> None:
    """Pull once."""
    with Sensorium(settings=settings(Path(folder), hf_endpoint=endpoint)) as client:
        list(client.models.pull(model=f"hf://{SMALL}"))  # the process that fetches is up
        began = time.perf_counter()
        for step in client.models.pull(model=reference):
            print(json.dumps({"done": step.done_bytes}), flush=True)
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
