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
SOLVED = 475.0  # mean return of the exam


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
    gains = "; ".join(
        f"{lag} batches old {mean:+.0f} ± {error:.0f}" for lag, (mean, error) in gains_of_v_trace(arms).items()
    )
    section.answer(
        "Median return of the exam: "
        + "; ".join(f"{name} {median:.0f}, {solved(arms[name])}" for name, median in medians.items())
        + (
            f". V-trace minus not corrected, mean of the differences seed by seed ± its standard error: {gains}."
            if gains
            else "."
        )
    )
    section.say(table(["", "exam, median", "seed by seed", "processor seconds, median"], rows))
    section.measured(
        f"Lesson 12's `train_stale` on CartPole, {seeds_of(arms)}: whoever plays is the learner of so many batches "
        "ago. *Not corrected*: the learner takes old frames for its own."
    )
    section.limits("One task and two lags.")


def solved(runs: dict[str, dict]) -> str:
    """How many of the runs reach a mean return of 475, in words."""
    return f"{sum(run['test_return'] >= SOLVED for run in runs.values())} of {len(runs)} solved"


def gains_of_v_trace(arms: Arms) -> dict[int, tuple[float, float]]:
    """What the correction gains at each lag: mean of the differences seed by seed, and its standard error.

    Lags with fewer than two seeds that ran both ways are left out.
    """
    found = {}
    for lag in sorted({lag for lag, _ in LAGS.values()} - {0}):
        corrected, without = (arms.get(f"{lag} old, {way}", {}) for way in ("V-trace", "not corrected"))
        both = [seed for seed in corrected if seed in without]
        gains = [corrected[seed]["test_return"] - without[seed]["test_return"] for seed in both]
        if len(gains) > 1:
            found[lag] = statistics.mean(gains), statistics.stdev(gains) / len(gains) ** 0.5
    return found


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
