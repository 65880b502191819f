"""When compiling an update pays."""

from __future__ import annotations

from made_up_results import arms, told

from benchmarks.groups.compile import SETTINGS, break_even, medians

ACT_ONE = 3_500  # updates


def made_up(wait: float, cached: float, eager: float, compiled: float) -> dict[str, dict]:
    facts = {"compile_seconds": wait, "cached_seconds": cached}
    return {"0": facts | {"eager_milliseconds": eager, "compiled_milliseconds": compiled}}


def test_the_lessons_words_hold():
    found = {arm: medians(runs) for arm, runs in arms("compile").items()}
    own = found["as in the lesson"]
    assert list(found) == list(SETTINGS)
    assert 2 * ACT_ONE < break_even(own) < 50_000, "neither act gets to the point, and the figure shows it"
    assert break_even(found["batches of 4,096"]) < 0.5 * break_even(own), "with large batches it comes earlier"
    assert break_even(found["width 1,024"]) > 0.5 * break_even(own), "with a wider network hardly"
    assert own["compiled_milliseconds"] < own["eager_milliseconds"], "later updates are quicker"
    assert 1 < own["cached_seconds"] < 0.7 * own["compile_seconds"], "the next start waits less, but not nothing"


def test_answers_are_computed(tmp_path):
    text = told(tmp_path, "compile", {"as in the lesson": made_up(30, 8, 2.5, 1.5), "wide": made_up(40, 9, 20, 21)})
    assert (
        "an update takes 2.5 ms, compiled 1.5 ms, after 30 core seconds of compiling: it pays after some 30,000" in text
    )
    assert "| wide | 40.0 | 9.0 | 20.00 | 21.00 | never |" in text
    assert "the median of 1 repeat." in text


def test_what_never_pays_is_told_so(tmp_path):
    text = told(tmp_path, "compile", {"as in the lesson": made_up(30, 8, 2.5, 2.6)})
    assert "a compiled update is no quicker: it never pays." in text
