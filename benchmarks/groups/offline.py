"""What lesson 10's methods make of the same record, over seeds that were not used to find their settings.

Runs the lesson's own definitions. Each seed has a record of its own; every method learns from it with the lesson's
fixed number of updates and is examined once, with its last weights.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from benchmarks.group import Group
from benchmarks.lesson_code import EXAM_EPISODES, defining_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table
from benchmarks.tables import median_text

# arm: the share of the record's best episodes, the method
ARMS = {
    "cloning": (1.0, "cloning"),
    "cloning the best tenth": (0.1, "cloning"),
    "DQN": (1.0, "DQN"),
    "CQL": (1.0, "CQL"),
    "IQL": (1.0, "IQL"),
}
PROMISING = {"DQN", "CQL"}  # their agents say what they expect


def code() -> str:
    """The lesson's cells that only define something, without the files it makes on the way."""
    return defining_code("10_offline_rl", "10-methods", to_the_end=True)


def measure(arm: str, seed: int) -> dict[str, dict]:
    """Everything of one seed: a record, and an exam of every method.

    Returns:
        For each arm: the exam's mean return, the mean of its discounted returns (`worth`), the processor's seconds of
        its training, the frames it learned from, and what a value agent promised in the states of the exam's start.
    """
    import torch
    from tensordict import TensorDict

    space = run_code(code(), seed)
    settings = space["settings"]
    exam_seed = settings.exam_seed + 1_000 * seed
    first = space["states_of"]("e")
    found = {}
    episodes = space["make_record"](seed)
    for name, (share, method) in ARMS.items():
        data = torch.cat(space["best_episodes"](episodes, share))
        start = time.process_time()
        agent = space["learn"](method, data, seed)
        seconds = time.process_time() - start
        found[name] = {
            "test_return": round(space["evaluate"](agent, EXAM_EPISODES, exam_seed).mean().item(), 2),
            "worth": round(space["evaluate"](agent, EXAM_EPISODES, exam_seed, settings.gamma).mean().item(), 3),
            "seconds": round(seconds, 1),
            "frames": len(data),
        }
        if method in PROMISING:
            with torch.no_grad():
                starts = TensorDict({"observation": space["look"][first]}, [len(first)])
                values = agent(starts)["chosen_action_value"]
            found[name]["promised"] = round(values.mean().item(), 3)
    return found


def _row(name: str, runs: Mapping[str, dict]) -> list[str]:
    told = [
        ", ".join(f"{run[fact]:.1f}" for run in runs.values() if fact in run)
        for fact in ("test_return", "promised", "worth")
    ]
    return [name, *told, median_text(runs, "seconds", 1)]


def tell(section: Section, arms: Arms) -> None:
    returns = {name: [run["test_return"] for run in runs.values()] for name, runs in arms.items()}
    means = [f"{name} {sum(each) / len(each):.1f}" for name, each in returns.items() if each]
    section.answer(f"Mean return of the exam, of at most 10: {'; '.join(means)}.")
    heads = ["", "exam, seed by seed", "promised, seed by seed", "worth, seed by seed", "processor seconds, median"]
    section.say(table(heads, [_row(name, runs) for name, runs in arms.items()]))
    section.measured(
        f"The definitions of lesson 10, {seeds_of(arms)}, none of which was used to find the settings. Each seed has a "
        "record of its own, of two shifts with other starts. Every method makes the same number of updates and never "
        "plays before its exam: 100 greedy episodes from the early shift's starts. *Worth* is the mean discounted "
        "return of that exam; *promised* is the mean value of the greedy command in all its possible starts."
    )
    section.limits(
        "One small world without chance, made so that stitching is needed. Settings were searched by hand on the seeds "
        "0 to 2, by playing."
    )


GROUP = Group(
    name="offline",
    order=80,
    question="What does offline RL make of a record of two halves?",
    tell=tell,
    file="10_offline_rl",
    jobs=lambda count: [("CQL", seed) for seed in seeds(count)],
    measure=measure,
    arms=lambda: list(ARMS),
    code=code,
    repeats=10,
)
