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
from collections.abc import Mapping
from importlib.metadata import version

from benchmarks.figures import solved_of
from benchmarks.group import Group
from benchmarks.lesson_code import seeds
from benchmarks.section import Arms, Section, seeds_of, table, upper
from benchmarks.store import ROOT
from benchmarks.tables import median_text

SCRIPTS = ROOT / "examples" / "libraries"
FILE = "13_choosing_a_library"
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


def jobs(count: int, slow_count: int) -> list[tuple[str, int]]:
    """For each seed the libraries one after the other; the slow one for the first `slow_count` seeds only."""
    everything = [(library, seed) for seed in seeds(count) for library in LIBRARIES]
    return [(library, seed) for library, seed in everything if library != SLOW or seed in seeds(slow_count)]


def measure_recipe(library: str, seed: int) -> dict[str, dict]:
    return {library: run_script(f"{LIBRARIES[library]}_recipe", "--seed", str(seed))}


def measure_recommended(library: str, seed: int) -> dict[str, dict]:
    return {library: run_script(f"{LIBRARIES[library]}_dqn", "--seed", str(seed))}


def tell(section: Section, arms: Arms, what: str, limits: str) -> None:
    rows = [
        [
            name,
            solved_of(runs),
            median_text(runs, "frames"),
            median_text(runs, "cpu_seconds", 1),
            pace(runs),
            median_text(runs, "startup_cpu_seconds", 1),
        ]
        for name, runs in arms.items()
    ]
    heads = ["", "solved", "frames", "core seconds of training", "frames per core second", "core seconds to start"]
    section.answer("Solved: " + "; ".join(f"{name} {solved_of(runs)}" for name, runs in arms.items()) + ".")
    section.say(table(heads, rows))
    section.measured(
        f"{what} {upper(seeds_of(arms))}; for each seed one after the other, each in a process of its own with one "
        "thread. One judge validates all of them, stops them at the same score and examines them; its time is not in "
        "the table. Medians over all runs; one that failed counts with what it spent. Core seconds are those of the "
        "process; Ray's background processes are not in them."
    )
    section.limits(limits)


def pace(runs: Mapping[str, dict]) -> str:
    """Frames per core second, the median."""
    paces = {key: {"pace": run["frames"] / run["cpu_seconds"]} for key, run in runs.items() if "cpu_seconds" in run}
    return median_text(paces, "pace")


def tell_recipe(section: Section, arms: Arms) -> None:
    tell(
        section,
        arms,
        "Lesson 07's recipe, written for each library in examples/libraries/.",
        "One small task, where machinery is most of the time: with a slower environment the same differences shrink. "
        "SB3's loss is Huber's, the others' is squared. Few seeds: frames to solve vary more by seed than by library.",
    )


def tell_recommended(section: Section, arms: Arms) -> None:
    tell(
        section,
        arms,
        "RL-Zoo's settings, those of RLlib's and of TorchRL's example, and CleanRL's defaults for plain PyTorch. RLlib "
        "was given fewer seeds, because a run takes many minutes.",
        "These settings differ in everything, so no row says anything of a library's speed. All were made to be "
        "reliable at their full length, not to stop early.",
    )


RECIPE = Group(
    name="libraries",
    order=40,
    question="One recipe in four libraries: what does each library's machinery cost?",
    tell=tell_recipe,
    file=FILE,
    jobs=lambda count: jobs(count, count),
    measure=measure_recipe,
    arms=lambda: list(LIBRARIES),
    code=lambda: code("recipe"),
    repeats=5,
    missing=missing,
)
RECOMMENDED = Group(
    name="recommended",
    order=50,
    question="Each library with the settings that its makers recommend",
    tell=tell_recommended,
    file=FILE,
    jobs=lambda count: jobs(count, min(count, SLOW_SEEDS)),
    measure=measure_recommended,
    arms=lambda: list(LIBRARIES),
    code=lambda: code("dqn"),
    repeats=5,
    missing=missing,
)
