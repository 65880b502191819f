"""A call that a library is going to take away is an error in our own code and in the notebooks' cells."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT

CATEGORIES = [DeprecationWarning, PendingDeprecationWarning, FutureWarning]


def warn_in(module: str, category: type[Warning]) -> None:
    exec("import warnings; warnings.warn('it will go', category)", {"__name__": module, "category": category})


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("module", ["course_utils.views.tree", "tools.lock", "benchmarks", __name__, "conftest"])
def test_in_our_own_code_it_is_an_error(module, category):
    with pytest.raises(category, match="it will go"):
        warn_in(module, category)


@pytest.mark.parametrize("category", CATEGORIES)
def test_inside_a_library_it_is_not(category):
    with pytest.warns(category):
        warn_in("toolsmith.course_utils", category)


@pytest.mark.slow
def test_in_a_notebooks_cell_it_fails_the_notebooks_run_of_make_test(tmp_path):
    """Runs the very command of `make test` on a notebook of its own."""
    cells = ["import locale", "locale.getdefaultlocale()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbformat.write(notebook, tmp_path / "sample.ipynb")
    listing = ["make", "--dry-run", "--no-print-directory", "test", f"COURSE={sys.executable}"]
    commands = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = commands.replace("\\\n", "").strip().splitlines()[-1]
    assert "--nbval" in command and command.endswith(" build/claimed tests")
    command = command.removesuffix("build/claimed tests") + str(tmp_path)
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "DeprecationWarning" in done.stdout and "sample.ipynb::Cell 1" in done.stdout
