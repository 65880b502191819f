"""What the site carries for assistants: every lesson as plain Markdown, and the list of them."""

from __future__ import annotations

import re

import jupytext
import pytest

from tools import plain
from tools.course import README, lessons


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    plain.write(folder)
    return folder


def test_the_list_leads_to_every_lesson_and_each_says_what_it_was_run_with(written):
    text = (written / "llms.txt").read_text()
    assert text.startswith("# ") and "\n> " in text
    places = re.findall(r"\]\(([^)]+)\)", text)
    assert len(places) == len(lessons())
    for place in places:
        page = (written / place).read_text()
        assert re.match(r"\*Run with torch \d+\.\d+\.\d+, torchrl \d+\.\d+\.\d+, tensordict ", page)


def test_no_solution_and_no_picture_is_in_them_and_all_else_is(written):
    for lesson in lessons():
        page = (written / plain.FOLDER / f"{lesson.stem}.md").read_text()
        assert "data:image" not in page and "install_missing" not in page
        for cell in jupytext.read(lesson, fmt="py:percent").cells:
            if cell.cell_type == "code":
                solution = "solution" in cell.metadata.get("tags", [])
                assert (f"```python\n{cell.source}\n```" in page) != solution, f"{lesson.stem}: {cell.source[:80]}"


def test_the_title_is_the_readmes(written):
    title = (written / "llms.txt").read_text().splitlines()[0]
    assert title == README.read_text().splitlines()[0]
