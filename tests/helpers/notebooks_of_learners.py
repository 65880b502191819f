"""Notebooks as learners leave them."""

from __future__ import annotations

from pathlib import Path

import nbformat


def write_notebook(path: Path, *cells: str | tuple[str, str]) -> Path:
    """A notebook of code cells; a pair is a cell and its tag."""
    pairs = [cell if isinstance(cell, tuple) else (cell, None) for cell in cells]
    made = [
        nbformat.v4.new_code_cell(code, metadata={"tags": [tag]} if tag else {"trusted": True}) for code, tag in pairs
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def solve(path: Path, answers: dict[str, str]) -> None:
    """Write answers into the gaps of a notebook: of the cell that checks an exercise, `{number: code}` stays alone."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for number, code in answers.items():
            if "exercise" in cell.metadata.get("tags", []) and f'check("{number}"' in cell.source:
                cell.source = code
    nbformat.write(notebook, path)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
