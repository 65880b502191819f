"""All groups of measurements, in the order in which `make bench` runs them and the page shows them."""

from __future__ import annotations

from benchmarks import dqn_cartpole, gpu, notebooks, peers, scaling, where_time_goes
from benchmarks.group import Group

GROUPS = {
    "notebook": dqn_cartpole.NOTEBOOK,
    "ablations": dqn_cartpole.ABLATIONS,
    "peers": peers.GROUP,
    "time": where_time_goes.GROUP,
    "environments": scaling.ENVIRONMENTS,
    "updates": scaling.UPDATES,
    "notebooks": notebooks.GROUP,
    "gpu": gpu.GROUP,
}


def groups() -> dict[str, Group]:
    return GROUPS
