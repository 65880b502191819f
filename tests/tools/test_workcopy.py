"""The learner's copy: new lessons arrive, nothing of theirs is ever lost."""

from __future__ import annotations

import json

import nbformat
import pytest

from tools import workcopy

V4 = nbformat.v4


def write_lesson(folder, text, name="01_x.ipynb", outputs=True):
    code = V4.new_code_cell(text, id="a", execution_count=1 if outputs else None)
    if outputs:
        code.outputs = [V4.new_output("stream", text="hello")]
    folder.mkdir(exist_ok=True)
    nbformat.write(V4.new_notebook(cells=[code, V4.new_markdown_cell("words", id="b")]), folder / name)


def edit(path, text):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = text
    nbformat.write(notebook, path)


def first_cell(path):
    return nbformat.read(path, as_version=4).cells[0]


@pytest.fixture
def place(tmp_path):
    """A function that publishes an edition of the lesson and updates the copy."""

    def publish(text):
        write_lesson(tmp_path / "notebooks", text)
        return [change.words for change in workcopy.update(tmp_path / "notebooks", tmp_path / "work")]

    publish.work = tmp_path / "work"
    publish.copy = tmp_path / "work" / "01_x.ipynb"
    return publish


def names(work):
    return sorted(path.name for path in work.glob("*.ipynb"))


def test_missing_notebooks_are_copied_without_outputs(place):
    assert place("one") == ["copied for you"]
    cell = first_cell(place.copy)
    assert (cell.source, cell.outputs, cell.execution_count) == ("one", [], None)


def test_nothing_happens_when_nothing_is_new(place):
    place("one")
    before = place.copy.read_bytes()
    assert place("one") == [] and place.copy.read_bytes() == before


def test_an_untouched_copy_follows_a_new_edition(place):
    place("one")
    assert place("two") == ["brought up to date (you had not touched it)"]
    assert first_cell(place.copy).source == "two" and names(place.work) == ["01_x.ipynb"]


def test_what_jupyterlab_writes_on_saving_is_no_touch(place):
    place("one")
    notebook = nbformat.read(place.copy, as_version=4)
    notebook.metadata["language_info"] = {"name": "python", "version": "3.11.7"}
    notebook.cells[0].id = "other"
    nbformat.write(notebook, place.copy)
    assert place("two") == ["brought up to date (you had not touched it)"]


@pytest.mark.parametrize("touch", ["source", "output"])
def test_a_touched_copy_stays_and_the_new_edition_lies_beside_it(place, touch):
    place("one")
    if touch == "source":
        edit(place.copy, "mine")
    else:
        notebook = nbformat.read(place.copy, as_version=4)
        notebook.cells[0].outputs = [V4.new_output("stream", text="an hour of training")]
        nbformat.write(notebook, place.copy)
    before = place.copy.read_bytes()
    assert place("two") == ["is the new edition; your own 01_x.ipynb stays as it is"]
    assert place.copy.read_bytes() == before
    assert names(place.work) == ["01_x.ipynb", "01_x.new-edition.ipynb"]
    assert first_cell(place.work / "01_x.new-edition.ipynb").source == "two"


def test_an_edition_is_laid_beside_only_once(place):
    place("one")
    edit(place.copy, "mine")
    place("two")
    (place.work / "01_x.new-edition.ipynb").unlink()  # read and thrown away
    assert place("two") == [] and names(place.work) == ["01_x.ipynb"]


def test_a_touched_new_edition_is_kept_too(place):
    place("one")
    edit(place.copy, "mine")
    place("two")
    edit(place.work / "01_x.new-edition.ipynb", "mine as well")
    place("three")
    assert names(place.work) == ["01_x.ipynb", "01_x.new-edition-2.ipynb", "01_x.new-edition.ipynb"]
    assert first_cell(place.work / "01_x.new-edition.ipynb").source == "mine as well"
    assert first_cell(place.work / "01_x.new-edition-2.ipynb").source == "three"


def test_an_untouched_new_edition_follows(place):
    place("one")
    edit(place.copy, "mine")
    place("two")
    place("three")
    assert names(place.work) == ["01_x.ipynb", "01_x.new-edition.ipynb"]
    assert first_cell(place.work / "01_x.new-edition.ipynb").source == "three"


def test_a_touched_copy_of_the_present_edition_is_left_in_peace(place):
    place("one")
    edit(place.copy, "mine")
    assert place("one") == [] and names(place.work) == ["01_x.ipynb"]


def test_files_of_the_learner_that_were_there_before_are_never_overwritten(place):
    place.work.mkdir()
    place.copy.write_text("my own notes, no notebook at all")
    assert place("one") == ["is the new edition; your own 01_x.ipynb stays as it is"]
    assert place.copy.read_text() == "my own notes, no notebook at all"


@pytest.mark.parametrize("broken", ["{", "[]", '{"01_x.ipynb": 3}', "\xff"])
def test_a_broken_record_is_set_aside_and_no_copy_is_overwritten(place, broken):
    place("one")
    edit(place.copy, "mine")
    (place.work / workcopy.RECORD).write_text(broken, encoding="latin-1")
    words = place("two")
    assert words[0].startswith("could not be read and was set aside")
    assert len(list(place.work.glob(f"{workcopy.RECORD}.broken-*"))) == 1
    assert first_cell(place.copy).source == "mine"
    assert json.loads((place.work / workcopy.RECORD).read_text())


def test_a_missing_record_does_not_make_touched_copies_untouched(place):
    place("one")
    edit(place.copy, "mine")
    (place.work / workcopy.RECORD).unlink()
    place("two")
    assert first_cell(place.copy).source == "mine"


def test_no_drafts_are_left(place):
    place("one")
    place("two")
    assert sorted(path.name for path in place.work.iterdir()) == [workcopy.RECORD, "01_x.ipynb"]
