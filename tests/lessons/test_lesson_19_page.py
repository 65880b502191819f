"""Lesson 19, part two: its cells run without the other parts, and a copy that plays well can be another agent."""

from __future__ import annotations

import pytest

from benchmarks.lesson_code import code_cells, run_code
from course_utils.views.play_page import MARK

FIRST, LAST = "from course_utils import load_weights", "print(play_page(Board(first_free)"


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """What the part's cells define, after the header's and nothing else."""
    sources = [cell.source for cell in code_cells("19_take_it_along")]
    start = next(source for source in sources if "seed_everything(seed)" in source)
    first, last = (next(n for n, source in enumerate(sources) if words in source) for words in (FIRST, LAST))
    folder = tmp_path_factory.mktemp("lesson")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = run_code("\n".join([start, *sources[first : last + 1]]), seed=0)
    return found | {"folder": folder}


def test_the_part_stands_alone_and_writes_its_pages(space):
    written = {path.name: path.read_text() for path in space["folder"].iterdir()}
    assert written.keys() == {"my_agent.html", "board.html"}, "no page for the agent with a memory"
    assert all(text.startswith(f"<!-- {MARK}") for text in written.values())
    assert written["my_agent.html"] == space["page"].page


def test_the_page_is_small_enough_for_a_notebook(space):
    assert len(space["page"].html) < 500_000


def test_what_the_text_shows_of_the_page_is_the_whole_forward_pass(space):
    assert "function linear(" in space["script"] and "function think(" in space["script"]
    assert "default-src 'none'" in space["page"].page


def test_one_wrong_copy_falls_and_the_other_plays_a_whole_episode(space):
    stays, apart = space["stays"], space["apart"]
    assert stays["no factor 5"] < 100 and stays["LeakyReLU"] == stays["the agent"] == 500
    assert apart["the agent"] == 0 < apart["LeakyReLU"] < apart["no factor 5"]
