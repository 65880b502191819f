"""Copies of the notebooks for a class: `make student` without solutions and outputs, `make answers` with both."""

from __future__ import annotations

import shutil
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor, TagRemovePreprocessor
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"


def for_students(notebook: NotebookNode) -> NotebookNode:
    """The notebook without its solution cells and without any output."""
    kept, _ = TagRemovePreprocessor(remove_cell_tags={"solution"}, enabled=True).preprocess(deepcopy(notebook), {})
    cleared, _ = ClearOutputPreprocessor(enabled=True).preprocess(kept, {})
    return cleared


def with_answers(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its solutions unfolded, outputs as committed."""
    opened = deepcopy(notebook)
    for cell in opened.cells:
        if "solution" in cell.metadata.get("tags", []):
            cell.metadata.pop("jupyter", None)
            cell.metadata.pop("cellView", None)
    return opened


KINDS = {"student": for_students, "answers": with_answers}


def write(kind: str, target: Path) -> Path:
    """Write all notebooks of a kind into `target`, and beside it a zip of them; gives the zip.

    Raises:
        KeyError: there is no such kind.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        nbformat.write(KINDS[kind](nbformat.read(path, as_version=4)), target / path.name)
    return Path(shutil.make_archive(str(target), "zip", target))


def main() -> None:
    kind = sys.argv[1]
    archive = write(kind, BUILD / kind)
    print(f"{archive.relative_to(ROOT).with_suffix('')}/ and {archive.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
