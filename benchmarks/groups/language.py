"""Lesson 17's pupil, imitated and then taught by rewards in three ways, over seeds not used to find its settings."""

from __future__ import annotations

import copy
import time
from statistics import median

from benchmarks.group import Group
from benchmarks.lesson_code import named_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table

LESSON = "17_language_models"
IMITATED, LONGER = "imitation, 600 batches", "imitation, 1,200 batches"
GRPO, REINFORCE, PPO, HOLE = "GRPO", "REINFORCE", "PPO", "GRPO, a reward with a hole"
ARMS = [IMITATED, LONGER, GRPO, REINFORCE, PPO, HOLE]
LEARNED = 0.85  # exact answers, greedy and drawn


def code() -> str:
    """The lesson's cells that define the task, the model, its imitation, its training and its exam."""
    names = "start signs sums model score write writer specs env exact imitate exam advantage train rivals lenient"
    return named_code(LESSON, *(f"17-{name}" for name in names.split()))


def measure(which: str, seed: int) -> dict[str, dict]:
    """Imitate the teacher, then go on from the same weights in each of the ways.

    Returns:
        For each arm: the shares of `greedy` and `drawn` answers to the 500 questions of the exam that are exact; the
        `curve`, the mean reward that was paid in each round; the processor's `cpu_seconds` of it alone.
    """
    import torch

    torch.set_num_threads(1)
    space = run_code(code(), seed)
    found = {}

    def note(arm, model, curve, started):
        found[arm] = {"cpu_seconds": round(time.process_time() - started, 1), "curve": curve}
        for name, kind in (("greedy", space["GREEDY"]), ("drawn", space["DRAWN"])):
            found[arm][name] = round(space["share_exact"](model, kind), 3)

    torch.manual_seed(seed)
    pupil = space["LanguageModel"]()
    started = time.process_time()
    space["teach"](pupil, 600, seed)
    note(IMITATED, pupil, [], started)
    ways = {
        GRPO: {},
        REINFORCE: {"passes": 1, "advantage": space["reward_itself"]},
        PPO: {"advantage": space["CriticAdvantage"]()},
        HOLE: {"rounds": 30, "reward": space["lenient"]},
    }
    for arm, options in ways.items():
        model, curve, started = copy.deepcopy(pupil), [], time.process_time()
        space["train"](
            model,
            seed,
            watch=lambda number, batch, curve=curve: curve.append(round(batch["next", "reward"].mean().item(), 3)),
            **options,
        )
        note(arm, model, curve, started)
    started = time.process_time()
    space["teach"](pupil, 600, seed + 1_000_000)  # other batches than the first
    note(LONGER, pupil, [], started)
    return found


def learned(run: dict) -> bool:
    return min(run["greedy"], run["drawn"]) >= LEARNED


def shares(runs: dict, name: str) -> str:
    return ", ".join(f"{run[name]:.0%}" for run in runs.values())


def tell(section: Section, arms: Arms) -> None:
    section.answer(
        "Models that are exact on at least 85 % of new sums, greedily and drawn: "
        + "; ".join(f"{name} {sum(map(learned, runs.values()))} of {len(runs)}" for name, runs in arms.items())
        + "."
    )
    rows = [
        [name, shares(runs, "drawn"), shares(runs, "greedy"), f"{median(r['cpu_seconds'] for r in runs.values()):.1f}"]
        for name, runs in arms.items()
    ]
    head = ["", "exact, drawn, seed by seed", "exact, greedily", "processor seconds, median"]
    section.say(table(head, rows))
    section.measured(
        f"The definitions of lesson 17, {seeds_of(arms)}, none of which was used to find the settings. One model a "
        "seed imitates a teacher of whose answers three in ten are right, for 600 batches of 64; all other arms start "
        "from its weights. GRPO, REINFORCE and PPO then write 60 rounds of 256 answers; GRPO and PPO take two steps on "
        "each round, REINFORCE one. The reward with a hole pays wherever the right number occurs, for 30 rounds. "
        "Exact: the sum and an end sign, nothing else, on 500 sums that no arm ever saw."
    )
    section.limits(
        "One small task, in which the right answer is among those the teacher gives, and few seeds. Of the rivals' "
        "settings none was searched for: they are GRPO's."
    )


GROUP = Group(
    name="language",
    order=137,
    question="Does a reward teach a language model what imitation does not?",
    tell=tell,
    file="17_language_models",
    jobs=lambda count: [(GRPO, seed) for seed in seeds(count)],  # one run tells of all arms
    measure=measure,
    arms=lambda: ARMS,
    code=code,
    repeats=6,
    alone=False,
)
