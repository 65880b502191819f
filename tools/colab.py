"""Run the course on a machine like Google Colab's: `make colab`, with a newer list of Colab's: `make colab LIST=file`.

The machine is a virtual environment in build/colab with exactly the releases that Colab publishes, as far as the course
touches them (requirements/colab.txt), and with a stand-in for the module google.colab. It gets what a reader on Colab
has: one notebook in an empty folder, and beside it the wheel of the course. Then come the tests of views and exercises.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import nbformat
from packaging.utils import canonicalize_name
from tqdm import tqdm

from tools import notebooks, wheel
from tools.course import NOTEBOOKS, ROOT
from tools.interpreters import interpreter

PINS = ROOT / "requirements" / "colab.txt"
RECORD = notebooks.COLAB_RECORD
BUILD = ROOT / "build" / "colab"
KERNEL = "colab"
LIKE_A_PIN = re.compile(r"^([\w.-]+)==([\w.!+]+)$")
LIKE_A_FILE = re.compile(r"^([\w.-]+) @ \S*/[\w.]+-(\d[\w.]*)(?:%2B\w+)?-(?:cp(\d)(\d+)|py3)\S*\.whl$")
FAKE = {
    "__init__": "from google.colab import data_table, drive, files, output, userdata",
    "output": "def enable_custom_widget_manager(): pass\ndef clear(*_, **__): pass",
    "drive": "def mount(path, *_, **__): pass",
    "files": "def upload(): return {}\ndef download(path): pass",
    "userdata": "def get(name): raise KeyError(name)",
    "data_table": "def enable_dataframe_formatter(): pass",
}
PACKAGES = """
import importlib.metadata, json
print(json.dumps({found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}))
"""
TESTS = ["tests/views", "tests/exercises"]
FOR_THE_TESTS = [
    "pytest",
    "pytest-rerunfailures",
    "hypothesis",
    "jupytext",
    "nbclient",
    "playwright",
    "axe-playwright-python",
]


class NotColab(Exception):
    """The machine cannot be made; the message names the fix."""


@dataclass(frozen=True)
class Carried:
    """What a list of Colab's says.

    Attributes:
        pins: {package: release}, names in their canonical form.
        python: its Python, such as `3.13`; empty where the list does not say.
        dated: the day of the list; empty where it does not say.
    """

    pins: dict[str, str]
    python: str = ""
    dated: str = ""


@dataclass(frozen=True)
class Run:
    """What came of one notebook.

    Attributes:
        seconds: of the wall, the start of its kernel included.
        setup: what its set-up cell printed.
        error: what stopped it; empty where it ran to its end.
        edition: of what ran, as `notebooks.edition` says.
    """

    lesson: str
    seconds: float
    edition: str
    setup: str = ""
    error: str = ""


def read_list(text: str) -> Carried:
    """Read requirements/colab.txt, or a list as Colab publishes it (`pip freeze`); what is no release is left out."""
    told = dict(re.findall(r"^# (list|python): (\S+)$", text, flags=re.MULTILINE))
    pins, python = {}, told.get("python", "")
    for line in map(str.strip, text.splitlines()):
        if found := LIKE_A_PIN.match(line):
            pins[canonicalize_name(found[1])] = found[2]
        elif found := LIKE_A_FILE.match(line):
            pins[canonicalize_name(found[1])] = found[2]
            python = python or (f"{found[3]}.{found[4]}" if found[3] else "")
    return Carried(pins, python, told.get("list", ""))


def updated(ours: Carried, theirs: Carried) -> tuple[Carried, list[str]]:
    """Our list with the releases of a newer one, and what that changes, a line each."""
    pins = {name: theirs.pins[name] for name in ours.pins if name in theirs.pins}
    changes = [f"{name}: {ours.pins[name]} -> {new}" for name, new in pins.items() if new != ours.pins[name]]
    changes += [f"{name}: {ours.pins[name]} -> no longer there" for name in ours.pins if name not in pins]
    if theirs.python and theirs.python != ours.python:
        changes.insert(0, f"Python: {ours.python} -> {theirs.python}")
    return Carried(pins, theirs.python or ours.python, theirs.dated), changes


class Machine:
    """A virtual environment that passes for a Colab machine, and what is run on it.

    Args:
        folder: where it is made; what is there is removed.
        python: the Python to make it with.
        pins: {package: release} of what is there before the first cell.
    """

    def __init__(self, folder: Path, python: str, pins: dict[str, str]) -> None:
        self.folder, self._made_by, self.pins = folder, python, pins
        self.python = folder / "venv" / "bin" / "python"

    def pip(self, *arguments: object) -> None:
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        if subprocess.run([str(part) for part in [*command, *arguments]], stdout=sys.stderr).returncode:
            raise NotColab("pip could not make the machine; the lines above say why.")

    def make(self) -> None:
        """Make it anew.

        Raises:
            NotColab: pip cannot.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([self._made_by, "-m", "venv", self.python.parents[1]], check=True)
        pins = self.folder / "pins.txt"
        pins.write_text("".join(f"{name}=={release}\n" for name, release in self.pins.items() if name != "torch"))
        # torch brings what its build needs. Not all of Colab's releases fit one another, or it: they come as they are.
        self.pip(f"torch=={self.pins['torch']}")
        self.pip("--no-deps", "--requirement", pins)
        # google is a namespace that others (protobuf) put packages into as well: it must not get an __init__.py.
        fake = self.folder / "fake" / "google" / "colab"
        fake.mkdir(parents=True)
        for name, text in FAKE.items():
            (fake / f"{name}.py").write_text(text + "\n")
        kernel = self.folder / "kernels" / KERNEL
        kernel.mkdir(parents=True)
        command = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        command += ["--IPKernelApp.exec_lines=import google.colab"]
        spec = {"argv": command, "display_name": "Colab", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Kernels that start in here are this machine's."""
        before = dict(os.environ)
        os.environ |= {
            "JUPYTER_PATH": str(self.folder),
            "PYTHONPATH": str(self.folder / "fake"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "OMP_NUM_THREADS": "1",
        }
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else all of torch is compiled at every start
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before

    def version(self) -> str:
        """The full version of its Python."""
        command = [self.python, "-c", "import platform; print(platform.python_version())"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def packages(self) -> dict[str, str]:
        """The release of each package, names in their canonical form."""
        said = subprocess.run([self.python, "-c", PACKAGES], check=True, capture_output=True, text=True).stdout
        return {canonicalize_name(name): release for name, release in json.loads(said).items()}

    def run(self, notebook: nbformat.NotebookNode, lesson: str, beside: list[Path]) -> Run:
        """Run a notebook in an empty folder, but for the files `beside` it."""
        notebook.metadata["kernelspec"]["name"] = KERNEL
        started, error = time.monotonic(), ""
        with self.environment():
            try:
                notebooks.execute(notebook, lesson, beside, other_releases=True)
            except notebooks.LessonError as failure:
                error = str(failure)
        cell = next(cell for cell in notebook.cells if cell.get("id") == "setup")
        said = "".join(output.get("text", "") for output in cell.get("outputs", []))
        return Run(lesson, round(time.monotonic() - started, 1), notebooks.edition(notebook), said, error)

    def tests(self) -> int:
        """Run the tests of views and exercises in it; gives pytest's exit status."""
        here = self.folder / "here.txt"
        here.write_text("".join(f"{name}=={release}\n" for name, release in self.packages().items()))
        self.pip("--constraint", here, *FOR_THE_TESTS)
        command = [self.python, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *TESTS]
        with self.environment():
            os.environ["PYTHONPATH"] = str(ROOT)
            return subprocess.run(command, cwd=ROOT).returncode


def report(runs: list[Run], before: dict[str, str], after: dict[str, str]) -> str:
    """What came of it, in lines."""
    lines = [f"{run.lesson:30} {run.seconds:6.0f} s  {'broken: ' + run.error if run.error else 'ok'}" for run in runs]
    new = [f"{name} {release}" for name, release in sorted(after.items()) if name not in before]
    other = [f"{name} {release} -> {after.get(name)}" for name, release in before.items() if after.get(name) != release]
    lines += ["", "The first set-up cell said:", *(f"  {line}" for line in runs[0].setup.splitlines())]
    return "\n".join([*lines, f"Installed: {', '.join(new)}", f"Replaced: {', '.join(other) or 'nothing'}"])


def python_for(carried: Carried) -> str:
    """A Python of this machine of the version that Colab has.

    Raises:
        NotColab: there is none.
    """
    if not carried.python:
        return sys.executable
    if found := interpreter(carried.python):
        return found
    raise NotColab(
        f"Colab has Python {carried.python}, and none was found on the PATH or in ~/.pyenv. Install it with "
        f"`uv python install {carried.python}` or `pyenv install {carried.python}`, then run this again."
    )


def note(runs: list[Run], python: str, carried: Carried) -> None:
    """Note which notebooks run, when, in how many seconds, and which edition of them; what was noted of another list or
    machine is forgotten.
    """
    about = {"list": carried.dated, "python": python, "torch": carried.pins["torch"]}
    before = json.loads(RECORD.read_text())
    ran = before["notebooks"] if about.items() <= before.items() else {}
    for run in runs:
        ran.pop(run.lesson, None)
        if not run.error:
            ran[run.lesson] = {"run": date.today().isoformat(), "seconds": run.seconds, "edition": run.edition}
    RECORD.write_text(json.dumps({**about, "notebooks": dict(sorted(ran.items()))}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", type=Path, help="a newer list as Colab publishes it")
    parser.add_argument("--lessons", nargs="+", metavar="LESSON", help="these only, such as 01_environments")
    parser.add_argument("--keep", action="store_true", help="take the machine that is there")
    arguments = parser.parse_args()
    carried, stems = read_list(PINS.read_text()), sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    if arguments.list:
        carried, changes = updated(carried, read_list(arguments.list.read_text()))
        print(f"Colab changed {len(changes)} things that the course touches:", *changes, sep="\n  ")
    try:
        machine = Machine(BUILD, sys.executable if arguments.keep else python_for(carried), carried.pins)
        if not arguments.keep:
            machine.make()
        before = machine.packages()
        built = wheel.build(BUILD / "wheel")
        chosen = [NOTEBOOKS / f"{stem}.ipynb" for stem in arguments.lessons or stems]
        runs = [
            machine.run(nbformat.read(path, as_version=4), path.stem, [built]) for path in tqdm(chosen, unit="notebook")
        ]
        print(report(runs, before, machine.packages()))
        tests = 0 if arguments.lessons else machine.tests()
    except NotColab as error:
        sys.exit(str(error))
    if not arguments.list:
        note(runs, machine.version(), carried)
    broken = [run.lesson for run in runs if run.error]
    if broken or tests:
        sys.exit(f"{len(broken)} of {len(runs)} notebooks break; pytest's exit status is {tests}.")


if __name__ == "__main__":
    main()
