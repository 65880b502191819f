"""Install what a notebook needs where it runs, beside what must stay as it is: Google Colab, a bare kernel.

Called by the set-up cell of every notebook. Where everything is there it reads some metadata and says so.
"""

from __future__ import annotations

import importlib
import importlib.metadata as metadata
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from packaging.requirements import Requirement

COURSE = "torchrl-course"


class Pair(NamedTuple):
    """The torchrl and tensordict that go with torch releases from `torch_from` on, and before `torch_before`."""

    torch_from: str
    torch_before: str
    torchrl: str
    tensordict: str


# Which torchrl and tensordict go with which torch, oldest torch first. It has to stand somewhere, for pip cannot tell:
# torchrl 0.14.1 asks for torch 2.1 or newer, tensordict 0.14.3 for any at all, and hoptorch 0.1.4, which torchrl needs,
# for 2.7 or newer (their wheels' metadata); yet their compiled parts are built for one torch. Measured: with 2.13.0
# (CPU) all lessons run, though torchrl's compiled extension does not load (only its own PrioritizedSampler needs it);
# with 2.15.0 it loads. The range in pyproject.toml spans all rows.
PAIRS = [Pair("2.13", "2.16", torchrl=">=0.14.1,<0.15", tensordict=">=0.14.3,<0.15")]

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


def version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def torch_command() -> str:
    return f'%pip install "torch>={PAIRS[0].torch_from},<{PAIRS[-1].torch_before}"'


def is_newer_than_tried(torch: str) -> bool:
    """Is this torch release beyond the last one of the table?"""
    from packaging.version import Version

    return Version(Version(torch).base_version) >= Version(PAIRS[-1].torch_before)


def pair_for(torch: str) -> Pair:
    """The row of the table for a torch release; for one that is newer than all of them, the last row.

    Raises:
        CannotSetUp: it is older than all of them.
    """
    from packaging.version import Version

    for pair in reversed(PAIRS):
        if Version(Version(torch).base_version) >= Version(pair.torch_from):
            return pair
    raise CannotSetUp(
        f"torch {torch} is too old: the course needs {PAIRS[0].torch_from} or newer, and this cell never replaces it. "
        f"{ANOTHER_RUNTIME} Or, in a cell of its own: {torch_command()}, then {RESTART}."
    )


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


def requirements(pair: Pair) -> list[Requirement]:
    """What the course needs, from its own metadata, without the interface, which is there."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    needed = [Requirement(line) for line in metadata.requires(COURSE) or []]
    for requirement in needed:
        if requirement.name in ("torchrl", "tensordict"):
            requirement.specifier = SpecifierSet(getattr(pair, requirement.name))
    return [needs for needs in needed if needs.marker is None and needs.name not in INTERFACE]


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


def pip_install(wanted: list[str], stay: dict[str, str]) -> None:
    """Install, with the versions in `stay` fixed: pip refuses rather than replaces one of them.

    Raises:
        CannotSetUp: pip cannot.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "stay.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in stay.items()))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints), *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return
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


def check_python() -> None:
    from packaging.specifiers import SpecifierSet

    allowed = metadata.metadata(COURSE)["Requires-Python"]
    if platform.python_version() not in SpecifierSet(allowed):
        raise CannotSetUp(
            f"This is Python {platform.python_version()}; the course needs {allowed}. {ANOTHER_RUNTIME} "
            "Elsewhere, start the notebook with a kernel of such a Python."
        )


def check_loads(torch: str) -> None:
    """Do the two packages that were built for one torch load with this one? Asked in a process of its own."""
    done = subprocess.run([sys.executable, "-c", "import tensordict, torchrl"], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CannotSetUp(
            f"torchrl {version_of('torchrl')} does not load with torch {torch} ({reason}). {ANOTHER_RUNTIME} "
            f"Or, in a cell of its own: {torch_command()}, then {RESTART}."
        )


def install_missing() -> None:
    """Install what the course lacks here, and say in one sentence what came of it.

    torch, matplotlib and ipywidgets are never installed or replaced, nor is any other package that is there and fits;
    torchrl and tensordict are those that go with the torch that is there. Where nothing is missing, nothing is done.

    Raises:
        CannotSetUp: this Python or torch does not fit, one of the three is missing, pip failed, or the kernel must be
            restarted because a package it has imported was replaced. The message names the fix.
    """
    if version_of(COURSE) is None:
        raise CannotSetUp(
            "The course's files are here, but it is not installed. In the folder that holds its pyproject.toml: "
            "make lab. Or, in a cell of its own: %pip install --editable FOLDER --no-deps"
        )
    check_python()
    torch = version_of("torch")
    if torch is None:
        raise CannotSetUp(
            "torch is missing, and this cell never installs it, as the right build depends on the machine. "
            f"In a cell of its own: {torch_command()}, then run this cell again."
        )
    needed = {str(requirement): (requirement, lacking(requirement)) for requirement in requirements(pair_for(torch))}
    for requirement, _ in needed.values():
        if requirement.name in KEPT and version_of(requirement.name) is None:
            raise CannotSetUp(
                f"{requirement.name} is missing, and this cell never installs it: it has to fit the page the notebook "
                f'is shown in. In a cell of its own: %pip install "{requirement}", then run this cell again.'
            )
    missing = {line: names for line, (requirement, names) in needed.items() if names and requirement.name not in KEPT}
    if missing:
        install(missing, torch)
    if is_newer_than_tried(torch):
        print(
            f"The course is ready, though torch {torch} is newer than any it was tried with. "
            f"Should a lesson fail: {torch_command()}, then {RESTART}."
        )
    else:
        print("The course is ready.")


def install(missing: dict[str, set[str]], torch: str) -> None:
    """Install the missing requirements, given with the names of what each lacks; raises as `install_missing`."""
    unfit = set().union(*missing.values())
    before, in_use = installed(), imported()
    print(f"Installing {', '.join(sorted(unfit))} ...", flush=True)
    pip_install(list(missing), {name: version for name, version in before.items() if name not in unfit})
    importlib.invalidate_caches()
    after = installed()
    check_loads(torch)
    new = [f"{name} {version}" for name, version in sorted(after.items()) if before.get(name) != version]
    print(f"Installed {', '.join(new)}.")
    replaced = sorted(name for name in in_use & before.keys() if after.get(name) != before[name])
    if replaced:
        raise CannotSetUp(f"This kernel still uses the old {', '.join(replaced)}: {RESTART}.")
