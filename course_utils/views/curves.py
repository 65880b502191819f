"""Curves as a small SVG: for pictures that are drawn again many times a second, which matplotlib is too slow for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from course_utils.views.long_curve import LongCurve, drawable
from course_utils.views.plotting import PALETTE

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 28, 30, 40
MAX_POINTS = 400


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that cover [low, high]; the steps are 1, 2 or 5 times a power of ten."""
    # Below the last digits of a float there is nothing to tell apart: a constant gets room around it.
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        high = low + (abs(low) or 1.0)
    span = max(high / count - low / count, 1e-300)  # of the largest floats, the difference is infinite
    power = math.floor(math.log10(span))
    factor = next(factor for factor in (1, 2, 5, 10) if span / 10.0**power <= factor * (1 + 1e-9))
    first, last = (place(edge / 10.0**power / factor) for place, edge in ((math.floor, low), (math.ceil, high)))
    # Digits written out: 3 * 0.1 would be 0.30000000000000004.
    return [float(f"{factor * number}e{power}") for number in range(first, last + 1)]


def bad_points(curve: Sequence[tuple[float, float]]) -> str:
    """How many points of a curve cannot be drawn, in words; empty where all can."""
    bad = curve.bad if isinstance(curve, LongCurve) else sum(not drawable(point) for point in curve)
    return f"{bad:,} of {_count(curve):,} not finite" if bad else ""


def _count(curve: Sequence[tuple[float, float]]) -> int:
    return curve.count if isinstance(curve, LongCurve) else len(curve)


def left_out(series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """In words, what is not drawn of the curves; empty where every point is."""
    longest = max(map(_count, series.values()), default=0)
    return f"drawn: lowest and highest of {MAX_POINTS // 2} stretches" if longest > MAX_POINTS else ""


def _runs(curve: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """What is drawn of a curve, at most `MAX_POINTS` points: unbroken runs, with gaps where points cannot be drawn.

    Of each stretch its lowest and its highest point stay, so that a long curve keeps its peaks.
    """
    size = math.ceil(2 * len(curve) / MAX_POINTS) if len(curve) > MAX_POINTS else 1
    runs: list[list[tuple[float, float]]] = [[]]
    points = list(curve)
    for start in range(0, len(curve), size):
        stretch = points[start : start + size]
        finite = [point for point in stretch if drawable(point)]
        if finite:
            ends = {min(finite, key=lambda point: point[1]), max(finite, key=lambda point: point[1])}
            runs[-1] += sorted(ends)
        if len(finite) < len(stretch):
            runs.append([])
    if len(curve) and drawable(curve[-1]):
        runs[-1].append(curve[-1])
    return [run for run in runs if run]


def _legend(names: Sequence[str], width: float) -> list[tuple[float, int]]:
    """Where each name goes: (x, row), rows filled one after the other."""
    places, x, row = [], float(LEFT), 0
    for name in names:
        if x > LEFT and x + 14 + 7 * len(name) > width:
            x, row = float(LEFT), row + 1
        places.append((x, row))
        x += 30 + 7 * len(name)
    return places


def curves_svg(
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str,
    y_label: str,
    *,
    threshold: float | None = None,
    cursor: float | None = None,
) -> str:
    """Draw curves as an SVG document on white, 640 pixels wide and 260 high, or more where the names need more rows.

    NaN and infinite points leave a gap, and are counted beside the curve's name; what is left out of a long curve is
    said at the bottom.

    Args:
        series: for each name its points (x, y), x increasing; at most `MAX_POINTS` of each are drawn.
        x_label: what x counts.
        y_label: what y measures.
        threshold: a dashed line at this y, labelled "solved" above the frame.
        cursor: a vertical line at this x.
    """
    drawn = {name: _runs(curve) for name, curve in series.items()}
    points = [point for runs in drawn.values() for run in runs for point in run]
    xs, ys = [x for x, _ in points] or [0.0, 1.0], [y for _, y in points] or [0.0, 1.0]
    # Where a curve cannot be drawn, its x is still there.
    xs += [x for curve in series.values() for x, _ in (*curve[:1], *curve[-1:]) if drawable((x, 0.0))]
    if threshold is not None and math.isfinite(threshold):
        ys = [*ys, threshold]
    x_ticks, y_ticks = nice_ticks(min(0, *xs), max(xs)), nice_ticks(min(0, *ys), max(ys))
    labels = [f"{name} ({bad})" if (bad := bad_points(curve)) else name for name, curve in series.items()]
    legend = _legend(labels, WIDTH - RIGHT - (170 if threshold is not None else 0))
    extra = 18 * max((row for _, row in legend), default=0)
    top, total = TOP + extra, HEIGHT + extra

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), total - BOTTOM - up * (total - top - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" width="{WIDTH}" height="{total}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for tick in y_ticks:
        x, y = place(x_ticks[0], tick)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x, y = place(tick, y_ticks[0])
        parts.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{tick:,.6g}</text>')
    if threshold is not None and math.isfinite(threshold):
        x, y = place(x_ticks[0], threshold)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="black" stroke-dasharray="6 4"/>')
        # In the margin: above the line it would hide the curves that have just arrived there.
        parts.append(f'<text x="{WIDTH - RIGHT}" y="18" text-anchor="end">solved (dashed): {threshold:g}</text>')
    colours = list(PALETTE.values())
    for number, (runs, label, (x, row)) in enumerate(zip(drawn.values(), labels, legend, strict=True)):
        # Colours begin anew, with dots, where there are more curves than colours.
        colour, dots = colours[number % len(colours)], ' stroke-dasharray="2 3"' * (number >= len(colours))
        for run in runs:
            path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in run)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dots}/>')
            if len(set(run)) == 1:  # a line of one point would not be seen
                at = place(*run[0])
                parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="3" fill="{colour}"/>')
        parts.append(f'<path d="M{x:.0f} {14 + 18 * row}h10" stroke="{colour}" stroke-width="4"{dots}/>')
        parts.append(f'<text x="{x + 14:.0f}" y="{18 + 18 * row}">{escape(label)}</text>')
    if cursor is not None:
        x, _ = place(cursor, y_ticks[0])
        parts.append(f'<path d="M{x:.1f} {top}V{total - BOTTOM}" stroke="black" stroke-width="1.5"/>')
    if words := left_out(series):
        parts.append(f'<text x="{WIDTH - 4}" y="{total - 6}" text-anchor="end" font-size="10">{words}</text>')
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{total - 6}" text-anchor="middle">{escape(x_label)}</text>')
    height = top + (total - top - BOTTOM) / 2
    parts.append(
        f'<text transform="translate(14 {height:.0f}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    return "".join([*parts, "</svg>"])
