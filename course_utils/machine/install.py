"""Install what a notebook needs where it runs, beside what must stay as it is: Google Colab, a bare kernel.

Called by the set-up cell of every notebook. Where everything is there it reads some metadata and says so.
"""

from __future__ import annotations

import importlib
import importlib.metadata as metadata
import json
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from course_utils.machine.trial import trial_problem

if TYPE_CHECKING:
    from packaging.markers import Marker
    from packaging.requirements import Requirement

COURSE = "torchrl-course"

# Never installed or replaced here. Which build of torch is right depends on the machine's GPU, and it is gigabytes;
# matplotlib and ipywidgets have a half that runs in the page, and Colab's page has its own, of fixed versions.
KEPT = ("torch", "matplotlib", "ipywidgets")
# The interface. A cell that runs has one already.
INTERFACE = ("jupyterlab",)

RESTART = "restart the kernel (Colab: Runtime > Restart session) and run this cell again"
ANOTHER_RUNTIME = "On Colab, choose another one under Runtime > Change runtime type > Runtime version."
FRESH_RUNTIME = "On Colab, take a fresh machine: Runtime > Disconnect and delete runtime, then run this cell first."


class CannotSetUp(Exception):
    """The notebook cannot run here; the message names the fix."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the sentence alone."""
        return [f"The course cannot run here yet. {self}"]


class Download(NamedTuple):
    """One package that pip would fetch."""

    name: str
    version: str
    url: str


def version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def asked_for(name: str) -> Requirement:
    """The releases of a package that the lessons were run with, from the course's metadata; any, if it names none."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(COURSE) or []
    except metadata.PackageNotFoundError:
        lines = []
    found = (requirement for requirement in map(Requirement, lines) if requirement.name == name)
    return next((requirement for requirement in found if requirement.marker is None), Requirement(name))


def is_untried(torch: str) -> bool:
    """Is this release of torch outside the range that the lessons were run with? Then only trying can tell."""
    return not asked_for("torch").specifier.contains(torch, prereleases=True)


def torch_command() -> str:
    return f'%pip install "{asked_for("torch")}"'


def lacking(requirement: Requirement) -> set[str]:
    """The names of what is absent, or there in a version that does not fit; extras included."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    version = version_of(requirement.name)
    if version is None or not requirement.specifier.contains(version, prereleases=True):
        return {canonicalize_name(requirement.name)}
    names: set[str] = set()
    for inner in map(Requirement, metadata.requires(requirement.name) or []):
        if inner.marker and any(inner.marker.evaluate({"extra": extra}) for extra in requirement.extras):
            names |= lacking(inner)
    return names


def requirements(extras: tuple[str, ...] = ()) -> list[Requirement]:
    """What the course needs, and what its extras add, from its own metadata; not the interface, which is there."""
    from packaging.requirements import Requirement

    def counts(marker: Marker | None) -> bool:
        return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)

    needed = map(Requirement, metadata.requires(COURSE) or [])
    return [needs for needs in needed if needs.name not in INTERFACE and counts(needs.marker)]


def installed() -> dict[str, str]:
    """The version of every package."""
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        if distribution.metadata["Name"]:
            found.setdefault(canonicalize_name(distribution.metadata["Name"]), distribution.version)
    return found


def imported() -> set[str]:
    """The names of the packages this kernel has imported from."""
    from packaging.utils import canonicalize_name

    owners = metadata.packages_distributions()
    return {canonicalize_name(owner) for module in list(sys.modules) for owner in owners.get(module, [])}


def pip(wanted: list[str], stay: dict[str, str], *options: str) -> str:
    """Run `pip install` with the versions in `stay` fixed, so that it refuses rather than replaces one of them.

    Only wheels are taken: a source distribution runs its author's code before anything of it was checked.

    Returns:
        What pip printed.

    Raises:
        CannotSetUp: pip cannot.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "stay.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in stay.items()))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        command += ["--constraint", str(constraints), *options, *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    said = done.stdout + done.stderr
    if "connection broken by" in said:  # pip's words when it tries again
        raise CannotSetUp("pip cannot reach the package index. Mend the network or its proxy and run this cell again.")
    lines = [line for line in said.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:] or ["no reason given"]
    command = " ".join(f'"{line}"' for line in wanted)
    raise CannotSetUp(
        f"pip could not install what is missing: {reasons[0].removeprefix('ERROR: ')} {FRESH_RUNTIME} "
        f"Elsewhere, this shows all that pip says: %pip install {command}"
    )


def plan(wanted: list[str], stay: dict[str, str]) -> list[Download]:
    """What pip would fetch for these requirements; nothing is installed yet.

    Raises:
        CannotSetUp: as `pip`.
    """
    from packaging.utils import canonicalize_name

    # Its report is the one thing that --quiet leaves (pip's documentation, "Installation Report").
    report = json.loads(pip(wanted, stay, "--dry-run", "--report", "-"))["install"]
    return [
        Download(
            canonicalize_name(entry["metadata"]["name"]), entry["metadata"]["version"], entry["download_info"]["url"]
        )
        for entry in report
    ]


def megabytes(downloads: list[Download]) -> float | None:
    """How much pip would fetch, as the servers say; None where one of them does not say."""
    total = 0
    for download in downloads:
        try:
            with urllib.request.urlopen(urllib.request.Request(download.url, method="HEAD"), timeout=5) as answer:
                total += int(answer.headers["Content-Length"])
        except (OSError, TypeError, ValueError):
            return None
    return total / 1e6


def check_python() -> None:
    from packaging.specifiers import SpecifierSet

    allowed = metadata.metadata(COURSE)["Requires-Python"]
    if platform.python_version() not in SpecifierSet(allowed):
        raise CannotSetUp(
            f"This is Python {platform.python_version()}; the course needs {allowed}. {ANOTHER_RUNTIME} "
            "Elsewhere, start the notebook with a kernel of such a Python."
        )


def check_kept() -> None:
    """Raise CannotSetUp where something is absent that this cell must not install."""
    if version_of("torch") is None:
        raise CannotSetUp(
            "torch is missing, and this cell never installs it, as the right build depends on the machine. "
            f"In a cell of its own: {torch_command()}, then run this cell again."
        )
    for requirement in requirements():
        if requirement.name in KEPT and version_of(requirement.name) is None:
            raise CannotSetUp(
                f"{requirement.name} is missing, and this cell never installs it: it has to fit the page the notebook "
                f'is shown in. In a cell of its own: %pip install "{requirement}", then run this cell again.'
            )


def check_works(torch: str) -> None:
    """Raise CannotSetUp where torch, tensordict and torchrl do not work together."""
    if problem := trial_problem():
        raise CannotSetUp(
            f"torchrl {version_of('torchrl')} and tensordict {version_of('tensordict')} do not work with torch {torch} "
            f"({problem}). {ANOTHER_RUNTIME} Or, in a cell of its own: {torch_command()}, then {RESTART}."
        )


def install_missing(*extras: str) -> None:
    """Install what the course lacks here, and say what came of it.

    torch, matplotlib and ipywidgets are never installed or replaced, nor is any other package that is there and fits.
    What is fetched is named first, and what is replaced because it does not fit. Then torch, tensordict and torchrl are
    tried together; they are tried too where torch is a release that the lessons were never run with. Where nothing is
    missing, nothing is done.

    Args:
        extras: what single lessons use besides, such as `"minari"`.

    Raises:
        CannotSetUp: this Python does not fit, one of the three is missing, pip failed, the trial failed, or the kernel
            must be restarted because a package it has imported was replaced. The message names the fix.
        ValueError: the course has no such extra.
    """
    started = time.monotonic()
    if version_of(COURSE) is None:
        raise CannotSetUp(
            "The course's files are here, but it is not installed. In the folder that holds its pyproject.toml: "
            "make lab. Or, in a cell of its own: %pip install --editable FOLDER --no-deps"
        )
    known = metadata.metadata(COURSE).get_all("Provides-Extra") or []
    if unknown := set(extras) - set(known):
        raise ValueError(f"The course has no extra {', '.join(sorted(unknown))}; it has {', '.join(known)}.")
    check_python()
    check_kept()
    torch = version_of("torch")
    needed = [(str(needs), lacking(needs)) for needs in requirements(extras) if needs.name not in KEPT]
    missing = {line: names for line, names in needed if names}
    if missing:
        install(missing)
    if missing or is_untried(torch):
        check_works(torch)
    seconds = f", after {time.monotonic() - started:.0f} seconds" if missing else ""
    print(f"The course is ready{seconds}.")
    if is_untried(torch):
        print(
            f"No lesson was ever run with torch {torch}, but a trial (a rollout, a loss, its gradient) passed. "
            f"Should a lesson fail: {torch_command()}, then {RESTART}."
        )


def install(missing: dict[str, set[str]]) -> None:
    """Install the missing requirements, given with the names of what each lacks; raises as `install_missing`."""
    unfit = set().union(*missing.values())
    before, in_use = installed(), imported()
    stay = {name: version for name, version in before.items() if name not in unfit}
    downloads = plan(list(missing), stay)
    size = megabytes(downloads)
    new = ", ".join(f"{name} {version}" for name, version, _ in downloads if name not in before)
    for name, version, _ in downloads:
        if name in before:
            print(f"Replacing {name} {before[name]}, which does not fit, by {version}.")
    print(f"Installing {new or 'them'}{f' ({size:.0f} MB to fetch)' if size else ''} ...", flush=True)
    pip([f"{name}=={version}" for name, version, _ in downloads], stay, "--no-deps")
    importlib.invalidate_caches()
    after = installed()
    replaced = sorted(name for name in in_use & before.keys() if after.get(name) != before[name])
    if replaced:
        raise CannotSetUp(f"This kernel still uses the old {', '.join(replaced)}: {RESTART}.")
