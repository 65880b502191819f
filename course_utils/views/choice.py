"""One of several, chosen from the keyboard as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import Widget

MOST = 16  # buttons that one looks through


def choice(options: Sequence, description: str, value=None) -> Widget:
    """Buttons to choose with; a slider where there are many. No list: JupyterLab takes its arrow keys for itself.

    Args:
        options: what there is to choose from, strings or (words, value).
        description: what is chosen.
        value: the one that is chosen at first; None for none, which only buttons can show.
    """
    import ipywidgets

    if len(options) > MOST:
        return ipywidgets.SelectionSlider(
            options=options,
            value=value,
            description=description,
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"width": "500px"},
        )
    fitting = {"description_width": "initial", "button_width": "initial"}
    return ipywidgets.ToggleButtons(
        options=options, value=value, description=description, style=fitting, layout={"width": "auto"}
    )
