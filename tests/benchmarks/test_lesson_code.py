"""A lesson's own code, as benchmarks run it."""

from __future__ import annotations

import pytest

from benchmarks import lesson_code


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A lesson called "made_up", in a folder of its own."""
    cells = [
        "# %% [markdown]\n# words",
        '# %% tags=["parameters"]\nseed = 0',
        '# %% id="first"\none = seed + 1\nprint("noise")',
        '# %% tags=["look"]\n1 / 0',
        '# %% id="second"\ntwo = one + 1',
        "# %%\nthree = two + 1",
    ]
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "made_up.py").write_text("\n\n".join(cells) + "\n")
    monkeypatch.setattr(lesson_code, "ROOT", tmp_path)
    lesson_code.defining_code.cache_clear()
    yield "made_up"
    lesson_code.defining_code.cache_clear()


def test_cells_that_define_something_are_taken_up_to_the_last_that_is_needed(lesson):
    assert lesson_code.defining_code(lesson, "first") == 'one = seed + 1\nprint("noise")'
    assert lesson_code.defining_code(lesson, "first", "second").endswith("two = one + 1")
    assert lesson_code.defining_code(lesson, "first", to_the_end=True).endswith("three = two + 1")


def test_a_cell_that_is_no_more_is_named(lesson):
    with pytest.raises(LookupError, match="made_up.py has no cell with the id gone"):
        lesson_code.defining_code(lesson, "gone", "second")


def test_the_code_runs_with_the_seed_and_without_its_prints(lesson, capsys):
    assert lesson_code.run_code(lesson_code.defining_code(lesson, "second"), seed=4)["two"] == 6
    assert capsys.readouterr().out == ""
