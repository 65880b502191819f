"""The views one can play with: what they compute, and what their controls change. How they look: test_browser.py."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from types import SimpleNamespace
from xml.etree import ElementTree

import ipywidgets
import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import GymEnv

from course_utils import load_results, record_episode, show_figure, sliders
from course_utils.views import break_it_lab, curves
from course_utils.views import live_plot as live
from course_utils.views.break_it_lab import BreakItLab
from course_utils.views.display import View
from course_utils.views.episode_scrubber import EpisodeScrubber
from course_utils.views.live_plot import LivePlot


class TestLivePlot:
    def points(self, plot: LivePlot) -> list[list[str]]:
        root = ElementTree.fromstring(curves.curves_svg(plot.series, "frames", "return", threshold=plot.threshold))
        return [line.get("points").split() for line in root.iter("{http://www.w3.org/2000/svg}polyline")]

    def test_it_draws_every_curve_within_its_frame(self):
        plot = LivePlot(threshold=475)
        for x in range(1, 5):
            plot.add(100 * x, greedy=10 * x, exploring=-5 * x)
        lines = self.points(plot)
        assert [len(line) for line in lines] == [5, 5]  # the last point stands twice: it is always drawn
        for point in (point for line in lines for point in line):
            x, y = map(float, point.split(","))
            assert curves.LEFT <= x <= curves.WIDTH - curves.RIGHT and curves.TOP <= y <= curves.HEIGHT - curves.BOTTOM

    @pytest.mark.parametrize("threshold", [475, -200])
    def test_what_is_solved_is_said_where_no_curve_runs(self, threshold):
        svg = ElementTree.fromstring(curves.curves_svg({"run": [(0, -1600), (9, -150)]}, "x", "y", threshold=threshold))
        labels = [text for text in svg.iter("{http://www.w3.org/2000/svg}text") if "solved" in text.text]
        assert [label.text for label in labels] == [f"solved (dashed): {threshold}"]
        assert float(labels[0].get("y")) < curves.TOP

    def test_a_curve_can_be_taken_out(self):
        plot = LivePlot()
        plot.add(1, score=10)
        plot.add(2, score=20)
        assert plot.curve("score") == ([1, 2], [10, 20])

    def test_long_curves_stay_small(self):
        plot = LivePlot()
        for x in range(20_000):
            plot.series.setdefault("loss", []).append((x, x % 7))
        assert len(self.points(plot)[0]) <= curves.MAX_POINTS + 1

    def test_what_is_not_drawn_is_said_in_picture_and_text(self):
        plot = LivePlot()
        for x in range(401):
            assert "stretches" not in plot.view().html + plot.view().text
            plot.add(x, loss=x % 7)
        assert "Drawn: lowest and highest of 200 stretches." in plot.view().text
        assert "drawn: lowest and highest of 200 stretches" in curves.curves_svg(plot.series, "x", "y")

    def test_it_redraws_at_most_ten_times_a_second_and_leaves_the_end(self, monkeypatch):
        drawn = []

        class Handle:
            def update(self, view):
                drawn.append(view)

        monkeypatch.setattr("IPython.display.display", lambda view, display_id: drawn.append(view) or Handle())
        with LivePlot() as plot:
            start = time.perf_counter()
            while time.perf_counter() - start < 0.5:
                plot.add(len(drawn), score=1.0)
            plot.add(99, score=7.0)
        assert 3 <= len(drawn) <= 7
        assert "score 7" in drawn[-1].text

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e305])
    def test_what_cannot_be_drawn_leaves_a_gap_and_is_counted(self, value):
        plot = LivePlot()
        for x, y in enumerate([1.0, 2.0, value, 4.0, 5.0]):
            plot.add(x, loss=y)
        assert [len(line) for line in self.points(plot)] == [2, 3]  # before and after; the last point stands twice
        assert "loss 5 (1 of 5 not finite)" in plot.view().text
        assert "loss (1 of 5 not finite)" in curves.curves_svg(plot.series, "x", "y")

    def test_a_single_point_is_seen(self):
        svg = curves.curves_svg({"loss": [(0, 2.0)]}, "x", "y")
        assert svg.count("<circle") == 1

    def test_nine_curves_are_all_drawn_and_told_apart(self):
        svg = curves.curves_svg({f"curve {n}": [(0, 0), (1, n)] for n in range(9)}, "x", "y")
        root = ElementTree.fromstring(svg)
        lines = root.findall("{http://www.w3.org/2000/svg}polyline")
        assert len({(line.get("stroke"), line.get("stroke-dasharray")) for line in lines}) == 9
        names = [text for text in root.iter("{http://www.w3.org/2000/svg}text") if text.text.startswith("curve ")]
        places = {(text.get("x"), text.get("y")) for text in names}
        assert len(places) == 9 and all(float(x) < curves.WIDTH - 40 for x, _ in places)

    def test_a_long_curve_keeps_its_peak(self):
        curve = [(x, 0.0) for x in range(100_000)]
        curve[54_321] = (54_321, 9.0)
        (line,) = ElementTree.fromstring(curves.curves_svg({"loss": curve}, "x", "y")).findall(
            "{http://www.w3.org/2000/svg}polyline"
        )
        heights = {float(point.split(",")[1]) for point in line.get("points").split()}
        assert len(heights) == 2 and len(line.get("points").split()) <= curves.MAX_POINTS + 1

    @pytest.mark.parametrize(
        ("low", "high", "ticks"),
        [
            (0, 500, [0, 100, 200, 300, 400, 500]),
            (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
            (-3, 4, [-4, -2, 0, 2, 4]),
            (2, 2, None),
            (0, 1e-11, [0, 2e-12, 4e-12, 6e-12, 8e-12, 1e-11]),
            (1e9, 1e9 + 1e-6, None),
            (-1e300, 1e300, None),
            (0, 5e-324, None),
        ],
    )
    def test_ticks_are_round_numbers_that_cover_the_range(self, low, high, ticks):
        found = curves.nice_ticks(low, high)
        assert found == ticks if ticks else found[0] <= low <= high <= found[-1]

    def test_its_status_tells_how_far_the_loop_is(self):
        plot = LivePlot(total=8000)
        plot.add(2000, greedy=1)
        assert re.fullmatch(r"2,000 of at most 8,000 frames in 00:00, .* frames/s, at most 00:0\d left", plot.status())
        plot.add(8001, greedy=1)  # more than was announced
        assert re.fullmatch(r"8,001 frames in 00:00, .* frames/s", plot.status())
        assert LivePlot().status() == "0 frames in 00:00, ? frames/s"

    @pytest.mark.parametrize(
        ("seconds", "pace"), [(2.0, "1,000"), (2.546, "786"), (0.0147, "136,000"), (700, "2.86"), (3e6, "0.000667")]
    )
    def test_its_pace_has_three_digits(self, monkeypatch, seconds, pace):
        monkeypatch.setattr(live.time, "perf_counter", lambda: 5.0)
        plot = LivePlot(total=8000)
        plot.add(2000, greedy=1)
        monkeypatch.setattr(live.time, "perf_counter", lambda: 5.0 + seconds)
        assert f", {pace} frames/s, at most " in plot.status()

    def test_drawing_takes_at_most_a_fiftieth_of_the_time_however_slow_it_is(self, monkeypatch):
        clock = iter(range(10**6))  # each look at the clock is a second later; so a drawing takes one second
        monkeypatch.setattr(live.time, "perf_counter", lambda: next(clock))
        monkeypatch.setattr(
            "IPython.display.display", lambda view, display_id: SimpleNamespace(update=lambda view: None)
        )
        monkeypatch.setattr(LivePlot, "view", lambda plot: View("", ""))
        plot = LivePlot()
        while plot.drawings < 40:
            plot.add(1, score=1.0)
        assert plot.seconds_drawing / next(clock) <= 1.1 * live.SHARE_OF_THE_LOOP

    def test_it_can_draw_in_a_widget_instead(self):
        screen = ipywidgets.HTML()
        with LivePlot(draw_in=screen) as plot:
            plot.add(1, score=3)
        assert "score 3" in screen.value

    def test_without_a_notebook_it_draws_nothing_and_keeps_the_curves(self):
        code = (
            "from course_utils.views.live_plot import LivePlot\n"
            "with LivePlot() as plot: plot.add(1, score=2)\n"
            "print(plot.drawings, plot.curve('score'))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "0 ([1.0], [2.0])\n" and done.stderr == ""


class TestWidgetView:
    def test_a_script_makes_no_widget(self):
        code = (
            "import sys\n"
            "from course_utils.views.display import WidgetView\n"
            "view = WidgetView(lambda: 1 / 0, 'html', 'text')\n"
            "print(view, view._repr_mimebundle_(), 'ipywidgets' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "text {'text/html': 'html', 'text/plain': 'text'} False\n"


def rollout(rewards=(1.0, 1.0, 1.0), **entries) -> TensorDict:
    steps = len(rewards)
    ends = torch.zeros(steps, 1, dtype=torch.bool)
    ends[-1] = True
    following = {"reward": torch.tensor(rewards)[:, None], "terminated": ends, "done": ends}
    shared = {"observation": torch.arange(2.0 * steps).reshape(steps, 2), "action": torch.tensor([1, 0, 1][:steps])}
    return TensorDict({**shared, "next": following, **entries}, batch_size=[steps])


def pictures(count: int, colour: int = 0) -> np.ndarray:
    return np.full((count, 20, 30, 3), colour, np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]


class TestEpisodeScrubber:
    def test_each_moment_holds_what_belongs_together(self):
        values = torch.tensor([[0.1, 0.9], [0.7, 0.2], [0.0, 0.5]])
        scrubber = EpisodeScrubber(rollout((1.0, -2.0, 4.0), action_value=values), pictures(4))
        moments = [scrubber.at(step)["episode"] for step in range(4)]
        assert len(scrubber) == 4 and [moment.frame[0, 0, 0] for moment in moments] == [0, 1, 2, 3]
        assert [moment.action for moment in moments] == [1, 0, 1, None]
        assert [moment.reward for moment in moments] == [1.0, -2.0, 4.0, None]
        assert [moment.total for moment in moments] == [1.0, -1.0, 3.0, 3.0]
        assert [moment.end for moment in moments] == ["", "", "terminated", "terminated"]
        assert moments[1].observation.tolist() == [2.0, 3.0] and moments[3].observation is None
        np.testing.assert_allclose(moments[1].beliefs, [0.7, 0.2], rtol=1e-6)

    def test_a_shorter_episode_stays_at_its_end(self):
        scrubber = EpisodeScrubber(
            {"long": rollout(), "short": rollout((1.0,))}, {"long": pictures(4), "short": pictures(2)}
        )
        assert len(scrubber) == 4
        assert scrubber.at(3)["short"].step == 1 and scrubber.at(3)["short"].end == "terminated"
        assert scrubber.describe("short", 3) == "short, after 1 steps: terminated, return 1"

    def test_a_second_episode_in_the_same_rollout_starts_counting_anew(self):
        data = torch.cat([rollout((1.0, 1.0)), rollout((5.0, 1.0))])
        totals = [EpisodeScrubber(data, pictures(4)).at(step)["episode"].total for step in range(4)]
        assert totals == [1.0, 2.0, 5.0, 6.0]

    @pytest.mark.parametrize("key", ["logits", "probs"])
    def test_a_distribution_is_shown_as_probabilities(self, key):
        probabilities = torch.tensor([[0.25, 0.75]]).expand(3, 2)
        data = rollout(**{key: probabilities.log() if key == "logits" else probabilities})
        np.testing.assert_allclose(EpisodeScrubber(data, pictures(3)).at(0)["episode"].beliefs, [0.25, 0.75], rtol=1e-6)

    def test_one_hot_actions_are_counted_and_real_ones_are_not(self):
        one_hot = EpisodeScrubber(rollout(action=torch.tensor([[0, 1], [1, 0], [0, 1]])), pictures(3))
        assert [one_hot.at(step)["episode"].action for step in range(3)] == [1, 0, 1]
        real = EpisodeScrubber(rollout(action=torch.tensor([[0.5], [1.5], [2.5]])), pictures(3))
        assert real.at(1)["episode"].action.tolist() == [1.5]
        assert "action 1.50" in real.describe("episode", 1)

    def test_what_a_recording_and_a_rollout_with_pixels_give_can_be_shown(self):
        recorded = record_episode("CartPole-v1", seed=3)
        scrubber = EpisodeScrubber(recorded.rollout, recorded.frames)
        last = scrubber.at(len(scrubber) - 1)["episode"]
        assert len(scrubber) == len(recorded.rewards) + 1 and last.total == recorded.total and last.end == "terminated"
        env = GymEnv("CartPole-v1", from_pixels=True, pixels_only=False)
        played = env.rollout(5)
        assert len(EpisodeScrubber(played)) == len(played) + 1

    def test_its_slider_moves_every_screen_and_the_line_in_the_curves(self):
        scrubber = EpisodeScrubber({"one": rollout(), "two": rollout()}, {"one": pictures(4), "two": pictures(4, 100)})
        controls, screens, chart = scrubber.widget.children
        before = [screen.value for screen in screens.children]
        controls.children[1].value = 2
        after = [screen.value for screen in screens.children]
        assert all("step 2: action 1, reward 1, 3 so far" in value for value in after)
        assert all(old != new for old, new in zip(before, after, strict=True)) and "marks step 2" in chart.value

    def test_its_names_stand_beside_the_numbers(self):
        data = rollout(action_value=torch.rand(3, 2))
        scrubber = EpisodeScrubber(data, pictures(3), observation_names=["angle"], action_names=["left", "right"])
        screen = scrubber.widget.children[1].children[0].value
        for words in ("Q-value of left", "Q-value of right", "angle", "observation 1", "action right"):
            assert words in screen
        assert screen.index("← taken") > screen.index("Q-value of right")

    def test_without_a_kernel_it_is_a_strip_of_frames_with_the_curves(self):
        scrubber = EpisodeScrubber(rollout(action_value=torch.rand(3, 2)), pictures(4))
        assert scrubber.html.count("<img") == 2 and "Q-value of the action taken over the steps" in scrubber.html
        assert scrubber.text == "Episodes: episode, after 3 steps: terminated, return 3."

    @pytest.mark.parametrize(
        ("data", "frames", "error", "words"),
        [
            ({"a": 1}, None, TypeError, "a int. Use env.rollout"),
            (rollout()[None], pictures(3), ValueError, r"has \[1, 3\]. Take one row: rollout\[0\]"),
            (rollout(), None, ValueError, "no frames. Record them with record_episode"),
            (rollout(), pictures(7), ValueError, "3 steps need as many frames, or one more for the end; there are 7"),
            (rollout(), pictures(3)[..., :2], ValueError, "1, 3 or 4 channels"),
            (rollout(), pictures(3) / 2.0 - 1, ValueError, "from -1 to 0 .*: which of them is black"),
            ({"a": rollout(), "b": rollout()}, pictures(3), ValueError, "under the same names as the rollouts: a, b"),
            ({"a": rollout()}, {"b": pictures(3)}, ValueError, "under the same names as the rollouts: a"),
        ],
    )
    def test_what_it_cannot_show_it_refuses_with_the_fix(self, data, frames, error, words):
        with pytest.raises(error, match=words):
            EpisodeScrubber(data, frames)


def power(base=0.5, exponent=2) -> View:
    return View(f"<b>{base**exponent:.3f}</b>", f"{base**exponent:.3f}")


class TestSliders:
    def test_each_parameter_gets_a_slider_that_starts_at_its_default(self):
        view = sliders(power, base=(0.0, 1.0), exponent=(1, 5))
        base, exponent, screen = view.widget.children
        assert isinstance(base, ipywidgets.FloatSlider) and (base.value, base.min, base.max) == (0.5, 0.0, 1.0)
        assert isinstance(exponent, ipywidgets.IntSlider) and exponent.value == 2
        assert (
            screen.value == "<b>0.250</b>" and "base = 0.5, exponent = 2" in view.html and view.html.startswith("<b>")
        )

    def test_turning_one_draws_again_with_all(self):
        base, exponent, screen = sliders(power, base=(0.0, 1.0, 0.5), exponent=(1, 5)).widget.children
        exponent.value = 3
        assert screen.value == "<b>0.125</b>"
        base.value = 1.0
        assert screen.value == "<b>1.000</b>"

    def test_an_error_while_turning_is_shown_not_swallowed(self):
        def fragile(n=1) -> View:
            return View(str(1 / (n - 2)), "")

        knob, screen = sliders(fragile, n=(1, 3)).widget.children
        knob.value = 2
        assert "ZeroDivisionError" in screen.value
        knob.value = 3
        assert screen.value == "1.0"

    def test_an_error_in_the_first_drawing_is_raised(self):
        with pytest.raises(ZeroDivisionError):
            sliders(lambda n=0: View(str(1 / n), ""), n=(0, 1))

    @pytest.mark.parametrize(
        ("draw", "ranges", "error", "words"),
        [
            (power, {"basis": (0, 1)}, TypeError, r"power needs a parameter basis with a default: def power\(basis="),
            (lambda n: None, {"n": (0, 1)}, TypeError, "needs a parameter n with a default"),
            (power, {"base": (0.6, 1.0)}, ValueError, "base=0.5 lies outside its slider, 0.6 to 1.0"),
            (lambda n=1: 3, {"n": (0, 1)}, TypeError, "returned int; end it with: return show_figure"),
        ],
    )
    def test_what_cannot_be_turned_is_refused(self, draw, ranges, error, words):
        with pytest.raises(error, match=words):
            sliders(draw, **ranges)


def arm(*solved_frames: int, failed: int = 0) -> dict:
    runs = [{"test_return": 500.0, "frames": frames} for frames in solved_frames]
    runs += [{"test_return": 90.0, "frames": 9_000}] * failed
    return {str(seed): {**run, "curve": [[256, 9.0], [run["frames"], 50.0]]} for seed, run in enumerate(runs)}


ARMS = {
    "the recipe": arm(*range(1_000, 6_000, 500)),
    "no brakes": arm(2_000, 4_000, failed=8),
    "no luck": arm(failed=10),
}


class TestBreakItLab:
    def test_it_counts_solved_runs_and_their_frames(self):
        lab = BreakItLab(ARMS, 475)
        assert [lab.solved(name) for name in ARMS] == [10, 2, 0]
        assert lab.solved_frames("no brakes") == [2_000, 4_000] and lab.bands("no brakes") == [(0, 3), (4, 7), (8, 10)]

    def test_the_verdict_compares_the_guess_with_what_happened(self):
        lab = BreakItLab(ARMS, 475)
        assert lab.verdict("no brakes", (0, 3)) == (
            "You were right: you expected 0 to 3, and with no brakes 2 of 10 were solved. "
            "Those took 3,000 frames (median); the recipe takes 3,250."
        )
        assert lab.verdict("no luck", (4, 7)) == (
            "A surprise: you expected 4 to 7, and with no luck 0 of 10 were solved."
        )

    def test_every_number_of_solved_seeds_lies_in_exactly_one_band(self):
        for count in (3, 5, 10, 30):
            lab = BreakItLab({"whole": arm(1), "broken": arm(*[1] * count)}, 475)
            for solved in range(count + 1):
                assert sum(low <= solved <= high for low, high in lab.bands("broken")) == 1

    def test_predict_then_see(self):
        choice, guess, buttons, answer, _ = BreakItLab(ARMS, 475).widget.children
        (reveal,) = buttons.children  # nothing to train with
        assert reveal.disabled and guess.value is None and answer.value == ""
        guess.value = (4, 7)
        assert not reveal.disabled
        reveal.click()
        assert "A surprise" in answer.value and "no brakes: 2 of 10 solved." in answer.value
        choice.value = "no luck"
        assert reveal.disabled and guess.value is None and answer.value == ""

    def test_one_can_be_trained_here(self):
        trained = []

        def run_one(name, watch):
            trained.append(name)
            watch(256, validation=37.0)

        *_, buttons, _, screen = BreakItLab(ARMS, 475, run_one).widget.children
        run = buttons.children[1]
        run.click()
        assert trained == ["no brakes"] and "validation 37" in screen.value and not run.disabled

    def test_an_error_while_training_is_shown(self):
        *_, buttons, _, screen = BreakItLab(ARMS, 475, lambda name, watch: 1 / 0).widget.children
        buttons.children[1].click()
        assert "ZeroDivisionError" in screen.value and not buttons.children[1].disabled

    def test_without_a_kernel_the_results_stand_below_a_fold(self):
        lab = BreakItLab(ARMS, 475)
        assert lab.html.startswith("<details><summary>Your prediction first") and "no luck: 0 of 10 solved." in lab.html

    @pytest.mark.parametrize("arms", [{}, {"whole": arm(1)}, {"whole": arm(1), "broken": {}}])
    def test_it_needs_something_to_compare(self, arms):
        with pytest.raises(ValueError, match="A lab compares"):
            BreakItLab(arms, 475)


def test_stored_results_are_found_and_missing_ones_listed():
    assert "ablations" in load_results("07_dqn")["runs"]
    with pytest.raises(FileNotFoundError, match="no results '99_flying'; there are: .*07_dqn"):
        load_results("99_flying")


def test_a_figure_can_be_turned():
    import matplotlib.pyplot as plt

    def line(slope=1.0):
        figure, axes = plt.subplots()
        axes.plot([0, slope])
        return show_figure(figure, f"slope {slope:.1f}")

    knob, screen = sliders(line, slope=(0.0, 2.0, 0.5)).widget.children
    knob.value = 2.0
    assert 'alt="slope 2.0"' in screen.value and plt.get_fignums() == []


def test_four_broken_recipes_leave_no_empty_panel_in_the_overview(monkeypatch):
    drawn = []
    keep = break_it_lab.show_figure
    monkeypatch.setattr(break_it_lab, "show_figure", lambda figure, alt: drawn.append(figure) or keep(figure, alt))
    more = {**ARMS, "no target": ARMS["no luck"], "no memory": ARMS["no brakes"]}
    break_it_lab.BreakItLab(more, 475)
    assert [axes.get_title().split(":")[0] for axes in drawn[0].axes] == [*more][1:]
