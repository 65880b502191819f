"""How lesson 08's PPO does on CartPole and Pendulum, over seeds that were not used to find its settings.

Runs the lesson's own definitions; every run has the same length and is examined with its last weights.
"""

from __future__ import annotations

import functools
import time
from dataclasses import replace

from benchmarks.group import Group
from benchmarks.lesson_code import EXAM_EPISODES, defining_code, run_code, seeds
from benchmarks.results_table import SOLVED
from benchmarks.section import Arms, Section, seeds_of
from benchmarks.tables import tell_exams

EXAM_SEED = 1_000_000_000
PENDULUM = "Pendulum"
CHANGES = {
    "CartPole": {},
    "CartPole, no clipping": {"clip": (1 - 1e-7, float("inf"))},  # the loss allows no 1: its logarithm is not finite
    "CartPole, one epoch": {"epochs": 1},
    "CartPole, learning rate 0.1": {"learning_rate": 0.1},
    "CartPole, learning rate 1": {"learning_rate": 1.0},
}
ARMS = [*CHANGES, PENDULUM]
PENDULUM_SOLVED = -200


def code() -> str:
    """The lesson's cells that define the algorithm, the two tasks and their judge."""
    return defining_code("08_ppo", "08-pendulum")


@functools.cache
def definitions() -> dict:
    return run_code(code(), seed=0)


def solved_at(arm: str) -> int:
    """The mean return from which an arm counts as solved."""
    return PENDULUM_SOLVED if arm == PENDULUM else SOLVED


def settings_of(arm: str):
    space = definitions()
    return space["pendulum"] if arm == PENDULUM else replace(space["cartpole"], **CHANGES[arm])


def measure(arm: str, seed: int) -> dict[str, dict]:
    """Train from this seed, and examine what came out of it.

    Returns:
        For the arm: the exam's mean and worst return, frames, the processor's seconds of training, and a curve over
        batches: the mean return while exploring (Pendulum), or falls per 1,000 steps (CartPole).
    """
    space, settings, curve = definitions(), settings_of(arm), []
    task, train = ("Pendulum-v1", "train_pendulum") if arm == PENDULUM else ("CartPole-v1", "train_cartpole")

    def watch(number, batch, readings):
        seen = batch["next", "reward"].sum(1).mean().item() if arm == PENDULUM else space["falls"](batch)
        curve.append([number, round(seen, 1)])

    start = time.process_time()
    run = space[train](settings, seed, watch)
    seconds = time.process_time() - start
    returns = space["evaluate"](task, run.actor, EXAM_EPISODES, EXAM_SEED + 1_000 * seed)
    result = {
        "test_return": round(returns.mean().item(), 1),
        "worst": round(returns.min().item(), 1),
        "frames": settings.envs * settings.steps * settings.batches,
        "cpu_seconds": round(seconds, 1),
        "curve": curve,
    }
    return {arm: result}


def tell(section: Section, arms: Arms) -> None:
    tell_exams(
        section,
        lambda arm, run: run["test_return"] >= solved_at(arm),
        {"frames": ("frames", 0), "processor seconds, median": ("cpu_seconds", 1)},
    )
    section.measured(
        f"The definitions of lesson 08, {seeds_of(arms)}, none of which was used to find the settings. *Solved*: a "
        f"mean return of at least {SOLVED} on CartPole-v1, of at least {PENDULUM_SOLVED} on Gymnasium's Pendulum-v1, "
        "over 100 fresh greedy episodes with the weights at the end of a run; all runs of an arm have the same length. "
        "Pendulum is trained in TorchRL's `PendulumEnv`. Seconds are for training alone."
    )
    section.limits("Few seeds, and the changed arms were not tuned for their change.")


GROUP = Group(
    name="ppo",
    order=60,
    question="Does one PPO loop solve CartPole and Pendulum?",
    tell=tell,
    file="08_ppo",
    jobs=lambda count: [(arm, seed) for seed in seeds(count) for arm in ARMS],
    measure=measure,
    arms=lambda: ARMS,
    code=code,
    repeats=5,
)
