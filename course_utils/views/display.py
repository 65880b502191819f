"""The small leaf every view shares: something to look at, with a plain-text twin."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import Widget


class View:
    """HTML for notebooks and the same content as text for everywhere else.

    Args:
        html: what JupyterLab, Colab and the static page show.
        text: what a terminal, a screen reader's text mode or a log shows.
    """

    def __init__(self, html: str, text: str) -> None:
        self.html = html
        self.text = text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


class WidgetView(View):
    """A view that can be played with where a kernel runs, and is a picture everywhere else.

    A saved page holds `html`; JupyterLab and Colab prefer the widget as long as its kernel lives.

    Args:
        make_widget: builds the ipywidgets widget; called at the first display: a script never imports ipywidgets.
        html: the static form, for code hosts, the built site and a notebook that was not run yet.
        text: as in `View`.
    """

    def __init__(self, make_widget: Callable[[], Widget], html: str, text: str) -> None:
        super().__init__(html, text)
        self._make_widget = make_widget

    @cached_property
    def widget(self) -> Widget:
        """The widget; the same one at every display, so that two outputs of it move together."""
        return self._make_widget()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        live = {} if "IPython" not in sys.modules else self.widget._repr_mimebundle_()
        return {**live, **super()._repr_mimebundle_()}


def image_tag(data: bytes, mimetype: str, alt: str, width: int | None = None) -> str:
    """An `<img>` that carries its picture and its alternative text with it."""
    source = f"data:{mimetype};base64,{base64.b64encode(data).decode()}"
    size = f' width="{width}"' if width else ""
    return f'<img src="{source}" alt="{escape(alt)}"{size} style="max-width:100%;height:auto">'
