"""What lesson 10's methods make of the same records, over seeds that were not used to find their settings.

Runs the lesson's own definitions. Each seed trains its own players, who write two records; every method learns from
them with the lesson's fixed number of updates and is examined once, with its last weights.
"""

from __future__ import annotations

import time

from benchmarks.group import Group
from benchmarks.lesson_code import EXAM_EPISODES, defining_code, run_code, seeds
from benchmarks.results_table import SOLVED
from benchmarks.section import Arms, Section, seeds_of
from benchmarks.summary import is_solved
from benchmarks.tables import tell_exams

BEST_SHARE = 0.1
# arm: the record, the share of its best episodes, the method
ARMS = {
    "cloning": ("mixed", 1.0, "cloning"),
    "cloning the best tenth": ("mixed", BEST_SHARE, "cloning"),
    "DQN": ("mixed", 1.0, "DQN"),
    "CQL": ("mixed", 1.0, "CQL"),
    "CQL without its term": ("mixed", 1.0, "CQL without its term"),
    "IQL": ("mixed", 1.0, "IQL"),
    "good record: cloning": ("good", 1.0, "cloning"),
    "good record: DQN": ("good", 1.0, "DQN"),
    "good record: CQL": ("good", 1.0, "CQL"),
}


def code() -> str:
    """The lesson's cells that only define something, without the players and the files it makes on the way."""
    return defining_code("10_offline_rl", "10-methods", to_the_end=True)


def measure(arm: str, seed: int) -> dict[str, dict]:
    """Everything of one seed: players, records, and an exam of all who played and of every method.

    Returns:
        For each arm: the exam's mean and worst return, the processor's seconds of its training; what those who wrote
        its record reached in it, and the mean return of a random player.
    """
    space = run_code(code(), seed)
    exam_seed = space["settings"].exam_seed + 1_000 * seed
    random_return = space["evaluate"](None, EXAM_EPISODES, exam_seed).mean().item()
    half_trained, good_player = space["make_players"](seed)
    records = space["make_records"](half_trained, good_player, seed)
    players = [round(space["evaluate"](player, 20, exam_seed).mean().item()) for player in half_trained]
    found = {}
    for name, (record, share, method) in ARMS.items():
        episodes = space["best_episodes"](records[record], share)
        start = time.process_time()
        agent = space["learn"](method, space["for_learning"](episodes), seed)
        seconds = time.process_time() - start
        returns = space["evaluate"](agent, EXAM_EPISODES, exam_seed)
        found[name] = {
            "test_return": round(returns.mean().item(), 1),
            "worst": round(returns.min().item(), 1),
            "seconds": round(seconds, 1),
            "frames": sum(map(len, episodes)),
            "record_return": round(sum(map(len, records[record])) / len(records[record]), 1),
            "players": players,
            "random_return": round(random_return, 1),
        }
    return found


def tell(section: Section, arms: Arms) -> None:
    tell_exams(section, lambda _, run: is_solved(run), {"processor seconds, median": ("seconds", 1)})
    section.measured(
        f"The definitions of lesson 10, {seeds_of(arms)}, none of which was used to find the settings. Each seed "
        "trains its own players, who write two records: one of random and half-trained play, and the *good record*, by "
        "the best player alone. Every method makes the same number of updates and never plays before its exam: 100 "
        f"greedy episodes of CartPole-v1, solved from a mean of {SOLVED}."
    )
    section.limits("One small task and few seeds. CQL's settings were searched by hand, those of IQL were not.")


GROUP = Group(
    name="offline",
    order=80,
    question="What does offline RL make of a record that no good agent wrote?",
    tell=tell,
    file="10_offline_rl",
    jobs=lambda count: [("CQL", seed) for seed in seeds(count)],
    measure=measure,
    arms=lambda: list(ARMS),
    code=code,
    repeats=5,
)
