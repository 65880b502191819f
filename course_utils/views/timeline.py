"""What happened in a loop, in order: a row for each turn, a box for each thing, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from course_utils.views.display import View
from course_utils.views.palette import PALETTE

COLOURS = {
    **dict.fromkeys(("collect", "store", "sample"), PALETTE["sky"]),
    **dict.fromkeys(("loss", "zero_grad", "backward", "clip", "step"), PALETTE["green"]),
    **dict.fromkeys(("target", "epsilon", "evaluate", "sync", "shutdown"), PALETTE["purple"]),
}
# In this order a missing one is put in.
ORDER = ("collect", "store", "epsilon", "sample", "loss", "zero_grad", "backward", "clip", "step", "target") + (
    "evaluate",
    "sync",
    "shutdown",
)
ROWS = 8  # so many turns are shown, and the last one
LONGEST = 8  # things that repeat side by side are looked for up to this length


@dataclass(frozen=True)
class Moment:
    """One thing that happened, or is missing.

    Attributes:
        kind: one of `ORDER`.
        words: what the box says.
        state: empty, "wrong" or "missing".
    """

    kind: str
    words: str
    state: str = ""


Group = tuple[tuple[Moment, ...], int]  # what repeats, and how often
Row = tuple[str, tuple[Group, ...]]


def timeline(moments: Sequence[Moment], sentences: Sequence[str] = (), missing: Sequence[str] = ()) -> View:
    """A picture of a loop.

    Args:
        moments: in order; each `collect` begins a turn.
        sentences: what is said of it, below the picture; the first one matters most.
        missing: kinds that never happened and should; each is shown where it belongs.
    """
    rows = rows_of_turns(moments, missing)
    verdict = list(sentences) or ["Nothing is missing."]
    lines = [f"{name:>12}  " + "  ".join(map(group_text, groups)) for name, groups in rows]
    text = "\n".join([*lines, *(f"- {sentence}" for sentence in verdict)])
    body = "".join(
        f'<tr><th scope="row" style="text-align:right;font-weight:normal;padding:.2em .8em .2em 0;white-space:nowrap;'
        f'vertical-align:top;background:none">{escape(name)}</th>'
        f'<td style="text-align:left;padding:.2em 0;background:none">{" ".join(map(group_html, groups))}</td></tr>'
        for name, groups in rows
    )
    points = "".join(f'<li style="margin:.2em 0">{marked(sentence)}</li>' for sentence in verdict)
    html = (
        f'<div style="line-height:1.9;max-width:60em"><table aria-label="What the loop did, turn by turn" '
        f'style="border-collapse:collapse;font-size:90%">{body}'
        f'</table><ul style="margin:.4em 0;line-height:1.5">{points}</ul></div>'
    )
    return View(html, text)


def rows_of_turns(moments: Sequence[Moment], missing: Sequence[str]) -> list[Row]:
    """A row for each turn; turns that are alike, one after the other, share theirs."""
    turns: list[list[Moment]] = [[]]
    for moment in moments:
        if moment.kind == "collect":
            turns.append([])
        turns[-1].append(moment)
    end = [moment for moment in turns[-1] if moment.kind == "shutdown"]
    turns[-1] = [moment for moment in turns[-1] if moment.kind != "shutdown"]
    if "shutdown" in missing:
        end = [absent("shutdown")]
    if "collect" in missing and not turns[0]:
        turns[0] = [absent("collect")]
    looping = turns[1:] or turns[:1]
    filled = [put_in(turn, [kind for kind in missing if kind != "shutdown"]) for turn in looping]
    numbered = [(str(number), repeats(turn)) for number, turn in enumerate(filled, start=1)]
    rows: list[Row] = [("before", repeats(turns[0]))] if turns[0] and turns[1:] else []
    alike: list[tuple[str, str, tuple[Group, ...]]] = []
    for number, groups in numbered:
        if alike and alike[-1][2] == groups:
            alike[-1] = (alike[-1][0], number, groups)
        else:
            alike.append((number, number, groups))
    for first, last, groups in [*alike[:ROWS], *alike[ROWS:][-1:]]:
        rows.append((f"turn {first}" if first == last else f"turns {first}-{last}", groups))
    if len(alike) > ROWS + 1:
        rows.insert(len(rows) - 1, ("...", ()))
    return rows + ([("end", repeats(end))] if end else [])


def absent(kind: str) -> Moment:
    return Moment(kind, kind, "missing")


def put_in(turn: list[Moment], missing: Sequence[str]) -> list[Moment]:
    """The missing ones, each behind all that it should follow."""
    for kind in sorted(set(missing) - {moment.kind for moment in turn}, key=ORDER.index):
        present = [moment.kind for moment in turn if ORDER.index(moment.kind) < ORDER.index(kind)]
        anchor = max(present, key=ORDER.index, default=None)
        filled = [] if anchor else [absent(kind)]
        for moment in turn:
            filled.append(moment)
            if moment.kind == anchor:
                filled.append(absent(kind))
        turn = filled
    return turn


def repeats(turn: Sequence[Moment]) -> tuple[Group, ...]:
    """The turn with what repeats side by side written once."""
    groups: list[Group] = []
    place = 0
    while place < len(turn):
        best, times = 1, 1
        for length in range(1, min(LONGEST, len(turn) - place) + 1):
            piece, count = list(turn[place : place + length]), 1
            while list(turn[place + count * length : place + (count + 1) * length]) == piece:
                count += 1
            if count > 1 and count * length > best * times:
                best, times = length, count
        groups.append((tuple(turn[place : place + best]), times))
        place += best * times
    return tuple(groups)


def group_text(group: Group) -> str:
    moments, times = group
    words = " > ".join(moment_text(moment) for moment in moments)
    return f"[{words}] x {times}" if times > 1 else words


def moment_text(moment: Moment) -> str:
    return {"": "{}", "wrong": "!{}!", "missing": "({} is missing)"}[moment.state].format(moment.words)


def group_html(group: Group) -> str:
    moments, times = group
    boxes = " ".join(map(moment_html, moments))
    if times == 1:
        return boxes
    return (
        '<span style="border:1px solid #808080;border-radius:4px;padding:.15em .3em;display:inline-block">'
        f"{boxes} <strong>&times; {times}</strong></span>"
    )


def moment_html(moment: Moment) -> str:
    colour = PALETTE["vermillion"] if moment.state else COLOURS[moment.kind]
    line = "dashed" if moment.state == "missing" else "solid"
    sign = '<span aria-hidden="true">✘</span> ' if moment.state else ""
    words = {"": "{}", "wrong": "wrong: {}", "missing": "{} is missing"}[moment.state].format(moment.words)
    return (
        f'<span style="border:{2 if moment.state else 1}px {line} {colour};border-left-width:5px;border-radius:3px;'
        f'padding:.05em .4em;white-space:nowrap;display:inline-block;line-height:1.4">{sign}{escape(words)}</span>'
    )


def marked(sentence: str) -> str:
    """Escaped, with `code` as HTML."""
    pieces = escape(sentence).split("`")
    return "".join(f"<code>{piece}</code>" if place % 2 else piece for place, piece in enumerate(pieces))
