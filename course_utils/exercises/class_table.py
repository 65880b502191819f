"""A class's answers, run again: who has solved what, and who is stuck on which mistake."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from html import escape
from pathlib import Path

from course_utils.exercises.answers import NotAnswers, find_answers
from course_utils.exercises.card import LOOKS, marked_up
from course_utils.exercises.catalogue import all_exercises
from course_utils.exercises.certificate import lesson_of
from course_utils.exercises.edition import edition
from course_utils.exercises.page import facts, mark, note, page, table
from course_utils.exercises.rerun import Limits, Verdict, rerun

TITLE = "What the class has solved"
STUCK = ("not yet", "could not run")


@dataclass(frozen=True)
class Learner:
    """What came of one submission; `problems` are sentences on what could not be read."""

    name: str
    verdicts: dict[str, Verdict]
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, *statuses: str) -> int:
        return sum(verdict.status in statuses for verdict in self.verdicts.values())


def submissions(folder: Path) -> list[Path]:
    """One notebook, folder or zip per learner.

    Raises:
        NotAnswers: there is none.
    """
    if not folder.is_dir():
        raise NotAnswers(f"{folder} is no folder. It has to hold a notebook, a folder or a zip for each learner.")
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]
    found = [path for path in found if path.is_dir() or path.suffix in (".ipynb", ".zip")]
    if not found:
        raise NotAnswers(f"{folder} holds nothing that was handed in: a notebook, a folder or a zip for each learner.")
    return found


def run_class(folder: Path, limits: Limits | None = None) -> Iterator[Learner]:
    """One learner after the other. What is broken in one submission is told with it, and the next one follows."""
    paths = submissions(folder)
    stems = [path.stem for path in paths]
    for path in paths:
        name = path.stem if stems.count(path.stem) == 1 else path.name
        began = time.monotonic()
        try:
            found = find_answers(path)
            problems = [f"{notebook.name} {notebook.problem}." for notebook in found if notebook.problem]
            verdicts = rerun([notebook.answers for notebook in found], limits)
        except NotAnswers as error:
            problems, verdicts = [str(error)], {}
        except Exception as error:  # nobody's files may keep the others from their turn
            problems, verdicts = [f"{path.name} could not be run ({type(error).__name__}: {error})."], {}
        yield Learner(name, verdicts, problems, time.monotonic() - began)


def as_csv(learners: list[Learner]) -> str:
    """A line for each learner and exercise; where nothing could be read, a line that says so."""
    file = io.StringIO()
    lines = csv.writer(file)
    lines.writerow(["learner", "lesson", "exercise", "status", "mistake", "what the check says"])
    for learner in learners:
        for problem in learner.problems:
            lines.writerow([cell(learner.name), "", "", "could not be read", "", cell(problem)])
        for lesson, numbers in all_exercises().items():
            for number in numbers:
                found = learner.verdicts.get(number) or Verdict(number, "not attempted")
                said = found.feedback if found.status in STUCK else ""
                lines.writerow([cell(learner.name), lesson, number, found.status, found.mistake, cell(said)])
    return file.getvalue()


def cell(text: str) -> str:
    """A spreadsheet would take a text that begins like this for a formula, and run it."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@", "\t", "\r")) else text


def stuck(learners: list[Learner]) -> list[tuple[str, str, str, list[str]]]:
    """Exercise, mistake, sentence and the names of those who make it; what most of them make first."""
    groups: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for learner in learners:
        for found in learner.verdicts.values():
            if found.status in STUCK:
                key = found.number, found.mistake or found.feedback
                groups.setdefault(key, (found.feedback, []))[1].append(learner.name)
    order = sorted(groups.items(), key=lambda group: (-len(group[1][1]), in_order(group[0][0])))
    return [
        (number, mistake if mistake != sentence else "", sentence, names)
        for (number, mistake), (sentence, names) in order
    ]


def in_order(number: str) -> list[int]:
    return [int(part) for part in number.split(".")]


def as_page(learners: list[Learner]) -> str:
    """The same for reading: what to begin with, and a table for each lesson that somebody has begun."""
    parts = [
        f"<h1>{TITLE}</h1>",
        f"<p>{len(learners)} submissions, run again on {date.today().isoformat()}, on fresh inputs.</p>",
        facts({"course": edition()["version"], "its checks": edition()["checks"]}),
        note("A status says that an answer passes the check, or why it does not; not who wrote it."),
        "<h2>Begin with these</h2>",
    ]
    rows = [
        [
            escape(number),
            f"{marked_up(sentence)}{f'<br><span class=soft>mistake: {escape(mistake)}</span>' if mistake else ''}",
            str(len(names)),
            escape(", ".join(names)),
        ]
        for number, mistake, sentence, names in stuck(learners)
    ]
    parts.append(
        table(["exercise", "what the check says", "learners", "who"], rows) if rows else "<p>Nobody is stuck.</p>"
    )
    if problems := [(learner.name, problem) for learner in learners for problem in learner.problems]:
        parts.append("<h2>What could not be read</h2>")
        parts.append(table(["learner", "why"], [[escape(name), escape(problem)] for name, problem in problems]))
    begun = {
        lesson_of(found.number)
        for learner in learners
        for found in learner.verdicts.values()
        if found.status != "not attempted"
    }
    parts.append(f"<p>{' '.join(mark(status) for status in ('correct', *STUCK, 'not attempted'))}</p>")
    for lesson, numbers in all_exercises().items():
        if lesson in begun:
            parts.append(f"<h2>Lesson {lesson}</h2>")
            rows = [[escape(one.name), *(sign(one.verdicts.get(number)) for number in numbers)] for one in learners]
            parts.append(table(["learner", *numbers], rows, f"Lesson {lesson}"))
    return page(TITLE, "\n".join(parts))


def sign(found: Verdict | None) -> str:
    """A status as its sign alone; the word is there for who cannot see it."""
    status = found.status if found else "not attempted"
    look, tells = LOOKS[status], found.feedback if found and found.status in STUCK else ""
    return (
        f'<span class="mark" style="background:{look.colour}" role="img" aria-label="{look.words}" '
        f'title="{escape(f"{look.words}. {tells}".strip())}">{look.sign}</span>'
    )
