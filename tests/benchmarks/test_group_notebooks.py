"""What the notebooks need."""

from __future__ import annotations

from conftest import ROOT
from made_up_results import arms, told

from benchmarks.groups import notebooks


def test_every_notebook_was_measured():
    assert list(arms("notebooks")) == notebooks.stems()


def test_no_notebook_needs_more_of_the_computer_than_the_readme_says():
    assert "the computer needs three per lesson at most" in (ROOT / "README.md").read_text()
    assert max(run["seconds"] for runs in arms("notebooks").values() for run in runs.values()) <= 180


def test_answers_are_computed(tmp_path):
    made_up = {
        "00_start_here": {"0": {"seconds": 6.0, "peak_mb": 430}, "1": {"seconds": 8.0, "peak_mb": 430}},
        "07_dqn": {"0": {"seconds": 20.0, "peak_mb": 900}, "1": {"seconds": 22.0, "peak_mb": 910}},
    }
    text = told(tmp_path, "notebooks", made_up)
    assert "The 2 notebooks together run in 28 s" in text and "07_dqn, 905 MB" in text
