"""Find a learner's answers: in a notebook, a folder or a zip, what each `check` of an exercise is given."""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from course_utils.exercises.slicing import TOO_MUCH, Statement, needed, python, statement, statements, walk_what_runs

NUMBER = re.compile(r"\d{1,2}\.\d{1,2}")
SAYS_SOLUTION = "# @title Solution"
# What is more than this is no notebook that somebody wrote.
NOTEBOOK_BYTES = 100_000_000
NOTEBOOKS, CELLS, CELL_LETTERS, TRIES, ANSWER_LETTERS = 100, 2000, 200_000, 5, 200_000


class NotAnswers(Exception):
    """What was named holds no notebooks, or one that cannot be read; the message is one sentence."""


@dataclass(frozen=True)
class Answer:
    """What an exercise's check was given.

    Attributes:
        number: of the exercise.
        code: a program that ends in `check(number, ...)` and needs nothing else of its notebook.
    """

    number: str
    code: str


@dataclass(frozen=True)
class Found:
    """One notebook's answers, the last ones first, and what could not be read of it."""

    name: str
    answers: list[Answer]
    problem: str = ""


def find_answers(place: Path) -> list[Found]:
    """The answers in a notebook, or in all notebooks of a folder or a zip. Nothing is written or unpacked.

    Raises:
        NotAnswers: there is no notebook.
    """
    found = [
        Found(name, [], text) if is_problem else read_notebook(name, text) for name, text, is_problem in texts(place)
    ]
    if not found:
        raise NotAnswers(f"There is no notebook (.ipynb) in {place}.")
    return found


def texts(place: Path) -> Iterator[tuple[str, str, bool]]:
    """Name, text and False for each notebook; name, a sentence and True for one that cannot be read."""
    if place.suffix == ".zip" and place.is_file():
        yield from texts_of_a_zip(place)
        return
    if not place.exists():
        raise NotAnswers(f"{place} is not there.")
    paths = [place] if not place.is_dir() else sorted(notebooks_in(place))[:NOTEBOOKS]
    for path in paths:
        name = path.name if path == place else str(path.relative_to(place))
        try:
            about = path.stat()
            if not stat.S_ISREG(about.st_mode) or about.st_size > NOTEBOOK_BYTES:
                yield name, "is no notebook, or one of more than 100 MB", True
            else:
                yield name, path.read_bytes().decode("utf-8", "replace"), False
        except OSError as error:
            yield name, f"could not be read ({error.strerror})", True


def notebooks_in(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in files:
            path = Path(where, name)
            if is_notebook(name) and not path.is_symlink():
                yield path


def is_notebook(name: str) -> bool:
    return name.endswith(".ipynb") and not name.startswith(".")


def texts_of_a_zip(path: Path) -> Iterator[tuple[str, str, bool]]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [
                entry
                for entry in archive.infolist()
                if is_notebook(entry.filename.rsplit("/", 1)[-1])
                and not any(part.startswith((".", "__MACOSX")) for part in entry.filename.split("/"))
            ]
            for entry in entries[:NOTEBOOKS]:
                if entry.file_size > NOTEBOOK_BYTES:
                    yield entry.filename, "is more than 100 MB", True
                    continue
                with archive.open(entry) as file:  # the size it tells need not be true
                    yield entry.filename, file.read(NOTEBOOK_BYTES).decode("utf-8", "replace"), False
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise NotAnswers(f"{path.name} is a zip that cannot be read ({type(error).__name__}).") from error


def read_notebook(name: str, text: str) -> Found:
    try:
        cells = code_cells(json.loads(text))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return Found(name, [], "is no notebook that can be read")
    return Found(name, list(answers_in(cells)))


def code_cells(notebook: dict) -> list[str]:
    """The code of a notebook's cells, without the course's solutions."""
    found = []
    for cell in notebook["cells"][:CELLS]:
        source = cell["source"]
        source = source if isinstance(source, str) else "".join(source)
        tags = cell.get("metadata", {}).get("tags", [])
        if cell["cell_type"] == "code" and "solution" not in tags and not source.lstrip().startswith(SAYS_SOLUTION):
            found.append(source[:CELL_LETTERS].encode("utf-8", "replace").decode())
    return found


def answers_in(cells: list[str]) -> Iterator[Answer]:
    """What each check in these cells is given, the last one first; of one exercise a few at most."""
    program: list[Statement] = []
    asked: list[tuple[int, str, ast.expr, str]] = []
    unreadable: list[Answer] = []
    for cell in cells:
        try:
            for one in statements(cell):
                asked += [(len(program), number, given, one.text) for number, given in checks_of(one)]
                program.append(one)
        except TOO_MUCH:
            unreadable += in_vain(cell)
    count: dict[str, int] = {}
    seen: set[Answer] = set()
    for place, number, given, _ in reversed(asked):
        answer = answer_at(program, place, number, given)
        if answer in seen or count.get(number, 0) >= TRIES or len(answer.code) > ANSWER_LETTERS:
            continue
        seen.add(answer)
        count[number] = count.get(number, 0) + 1
        yield answer
    yield from (answer for answer in unreadable if answer.number not in count)


def checks_of(one: Statement) -> Iterator[tuple[str, ast.expr]]:
    """The exercises that a statement checks, and with what."""
    for part in (part for node in one.nodes for part in walk_what_runs(node)):
        if isinstance(part, ast.Call) and (found := as_check(part)):
            yield found


def as_check(call: ast.Call) -> tuple[str, ast.expr] | None:
    """Number and answer of a call `check("7.1", answer)`; None for another call."""
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    given = dict(zip(("number", "answer"), call.args, strict=False)) | {key.arg: key.value for key in call.keywords}
    number = getattr(given.get("number"), "value", None)
    if name != "check" or "answer" not in given or not isinstance(number, str) or not NUMBER.fullmatch(number):
        return None
    return number, given["answer"]


def answer_at(program: list[Statement], place: int, number: str, given: ast.expr) -> Answer:
    words = ast.unparse(given)
    last, alone = f'check("{number}", {words})', statement(f"({words})", [])
    names = (alone.uses | alone.uses_later) - alone.gives
    # A loop with the check in it may bind the name: `for answer in (one, other): check("1.1", answer)`.
    in_a_loop = not all(isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign)) for node in program[place].nodes)
    upto = place + bool(in_a_loop and names & program[place].gives)
    parts = [one.text for one in needed(program, upto, names)]
    return Answer(number, "\n\n".join([*parts, last]) + "\n")


def in_vain(cell: str) -> Iterator[Answer]:
    """A cell that is no Python, if it is an exercise's: running it says why."""
    for number in dict.fromkeys(re.findall(r"""\bcheck\(\s*["'](\d{1,2}\.\d{1,2})["']""", cell)):
        yield Answer(number, cell)


def given_in(code: str, number: str) -> tuple[ast.Module, ast.Expression]:
    """An answer's program, and the expression that its check is given at the end.

    Raises:
        SyntaxError: it is no Python, or does not end in a check of this exercise.
    """
    tree = ast.parse(python(code), f"answer {number}")
    call = tree.body[-1].value if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    found = as_check(call) if isinstance(call, ast.Call) else None
    if found is None or found[0] != number:
        raise SyntaxError(f'the code does not end in check("{number}", ...)')
    return ast.Module(tree.body[:-1], []), ast.Expression(found[1])
