"""The timeline: rows, repetitions, what is missing where, and words that cannot break the page."""

from __future__ import annotations

from course_utils.views.timeline import Moment, timeline


def moments(words: str) -> list[Moment]:
    return [Moment(kind, kind) for kind in words.split()]


def test_what_repeats_is_written_once_and_turns_that_are_alike_share_a_row():
    turn = "collect store " + "sample loss backward step " * 3
    view = timeline(moments(turn * 4 + "shutdown"))
    assert view.text.splitlines() == [
        "   turns 1-4  collect  store  [sample > loss > backward > step] x 3",
        "         end  shutdown",
        "- Nothing is missing.",
    ]
    assert "&times; 3" in view.html


def test_what_is_missing_stands_where_it_belongs_in_each_update():
    view = timeline(
        moments("collect store sample loss backward step sample loss backward step"), ["Sad."], ["zero_grad"]
    )
    assert "[sample > loss > (zero_grad is missing) > backward > step] x 2" in view.text
    assert view.html.count("dashed") == 1 and "zero_grad is missing" in view.html and "- Sad." in view.text


def test_a_missing_end_gets_a_row_of_its_own_and_a_missing_beginning_too():
    view = timeline(moments("store loss"), missing=["collect", "shutdown"])
    assert "(collect is missing)" in view.text and "(shutdown is missing)" in view.text.splitlines()[-2]


def test_what_is_wrong_is_marked_in_words_and_not_by_colour_alone():
    view = timeline([Moment("collect", "collect 3"), Moment("target", "target", "wrong")])
    assert "!target!" in view.text and "✘</span> wrong: target" in view.html


def test_many_turns_are_cut_and_the_last_is_shown():
    view = timeline(moments(" ".join("collect " + "store " * number for number in range(1, 31))))
    assert "..." in view.text and "turn 30" in view.text and view.text.count("turn ") == 9


def test_words_are_escaped_and_code_is_marked():
    view = timeline(moments("collect"), ["`a < b` & <script>"])
    assert "<code>a &lt; b</code> &amp; &lt;script&gt;" in view.html and "<script>" not in view.html
