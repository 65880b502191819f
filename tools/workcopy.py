"""Keep the learner's own copy of the notebooks in work/, without ever losing a word of theirs.

A copy is *untouched* while its cells are those that were copied and it shows no outputs. An untouched copy follows new
editions of its lesson; a touched one stays as it is, and the new edition is laid beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course_utils.exercises.progress import COPIES_RECORD as RECORD


@dataclass(frozen=True)
class Change:
    """What was done for one notebook, in words for the learner."""

    path: Path
    words: str


def clear_outputs(text: str) -> str:
    """A notebook's text without outputs and execution counts."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook) + "\n"


def edition(text: str) -> str:
    """A fingerprint of what the cells say and show.

    Ids and the metadata that JupyterLab writes on saving do not count. A file that is no notebook has a
    fingerprint of its own, which no edition has.
    """
    try:
        cells = nbformat.reads(text, as_version=4).cells
    except Exception:  # nbformat raises many kinds of errors for broken files
        return hashlib.sha256(text.encode()).hexdigest()
    content = [(cell.cell_type, cell.source, cell.get("outputs", []), cell.get("attachments", {})) for cell in cells]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_record(work: Path) -> tuple[dict[str, str], list[Change]]:
    """Which edition each copy was made from. A record that cannot be read is set aside, not lost."""
    path = work / RECORD
    if not path.exists():
        return {}, []
    try:
        record = json.loads(path.read_text())
        if not all(isinstance(value, str) for value in record.values()):
            raise ValueError("not a table of texts")
        return record, []
    except (ValueError, AttributeError, UnicodeDecodeError):
        aside = work / f"{RECORD}.broken-{time.strftime('%Y%m%d-%H%M%S')}"
        path.rename(aside)
        return {}, [Change(aside, "could not be read and was set aside; your notebooks are as they were")]


def draft_of(path: Path, text: str) -> Path:
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text(text, encoding="utf-8")
    return draft


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that nobody ever sees half of it."""
    draft_of(path, text).replace(path)


def write_new(path: Path, text: str) -> bool:
    """Write a file that must not exist yet, in one step; False, and nothing written, if it does."""
    draft = draft_of(path, text)
    try:
        os.link(draft, path)  # unlike a renaming, it replaces nothing
    except FileExistsError:
        return False
    except OSError:  # some file systems have no links
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            return False
    finally:
        draft.unlink()
    return True


def beside(path: Path, record: dict[str, str], newest: str) -> Path:
    """Where a new edition goes when the learner's copy stays: a name that is free, or holds it or an untouched one."""
    number = 1
    while True:
        suffix = "" if number == 1 else f"-{number}"
        candidate = path.with_name(f"{path.stem}.new-edition{suffix}.ipynb")
        if not candidate.exists() or edition_of(candidate) in (newest, record.get(candidate.name)):
            return candidate
        number += 1


def edition_of(path: Path) -> str:
    return edition(path.read_text(encoding="utf-8", errors="replace"))


def update(notebooks: Path, work: Path) -> list[Change]:
    """Bring work/ up to date with notebooks/ and say what was done.

    Raises:
        PermissionError: work/ cannot be written.
    """
    work.mkdir(exist_ok=True)
    record, changes = read_record(work)
    for source in sorted(notebooks.glob("*.ipynb")):
        text = clear_outputs(source.read_text(encoding="utf-8"))
        newest, target = edition(text), work / source.name
        offered = f"offered {source.name}"
        if not target.exists():
            if write_new(target, text):
                record[target.name] = newest
                changes.append(Change(target, "copied for you"))
            continue
        current = edition_of(target)
        if current == newest:
            record[target.name] = newest
        elif current == record.get(target.name):
            write_whole(target, text)
            record[target.name] = newest
            changes.append(Change(target, "brought up to date (you had not touched it)"))
        elif newest not in (record.get(target.name), record.get(offered)):
            place = beside(target, record, newest)
            write_whole(place, text)
            record[place.name] = record[offered] = newest
            changes.append(Change(place, f"is the new edition; your own {target.name} stays as it is"))
    write_whole(work / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
    return changes
