"""A figure whose numbers can be turned by hand."""

from __future__ import annotations

import base64
import inspect
import io
import re
from collections.abc import Callable
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from course_utils.views.display import View, WidgetView

if TYPE_CHECKING:
    from ipywidgets import Widget


POSITIONS = 5  # of each slider, drawn ahead for where no kernel runs
COLOURS = 64  # of a picture drawn ahead


class Sliders(WidgetView):
    """A figure with its sliders; see `sliders`."""

    def __init__(self, draw: Callable[..., View], ranges: dict[str, tuple], start: dict, figure: View) -> None:
        self._draw, self._ranges, self._start, self._figure = draw, ranges, start, figure
        settings = ", ".join(f"{name} = {value:g}" for name, value in start.items())
        self._drawn_with = f"Drawn with {settings}."
        self._make_widget, self._owned = lambda: _widget(draw, ranges, start, figure), []
        self.text = f"{figure.text} {self._drawn_with}"

    @cached_property
    def html(self) -> str:
        """The figure, and below a fold for each number other positions of it; drawn when it is first shown."""
        folds = "".join(map(self._positions, self._ranges))
        return f"{self._figure.html}<p>{escape(self._drawn_with)}</p>{folds}"

    def _positions(self, name: str) -> str:
        figures = []
        for value in positions(self._start[name], *self._ranges[name]):
            html = _drawn(self._draw, {**self._start, name: value})
            caption = f"<figcaption>{escape(name)} = {value:g}</figcaption>"
            figures.append(f'<figure style="margin:0">{caption}{fewer_colours(html)}</figure>')
        return (
            f'<details class="course-positions"><summary>{escape(name)} from {self._ranges[name][0]:g} to '
            f"{self._ranges[name][1]:g}</summary>{''.join(figures)}</details>"
        )


def positions(start: float, low: float, high: float, step: float | None = None) -> list[float]:
    """At most `POSITIONS` places of a slider, from one end to the other, each one that the slider can stand at."""
    step = _step(start, low, high, step)
    places = int((high - low) / step + 1e-9)
    numbers = sorted({round(places * share / (POSITIONS - 1)) for share in range(POSITIONS)})
    whole = _whole(start, low, high, step)
    return [int(low + step * number) if whole else round(low + step * number, 12) for number in numbers]


def _whole(*numbers: float) -> bool:
    return all(isinstance(number, int) for number in numbers)


def _step(start: float, low: float, high: float, step: float | None) -> float:
    return step or (1 if _whole(start, low, high) else (high - low) / 100)


def fewer_colours(html: str) -> str:
    """HTML whose PNG pictures have few colours: figures are drawn with few, and there are many of them."""
    from PIL import Image

    def fewer(found: re.Match) -> str:
        buffer = io.BytesIO()
        picture = Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")
        picture.quantize(COLOURS).save(buffer, format="PNG", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"

    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=]+)", fewer, html)


def _drawn(draw: Callable[..., View], values: dict) -> str:
    """The figure at other values; where drawing fails, why: the learner should read it."""
    try:
        return draw(**values).html
    except Exception as error:
        return f"<p><b>{escape(type(error).__name__)}</b> at {escape(str(values))}: {escape(str(error))}</p>"


def sliders(draw: Callable[..., View], **ranges: tuple) -> WidgetView:
    """Put a slider under a figure for each parameter of the function that draws it.

    Without a kernel the figure stands there as its defaults draw it, with a few positions of each slider below a fold.

    Args:
        draw: returns what `show_figure` returns; each parameter has a default, at which its slider starts.
        ranges: for each parameter (lowest, highest) or (lowest, highest, step). Whole numbers make a slider of whole
            numbers; the step is then 1, else a hundredth of the range.

    Raises:
        TypeError: `draw` has no such parameter, a parameter has no default, or it does not return a view.
        ValueError: a default lies outside its range, or the range is empty.
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(draw).parameters.items()}
    for name, limits in ranges.items():
        if defaults.get(name, inspect.Parameter.empty) is inspect.Parameter.empty:
            raise TypeError(f"{draw.__name__} needs a parameter {name} with a default: def {draw.__name__}({name}=...)")
        if not limits[0] <= defaults[name] <= limits[1]:
            raise ValueError(f"{name}={defaults[name]} lies outside its slider, {limits[0]} to {limits[1]}.")
        if limits[0] == limits[1]:
            raise ValueError(f"The slider of {name} has one place, {limits[0]}: give it a higher end.")
    start = {name: defaults[name] for name in ranges}
    figure = draw(**start)
    if not isinstance(figure, View):
        raise TypeError(
            f"{draw.__name__} returned {type(figure).__name__}; end it with: return show_figure(figure, alt)"
        )
    return Sliders(draw, ranges, start, figure)


def _widget(draw: Callable[..., View], ranges: dict[str, tuple], start: dict, figure: View) -> Widget:
    import ipywidgets as widgets

    screen = widgets.HTML(figure.html)
    knobs = {name: _slider(widgets, name, start[name], *limits) for name, limits in ranges.items()}

    def redraw(_change) -> None:
        screen.value = _drawn(draw, {name: knob.value for name, knob in knobs.items()})

    for knob in knobs.values():
        knob.observe(redraw, "value")
    return widgets.VBox([*knobs.values(), screen])


def _slider(widgets, name: str, value: float, low: float, high: float, step: float | None = None) -> Widget:
    whole = _whole(value, low, high, step or 1)
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    return kind(
        value=value,
        min=low,
        max=high,
        step=_step(value, low, high, step),
        description=name,
        style={"description_width": "initial"},
        layout={"width": "420px"},
        readout_format="d" if whole else ".3g",
    )
