"""The page of a ranking: one HTML file that loads nothing, in which every stranger's word is only a word."""

from __future__ import annotations

from html import escape
from importlib.metadata import version

SCALES = {"CartPole-v1": (0, 500, 475), "Pendulum-v1": (-1_600, 0, -200)}  # from, to, and solved from here on
SHOWN = 60  # signs of a name
STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --bar: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181d; --ink: #e6edf3; --soft: #9aa4af; --line: #3a424b; --bar: #56b4e9; }
}
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
p, li, caption { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.4rem 0.6rem; text-align: left; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td bdi { overflow-wrap: anywhere; }
small { color: var(--soft); }
.who { width: 30%; min-width: 9rem; }
.bar { width: 30%; min-width: 8rem; }
.bar svg { display: block; width: 100%; height: 1.2rem; margin-top: 0.15rem; }
"""
FIRST = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ranking</title>
"""


def plain(text: str, most: int = SHOWN) -> str:
    """A stranger's text, cut, without signs that a terminal obeys or that turn the line around."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def shown(text: str, most: int = SHOWN) -> str:
    """The same for a page: every sign means itself, and a right-to-left name does not turn its neighbours around."""
    return f"<bdi>{escape(plain(text, most))}</bdi>"


def bar(task: str, mean: float, error: float) -> str:
    """How far a mean reaches on its task's scale, twice its standard error, and the line from which on it is solved."""
    low, high, solved = SCALES[task]

    def place(value: float) -> float:
        return max(0.0, min(100.0, 100 * (value - low) / (high - low)))

    left, right = place(mean - 2 * error), place(mean + 2 * error)
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="100" height="10" fill="var(--line)" opacity="0.45"/>'
        f'<rect width="{place(mean):.2f}" height="10" fill="var(--bar)"/>'
        f'<rect x="{left:.2f}" y="4" width="{right - left:.2f}" height="2" fill="var(--ink)"/>'
        f'<rect x="{place(solved):.2f}" width="0.5" height="10" fill="var(--ink)"/></svg>'
    )


def ranked(ranking: dict) -> dict[str, list[dict]]:
    """Those that passed, by task; the best first."""
    found: dict[str, list[dict]] = {}
    for result in ranking["results"]:
        if "refused" not in result and result["task"] in SCALES:
            found.setdefault(result["task"], []).append(result)
    return found


def refused(ranking: dict) -> list[dict]:
    return [result for result in ranking["results"] if "refused" in result or result["task"] not in SCALES]


def table_of(task: str, results: list[dict]) -> str:
    heads = ["", "agent", "mean", "± 2 errors", "worst", "its card says", "solved", ""]
    rows = []
    for place, one in enumerate(results, 1):
        solved = "yes" if one["mean"] >= SCALES[task][2] else "no"
        numbers = [f"{one['mean']:.1f}", f"{2 * one['error']:.1f}", f"{one['worst']:.1f}", f"{one['claimed']:.1f}"]
        who = f"{shown(one['name'])}<br><small>{shown(one['file'])}</small>"
        cells = [f'<td class="number">{place}</td>', f'<td class="who">{who}</td>']
        cells += [f'<td class="number">{number}</td>' for number in numbers]
        cells += [f"<td>{solved}</td>", f'<td class="bar">{bar(task, one["mean"], one["error"])}</td>']
        rows.append(f"<tr>{''.join(cells)}</tr>")
    numeric = {"mean", "± 2 errors", "worst", "its card says"}
    head = "".join(f'<th scope="col"{" class=number" if name in numeric else ""}>{name}</th>' for name in heads)
    words = f"Solved: a mean of at least {SCALES[task][2]}, the line in each bar."
    body = f"<caption>{words}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows)
    return f'<h2>{task}</h2>\n<div class="wide"><table>{body}\n</tbody></table></div>'


def page(ranking: dict) -> str:
    """The whole page, from what `tools.ranking.rank` found."""
    first, last = ranking["seeds"]
    parts = [
        f"{FIRST}<style>{STYLE}</style>\n</head>\n<body>\n<h1>Ranking</h1>",
        f"<p>Mean return of {ranking['episodes']} fresh episodes of the unmodified task, on the seeds {first} to "
        f"{last}, the same for all. Every agent is an ONNX file and its card; ONNX Runtime {version('onnxruntime')} "
        "let it decide.</p>",
        *(table_of(task, results) for task, results in sorted(ranked(ranking).items())),
    ]
    if out := refused(ranking):
        rows = (f"<tr><td>{shown(one['file'])}</td><td>{shown(one.get('refused', ''), 400)}</td></tr>" for one in out)
        head = '<thead><tr><th scope="col">file</th><th scope="col">why</th></tr></thead>'
        parts.append(f'<h2>Not examined to the end</h2>\n<div class="wide"><table>{head}\n<tbody>\n')
        parts.append("\n".join(rows) + "\n</tbody></table></div>")
    limits = "".join(f"<li>{escape(words)}</li>" for words in ranking["limits"])
    parts.append(f"<h2>Limits that held</h2>\n<ul>{limits}</ul>\n</body>\n</html>\n")
    return "\n".join(parts)


def lines(ranking: dict) -> list[str]:
    """The same for a terminal."""
    said = []
    for task, results in sorted(ranked(ranking).items()):
        said.append(task)
        for place, one in enumerate(results, 1):
            said.append(f"{place:4}  {one['mean']:8.1f} ± {2 * one['error']:.1f}  {plain(one['name'])}")
    return said + [
        f"not examined: {plain(one['file'])}: {plain(one.get('refused', ''), 400)}" for one in refused(ranking)
    ]
