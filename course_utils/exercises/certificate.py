"""A page that says which exercises somebody's answers solve, and carries the answers, so that anybody can try again.

It proves that these answers pass these checks. It does not prove who wrote them: nothing on it is secret or signed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from course_utils.exercises.answers import ANSWER_LETTERS, NUMBER, Answer, find_answers
from course_utils.exercises.card import marked_up
from course_utils.exercises.catalogue import all_exercises
from course_utils.exercises.edition import edition, versions
from course_utils.exercises.page import facts, mark, note, page, table
from course_utils.exercises.progress import FILE, is_progress
from course_utils.exercises.rerun import STATUSES, Limits, Verdict, rerun

TITLE = "Learn TorchRL by doing: exercises solved"
KIND = "torchrl-course certificate 1"
DATA = '<script type="application/json" id="certificate">'
END_OF_DATA = "</script>"
SEAL = re.compile(r"\n<!-- sealed ([0-9a-f]{64}) -->\n\Z")
PROVES = (
    "It proves that the answers below pass the course's checks on inputs drawn at random: whoever has the course can "
    "run them again, with `python -m course_utils certificate verify` and this file. It does not prove who wrote them, "
    "when, or that they were understood. The dates are those of the learner's own record, and answers can be copied. "
    "An answer written to deceive the check is to be seen in its code. To know more, ask."
)
BYTES, ROWS, LETTERS = 20_000_000, 300, 3000


class NotACertificate(Exception):
    """A file that is no certificate, or one that cannot be read; the message is one sentence."""


@dataclass(frozen=True)
class Row:
    """What a certificate says of one exercise; `solved` is the day in the learner's own record, or None."""

    number: str
    status: str
    feedback: str
    solved: str | None
    code: str


@dataclass(frozen=True)
class Certificate:
    name: str
    made: str
    edition: dict[str, str]
    versions: dict[str, str]
    rows: list[Row]


def make(place: Path, name: str = "", limits: Limits | None = None) -> tuple[Certificate, list[str]]:
    """Run the answers in a notebook or folder again; gives the certificate, and what could not be read.

    Raises:
        NotAnswers: there is no notebook.
    """
    found = find_answers(place)
    verdicts = rerun([notebook.answers for notebook in found], limits)
    days = days_of(place if place.is_dir() else place.parent)
    numbers = [number for numbers in all_exercises().values() for number in numbers]
    rows = [row(verdicts.get(number) or Verdict(number, "not attempted"), days.get(number)) for number in numbers]
    problems = [f"{notebook.name} {notebook.problem}." for notebook in found if notebook.problem]
    return Certificate(name, date.today().isoformat(), edition(), versions(), rows), problems


def row(verdict: Verdict, day: str | None) -> Row:
    if verdict.status == "not attempted":
        return Row(verdict.number, verdict.status, "", None, "")
    return Row(
        verdict.number, verdict.status, verdict.feedback, day if verdict.status == "correct" else None, verdict.code
    )


def days_of(folder: Path) -> dict[str, str]:
    """When each exercise was first solved, by the learner's own record; it is read only, whatever it holds."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    entries = found.items() if is_progress(found) else ()
    return {number: entry["solved"] for number, entry in entries if entry["solved"] and is_day(entry["solved"])}


def is_day(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text))


def rendered(certificate: Certificate) -> str:
    """The page: the same for the same certificate, so that a change by hand is seen."""
    solved = [row for row in certificate.rows if row.status == "correct"]
    who = f" by {escape(certificate.name)}" if certificate.name else ""
    parts = [
        f"<h1>{escape(TITLE)}</h1>",
        f"<p><strong>{len(solved)} of {len(certificate.rows)} exercises solved{who}.</strong> "
        f"All answers were run again on {escape(certificate.made)}, on fresh inputs.</p>",
        facts(
            {
                "course": " · ".join(filter(None, [certificate.edition["version"], certificate.edition["source"]])),
                "its checks": certificate.edition["checks"],
                "run with": ", ".join(f"{name} {version}" for name, version in certificate.versions.items()),
            }
        ),
        note(PROVES),
    ]
    for lesson in dict.fromkeys(lesson_of(row.number) for row in certificate.rows):
        rows = [row for row in certificate.rows if lesson_of(row.number) == lesson]
        count = sum(row.status == "correct" for row in rows)
        parts.append(f"<h2>Lesson {lesson}: {count} of {len(rows)}</h2>")
        if any(row.status != "not attempted" for row in rows):
            lines = [cells(row) for row in rows]
            parts.append(table(["exercise", "status", "first solved", "answer"], lines, f"Lesson {lesson}", "rows"))
        else:
            parts.append(f"<p>{mark('not attempted')} {escape(', '.join(row.number for row in rows))}</p>")
    data = {"kind": KIND, **{key: value for key, value in vars(certificate).items() if key != "rows"}}
    data["rows"] = [vars(row) for row in certificate.rows]
    parts.append(DATA + harmless(json.dumps(data, indent=1)) + END_OF_DATA)
    text = page(TITLE, "\n".join(parts))
    return text + sealed(text)


def sealed(text: str) -> str:
    """The last line, which no longer fits when the page was changed in an editor. Whoever wants to can make a new one:
    what counts is that the answers pass."""
    return f"\n<!-- sealed {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def cells(row: Row) -> list[str]:
    said = (
        f'<br><span class="soft">{marked_up(row.feedback)}</span>' if row.feedback and row.status != "correct" else ""
    )
    code = f"<details><summary>show</summary><pre>{escape(row.code)}</pre></details>" if row.code else ""
    return [row.number, mark(row.status) + said, escape(row.solved or ""), code]


def lesson_of(number: str) -> str:
    return number.split(".")[0].zfill(2)


def harmless(text: str) -> str:
    """JSON that ends no script element."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def read(path: Path) -> tuple[Certificate, str]:
    """A certificate from its file, and what is wrong with the page around it; empty where nothing is.

    Raises:
        NotACertificate: there is none in it.
    """
    try:
        if not path.is_file():
            raise NotACertificate(f"{path} is no file.")
        if path.stat().st_size > BYTES:
            raise NotACertificate(f"{path.name} has more than {BYTES // 10**6} MB: no certificate has.")
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise NotACertificate(f"{path.name} is no certificate of this course: it is no text.") from None
    except OSError as error:
        raise NotACertificate(f"{path} could not be read ({error.strerror}).") from None
    if text.count(DATA) != 1:
        raise NotACertificate(f"{path.name} is no certificate of this course: no answers are in it.")
    try:
        certificate = as_certificate(json.loads(text.split(DATA)[1].split(END_OF_DATA)[0]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise NotACertificate(f"{path.name} is no certificate that can be read: its answers are damaged.") from None
    return certificate, what_was_changed(text, certificate)


def what_was_changed(text: str, certificate: Certificate) -> str:
    seal = SEAL.search(text)
    if seal is None or sealed(text[: seal.start()]) != seal.group():
        return "The page was changed after it was made: believe what is said here, and not the page."
    if certificate.edition["checks"] != edition()["checks"]:
        return ""  # another edition's page may look different
    if rendered(certificate) != text:
        return "The page shows something else than its answers' data: believe what is said here, and not the page."
    return ""


def as_certificate(data: Any) -> Certificate:
    """A certificate from what JSON gave.

    Raises:
        ValueError: it is none (also KeyError and TypeError).
    """
    if data["kind"] != KIND or not isinstance(data["rows"], list) or len(data["rows"]) > ROWS:
        raise ValueError
    rows = [Row(**one) for one in data["rows"]]
    found = Certificate(data["name"], data["made"], data["edition"], data["versions"], rows)
    plain = [found.name, found.made, *found.versions.values(), *(found.edition[key] for key in EDITION)]
    plain += [text for row in rows for text in (row.number, row.status, row.feedback, row.solved or "")]
    for text, most in [(text, LETTERS) for text in plain] + [(row.code, ANSWER_LETTERS) for row in rows]:
        if not isinstance(text, str) or len(text) > most:
            raise ValueError
        text.encode()  # half a letter is none
    if not all(NUMBER.fullmatch(row.number) and row.status in STATUSES for row in rows):
        raise ValueError
    if len({row.number for row in rows}) != len(rows) or not rows:
        raise ValueError
    return found


EDITION = ("version", "source", "checks")


@dataclass(frozen=True)
class Held:
    """What came of one row: does it hold, and what the check says now."""

    row: Row
    holds: bool
    now: Verdict


def verify(certificate: Certificate, limits: Limits | None = None) -> list[Held]:
    """Run a certificate's answers through the checks here; gives the rows that have an answer, or claim one."""
    lessons: dict[str, list[Answer]] = {}
    for row in certificate.rows:
        if row.code:
            lessons.setdefault(lesson_of(row.number), []).append(Answer(row.number, row.code))
    verdicts = rerun(lessons.values(), limits)
    claimed = [row for row in certificate.rows if row.code or row.status != "not attempted"]
    missing = "There is no answer to it on the page."
    found = [(row, verdicts.get(row.number) or Verdict(row.number, "not attempted", missing)) for row in claimed]
    return [Held(row, row.status == now.status, now) for row, now in found]
