"""AutoETS by statsforecast, in the peers' environment: histories in, forecasts out, as JSON."""

import json
import sys
import time
import warnings

import numpy as np
from statsforecast.models import AutoETS


def main() -> None:
    """Read `{"level": 95, "cases": [{"history": [...], "steps": n}, ...]}` from stdin."""
    warnings.simplefilter("ignore")
    task = json.load(sys.stdin)
    results = []
    for case in task["cases"]:
        history = np.array(case["history"])
        start = time.perf_counter()
        found = AutoETS(season_length=1).forecast(history, h=case["steps"], level=[task["level"]])
        seconds = time.perf_counter() - start
        results.append(
            {
                "mean": found["mean"].tolist(),
                "lower": found[f"lo-{task['level']}"].tolist(),
                "upper": found[f"hi-{task['level']}"].tolist(),
                "seconds": seconds,
            }
        )
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
