"""Run the lessons with releases other than the pinned ones: `make canary` and `make lowest`.

`newest` leaves out the upper bounds of pyproject.toml: it tells what breaks next. `lowest` takes the lowest releases
that pyproject.toml allows: it tells whether the ranges are true. Each has a virtual environment of its own under
build/, with the course and the extras that lessons need. Where a lesson breaks, one changed package after the other is
put back to its pin, to find the one that breaks it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tools import lock
from tools.run_notebooks import Outcome

ROOT = lock.ROOT
NOTEBOOKS = ROOT / "notebooks"
NOT_FOR_LESSONS = {"dev"}
RESOLUTION = {"newest": "highest", "lowest": "lowest-direct"}
# So that libraries say in the cells' outputs what they are going to take away.
SHOW_WARNINGS = "default::DeprecationWarning,default::PendingDeprecationWarning,default::FutureWarning"
NONE = "-"
NOT_THE_RELEASES = "nothing: it breaks with the pins too"


class CannotTry(Exception):
    """The releases cannot be had or used together; the message says which step refused them, and why."""


def lesson_extras() -> list[str]:
    return [extra for extra in lock.pyproject()["project"]["optional-dependencies"] if extra not in NOT_FOR_LESSONS]


def without_caps(line: str) -> str:
    """A requirement without what keeps new releases out: `torch>=2.13,<2.16` becomes `torch>=2.13`."""
    requirement = Requirement(line)
    requirement.specifier = SpecifierSet(
        ",".join(str(part) for part in requirement.specifier if part.operator[0] in ">!")
    )
    return str(requirement)


def wanted(kind: str) -> list[str]:
    """What the lessons need, from pyproject.toml; for `newest` without upper bounds."""
    project = lock.pyproject()["project"]
    lines = project["dependencies"] + [
        line for name in lesson_extras() for line in project["optional-dependencies"][name]
    ]
    return [without_caps(line) for line in lines] if kind == "newest" else lines


def run(command: list, step: str, **options) -> str:
    """Run a command of one step and return what it printed.

    Raises:
        CannotTry: it failed; the message has the last lines of what it said.
    """
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, **options)
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise CannotTry(f"{step} failed:\n{said}")
    return done.stdout


class Trial:
    """One set of releases in a virtual environment of its own.

    Args:
        kind: `newest` or `lowest`.
        held: pins such as `torch==2.13.0` that the releases must agree with.
    """

    def __init__(self, kind: str, held: list[str]) -> None:
        self.kind, self.held = kind, held
        self.folder = ROOT / "build" / ("canary" if kind == "newest" else kind)
        self.python = self.folder / "venv" / "bin" / "python"
        if os.name == "nt":
            self.python = self.folder / "venv" / "Scripts" / "python.exe"

    def make(self) -> None:
        """Make the virtual environment anew; releases come with `install`."""
        run([sys.executable, "-m", "venv", "--clear", self.folder / "venv"], "Making a virtual environment")

    def resolve(self, put_back: list[str]) -> None:
        """Write releases that go together, `put_back` among them, to this trial's constraints.txt.

        Raises:
            CannotTry: none do.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        needs = self.folder / "requirements.txt"
        needs.write_text("\n".join([*wanted(self.kind), *self.held, *put_back]) + "\n")
        command = [sys.executable, "-m", "uv", "pip", "compile", needs, "--quiet", "--no-header", "--no-annotate"]
        command += ["--no-build"]  # a source distribution would run code to be asked what it needs
        command += ["--python", self.python, "--resolution", RESOLUTION[self.kind]]
        (self.folder / "constraints.txt").write_text(run(command, "Finding releases that go together"))

    def install(self, put_back: list[str] | None = None) -> None:
        """Bring the virtual environment to the releases that `resolve` finds.

        They are constraints, and pip finds what has to be installed: so a CPU build of torch, which uv does not know,
        brings no CUDA libraries.
        """
        self.resolve(put_back or [])
        pip = [self.python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--only-binary", ":all:"]
        files = ["--constraint", self.folder / "constraints.txt", "--requirement", self.folder / "requirements.txt"]
        run([*pip, *files], "Installing the releases")
        run([*pip, "--no-deps", "--no-build-isolation", "--editable", "."], "Installing the course")

    def versions(self) -> dict[str, str]:
        """The release of each package in the virtual environment."""
        command = [self.python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
        listed = json.loads(run(command, "Listing the releases"))
        return {canonicalize_name(package["name"]): package["version"].split("+")[0] for package in listed}

    def play(self, lessons: list[str]) -> list[Outcome]:
        """Run the notebooks of these lessons with the releases as they are."""
        result = self.folder / "outcomes.json"
        result.unlink(missing_ok=True)
        paths = [NOTEBOOKS / f"{lesson}.ipynb" for lesson in lessons]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": SHOW_WARNINGS}
        command = [self.python, ROOT / "tools" / "run_notebooks.py", *paths, "--json", result]
        done = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        if not result.exists():
            raise CannotTry("No notebook can be run:\n" + "\n".join(done.stderr.strip().splitlines()[-15:]))
        return [Outcome(**outcome) for outcome in json.loads(result.read_text())]


def pinned() -> dict[str, str]:
    """The release of each package that the lessons are pinned to on this machine, torch's CUDA libraries aside."""
    pins = [Requirement(pin) for name in ["torch", "core", *lesson_extras()] for pin in lock.read_requirements(name)]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in here}


def changes(before: dict[str, str], now: dict[str, str]) -> dict[str, tuple[str, str]]:
    """{package: (pinned release, release now)} for those that differ, our direct dependencies first."""
    direct = {canonicalize_name(Requirement(line).name) for line in wanted("lowest")}
    differ = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    differ -= {"pip", "torchrl-course"}
    names = sorted((name not in direct, name) for name in differ if not name.startswith(lock.CUDA_PREFIXES))
    return {name: (before.get(name, NONE), now.get(name, NONE)) for _, name in names}


def runs_with(trial: Trial, pins: list[str], lessons: list[str]) -> set[str]:
    """Those of the lessons that run once `pins` are put back.

    Raises:
        CannotTry: nothing goes with these pins.
    """
    print(f"Putting back {', '.join(pins)} ...", flush=True)
    trial.install(put_back=pins)
    return {outcome.lesson for outcome in trial.play(lessons) if not outcome.error}


def find_culprits(trial: Trial, changed: dict[str, tuple[str, str]], broken: list[str]) -> dict[str, str]:
    """{lesson: the package whose pinned release alone mends it}; lessons that no single package mends are left out.

    A lesson that breaks with all packages at their pins too is not searched for: it gets NOT_THE_RELEASES.
    """
    if not broken:
        return {}
    pins = {name: f"{name}=={before}" for name, (before, _) in changed.items() if before != NONE}
    try:
        mendable = runs_with(trial, list(pins.values()), broken)
    except CannotTry:
        mendable = set(broken)
    culprits = {lesson: NOT_THE_RELEASES for lesson in broken if lesson not in mendable}
    for name, pin in pins.items():
        open_cases = [lesson for lesson in broken if lesson not in culprits]
        if not open_cases:
            break
        with contextlib.suppress(CannotTry):
            culprits |= dict.fromkeys(runs_with(trial, [pin], open_cases), name)
    return culprits


def report(title: str, outcomes: list[Outcome], changed: dict[str, tuple[str, str]], culprits: dict[str, str]) -> str:
    """What came of it, as Markdown."""
    lines = [
        f"# {title}",
        "",
        "| lesson | | cell | error | mended by putting back |",
        "| --- | --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        state, culprit = ("broken", culprits.get(outcome.lesson, "no single package")) if outcome.error else ("ok", "")
        error = outcome.error.replace("|", "\\|")
        lines.append(f"| {outcome.lesson} | {state} | {outcome.cell} | {error} | {culprit} |")
    lines += ["", f"## Releases that differ from the pins: {len(changed)}", ""]
    lines += [f"- {name}: {before} -> {now}" for name, (before, now) in changed.items()]
    announced: dict[str, list[str]] = {}
    for outcome in outcomes:
        for warning in outcome.announced:
            announced.setdefault(warning, []).append(outcome.lesson[:2])
    lines += ["", f"## Changes that libraries announce: {len(announced)}", ""]
    lines += [f"- {warning} (in {', '.join(lessons)})" for warning, lessons in announced.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=RESOLUTION, help="which releases to try")
    parser.add_argument("--torch", help="hold torch at this release")
    parser.add_argument("--lessons", nargs="+", metavar="LESSON", help="try these only, such as 01_environments")
    arguments = parser.parse_args()
    lessons = arguments.lessons or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    trial = Trial(arguments.kind, [f"torch=={arguments.torch}"] if arguments.torch else [])
    try:
        trial.make()
        trial.install()
        changed = changes(pinned(), trial.versions())
        outcomes = trial.play(lessons)
    except CannotTry as error:
        sys.exit(f"\nThe {arguments.kind} releases cannot be tried. {error}")
    broken = [outcome.lesson for outcome in outcomes if outcome.error]
    culprits = find_culprits(trial, changed, broken)
    text = report(f"The lessons with the {arguments.kind} releases", outcomes, changed, culprits)
    (trial.folder / "report.md").write_text(text)
    print(f"\n{text}")
    if broken:
        sys.exit(f"{len(broken)} of {len(outcomes)} lessons break with the {arguments.kind} releases.")


if __name__ == "__main__":
    main()
