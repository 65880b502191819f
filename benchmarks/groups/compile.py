"""When does `torch.compile` pay for an update of lesson 07's DQN?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from statistics import median

from benchmarks import dqn_cartpole
from benchmarks.group import Group
from benchmarks.lesson_code import named_code, run_code
from benchmarks.section import Arms, Section, counted, table
from benchmarks.store import ROOT

SETTINGS = {
    "as in the lesson": {},
    "batches of 4,096": {"batch_size": 4_096},
    "width 1,024": {"width": 1_024},
}
UPDATES = 300


def code() -> str:
    return dqn_cartpole.recipe_code() + "\n" + named_code("07_dqn", "07-race")


def race_here(arm: str, updates: int) -> dict[str, float]:
    """The lesson's `race` in this process: core seconds of the first compiled update, and of a later one of each."""
    space = run_code(code(), seed=0)
    space["settings"] = replace(space["settings"], **SETTINGS[arm])
    space["validate"] = lambda run: 0.0
    run = space["build"](0)
    space["train"](run, dqn_cartpole.first_frames(space["settings"]))
    return dict(zip(("waited", "eager", "compiled"), space["race"](run, updates), strict=True))


def race_apart(arm: str, cache: str, updates: int) -> dict[str, float]:
    """The same in a process of its own, which finds only that compiled code which lies in the folder `cache`."""
    call = f"race({arm!r}, {updates})"
    own = f"import json; from {__name__} import {race_here.__name__} as race; print(json.dumps({call}))"
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}
    command = [sys.executable, "-W", "ignore", "-c", own]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    return json.loads(done.stdout.splitlines()[-1])


def measure(arm: str, repeat: int) -> dict[str, dict]:
    """Compile in an empty cache, then once more in a new process that finds the cache full."""
    with tempfile.TemporaryDirectory() as cache:
        first, again = (race_apart(arm, cache, updates) for updates in (UPDATES, 1))
    return {
        arm: {
            "compile_seconds": round(first["waited"], 2),
            "cached_seconds": round(again["waited"], 2),
            "eager_milliseconds": round(1_000 * first["eager"], 3),
            "compiled_milliseconds": round(1_000 * first["compiled"], 3),
        }
    }


def medians(runs: Mapping[str, dict]) -> dict[str, float]:
    facts = next(iter(runs.values()))
    return {fact: median(run[fact] for run in runs.values()) for fact in facts}


def break_even(found: Mapping[str, float]) -> float:
    """After so many updates the compiled ones have made up for the wait; infinite where they are no quicker."""
    gained = (found["eager_milliseconds"] - found["compiled_milliseconds"]) / 1_000
    return found["compile_seconds"] / gained if gained > 0 else float("inf")


def updates_text(number: float) -> str:
    return "never" if number == float("inf") else f"{float(f'{number:.2g}'):,.0f}"


def tell(section: Section, arms: Arms) -> None:
    found = {arm: medians(runs) for arm, runs in arms.items()}
    own = next(iter(found.values()))
    section.answer(
        f"With the lesson's settings an update takes {own['eager_milliseconds']:.1f} ms, compiled "
        f"{own['compiled_milliseconds']:.1f} ms, after {own['compile_seconds']:.0f} core seconds of compiling: it pays "
        f"after some {updates_text(break_even(own))} updates, which the lesson does not make."
        if break_even(own) < float("inf")
        else "With the lesson's settings a compiled update is no quicker: it never pays."
    )
    heads = ["", "first compiled update, s", "from the cache, s", "an update, ms", "compiled, ms", "pays after updates"]
    rows = [
        [
            arm,
            f"{facts['compile_seconds']:.1f}",
            f"{facts['cached_seconds']:.1f}",
            f"{facts['eager_milliseconds']:.2f}",
            f"{facts['compiled_milliseconds']:.2f}",
            updates_text(break_even(facts)),
        ]
        for arm, facts in found.items()
    ]
    section.say(table(heads, rows))
    count = len(next(iter(arms.values())))
    section.measured(
        f'The lesson\'s own `race`: its loss module compiled with `torch.compile(backend="inductor", '
        f'mode="default")`, {UPDATES:,} updates each way on one thread, the median of {counted(count, "repeat")}. '
        "All seconds are core seconds, those of the C++ compiler included. The first run of a pair finds an empty "
        "cache, the second what the first left there."
    )
    section.limits(
        "One small network on a CPU, and core seconds grow where other work shares its caches. On a GPU compiling "
        "saves something else, the launching of kernels."
    )


GROUP = Group(
    name="compile",
    order=165,
    question="When does compiling an update pay?",
    tell=tell,
    file="07_compile",
    jobs=lambda count: [(arm, repeat) for repeat in range(count) for arm in SETTINGS],
    measure=measure,
    arms=lambda: list(SETTINGS),
    code=code,
    repeats=3,
    only_seconds=True,
)
