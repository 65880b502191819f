"""Curves that grow while a loop runs, cheap enough not to slow the loop they show."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import TYPE_CHECKING

from tqdm import tqdm

from course_utils.views.curves import WIDTH, bad_points, curves_svg, left_out
from course_utils.views.display import View, image_tag
from course_utils.views.long_curve import LongCurve

if TYPE_CHECKING:
    from ipywidgets import HTML

REDRAW_SECONDS = 0.1
SHARE_OF_THE_LOOP = 0.02  # a drawing that took 1 ms is followed by 49 ms without one


def three_digits(number: float) -> str:
    """A measured number without digits that the next measurement would change."""
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


class LivePlot:
    """One growing figure, redrawn at most ten times a second, and so seldom that it costs a loop about 2 % at most.

    Use it as a context manager around a loop and feed it with `add`; the same picture stays when the loop is over. A
    loop may add any number of points: what is left out of a long curve is said in the picture. It draws a small SVG
    itself, because drawing with matplotlib takes longer than many training steps.

    Args:
        x_label: what x counts.
        y_label: what y measures.
        threshold: draws a dashed line here; "solved" stands above the frame.
        total: the x at which the loop ends at the latest; with it the status line tells how far the loop is.
        draw_in: an `ipywidgets.HTML` to draw in; the output of the running cell if there is none.
    """

    def __init__(
        self,
        x_label: str = "frames",
        y_label: str = "return",
        threshold: float | None = None,
        total: int | None = None,
        draw_in: HTML | None = None,
    ) -> None:
        self.x_label, self.y_label, self.threshold, self.total = x_label, y_label, threshold, total
        self.series: dict[str, LongCurve] = {}
        self.seconds_drawing = 0.0
        self.drawings = 0
        self._started = time.perf_counter()
        self._next_draw = 0.0
        self._draw_in, self._handle = draw_in, None

    def __enter__(self) -> LivePlot:
        return self

    def __exit__(self, *error) -> None:
        self._draw()

    def add(self, x: float, **values: float) -> None:
        """Append one point to each named curve, and redraw if it is time.

        NaN and infinite values leave a gap in the curve, and are counted: a loop does not end because of its picture.
        """
        for name, value in values.items():
            if name not in self.series:
                self.series[name] = LongCurve()
            self.series[name].append((float(x), float(value)))
        if time.perf_counter() >= self._next_draw:
            self._draw()

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """One curve as (x values, y values), the form `learning_curves` takes; of more than 50,000 points what stands
        out (`LongCurve`).
        """
        points = self.series[name]
        return [x for x, _ in points], [y for _, y in points]

    def _draw(self) -> None:
        if "IPython" not in sys.modules:
            return  # a plain script has nowhere to draw
        before = time.perf_counter()
        if self._draw_in is not None:
            self._draw_in.value = self.view().html
        elif self._handle is None:
            from IPython.display import display

            self._handle = display(self.view(), display_id=True)
        else:
            self._handle.update(self.view())
        now = time.perf_counter()
        self.drawings += 1
        self.seconds_drawing += now - before
        self._next_draw = now + max(REDRAW_SECONDS, (now - before) / SHARE_OF_THE_LOOP)

    def status(self) -> str:
        """How far the loop is, how fast, and how long it may still take, in tqdm's words."""
        x = max((points[-1][0] for points in self.series.values()), default=0)
        elapsed = time.perf_counter() - self._started
        total = None if self.total is None or x > self.total else self.total  # beyond it, it tells nothing any more
        meter = "{n:,.0f}{unit} in {elapsed}{postfix}"
        if total is not None:
            meter = "{n:,.0f} of at most {total:,}{unit} in {elapsed}{postfix}, at most {remaining} left"
        pace = f"{three_digits(x / elapsed) if x and elapsed else '?'} {self.x_label}/s"
        return tqdm.format_meter(x, total, elapsed, unit=f" {self.x_label}", bar_format=meter, postfix=pace)

    def view(self) -> View:
        """The figure as it stands."""
        latest = "; ".join(
            f"{name} {points[-1][1]:.4g}" + (f" ({bad})" if (bad := bad_points(points)) else "")
            for name, points in self.series.items()
        )
        drawn = f" {words.capitalize()}." if (words := left_out(self.series)) else ""
        alt = f"{self.y_label} over {self.x_label}: {latest or 'no points yet'}.{drawn}"
        svg = curves_svg(self.series, self.x_label, self.y_label, threshold=self.threshold)
        return View(
            f'<figure style="margin:0">{image_tag(svg.encode(), "image/svg+xml", alt, WIDTH, drawing=True)}'
            f"<figcaption>{escape(self.status())}</figcaption></figure>",
            f"Figure: {alt} {self.status()}",
        )
