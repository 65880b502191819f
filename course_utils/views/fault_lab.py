"""Runs without their names: say from the curves what is wrong with each, and see what told it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from course_utils.views.choice import choice
from course_utils.views.display import View, WidgetView
from course_utils.views.plotting import PALETTE, show_figure, use_course_style
from course_utils.views.signs import FAULTS, HEALTHY, Log, largest_return, pay, points, signs
from course_utils.views.sliders import fewer_colours

if TYPE_CHECKING:
    from ipywidgets import Widget

# Title, the curves in blue and in orange, and whether the axis may be logarithmic.
PANELS = [
    ("return: training, greedy", ["train/return", "eval/reward"], False),
    ("loss", ["train/loss"], True),
    ("value, target", ["train/q_value", "train/target"], False),
    ("gradient norm", ["train/gradient_norm"], True),
    ("epsilon", ["train/epsilon"], False),
    ("spread of the values", ["check/spread"], False),
    ("lag of the slower copy", ["check/lag"], False),
    ("value of the last actions", ["check/q_at_end"], False),
]
FACTS: dict[str, Callable[[Log], str]] = {
    "frames played": lambda log: f"{log['frames'][-1]:,.0f}",
    "frames in the memory": lambda log: f"{points(log, 'memory/frames')[-1]:,.0f}",
    "pay of a step (return by length)": lambda log: f"{pay(log):.3g}",
    "mean reward of a remembered frame": lambda log: f"{points(log, 'memory/reward')[-1]:.3g}",
    "remembered frames that are done": lambda log: f"{points(log, 'memory/done')[-1]:.1%}",
    "remembered frames that are terminated": lambda log: f"{points(log, 'memory/terminated')[-1]:.1%}",
    "last evaluation: actions not the best": lambda log: f"{points(log, 'eval/off_greedy')[-1]:.0%}",
}


class FaultLab(WidgetView):
    """Say which fault a run has from its curves alone; the answer is what the run's curves show of it.

    Without a kernel each run stands below a fold, and what is wrong with it below another one.

    Args:
        arms: for each fault of `signs.FAULTS`, and for `signs.HEALTHY`, the logs of its runs by seed, as
            `make bench` stores them. Each fault's first run is shown; of the healthy ones the first is drawn in grey
            behind all others, and the second has to be diagnosed.

    Raises:
        ValueError: a fault is unknown or has no run, or there are not two healthy runs.
    """

    def __init__(self, arms: Mapping[str, Mapping[str, Log]]) -> None:
        if unknown := sorted(set(arms) - {*FAULTS, HEALTHY}):
            raise ValueError(f"There is no sign for {', '.join(unknown)}; there is one for: {', '.join(FAULTS)}.")
        if len(arms.get(HEALTHY, {})) < 2 or not all(arms.values()) or len(arms) < 2:
            raise ValueError(f"A lab needs a run of each fault, and two where {HEALTHY}.")
        self.healthy, second, *_ = arms[HEALTHY].values()
        cases = [(fault, second if fault == HEALTHY else next(iter(runs.values()))) for fault, runs in arms.items()]
        random.Random(1).shuffle(cases)  # the same letters for everybody: a class can talk about run C
        self.runs = {chr(ord("A") + number): case for number, case in enumerate(cases)}
        self.choices = [HEALTHY, *(fault for fault in FAULTS if fault in arms)]
        html = "<p>Decide first, then unfold: what is wrong with each of these runs?</p>"
        html += "".join(map(self._fold, self.runs))
        text = f"{len(self.runs)} runs without their names, one of each: {', '.join(self.choices)}."
        super().__init__(self._make_widget, html, text)

    def verdict(self, run: str, guess: str) -> str:
        """Whether that is what this run has, and what in its curves tells it."""
        fault, log = self.runs[run]
        found = signs(log)
        if guess == fault:
            return f"Right: {self.evidence(run)}"
        against = f" Against {guess} speaks: {found[guess].seen}" if guess in found else ""
        return f"Not {guess}, but {self.evidence(run)}{against}"

    def evidence(self, run: str) -> str:
        """What this run has, and what in its curves tells it."""
        fault, log = self.runs[run]
        if fault == HEALTHY:
            return f"{HEALTHY}. None of the {len(FAULTS)} signs is there: {self._reassuring(log)}"
        sign = signs(log)[fault]
        return f"{fault}. {sign.seen} {sign.means}"

    def _reassuring(self, log: Log) -> str:
        bound, highest = largest_return(log), max(points(log, "train/q_value"))
        return (
            f"values up to {highest:.3g} where a return can be {bound:.3g}, last actions worth "
            f"{points(log, 'check/q_at_end')[-1]:.3g}, epsilon down to {points(log, 'train/epsilon')[-1]:.3g}, and a "
            f"greedy return of {max(points(log, 'eval/reward')):.3g}."
        )

    def curves(self, run: str) -> View:
        """The run's curves, with the healthy run in grey, and what is stored in its memory."""
        _, log = self.runs[run]
        use_course_style()
        figure, places = plt.subplots(2, 4, figsize=(9, 4), sharex=True)
        for place, (title, names, logarithmic) in zip(places.flat, PANELS, strict=True):
            for name in names:
                _draw(place, self.healthy, name, color="0.75", linewidth=3)
            for name, colour in zip(names, ("blue", "orange"), strict=False):
                _draw(place, log, name, color=PALETTE[colour])
            if "train/q_value" in names:
                place.axhline(largest_return(log), color="black", linestyle="--", linewidth=1)
            if logarithmic and max(points(log, names[0])) > 100 * min(points(log, names[0])):
                place.set_yscale("log")
                place.yaxis.set_minor_formatter("")
            else:
                place.set_ylim(bottom=0)
            place.set_title(title, fontsize=9)
            place.tick_params(labelsize=8)
        figure.supxlabel(
            "frames. Blue, then orange, as in the titles; grey: a healthy run; dashed: the largest return possible",
            fontsize=9,
        )
        view = show_figure(figure, f"Run {run}, first and last points: {'; '.join(map(_ends, *_columns(log)))}.")
        facts = "; ".join(f"{name}: {tell(log)}" for name, tell in FACTS.items())
        return View(f"{fewer_colours(view.html)}{self._facts(run)}", f"{view.text} {facts}.")

    def _facts(self, run: str) -> str:
        log = self.runs[run][1]
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(name)}</th><td>{tell(log)}</td>'
            f"<td>{tell(self.healthy)}</td></tr>"
            for name, tell in FACTS.items()
        )
        heads = f'<tr><td></td><th scope="col">run {run}</th><th scope="col">healthy</th></tr>'
        return f"<table>{heads}{rows}</table>"

    def _fold(self, run: str) -> str:
        return (
            f"<details><summary>Run {run}: its curves</summary>{self.curves(run).html}"
            f"<details><summary>What is wrong with run {run}, and what tells it</summary>"
            f"<p>{escape(self.evidence(run))}</p></details></details>"
        )

    def _make_widget(self) -> Widget:
        import ipywidgets as widgets

        names = list(self.runs)
        run, guess = choice(names, "Run:", names[0]), choice(self.choices, "My diagnosis:")
        tell = widgets.Button(description="What tells it?", disabled=True)
        screen, answer = widgets.HTML(), widgets.HTML()

        def draw(*_) -> None:
            screen.value, answer.value, guess.value = self.curves(run.value).html, "", None

        def choose(change) -> None:
            tell.disabled, answer.value = change["new"] is None, ""

        def reveal(_button) -> None:
            answer.value = f'<p role="status"><b>{escape(self.verdict(run.value, guess.value))}</b></p>'

        run.observe(draw, "value")
        guess.observe(choose, "value")
        tell.on_click(reveal)
        draw()
        return widgets.VBox([run, screen, guess, tell, answer])


def _draw(axes: Axes, log: Log, name: str, **style) -> None:
    there = [(step, value) for step, value in zip(log["frames"], log[name], strict=True) if value is not None]
    axes.plot(*zip(*there, strict=True), **style)


def _columns(log: Log) -> tuple[list[str], list[list[float]]]:
    names = [name for _, group, _ in PANELS for name in group]
    return names, [points(log, name) for name in names]


def _ends(name: str, values: list[float]) -> str:
    return f"{name} {values[0]:.3g} to {values[-1]:.3g}, at most {max(values):.3g}"
