"""Lesson 07's solution of its build-it exercise, on Acrobot, over seeds that were not used to find its settings."""

from __future__ import annotations

import functools
import time
from statistics import median

from benchmarks.group import Group
from benchmarks.lesson_code import EXAM_EPISODES, defining_code, named_code, run_code
from benchmarks.section import Arms, Section, seeds_of, table

LESSON, ARM = "07_dqn", "Acrobot"
FIRST_NEW = 200  # its settings were found on smaller seeds
SOLVED = -100  # Gymnasium's reward_threshold
EXAM_SEED = 1_000_000_000


def code() -> str:
    solution = [f"07-{name}" for name in ("scaled", "agent-for", "learner-for", "train-on")]
    own = named_code(LESSON, "07-acrobot", "07-acrobots", *solution)
    return defining_code(LESSON, "07-train") + "\n" + own.replace('check("7.5", train_on)', "")


@functools.cache
def definitions() -> dict:
    return run_code(code(), seed=0)


def measure(arm: str, seed: int) -> dict[str, dict]:
    """Train from this seed and examine the agent: mean and worst return of 100 fresh episodes, seconds of training."""
    import torch

    torch.set_num_threads(1)
    space, scores = definitions(), []
    start = time.process_time()
    agent = space["train_on"](space["acrobot"], seed, lambda frames, score: scores.append([frames, round(score, 1)]))
    seconds = time.process_time() - start
    returns = space["acrobot_returns"](agent, EXAM_EPISODES, EXAM_SEED + 1_000 * seed)
    result = {
        "test_return": round(returns.mean().item(), 1),
        "worst": round(returns.min().item(), 1),
        "frames": space["acrobot"].frames,
        "cpu_seconds": round(seconds, 1),
        "curve": scores,
    }
    return {arm: result}


def tell(section: Section, arms: Arms) -> None:
    runs = list(arms[ARM].values())
    means = sorted(run["test_return"] for run in runs)
    solved = sum(mean >= SOLVED for mean in means)
    section.answer(
        f"Yes: after {runs[0]['frames']:,} frames the mean return of 100 fresh episodes is {means[0]:.0f} to "
        f"{means[-1]:.0f}; {solved} of {len(means)} reach Gymnasium's own line, {SOLVED}."
    )
    rows = [
        [seed, f"{run['test_return']:.1f}", f"{run['worst']:.0f}", f"{run.get('cpu_seconds', float('nan')):.0f}"]
        for seed, run in arms[ARM].items()
    ]
    section.say(table(["seed", "mean of 100", "worst", "core seconds"], rows))
    seconds = [run["cpu_seconds"] for run in runs if "cpu_seconds" in run]
    took = f" Training took {median(seconds):.0f} core seconds (median), other work beside it." if seconds else ""
    section.measured(f"The solution of exercise 7.5, {seeds_of(arms)}.{took}")
    section.limits("One way of paying for height, found by trying about nine on other seeds.")


GROUP = Group(
    name="acrobot",
    order=68,
    question="Does lesson 07's DQN reach another task?",
    tell=tell,
    file="07_acrobot",
    jobs=lambda count: [(ARM, seed) for seed in range(FIRST_NEW, FIRST_NEW + count)],
    measure=measure,
    arms=lambda: [ARM],
    code=code,
    repeats=10,
    alone=False,
)
