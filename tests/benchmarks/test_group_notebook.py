"""The whole of lesson 07, over seeds."""

from __future__ import annotations

import numpy as np
from made_up_results import arms, made_up_arm, share_solved, told


def test_lesson_07_solves_cartpole_on_at_least_nine_of_ten_seeds_and_resumes_exactly():
    acts = arms("notebook")
    assert share_solved(acts["act two"]) >= 0.9
    assert all(run["resumes"] for run in acts["act two"].values())
    assert share_solved(acts["act one"]) == 0, "act one says it is not solved"
    frames = [run["frames"] for run in acts["act two"].values()]
    assert len(frames) == 30 and np.median(frames) < 3_000 and np.percentile(frames, 90) > 6_000, "as the lesson says"


def test_answers_are_computed(tmp_path):
    act_two = made_up_arm(np.linspace(1.5, 6, 30), failed={29})
    made_up = {"act one": made_up_arm([8] * 30, failed=set(range(30))), "act two": act_two}
    text = told(tmp_path, "notebook", made_up)
    assert "Act one solves it on 0 of 30 seeds; act two solves it on 29 of 30 seeds, the median run after" in text
    assert "act two: 29 of 30 runs solved" in text[text.index("![") : text.index("](benchmark/notebook.svg)")]
