"""How lesson 09's four algorithms do on Pendulum, over seeds that were not used to find their common settings.

Runs the lesson's own definitions; every run has the same length and is examined with its last weights.
"""

from __future__ import annotations

import time

from benchmarks.group import Group
from benchmarks.lesson_code import defining_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of
from benchmarks.tables import tell_exams

ARMS = ["DDPG", "TD3", "SAC", "REDQ"]
PENDULUM_SOLVED = -200
PREDICT_A_PLAIN_RETURN = {"DDPG", "TD3"}  # the critics of the others count the entropy as well


def code() -> str:
    """The lesson's cells that define the four algorithms, their training and their judge."""
    return defining_code("09_continuous_control", "09-algorithms")


def measure(name: str, seed: int) -> dict[str, dict]:
    """Train one of the four from this seed, and examine what came out of it.

    Returns:
        For the algorithm: the exam's mean and worst return, the processor's seconds for training and its validations,
        the validation curve; `optimism`, how much more than the real discounted return the critic promised, where it
        predicts that.
    """
    space, curve = run_code(code(), seed), []
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
    return {name: result}


def tell(section: Section, arms: Arms) -> None:
    tell_exams(
        section,
        lambda _, run: run["test_return"] >= PENDULUM_SOLVED,
        {"processor seconds, median": ("cpu_seconds", 1)},
    )
    section.measured(
        f"The definitions of lesson 09, {seeds_of(arms)}, none of which was used to find the settings. *Solved* means "
        f"a mean return of at least {PENDULUM_SOLVED} over 100 fresh greedy episodes of the unmodified Pendulum-v1, "
        "with the weights at the end of a run; all runs have the same length. Seconds include the validations."
    )
    section.limits(
        "One easy task and few seeds; the settings were found with DDPG and TD3, and nothing was tuned for SAC or REDQ."
    )


GROUP = Group(
    name="control",
    order=70,
    question="What do TD3, SAC and REDQ buy over DDPG on Pendulum?",
    tell=tell,
    file="09_continuous_control",
    jobs=lambda count: [(name, seed) for seed in seeds(count) for name in ARMS],
    measure=measure,
    arms=lambda: ARMS,
    code=code,
    repeats=5,
    alone=False,
)
