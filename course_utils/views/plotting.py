"""One look for every figure: colours that colour-blind readers can tell apart, alternative text always."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

from course_utils.views.display import View, image_tag
from course_utils.views.palette import PALETTE


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
    """Turn a figure into an image that carries its alternative text.

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
    plt.close(figure)
    return View(image_tag(buffer.getvalue(), "image/png", alt, width), f"Figure: {alt}")


def summarise_runs(runs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> dict[str, np.ndarray]:
    """Bring runs of unequal length onto one axis and take their median and 10th to 90th percentile.

    Args:
        runs: for each seed a pair (x, y) of equally long sequences, x increasing.

    Returns:
        `x`, `median`, `low`, `high`, equally long: at each x at which one of the runs was measured, as far as all
        runs reach. Beyond the end of the first one the median would be one of the survivors only.

    Raises:
        ValueError: no run, an empty run, or x and y of unequal length.
    """
    if not runs:
        raise ValueError("There is no run to draw: give at least one pair (x, y).")
    for number, (x, y) in enumerate(runs):
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"Run {number} has {len(x)} x values and {len(y)} y values; it needs equally many, not 0.")
    measured = np.unique(np.concatenate([np.asarray(x, dtype=float) for x, _ in runs]))
    axis = measured[(measured >= max(x[0] for x, _ in runs)) & (measured <= min(x[-1] for x, _ in runs))]
    values = np.stack([np.interp(axis, x, y) for x, y in runs])
    low, median, high = np.percentile(values, [10, 50, 90], axis=0)
    return {"x": axis, "median": median, "low": low, "high": high}


def learning_curves(
    groups: Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]],
    *,
    threshold: float | None = None,
    x_label: str = "frames",
    y_label: str = "return",
) -> View:
    """Draw the learning curves of one or many seeds per group, with their spread and a line for "solved".

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
    use_course_style()
    figure, axes = plt.subplots()
    findings = []
    for (name, runs), colour in zip(groups.items(), PALETTE.values(), strict=False):
        summary = summarise_runs(runs)
        finals = [y[-1] for _, y in runs]
        if len(runs) == 1:
            axes.plot(*runs[0], color=colour, label=name, marker=".")
        else:
            for x, y in runs:
                axes.plot(x, y, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(summary["x"], summary["median"], color=colour, linewidth=2, label=f"{name} (median)")
            axes.fill_between(summary["x"], summary["low"], summary["high"], color=colour, alpha=0.2, linewidth=0)
        seeds = "one run" if len(runs) == 1 else f"{len(runs)} runs"
        findings.append(f"{name}, {seeds}: {y_label} ends between {min(finals):.0f} and {max(finals):.0f}")
    if threshold is not None:
        axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"solved: {threshold:g}")
        findings.append(f"the line for solved is at {threshold:g}")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.legend(frameon=False)
    return show_figure(figure, f"Learning curves, {y_label} over {x_label}. " + "; ".join(findings) + ".")
