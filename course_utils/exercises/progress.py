"""Remember which exercises were solved, in a small file beside the learner's notebooks."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from filelock import FileLock

from course_utils.exercises.catalogue import all_exercises
from course_utils.exercises.cell import in_solution_cell
from course_utils.views.display import View

FILE = "progress.json"
LOCK = ".progress.lock"
MOST_TRIES = 10**9  # a number of thousands of digits can be read, but one more cannot be written
PATIENCE = 10.0  # seconds to wait for another notebook's check to be noted
COPIES_RECORD = ".editions.json"  # lies in work/, and tells the learner's folder from all others


def folder() -> Path | None:
    """Where progress is kept: the learner's folder, or the current one on Colab; None where nobody learns."""
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return None
    if (here / COPIES_RECORD).exists() or "google.colab" in sys.modules:
        return here
    return None


@contextlib.contextmanager
def locked(place: Path) -> Iterator[None]:
    """Nobody else reads or writes progress meanwhile: two notebooks, or two kernels, may check at once.

    Raises:
        TimeoutError: somebody else holds it for longer than any check takes.
    """
    with FileLock(place / LOCK, timeout=PATIENCE):
        yield


def is_progress(found: Any) -> bool:
    """Is this what `write` writes: {"7.1": {"status": word, "tries": count, "solved": date or None}}?"""
    return isinstance(found, dict) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("status"), str)
        and type(entry.get("tries")) is int
        and 0 <= entry["tries"] < MOST_TRIES
        and "solved" in entry
        and (entry["solved"] is None or isinstance(entry["solved"], str))
        for entry in found.values()
    )


def read(place: Path) -> dict[str, dict]:
    """What is remembered: {"7.1": {"status": ..., "tries": ..., "solved": date or None}}.

    A file that is no progress is renamed, so that nothing in it is lost, and an empty progress is returned.

    Raises:
        OSError: the file cannot be read at all.
    """
    path = place / FILE
    if not path.exists():
        return {}
    if not path.is_file():  # to read a pipe may never end
        raise OSError(errno.EEXIST, "something that is no file is there", str(path))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    if is_progress(found):
        return found
    set_aside(path, "broken")
    return {}


def set_aside(path: Path, why: str) -> Path:
    """Rename a file to a name that nothing has yet, and give that name."""
    stem = f"{path.name}.{why}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = itertools.chain([stem], (f"{stem}-{count}" for count in itertools.count(2)))
    kept = next(path.with_name(name) for name in names if not os.path.lexists(path.with_name(name)))
    path.rename(kept)
    return kept


def write(place: Path, progress: dict[str, dict]) -> None:
    """Put a whole file in the place of the old one; where that is a link, in the place of what it leads to."""
    path = (place / FILE).resolve()
    draft = path.with_name(f".{FILE}.{secrets.token_hex(8)}.draft")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(json.dumps(progress, indent=1, sort_keys=True) + "\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remember(number: str, status: str) -> None:
    """Note the outcome of one check; a solved exercise stays solved. A folder that cannot be written is no error."""
    place = folder()
    if place is None or status == "not attempted" or in_solution_cell():
        return
    with contextlib.suppress(OSError), locked(place):
        progress = read(place)
        entry = progress.setdefault(number, {"status": status, "tries": 0, "solved": None})
        entry["tries"] += 1
        if entry["solved"] is None:
            entry["status"] = status
            entry["solved"] = date.today().isoformat() if status == "correct" else None
        write(place, progress)


def known(place: Path | None) -> dict[str, dict]:
    """What is remembered; nothing where that cannot be read."""
    with contextlib.suppress(OSError):
        if place is not None and (place / FILE).exists():
            with locked(place):
                return read(place)
    return {}


def show_progress() -> View:
    """A table of the lessons and what you have solved of their exercises."""
    place = folder()
    remembered = known(place)
    lines, rows = [], []
    for lesson, numbers in all_exercises().items():
        solved = [number for number in numbers if remembered.get(number, {}).get("solved")]
        tried = [number for number in numbers if number in remembered and number not in solved]
        marks = " ".join(f"{'✔' if n in solved else '✎' if n in tried else '○'} {n}" for n in numbers)
        lines.append(f"lesson {lesson}: {len(solved)} of {len(numbers)} solved   {marks}")
        rows.append(
            f"<tr><th scope='row'>{escape(lesson)}</th><td>{len(solved)} of {len(numbers)}</td>"
            f"<td style='text-align:left'>{escape(marks)}</td></tr>"
        )
    head = "<tr><th scope='col'>lesson</th><th scope='col'>solved</th><th scope='col'>exercises</th></tr>"
    key = "✔ solved, ✎ tried, ○ not yet tried"
    if place is None:
        key += ". Progress is kept in your own copy of the notebooks (work/, or Colab); this is not it."
    return View(f"<table>{head}{''.join(rows)}</table><p>{escape(key)}</p>", "\n".join([*lines, key]))


def forget_progress() -> None:
    """Start anew: the file is renamed, not deleted."""
    place = folder()
    if place is None or not (place / FILE).exists():
        print("There is nothing to forget.")
        return
    try:
        with locked(place):
            kept = set_aside(place / FILE, "before")
    except OSError as error:
        print(f"{FILE} could not be renamed ({error.strerror or error}). Rename it yourself, and it is forgotten.")
    else:
        print(f"Forgotten. What was remembered is now in {kept.name}.")
