"""The figures of docs/benchmark.md. Each function returns the figure and the words for those who cannot see it."""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class Cost:
    """Something a run spends until it is solved.

    Attributes:
        label: with its unit.
        of: reads it from a run.
        digits: after the point, in tables and alternative texts.
    """

    label: str
    of: Callable[[dict], float]
    digits: int = 0

    def text(self, value: float) -> str:
        return "not reached" if value == NEVER else f"{value:,.{self.digits}f}"


FRAMES = Cost("frames", lambda run: run["frames"])
SECONDS = Cost("seconds", lambda run: run["seconds"], 1)
WITH_VALIDATION = Cost("seconds with validation", SECONDS.of, 1)
TRAINING = Cost("seconds of training", lambda run: run["seconds"] - run["validation_seconds"], 1)


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


def draw_points(axes: Axes, arms: Mapping[str, Mapping[str, dict]], cost: Callable[[dict], float]) -> None:
    """Every run of every arm at what it cost: solved ones as dots, failed ones as crosses."""
    for row, (name, runs) in enumerate(arms.items()):
        places = heights(row, len(runs))
        for solved, style in [
            (True, {"marker": "o", "color": PALETTE["blue"], "s": 18, "alpha": 0.7, "linewidths": 0}),
            (False, {"marker": "x", "color": PALETTE["vermillion"], "s": 30}),
        ]:
            chosen = [(cost(run), y) for run, y in zip(runs.values(), places, strict=True) if is_solved(run) is solved]
            if chosen:
                axes.scatter(*zip(*chosen, strict=True), gid=f"{name}: {'solved' if solved else 'failed'}", **style)


def draw_returns(axes: Axes, arms: Mapping[str, Mapping[str, dict]]) -> None:
    draw_points(axes, arms, lambda run: run["test_return"])
    for row, runs in enumerate(arms.values()):
        returns = [run["test_return"] for run in runs.values()]
        low, high = bootstrap_interval(returns)
        axes.plot([low, high], [row, row], color="black", linewidth=1.5)
        axes.plot(interquartile_mean(returns), row, marker="D", color="black", markersize=6)
    axes.axvline(SOLVED, color="black", linestyle="--", linewidth=1)
    axes.set(xlim=(0, FULL_RETURN * 1.03), xlabel="return in the exam")


def draw_cost(axes: Axes, arms: Mapping[str, Mapping[str, dict]], cost: Cost) -> None:
    draw_points(axes, arms, cost.of)
    axes.set(xscale="log", xlabel=f"{cost.label} to solve it")
    plain_log(axes.xaxis)
    edge = axes.get_xlim()[1]
    for row, runs in enumerate(arms.values()):
        low, median, high = spread(to_solve(runs.values(), cost.of))
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
        medians = ", ".join(f"{cost.label} {cost.text(spread(to_solve(runs.values(), cost.of))[1])}" for cost in costs)
        rows.append(
            f"{name}: {solved_of(runs)} runs solved, returns from {min(returns):.0f} to {max(returns):.0f}, "
            f"medians to solve: {medians}"
        )
    return "Every run is a point, failed ones are crosses. " + "; ".join(rows) + "."


# Time


def loops_figure(repeats: Sequence[dict]) -> tuple[Figure, str]:
    """Seconds of the lesson's loop, of SB3's and of the least possible, for the same frames and updates."""
    use_course_style()
    figure, axes = plt.subplots(figsize=(8, 2.6))
    stepping, updates, ours, theirs = (
        [repeat[name] for repeat in repeats] for name in ("raw stepping", "raw updates", "lesson", "SB3")
    )
    least = [a + b for a, b in zip(stepping, updates, strict=True)]
    rows = {"the least possible": least, "lesson 07": ours, "SB3, the same recipe": theirs}
    medians = [statistics.median(values) for values in rows.values()]
    axes.barh(list(rows), medians, color=PALETTE["sky"])
    for row, (name, values) in enumerate(rows.items()):
        label = f"  {medians[row]:.2f} s, {medians[row] / medians[0]:.1f} x"
        axes.text(max(values), row, label, verticalalignment="center")
        axes.scatter(values, heights(row, len(values)), color="black", s=9, gid=name, zorder=3)
    axes.set(
        xlabel="seconds without validation (a dot: one repeat)", xlim=(0, 1.35 * max(max(v) for v in rows.values()))
    )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    words = ", ".join(f"{name} {median:.2f}" for name, median in zip(rows, medians, strict=True))
    return figure, f"Bars. Median seconds for the same frames and updates: {words}."


def shares(repeats: Sequence[dict]) -> dict[str, tuple[float, float]]:
    """For each part its mean seconds in a run, and its share of all seconds of all runs."""
    total = sum(repeat["run"]["seconds"] for repeat in repeats)
    spent = {
        name: sum(repeat["run"]["parts"].get(name, 0.0) for repeat in repeats) for name in repeats[0]["run"]["parts"]
    }
    return {name: (seconds / len(repeats), seconds / total) for name, seconds in spent.items()}


def parts_figure(repeats: Sequence[dict]) -> tuple[Figure, str]:
    """Where the seconds of a run go, part by part."""
    use_course_style()
    found = shares(repeats)
    figure, axes = plt.subplots(figsize=(8, 4.2))
    bars = axes.barh(list(found), [100 * share for _, share in found.values()], color=PALETTE["sky"])
    axes.bar_label(bars, [f"{seconds:.2f} s, {100 * share:.0f} %" for seconds, share in found.values()], padding=4)
    axes.set(xlabel="share of a run's seconds (%)", xlim=(0, 125 * max(share for _, share in found.values())))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    words = ", ".join(f"{name} {100 * share:.0f} %" for name, (_, share) in found.items())
    return figure, f"Bars. Share of a run's seconds: {words}."


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


def environments_figure(arms: Mapping[str, Mapping[str, dict]]) -> tuple[Figure, str]:
    use_course_style()
    figure, axes = plt.subplots(figsize=(9, 4.2))
    words = draw_growth(axes, arms, "frames_per_second")
    axes.yaxis.set_major_locator(LogLocator())
    axes.set(xlabel="copies of the environment", ylabel="frames per second")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, f"Lines. Frames per second over copies of the environment: {'; '.join(words)}."


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


def notebooks_figure(arms: Mapping[str, Mapping[str, dict]]) -> tuple[Figure, str]:
    """Seconds and peak memory of each notebook, every repeat a dot."""
    use_course_style()
    figure, grid = plt.subplots(1, 2, figsize=(10, 1.2 + 0.36 * len(arms)), sharey=True)
    for axes, fact, label in zip(grid, ("seconds", "peak_mb"), ("seconds", "peak memory (MB)"), strict=True):
        values = [[run[fact] for run in runs.values()] for runs in arms.values()]
        bars = axes.barh(list(arms), [statistics.median(repeats) for repeats in values], color=PALETTE["sky"])
        axes.bar_label(bars, fmt="{:.0f}", padding=8)
        for row, repeats in enumerate(values):
            axes.scatter(repeats, heights(row, len(repeats)), color="black", s=9, zorder=3)
        axes.set(xlabel=label, xlim=(0, 1.2 * max(map(max, values))))
        axes.grid(axis="y", visible=False)
    grid[0].invert_yaxis()
    words = "; ".join(
        f"{stem} {median_of(runs, 'seconds'):.0f} s, {median_of(runs, 'peak_mb'):.0f} MB" for stem, runs in arms.items()
    )
    return figure, f"Bars. Median seconds and peak memory of each notebook: {words}."


def median_of(runs: Mapping[str, dict], fact: str) -> float:
    return statistics.median(run[fact] for run in runs.values())
