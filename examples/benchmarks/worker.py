"""One process for one (workload, framework). It imports what it needs; for the first line that it
reads it makes ready and warms up, for every further one it runs a round.

Each answer is one line of JSON. Whatever frameworks print goes to the standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import workloads
from frameworks import FRAMEWORKS


def main(workload_name: str, framework_name: str, scale: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers)

    try:
        workload, framework = workloads.load(workload_name), FRAMEWORKS[framework_name]
        importlib.import_module(framework.imports or "torch")
        prepare = importlib.import_module(f"frameworks.{framework.module}").prepare
        answer(imported=True)
        sys.stdin.readline()
        steps = max(2, round(workload.steps * float(scale)))
        x, y = workload.arrays(np.random.default_rng(0), workload.batch * steps)
        with warnings.catch_warnings(record=True) as caught:
            epoch = prepare(workload, x, y, **framework.options)
            before = _megabytes()
            warm_up = [_seconds(epoch), _seconds(epoch)]  # not counted; compilation is in here
        own = {str(w.message) for w in caught if "compiled" in str(w.message)}
    except (ImportError, NotImplementedError) as error:
        answer(absent=f"{type(error).__name__}: {error}")
        return
    answer(steps=steps, warm_up_s=warm_up, before_mb=before, warnings=sorted(own))
    for _ in sys.stdin:
        answer(us=_seconds(epoch) / steps * 1e6, peak_mb=_megabytes())


def _seconds(epoch: Callable[[], float | None]) -> float:
    start = time.perf_counter()
    own = epoch()
    return own if isinstance(own, float) else time.perf_counter() - start


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
