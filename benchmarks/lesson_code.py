"""A lesson's own code, as benchmarks run it: the cells that define something, without those that look at a run."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
from collections.abc import Iterator

import jupytext
from nbformat import NotebookNode

from benchmarks.store import ROOT

FIRST_SEED = 100  # the lessons' settings were found on smaller seeds
EXAM_EPISODES = 100
NOT_NEEDED = {"parameters", "exercise", "solution", "look"}


def seeds(count: int) -> range:
    return range(FIRST_SEED, FIRST_SEED + count)


def code_cells(lesson: str) -> list[NotebookNode]:
    """All code cells of a lesson, such as "07_dqn"."""
    cells = jupytext.read(ROOT / "lessons" / f"{lesson}.py", fmt="py:percent").cells
    return [cell for cell in cells if cell.cell_type == "code"]


@functools.cache
def defining_code(lesson: str, *needed: str, to_the_end: bool = False) -> str:
    """The code of a lesson's cells that define something.

    Args:
        lesson: the stem of its file.
        needed: ids of cells that have to be there; the last of them is the last cell taken.
        to_the_end: take all cells of the lesson.

    Raises:
        LookupError: the lesson has no cell with an id that is needed.
    """
    cells = code_cells(lesson)
    ids = [cell.metadata.get("id") for cell in cells]
    if missing := sorted(set(needed) - set(ids)):
        raise LookupError(f"{lesson}.py has no cell with the id {' and '.join(missing)}")
    wanted = cells if to_the_end else cells[: ids.index(needed[-1]) + 1]
    return "\n".join(cell.source for cell in wanted if not NOT_NEEDED & set(cell.metadata.get("tags", [])))


@functools.cache
def named_code(lesson: str, *ids: str) -> str:
    """The code of these cells alone, for lessons that train between their definitions.

    Raises:
        LookupError: the lesson has no cell with one of the ids.
    """
    cells = {cell.metadata.get("id"): cell.source for cell in code_cells(lesson)}
    if missing := sorted(set(ids) - set(cells)):
        raise LookupError(f"{lesson}.py has no cell with the id {' and '.join(missing)}")
    return "\n\n".join(cells[name] for name in ids)


def python_blocks(guide: str) -> list[str]:
    """The blocks of Python of a guide in docs/, such as "your_simulator"."""
    text = (ROOT / "docs" / f"{guide}.md").read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@functools.cache
def guide_code(guide: str, *classes: str) -> str:
    """The blocks of a guide that define these classes, and all that are nothing but imports.

    Raises:
        LookupError: no block defines one of them.
    """
    blocks = python_blocks(guide)
    chosen = []
    for name in classes:
        found = [block for block in blocks if f"class {name}(" in block or f"class {name}:" in block]
        if not found:
            raise LookupError(f"docs/{guide}.md has no block of Python with the class {name}")
        chosen.append(found[0])
    imports = [
        line for block in blocks for line in block.splitlines() if re.match(r"(from|import) (?!course_utils)", line)
    ]
    return "\n\n".join(["\n".join(dict.fromkeys(imports)), *chosen])


def run_code(code: str, seed: int) -> dict:
    """What is defined after this code has run as the cells of a notebook with this seed; what it prints is dropped."""
    space: dict = {"seed": seed}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, space)
    return space


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Keep what kernels write to the terminal out of the progress bar; errors in cells come as exceptions."""
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
