"""Predict, then see: what an experiment's arms did over many seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from course_utils.views.choice import choice
from course_utils.views.display import View, WidgetView
from course_utils.views.live_plot import LivePlot
from course_utils.views.plotting import PALETTE, show_figure, use_course_style

if TYPE_CHECKING:
    from ipywidgets import Widget

Runs = Mapping[str, dict]


class BreakItLab(WidgetView):
    """Take one part of a recipe away, say how many seeds will still make it, and see.

    Without a kernel all arms stand below a fold, so that a reader can predict too.

    Args:
        arms: for each arm its runs, {seed: {"test_return", "frames", "curve"}}, as `make bench` stores them; `curve`
            is a list of [frames, validation return]. The first arm is the whole recipe.
        solved_at: a run is solved if its `test_return` is at least this.
        run_one: trains once, here and now: called with an arm's name and a function `watch(frames, validation=...)`.

    Raises:
        ValueError: there are fewer than two arms, or an arm has no runs.
    """

    def __init__(
        self, arms: Mapping[str, Runs], solved_at: float, run_one: Callable[[str, Callable], object] | None = None
    ) -> None:
        if len(arms) < 2 or not all(arms.values()):
            raise ValueError("A lab compares a recipe with at least one broken form of it, and each needs its runs.")
        self.arms, self.solved_at, self.run_one = arms, solved_at, run_one
        self.recipe, *self.broken = arms
        picture = self._overview()
        count = len(arms[self.recipe])
        html = (
            f"<details><summary>Your prediction first, then unfold: how many of {count} seeds are solved with "
            f"{escape('; with '.join(self.broken))}?</summary>{picture.html}</details>"
        )
        super().__init__(self._make_widget, html, picture.text)

    def solved(self, arm: str) -> int:
        """How many runs of this arm were solved."""
        return sum(run["test_return"] >= self.solved_at for run in self.arms[arm].values())

    def solved_frames(self, arm: str) -> list[float]:
        """After how many frames each solved run stopped, in increasing order."""
        return sorted(run["frames"] for run in self.arms[arm].values() if run["test_return"] >= self.solved_at)

    def bands(self, arm: str) -> list[tuple[int, int]]:
        """The three answers to choose from: few, some or nearly all of the seeds, as (lowest, highest)."""
        count = len(self.arms[arm])
        few, some = 3 * count // 10, 7 * count // 10
        return [(0, few), (few + 1, some), (some + 1, count)]

    def verdict(self, arm: str, guess: tuple[int, int]) -> str:
        """What was expected and what happened, in a sentence or two."""
        solved, count = self.solved(arm), len(self.arms[arm])
        right = "You were right" if guess[0] <= solved <= guess[1] else "A surprise"
        words = f"{right}: you expected {guess[0]} to {guess[1]}, and with {arm} {solved} of {count} were solved."
        return words + self._pace(arm)

    def _pace(self, arm: str) -> str:
        ours, whole = self.solved_frames(arm), self.solved_frames(self.recipe)
        if not ours or not whole:
            return ""
        median, reference = statistics.median(ours), statistics.median(whole)
        return f" Those took {median:,.0f} frames (median); {self.recipe} takes {reference:,.0f}."

    def compare(self, arm: str) -> View:
        """This arm beside the whole recipe: every seed's validation curve, and how many are solved by when."""
        use_course_style()
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
        for name, colour in ((self.recipe, PALETTE["blue"]), (arm, PALETTE["vermillion"])):
            for number, run in enumerate(self.arms[name].values()):
                label = name if number == 0 else None
                left.plot(*zip(*run["curve"], strict=True), color=colour, linewidth=0.8, alpha=0.7, label=label)
            self._draw_solved(right, name, colour)
        left.axhline(self.solved_at, color="black", linestyle="--", linewidth=1)
        left.set(xlabel="frames", ylabel="validation return", title="every seed")
        left.legend(frameon=False, fontsize=9)
        right.set(xlabel="frames", ylabel="seeds solved", title="solved by then")
        return show_figure(figure, f"{self._finding(self.recipe)} {self._finding(arm)}")

    def _overview(self) -> View:
        use_course_style()
        columns = min(3, len(self.broken))
        rows = math.ceil(len(self.broken) / columns)
        figure, panels = plt.subplots(
            rows, columns, figsize=(3.2 * columns, 2.5 * rows), sharex=True, sharey=True, squeeze=False
        )
        for panel, arm in zip(panels.flat, self.broken, strict=False):
            self._draw_solved(panel, self.recipe, PALETTE["blue"])
            self._draw_solved(panel, arm, PALETTE["vermillion"])
            panel.set_title(f"{arm}: {self.solved(arm)} of {len(self.arms[arm])}", fontsize=10)
        for panel in panels.flat[len(self.broken) :]:
            panel.remove()
        figure.supxlabel("frames", fontsize=10)
        figure.supylabel("seeds solved", fontsize=10)
        findings = " ".join(map(self._finding, self.arms))
        return show_figure(figure, f"How many seeds are solved by when; blue: {self.recipe}. {findings}")

    def _finding(self, arm: str) -> str:
        return f"{arm}: {self.solved(arm)} of {len(self.arms[arm])} solved."

    def _draw_solved(self, axes: Axes, arm: str, colour: str) -> None:
        """The number of solved runs as a staircase that goes on to the longest run of all arms."""
        end = max(run["frames"] for runs in self.arms.values() for run in runs.values())
        frames = self.solved_frames(arm)
        axes.step([0, *frames, end], [*range(len(frames) + 1), len(frames)], where="post", color=colour, linewidth=2)
        axes.set_ylim(-0.3, len(self.arms[arm]) + 0.3)

    def _make_widget(self) -> Widget:
        import ipywidgets as widgets

        wide = {"description_width": "initial"}
        arm = choice(self.broken, "take away:", self.broken[0])
        guess = widgets.ToggleButtons(description="I expect solved:", style=wide, value=None)
        reveal = widgets.Button(description="Show the runs", disabled=True)
        run = widgets.Button(description="Run one here")
        answer, live = widgets.HTML(), widgets.HTML()

        def ask(*_) -> None:
            guess.options = [(f"{low} to {high}", (low, high)) for low, high in self.bands(arm.value)]
            guess.value, answer.value = None, ""

        def show(_button) -> None:
            words = escape(self.verdict(arm.value, guess.value))
            answer.value = f"<p><b>{words}</b></p>{self.compare(arm.value).html}"

        def train(_button) -> None:
            run.disabled, live.value = True, f"<p>Training with {escape(arm.value)} ...</p>"
            try:
                with LivePlot(threshold=self.solved_at, draw_in=live) as plot:
                    self.run_one(arm.value, plot.add)
            except Exception as error:  # in a callback it would vanish; the learner should read it
                live.value = f"<p><b>{escape(type(error).__name__)}</b>: {escape(str(error))}</p>"
            finally:
                run.disabled = False

        arm.observe(ask, "value")
        guess.observe(lambda change: setattr(reveal, "disabled", change["new"] is None), "value")
        reveal.on_click(show)
        run.on_click(train)
        ask()
        buttons = [reveal, run] if self.run_one else [reveal]
        return widgets.VBox([arm, guess, widgets.HBox(buttons), answer, live])
