"""What the notebooks need."""

from __future__ import annotations

import nbformat
from conftest import ROOT
from made_up_results import arms, told

from benchmarks.groups import notebooks
from tools import notebooks as builder


def test_what_was_measured_are_notebooks():
    assert set(arms("notebooks")) <= set(notebooks.stems())


def test_no_notebook_needs_more_than_three_minutes_of_the_computer():
    assert max(run["seconds"] for runs in arms("notebooks").values() for run in runs.values()) <= 180


def test_the_readme_says_the_longest_and_whether_lessons_are_others_by_now():
    stamp = {"cores": 2, "date": "2026-01-31", "code": "abc"}
    measured = {"01_a": {"0": {"seconds": 61.0}}, "12_b": {"0": {"seconds": 60.0}, "1": {"seconds": 88.3}}}
    same = builder.words_on_computing(stamp, measured, "abc")
    assert same == "The computer needed 88 seconds for the longest lesson, 12, on 2 slow cores (2026-01-31)."
    changed = builder.words_on_computing(stamp, measured, "abd")
    assert changed == f"{same} That was an earlier edition of the lessons."
    assert builder.computing() in (ROOT / "README.md").read_text(), "run `make notebooks`"


def test_it_is_another_edition_where_code_changed_and_not_where_words_or_the_set_up_did(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)

    def code(setup: str, words: str, cell: str) -> str:
        cells = [nbformat.v4.new_code_cell(setup, id="setup"), nbformat.v4.new_markdown_cell(words)]
        nbformat.write(nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell(cell)]), tmp_path / "0.ipynb")
        return notebooks.code()

    assert code("pip", "words", "1 + 1") == code("pip address", "other words", "1 + 1") != code("pip", "words", "1 + 2")


def test_answers_are_computed(tmp_path):
    made_up = {
        "00_start_here": {"0": {"seconds": 6.0, "peak_mb": 430}, "1": {"seconds": 8.0, "peak_mb": 430}},
        "07_dqn": {"0": {"seconds": 20.0, "peak_mb": 900}, "1": {"seconds": 22.0, "peak_mb": 910}},
    }
    text = told(tmp_path, "notebooks", made_up)
    assert "The 2 notebooks together run in 28 s" in text and "07_dqn, 905 MB" in text
