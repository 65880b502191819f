"""What judges a tuning study that a learner has written: a cheap task that notes every look, and knows the truth.

A setting's worth falls off with its distance, in factors, from a best one that nobody knows. A run's returns rise
towards that worth, with noise of its own, the same whenever the same setting is run on the same seed.
"""

from __future__ import annotations

import hashlib
import math
import random
import statistics
from collections.abc import Callable, Iterator
from typing import Any

from course_utils.exercises.exercise import Draw

LOOKS = 8  # after which a run is over
STUDIES, BUDGET = 3, 1_200  # looks of one run that each study may spend; a whole setting on three seeds costs 24
NOISE = 25.0
RANGES = {"learning_rate": (1e-5, 1e-1), "horizon": (5.0, 500.0)}
SEARCH, FRESH = [3, 4, 5], list(range(500, 510))
FEWEST = 24  # settings of a study; without stopping early the budget pays for 46


class Run:
    """One call of `looks`: a setting, on some seeds, watched for some looks."""

    def __init__(self, place: int, setting: dict[str, float], seeds: list[int]) -> None:
        self.place, self.setting, self.seeds, self.seen = place, setting, seeds, []

    @property
    def is_whole(self) -> bool:
        return len(self.seen) == LOOKS

    def means(self, look: int) -> float:
        """The mean over seeds and over the looks up to this one."""
        return statistics.fmean(statistics.fmean(returns) for returns in self.seen[:look])


class Task:
    """A training that costs nothing; `looks` is what a study is given, `runs` what it did with it."""

    def __init__(self, draw: Draw) -> None:
        # Not in the middle, where a search that forgets to look elsewhere would end.
        self.best = {name: _between(low, high, draw.uniform(0.15, 0.35)) for name, (low, high) in RANGES.items()}
        self.salt, self.runs, self.order = draw.uniform(0, 1), [], []
        self.wrong = ""

    def worth(self, setting: dict[str, float]) -> float:
        away = sum(_factors(setting[name], self.best[name], *RANGES[name]) ** 2 for name in RANGES)
        return 300 * math.exp(-3 * away)

    def looks(self, setting: Any, seeds: Any) -> Iterator[list[float]]:
        self.wrong = self.wrong or _unusable(setting, seeds)
        if self.wrong:
            raise ValueError(self.wrong)
        run = Run(len(self.runs), dict(setting), list(seeds))
        self.runs.append(run)
        return self._play(run)

    def _play(self, run: Run) -> Iterator[list[float]]:
        worth = self.worth(run.setting)
        for look in range(1, LOOKS + 1):
            risen = worth * (1 - math.exp(-look / 2)) / (1 - math.exp(-LOOKS / 2))
            returns = [risen + self._luck(run.setting, seed, look) for seed in run.seeds]
            run.seen.append(returns)
            self.order.append(run)
            yield returns

    def _luck(self, setting: dict[str, float], seed: int, look: int) -> float:
        """Mostly of the run as a whole, so that its looks agree with one another; the same each time."""
        key = repr((self.salt, sorted(setting.items()), seed))
        whole = random.Random(hashlib.sha256(key.encode()).digest())
        return whole.gauss(0, NOISE) + random.Random(f"{key}{look}").gauss(0, NOISE / 4)

    @property
    def spent(self) -> int:
        return sum(len(run.seen) * len(run.seeds) for run in self.runs)


def _between(low: float, high: float, share: float) -> float:
    return low * (high / low) ** share


def _factors(value: float, other: float, low: float, high: float) -> float:
    """How far apart two values are on a log scale that is 1 long."""
    return math.log(value / other) / math.log(high / low)


def _unusable(setting: Any, seeds: Any) -> str:
    if not isinstance(setting, dict) or set(setting) != set(RANGES):
        return f"A setting is a dict with a number for each of {', '.join(RANGES)}; `looks` was given {setting!r:.80}."
    for name, (low, high) in RANGES.items():
        if not low * (1 - 1e-9) <= setting[name] <= high * (1 + 1e-9):
            return f"`{name}` was {setting[name]:g}, and its range goes from {low:g} to {high:g}."
    try:
        strangers = sorted(set(seeds) - {*SEARCH, *FRESH})
    except TypeError:
        return f"`looks` wants a list of seeds, and was given {seeds!r:.80}."
    if strangers:
        return (
            f"`looks` was asked for seeds {strangers}, which are neither among `search_seeds` nor among `fresh_seeds`."
        )
    return "" if len(seeds) else "`looks` was asked for no seed at all."


def examine(study: Callable, draw: Draw) -> str:
    """The first thing that is wrong with a study, or "".

    Args:
        study: the learner's function of `(looks, ranges, search_seeds, fresh_seeds, budget)`; it returns the winner and
            an estimate of what it is worth.
        draw: the source of the task's best setting and of its noise.
    """
    tasks = [Task(draw) for _ in range(STUDIES)]
    lost = []
    for task in tasks:
        try:
            answer = study(task.looks, dict(RANGES), list(SEARCH), list(FRESH), BUDGET)
        except ValueError:
            if task.wrong:
                return task.wrong
            raise
        if wrong := _answer(answer) or _search(task) or _exam(task, *answer):
            return wrong
        lost.append(_better_ones(task, answer[0]))
    return _scale(tasks) or _pruning(tasks) or _choice(tasks, lost)


def _answer(answer: Any) -> str:
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return f"Return two things, the winner and the estimate; yours returns {answer!r:.80}."
    winner, estimate = answer
    if not isinstance(winner, dict) or set(winner) != set(RANGES):
        return f"The winner is a setting, a dict as `looks` takes it; yours is {winner!r:.80}."
    try:
        float(estimate)
    except (TypeError, ValueError):
        return f"The estimate is a number; yours is {estimate!r:.80}."
    return ""


def _searched(task: Task) -> list[Run]:
    return [run for run in task.runs if run.seen and not set(run.seeds) & set(FRESH)]


def _same(one: dict, other: dict) -> bool:
    return all(math.isclose(one[name], other[name], rel_tol=1e-6) for name in RANGES)


def _search(task: Task) -> str:
    searched = _searched(task)
    mixed = [run for run in task.runs if set(run.seeds) & set(FRESH) and set(run.seeds) & set(SEARCH)]
    if mixed:
        return "One run had search seeds and fresh ones together. The first choose, the others judge: keep them apart."
    if task.spent > BUDGET:
        return (
            f"The budget was {BUDGET}, and you spent {task.spent}: a look costs as much as it has seeds, those of "
            "the exam "
            f"too. A whole setting costs {LOOKS * len(SEARCH)}, the exam {LOOKS * len(FRESH)}: begin only what "
            "can be paid."
        )
    if not searched:
        return "No setting was run on the search seeds. They are there to choose with."
    settings = {tuple(sorted(run.setting.items())) for run in searched}
    if len(settings) < FEWEST:
        return (
            f"Your study tried {len(settings)} different settings and spent {task.spent} of {BUDGET}. Stopping "
            "early, it can "
            "pay for more than twice as many as there are whole ones to be had."
        )
    return ""


def _exam(task: Task, winner: dict, estimate: float) -> str:
    fresh = [run for run in task.runs if set(run.seeds) & set(FRESH)]
    others = [run for run in fresh if not _same(run.setting, winner)]
    if others:
        return (
            f"{len({tuple(run.setting.items()) for run in fresh})} settings were run on fresh seeds, the winner "
            "and others. "
            "Whatever takes part in choosing cannot judge: choose first, then run the winner alone on them."
        )
    if not fresh:
        return "The winner was never run on the fresh seeds, so its estimate holds the luck it was chosen for."
    began = task.order.index(fresh[0])
    if any(run in _searched(task) for run in task.order[began:]):
        return (
            "The search went on after the fresh seeds had been seen. Once they are looked at, they are fresh no more."
        )
    by_seed: dict[int, float] = {}
    for run in fresh:
        for place, seed in enumerate(run.seeds):
            if run.is_whole:
                by_seed[seed] = statistics.fmean(returns[place] for returns in run.seen)
    if set(by_seed) != set(FRESH):
        return f"The winner's exam has {len(FRESH)} fresh seeds, each to its last look; yours has {len(by_seed)}."
    whole = [run for run in _searched(task) if run.is_whole and _same(run.setting, winner)]
    if {seed for run in whole for seed in run.seeds} != set(SEARCH):
        return (
            "The winner was not run to its last look on every search seed. Who was stopped early, or ran on one "
            "seed alone, "
            "cannot win: a mean of fewer looks is another number."
        )
    honest = statistics.fmean(by_seed.values())
    if math.isclose(float(estimate), honest, rel_tol=1e-6):
        return ""
    claimed = statistics.fmean(run.means(LOOKS) for run in whole)
    if math.isclose(float(estimate), claimed, rel_tol=1e-6):
        return (
            f"Your estimate of {float(estimate):.0f} is the winner's mean on the search seeds, which it was "
            "chosen for. On the "
            f"fresh ones it has {honest:.0f}: report that."
        )
    return (
        f"On the fresh seeds the winner's score, the mean over its looks and then over the {len(FRESH)} seeds, is "
        f"{honest:.1f}; "
        f"your estimate is {float(estimate):.1f}."
    )


def _scale(tasks: list[Task]) -> str:
    """Drawn evenly on a log scale, half of the values lie in the lower half of the factors."""
    settings = {tuple(sorted(run.setting.items())) for task in tasks for run in _searched(task)}
    for name, (low, high) in RANGES.items():
        values = [dict(setting)[name] for setting in settings]
        below = statistics.fmean(value < _between(low, high, 0.5) for value in values)
        if below < 0.2:
            return (
                f"Only {below:.0%} of your values of `{name}` are below {_between(low, high, 0.5):.3g}, the "
                "middle of its "
                "range on a log scale. Draw evenly in factors: `low * (high / low) ** share`."
            )
        spread = [_factors(value, low, low, high) for value in values]
        if max(spread) - min(spread) < 0.7:
            return (
                f"Your values of `{name}` go from {min(values):.3g} to {max(values):.3g}: much of its range "
                "was never tried."
            )
    return ""


def _pruning(tasks: list[Task]) -> str:
    stopped = [(task, run) for task in tasks for run in _searched(task) if not run.is_whole and run.seen]
    whole = [run for task in tasks for run in _searched(task) if run.is_whole]
    runs = len(stopped) + len(whole)
    if len(stopped) < runs / 4:
        return (
            f"Of {runs} runs in {len(tasks)} studies {len(stopped)} were stopped before their last look. Most can "
            "be told from "
            "the best long before: stop those, and spend what they would have cost."
        )
    worse = []
    for task, run in stopped:
        others = [other for other in _searched(task) if len(other.seen) > len(run.seen)]
        if others:
            look = len(run.seen)
            worse.append(run.means(look) < statistics.median(other.means(look) for other in others))
    if statistics.fmean(worse) < 0.7:
        return (
            f"Of the runs that you stopped, {statistics.fmean(worse):.0%} were behind those that went on, at the "
            "same look. "
            "Stop those that fall behind, and no others."
        )
    return ""


def _better_ones(task: Task, winner: dict) -> float:
    """The share of finished settings whose claim was larger than the winner's."""
    claims: dict[tuple, dict[int, float]] = {}
    for run in _searched(task):
        if run.is_whole:
            columns = zip(run.seeds, zip(*run.seen, strict=True), strict=True)
            claims.setdefault(tuple(sorted(run.setting.items())), {}).update(
                {seed: statistics.fmean(column) for seed, column in columns}
            )
    scores = {each: statistics.fmean(found.values()) for each, found in claims.items() if set(found) == set(SEARCH)}
    mine = next(score for setting, score in scores.items() if _same(dict(setting), winner))
    return statistics.fmean(score > mine + 1e-9 for score in scores.values())


def _choice(tasks: list[Task], lost: list[float]) -> str:
    if max(lost) > 0:
        return (
            f"Your winner is not the best of those that finished: {max(lost):.0%} of them had a larger mean on "
            "the search "
            "seeds. Take the largest."
        )
    return ""
