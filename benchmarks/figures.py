"""What several groups draw. A figure comes with the words for those who cannot see it.

Matplotlib alone: seaborn draws no row of seeds with its failed runs apart and its percentiles among them, which is
what `runs_figure` is for; the rest is bars and lines of a few lines each.
"""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.results_table import SOLVED
from benchmarks.summary import NEVER, bootstrap_interval, interquartile_mean, is_solved, spread, to_solve
from course_utils.views.plotting import PALETTE, use_course_style

MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
FULL_RETURN = 500
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Cost:
    """Something a run spends until it is solved.

    Attributes:
        label: with its unit.
        facts: what has to be known of a run; seconds taken on another CPU are not.
        of: reads it from a run.
        digits: after the point, in tables and alternative texts.
    """

    label: str
    facts: tuple[str, ...]
    of: Callable[[dict], float]
    digits: int = 0

    def known(self, run: dict) -> bool:
        return all(fact in run for fact in self.facts)

    def spread(self, runs: Iterable[dict]) -> tuple[float, float, float]:
        """10th percentile, median and 90th percentile of what runs spent until they were solved.

        Each is `NEVER` where it falls among failed runs, and not a number where this cost is known of no run.
        """
        found = to_solve(filter(self.known, runs), self.of)
        return spread(found) if found else (math.nan,) * 3

    def text(self, value: float) -> str:
        if math.isnan(value):
            return NOT_MEASURED
        return "not reached" if value == NEVER else f"{value:,.{self.digits}f}"


RETURN = Cost("return in the exam", ("test_return",), lambda run: run["test_return"])
FRAMES = Cost("frames", ("frames",), lambda run: run["frames"])
SECONDS = Cost("seconds", ("seconds",), lambda run: run["seconds"], 1)
WITH_VALIDATION = Cost("seconds with validation", SECONDS.facts, SECONDS.of, 1)
TRAINING = Cost(
    "seconds of training",
    ("seconds", "validation_seconds"),
    lambda run: run["seconds"] - run["validation_seconds"],
    1,
)


def svg(figure: Figure) -> bytes:
    """The figure as bytes that are the same whenever its data are."""
    buffer = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": "benchmark"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return buffer.getvalue()


def plain_log(axis) -> None:
    """A logarithmic axis whose numbers are written out, as many as have room."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 3) if high / low > 12 else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def heights(row: int, count: int) -> np.ndarray:
    """Where the points of a row stand: seeds in order from top to bottom, so that none hides another."""
    return row + np.linspace(-0.28, 0.28, count) if count > 1 else np.array([float(row)])


# Runs: every seed a point


def draw_points(axes: Axes, arms: Mapping[str, Mapping[str, dict]], cost: Cost) -> None:
    """Every run of every arm at what it cost, if known: solved ones as dots, failed ones as crosses."""
    for row, (name, runs) in enumerate(arms.items()):
        points = [(run, y) for run, y in zip(runs.values(), heights(row, len(runs)), strict=True) if cost.known(run)]
        for solved, style in [
            (True, {"marker": "o", "color": PALETTE["blue"], "s": 18, "alpha": 0.7, "linewidths": 0}),
            (False, {"marker": "x", "color": PALETTE["vermillion"], "s": 30}),
        ]:
            chosen = [(cost.of(run), y) for run, y in points if is_solved(run) is solved]
            if chosen:
                axes.scatter(*zip(*chosen, strict=True), gid=f"{name}: {'solved' if solved else 'failed'}", **style)


def draw_returns(axes: Axes, arms: Mapping[str, Mapping[str, dict]]) -> None:
    draw_points(axes, arms, RETURN)
    for row, runs in enumerate(arms.values()):
        returns = [run["test_return"] for run in runs.values()]
        low, high = bootstrap_interval(returns)
        axes.plot([low, high], [row, row], color="black", linewidth=1.5)
        axes.plot(interquartile_mean(returns), row, marker="D", color="black", markersize=6)
    axes.axvline(SOLVED, color="black", linestyle="--", linewidth=1)
    axes.set(xlim=(0, FULL_RETURN * 1.03), xlabel=RETURN.label)


def draw_cost(axes: Axes, arms: Mapping[str, Mapping[str, dict]], cost: Cost) -> None:
    draw_points(axes, arms, cost)
    axes.set(xscale="log", xlabel=f"{cost.label} to solve it")
    plain_log(axes.xaxis)
    edge = axes.get_xlim()[1]
    for row, runs in enumerate(arms.values()):
        low, median, high = cost.spread(runs.values())
        if low < NEVER:
            axes.plot([low, min(high, edge)], [row, row], color="black", linewidth=1.5)
        if median < NEVER:
            axes.plot(median, row, marker="|", color="black", markersize=22, markeredgewidth=2.5)
        if high == NEVER:
            axes.plot(edge, row, marker=">", color="black", markersize=7, clip_on=False)
    axes.set_xlim(right=edge)


def runs_figure(arms: Mapping[str, Mapping[str, dict]], costs: Sequence[Cost]) -> tuple[Figure, str]:
    """For each arm a row: returns in the exam with their interquartile mean, and what solving cost."""
    use_course_style()
    panels, columns = 1 + len(costs), 2 if len(costs) == 3 else 1 + len(costs)
    size = (10, 1.4 + (0.8 + 0.48 * len(arms)) * panels / columns)
    figure, grid = plt.subplots(panels // columns, columns, figsize=size, sharey=True, squeeze=False)
    draw_returns(grid.flat[0], arms)
    for axes, cost in zip(grid.flat[1:], costs, strict=True):
        draw_cost(axes, arms, cost)
    labels = [f"{name}\n{solved_of(runs)} solved" for name, runs in arms.items()]
    for axes in grid[:, 0]:
        axes.set_yticks(range(len(arms)), labels)
    grid.flat[0].set_ylim(len(arms) - 0.5, -0.5)
    add_key(figure)
    return figure, runs_words(arms, costs)


def add_key(figure: Figure) -> None:
    empty = ([], [])
    axes = figure.axes[0]
    keys = [
        axes.scatter(*empty, marker="o", color=PALETTE["blue"], label="a solved run"),
        axes.scatter(*empty, marker="x", color=PALETTE["vermillion"], label="a failed run, where it ended"),
        axes.plot(*empty, marker="D", color="black", label="interquartile mean, 95 % interval")[0],
        axes.plot(*empty, color="black", linestyle="--", linewidth=1, label=f"solved: {SOLVED}")[0],
        axes.plot(*empty, color="black", linewidth=1.5, label="10th to 90th percentile (> among failed runs), median")[
            0
        ],
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False, fontsize=8)


def solved_of(runs: Mapping[str, dict]) -> str:
    return f"{sum(map(is_solved, runs.values()))} of {len(runs)}"


def runs_words(arms: Mapping[str, Mapping[str, dict]], costs: Sequence[Cost]) -> str:
    rows = []
    for name, runs in arms.items():
        returns = [run["test_return"] for run in runs.values()]
        medians = ", ".join(f"{cost.label} {cost.text(cost.spread(runs.values())[1])}" for cost in costs)
        rows.append(
            f"{name}: {solved_of(runs)} runs solved, returns from {min(returns):.0f} to {max(returns):.0f}, "
            f"medians to solve: {medians}"
        )
    return "Every run is a point, failed ones are crosses. " + "; ".join(rows) + "."


# Growth


def medians_of(arm: Mapping[str, dict], fact: str) -> tuple[list[int], list[float]]:
    """Sizes and the median of what was measured at each."""
    return [int(size) for size in arm], [statistics.median(result[fact]) for result in arm.values()]


def draw_growth(axes: Axes, arms: Mapping[str, Mapping[str, dict]], fact: str) -> list[str]:
    """A line per arm through its medians, every repeat a dot; returns the ends of each line in words."""
    words = []
    for (name, arm), colour, marker in zip(arms.items(), PALETTE.values(), MARKERS, strict=False):
        sizes, medians = medians_of(arm, fact)
        axes.plot(sizes, medians, color=colour, marker=marker, label=name.replace("_", " "), gid=name)
        for size, result in zip(sizes, arm.values(), strict=True):
            axes.scatter([size] * len(result[fact]), result[fact], color=colour, s=6)
        words.append(f"{name} from {medians[0]:,.3g} at {sizes[0]} to {medians[-1]:,.3g} at {sizes[-1]}")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sorted({int(size) for arm in arms.values() for size in arm}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(plt.NullLocator())
    plain_log(axes.yaxis)
    return words


def updates_figure(arms: Mapping[str, Mapping[str, dict]]) -> tuple[Figure, str]:
    """Time of an update over batch size and over width; arms named `setting` or `setting, device`."""
    use_course_style()
    settings = list(dict.fromkeys(name.split(", ")[0] for name in arms))
    figure, grid = plt.subplots(1, len(settings), figsize=(9, 3.4), sharey=True, squeeze=False)
    words = []
    for axes, setting in zip(grid.flat, settings, strict=True):
        mine = {name: arm for name, arm in arms.items() if name.split(", ")[0] == setting}
        words += draw_growth(axes, mine, "milliseconds")
        axes.set(xlabel=setting.replace("_", " "))
        if len(mine) > 1:
            axes.legend(frameon=False)
    grid.flat[0].set_ylabel("milliseconds of an update")
    return figure, f"Lines. Milliseconds of one update: {'; '.join(words).replace('_', ' ')}."


def growth_figure(arms: Mapping[str, Mapping[str, dict]], fact: str, xlabel: str, ylabel: str) -> tuple[Figure, str]:
    """A line per arm: what was measured at each size."""
    use_course_style()
    figure, axes = plt.subplots(figsize=(5, 3.4))
    words = draw_growth(axes, arms, fact)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(frameon=False)
    return figure, f"Lines: {ylabel}. {'; '.join(words)}."
