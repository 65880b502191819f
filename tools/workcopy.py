"""Keep the learner's own copy of the notebooks in work/, without ever losing a word of theirs.

A copy is *untouched* while its cells are those that were copied and it shows no outputs. An untouched copy follows new
editions of its lesson; a touched one stays as it is, and the new edition is laid beside it.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course_utils.exercises.progress import COPIES_RECORD as RECORD
from course_utils.runs.drafts import alone_in, delete_orphans, draft_in, put_in_place, sync
from tools.setup import how_to_own

PUBLICATION = "published.json"  # as tools.course has it, which needs more packages than `make lab` may ask for
OURS = ""  # in place of a fingerprint: no edition has this one


class CannotCopy(Exception):
    """Something is in the way of the learner's copy; the message names the file and the fix."""


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


def at_home(text: str, published: Path) -> str:
    """A notebook's text whose links to pages of the published repository lead to the files that lie here beside it."""
    if not published.exists():
        return text
    notebook, address = nbformat.reads(text, as_version=4), json.loads(published.read_text())["address"]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(rf"(?<=\]\(){re.escape(address)}/blob/\w+/", "../", cell.source)
    return nbformat.writes(notebook) + "\n"


def edition(text: str) -> str:
    """A fingerprint of what the cells say and show, and of what was noted about them: tags, slides, a title.

    Ids and what JupyterLab writes by itself on saving do not count. A file that is no notebook has a fingerprint of its
    own, which no edition has.
    """
    try:
        notebook = nbformat.reads(text, as_version=4)
        content = [
            [cell.cell_type, cell.source, cell.get("outputs", []), cell.get("attachments", {}), notes(cell)]
            for cell in notebook.cells
        ]
        content.append([notes(notebook), notebook.metadata.get("kernelspec", {}).get("name")])
    except Exception:  # nbformat raises many kinds of errors for broken files
        return hashlib.sha256(text.encode()).hexdigest()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def notes(part: nbformat.NotebookNode) -> dict:
    """The metadata of a notebook or a cell without what programs write there by themselves."""
    by_programs = {"kernelspec", "language_info", "trusted", "execution"}
    return {key: value for key, value in part.metadata.items() if key not in by_programs}


def edition_of(path: Path) -> str:
    """The fingerprint of a file; a link or a folder in its place is the learner's own, whatever it holds."""
    if path.is_symlink() or not path.is_file():
        return OURS
    return edition(path.read_text(encoding="utf-8", errors="replace"))


def read_record(work: Path) -> tuple[dict[str, str], list[Change]]:
    """Which edition each copy was made from. A record that cannot be read is set aside, not lost."""
    path = work / RECORD
    if not os.path.lexists(path):
        return {}, []
    try:
        if not path.is_file():  # to read a pipe may never end
            raise ValueError("no file")
        record = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(value, str) for value in record.values()):
            raise ValueError("not a table of texts")
        return record, []
    except (ValueError, AttributeError, RecursionError):
        aside = work / f"{RECORD}.broken-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        path.rename(aside)
        return {}, [Change(aside, "could not be read and was set aside; your notebooks are as they were")]


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of writing, which knows no file, name the one that was to be written."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that nobody ever sees half of it."""
    with named(path), draft_in(path.parent) as draft:
        draft.write(text.encode())
        put_in_place(draft, path)


def write_new(path: Path, text: str, like: os.stat_result | None = None) -> bool:
    """Write a file that must not exist yet, in one step; False, and nothing written, if it does.

    It gets the permissions of `like`, if there is one.
    """
    with named(path), draft_in(path.parent, like) as draft:
        draft.write(text.encode())
        sync(draft)
        try:
            os.link(draft.name, path)  # unlike a renaming, it replaces nothing
        except FileExistsError:
            return False
        except OSError:  # some file systems have no links
            return write_bare(path, text)
    return True


def write_bare(path: Path, text: str) -> bool:
    """`write_new` in more than one step; what could not be written to its end is deleted."""
    try:
        with open(path, "xb") as file:
            try:
                file.write(text.encode())
                sync(file)
            except BaseException:
                path.unlink()
                raise
    except FileExistsError:
        return False
    return True


def replace_untouched(path: Path, text: str, known: str) -> bool:
    """Put `text` in place of a copy of the edition `known`; False, and nothing done, if it is another by now.

    It is moved aside and looked at there. Whoever saves meanwhile makes a new file, and that is not replaced.
    """
    aside = path.with_name(f"{path.stem}.before-{secrets.token_hex(4)}.ipynb")
    path.rename(aside)
    untouched = done = False
    try:
        untouched = edition_of(aside) == known
        done = untouched and write_new(path, text, aside.stat())
    finally:
        if not done:
            with suppress(FileExistsError):  # two of the learner's: both stay
                put_back(aside, path)
        if untouched and path.exists():
            aside.unlink(missing_ok=True)
    return done


def put_back(aside: Path, path: Path) -> None:
    """Give a file its name again.

    Raises:
        FileExistsError: there is another of this name by now.
    """
    try:
        os.link(aside, path)
    except FileExistsError:
        raise
    except OSError:  # some file systems have no links
        if path.exists():
            raise FileExistsError(errno.EEXIST, "saved meanwhile", str(path)) from None
        aside.rename(path)
    else:
        aside.unlink()


def lay_beside(path: Path, text: str, record: dict[str, str]) -> Path:
    """Write a new edition under a name that is free, holds it already, or holds an untouched older one."""
    newest = edition(text)
    for number in itertools.count(1):
        place = path.with_name(f"{path.stem}.new-edition{'' if number == 1 else f'-{number}'}.ipynb")
        if write_new(place, text):
            return place
        there = edition_of(place)
        if there == newest or (there == record.get(place.name) and replace_untouched(place, text, there)):
            return place


def update(notebooks: Path, work: Path) -> list[Change]:
    """Bring work/ up to date with notebooks/ and say what was done.

    Raises:
        CannotCopy: work/ is no folder, cannot be read or written, or the disk is full. No notebook in it was changed
            but those that were untouched.
    """
    try:
        work.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise CannotCopy(
            f"{work} is no folder, and the course keeps your notebooks in a folder of that name. "
            f"Give it another name: mv {work} {work}-mine"
        ) from error
    except OSError as error:
        raise CannotCopy(sentence(error, work)) from error
    try:
        with alone_in(work):
            return copy_editions(notebooks, work)
    except OSError as error:
        raise CannotCopy(sentence(error, work)) from error


def copy_editions(notebooks: Path, work: Path) -> list[Change]:
    delete_orphans(work)
    record, changes = read_record(work)
    for source in sorted(notebooks.glob("*.ipynb")):
        try:
            text = at_home(clear_outputs(source.read_text(encoding="utf-8")), notebooks.parent / PUBLICATION)
        except Exception:  # nbformat raises many kinds of errors for broken files
            get_back = f"git checkout HEAD -- {source.parent.name}/{source.name}"
            changes.append(Change(source, f"cannot be read and was left out (an unfinished merge?): {get_back}"))
            continue
        newest, target = edition(text), work / source.name
        offered = f"offered {source.name}"
        if not os.path.lexists(target) and write_new(target, text):
            record[target.name] = newest
            changes.append(Change(target, "copied for you"))
            continue
        current = edition_of(target)
        if current == newest:
            record[target.name] = newest
        elif current == record.get(target.name) and replace_untouched(target, text, current):
            record[target.name] = newest
            changes.append(Change(target, "brought up to date (you had not touched it)"))
        elif newest not in (record.get(target.name), record.get(offered)):
            place = lay_beside(target, text, record)
            record[place.name] = record[offered] = newest
            changes.append(Change(place, f"is the new edition; your own {target.name} stays as it is"))
    write_whole(work / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
    return changes


def sentence(error: OSError, work: Path) -> str:
    """What is in the way, and what to do."""
    file = error.filename or work
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = f"The disk is full: {file} could not be written. Free some space (look with `df -h`)"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = f"No permission for {file}. Make it your own: {how_to_own(work)}"
    else:
        reason = f"{file} could not be read or written ({error.strerror}). Mend or move it"
    return f"{reason}; then run this again. What you wrote in {work.name}/ is as it was."
