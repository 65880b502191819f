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
import shutil
import sys
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from tqdm import tqdm

from benchmarks.groups import groups
from course_utils.views.display import ONE_OF_THEM, WIDGET
from tools import misconceptions
from tools.course import (
    NOTEBOOKS,
    README,
    ROOT,
    LessonError,
    course_map,
    course_of,
    glossary,
    glossary_link,
    lessons,
    publication,
    pyproject,
    start_commands,
)

CONTRIBUTING = ROOT / "docs" / "contributing.md"
COLAB_RECORD = ROOT / "course_utils" / "machine" / "colab.json"  # what `make colab` noted
SOLUTION = "# @title Solution (unfold to read)\n"
SETUP = "# @title Set-up: run this first; it installs what is missing, never torch, matplotlib or ipywidgets\n"
# The first folds the code in JupyterLab; Colab folds a "form" and shows its title.
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
NOWHERE = """
    if course is None:
        raise ImportError(
            "The course is not installed, and this copy of it has no public address. In the course's folder, "
            "`make wheel` builds one file: put it beside this notebook (Colab: Files, Upload), and run this cell again."
        )"""
WHEEL_NAME = "torchrl_course"  # how the file that `make wheel` builds begins
MAX_BYTES = 1_000_000
TIMEOUT = 600  # seconds for one cell
# Two kernels that start at the same moment can be given the same port; then one of them never answers.
STARTS, NO_KERNEL = 3, "Kernel died before replying to kernel_info"


def header(stem: str, course: dict) -> str:
    objectives = "\n".join(f"- {objective}" for objective in course["objectives"])
    minutes, published = course["minutes"], publication()
    on_colab = published.colab(stem) if published else None
    badge_line = f"[![Open in Colab](data:image/svg+xml;base64,{badge()})]({on_colab})\n\n" if on_colab else ""
    return (
        f"# {course['title']}\n\n"
        f"{badge_line}"
        f"**You will learn to**\n\n{objectives}\n\n"
        f"**You need** {course['prerequisites']}.\n\n"
        f"**Time** {minutes['reading']} minutes to read and run, {minutes['exercises']} for the exercises."
        f"{short_path(minutes)}\n\n"
        f"New words are explained in the [glossary]({glossary_link()})."
    )


def short_path(minutes: dict) -> str:
    if "short" not in minutes:
        return ""
    return (
        f" The short path, which is all that the next lessons need, takes {minutes['short']}: it passes over the "
        "sections marked *deeper*, and over exercises as you like."
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
    """The first code cell: fetches the course where it is missing, from a wheel beside the notebook or its address."""
    published, pythons = publication(), pyproject()["project"]["requires-python"]
    source = f'"{published.requirement}"' if published else "None"
    nowhere = "" if published else NOWHERE
    return f'''
{SETUP}import importlib.util
from pathlib import Path

if importlib.util.find_spec("course_utils") is None:
    wheels = sorted(Path.cwd().glob("{WHEEL_NAME}-*.whl"), key=lambda file: file.stat().st_mtime)
    course = wheels[-1] if wheels else {source}{nowhere}
    %pip install --quiet --no-deps "{{course}}"
    importlib.invalidate_caches()
    if importlib.util.find_spec("course_utils") is None:
        raise ImportError("pip's lines above say why. The course needs a network and Python {pythons}.")

from course_utils import install_missing

install_missing()
'''.strip()


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
        nbformat.v4.new_code_cell(setup_cell(), metadata={"id": "setup", "tags": ["setup"], **deepcopy(FOLDED)}),
    ]
    notebook.cells = first + notebook.cells
    fill_placeholders(notebook, lesson)
    link_terms(notebook)
    taken: set[str] = set()
    for cell in notebook.cells:
        cell.id = cell_id(stem, cell, taken)
        if "solution" in cell.metadata.get("tags", []):
            cell.metadata.update(deepcopy(FOLDED))
            cell.source = SOLUTION + cell.source
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def result_table(results: str, group: str) -> str:
    """A table of measured results, straight from benchmarks/results/: a lesson cannot quote an old number."""
    path = ROOT / "benchmarks" / "results" / f"{results}.json"
    return groups()[group].lesson_table(json.loads(path.read_text())["runs"][group])


def fill_placeholders(notebook: NotebookNode, lesson: Path) -> None:
    """Put what other lessons' headers say in place of `{{course map}}`, `{{next title}}` and `{{next file}}`,
    measured results in place of `{{table <results> <group>}}`, and the last run on Colab in place of `{{colab}}`.
    """
    following = [other for other in lessons() if other.name > lesson.name]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "{{" in cell.source:
            cell.source = re.sub(r"{{table (\w+) (\w+)}}", lambda found: result_table(*found.groups()), cell.source)
            if "{{course map}}" in cell.source:  # it takes reading all lessons
                cell.source = cell.source.replace("{{course map}}", course_map(folder="").rstrip())
            if "{{colab}}" in cell.source:
                cell.source = cell.source.replace("{{colab}}", last_run_on_colab())
            if following:
                cell.source = cell.source.replace("{{next title}}", course_of(following[0])["title"])
                cell.source = cell.source.replace("{{next file}}", f"{following[0].stem}.ipynb")
            if "{{" in cell.source:
                raise LessonError(
                    f"{lesson.name}: nothing can be put in place of {cell.source[cell.source.index('{{') :][:40]}"
                )


def link_terms(notebook: NotebookNode) -> None:
    """Let the first use of a term, in bold, lead to its explanation."""
    unused, target = glossary(), glossary_link()

    def linked(found: re.Match) -> str:
        place = unused.pop(found[1].strip("`").lower(), None)
        return f"[{found[0]}]({target}#{place})" if place else found[0]

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"(?<![*\[])\*\*([^*\n]+)\*\*(?!\*)", linked, cell.source)


def same_cells(ours: NotebookNode, theirs: NotebookNode) -> bool:
    """Do two notebooks have the same cells, outputs aside?"""

    def bare(notebook: NotebookNode) -> list:
        return [(cell.id, cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]

    return bare(ours) == bare(theirs)


def code_of(notebook: NotebookNode) -> list:
    """What a run depends on: all code cells but the generated set-up."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.id != "setup"]
    return [(cell.id, cell.source, dict(cell.metadata)) for cell in code]


def keep_outputs(notebook: NotebookNode, built: NotebookNode) -> bool:
    """Take over the outputs of an earlier build if it ran the same code: a word in the text changes no output."""
    ran = [cell for cell in built.cells if cell.cell_type == "code"]
    executed = [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1))
    if not executed or code_of(notebook) != code_of(built):
        return False
    for cell, earlier in zip((c for c in notebook.cells if c.cell_type == "code"), ran, strict=True):
        cell.outputs, cell.execution_count = earlier.outputs, earlier.execution_count
    return True


def is_current(lesson: Path) -> bool:
    """Is the committed notebook executed, and are its cells those of the lesson?"""
    path = NOTEBOOKS / f"{lesson.stem}.ipynb"
    if not path.exists():
        return False
    built = nbformat.read(path, as_version=4)
    code = [cell for cell in built.cells if cell.cell_type == "code"]
    executed = [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    return executed and same_cells(generate(lesson), built)


def run_cells(notebook: NotebookNode, name: str, beside: Sequence[Path] = ()) -> None:
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    with tempfile.TemporaryDirectory() as folder, tqdm(total=code, desc=name, unit="cell", file=sys.stdout) as bar:
        for file in beside:
            shutil.copy(file, folder)
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            record_timing=False,
            store_widget_state=False,
            resources={"metadata": {"path": folder}},
        )
        client.on_cell_executed = lambda **_: bar.update()
        client.execute(env={**os.environ, "PYTHONHASHSEED": "0"})


def execute(notebook: NotebookNode, name: str, beside: Sequence[Path] = (), other_releases: bool = False) -> None:
    """Run all cells in a fresh kernel and an empty folder, but for the files `beside` it, and keep clean outputs.

    With `other_releases` of the libraries, a cell may write the warnings that the notebook's text quotes.

    Raises:
        LessonError: a cell fails, or its output is not fit to be committed.
    """
    for attempt in range(STARTS):
        try:
            run_cells(notebook, name, beside)
            break
        except Exception as error:
            if NO_KERNEL not in str(error) or attempt == STARTS - 1:
                raise LessonError(f"{name} does not run: {error}") from error
    notebook.metadata["language_info"] = {"name": "python"}  # the kernel adds its exact version here
    for cell in notebook.cells:
        if cell.cell_type == "code":
            merge_streams(cell)
            drop_widgets(cell)
            if other_releases:
                drop_quoted_warnings(cell, notebook)
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
    kept = []
    for output in cell.outputs:
        data = output.get("data", {})
        alone = data.pop(WIDGET, None) and "text/html" not in data
        if "text/html" in data:
            data["text/html"] = data["text/html"].removeprefix(ONE_OF_THEM)
        kept += [] if alone else [output]
    cell.outputs = kept


def drop_quoted_warnings(cell: NotebookNode, notebook: NotebookNode) -> None:
    """Leave out what a cell writes to stderr if it is nothing but warnings whose first clause the text has in `...`."""
    text = "\n".join(other.source for other in notebook.cells if other.cell_type == "markdown")
    quoted = set(re.findall(r"`([^`\n]+)`", text))

    def is_told(output: NotebookNode) -> bool:
        said = {re.split("[,.:;(]", words)[0].strip() for words in WARNING.findall(output.text)}
        return bool(said) and said <= quoted and not WARNING.sub("", output.text).strip()

    cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr" or not is_told(output)]


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


WARNING = re.compile(r"^\S.*:\d+: \w*Warning: (.+)\n(?:  .*\n)?", re.MULTILINE)  # as Python's `warnings` prints one
UNFIT = {
    "a path of this machine": re.escape(str(ROOT)) + "|" + re.escape(str(Path.home())) + r"/|/tmp/|site-packages",
    "a memory address": r"\b0x[0-9a-f]{8,}\b",
    "a log line": r"\[torchrl\]\[",
}


def build(lesson: Path, force: bool = False) -> None:
    """Generate, execute and write one notebook; where only its text changed, it is not executed again.

    Raises:
        LessonError: as `generate`, `execute` and `write`.
    """
    notebook, path = generate(lesson), NOTEBOOKS / f"{lesson.stem}.ipynb"
    if not force and path.exists() and keep_outputs(notebook, nbformat.read(path, as_version=4)):
        print(f"{lesson.stem}: new text, outputs as they were")
    else:
        execute(notebook, lesson.stem)
    write(notebook, lesson)


def write(notebook: NotebookNode, lesson: Path) -> None:
    """Write a lesson's executed notebook.

    Raises:
        LessonError: it is over 1 MB.
    """
    text = nbformat.writes(notebook) + "\n"
    if len(text) > MAX_BYTES:
        raise LessonError(
            f"{lesson.stem}: {len(text) / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:g}; shrink its pictures."
        )
    (NOTEBOOKS / f"{lesson.stem}.ipynb").write_text(text)


def how_to_get_it() -> str:
    """What the README says first."""
    where = "" if publication() else "In the folder of the course:\n\n"
    return f"{where}```bash\n{start_commands()}\n```\n"


def edition(notebook: NotebookNode) -> str:
    """A short fingerprint of what a notebook runs: the same for a lesson and for what is built of it.

    The generated set-up does not count, and no word of the text does.
    """
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.get("id") != "setup"]
    return hashlib.sha256(json.dumps([source.removeprefix(SOLUTION) for source in code]).encode()).hexdigest()[:12]


def last_run_on_colab() -> str:
    """What is said of the last `make colab`."""
    now = {lesson.stem: edition(jupytext.read(lesson, fmt="py:percent")) for lesson in lessons()}
    return words_on_colab(json.loads(COLAB_RECORD.read_text()), now)


def words_on_colab(record: dict, now: dict[str, str]) -> str:
    """One sentence on what was run with what Colab carries, and one each on lessons that are others by now, or new.

    Args:
        record: as `tools.colab.note` writes it. What ran before editions were noted has none, and was an earlier one.
        now: the edition of each lesson.
    """
    ran = {stem: found for stem, found in record["notebooks"].items() if stem in now}
    days = sorted({found["run"] for found in ran.values()})
    when = f"on {days[0]}" if len(days) == 1 else f"between {days[0]} and {days[-1]}"
    which = f"All {len(now)} notebooks" if len(ran) == len(now) else f"Of {len(now)} notebooks {len(ran)}"
    words = (
        f"{which} were last run with what Colab carries {when}: "
        f"its published list of {record['list']}, Python {record['python']} and torch {record['torch']} among it."
    )
    changed = [stem[:2] for stem, found in ran.items() if found.get("edition") != now[stem]]
    if changed:
        these = "all of them" if len(changed) == len(ran) else listed("lesson", changed)
        words += f" It was an earlier edition of {these}."
    if absent := [stem[:2] for stem in now if stem not in ran]:
        words += f" Not yet run there: {listed('lesson', absent)}."
    return words


def listed(noun: str, names: list[str]) -> str:
    """`lesson 02`, `lessons 02 and 07`, `lessons 02, 07 and 11`."""
    *first, last = names
    return f"{noun}s {', '.join(first)} and {last}" if first else f"{noun} {last}"


def computing() -> str:
    """What the computer needs for a lesson, as the benchmark measured it."""
    from benchmarks.groups import notebooks as group
    from benchmarks.store import RESULTS, hash_of, read_group

    stamp, arms = read_group(RESULTS, "notebooks", "notebooks")
    return words_on_computing(stamp, arms, hash_of(group.code()))


def words_on_computing(stamp: dict, arms: dict, now: str) -> str:
    """How long the longest notebook ran, and whether notebooks are others by now.

    Args:
        stamp: what was measured with what, as in `benchmarks/results/`.
        arms: {notebook: {repeat: {"seconds": ...}}}.
        now: the hash of the code of all notebooks.
    """
    seconds = {stem: max(run["seconds"] for run in runs.values()) for stem, runs in arms.items()}
    longest = max(seconds, key=seconds.get)
    words = (
        f"The computer needed {seconds[longest]:.0f} seconds for the longest lesson, {longest[:2]}, "
        f"on {stamp['cores']} slow cores ({stamp['date']})."
    )
    return words if stamp["code"] == now else f"{words} That was an earlier edition of the lessons."


def filled(text: str, generated: dict[str, str]) -> str:
    """A document with what is generated put between `<!-- NAME: ... -->` and `<!-- end of NAME -->`.

    Raises:
        LessonError: a place for one of them is missing.
    """
    for name, content in generated.items():
        place = re.search(rf"(<!-- {name}: [^\n]*-->\n).*?(?=<!-- end of {name} -->)", text, flags=re.DOTALL)
        if not place:
            raise LessonError(
                f"The document has no place for {name!r}: <!-- {name}: made by ... -->, <!-- end of ... -->."
            )
        text = text[: place.start()] + place[1] + content + text[place.end() :]
    return text


def readme(text: str) -> str:
    """The README with what other places know brought up to date."""
    generated = {"how to get it": how_to_get_it(), "course map": course_map(), "colab": last_run_on_colab() + "\n"}
    generated["computing"] = computing() + "\n"
    return filled(text, generated)


def build_all(force: bool = False) -> None:
    """Build the notebooks whose lesson changed (all of them with `force`), and the documents that quote the lessons.

    Ends the program with the sentence of the first lesson that cannot be built.
    """
    NOTEBOOKS.mkdir(exist_ok=True)
    try:
        for lesson in lessons():
            if force or not is_current(lesson):
                build(lesson, force)
            else:
                print(f"{lesson.stem}: unchanged")
    except LessonError as error:
        sys.exit(f"\n{error}")
    write_documents()


def write_documents() -> None:
    """Bring the documents that quote the lessons up to date."""
    README.write_text(readme(README.read_text()))
    CONTRIBUTING.write_text(filled(CONTRIBUTING.read_text(), {"colab": last_run_on_colab() + "\n"}))
    misconceptions.write()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--force", action="store_true", help="rebuild all, not only what changed")
    build_all(parser.parse_args().force)


if __name__ == "__main__":
    main()
