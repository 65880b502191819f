"""The small leaf every view shares: something to look at, with a plain-text twin."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import Widget


DRAWING = "course-drawing"
_DARK = (
    ":is([data-jp-theme-light=false],.vscode-dark,html[theme=dark],html[data-theme=dark])"  # Jupyter, ..., Colab, site
)
# In the dark a drawing's white ground goes and its black is white, while each colour keeps its hue; `screen` lets the
# page show through what has become black. `!important`, because the site's theme has rules of its own for pictures.
FOLLOWS_THEME = (
    f"<style>{_DARK} .{DRAWING}{{filter:invert(1) hue-rotate(180deg) brightness(1.2)!important;"
    "mix-blend-mode:screen;background:none!important}</style>"
)


class View:
    """HTML for notebooks and the same content as text for everywhere else.

    Args:
        html: what JupyterLab, Colab and the static page show.
        text: what a terminal, a screen reader's text mode or a log shows.
    """

    def __init__(self, html: str, text: str) -> None:
        self.html = FOLLOWS_THEME + html if DRAWING in html and FOLLOWS_THEME not in html else html
        self.text = text

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return printable(self.text)


# What stands in for a sign where standard output has no letter for it.
STAND_INS = str.maketrans(
    {"✔": "+", "✘": "x", "▲": "!", "⚠": "!", "✎": "~", "○": "o", "·": "-", "→": "->", "–": "-", "—": "-", "…": "..."}
    | {"├": "|", "└": "`", "│": "|", "─": "-", "×": "x", "≥": ">=", "≤": "<=", "±": "+-"}
)


def printable(text: str) -> str:
    """The text as standard output can print it: an old terminal has no letter for every sign, and would raise."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return text.translate(STAND_INS).encode(encoding, "replace").decode(encoding)


WIDGET = "application/vnd.jupyter.widget-view+json"
STILL = "course-still"
# JupyterLab draws one output below the other. A still gives way to the widget below it; a widget whose kernel is gone
# is a line of error, which gives way to the still. A box is what every one of our widgets is.
_OUTPUT = ".jp-OutputArea-child"
ONE_OF_THEM = (
    f"<style>{_OUTPUT}:has(.{STILL}):has(+ {_OUTPUT} .widget-box),"
    f"{_OUTPUT}:has(.{STILL}) + {_OUTPUT}:has(> .jupyter-widgets):not(:has(.widget-box))"
    "{display:none}</style>"
)


class WidgetView(View):
    """A view that can be played with where a kernel runs, and stays as a picture where none does.

    Displayed, it is two outputs: the static form, and the widget. JupyterLab shows the widget as long as it is alive
    and else the static form: a notebook that was saved and is opened the next day still has its picture. Elsewhere
    the static form comes first. When a cell runs again, the widgets that its last run showed are closed, for
    ipywidgets would keep them, and all that they hold, for ever
    (https://ipywidgets.readthedocs.io/en/stable/examples/Widget%20Basics.html#closing-widgets).

    Args:
        make_widget: builds the ipywidgets widget, a box; called at the first display: a script never imports
            ipywidgets.
        html: the static form, for code hosts, the built site and a notebook without a kernel.
        text: as in `View`.
    """

    def __init__(self, make_widget: Callable[[], Widget], html: str, text: str) -> None:
        super().__init__(html, text)
        self._make_widget = make_widget
        self._owned: list[Widget] = []

    @cached_property
    def widget(self) -> Widget:
        """The widget; the same one at every display, so that two outputs of it move together."""
        from ipywidgets import Widget

        before = Widget._widget_construction_callback
        Widget.on_widget_constructed(self._owned.append)
        try:
            return self._make_widget()
        finally:
            Widget.on_widget_constructed(before)

    def close(self) -> None:
        """Take the widget off the page and out of memory; displayed again, the view makes a new one."""
        self.__dict__.pop("widget", None)
        while self._owned:
            self._owned.pop().close()

    def _ipython_display_(self) -> None:
        from IPython import get_ipython
        from IPython.display import publish_display_data

        shell = get_ipython()
        if not hasattr(shell, "kernel"):  # a terminal
            publish_display_data(super()._repr_mimebundle_())
            return
        still = f'{ONE_OF_THEM}<div class="{STILL}">{self.html}</div>'
        publish_display_data({"text/html": still, "text/plain": self.text})
        for replaced in _on_stage.show(self, *_cell_and_run(shell)):
            replaced.close()
            _take_from_history(replaced, shell)
        live = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        publish_display_data({WIDGET: live, "text/plain": ""})


class _Stage:
    """Which views each cell shows, so that those of its last run can be closed."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, list[WidgetView]]] = {}

    def show(self, view: WidgetView, cell: str, run: str) -> list[WidgetView]:
        """Note that a run of a cell shows a view; returns what it replaces: the views only its last run showed."""
        last, views = self._shown.get(cell, (run, []))
        self._shown[cell] = (run, [*views, view] if last == run else [view])
        if last == run:
            return []
        still_shown = {id(one) for _, shown in self._shown.values() for one in shown}
        return [one for one in views if id(one) not in still_shown]


_on_stage = _Stage()


def _cell_and_run(shell) -> tuple[str, str]:
    """What tells a cell from the others, and its run from the others; where cells have no name, their code does."""
    parent = shell.get_parent()
    name = parent.get("metadata", {}).get("cellId") or parent.get("content", {}).get("code", "")
    return name, parent.get("header", {}).get("msg_id", "")


def _take_from_history(view: WidgetView, shell) -> None:
    """Let IPython forget a view that a cell returned: `Out[3]`, `_3`, `_` would keep it, whatever it holds, for ever.

    A variable of the learner's own keeps it alive, and it can be shown again.
    """
    history = shell.user_ns.get("_oh", {})
    for number in [number for number, value in history.items() if value is view]:
        del history[number]
    for names in (shell.user_ns, shell.user_ns_hidden):
        for name in [name for name, value in names.items() if value is view and re.fullmatch(r"_+|_\d+", name)]:
            del names[name]
    for name in ("_", "__", "___"):
        if getattr(shell.displayhook, name, None) is view:
            setattr(shell.displayhook, name, "")


def image_tag(data: bytes, mimetype: str, alt: str, width: int | None = None, drawing: bool = False) -> str:
    """An `<img>` that carries its picture and its alternative text with it.

    Args:
        data: the file.
        mimetype: its kind.
        alt: what there is to see, in words.
        width: in pixels of the page, where it has the room.
        drawing: black and coloured lines on white, which may turn to white and coloured lines where the page is dark.
            A picture keeps its colours, on a white card.
    """
    source = f"data:{mimetype};base64,{base64.b64encode(data).decode()}"
    size = f' width="{width}"' if width else ""
    kind = f' class="{DRAWING}"' if drawing else ""
    return f'<img{kind} src="{source}" alt="{escape(alt)}"{size} style="max-width:100%;height:auto">'
