"""All groups of measurements, in the order in which `make bench` runs them and the page shows them."""

from __future__ import annotations

from benchmarks import (
    continuous_control,
    dqn_cartpole,
    gpu,
    libraries,
    memory_and_pixels,
    notebooks,
    offline_cartpole,
    peers,
    ppo_two_tasks,
    scaling,
    scaling_out,
    tuning,
    where_time_goes,
)
from benchmarks.group import Group

GROUPS = {
    "notebook": dqn_cartpole.NOTEBOOK,
    "ablations": dqn_cartpole.ABLATIONS,
    "peers": peers.GROUP,
    "libraries": libraries.RECIPE,
    "recommended": libraries.RECOMMENDED,
    "ppo": ppo_two_tasks.GROUP,
    "control": continuous_control.GROUP,
    "offline": offline_cartpole.GROUP,
    "memory": memory_and_pixels.MEMORY,
    "pixels": memory_and_pixels.PIXELS,
    "workers": scaling_out.SPEED,
    "staleness": scaling_out.STALENESS,
    "tuning": tuning.GROUP,
    "time": where_time_goes.GROUP,
    "environments": scaling.ENVIRONMENTS,
    "updates": scaling.UPDATES,
    "notebooks": notebooks.GROUP,
    "gpu": gpu.GROUP,
}


def groups() -> dict[str, Group]:
    return GROUPS
