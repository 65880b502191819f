"""One look for every figure: colours that colour-blind readers can tell apart, alternative text always."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle, product

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_utils.views.display import View, image_tag
from course_utils.views.palette import PALETTE

Run = tuple[Sequence[float], Sequence[float]]

CARD = "display:inline-block;background:white;border-radius:8px;padding:8px"
LINES = ("-", ":", "-.")  # "--" is the line for "solved"
MOST_X = 20_000  # of more values along x, so many are kept for medians: a figure is a thousand pixels wide
BUCKETS = 2_000  # of a longer curve, the lowest and the highest of so many stretches are drawn


def use_course_style() -> None:
    """Make matplotlib draw in the course's colours and sizes from here on."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=list(PALETTE.values())),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "figure.figsize": (7, 3.2),
            "figure.constrained_layout.use": True,
            "font.size": 11,
        }
    )


def show_figure(figure: Figure, alt: str) -> View:
    """Turn a figure into an image that carries its alternative text, and follows a dark theme.

    A figure that shows a picture (`imshow`: a game, a heat map) keeps its colours there, on a white card.

    Args:
        figure: a matplotlib figure; it is closed, so that it is not shown a second time.
        alt: what the figure shows, for those who cannot see it: the axes, the shape, the finding.

    Raises:
        ValueError: `alt` is empty.
    """
    if not alt.strip():
        raise ValueError("A figure needs alternative text: show_figure(figure, 'what there is to see')")
    buffer = io.BytesIO()
    # Without a fixed "Software" entry the bytes would change with every matplotlib release.
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    width = round(figure.get_figwidth() * 100)
    shows_picture = any(axes.get_images() for axes in figure.axes)
    plt.close(figure)
    image = image_tag(buffer.getvalue(), "image/png", alt, width, drawing=not shows_picture)
    return View(f'<div style="{CARD}">{image}</div>' if shows_picture else image, f"Figure: {alt}")


def summarise_runs(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """Bring runs of unequal length onto one axis and take their median and 10th to 90th percentile.

    Args:
        runs: for each seed a pair (x, y) of equally long sequences, x increasing; points without a finite x are
            left out.

    Returns:
        `x`, `median`, `low`, `high`, equally long: at each x at which one of the runs was measured (of more than
        20,000, at so many of them), as far as all runs reach. Beyond the end of the first one the median would be one
        of the survivors only; so it would where a run is not finite: there the three are NaN.

    Raises:
        ValueError: no run, an empty run, x and y of unequal length, no x that is finite, or an x that goes back.
    """
    arrays = _read_runs(runs)
    measured = np.unique(np.concatenate([x for x, _ in arrays]))
    axis = measured[(measured >= max(x[0] for x, _ in arrays)) & (measured <= min(x[-1] for x, _ in arrays))]
    if len(axis) > MOST_X:
        axis = axis[np.linspace(0, len(axis) - 1, MOST_X).astype(int)]
    values = np.stack([np.interp(axis, x, y) for x, y in arrays])
    low, median, high = np.percentile(values, [10, 50, 90], axis=0)
    return {"x": axis, "median": median, "low": low, "high": high}


def unit_for(peak: float) -> float:
    """What to divide the largest numbers by: matplotlib adds and subtracts them, which would overflow. Else 1."""
    return 10.0 ** np.floor(np.log10(peak)) if peak > 1e100 else 1.0


def _read_runs(runs: Sequence[Run], whose: str = "") -> list[tuple[np.ndarray, np.ndarray]]:
    """Runs as float64, with NaN for every y that is not finite."""
    if not runs:
        raise ValueError(f"{whose}There is no run to draw: give at least one pair (x, y).")
    found = []
    for number, (x, y) in enumerate(runs):
        this = f"{whose}Run {number}"
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"{this} has {len(x)} x values and {len(y)} y values; it needs equally many, not 0.")
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if not (placed := np.isfinite(x)).any():
            raise ValueError(f"{this} has no x that is finite: there is nowhere to draw it.")
        x, y = x[placed], y[placed]
        if (back := np.diff(x) < 0).any():
            place = int(back.argmax())
            raise ValueError(f"{this} goes back from x = {x[place]:g} to {x[place + 1]:g}; sort it by x first.")
        found.append((x, np.where(np.isfinite(y), y, np.nan)))
    return found


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve that looks the same with few points: of each stretch its lowest and its highest, in their order."""
    if len(x) <= 4 * BUCKETS:
        return x, y
    edges = np.linspace(0, len(x), BUCKETS + 1).astype(int)
    kept = [0, len(x) - 1]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        stretch = y[start:stop]
        if np.isnan(stretch).all():
            kept.append(start)  # the gap stays a gap
        else:
            kept += [start + int(np.nanargmin(stretch)), start + int(np.nanargmax(stretch))]
    kept = np.unique(kept)
    return x[kept], y[kept]


def _plot(axes: Axes, x: np.ndarray, y: np.ndarray, dots: bool = False, **style) -> None:
    """A line, with dots for all points or else for those that have no neighbour to draw a line to."""
    x, y = _thin(x, y)
    known = np.concatenate([[False], ~np.isnan(y), [False]])
    alone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])
    marker = "." if dots or len(alone) else None
    axes.plot(x, y, marker=marker, markevery=None if dots else alone.tolist(), **style)


def _ending(runs: Sequence[Run], y_label: str) -> str:
    """How a group ends, in words."""
    finals = [float(y[-1]) for _, y in runs]
    finite = [final for final in finals if np.isfinite(final)]
    if not finite:
        return f"{y_label} ends at no finite value"
    but = f", but {len(finals) - len(finite)} of {len(finals)} at no finite value" if len(finite) < len(finals) else ""
    return f"{y_label} ends between {_number(min(finite))} and {_number(max(finite))}{but}"


def _odd_values(runs: Sequence[Run]) -> str:
    """What of a group is not finite, in words; empty if all is."""
    x, y = (np.concatenate([np.asarray(run[axis], dtype=float) for run in runs]) for axis in (0, 1))
    counts = {"NaN": np.isnan(y).sum(), "inf": np.isinf(y).sum(), "without a place along x": (~np.isfinite(x)).sum()}
    return ", ".join(f"{count:,} of {len(y):,} values {name}" for name, count in counts.items() if count)


def _number(value: float) -> str:
    return f"{value:.0f}" if 10 <= abs(value) < 1e12 else f"{value:.3g}"


def plain(words: object) -> str:
    """Words that matplotlib shows as they are: no mathematics between dollar signs, none hidden for an underscore."""
    shown = str(words).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def learning_curves(
    groups: Mapping[str, Sequence[Run]],
    *,
    threshold: float | None = None,
    x_label: str = "frames",
    y_label: str = "return",
) -> View:
    """Draw the learning curves of one or many seeds per group, with their spread and a line for "solved".

    What is not finite is left out of the curves, and of the median and band of all runs where it stands in one; it is
    counted under the figure and in its alternative text. A curve of many points is drawn by its lows and highs.

    Args:
        groups: for each name its runs, as in `summarise_runs`. One run is drawn as it is; several as thin lines,
            their median, and a band from the 10th to the 90th percentile as far as all runs reach.
        threshold: where "solved" begins, in the units of y.
        x_label: what x counts.
        y_label: what y measures.

    Raises:
        ValueError: no group, or a group that `summarise_runs` cannot read.
    """
    if not groups:
        raise ValueError("There is no curve to draw: give at least one group, {'DQN': [(frames, returns)]}.")
    curves = {name: _read_runs(runs, f"{name}: ") for name, runs in groups.items()}
    peak = max((np.nanmax(np.abs(y), initial=0) for runs in curves.values() for _, y in runs), default=0)
    unit = unit_for(peak)
    use_course_style()
    figure, axes = plt.subplots()
    findings, odd = [], []
    looks = cycle(product(LINES, PALETTE.values()))  # all colours first
    for (name, runs), arrays, (line, colour) in zip(groups.items(), curves.values(), looks, strict=False):
        look, arrays = {"color": colour, "linestyle": line}, [(x, y / unit) for x, y in arrays]
        if len(runs) == 1:
            _plot(axes, *arrays[0], dots=len(arrays[0][0]) < 1_000, label=plain(name), **look)
        else:
            summary = summarise_runs(arrays)
            for run in arrays:
                _plot(axes, *run, alpha=0.25, linewidth=0.8, **look)
            _plot(axes, summary["x"], summary["median"], linewidth=2, label=f"{plain(name)} (median)", **look)
            axes.fill_between(summary["x"], summary["low"], summary["high"], color=colour, alpha=0.2, linewidth=0)
            if len(summary["x"]) == 0:
                odd.append(f"{name}: its runs share no stretch of {x_label}, so there is no median")
        seeds = "one run" if len(runs) == 1 else f"{len(runs)} runs"
        findings.append(f"{name}, {seeds}: {_ending(runs, y_label)}")
        if words := _odd_values(runs):
            odd.append(f"{name}: {words}, left out")
    if len(groups) > len(LINES) * len(PALETTE):
        odd.append(f"{len(groups)} groups: after {len(LINES) * len(PALETTE)} the looks repeat")
    if threshold is not None:
        axes.axhline(threshold / unit, color="black", linestyle="--", linewidth=1, label=f"solved: {threshold:g}")
        findings.append(f"the line for solved is at {threshold:g}")
    axes.set(xlabel=x_label, ylabel=y_label if unit == 1 else f"{y_label}, in units of {unit:g}")
    figure.legend(loc="outside right upper", frameon=False, ncols=1 + (len(groups) - 1) // 14)
    if odd:
        figure.supxlabel(plain("; ".join(odd)), fontsize=8, wrap=True)
    alt = f"Learning curves, {y_label} over {x_label}. " + "; ".join([*findings, *odd]) + "."
    return show_figure(figure, alt)
