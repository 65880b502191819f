"""What lesson 10's methods make of the same records, over seeds that were not used to find their settings.

Runs the lesson's own definitions. Each seed trains its own players, who write two records; every method learns from
them with the lesson's fixed number of updates and is examined once, with its last weights.
"""

from __future__ import annotations

import contextlib
import functools
import io
import time

import jupytext

from benchmarks.group import Group
from benchmarks.store import ROOT

LESSON = ROOT / "lessons" / "10_offline_rl.py"
FIRST_SEED = 100  # the settings were found on smaller seeds
EXAM_EPISODES = 100
NOT_NEEDED = {"parameters", "exercise", "solution", "look"}
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


@functools.cache
def definitions() -> str:
    """The lesson's cells that only define something, without the players and the files it makes on the way.

    Raises:
        LookupError: the lesson has no cell with the id 10-methods.
    """
    cells = [cell for cell in jupytext.read(LESSON, fmt="py:percent").cells if cell.cell_type == "code"]
    if not any(cell.metadata.get("id") == "10-methods" for cell in cells):
        raise LookupError(f"{LESSON.name} has no cell with the id 10-methods")
    return "\n".join(cell.source for cell in cells if not NOT_NEEDED & set(cell.metadata.get("tags", [])))


def play_and_learn(seed: int) -> dict[str, dict]:
    """Everything of one seed: players, records, and an exam of all who played and of every method.

    Returns:
        For each arm: the exam's mean and worst return, the processor's seconds of its training; what those who wrote
        its record reached in it, and the mean return of a random player.
    """
    space: dict = {"seed": seed}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(definitions(), space)
    exam_seed = space["settings"].exam_seed + 1_000 * seed
    random_return = space["evaluate"](None, EXAM_EPISODES, exam_seed).mean().item()
    half_trained, good_player = space["make_players"](seed)
    records = space["make_records"](half_trained, good_player, seed)
    players = [round(space["evaluate"](player, 20, exam_seed).mean().item()) for player in half_trained]
    found = {}
    for arm, (record, share, method) in ARMS.items():
        episodes = space["best_episodes"](records[record], share)
        start = time.process_time()
        agent = space["learn"](method, space["for_learning"](episodes), seed)
        seconds = time.process_time() - start
        returns = space["evaluate"](agent, EXAM_EPISODES, exam_seed)
        found[arm] = {
            "test_return": round(returns.mean().item(), 1),
            "worst": round(returns.min().item(), 1),
            "seconds": round(seconds, 1),
            "frames": sum(map(len, episodes)),
            "record_return": round(sum(map(len, records[record])) / len(records[record]), 1),
            "players": players,
            "random_return": round(random_return, 1),
        }
    return found


GROUP = Group(
    file="10_offline_rl",
    jobs=lambda count: [("CQL", seed) for seed in range(FIRST_SEED, FIRST_SEED + count)],
    measure=lambda arm, seed: play_and_learn(seed),
    arms=lambda: list(ARMS),
    code=definitions,
    repeats=5,
)
