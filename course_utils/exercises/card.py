"""The card that `check` shows: one outcome, told by a colour, a sign and a word, in a light and in a dark theme."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from course_utils.views.palette import PALETTE


@dataclass(frozen=True)
class Look:
    """How an outcome looks: black stands on `colour` with a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""

    sign: str
    words: str
    colour: str


LOOKS = {
    "correct": Look("✔", "correct", PALETTE["green"]),
    "not yet": Look("✎", "not yet", PALETTE["orange"]),
    "not attempted": Look("○", "not attempted", "#B0B0B0"),
    "could not run": Look("⚠", "could not run", PALETTE["vermillion"]),
    "solution": Look("▸", "this is the course's solution", PALETTE["sky"]),
}


def card(number: str, look: Look, feedback: str, note: str = "") -> str:
    """The card as HTML. Only the sign and word stand on a colour; all else is written in the theme's own.

    Args:
        number: of the exercise.
        look: of the outcome.
        feedback: sentences with `code` and *emphasis*, and the learner's own words; escaped here.
        note: a line in small print.
    """
    small = f'<div style="margin-top:.4em;opacity:.8;font-size:90%">{marked_up(note)}</div>' if note else ""
    return (
        f'<div role="status" style="border:1px solid {look.colour};border-left-width:6px;border-radius:4px;'
        'padding:.5em .9em;max-width:46em;line-height:1.5">'
        f"<div>Exercise {escape(number)} "
        f'<strong style="background:{look.colour};color:#000;border-radius:1em;padding:.1em .7em;margin-left:.3em">'
        f'<span aria-hidden="true">{look.sign}</span> {escape(look.words)}</strong></div>'
        f'<div style="margin-top:.4em;white-space:pre-wrap;overflow-wrap:anywhere">{marked_up(feedback)}</div>{small}'
        "</div>"
    )


def marked_up(words: str) -> str:
    """Escaped, with `code` and *emphasis* as HTML; stars inside of code, and of products, stay stars."""
    pieces = re.split(r"`([^`\n]+)`", words)
    return "".join(
        f"<code>{escape(piece)}</code>" if place % 2 else emphasised(piece) for place, piece in enumerate(pieces)
    )


def emphasised(words: str) -> str:
    return re.sub(r"(?<![\w*])\*([^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])", r"<em>\1</em>", escape(words))
