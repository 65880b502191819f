"""How lesson 08's PPO does on CartPole and Pendulum, over seeds that were not used to find its settings.

Runs the lesson's own definitions; every run has the same length and is examined with its last weights.
"""

from __future__ import annotations

import contextlib
import functools
import io
import time
from dataclasses import replace

import jupytext

from benchmarks.group import Group
from benchmarks.results_table import SOLVED
from benchmarks.store import ROOT

LESSON = ROOT / "lessons" / "08_ppo.py"
FIRST_SEED = 100  # the settings were found on smaller seeds
EXAM_EPISODES, EXAM_SEED = 100, 1_000_000_000
NOT_NEEDED = {"parameters", "exercise", "solution", "look"}
LAST = "08-pendulum"
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
    """The lesson's cells that define the algorithm, the two tasks and their judge.

    Raises:
        LookupError: the lesson has no cell with the id 08-pendulum.
    """
    found = []
    for cell in jupytext.read(LESSON, fmt="py:percent").cells:
        if cell.cell_type == "code" and not NOT_NEEDED & set(cell.metadata.get("tags", [])):
            found.append(cell.source)
        if cell.metadata.get("id") == LAST:
            return "\n".join(found)
    raise LookupError(f"{LESSON.name} has no cell with the id {LAST}")


@functools.cache
def definitions() -> dict:
    space: dict = {"seed": 0}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code(), space)
    return space


def solved_at(arm: str) -> int:
    """The mean return from which an arm counts as solved."""
    return PENDULUM_SOLVED if arm == PENDULUM else SOLVED


def settings_of(arm: str):
    space = definitions()
    return space["pendulum"] if arm == PENDULUM else replace(space["cartpole"], **CHANGES[arm])


def run_one(arm: str, seed: int) -> dict:
    """Train from this seed, and examine what came out of it.

    Returns:
        The exam's mean and worst return, frames, the processor's seconds of training, and a curve over batches: the
        mean return while exploring (Pendulum), or falls per 1,000 steps (CartPole).
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
    return {
        "test_return": round(returns.mean().item(), 1),
        "worst": round(returns.min().item(), 1),
        "frames": settings.envs * settings.steps * settings.batches,
        "cpu_seconds": round(seconds, 1),
        "curve": curve,
    }


GROUP = Group(
    file="08_ppo",
    jobs=lambda count: [(arm, seed) for seed in range(FIRST_SEED, FIRST_SEED + count) for arm in ARMS],
    measure=lambda arm, seed: {arm: run_one(arm, seed)},
    arms=lambda: ARMS,
    code=code,
    repeats=5,
    alone=True,
)
