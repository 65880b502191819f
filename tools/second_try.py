"""A pytest plugin: a notebook's cell that fails is tried once more, in a new kernel, after all cells before it.

Cells train agents, start processes and wait for them while other tests take their cores. A second failure is one.
"""

from __future__ import annotations

import warnings

import pytest

tried: set[pytest.Collector] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> object:
    """Run a test; of a notebook whose first cell fails, run all cells up to it again."""
    notebook = item.parent
    try:
        return (yield)
    except Exception as failure:
        if item.path.suffix != ".ipynb" or notebook in tried:
            raise
        tried.add(notebook)
        said = item.repr_failure(pytest.ExceptionInfo.from_exception(failure))
        warnings.warn(f"{item.nodeid} failed and is tried once more: {said}", stacklevel=1)
        notebook.teardown()
        notebook.setup()
        cells = [cell for cell in item.session.items if cell.parent is notebook]
        for cell in cells[: cells.index(item) + 1]:
            cell.runtest()
