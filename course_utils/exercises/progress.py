"""Remember which exercises were solved, in a small file beside the learner's notebooks."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import date
from html import escape
from pathlib import Path

from course_utils.exercises.catalogue import all_exercises
from course_utils.views.display import View

FILE = "progress.json"
COPIES_RECORD = ".editions.json"  # lies in work/, and tells the learner's folder from all others


def folder() -> Path | None:
    """Where progress is kept: the learner's folder, or the current one on Colab; None where nobody learns."""
    here = Path.cwd()
    if (here / COPIES_RECORD).exists() or "google.colab" in sys.modules:
        return here
    return None


def read(place: Path) -> dict[str, dict]:
    """What is remembered: {"7.1": {"status": ..., "tries": ..., "solved": date or None}}.

    A file that cannot be read is renamed, so that nothing in it is lost, and an empty progress is returned.
    """
    path = place / FILE
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not all({"status", "tries", "solved"} <= entry.keys() for entry in found.values()):
            raise ValueError("not a progress file")
        return found
    except (ValueError, AttributeError):
        path.rename(place / f"{FILE}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
        return {}


def write(place: Path, progress: dict[str, dict]) -> None:
    draft = place / f"{FILE}.{os.getpid()}.draft"
    draft.write_text(json.dumps(progress, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(place / FILE)


def in_solution_cell() -> bool:
    """Is the cell that runs right now one of the course's solutions? Running it is not solving the exercise."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    # What the kernel was asked to run; IPython's own history is not kept by every runner.
    asked = getattr(get_ipython(), "get_parent", dict)()
    return asked.get("content", {}).get("code", "").startswith("# @title Solution")


def remember(number: str, status: str) -> None:
    """Note the outcome of one check; a solved exercise stays solved. A folder that cannot be written is no error."""
    place = folder()
    if place is None or status == "not attempted" or in_solution_cell():
        return
    try:
        progress = read(place)
        entry = progress.setdefault(number, {"status": status, "tries": 0, "solved": None})
        entry["tries"] += 1
        if entry["solved"] is None:
            entry["status"] = status
            entry["solved"] = date.today().isoformat() if status == "correct" else None
        write(place, progress)
    except OSError:
        return


def show_progress() -> View:
    """A table of the lessons and what you have solved of their exercises."""
    place = folder()
    known = read(place) if place else {}
    lines, rows = [], []
    for lesson, numbers in all_exercises().items():
        solved = [number for number in numbers if known.get(number, {}).get("solved")]
        tried = [number for number in numbers if number in known and number not in solved]
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
    if place and (place / FILE).exists():
        kept = f"{FILE}.before-{time.strftime('%Y%m%d-%H%M%S')}"
        (place / FILE).rename(place / kept)
        print(f"Forgotten. What was remembered is now in {kept}.")
    else:
        print("There is nothing to forget.")
