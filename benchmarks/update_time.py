"""Time of an update of lesson 07's own `learn`, with one of its settings changed."""

from __future__ import annotations

import functools
import time
from dataclasses import replace

import torch

from benchmarks import dqn_cartpole

SIZES = {"batch_size": [32, 128, 512, 1024, 4096], "width": [64, 128, 256, 512, 1024]}
REPEATS = 3
SECONDS = 0.4  # one repeat lasts at least so long


@functools.cache
def filled_run(**changes):
    """The lesson's definitions with changed settings, and a run whose buffer holds its first frames."""
    space = dqn_cartpole.definitions(seed=0)
    space["settings"] = replace(space["settings"], **changes)
    space["validate"] = lambda run: 0.0
    run = space["build"](0)
    space["train"](run, dqn_cartpole.first_frames(space["settings"]))
    return space, run


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def update_milliseconds(repeats: int, seconds: float = SECONDS, **changes) -> list[float]:
    """Milliseconds of one update of the lesson's `learn` with changed settings, measured several times."""
    space, run = filled_run(**changes)
    found = []
    for _ in range(repeats):
        wait_for(space["device"])
        start, updates = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            space["learn"](run)
            wait_for(space["device"])
            updates += space["settings"].updates
        found.append(round(1_000 * (time.perf_counter() - start) / updates, 4))
    return found
