"""What each part of the recipe is worth."""

from __future__ import annotations

import numpy as np
from made_up_results import arms, made_up_arm, median, share_solved, times_the, told

from benchmarks.figures import FRAMES, TRAINING
from benchmarks.groups import ablations
from benchmarks.groups.ablations import NO_CHANGE


def test_the_ablations_are_the_switches_of_the_lesson():
    assert list(arms("ablations")) == ablations.switches()
    for runs in arms("ablations").values():
        assert all({"test_return", "frames", "seconds", "curve"} <= set(run) for run in runs.values())


def test_the_lessons_words_about_each_change_hold():
    found = arms("ablations")
    recipe = found[NO_CHANGE]
    assert share_solved(recipe) == 1
    scale = found["no input scale"]
    assert 0.3 <= share_solved(scale) <= 0.7 and times_the(scale, recipe, FRAMES) > 3, "about half, and slowly"
    greedy = found["no exploration"]
    assert share_solved(greedy) >= 0.8 and 1.6 < times_the(greedy, recipe, FRAMES) < 2.8, "arrives, at twice the cost"
    plain = found["no failure reward"]
    quick = [run["frames"] <= 1.2 * median(recipe, FRAMES) for run in plain.values()]
    assert share_solved(plain) < 1 and 0.4 <= np.mean(quick) <= 0.7, "half are as quick, some never arrive"
    for name in ("no target network", "no replay"):
        assert share_solved(found[name]) >= 0.9 and times_the(found[name], recipe, FRAMES) <= 1.5, "not missed"
    one = found["one environment"]
    assert share_solved(one) == 1 and times_the(one, recipe, FRAMES) <= 1.5, "no more frames"
    per_frame = [median(runs, TRAINING) / median(runs, FRAMES) for runs in (one, recipe)]
    assert per_frame[0] > 1.2 * per_frame[1], "more time to play them"


def test_answers_are_computed(tmp_path):
    made_up = {
        NO_CHANGE: made_up_arm(np.linspace(1.5, 5, 10)),
        "no replay": made_up_arm([*np.linspace(2, 9, 6), 20, 20, 20, 20], failed={6, 7, 8, 9}),
        "no input scale": made_up_arm([20] * 10, failed=set(range(10))),
    }
    text = told(tmp_path, "ablations", made_up)
    assert "The whole recipe solves it on 10 of 10 seeds, the median run after 3,250 frames." in text
    assert "no replay: 6 of 10, 2.6 times the frames; no input scale: 0 of 10." in text
    row = "| no input scale | 0 of 10 | 0 % to 28 % | 100.0, 100.0 to 100.0 | 100.0 | not reached | not reached |"
    assert row in text
    words = "no input scale: 0 of 10 runs solved, returns from 100 to 100, medians to solve: frames not reached"
    assert words in text[text.index("![") : text.index("](benchmark/ablations.svg)")]
