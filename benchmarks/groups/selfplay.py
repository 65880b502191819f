"""Which players lesson 15's self-play trains, over seeds that were not used to find its settings."""

from __future__ import annotations

import time

from benchmarks.group import Group
from benchmarks.lesson_code import named_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table
from benchmarks.tables import median_text

# What is trained differently.
CHANGED = {
    "with past selves": {},
    "itself alone": {"past_selves": False},
    "sign kept": {"target": "sign_kept", "rounds": 100},
    "mask forgotten": {"target": "mask_forgotten", "rounds": 100},
}
MOST_SEEDS = {"itself alone": 5, "sign kept": 2, "mask forgotten": 2}  # of the others as many as asked for


def code() -> str:
    """The lesson's cells that train a player and try all games against it."""
    names = "game network players match target wrong-targets all-moves exam never-loses update self-play"
    return named_code("15_many_agents", *(f"15-{name}" for name in names.split()))


def measure(arm: str, seed: int) -> dict[str, dict]:
    """One training, and all games that can be played against its last snapshot.

    Returns:
        For the arm, first for the player who begins and then for the other: games `won`, `drawn` and `lost`; and the
        rounds and the processor's seconds of training.
    """
    space = run_code(code(), seed)
    changed = {name: space.get(value, value) for name, value in CHANGED[arm].items()}
    start = time.process_time()
    snapshots = space["self_play"](seed, **changed)
    seconds = time.process_time() - start
    ends = [space["exam"](snapshots[-1], side) for side in (0, 1)]
    found = {name: [each[name] for each in ends] for name in ("won", "drawn", "lost")}
    return {arm: found | {"rounds": 10 * (len(snapshots) - 1), "cpu_seconds": round(seconds, 1)}}


def lost(run: dict) -> int:
    return sum(run["lost"])


def tell(section: Section, arms: Arms) -> None:
    never = {name: sum(lost(run) == 0 for run in runs.values()) for name, runs in arms.items()}
    rows = [
        [
            name,
            f"{never[name]} of {len(runs)}",
            ", ".join(str(lost(run)) for run in runs.values()),
            ", ".join(str(run["rounds"]) for run in runs.values()),
            median_text(runs, "cpu_seconds", 1),
        ]
        for name, runs in arms.items()
    ]
    section.answer(
        "Players that lose no game, whatever is played against them: "
        + "; ".join(f"{name} {count} of {len(arms[name])}" for name, count in never.items())
        + "."
    )
    section.say(table(["", "never lose", "games lost, seed by seed", "rounds", "processor seconds, median"], rows))
    section.measured(
        f"Lesson 15's `self_play` on `TicTacToeEnv`, {seeds_of(arms)}, and its `exam`: every game that an opponent "
        "could play against the greedy player, from either side, is tried. Training ends when none is lost, or after "
        "200 rounds. *Itself alone*: no past selves among its opponents. *Sign kept* and *mask forgotten*: two wrong "
        "targets, for 100 rounds at most."
    )
    section.limits(
        "One small game, in which a network can visit every position; and few seeds of what is trained differently."
    )


GROUP = Group(
    name="selfplay",
    order=135,
    question="Does self-play find a player that never loses?",
    tell=tell,
    file="15_selfplay",
    jobs=lambda count: [(arm, seed) for arm in CHANGED for seed in seeds(min(count, MOST_SEEDS.get(arm, count)))],
    measure=measure,
    arms=lambda: list(CHANGED),
    code=code,
    repeats=10,
    alone=False,
)
