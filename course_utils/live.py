"""Curves that grow while a loop runs, cheap enough not to slow the loop they show."""

from __future__ import annotations

import math
import sys
import time
from html import escape

from course_utils.display import View, image_tag
from course_utils.plotting import PALETTE

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


class LivePlot:
    """One growing figure, redrawn at most ten times a second; the same picture stays when the loop is over.

    Use it as a context manager around a loop and feed it with `add`. It draws a small SVG itself, because drawing
    with matplotlib takes longer than many training steps.

    Args:
        x_label: what x counts.
        y_label: what y measures.
        threshold: draws a dashed line here, labelled "solved".
        total: the x at which the loop ends at the latest; with it the status line tells how far the loop is.
    """

    def __init__(
        self, x_label: str = "frames", y_label: str = "return", threshold: float | None = None, total: int | None = None
    ) -> None:
        self.x_label, self.y_label, self.threshold, self.total = x_label, y_label, threshold, total
        self.series: dict[str, list[tuple[float, float]]] = {}
        self.seconds_drawing = 0.0
        self._started = time.perf_counter()
        self._last_draw = 0.0
        self._handle = None

    def __enter__(self) -> LivePlot:
        return self

    def __exit__(self, *error) -> None:
        self._draw()

    def add(self, x: float, **values: float) -> None:
        """Append one point to each named curve and redraw if a tenth of a second has passed.

        Raises:
            ValueError: a value is not a finite number.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value} at {self.x_label} {x}: a curve needs finite numbers.")
            self.series.setdefault(name, []).append((float(x), float(value)))
        if time.perf_counter() - self._last_draw >= 0.1:
            self._draw()

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """One curve as (x values, y values), the form `learning_curves` takes."""
        points = self.series[name]
        return [x for x, _ in points], [y for _, y in points]

    def _draw(self) -> None:
        if "IPython" not in sys.modules:
            return  # a plain script has nowhere to draw
        from IPython.display import display

        before = time.perf_counter()
        if self._handle is None:
            self._handle = display(self.view(), display_id=True)
        else:
            self._handle.update(self.view())
        self._last_draw = time.perf_counter()
        self.seconds_drawing += self._last_draw - before

    def status(self) -> str:
        """How far the loop is, in words."""
        x = max((points[-1][0] for points in self.series.values()), default=0)
        rate = x / max(time.perf_counter() - self._started, 1e-9)
        end = f" of at most {self.total:,}" if self.total else ""
        return f"{x:,.0f}{end} {self.x_label}, {rate:,.0f} a second"

    def view(self) -> View:
        """The figure as it stands."""
        latest = "; ".join(f"{name} {points[-1][1]:.4g}" for name, points in self.series.items())
        alt = f"{self.y_label} over {self.x_label}: {latest or 'no points yet'}."
        svg = self.svg()
        return View(
            f'<figure style="margin:0">{image_tag(svg.encode(), "image/svg+xml", alt, WIDTH)}'
            f"<figcaption>{escape(self.status())}</figcaption></figure>",
            f"Figure: {alt} {self.status()}",
        )

    def svg(self) -> str:
        """The figure as an SVG document."""
        points = [point for curve in self.series.values() for point in curve]
        xs, ys = [x for x, _ in points] or [0.0, 1.0], [y for _, y in points] or [0.0, 1.0]
        if self.threshold is not None:
            ys = [*ys, self.threshold]
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
        if self.threshold is not None:
            x, y = place(x_ticks[0], self.threshold)
            parts.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - RIGHT}" stroke="black" stroke-dasharray="6 4"/>')
            parts.append(
                f'<text x="{WIDTH - RIGHT}" y="{y - 4:.1f}" text-anchor="end">solved: {self.threshold:g}</text>'
            )
        legend = LEFT
        for (name, curve), colour in zip(self.series.items(), PALETTE.values(), strict=False):
            shown = curve[:: math.ceil(len(curve) / MAX_POINTS)] + [curve[-1]]
            path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in shown)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<circle cx="{legend + 5}" cy="14" r="5" fill="{colour}"/>')
            parts.append(f'<text x="{legend + 14}" y="18">{escape(name)}</text>')
            legend += 30 + 7 * len(name)
        middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
        parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(self.x_label)}</text>')
        height = TOP + (HEIGHT - TOP - BOTTOM) / 2
        parts.append(
            f'<text transform="translate(14 {height:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text>"
        )
        return "".join([*parts, "</svg>"])
