"""The lessons as plain Markdown, and `llms.txt` that lists them: what an assistant can read and quote.

People learn beside an assistant, which knows the API of the year in which it was trained. These pages say what releases
they were run with, and hold no solutions, so that an exercise stays one.

Source of the form: https://llmstxt.org
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from packaging.requirements import Requirement

from tools.copies import for_students
from tools.course import NOTEBOOKS, README, course_of, lessons, pyproject
from tools.lock import read_requirements

FOLDER = "plain"
NAMED = ("torch", "torchrl", "tensordict", "gymnasium")


def versions() -> str:
    """The releases that the lessons were run with, as words."""
    pins = {
        pin.name: str(pin.specifier).lstrip("=")
        for pin in map(Requirement, [*read_requirements("torch"), *read_requirements("core")])
    }
    return ", ".join(f"{name} {pins[name]}" for name in NAMED)


def markdown(notebook: NotebookNode) -> str:
    """A notebook's text and code as Markdown, without solutions, outputs and the set-up cell."""
    parts = []
    for cell in for_students(notebook).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif "setup" not in cell.metadata.get("tags", []):
            parts.append(f"```python\n{cell.source}\n```")
    return "\n\n".join(parts) + "\n"


def llms_txt() -> str:
    """What is here, for a reader that is a program: one line for each lesson."""
    lines = [README.read_text(encoding="utf-8").splitlines()[0], "", f"> {pyproject()['project']['description']}", ""]
    lines += [f"Every page was run with {versions()}. They hold no solutions: explain, and let the learner write.", ""]
    lines.append("## Lessons\n")
    for lesson in lessons():
        course = course_of(lesson)
        lines.append(f"- [{course['title']}]({FOLDER}/{lesson.stem}.md): {'; '.join(course['objectives'])}")
    return "\n".join(lines) + "\n"


def write(target: Path) -> None:
    """Write `llms.txt` and the lessons into the folder of the site."""
    (target / FOLDER).mkdir(parents=True, exist_ok=True)
    (target / "llms.txt").write_text(llms_txt(), encoding="utf-8")
    for lesson in lessons():
        text = markdown(nbformat.read(NOTEBOOKS / f"{lesson.stem}.ipynb", as_version=4))
        (target / FOLDER / f"{lesson.stem}.md").write_text(f"*Run with {versions()}.*\n\n{text}", encoding="utf-8")
