"""Lesson 15's team code on VMAS's navigation, over seeds not used to find its settings.

Runs where VMAS is installed, which is no extra of the course; elsewhere it is left out.
"""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from importlib.metadata import version
from statistics import mean

from benchmarks.group import Group
from benchmarks.lesson_code import FIRST_SEED, defining_code, named_code, run_code, seeds
from benchmarks.missing import of_vmas
from benchmarks.section import Arms, Section, seeds_of, table
from benchmarks.tables import median_text

LESSON = "15_many_agents"
EXAM_EPISODES = 200
EXAM_SEED = 1_000_000_000
CHANGES = {
    "as in the lesson": {},
    "critic sees one": {"central_critic": False},
    "own policies": {"shared_policy": False},
}
ARMS = list(CHANGES)
GOOD = 0.8  # of the best return seen


def code() -> str:
    """The lesson's cells that define the team, its training, and this world with its judge."""
    ids = ("train-in", "six", "navigation", "navigate", "path")
    return f"{defining_code(LESSON, '15-break')}\n\n{named_code(LESSON, *(f'15-{name}' for name in ids))}"


@functools.cache
def definitions() -> dict:
    return run_code(code(), seed=0)


def measure(arm: str, seed: int) -> dict[str, dict]:
    """Train from this seed, and play one greedy episode in each of fresh copies.

    Returns:
        For the arm: `return` and `untrained`, mean return of an episode after and before training; `ceiling`, the mean
        sum of the three distances to the goals at the start; `bumps`, how many times an agent is paid for a collision
        in an episode; `arrived`, the share of episodes that end with all three on their goals; `curve`, the mean
        reward of a step, batch by batch; the frames, the processor's seconds of training, and VMAS's release; `paths`
        before and after from one start, which the lesson's `busiest` picks, for the first seed of the first arm.
    """
    import torch

    torch.set_num_threads(1)
    space, curve = definitions(), []
    settings = replace(space["NAVIGATION"], **CHANGES[arm])

    def watch(number, batch):
        curve.append(round(batch["next", "agents", "reward"].mean().item(), 4))

    start = time.process_time()
    run = space["train_in"](space["navigation"](settings.copies, seed), 100, settings, seed, watch)
    seconds = time.process_time() - start
    policies = {"before": space["build"](settings, seed).actor, "after": run.actor}
    exams = {name: space["navigate"](policy, EXAM_EPISODES, EXAM_SEED + seed) for name, policy in policies.items()}
    after, counts = exams["after"], space["first_episode"](exams["after"])
    ways = after["agents", "all"][:, 0, :, 4:6].norm(dim=-1).sum(1)
    bumps = (after["next", "agents", "info", "agent_collisions"] < 0).sum((-2, -1)) * counts.squeeze(-1)
    result = {
        "return": round(space["returns"](after).mean().item(), 3),
        "untrained": round(space["returns"](exams["before"]).mean().item(), 3),
        "ceiling": round(ways.mean().item(), 3),
        "bumps": round(bumps.sum(1).float().mean().item(), 3),
        "arrived": round((after["next", "terminated"] & counts).any(1).float().mean().item(), 3),
        "curve": curve,
        "frames": settings.copies * 100 * settings.batches,
        "cpu_seconds": round(seconds, 1),
        "vmas": version("vmas"),
    }
    if (arm, seed) == (ARMS[0], FIRST_SEED):
        shown = space["busiest"](after)
        result["paths"] = {name: space["path_of"](exam, shown) for name, exam in exams.items()}
    return {arm: result}


def tell(section: Section, arms: Arms) -> None:
    arms = {name: runs for name, runs in arms.items() if runs}
    best = max(run["return"] for runs in arms.values() for run in runs.values())
    good = {name: sum(run["return"] >= GOOD * best for run in runs.values()) for name, runs in arms.items()}
    section.answer(
        f"Runs whose return on fresh episodes is at least {GOOD:.0%} of the best one seen ({best:.2f}): "
        + "; ".join(f"{name} {good[name]} of {len(runs)}" for name, runs in arms.items())
        + "."
    )
    rows = [
        [
            name,
            f"{good[name]} of {len(runs)}",
            ", ".join(f"{run['return'] / best:.0%}" for run in runs.values()),
            f"{mean(run['return'] for run in runs.values()):.2f}",
            f"{mean(run['arrived'] for run in runs.values()):.0%}",
            f"{mean(run['bumps'] for run in runs.values()):.2f}",
            median_text(runs, "cpu_seconds", 1),
        ]
        for name, runs in arms.items()
    ]
    heads = ["", "good runs", "return in units of the best seen, seed by seed", "return, mean", "all three arrived"]
    section.say(table([*heads, "paid collisions an episode", "processor seconds, median"], rows))
    everyone = [run for runs in arms.values() for run in runs.values()]
    untrained, ways = (mean(run[what] for run in everyone) for what in ("untrained", "ceiling"))
    section.measured(
        f"The definitions of lesson 15 on `VmasEnv('navigation')`, VMAS {everyone[0]['vmas']}, {seeds_of(arms)}, none "
        f"of which was used to find the settings; 60,000 frames of a team each. {EXAM_EPISODES} fresh greedy episodes "
        f"with the last weights; untrained teams have {untrained:.2f}. All ways to the goals together are {ways:.2f} "
        "long, and no return can be much above that."
    )
    section.limits("One scenario of VMAS, with three agents that read six numbers made of its 18.")


def jobs(count: int) -> list[tuple[str, int]]:
    """The first arm on so many seeds, then the others on half of them."""
    few = (count + 1) // 2
    return [(arm, seed) for arm in ARMS for seed in seeds(count if arm == ARMS[0] else few)]


GROUP = Group(
    name="vmas",
    order=137,
    question="Does the same team code learn in a world that was not made for it?",
    tell=tell,
    file="15_vmas",
    jobs=jobs,
    measure=measure,
    arms=lambda: ARMS,
    code=code,
    repeats=10,
    missing=of_vmas,
)
