"""Memory that a step has freed stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import torch
import kerastorch as keras
from kerastorch.training._memory import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(160):
        torch.empty(1 << 18).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((8, 3)), np.ones(8), verbose=0)
faults()
print(keep_memory(), faults())
"""


def run(**variables: str) -> tuple[str, int]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env=kept | variables,
    ).stdout.split()
    return found[0], int(found[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc's options are glibc's")
def test_fit_keeps_memory_unless_the_user_has_said_something() -> None:
    if "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""):
        pytest.skip("another C library")
    done, count = run()
    assert done == "True"
    assert count < 500  # 160 blocks of 1 MB have 40,960 pages
    done, _ = run(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert done == "False"
