"""What SAC learns on imagined branches, and on as many real frames alone, over seeds that chose no setting."""

from __future__ import annotations

import time

from benchmarks.group import Group
from benchmarks.lesson_code import defining_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table

SOLVED = -200
ARMS = ["dream SAC", "SAC alone"]


def code() -> str:
    """The lesson's cells up to training inside the dream."""
    return defining_code("16_world_models", "16-mbpo")


def measure(arm: str, seed: int) -> dict[str, dict]:
    """One training, and its exam: mean return, real frames and the processor's seconds of training."""
    space = run_code(code(), seed)
    start = time.process_time()
    actor, frames = space["train"](seed, dreaming=arm == "dream SAC")
    seconds = time.process_time() - start
    with space["set_exploration_type"](space["ExplorationType"].DETERMINISTIC):
        returns = space["exam"](actor, seed)
    return {
        arm: {"exam": round(returns.mean().item(), 1), "real_frames": len(frames), "cpu_seconds": round(seconds, 1)}
    }


def tell(section: Section, arms: Arms) -> None:
    solved = {name: sum(run["exam"] >= SOLVED for run in runs.values()) for name, runs in arms.items()}
    rows = [
        [
            name,
            f"{solved[name]} of {len(runs)}",
            ", ".join(f"{run['exam']:.0f}" for run in runs.values()),
            ", ".join(f"{run['cpu_seconds']:.0f}" for run in runs.values()),
        ]
        for name, runs in arms.items()
    ]
    frames = max(run["real_frames"] for runs in arms.values() for run in runs.values())
    section.answer(
        f"Solved with {frames:,} real frames: "
        + "; ".join(f"{name} {count} of {len(arms[name])}" for name, count in solved.items())
        + "."
    )
    section.say(table(["", "solved", "mean returns, seed by seed", "processor seconds"], rows))
    section.measured(
        f"`train` of lesson 16, {seeds_of(arms)}: the same real frames and updates, on imagined branches or on the "
        f"real frames. *Solved* means a mean return of at least {SOLVED} over 20 fresh greedy episodes of Pendulum-v1."
    )
    section.limits(
        "One easy task and few seeds; the settings were hardly searched, and more updates a frame were not tried."
    )


GROUP = Group(
    name="dream_sac",
    order=138,
    question="Does SAC learn inside a learned model of the world?",
    tell=tell,
    file="16_world_models",
    jobs=lambda count: [(arm, seed) for seed in seeds(count) for arm in ARMS],
    measure=measure,
    arms=lambda: ARMS,
    code=code,
    repeats=5,
    alone=False,
)
