"""One HTML page that needs nothing else: two themes, and ink where it is printed."""

from __future__ import annotations

from html import escape

from course_utils.exercises.card import LOOKS, marked_up

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --soft: #555; --line: #ccc; --page: #fff; --code: #f4f4f4 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --soft: #aaa; --line: #444; --page: #161616; --code: #222 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem; line-height: 1.2 } h2 { font-size: 1.15rem; margin: 1.8rem 0 .4rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top;
  padding: .35rem .6rem; border-bottom: 1px solid var(--line) } th { white-space: nowrap }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem } dt { color: var(--soft) } dd { margin: 0;
  overflow-wrap: anywhere }
.mark { color: #000; border-radius: 1em; padding: .05em .7em; white-space: nowrap; font-weight: 600 }
.soft { color: var(--soft) } .note { border-left: 4px solid var(--line); padding: .1rem 1rem }
pre { background: var(--code); padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem }
.rows th:first-child { width: 5rem } .rows th:nth-child(2) { width: 40% } .rows th:nth-child(3) { width: 7rem }
.wide { overflow-x: auto } .wide td, .wide th { padding: .3rem .45rem }
@media print { :root { --text: #000; --soft: #333; --line: #999; --page: #fff; --code: #fff; color-scheme: light }
  body { margin: 0; max-width: none; font-size: 11pt } tr, h2 { break-inside: avoid; break-after: auto }
  h2 { break-after: avoid } .mark { border: 1px solid #000; -webkit-print-color-adjust: exact;
  print-color-adjust: exact } }
"""
# Nothing on it is run or fetched, whatever stands in it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, body: str) -> str:
    """A whole page; `body` is HTML, escaped by its maker."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def mark(status: str) -> str:
    """A status as a sign and words on its colour."""
    look = LOOKS[status]
    return (
        f'<span class="mark" style="background:{look.colour}"><span aria-hidden="true">{look.sign}</span> '
        f"{escape(look.words)}</span>"
    )


def table(head: list[str], rows: list[list[str]], label: str = "", kind: str = "") -> str:
    """A table of cells that are HTML; the first of each row heads it. `kind` is a class of the style."""
    names = "".join(f'<th scope="col">{name}</th>' for name in head)
    lines = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows
    )
    about = f' aria-label="{escape(label)}"' if label else ""
    return f'<div class="wide {kind}"><table{about}>\n<tr>{names}</tr>\n{lines}\n</table></div>'


def note(words: str) -> str:
    return f'<p class="note">{marked_up(words)}</p>'


def facts(pairs: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(what)}</dd>" for name, what in pairs.items()) + "</dl>"
