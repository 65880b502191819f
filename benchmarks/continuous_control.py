"""How lesson 09's four algorithms do on Pendulum, over seeds that were not used to find their common settings.

Runs the lesson's own definitions; every run has the same length and is examined with its last weights.
"""

from __future__ import annotations

import contextlib
import io
import time

import jupytext

from benchmarks.group import Group
from benchmarks.store import ROOT

LESSON = ROOT / "lessons" / "09_continuous_control.py"
FIRST_SEED = 100  # the settings were found on smaller seeds
NOT_NEEDED = {"parameters", "exercise", "solution", "look"}
LAST = "09-algorithms"
PENDULUM_SOLVED = -200
PREDICT_A_PLAIN_RETURN = {"DDPG", "TD3"}  # the critics of the others count the entropy as well


def definitions() -> list[str]:
    """The lesson's cells that define the four algorithms, their training and their judge.

    Raises:
        LookupError: the lesson has no cell with the id 09-algorithms.
    """
    found = []
    for cell in jupytext.read(LESSON, fmt="py:percent").cells:
        if cell.cell_type == "code" and not NOT_NEEDED & set(cell.metadata.get("tags", [])):
            found.append(cell.source)
        if cell.metadata.get("id") == LAST:
            return found
    raise LookupError(f"{LESSON.name} has no cell with the id {LAST}")


def code() -> str:
    return "\n".join(definitions())


def run_one(name: str, seed: int) -> dict:
    """Train one of the four from this seed, and examine what came out of it.

    Returns:
        The exam's mean and worst return, the processor's seconds for training and its validations, the validation
        curve; `optimism`, how much more than the real discounted return the critic promised, where it predicts that.
    """
    space: dict = {"seed": seed}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code(), space)
    curve: list[list] = []
    start = time.process_time()
    run = space["build"](space["algorithms"][name], seed)
    space["train"](run, lambda frames, greedy: curve.append([frames, round(greedy, 1)]))
    seconds = time.process_time() - start
    returns = space["exam"](run)
    result = {
        "test_return": round(returns.mean().item(), 1),
        "worst": round(returns.min().item(), 1),
        "cpu_seconds": round(seconds, 1),
        "updates": run.updates,
        "curve": curve,
    }
    if name in PREDICT_A_PLAIN_RETURN:
        result["optimism"] = round(space["optimism"](run), 1)
    return result


def names() -> list[str]:
    return ["DDPG", "TD3", "SAC", "REDQ"]


GROUP = Group(
    file="09_continuous_control",
    jobs=lambda count: [(name, seed) for seed in range(FIRST_SEED, FIRST_SEED + count) for name in names()],
    measure=lambda name, seed: {name: run_one(name, seed)},
    arms=names,
    code=code,
    repeats=5,
    alone=False,
)
