"""The decks as they are written: pictures with words, code that is the lesson's. As they are built: test_site.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT
from decks import slides_of

from tools import slides

DECKS = slides.decks()
LESSON_DECKS = [deck for deck in DECKS if (ROOT / "lessons" / f"{deck.stem}.py").exists()]


def by_name(deck: Path) -> str:
    return deck.stem


@pytest.mark.parametrize("deck", DECKS, ids=by_name)
def test_every_slide_has_a_title_and_tells_the_speaker_what_to_say_and_how_long(deck):
    assert 8 <= len(slides_of(deck)) <= 15
    for number, page in enumerate(slides_of(deck), 1):
        assert re.search(r"^# \S", page, flags=re.MULTILINE), f"slide {number} has no title"
        notes = " ".join(re.findall(r"<!--(.*?)-->", page, flags=re.DOTALL))
        assert re.search(r"^Minutes: [\d.]+$", notes, flags=re.MULTILINE) and "Say:" in notes, f"slide {number}"


@pytest.mark.parametrize("deck", DECKS, ids=by_name)
def test_a_deck_asks_the_room_at_least_three_questions(deck):
    assert deck.read_text().count("\nAsk:") >= 3


@pytest.mark.parametrize("deck", DECKS, ids=by_name)
def test_every_picture_is_there_and_has_words(deck):
    expanded = slides.expand(deck.read_text())
    assert expanded.count("<img") >= 1 and "](figures/" not in expanded and "](notebook:" not in expanded
    assert not re.search(r"style=\"[^\"]*\">\)", expanded), "the words that find a cell must hold no closing bracket"
    assert re.findall(r"<img[^>]*>", expanded) == re.findall(r'<img src="data:[^"]+" alt="[^"]+"[^>]*>', expanded)


def flat(code: str) -> str:
    """Code without its indentation: a slide may show the inside of a function."""
    return "\n".join(line.strip() for line in code.strip().splitlines() if line.strip())


@pytest.mark.parametrize("deck", LESSON_DECKS, ids=by_name)
def test_code_on_slides_is_the_lessons_own(deck):
    lesson = flat((ROOT / "lessons" / f"{deck.stem}.py").read_text())
    for block in re.findall(r"```python\n(.*?)```", deck.read_text(), flags=re.DOTALL):
        for piece in re.split(r"^\s*# \.\.\.$", block, flags=re.MULTILINE):  # a line "# ..." leaves something out
            assert flat(piece) in lesson, f"not in the lesson:\n{piece}"


def test_there_is_a_deck_for_every_lesson_of_the_core_track_an_opening_and_a_closing():
    names = [deck.stem for deck in DECKS]
    lessons = [lesson.stem for lesson in sorted((ROOT / "lessons").glob("*.py"))]
    assert names == ["00_opening", *lessons[1:], "99_closing"]


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ("![](notebook:nowhere#x)", "no notebooks/nowhere.ipynb"),
        ("![](notebook:02_tensordict#there is no such cell)", "0 code cells match"),
        ("![](notebook:02_tensordict#import)", "it takes exactly one"),
        ("![](notebook:02_tensordict#data = env.rollout(6))", "shows no picture"),
        ("![](figures/nothing.svg)", "there is no such"),
        ("![w:300](figures/loop.svg)", "no alternative text"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_named_with_the_fix(picture, words):
    with pytest.raises(slides.SlideError, match=re.escape(words)):
        slides.expand(picture)
