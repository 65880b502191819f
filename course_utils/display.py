"""The small leaf every view shares: something to look at, with a plain-text twin."""

from __future__ import annotations

import base64
from html import escape


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


def image_tag(data: bytes, mimetype: str, alt: str, width: int | None = None) -> str:
    """An `<img>` that carries its picture and its alternative text with it."""
    source = f"data:{mimetype};base64,{base64.b64encode(data).decode()}"
    size = f' width="{width}"' if width else ""
    return f'<img src="{source}" alt="{escape(alt)}"{size} style="max-width:100%;height:auto">'
