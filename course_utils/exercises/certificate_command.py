"""`python -m course_utils certificate`: what is typed, what is asked, and what is printed."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from datetime import date
from pathlib import Path

from course_utils.exercises import certificate as certificates
from course_utils.exercises import class_table
from course_utils.exercises.answers import NotAnswers
from course_utils.exercises.card import LOOKS
from course_utils.exercises.printing import print_page
from course_utils.exercises.progress import COPIES_RECORD
from course_utils.exercises.rerun import Limits
from course_utils.views.display import printable

HELP = """\
certificate [FOLDER]         run your answers in FOLDER (your own: work/) again, and write a page of what is solved
certificate verify FILE      run the answers that such a page carries again, and say which rows hold
certificate class FOLDER     the same for a notebook, a folder or a zip per learner: a table as CSV and HTML
"""
STRANGERS = (
    "This runs code that others wrote, with all your rights on this machine: on your files, and on the network. Use a "
    "container, or an account without anything of value, or read the code first."
)
PATIENCE = "This takes some seconds for each lesson that has answers."


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m course_utils certificate",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [verify FILE | class FOLDER | FOLDER] [options]",
    )
    parser.add_argument("what", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--name", default="", help="yours, to stand on the certificate")
    parser.add_argument("--pdf", action="store_true", help="print the page as PDF, too, with a Chromium or Chrome")
    parser.add_argument("--yes", action="store_true", help="run code of others without asking")
    parser.add_argument("--seconds", type=seconds, help="the longest that one answer may take (120)")
    options = parser.parse_args(words)
    limits = Limits(exercise=options.seconds) if options.seconds else Limits()
    try:
        match options.what:
            case ["verify", file]:
                return verify(Path(file), options.yes, limits)
            case ["class", folder]:
                return run_class(Path(folder), options.yes, limits)
            case [] | [_] if options.what not in (["verify"], ["class"]):
                place = Path(options.what[0]) if options.what else own_folder()
                return make(place, options.name[:200], options.pdf, limits)
            case _:
                parser.print_usage(sys.stderr)
                return 2
    except (NotAnswers, certificates.NotACertificate) as error:
        print(plain(str(error)), file=sys.stderr)
    except OSError as error:
        print(plain(f"{error.filename or 'A file'}: {error.strerror}."), file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
    return 2


def seconds(word: str) -> float:
    if not word.isascii() or not word.isdecimal() or not 1 <= int(word) <= 10_000:
        raise argparse.ArgumentTypeError(f"a number from 1 to 10000, not {word!r}")
    return float(word)


def own_folder() -> Path:
    """Where the learner's notebooks are: here, in work/ of this folder, or in work/ of the clone."""
    places = [Path.cwd(), Path("work"), Path(__file__).resolve().parents[2] / "work"]
    return next((place for place in places if (place / COPIES_RECORD).exists()), Path.cwd())


def make(place: Path, name: str, pdf: bool, limits: Limits) -> int:
    say(f"Running the answers in {place} again, each notebook in a process of its own. {PATIENCE}")
    certificate, problems = certificates.make(place, name, limits)
    for problem in problems:
        say(f"! {problem}")
    tried = [row for row in certificate.rows if row.status != "not attempted"]
    for row in tried:
        say_row(row.number, row.status, row.feedback if row.status != "correct" else "")
    folder = place if place.is_dir() else place.parent
    file = write(folder, "certificate", ".html", certificates.rendered(certificate))
    solved = sum(row.status == "correct" for row in tried)
    say(f"{solved} of {len(certificate.rows)} exercises are solved. The page: {file}")
    if pdf:
        printed = print_page(file, file.with_suffix(".pdf"))
        without = "No browser printed it as PDF: open the page and print it, or name a browser: COURSE_BROWSER=/path"
        say(f"As PDF: {file.with_suffix('.pdf')}" if printed else without)
    return 0


def verify(file: Path, yes: bool, limits: Limits) -> int:
    certificate, changed = certificates.read(file)
    here, there = certificates.edition(), certificate.edition
    count = sum(bool(row.code) for row in certificate.rows)
    say(f"{file.name}: {count} answers, made {certificate.made}, course {there['version']}, checks {there['checks']}.")
    if there["checks"] != here["checks"]:
        say(f"The checks here are others: {here['checks']}. What they say counts for this edition.")
    if changed:
        say(f"! {changed}")
    if not may_run(yes):
        return 2
    held = certificates.verify(certificate, limits)
    for one in held:
        if one.holds:
            say_row(one.row.number, one.row.status, "holds")
        else:
            words = f"does not hold: the page says *{one.row.status}*, and the check *{one.now.status}*."
            say_row(one.row.number, one.now.status, f"{words} {one.now.feedback}".strip())
    solved = sum(one.holds and one.row.status == "correct" for one in held)
    say(f"{sum(one.holds for one in held)} of {len(held)} rows hold; {solved} exercises are solved.")
    say("This says that these answers pass, not who wrote them.")
    return 0 if not changed and all(one.holds for one in held) else 1


def run_class(folder: Path, yes: bool, limits: Limits) -> int:
    count = len(class_table.submissions(folder))
    say(f"{count} submissions in {folder}. {PATIENCE}")
    if not may_run(yes):
        return 2
    learners: list[class_table.Learner] = []
    try:
        for learner in class_table.run_class(folder, limits):
            learners.append(learner)
            say(
                f"{learner.name}: {learner.count('correct')} solved, {learner.count(*class_table.STUCK)} not yet "
                f"({learner.seconds:.0f} s)" + "".join(f"\n! {problem}" for problem in learner.problems)
            )
    finally:  # what is known when somebody interrupts it, too
        lines = write(Path.cwd(), "class", ".csv", class_table.as_csv(learners))
        page = write(Path.cwd(), "class", ".html", class_table.as_page(learners))
        say(f"The table: {lines} and {page}")
    return 0


def may_run(yes: bool) -> bool:
    say(STRANGERS)
    if yes:
        return True
    if not sys.stdin.isatty():
        say("Nothing was run. To run it without being asked: --yes")
        return False
    return input("Run it? [y/N] ").strip().lower() in ("y", "yes")


def write(folder: Path, stem: str, suffix: str, text: str) -> Path:
    """Write a file of today under a name that nothing has."""
    names = itertools.chain([""], (f"-{count}" for count in itertools.count(2)))
    for name in names:
        path = folder / f"{stem}-{date.today().isoformat()}{name}{suffix}"
        if not os.path.lexists(path):
            break
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
    return path


def say_row(number: str, status: str, words: str) -> None:
    look = LOOKS[status]
    lines = words.splitlines() or [""]
    say(
        f"{look.sign} {number} {look.words}{f': {lines[0]}' if words else ''}"
        + "".join(f"\n    {x}" for x in lines[1:])
    )


def say(words: str) -> None:
    print(printable(plain(words)), flush=True)


def plain(words: str) -> str:
    """Without the signs by which a text could command a terminal."""
    return re.sub(r"[^\S\n ]|[\x00-\x08\x0b-\x1f\x7f-\x9f]", " ", words)
