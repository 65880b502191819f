"""The same CartPole and the same judge in four libraries: the scripts of examples/libraries/, as a user runs them.

Each run is a process of its own on one thread. Two groups: lesson 07's recipe in each library, and the settings that
each library recommends for this task, up to the frames that it allows.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from importlib.metadata import version

from benchmarks.group import Group
from benchmarks.store import ROOT

SCRIPTS = ROOT / "examples" / "libraries"
FILE = "13_choosing_a_library"
FIRST_SEED = 100  # the recipe was found on smaller seeds
LIBRARIES = {"plain PyTorch": "plain", "TorchRL": "torchrl", "Stable-Baselines3": "sb3", "RLlib": "rllib"}
SLOW = "RLlib"
SLOW_SEEDS = 3  # with RLlib's own settings a run takes many minutes


def missing() -> str:
    absent = [module for module in ("ray", "stable_baselines3") if importlib.util.find_spec(module) is None]
    return f"{' and '.join(absent)} not installed" if absent else ""


def run_script(name: str, *arguments: str) -> dict:
    """Run one script and return what its judge says, with the seconds from start to end of the process.

    Raises:
        RuntimeError: it failed; the message ends with what it said last.
    """
    start = time.perf_counter()
    command = [sys.executable, SCRIPTS / f"{name}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name}.py stopped: " + "\n".join(done.stderr.strip().splitlines()[-3:]))
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return result | {"script_seconds": round(time.perf_counter() - start, 1)}


def code(kind: str) -> str:
    """The scripts of one kind, their judge, and the library that the groups' stamps do not name."""
    files = [SCRIPTS / "judge.py", *(SCRIPTS / f"{prefix}_{kind}.py" for prefix in LIBRARIES.values())]
    return "\n".join([*(path.read_text() for path in files), f"ray {version('ray')}" if not missing() else ""])


def seeds(count: int) -> range:
    return range(FIRST_SEED, FIRST_SEED + count)


def jobs(count: int, slow_count: int) -> list[tuple[str, int]]:
    """For each seed the libraries one after the other; the slow one for the first `slow_count` seeds only."""
    everything = [(library, seed) for seed in seeds(count) for library in LIBRARIES]
    return [(library, seed) for library, seed in everything if library != SLOW or seed in seeds(slow_count)]


RECIPE = Group(
    file=FILE,
    jobs=lambda count: jobs(count, count),
    measure=lambda library, seed: {library: run_script(f"{LIBRARIES[library]}_recipe", "--seed", str(seed))},
    arms=lambda: list(LIBRARIES),
    code=lambda: code("recipe"),
    repeats=5,
    missing=missing,
)
RECOMMENDED = Group(
    file=FILE,
    jobs=lambda count: jobs(count, min(count, SLOW_SEEDS)),
    measure=lambda library, seed: {library: run_script(f"{LIBRARIES[library]}_dqn", "--seed", str(seed))},
    arms=lambda: list(LIBRARIES),
    code=lambda: code("dqn"),
    repeats=5,
    missing=missing,
)
