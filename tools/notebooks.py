"""Build notebooks/ from lessons/: `make notebooks`.

A lesson is a jupytext percent file. Its notebook gets a generated header and set-up cell, a stable id for every
cell, and the outputs of one clean run from top to bottom. It is rebuilt when its cells differ from its lesson's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from tqdm import tqdm

from benchmarks import results_table

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "lessons"
NOTEBOOKS = ROOT / "notebooks"
README = ROOT / "README.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
MAP_BEGIN, MAP_END = "<!-- course map: made by `make notebooks` -->\n", "<!-- end of course map -->"
MAX_BYTES = 1_000_000
TIMEOUT = 600  # seconds for one cell
# Two kernels that start at the same moment can be given the same port; then one of them never answers.
STARTS, NO_KERNEL = 3, "Kernel died before replying to kernel_info"


class LessonError(Exception):
    """A lesson cannot become a notebook; the message names the lesson, the cell and the fix."""


def repository() -> str:
    """The public address of the course, from pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"].rstrip("/")


def colab_url(stem: str) -> str:
    path = repository().removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{stem}.ipynb"


def course_of(lesson: Path) -> dict:
    """The `course` entry in the lesson's header: title, objectives, prerequisites, minutes.

    Raises:
        LessonError: the header or one of its entries is missing.
    """
    course = jupytext.read(lesson, fmt="py:percent").metadata.get("course", {})
    missing = [key for key in ("title", "objectives", "prerequisites", "minutes") if key not in course]
    if missing:
        raise LessonError(f"{lesson.name}: its header has no {' and no '.join(missing)} under jupyter: course:")
    return course


def header(stem: str, course: dict) -> str:
    objectives = "\n".join(f"- {objective}" for objective in course["objectives"])
    minutes = course["minutes"]
    return (
        f"# {course['title']}\n\n"
        f"[![Open in Colab](data:image/svg+xml;base64,{badge()})]({colab_url(stem)})\n\n"
        f"**You will learn to**\n\n{objectives}\n\n"
        f"**You need** {course['prerequisites']}.\n\n"
        f"**Time** {minutes['reading']} minutes to read and run, {minutes['exercises']} for the exercises.\n\n"
        f"New words are explained in the [glossary]({repository()}/blob/main/docs/glossary.md)."
    )


def badge() -> str:
    """The Colab badge as an inline picture: a notebook must not fetch anything to be looked at."""
    import base64

    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="106" height="20" font-family="sans-serif" font-size="11">'
        '<rect width="106" height="20" rx="3" fill="#d55e00"/>'
        '<text x="53" y="14" fill="#fff" text-anchor="middle">Open in Colab</text></svg>'
    )
    return base64.b64encode(svg.encode()).decode()


def setup_cell() -> str:
    pythons = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    return (
        "# Set-up: installs what is missing here (Colab, a bare kernel); never torch, matplotlib or ipywidgets.\n"
        "import importlib.util\n"
        "import os\n\n"
        'if importlib.util.find_spec("course_utils") is None:\n'
        f'    course = os.environ.get("COURSE_SOURCE", "git+{repository()}")\n'
        '    %pip install --quiet --no-deps "{course}"\n'
        "    importlib.invalidate_caches()\n"
        '    if importlib.util.find_spec("course_utils") is None:\n'
        f'        raise ImportError("pip\'s lines above say why. The course needs a network and Python {pythons}.")\n\n'
        "from course_utils import install_missing\n\n"
        "install_missing()"
    )


def cell_id(stem: str, cell: NotebookNode, taken: set[str]) -> str:
    """The id a lesson gives its cell (`# %% id="..."`), else one made of the cell's text.

    Text, not position: a cell that is inserted leaves the ids of all others alone.
    """
    number = stem.split("_")[0]
    name = cell.metadata.pop("id", None) or f"{number}-{hashlib.sha256(cell.source.encode()).hexdigest()[:8]}"
    unique, copies = name, 1
    while unique in taken:
        copies += 1
        unique = f"{name}-{copies}"
    taken.add(unique)
    return unique


def generate(lesson: Path) -> NotebookNode:
    """The notebook of a lesson, not yet executed; the same lesson gives the same bytes.

    Raises:
        LessonError: as `course_of`.
    """
    stem, course = lesson.stem, course_of(lesson)
    notebook = jupytext.read(lesson, fmt="py:percent")
    first = [
        nbformat.v4.new_markdown_cell(header(stem, course), metadata={"id": "header"}),
        nbformat.v4.new_code_cell(setup_cell(), metadata={"id": "setup", "tags": ["setup"]}),
    ]
    notebook.cells = first + notebook.cells
    fill_placeholders(notebook, lesson)
    link_terms(notebook)
    taken: set[str] = set()
    for cell in notebook.cells:
        cell.id = cell_id(stem, cell, taken)
        if "solution" in cell.metadata.get("tags", []):
            # The first folds the code in JupyterLab; Colab folds a "form" and shows its title.
            cell.metadata["jupyter"] = {"source_hidden": True}
            cell.metadata["cellView"] = "form"
            cell.source = "# @title Solution (unfold to read)\n" + cell.source
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def result_table(results: str, group: str) -> str:
    """A table of measured results, straight from benchmarks/results/: a lesson cannot quote an old number."""
    path = ROOT / "benchmarks" / "results" / f"{results}.json"
    return results_table.table(json.loads(path.read_text())["runs"][group])


def fill_placeholders(notebook: NotebookNode, lesson: Path) -> None:
    """Put what other lessons' headers say in place of `{{course map}}`, `{{next title}}` and `{{next file}}`,
    and measured results in place of `{{table <results> <group>}}`.
    """
    following = [other for other in lessons() if other.name > lesson.name]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "{{" in cell.source:
            cell.source = re.sub(r"{{table (\w+) (\w+)}}", lambda found: result_table(*found.groups()), cell.source)
            cell.source = cell.source.replace("{{course map}}", course_map(folder="").rstrip())
            if following:
                cell.source = cell.source.replace("{{next title}}", course_of(following[0])["title"])
                cell.source = cell.source.replace("{{next file}}", f"{following[0].stem}.ipynb")
            if "{{" in cell.source:
                raise LessonError(
                    f"{lesson.name}: nothing can be put in place of {cell.source[cell.source.index('{{') :][:40]}"
                )


def anchor(heading: str) -> str:
    """The name under which code hosts let one link to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def glossary() -> dict[str, str]:
    """Where each term of the glossary is explained: {term in small letters: anchor}; a heading may name several."""
    headings = re.findall(r"^### (.+)$", GLOSSARY.read_text(), flags=re.MULTILINE)
    return {term.strip("` ").lower(): anchor(heading) for heading in headings for term in heading.split(",")}


def link_terms(notebook: NotebookNode) -> None:
    """Let the first use of a term, in bold, lead to its explanation."""
    unused = glossary()

    def linked(found: re.Match) -> str:
        place = unused.pop(found[1].strip("`").lower(), None)
        return f"[{found[0]}]({repository()}/blob/main/docs/glossary.md#{place})" if place else found[0]

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"(?<![*\[])\*\*([^*\n]+)\*\*(?!\*)", linked, cell.source)


def same_cells(ours: NotebookNode, theirs: NotebookNode) -> bool:
    """Do two notebooks have the same cells, outputs aside?"""

    def bare(notebook: NotebookNode) -> list:
        return [(cell.id, cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]

    return bare(ours) == bare(theirs)


def is_current(lesson: Path) -> bool:
    """Is the committed notebook executed, and are its cells those of the lesson?"""
    path = NOTEBOOKS / f"{lesson.stem}.ipynb"
    if not path.exists():
        return False
    built = nbformat.read(path, as_version=4)
    code = [cell for cell in built.cells if cell.cell_type == "code"]
    executed = [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    return executed and same_cells(generate(lesson), built)


def run_cells(notebook: NotebookNode, name: str) -> None:
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    with tempfile.TemporaryDirectory() as folder, tqdm(total=code, desc=name, unit="cell", file=sys.stdout) as bar:
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            record_timing=False,
            store_widget_state=False,
            resources={"metadata": {"path": folder}},
        )
        client.on_cell_executed = lambda **_: bar.update()
        client.execute(env={**os.environ, "PYTHONHASHSEED": "0"})


def execute(notebook: NotebookNode, name: str) -> None:
    """Run all cells in a fresh kernel and an empty folder, and keep clean outputs.

    Raises:
        LessonError: a cell fails, or its output is not fit to be committed.
    """
    for attempt in range(STARTS):
        try:
            run_cells(notebook, name)
            break
        except Exception as error:
            if NO_KERNEL not in str(error) or attempt == STARTS - 1:
                raise LessonError(f"{name} does not run: {error}") from error
    notebook.metadata["language_info"] = {"name": "python"}  # the kernel adds its exact version here
    for cell in notebook.cells:
        if cell.cell_type == "code":
            merge_streams(cell)
            drop_widgets(cell)
            for problem in unfit(cell):
                raise LessonError(f"{name}, cell {cell.id}: {problem}\n{cell.source}")


def merge_streams(cell: NotebookNode) -> None:
    """Join neighbouring pieces of printed text: where they are cut depends on the machine's pace."""
    merged: list[NotebookNode] = []
    for output in cell.outputs:
        output.pop("transient", None)
        if merged and output.output_type == "stream" == merged[-1].output_type and output.name == merged[-1].name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    cell.outputs = merged


def drop_widgets(cell: NotebookNode) -> None:
    """Leave the static form of a widget: without the kernel that made it, a widget is an error message."""
    for output in cell.outputs:
        output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


def unfit(cell: NotebookNode) -> list[str]:
    """Why the outputs of a cell cannot be committed; empty where they can."""
    problems = []
    for output in cell.outputs:
        text = output.get("text", "") or "".join(
            data for kind, data in output.get("data", {}).items() if isinstance(data, str) and kind.startswith("text/")
        )
        text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
        if output.get("name") == "stderr":
            problems.append(f"it writes to stderr; mend the cause, do not hide it:\n{text}")
        for kind, pattern in UNFIT.items():
            if found := re.search(pattern, text):
                problems.append(f"its output shows {kind} ({found.group()!r}), which differs from machine to machine")
    return problems


UNFIT = {
    "a path of this machine": re.escape(str(ROOT)) + "|" + re.escape(str(Path.home())) + r"/|/tmp/|site-packages",
    "a memory address": r"\b0x[0-9a-f]{8,}\b",
    "a log line": r"\[torchrl\]\[",
}


def build(lesson: Path) -> None:
    """Generate, execute and write one notebook.

    Raises:
        LessonError: as `generate` and `execute`, or the notebook is over 1 MB.
    """
    notebook = generate(lesson)
    execute(notebook, lesson.stem)
    text = nbformat.writes(notebook) + "\n"
    if len(text) > MAX_BYTES:
        raise LessonError(
            f"{lesson.stem}: {len(text) / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:g}; shrink its pictures."
        )
    (NOTEBOOKS / f"{lesson.stem}.ipynb").write_text(text)


def lessons() -> list[Path]:
    return sorted(LESSONS.glob("*.py"))


def course_map(folder: str = "notebooks/") -> str:
    """The table of lessons, from the lessons' headers, with links into `folder`."""
    rows, total = ["| lesson | what you will learn | minutes | |", "| --- | --- | --- | --- |"], 0
    for lesson in lessons():
        course = course_of(lesson)
        total += sum(course["minutes"].values())
        rows.append(
            f"| [{lesson.stem[:2]} {course['title']}]({folder}{lesson.stem}.ipynb) | {course['objectives'][0]} | "
            f"{sum(course['minutes'].values())} | [Colab]({colab_url(lesson.stem)}) |"
        )
    return "\n".join([*rows, f"| | all together | {total} | |"]) + "\n"


def readme_with_map(text: str) -> str:
    """The README's text with the address to clone and the course map between its two markers brought up to date."""
    clone = f"git clone {repository()}\ncd {repository().rsplit('/', 1)[1]}\n"
    before, rest = re.sub(r"git clone \S+\ncd \S+\n", clone, text).split(MAP_BEGIN)
    return before + MAP_BEGIN + course_map() + MAP_END + rest.split(MAP_END)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--force", action="store_true", help="rebuild all, not only what changed")
    force = parser.parse_args().force
    NOTEBOOKS.mkdir(exist_ok=True)
    try:
        for lesson in lessons():
            if force or not is_current(lesson):
                build(lesson)
            else:
                print(f"{lesson.stem}: unchanged")
    except LessonError as error:
        sys.exit(f"\n{error}")
    README.write_text(readme_with_map(README.read_text()))
    from tools import misconceptions  # it needs what is defined here

    misconceptions.write()


if __name__ == "__main__":
    main()
