"""The committed notebooks are what `make notebooks` makes of the lessons, and fit to be looked at."""

from __future__ import annotations

import re
from urllib.parse import unquote

import jupytext
import nbformat
import pytest
from conftest import ROOT

from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.exercise import Build
from tools import course
from tools import notebooks as builder

LESSONS = builder.lessons()
NOTEBOOKS = [builder.NOTEBOOKS / f"{lesson.stem}.ipynb" for lesson in LESSONS]


def by_name(path):
    return path.stem


@pytest.fixture(params=NOTEBOOKS, ids=by_name)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_notebook_equals_its_lesson_and_is_executed(lesson):
    assert builder.is_current(lesson), "run `make notebooks` and commit what it wrote"


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_two_builds_are_byte_identical(lesson):
    assert nbformat.writes(builder.generate(lesson)) == nbformat.writes(builder.generate(lesson))


def test_no_notebook_without_a_lesson():
    assert {path.name for path in builder.NOTEBOOKS.glob("*.ipynb")} == {path.name for path in NOTEBOOKS}


def test_a_cell_keeps_its_id_when_another_one_is_inserted(tmp_path):
    lesson = tmp_path / "05_x.py"
    text = LESSONS[0].read_text().replace("{{next title}}", "").replace("{{next file}}", "")
    lesson.write_text(text)
    before = [cell.id for cell in builder.generate(lesson).cells]
    first_code = text.index("# %%\n")
    lesson.write_text(text[:first_code] + "# %%\nnew = 1\n\n" + text[first_code:])
    after = [cell.id for cell in builder.generate(lesson).cells]
    assert len(after) == len(before) + 1
    assert [name for name in after if name in before] == before


def test_a_notebook_that_differs_from_its_lesson_is_found(tmp_path, monkeypatch):
    lesson = LESSONS[0]
    built = nbformat.read(builder.NOTEBOOKS / f"{lesson.stem}.ipynb", as_version=4)
    built.cells[-1].source += " "
    nbformat.write(built, tmp_path / f"{lesson.stem}.ipynb")
    monkeypatch.setattr(builder, "NOTEBOOKS", tmp_path)
    assert not builder.is_current(lesson)


def test_a_header_that_lacks_something_is_named(tmp_path):
    lesson = tmp_path / "05_x.py"
    lesson.write_text("# ---\n# jupyter:\n#   course:\n#     title: A\n# ---\n\n# %%\n1\n")
    with pytest.raises(builder.LessonError, match="no objectives and no prerequisites and no minutes"):
        builder.generate(lesson)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (nbformat.v4.new_output("stream", name="stderr", text="Warning"), "stderr"),
        (nbformat.v4.new_output("stream", text=f"saved in {ROOT}/x"), "a path"),
        (nbformat.v4.new_output("execute_result", data={"text/plain": "<A at 0x7f0123456789>"}), "memory address"),
    ],
)
def test_unfit_outputs_are_refused(output, words):
    assert words in builder.unfit(nbformat.v4.new_code_cell("x", outputs=[output]))[0]


def test_of_a_widget_the_picture_stays():
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/html": "<img>", "text/plain": "x"}
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("execute_result", data=data)])
    builder.drop_widgets(cell)
    assert cell.outputs[0].data == {"text/html": "<img>", "text/plain": "x"}


def test_outputs_are_clean(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert builder.unfit(cell) == []
            assert "execution" not in cell.metadata
            assert not any(output.output_type == "error" for output in cell.outputs)
            assert not any("widget" in kind for output in cell.outputs for kind in output.get("data", {}))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_notebooks_are_small(path):
    assert path.stat().st_size <= builder.MAX_BYTES


def test_cell_ids_are_valid_and_unique(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in ids)


def test_cells_are_short(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            longest = 40 if "solution" in cell.metadata.get("tags", []) else 25  # folded, and some build a whole class
            assert len(cell.source.splitlines()) <= longest, cell.source


def test_solutions_are_folded_in_jupyterlab_and_colab(notebook):
    solutions = [cell for cell in notebook.cells if "solution" in cell.metadata.get("tags", [])]
    assert solutions
    for cell in solutions:
        assert cell.metadata["jupyter"]["source_hidden"] is True
        assert cell.metadata["cellView"] == "form"
        assert cell.source.startswith("# @title")


@pytest.mark.parametrize("lesson", LESSONS[:2], ids=by_name)
def test_the_set_up_is_folded_and_says_what_it_is(lesson):
    cell = builder.generate(lesson).cells[1]
    assert "setup" in cell.metadata["tags"] and cell.source.startswith("# @title Set-up: run this first")
    assert cell.metadata["jupyter"]["source_hidden"] is True and cell.metadata["cellView"] == "form"
    assert len(cell.source.splitlines()) <= 20


def said(cell) -> str:
    """What a cell printed and showed, as text."""
    return "\n".join(out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", []))


def test_every_solution_that_is_checked_is_right(notebook):
    solutions = [cell for cell in notebook.cells if "solution" in cell.metadata.get("tags", [])]
    for cell in solutions:
        assert not re.search(r": (not yet|could not run|not attempted)$", said(cell), re.MULTILINE), cell.source
        assert ("this is the course's solution" in said(cell)) == bool(
            re.search(r"^check\(", cell.source, re.MULTILINE)
        )


def test_headings_nest_without_jumps(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_every_picture_has_alternative_text(notebook):
    pictures = 0
    for cell in notebook.cells:
        texts = [cell.source] if cell.cell_type == "markdown" else []
        for output in cell.get("outputs", []):
            assert "image/png" not in output.get("data", {}), "show figures with show_figure(figure, alt)"
            texts.append(output.get("data", {}).get("text/html", ""))
        for text in texts:
            pictures += len(re.findall(r"<img|<video|!\[", text))
            assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img[^>]*>", text))
            assert all(re.search(r'aria-label="[^"]+"', tag) for tag in re.findall(r"<video[^>]*>", text))
            assert not re.search(r"!\[\s*\]\(", text)
    assert pictures


def test_nothing_is_fetched_to_look_at_a_notebook(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert not re.search(r'src="(?!data:)', output.get("data", {}).get("text/html", ""))
        assert not re.search(r"!\[[^\]]*\]\((?!data:)", cell.source)


def local_target(link: str, folder):
    """The file a link means, if it means one of this repository; None for foreign addresses and anchors."""
    if link.startswith(("http:", "https:", "#", "data:", "mailto:")):
        return None
    return folder / unquote(link.split("#")[0])


def links_of(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'href="([^"]+)"', text)


def test_links_of_notebooks_point_to_files_that_exist(notebook):
    found = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for target in filter(None, (local_target(link, builder.NOTEBOOKS) for link in links_of(cell.source))):
                found += 1
                assert target.exists(), target
    assert found >= 1, "each notebook links at least the glossary"


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EMPHASIS = {
    "Shift+Enter",
    "mean",
    "set",
    "explores",
    "not",
    "class",
    "script",
    "three",
    "input scale",
    "Exploration",
    "reward",
    "replay",
}


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_every_term_a_lesson_introduces_in_bold_is_in_the_glossary(lesson):
    cells = [cell.source for cell in jupytext.read(lesson, fmt="py:percent").cells if cell.cell_type == "markdown"]
    bold = set(re.findall(r"(?<!\*)\*\*([^*\n]+)\*\*(?!\*)", "\n".join(cells))) - EMPHASIS
    terms = {words for words in bold if len(words.split()) <= 2 and not words.endswith((":", "."))}
    assert not {words.strip("`").lower() for words in terms} - set(course.glossary())


def test_a_term_leads_to_its_explanation_at_its_first_use_only():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("A **TD error**, **word**, **TD error**.")]
    )
    builder.link_terms(notebook)
    address = "../docs/glossary.md#td-error"
    assert notebook.cells[0].source == f"A [**TD error**]({address}), **word**, **TD error**."


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_links_of_documents_point_to_files_that_exist(path):
    for target in filter(None, (local_target(link, path.parent) for link in links_of(path.read_text()))):
        assert target.exists(), target


def test_the_readme_shows_the_course_map_of_the_lessons():
    text = builder.README.read_text()
    assert builder.readme(text) == text, "run `make notebooks`"
    assert all(path.name in text for path in NOTEBOOKS)


@pytest.mark.parametrize("lesson", LESSONS, ids=by_name)
def test_exercises_come_with_hint_stub_and_solution(lesson):
    cells = jupytext.read(lesson, fmt="py:percent").cells
    numbers = {tag: [] for tag in ("exercise", "solution")}
    for cell in cells:
        for tag in numbers:
            if tag in cell.metadata.get("tags", []):
                numbers[tag] += re.findall(r'check\("([\d.]+)"', cell.source)
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headed = re.findall(r"^### Exercise ([\d.]+): .+\(\d+ min\)$", text, flags=re.MULTILINE)
    assert headed == numbers["exercise"] == numbers["solution"]
    found = exercises_of(lesson.stem[:2])
    built = [number for number in headed if isinstance(found[number], Build)]
    assert text.count("<summary>Hint</summary>") == len(headed) - len(built)
    assert text.count("<summary>Hint 1") == len(built) and text.count("<summary>Hint 2") == len(built), (
        "one after other"
    )
