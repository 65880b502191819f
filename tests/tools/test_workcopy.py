"""The learner's copy: new lessons arrive, nothing of theirs is ever lost."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from pathlib import Path

import nbformat
import pytest
from broken_machine import NOBODY, disk_full_after, never_written_to, rights_of_nobody

from tools import course, workcopy

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


def test_links_to_the_published_repository_lead_to_the_files_beside_the_copy(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "glossary.md").touch()
    somewhere = course.Publication("https://example.org/owner/name", "0123abcd" * 5)
    (tmp_path / course.PUBLICATION.name).write_text(json.dumps(vars(somewhere)))
    for publish in (somewhere, course.Publication(somewhere.address, "4567cdef" * 5)):
        words = f"a [term]({publish.page('docs/glossary.md')}#term), [Colab]({publish.address}/tree/main)"
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        notebook = V4.new_notebook(cells=[V4.new_markdown_cell(words, id="a")])
        nbformat.write(notebook, tmp_path / "notebooks" / "01_x.ipynb")
        changes = workcopy.update(tmp_path / "notebooks", tmp_path / "work")
        assert (
            first_cell(tmp_path / "work" / "01_x.ipynb").source
            == f"a [term](../docs/glossary.md#term), [Colab]({publish.address}/tree/main)"
        )
        assert (tmp_path / "work" / "../docs/glossary.md").exists()
    assert changes == [], "the next release has other addresses and is no new edition"


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


def test_a_pipe_in_the_place_of_the_record_holds_nobody_up(place):
    place.work.mkdir()
    with never_written_to(place.work / workcopy.RECORD):
        assert place("one")[0].startswith("could not be read and was set aside")
    assert first_cell(place.copy).source == "one"


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


def note(path, what):
    """Edit nothing but metadata, as JupyterLab's panel for it does."""
    notebook = nbformat.read(path, as_version=4)
    if what == "a tag":
        notebook.cells[0].metadata["tags"] = ["ask in class"]
    elif what == "a slide":
        notebook.cells[1].metadata["slideshow"] = {"slide_type": "slide"}
    elif what == "a title":
        notebook.metadata["title"] = "for my group"
    else:
        notebook.metadata["kernelspec"] = {"name": "my-gpu", "display_name": "My GPU", "language": "python"}
    nbformat.write(notebook, path)


@pytest.mark.parametrize("what", ["a tag", "a slide", "a title", "another kernel"])
def test_who_edits_metadata_alone_has_touched_the_copy(place, what):
    place("one")
    note(place.copy, what)
    before = place.copy.read_bytes()
    assert place("two") == ["is the new edition; your own 01_x.ipynb stays as it is"]
    assert place.copy.read_bytes() == before


class TestSavedMeanwhile:
    """Somebody saves between the look at an untouched copy and its replacement."""

    def test_before_it_is_moved_aside(self, place, monkeypatch):
        place("one")
        replace = workcopy.replace_untouched

        def save_first(path, text, known):
            edit(path, "mine")
            return replace(path, text, known)

        monkeypatch.setattr(workcopy, "replace_untouched", save_first)
        assert place("two") == ["is the new edition; your own 01_x.ipynb stays as it is"]
        assert first_cell(place.copy).source == "mine"
        assert names(place.work) == ["01_x.ipynb", "01_x.new-edition.ipynb"]

    @pytest.mark.parametrize("links", [True, False], ids=["with links", "on a file system without links"])
    def test_while_it_is_aside(self, place, monkeypatch, links):
        place("one")
        look = workcopy.edition_of

        def look_and_let_somebody_save(path):
            seen = look(path)
            if ".before-" in path.name:
                write_lesson(place.work, "mine")
            return seen

        if not links:
            monkeypatch.setattr(workcopy.os, "link", no_link)
        monkeypatch.setattr(workcopy, "edition_of", look_and_let_somebody_save)
        assert place("two") == ["is the new edition; your own 01_x.ipynb stays as it is"]
        assert first_cell(place.copy).source == "mine"
        assert names(place.work) == ["01_x.ipynb", "01_x.new-edition.ipynb"]

    @pytest.mark.parametrize("links", [True, False], ids=["with links", "on a file system without links"])
    def test_both_before_and_after_keeps_both(self, place, monkeypatch, links):
        place("one")
        look = workcopy.edition_of

        def save_and_look(path):
            if ".before-" in path.name:
                edit(path, "mine")
                write_lesson(place.work, "mine, a second later")
            return look(path)

        if not links:
            monkeypatch.setattr(workcopy.os, "link", no_link)
        monkeypatch.setattr(workcopy, "edition_of", save_and_look)
        place("two")
        texts = {first_cell(path).source for path in place.work.glob("*.ipynb")}
        assert texts == {"mine", "mine, a second later", "two"}

    def test_a_touched_one_gets_its_name_back_without_links(self, place, monkeypatch):
        place("one")
        monkeypatch.setattr(workcopy.os, "link", no_link)
        assert workcopy.replace_untouched(place.copy, "two", "another edition") is False
        assert names(place.work) == ["01_x.ipynb"] and first_cell(place.copy).source == "one"


def test_half_of_a_copy_is_deleted_where_there_are_no_links(tmp_path, monkeypatch):
    """The draft was written, and then the disk was full."""
    turns = iter([None, OSError(28, "No space left on device")])

    def sync(file):
        if error := next(turns):
            raise error

    monkeypatch.setattr(workcopy.os, "link", no_link)
    monkeypatch.setattr(workcopy, "sync", sync)
    with pytest.raises(OSError, match=r"No space left on device: '\S*a\.ipynb'"):
        workcopy.write_new(tmp_path / "a.ipynb", "one")
    assert list(tmp_path.iterdir()) == []


def no_link(source, target):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.skipif(sys.platform == "win32", reason="makes disks full and folders unwritable as POSIX does")
class TestWhatIsInTheWay:
    @pytest.mark.parametrize("state", ["new", "untouched", "touched"])
    @pytest.mark.parametrize("links", [True, False], ids=["with links", "on a file system without links"])
    def test_a_full_disk_names_file_and_fix_and_leaves_nothing_behind(self, place, monkeypatch, state, links):
        if state != "new":
            place("one")
        if state == "touched":
            edit(place.copy, "mine")
        if not links:
            monkeypatch.setattr(workcopy.os, "link", no_link)
        place.work.mkdir(exist_ok=True)
        before = {path: path.read_bytes() for path in place.work.iterdir()}
        write_lesson(place.work.parent / "notebooks", "two")
        for _ in range(3):
            with (
                disk_full_after(100),
                pytest.raises(
                    workcopy.CannotCopy, match=r"disk is full: .*01_x\S* could not be written. Free some space"
                ),
            ):
                workcopy.update(place.work.parent / "notebooks", place.work)
            assert {path: path.read_bytes() for path in place.work.iterdir()} == before
        assert place("two")  # somebody made room

    @pytest.mark.parametrize(("owner", "fix"), [(NOBODY, "chmod -R u"), (0, "sudo chown -R")])
    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
    def test_no_permission_names_what_helps(self, owner, fix):
        with tempfile.TemporaryDirectory() as folder:  # nobody can look into pytest's own
            place = Path(folder)
            place.chmod(0o755)
            write_lesson(place / "notebooks", "one")
            (place / "work").mkdir()
            os.chown(place / "work", owner, owner)
            (place / "work").chmod(0o555)
            with rights_of_nobody(), pytest.raises(workcopy.CannotCopy, match=f"No permission for .*: {fix}.*/work"):
                workcopy.update(place / "notebooks", place / "work")

    @pytest.mark.parametrize("kind", ["a file", "a link to nowhere"])
    def test_work_that_is_no_folder_stays_and_is_named(self, place, kind):
        place.work.symlink_to("nowhere") if kind == "a link to nowhere" else place.work.write_text("mine")
        with pytest.raises(workcopy.CannotCopy, match=r"work is no folder.* mv \S*work \S*work-mine"):
            place("one")
        assert place.work.is_symlink() or place.work.read_text() == "mine"

    @pytest.mark.parametrize("spoiled", ["<<<<<<< HEAD\n{}\n", "", "[]", "\xff"])
    def test_a_lesson_that_cannot_be_read_is_named_and_the_others_are_copied(self, place, spoiled):
        write_lesson(place.work.parent / "notebooks", "zero", name="00_w.ipynb")
        broken = place.work.parent / "notebooks" / "00_w.ipynb"
        broken.write_text(spoiled, encoding="latin-1")
        words = place("one")
        assert words[1] == "copied for you" and names(place.work) == ["01_x.ipynb"]
        assert words[0].startswith("cannot be read") and words[0].endswith("git checkout HEAD -- notebooks/00_w.ipynb")


class TestCopyThatIsTheLearnersOwn:
    def test_a_link_stays_and_so_does_what_it_leads_to(self, place):
        place("one")
        elsewhere = place.work.parent / "elsewhere.ipynb"
        place.copy.rename(elsewhere)
        place.copy.symlink_to(elsewhere)
        assert place("two") == ["is the new edition; your own 01_x.ipynb stays as it is"]
        assert place.copy.is_symlink() and first_cell(elsewhere).source == "one"

    def test_a_folder_stays(self, place):
        place.copy.mkdir(parents=True)
        assert place("one") == ["is the new edition; your own 01_x.ipynb stays as it is"]

    @pytest.mark.parametrize("mode", [0o600, 0o664])
    def test_a_new_edition_keeps_its_permissions(self, place, mode):
        place("one")
        place.copy.chmod(mode)
        place("two")
        assert place.copy.stat().st_mode & 0o777 == mode and first_cell(place.copy).source == "two"

    def test_drafts_of_a_killed_process_go_and_files_with_like_names_stay(self, place):
        place.work.mkdir()
        for name in ("course-0123456789abcdef.draft", "course-1.draft", "01_x.ipynb.draft", "essay.draft"):
            (place.work / name).write_text("mine")
        place("one")
        left = sorted(path.name for path in place.work.glob("*.draft"))
        assert left == ["01_x.ipynb.draft", "course-1.draft", "essay.draft"]

    def test_two_broken_records_within_a_second_are_both_kept(self, place):
        place("one")
        for broken in ("{", "{{"):
            (place.work / workcopy.RECORD).write_text(broken)
            place("one")
        kept = {path.read_text() for path in place.work.glob(f"{workcopy.RECORD}.broken-*")}
        assert kept == {"{", "{{"}


def test_two_updates_at_once_take_an_untouched_copy_for_nothing_else(place):
    """The second must not take what the first has moved aside, or just replaced, for the learner's own."""
    for number in range(5):
        write_lesson(place.work.parent / "notebooks", "one", name=f"0{number}_y.ipynb")
    place("one")
    for turn in range(4):
        for number in range(5):
            write_lesson(place.work.parent / "notebooks", f"edition {turn}", name=f"0{number}_y.ipynb")
        arguments = (place.work.parent / "notebooks", place.work)
        both = [threading.Thread(target=workcopy.update, args=arguments) for _ in range(2)]
        for each in both:
            each.start()
        for each in both:
            each.join()
        assert not list(place.work.glob("*.new-edition*")) and len(names(place.work)) == 6
