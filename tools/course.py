"""What several tools ask of the course: where things are, what a lesson's header says, where it is published.

A leaf: it imports none of the other tools.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import jupytext

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "lessons"
NOTEBOOKS = ROOT / "notebooks"
README = ROOT / "README.md"
GLOSSARY = "docs/glossary.md"
PUBLICATION = ROOT / "published.json"
GITHUB = "https://github.com/"


class LessonError(Exception):
    """A lesson cannot become a notebook; the message names the lesson, the cell and the fix."""


@dataclass(frozen=True)
class Publication:
    """Where the course is published, as `make publish` noted it.

    Attributes:
        address: of the git repository, such as `https://host/owner/name`.
        revision: the full hash of the released commit. Whoever takes over the address cannot make another commit of
            this hash, so what is installed from there is what was released.
    """

    address: str
    revision: str

    @property
    def requirement(self) -> str:
        """What pip is given to install the released commit."""
        return f"git+{self.address}@{self.revision}"

    def page(self, file: str) -> str:
        """The page on which the repository shows a file or folder of the release."""
        return f"{self.address}/{'tree' if (ROOT / file).is_dir() else 'blob'}/{self.revision}/{file}"

    def colab(self, stem: str) -> str | None:
        """Where Colab opens a lesson's newest notebook; None where the address is none that Colab reads from."""
        if not self.address.startswith(GITHUB):
            return None
        repository = self.address.removeprefix(GITHUB)
        return f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{stem}.ipynb"


def publication() -> Publication | None:
    """Where the course is published; None for a copy that was not published."""
    return Publication(**json.loads(PUBLICATION.read_text())) if PUBLICATION.exists() else None


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def lessons() -> list[Path]:
    return sorted(LESSONS.glob("*.py"))


def course_of(lesson: Path) -> dict:
    """The `course` entry in the lesson's header: title, objectives, prerequisites, minutes.

    The minutes are those of `reading`, of the `exercises`, and of the `short` path: what the next lessons need.

    Raises:
        LessonError: the header or one of its entries is missing.
    """
    course = jupytext.read(lesson, fmt="py:percent").metadata.get("course", {})
    missing = [key for key in ("title", "objectives", "prerequisites", "minutes") if key not in course]
    if missing:
        raise LessonError(f"{lesson.name}: its header has no {' and no '.join(missing)} under jupyter: course:")
    return course


def minutes_of(course: dict) -> int:
    """What a lesson takes with all its exercises."""
    return course["minutes"]["reading"] + course["minutes"]["exercises"]


def course_map(folder: str = "notebooks/") -> str:
    """The table of lessons, from their headers, with links into `folder`, and to Colab where that can fetch them."""
    published = publication()
    on_colab = published is not None and published.colab("") is not None
    head, rule = "| lesson | what you will learn | minutes | short path |", "| --- | --- | --- | --- |"
    rows, total, shortest = [head + " |" * on_colab, rule + " --- |" * on_colab], 0, 0
    for lesson in lessons():
        course = course_of(lesson)
        minutes = minutes_of(course)
        short = course["minutes"].get("short", minutes)
        total, shortest = total + minutes, shortest + short
        link = f"[{lesson.stem[:2]} {course['title']}]({folder}{lesson.stem}.ipynb)"
        row = f"| {link} | {course['objectives'][0]} | {minutes} | {short} |"
        rows.append(row + (f" [Colab]({published.colab(lesson.stem)}) |" if on_colab else ""))
    return "\n".join([*rows, f"| | all together | {total} | {shortest} |" + " |" * on_colab]) + "\n"


def anchor(heading: str) -> str:
    """The name under which code hosts let one link to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def glossary() -> dict[str, str]:
    """Where each term of the glossary is explained: {term in small letters: anchor}; a heading may name several."""
    headings = re.findall(r"^### (.+)$", (ROOT / GLOSSARY).read_text(), flags=re.MULTILINE)
    return {term.strip("` ").lower(): anchor(heading) for heading in headings for term in heading.split(",")}


def glossary_link() -> str:
    """Where a notebook's links to the glossary lead: beside it, until there is an address that works from anywhere."""
    published = publication()
    return published.page(GLOSSARY) if published else f"../{GLOSSARY}"


def start_commands() -> str:
    """What opens the course, line by line: from its address, or in the folder one has."""
    published = publication()
    fetch = [f"git clone {published.address}", f"cd {published.address.rsplit('/', 1)[1]}"] if published else []
    return "\n".join([*fetch, "make lab"])
