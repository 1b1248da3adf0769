"""drain3 with its defaults, run in the peers' environment.

Reads {"lines": [...], "budget_s": ...} on stdin; writes the cluster of each line (until the budget
is spent), the seconds that it took, and the peak resident memory in MiB, as JSON on stdout.
"""

import json
import sys
import time
from pathlib import Path

from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig


def main() -> None:
    """Cluster what stdin holds."""
    request = json.load(sys.stdin)
    lines = request["lines"]
    miner = TemplateMiner(config=TemplateMinerConfig())
    budget_s = request.get("budget_s", float("inf"))
    clusters = []
    started = time.perf_counter()
    for line in lines:
        clusters.append(miner.add_log_message(line)["cluster_id"])
        if len(clusters) % 1000 == 0 and time.perf_counter() - started > budget_s:
            break
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_mib = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    json.dump(
        {"clusters": clusters, "seconds": seconds, "peak_mib": peak_mib, "done": len(clusters)},
        sys.stdout,
    )


if __name__ == "__main__":
    main()
