"""A figure whose numbers can be turned by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from course_utils.views.display import View, WidgetView

if TYPE_CHECKING:
    from ipywidgets import Widget


def sliders(draw: Callable[..., View], **ranges: tuple) -> WidgetView:
    """Put a slider under a figure for each parameter of the function that draws it.

    Without a kernel the figure stands there as its defaults draw it.

    Args:
        draw: returns what `show_figure` returns; each parameter has a default, at which its slider starts.
        ranges: for each parameter (lowest, highest) or (lowest, highest, step). Whole numbers make a slider of whole
            numbers; the step is then 1, else a hundredth of the range.

    Raises:
        TypeError: `draw` has no such parameter, a parameter has no default, or it does not return a view.
        ValueError: a default lies outside its range.
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(draw).parameters.items()}
    for name, limits in ranges.items():
        if defaults.get(name, inspect.Parameter.empty) is inspect.Parameter.empty:
            raise TypeError(f"{draw.__name__} needs a parameter {name} with a default: def {draw.__name__}({name}=...)")
        if not limits[0] <= defaults[name] <= limits[1]:
            raise ValueError(f"{name}={defaults[name]} lies outside its slider, {limits[0]} to {limits[1]}.")
    start = {name: defaults[name] for name in ranges}
    figure = draw(**start)
    if not isinstance(figure, View):
        raise TypeError(
            f"{draw.__name__} returned {type(figure).__name__}; end it with: return show_figure(figure, alt)"
        )
    settings = ", ".join(f"{name} = {value:g}" for name, value in start.items())
    html = f"{figure.html}<p>Drawn with {escape(settings)}. Run this cell to turn them.</p>"
    return WidgetView(lambda: _widget(draw, ranges, start, figure), html, f"{figure.text} Drawn with {settings}.")


def _widget(draw: Callable[..., View], ranges: dict[str, tuple], start: dict, figure: View) -> Widget:
    import ipywidgets as widgets

    screen = widgets.HTML(figure.html)
    knobs = {name: _slider(widgets, name, start[name], *limits) for name, limits in ranges.items()}

    def redraw(_change) -> None:
        values = {name: knob.value for name, knob in knobs.items()}
        try:
            screen.value = draw(**values).html
        except Exception as error:  # in a callback it would vanish; the learner should read it
            screen.value = (
                f"<p><b>{escape(type(error).__name__)}</b> at {escape(str(values))}: {escape(str(error))}</p>"
            )

    for knob in knobs.values():
        knob.observe(redraw, "value")
    return widgets.VBox([*knobs.values(), screen])


def _slider(widgets, name: str, value: float, low: float, high: float, step: float | None = None) -> Widget:
    whole = all(isinstance(number, int) for number in (value, low, high, step or 1))
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    return kind(
        value=value,
        min=low,
        max=high,
        step=step or (1 if whole else (high - low) / 100),
        description=name,
        style={"description_width": "initial"},
        layout={"width": "420px"},
        readout_format="d" if whole else ".3g",
    )
