"""Curves as a small SVG: for pictures that are drawn again many times a second, which matplotlib is too slow for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from course_utils.views.plotting import PALETTE

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 28, 30, 40
MAX_POINTS = 400


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that cover [low, high]; the steps are 1, 2 or 5 times a power of ten."""
    high = high if high > low else low + 1.0
    span = high - low
    step = 10.0 ** math.floor(math.log10(span / count))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= count)
    first = math.floor(low / step)
    return [round(step * i, 10) for i in range(first, math.ceil(high / step) + 1)]


def curves_svg(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str,
    y_label: str,
    *,
    threshold: float | None = None,
    cursor: float | None = None,
) -> str:
    """Draw curves as an SVG document of 640 x 260 pixels on white.

    Args:
        series: for each name its points (x, y), x increasing; at most `MAX_POINTS` of each are drawn.
        x_label: what x counts.
        y_label: what y measures.
        threshold: a dashed line at this y, labelled "solved" above the frame.
        cursor: a vertical line at this x.
    """
    points = [point for curve in series.values() for point in curve]
    xs, ys = [x for x, _ in points] or [0.0, 1.0], [y for _, y in points] or [0.0, 1.0]
    if threshold is not None:
        ys = [*ys, threshold]
    x_ticks, y_ticks = nice_ticks(min(0, *xs), max(xs)), nice_ticks(min(0, *ys), max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for tick in y_ticks:
        x, y = place(x_ticks[0], tick)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x, y = place(tick, y_ticks[0])
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{tick:,.6g}</text>')
    if threshold is not None:
        x, y = place(x_ticks[0], threshold)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="black" stroke-dasharray="6 4"/>')
        # In the margin: above the line it would hide the curves that have just arrived there.
        parts.append(f'<text x="{WIDTH - RIGHT}" y="18" text-anchor="end">solved (dashed): {threshold:g}</text>')
    legend = LEFT
    for (name, curve), colour in zip(series.items(), PALETTE.values(), strict=False):
        shown = [*curve[:: math.ceil(len(curve) / MAX_POINTS)], curve[-1]]
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in shown)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<circle cx="{legend + 5}" cy="14" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{legend + 14}" y="18">{escape(name)}</text>')
        legend += 30 + 7 * len(name)
    if cursor is not None:
        x, _ = place(cursor, y_ticks[0])
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="black" stroke-width="1.5"/>')
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    height = TOP + (HEIGHT - TOP - BOTTOM) / 2
    parts.append(
        f'<text transform="translate(14 {height:.0f}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    return "".join([*parts, "</svg>"])
