"""Lesson 15's team of three, paid in three ways, over seeds not used to find its settings."""

from __future__ import annotations

import functools
import time
from statistics import mean

from benchmarks.group import Group
from benchmarks.lesson_code import defining_code, named_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table
from benchmarks.tables import median_text

LESSON = "15_many_agents"
EXAM_EPISODES = 500
EXAM_SEED = 1_000_000_000
ARMS = ["team reward", "own rewards", "difference reward"]
GOOD = 0.8  # of the episodes
HALFWAY = -0.25  # mean team reward of a step; untrained about -0.6, at the end about -0.13


def code() -> str:
    """The lesson's cells that define the worlds, the team, its training and its judge."""
    named = named_code(LESSON, "15-missed", "15-difference", "15-rewards", "15-train-in")
    return f"{defining_code(LESSON, '15-break')}\n\n{named}"


@functools.cache
def definitions() -> dict:
    return run_code(code(), seed=0)


def measure(arm: str, seed: int) -> dict[str, dict]:
    """Train from this seed on one of the rewards, with a critic that sees one rover, and look at fresh episodes.

    Returns:
        For the arm: `held`, the share of episodes in which all three posts are held at the end; `posts`, the mean
        number of posts held; `curve`, the mean team reward of a step, whatever the team was paid, batch by batch; the
        processor's seconds of training.
    """
    import torch

    torch.set_num_threads(1)
    space, curve = definitions(), []
    settings = space["Settings"](central_critic=False)
    envs = space["TransformedEnv"](space["REWARDS"][arm](), space["StepCounter"](space["STEPS"]))

    def watch(number, batch):
        place = batch["next", "agents", "observation"][..., :2].flatten(0, 1)
        curve.append(round(space["pay"](place, team_reward=True).mean().item(), 3))

    start = time.process_time()
    run = space["train_in"](envs, space["STEPS"], settings, seed, watch)
    seconds = time.process_time() - start
    rollout = space["play"](run.actor, EXAM_EPISODES, EXAM_SEED + seed)
    result = {
        "held": round(space["all_held"](rollout), 3),
        "posts": round(space["at_posts"](rollout).any(1).sum(1).float().mean().item(), 3),
        "curve": curve,
        "frames": settings.copies * space["STEPS"] * settings.batches,
        "cpu_seconds": round(seconds, 1),
    }
    return {arm: result}


def halfway(run: dict) -> str:
    """The first batch that is halfway, counted from 1."""
    return next((str(number) for number, reward in enumerate(run["curve"], 1) if reward >= HALFWAY), "never")


def tell(section: Section, arms: Arms) -> None:
    good = {name: sum(run["held"] >= GOOD for run in runs.values()) for name, runs in arms.items()}
    section.answer(
        f"Runs that hold all three posts in at least {GOOD:.0%} of fresh episodes: "
        + "; ".join(f"{name} {good[name]} of {len(runs)}" for name, runs in arms.items())
        + "."
    )
    rows = [
        [
            name,
            ", ".join(f"{run['held']:.0%}" for run in runs.values()),
            f"{mean(run['posts'] for run in runs.values()):.2f}",
            ", ".join(halfway(run) for run in runs.values()),
            ", ".join(f"{run['curve'][-1]:.3f}" for run in runs.values()),
            median_text(runs, "cpu_seconds", 1),
        ]
        for name, runs in arms.items()
    ]
    heads = ["", "all three held, seed by seed", "posts held, mean", f"batches to {HALFWAY}", "last batch"]
    section.say(table([*heads, "processor seconds, median"], rows))
    section.measured(
        f"The definitions of lesson 15, {seeds_of(arms)}, none of which was used to find the settings; 48,000 frames "
        f"of a team each, with one policy and a critic that sees one rover. {EXAM_EPISODES} fresh greedy episodes "
        "with the last weights. *Batches to* and *last batch* are of the mean team reward of a step while exploring, "
        "whatever the team was paid."
    )
    section.limits("One small world with three rovers: the fewer they are, the less there is to tell apart.")


GROUP = Group(
    name="rewards",
    order=136,
    question="Whose reward should a team learn from: the team's, one's own, or the difference one made?",
    tell=tell,
    file="15_rewards",
    jobs=lambda count: [(arm, seed) for seed in seeds(count) for arm in ARMS],
    measure=measure,
    arms=lambda: ARMS,
    code=code,
    repeats=5,
)
