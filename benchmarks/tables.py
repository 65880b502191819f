"""Tables that several groups show, and the sentences that sum them up."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.figures import NOT_MEASURED, Cost, medians_of, solved_of
from benchmarks.section import Arms, Section, per_cent, table
from benchmarks.summary import NEVER, bootstrap_interval, interquartile_mean, is_solved, success_interval


def median_text(runs: Mapping[str, dict], fact: str, digits: int = 0) -> str:
    """The median of a fact over the runs of which it is known."""
    known = [run[fact] for run in runs.values() if fact in run]
    return f"{statistics.median(known):,.{digits}f}" if known else NOT_MEASURED


# Runs that are solved or not


def runs_table(arms: Arms, costs: Sequence[Cost]) -> str:
    heads = ["", "solved", "95 % interval", "exam: interquartile mean, 95 % interval", "exam: worst run"]
    heads += [f"{cost.label} to solve: median (10th to 90th percentile)" for cost in costs]
    return table(heads, [runs_row(name, runs, costs) for name, runs in arms.items()])


def runs_row(name: str, runs: Mapping[str, dict], costs: Sequence[Cost]) -> list[str]:
    returns = [run["test_return"] for run in runs.values()]
    sure = success_interval(sum(map(is_solved, runs.values())), len(runs))
    low, high = bootstrap_interval(returns)
    row = [
        name,
        solved_of(runs),
        f"{per_cent(sure[0])} to {per_cent(sure[1])}",
        f"{interquartile_mean(returns):.1f}, {low:.1f} to {high:.1f}",
        f"{min(returns):.1f}",
    ]
    for cost in costs:
        p10, median, p90 = cost.spread(runs.values())
        between = f" ({cost.text(p10)} to {cost.text(p90)})" if p10 < NEVER else ""
        row.append(cost.text(median) + between)
    return row


def median_cost(runs: Mapping[str, dict], cost: Cost) -> float:
    """What the median run spent to solve it; `NEVER` where it failed, not a number where this is known of no run."""
    return cost.spread(runs.values())[1]


def solving_cost(runs: Mapping[str, dict], costs: Sequence[Cost]) -> str:
    """What the median run spent, as the rest of a sentence; empty where the median run failed."""
    medians = [(median_cost(runs, cost), cost) for cost in costs]
    if medians[0][0] == NEVER:
        return ""
    said = [f"{cost.text(value)} {cost.label}" for value, cost in medians if not math.isnan(value)]
    return ", the median run after " + " and ".join(said)


def tell_exams(
    section: Section,
    solved: Callable[[str, dict], bool],
    facts: Mapping[str, tuple[str, int]],
    score: str = "test_return",
) -> None:
    """Answer with how many runs of each arm were solved, and show each run's exam in a table.

    Args:
        section: what is said so far.
        solved: is this run of this arm solved?
        facts: heads of further columns, and the fact and digits of the medians below them.
        score: the fact that an exam is.
    """
    rows = [
        [
            name,
            f"{sum(solved(name, run) for run in runs.values())} of {len(runs)}",
            ", ".join(f"{run[score]:.0f}" for run in runs.values()),
            *(median_text(runs, fact, digits) for fact, digits in facts.values()),
        ]
        for name, runs in section.arms.items()
    ]
    section.answer("Solved: " + "; ".join(f"{name} {count}" for name, count, *_ in rows) + ".")
    section.say(table(["", "solved", "exam, seed by seed", *facts], rows))


# Growth


def growth(arm: Mapping[str, dict], fact: str) -> tuple[int, int, float]:
    """The smallest and the largest size, and how many times larger what was measured is at the largest."""
    sizes, medians = medians_of(arm, fact)
    return sizes[0], sizes[-1], medians[-1] / medians[0]


def growth_table(arms: Arms, fact: str, form: str) -> str:
    """A row per arm and a column per size."""
    sizes = sorted({int(size) for arm in arms.values() for size in arm})
    rows = []
    for name, arm in arms.items():
        medians = dict(zip(*medians_of(arm, fact), strict=True))
        rows.append(
            [name.replace("_", " "), *(form.format(medians[size]) if size in medians else "" for size in sizes)]
        )
    return table(["", *map(str, sizes)], rows)
