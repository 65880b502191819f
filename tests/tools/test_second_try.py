"""A notebook's cell that fails once is tried once more, after all cells before it; one that fails twice has failed."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT

ONCE = """from pathlib import Path
tried = Path('{}')
before = tried.exists()
tried.touch()
assert before, 'a late {}'"""


def run(folder, *cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, folder / "lesson.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "tools.second_try"]
    command += ["-p", "no:cacheprovider", "--rootdir", folder, folder]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return ended.stdout


@pytest.mark.slow
class TestSecondTry:
    def test_a_cell_that_was_late_passes_with_what_was_before_it_and_is_told(self, tmp_path):
        said = run(tmp_path, "x = 1", "x += 1\n" + ONCE.format("one", "one"), "assert x == 2")
        assert "3 passed" in said and "Cell 1 failed and is tried once more" in said and "a late one" in said

    def test_a_cell_that_fails_twice_has_failed(self, tmp_path):
        said = run(tmp_path, "x = 1", "assert x == 2, 'never'", "assert x == 1")
        assert "1 failed, 2 passed" in said and said.count("never") > 1

    def test_a_notebook_has_one_second_try(self, tmp_path):
        said = run(tmp_path, ONCE.format("one", "one"), ONCE.format("two", "two"))
        assert "1 failed, 1 passed" in said and "a late two" in said
