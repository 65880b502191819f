"""Ray on this machine alone, small and silent. Without it, RLlib starts a Ray of its own, with a dashboard."""

import logging
import os

import ray

OPTIONS = {
    "address": "local",
    "num_cpus": 4,  # what may be started, however many cores there are
    "include_dashboard": False,
    "object_store_memory": 100_000_000,
    "logging_level": logging.ERROR,
    "log_to_driver": False,
    "_node_ip_address": "127.0.0.1",
}
TRIES = 3  # Ray gives itself 30 seconds to start, too few for a machine that is busy


def start_ray() -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for left in reversed(range(TRIES)):
        try:
            ray.init(**OPTIONS)
            break
        except Exception:
            ray.shutdown()
            if left == 0:
                raise
    logging.getLogger("ray").setLevel(logging.ERROR)
