"""Lesson 15's team of three, as it is and with one thing changed, over seeds not used to find its settings."""

from __future__ import annotations

import functools
import time
from statistics import mean, median

from benchmarks.group import Group
from benchmarks.lesson_code import FIRST_SEED, defining_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table

LESSON = "15_many_agents"
EXAM_EPISODES = 500
EXAM_SEED = 1_000_000_000
CHANGES = {
    "as in the lesson": {},
    "critic sees one": {"central_critic": False},
    "own policies": {"shared_policy": False},
    "own rewards": {"team_reward": False},
    "blind": {"sight": False},
    "blind, own policies": {"sight": False, "shared_policy": False},
    "blind, own policies, critic sees one": {"sight": False, "shared_policy": False, "central_critic": False},
}
ARMS = list(CHANGES)
GOOD = 0.8  # of the episodes


def code() -> str:
    """The lesson's cells that define the world, the team, its training, its judge and its broken mates."""
    return defining_code(LESSON, "15-break")


@functools.cache
def definitions() -> dict:
    return run_code(code(), seed=0)


def measure(arm: str, seed: int) -> dict[str, dict]:
    """Train from this seed, and look at what the team does in fresh episodes.

    Returns:
        For the arm: `held`, the share of episodes in which all three posts are held at the end; `posts`, the mean
        number of posts held; `roles`, for each rover and post how often it ends there; `broken`, for each way of
        breaking a mate the share held, and the posts held by the other two; `curve`, the mean reward of a step, batch
        by batch; the processor's seconds of training.
    """
    import torch

    torch.set_num_threads(1)
    space, curve = definitions(), []
    settings = space["Settings"](**CHANGES[arm])

    def watch(number, batch):
        curve.append(round(batch["next", "agents", "reward"].mean().item(), 3))

    start = time.process_time()
    run = space["train"](settings, seed, watch)
    seconds = time.process_time() - start
    rollout = space["play"](run.actor, EXAM_EPISODES, EXAM_SEED + seed, settings.sight)
    reached = space["at_posts"](rollout)
    broken = {}
    for how in space["BREAKS"]:
        torch.manual_seed(seed)
        both = space["with_broken_mate"](run.actor, how, EXAM_SEED + 1_000 + seed, settings.sight)
        broken[how] = [round(value, 3) for value in both]
    result = {
        "held": round(space["all_held"](rollout), 3),
        "posts": round(reached.any(1).sum(1).float().mean().item(), 3),
        "roles": [[round(share, 3) for share in row] for row in reached.float().mean(0).tolist()],
        "broken": broken,
        "curve": curve,
        "frames": settings.copies * space["STEPS"] * settings.batches,
        "cpu_seconds": round(seconds, 1),
    }
    return {arm: result}


def shares(runs: dict[str, dict]) -> str:
    return ", ".join(f"{run['held']:.0%}" for run in runs.values())


def tell(section: Section, arms: Arms) -> None:
    good = {name: sum(run["held"] >= GOOD for run in runs.values()) for name, runs in arms.items()}
    section.answer(
        f"Runs that hold all three posts in at least {GOOD:.0%} of fresh episodes: "
        + "; ".join(f"{name} {good[name]} of {len(runs)}" for name, runs in arms.items())
        + "."
    )
    rows = []
    for name, runs in arms.items():
        seconds = [run["cpu_seconds"] for run in runs.values() if "cpu_seconds" in run]
        rows.append(
            [
                name,
                f"{good[name]} of {len(runs)}",
                shares(runs),
                f"{mean(run['posts'] for run in runs.values()):.2f}",
                f"{mean(run['broken']['takes the top post'][0] for run in runs.values()):.0%}",
                f"{median(seconds):.1f}" if seconds else "not measured",
            ]
        )
    heads = ["", "good runs", "all three held, seed by seed", "posts held, mean", "with a stubborn mate, mean"]
    section.say(table([*heads, "core seconds, median"], rows))
    section.measured(
        f"The definitions of lesson 15, {seeds_of(arms)}, none of which was used to find the settings; 48,000 frames "
        f"of a team each. {EXAM_EPISODES} fresh greedy episodes with the last weights; a post is held if a rover ends "
        "less than 0.15 away from it. *Stubborn*: one rover always goes to the top post, whichever rover it is; the "
        "others play as trained. Seconds are for training alone."
    )
    section.limits("One small world, whose whole state each rover sees unless it is blind.")


def jobs(count: int) -> list[tuple[str, int]]:
    """The first arm on so many seeds, the others on half of them."""
    half = FIRST_SEED + (count + 1) // 2
    return [(arm, seed) for seed in seeds(count) for arm in ARMS if arm == ARMS[0] or seed < half]


GROUP = Group(
    name="multiagent",
    order=135,
    question="What do a shared policy, a central critic and a team reward do for a team?",
    tell=tell,
    file=LESSON,
    jobs=jobs,
    measure=measure,
    arms=lambda: ARMS,
    code=code,
    repeats=10,
)
