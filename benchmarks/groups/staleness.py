"""What V-trace makes of old frames in lesson 12, over seeds that were not used to find its settings."""

from __future__ import annotations

import statistics
import time

from benchmarks.group import Group
from benchmarks.lesson_code import defining_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table
from benchmarks.tables import median_text

LAGS = {  # batches that the player lags behind, and whether V-trace corrects for it
    "fresh": (0, True),
    "4 old, V-trace": (4, True),
    "4 old, not corrected": (4, False),
    "20 old, V-trace": (20, True),
    "20 old, not corrected": (20, False),
}


def code() -> str:
    """The lesson's cells that define something, up to its exam."""
    return defining_code("12_scaling_out", "12-stale", "12-exam")


def measure(arm: str, seed: int) -> dict[str, dict]:
    """One training with a player that lags behind, and its exam.

    Returns:
        For the arm: `test_return`, frames, and the processor's seconds of training.
    """
    space = run_code(code(), seed)
    lag, corrected = LAGS[arm]
    start = time.process_time()
    run = space["train_stale"](seed, lag, corrected)
    seconds = time.process_time() - start
    score = space["examine"](run)
    return {arm: {"test_return": round(score, 1), "frames": run.frames, "cpu_seconds": round(seconds, 1)}}


def tell(section: Section, arms: Arms) -> None:
    medians = {name: statistics.median(run["test_return"] for run in runs.values()) for name, runs in arms.items()}
    rows = [
        [
            name,
            f"{medians[name]:.0f}",
            ", ".join(f"{run['test_return']:.0f}" for run in runs.values()),
            median_text(runs, "cpu_seconds", 1),
        ]
        for name, runs in arms.items()
    ]
    section.answer(
        "Median return of the exam: " + "; ".join(f"{name} {median:.0f}" for name, median in medians.items()) + "."
    )
    section.say(table(["", "exam, median", "seed by seed", "processor seconds, median"], rows))
    section.measured(
        f"Lesson 12's `train_stale` on CartPole, {seeds_of(arms)}: whoever plays is the learner of so many batches "
        "ago. *Not corrected*: the learner takes old frames for its own."
    )
    section.limits("One task, two lags, and a recipe that scatters, with fresh frames too.")


GROUP = Group(
    name="staleness",
    order=120,
    question="What does V-trace make of old frames?",
    tell=tell,
    file="12_scaling_out",
    jobs=lambda count: [(arm, seed) for seed in seeds(count) for arm in LAGS],
    measure=measure,
    arms=lambda: list(LAGS),
    code=code,
    repeats=20,
    alone=False,
)
