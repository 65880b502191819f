"""A card tells its outcomes apart, and shows what a learner wrote as it was written."""

from __future__ import annotations

import itertools
import re

import pytest
from jupyter_client.manager import start_new_kernel

from course_utils import check
from course_utils.exercises.card import LOOKS, card, marked_up
from course_utils.exercises.checking import Result
from course_utils.exercises.progress import COPIES_RECORD


def luminance(colour: str) -> float:
    """As WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_outcomes_differ_in_colour_sign_and_word():
    for one, other in itertools.combinations(LOOKS.values(), 2):
        assert one.sign != other.sign and one.words != other.words and one.colour != other.colour


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_black_can_be_read_on_each_colour(look):
    assert (luminance(look.colour) + 0.05) / 0.05 >= 4.5
    assert f"background:{look.colour};color:#000" in card("1.1", look, "words")


def test_code_and_emphasis_are_shown_as_such():
    assert marked_up("take `a * b * c`, *not* 2 * 3 * 4") == "take <code>a * b * c</code>, <em>not</em> 2 * 3 * 4"
    assert marked_up("f(*args, **kwargs)") == "f(*args, **kwargs)"


@pytest.mark.parametrize("words", ["<script>x</script>", "`<b>`", "*<i>*"])
def test_everything_else_is_escaped(words):
    assert not re.search(r"<(script|b|i)>", Result("1.1", "not yet", words).html)
    assert "<script>" not in card("<script>", LOOKS["correct"], "")


def test_the_name_of_an_error_is_escaped():
    error = type("<img src=x onerror=alert(1)>", (Exception,), {})

    def answer(reward, done):
        raise error("x")

    result = check("7.1", answer)
    assert result.status == "could not run" and "<img" not in result.html and "<img" in result.text


def test_the_number_may_be_a_number():
    assert check(0.1, lambda returns: returns.mean() >= 475).status == "correct"
    assert check(["0.1"], 1).feedback == "There is no exercise \"['0.1']\"; lesson ['0 has: none."
    assert check(7.9, 1).feedback.endswith('has: "7.1", "7.2", "7.3", "7.4", "7.5".')


ANSWER = "from course_utils import check\nresult = check('0.1', lambda returns: returns.mean() >= 475)\nprint(result)"


def said_in_a_kernel(folder, *cells: str) -> list[str]:
    manager, kernel = start_new_kernel(cwd=str(folder))
    told: list[str] = []
    try:
        for cell in cells:
            told.append("")

            def hear(message):
                told[-1] += message["content"].get("text", "")

            kernel.execute_interactive(cell, timeout=120, output_hook=hear)
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
    return told


def test_a_solution_says_that_it_is_one_and_a_stranger_hears_once_that_nothing_is_kept(tmp_path):
    stub = ANSWER.replace("lambda returns: returns.mean() >= 475", "...")
    solution, gap, first, second = said_in_a_kernel(
        tmp_path, f"# @title Solution (unfold to read)\n{ANSWER}", stub, ANSWER, ANSWER
    )
    assert "this is the course's solution" in solution and "correct" not in solution.splitlines()[0]
    assert "Progress is not kept here" not in solution + gap
    assert "Progress is not kept here" in first and "Progress is not kept here" not in second


def test_in_the_learners_folder_nothing_is_said_of_it(tmp_path):
    (tmp_path / COPIES_RECORD).write_text("{}")
    assert "Progress is not kept here" not in said_in_a_kernel(tmp_path, ANSWER)[0]
