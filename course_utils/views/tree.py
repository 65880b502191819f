"""Look at a TensorDict: a foldable tree of what it holds, or what an operation did to it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import torch
from tensordict import is_non_tensor, is_tensor_collection

from course_utils.views import tree_facts as facts
from course_utils.views.display import View
from course_utils.views.tree_changes import SIGNS, Change, Difference, compare, spell
from course_utils.views.tree_facts import Entry, Level, read_level

BAR = "Shapes: [batch size | shape of one element]"
_NOTHING = object()


def show(td, after=_NOTHING, *, rows: int = 100) -> View:
    """Show what a TensorDict holds, or what an operation did to it.

    `show(td)` is a foldable tree: for every entry its key, shape, dtype, bytes and what its values are like; of an
    entry with many values, about 10,000 are read. `show(before, after)` says which entries were added, removed,
    changed or moved to another key, and what about them changed. Nothing that is looked at is changed by it.

    What an operation changed in place can only be seen against a copy made before it:
    `show(td.clone(), env.step(td))`.

    Args:
        td: a TensorDict of any kind, or a tensorclass.
        after: the same, after the operation.
        rows: how many entries are shown of each level.

    Raises:
        TypeError: something that is no TensorDict; the message says how to make one of it.
        ValueError: before and after are one object, or `rows` is less than 1.

    What a TensorDict is: https://docs.pytorch.org/tensordict/
    """
    if not isinstance(rows, int) or rows < 1:
        raise ValueError(f"rows is how many entries to show, 1 or more; got {rows!r}.")
    _check(td)
    if after is _NOTHING:
        level = read_level(td, rows)
        return View(tree_html(level), "\n".join(tree_text(level)))
    _check(after)
    if td is after:
        raise ValueError(
            "Before and after are one and the same object, which now holds what it holds after the operation. "
            "Keep a copy from before it: show(td.clone(), env.step(td))."
        )
    difference = compare(td, after)
    return View(difference_html(difference, rows), "\n".join(difference_text(difference, rows)))


def _check(td) -> None:
    if is_tensor_collection(td) and not is_non_tensor(td):
        return
    fix = "Give it what env.reset(), env.rollout() or a replay buffer's sample() returns."
    if isinstance(td, torch.Tensor):
        fix = 'Give the tensor a name: show(TensorDict({"x": tensor}, batch_size=[...])).'
    elif isinstance(td, dict):
        fix = "Make it one: show(TensorDict(d, batch_size=[...])), with the sizes that all its tensors begin with."
    elif isinstance(td, torch.nn.Module):
        fix = "For its parameters: show(TensorDict.from_module(module))."
    elif isinstance(td, int):
        fix = "For the number of rows: show(td, rows=1000)."
    raise TypeError(f"show() looks at a TensorDict or a tensorclass; this is of type {type(td).__name__}. {fix}")


# --------------------------------------------------------------------------------- as text
def tree_text(level: Level) -> Iterator[str]:
    """The tree in lines; each level is indented by two more spaces."""
    yield (f"{level.key}: " if level.key else "") + " · ".join([level.kind, *level.facts])
    if not level.key and level.batch_size:
        yield BAR
    cells = [[e.key, e.shape_words, e.dtype_words, facts.human(e.bytes) if e.device else ""] for e in level.entries]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for entry, row in zip(level.entries, cells, strict=True):
        aligned = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        alarms = [f"! {alarm}" for alarm in entry.alarms]
        filled = [*aligned, entry.words, *alarms, *([entry.sparkline] if entry.sparkline else [])]
        yield "  " + "  ".join(filled).rstrip()
    for inner in level.levels:
        yield from ("  " + line for line in tree_text(inner))
    if level.hidden:
        yield f"  {_more(level)}"


def _more(level: Level) -> str:
    return f"{level.hidden:,} more entries: show(td, rows={level.width})"


def difference_text(difference: Difference, rows: int) -> Iterator[str]:
    yield f"Before → after: {difference.words}"
    yield from (f"  ~ {words}" for words in difference.levels)
    if difference.caution:
        yield f"  ! {difference.caution}"
    shown = difference.of("added", "removed", "changed", "moved")
    cells = [[f"{SIGNS[change.kind]} {change.kind}", _change_key(change), change.words] for change in shown[:rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(shown) > rows:
        yield f"  {_more_changes(len(shown), rows)}"
    for kind in ("unchanged", "not compared"):
        if changes := difference.of(kind):
            yield f"  {SIGNS[kind]} {_names(changes, rows)}"


def _more_changes(count: int, rows: int) -> str:
    return f"{count - rows:,} more: show(before, after, rows={count})"


def _change_key(change: Change) -> str:
    return f"{spell(change.source)} → {spell(change.path)}" if change.source else spell(change.path)


def _names(changes: list[Change], rows: int) -> str:
    names = [spell(change.path) + (f" {change.words}" if change.words else "") for change in changes[:rows]]
    return ", ".join(names) + (f" and {len(changes) - rows:,} more" if len(changes) > rows else "")


# --------------------------------------------------------------------------------- as HTML
# JupyterLab's own rules for tables (centred, right-aligned, wide cells) are overruled where they stand: inline.
TABLE = '<table style="table-layout:auto;margin:2px 0 4px 0;border-collapse:collapse;text-align:left"'
CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0"
LINE = "border-bottom:1px solid rgba(128,128,128,.4)"
MONO = "font-family:monospace"
DEEP, BIG = 3, 40  # from this depth on, or with more rows than this, a level starts folded


def _row(cells: list[str], header: bool = False) -> str:
    """A table row of HTML cells; the first names the row."""
    if header:
        return "<tr>" + "".join(f'<th scope="col" style="{CELL};{LINE}">{cell}</th>' for cell in cells) + "</tr>"
    first, *rest = cells
    tds = "".join(f'<td style="{CELL}">{cell}</td>' for cell in rest)
    return f'<tr><th scope="row" style="{CELL};{MONO}">{first}</th>{tds}</tr>'


def _table(label: str, columns: list[str], rows: list[list[str]]) -> str:
    body = "".join(map(_row, rows))
    return (
        f'{TABLE} aria-label="{escape(label)}"><thead>{_row(columns, header=True)}</thead><tbody>{body}</tbody></table>'
    )


def _fold(summary: str, content: str, is_open: bool) -> str:
    start = "<details open" if is_open else "<details"
    return (
        f'{start} style="margin:2px 0"><summary style="cursor:pointer">{summary}</summary>'
        f'<div style="margin-left:18px">{content}</div></details>'
    )


def tree_html(level: Level, depth: int = 0) -> str:
    """One `<details>` for each level: its entries as a table, then its levels."""
    name = f'<b style="{MONO}">{escape(level.key)}</b> ' if level.key else ""
    summary = name + " · ".join([f"<b>{escape(level.kind)}</b>", *map(escape, level.facts)])
    parts = [f"<div>{escape(BAR)}</div>"] if depth == 0 and level.batch_size else []
    if level.entries:
        rows = [_entry_cells(entry) for entry in level.entries]
        filled = 6 if any(entry.sparkline for entry in level.entries) else 5
        columns = ["key", "shape", "dtype", "bytes", "values", "histogram"][:filled]
        parts.append(_table(f"Entries of {level.key or level.kind}", columns, [row[:filled] for row in rows]))
    parts += [tree_html(inner, depth + 1) for inner in level.levels]
    if level.hidden:
        parts.append(f"<div>{escape(_more(level))}</div>")
    is_open = depth == 0 or (depth < DEEP and level.width <= BIG)
    return _fold(summary, "".join(parts) or "empty", is_open)


def _entry_cells(entry: Entry) -> list[str]:
    words = [escape(entry.words), *(f"<b>! {escape(alarm)}</b>" for alarm in entry.alarms)]
    line = ""
    if entry.sparkline:
        label = escape(entry.values.sparkline_words)
        line = f'<span role="img" aria-label="{label}" title="{label}">{entry.sparkline}</span>'
    size = facts.human(entry.bytes) if entry.device else ""
    return [escape(entry.key), _shape_html(entry), escape(entry.dtype_words), size, " ".join(words), line]


def _shape_html(entry: Entry) -> str:
    batch, bar, own = entry.shape_words.partition(" |")
    return f"[<b>{escape(batch[1:])}</b>{bar}{escape(own)}" if bar else escape(batch)


def difference_html(difference: Difference, rows: int) -> str:
    parts = [f"<div>~ {escape(words)}</div>" for words in difference.levels]
    if difference.caution:
        parts.append(f"<div><b>! {escape(difference.caution)}</b></div>")
    shown = difference.of("added", "removed", "changed", "moved")
    if shown:
        cells = [[_change_key(c), f"{SIGNS[c.kind]} {c.kind}", c.words] for c in shown[:rows]]
        parts.append(_table("What changed", ["key", "what", "how"], [list(map(escape, row)) for row in cells]))
    if len(shown) > rows:
        parts.append(f"<div>{escape(_more_changes(len(shown), rows))}</div>")
    for kind in ("unchanged", "not compared"):
        if changes := difference.of(kind):
            names = f'<div style="{MONO}">{escape(_names(changes, rows))}</div>'
            parts.append(_fold(f"{SIGNS[kind]} {len(changes)} {kind}", names, is_open=False))
    return _fold(f"<b>Before → after</b>: {escape(difference.words)}", "".join(parts), is_open=True)
