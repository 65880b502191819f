"""The same lesson on a GPU: time of an update over its sizes on both devices, and the whole of lesson 07 on each.

Runs where there is a CUDA device; elsewhere it is left out.
"""

from __future__ import annotations

import os

from benchmarks import dqn_cartpole, scaling
from benchmarks.group import Group

DEVICES = ["cpu", "cuda"]


def missing() -> str:
    import torch

    return "" if torch.cuda.is_available() else "this machine has no CUDA device"


def jobs(count: int) -> list[tuple[str, int]]:
    updates = [
        (f"{setting}, {device}", size)
        for setting, sizes in scaling.SIZES.items()
        for size in sizes
        for device in DEVICES
    ]
    lessons = [(f"act two, {device}", seed) for seed in dqn_cartpole.seeds(count) for device in DEVICES]
    return updates + lessons


def measure(arm: str, key: int) -> dict:
    """Milliseconds of an update with one setting changed, or act two of the executed lesson, on the device named."""
    what, device = arm.split(", ")
    os.environ["COURSE_DEVICE"] = device
    scaling.filled_run.cache_clear()  # it does not know of the device
    if what == "act two":
        return dqn_cartpole.run_notebook(key)["act two"]
    return {"milliseconds": scaling.update_milliseconds(scaling.REPEATS, **{what: key})}


GROUP = Group(
    file="gpu",
    jobs=jobs,
    measure=lambda arm, key: {arm: measure(arm, key)},
    arms=lambda: list(dict.fromkeys(arm for arm, _ in jobs(1))),
    code=dqn_cartpole.recipe_code,
    repeats=3,
    missing=missing,
)
