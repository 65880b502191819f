"""How often and how fast the whole of lesson 07 solves CartPole, over seeds that were not used to find its settings."""

from __future__ import annotations

from benchmarks import dqn_cartpole
from benchmarks.figures import FRAMES, SECONDS, runs_figure, solved_of
from benchmarks.group import Group
from benchmarks.lesson_code import seeds
from benchmarks.results_table import SOLVED
from benchmarks.section import Arms, Section, seeds_of, upper
from benchmarks.tables import runs_table, solving_cost

THE_RULE = (
    f"*Solved* means a mean return of at least {SOLVED} over 100 fresh greedy episodes of the unmodified CartPole-v1, "
    "on seeds used neither for training nor for validation. Act two plays them with the weights that were validated "
    "best, act one with its last. A run that fails is *censored*: what it would have cost is unknown, only that it is "
    "more than was spent. It counts as larger than any number, so a percentile that falls among failed runs is *not "
    "reached*. The interquartile mean is that of the middle half of the runs, with a 95 % bootstrap interval of 10,000 "
    "resamples ([Agarwal et al., 2021](https://arxiv.org/abs/2108.13264)); intervals of success rates are Wilson's."
)


def measure(arm: str, seed: int) -> dict[str, dict]:
    return dqn_cartpole.run_notebook(seed)


def tell(section: Section, arms: Arms) -> None:
    section.show("notebook", runs_figure(arms, [FRAMES, SECONDS]))
    verdicts = [
        f"{name} solves it on {solved_of(runs)} seeds" + solving_cost(runs, [FRAMES, SECONDS])
        for name, runs in arms.items()
    ]
    section.answer(f"{upper('; '.join(verdicts))}.")
    section.say(runs_table(arms, [FRAMES, SECONDS]))
    section.measured(
        f"The lesson's cells were run from top to bottom, {seeds_of(arms)}, none of which was used to find the "
        f"settings. {THE_RULE} Seconds are those the lesson itself shows: training, validation and drawing. As many "
        "lessons ran side by side as the machine has cores."
    )
    section.limits(
        "One task, and a small one. Seconds are of this machine; frames and success are not bound to it, though other "
        "versions of the libraries draw other random numbers."
    )


GROUP = Group(
    name="notebook",
    order=10,
    question="Does lesson 07 solve CartPole, whatever the seed?",
    tell=tell,
    file="07_dqn",
    jobs=lambda count: [("act two", seed) for seed in seeds(count)],
    measure=measure,
    arms=lambda: ["act one", "act two"],
    code=dqn_cartpole.code,
    repeats=30,
    alone=False,
)
