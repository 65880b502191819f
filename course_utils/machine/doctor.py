"""Look the machine over before the first lesson, and say in words what is missing and how to mend it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from course_utils.machine.extras import EXTRAS, extra_install, has_extra
from course_utils.machine.install import COURSE, asked_for, is_untried, version_of
from course_utils.machine.trial import attempt
from course_utils.views.display import View

FREE_GB = 1.0
LAST_ON_COLAB = Path(__file__).with_name("colab.json")  # what `make colab` noted
LIBRARIES = ("torch", "tensordict", "torchrl")
FOUND = "found: "  # stands before what one process tells another, which libraries may print around
SYMBOLS = {"ok": "✔", "warning": "▲", "problem": "✘"}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        topic: what was checked.
        status: `ok`; `warning`, the course goes on without it; `problem`, the course cannot go on.
        text: what was found.
        fix: a command that can be pasted; empty where there is nothing to do.
    """

    topic: str
    status: str
    text: str
    fix: str = ""

    def line(self) -> str:
        fix = f"\n    mend it with:  {self.fix}" if self.fix else ""
        return f"{SYMBOLS[self.status]} {self.status:8}{self.topic}: {self.text}{fix}"


class Report(View):
    """All findings, as lines in a terminal; in a notebook as a table, folded but for what is not well."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        well = [finding for finding in findings if finding.status == "ok"]
        others = [finding for finding in findings if finding.status != "ok"]
        fold = f"<details><summary>What was checked, and is well: {len(well)}</summary>{table(well)}</details>"
        html = (table(others) if others else "") + f"<p>{escape(self.verdict)}</p>" + (fold if well else "")
        super().__init__(html, "\n".join([*(f.line() for f in findings), self.verdict]))

    @property
    def short(self) -> str:
        """Lines for what is not well, and the verdict."""
        return "\n".join([*(f.line() for f in self.findings if f.status != "ok"), self.verdict])

    @property
    def exit_code(self) -> int:
        """1 where something stops the course, else 0."""
        return int(any(f.status == "problem" for f in self.findings))

    @property
    def verdict(self) -> str:
        if self.exit_code:
            return "The course cannot run here yet: mend what is marked problem, then run this again."
        return "You are ready to go."


def table(findings: list[Finding]) -> str:
    rows = "".join(
        f"<tr><td style='text-align:left'>{SYMBOLS[f.status]} {f.status}</td>"
        f"<td style='text-align:left'>{escape(f.topic)}</td><td style='text-align:left'>{escape(f.text)}"
        + (f"<br>mend it with: <code>{escape(f.fix)}</code>" if f.fix else "")
        + "</td></tr>"
        for f in findings
    )
    head = "<tr><th scope='col'>status</th><th scope='col'>checked</th><th scope='col'>found</th></tr>"
    return f"<table>{head}{rows}</table>"


def pip_install(*packages: str) -> str:
    """The command that installs packages for the Python that runs this, whatever a shell's own Python is."""
    return f'"{sys.executable}" -m pip install ' + " ".join(f'"{asked_for(package)}"' for package in packages)


def check_extras() -> Finding:
    """Which optional extras are there? None is needed, so none is a problem."""
    there = [extra for extra in EXTRAS if has_extra(extra)]
    absent = [extra for extra in EXTRAS if extra not in there]
    words = [f"installed: {', '.join(there)}"] if there else []
    if absent:
        words.append(f"absent: {', '.join(absent)}. What installs {absent[0]}: {extra_install(absent[0])}")
    return Finding("optional extras", "ok", "; ".join(words))


def check_python() -> Finding:
    found = platform.python_version()
    try:
        allowed = importlib.metadata.metadata(COURSE)["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:
        return Finding("Python", "ok", found)
    from packaging.specifiers import SpecifierSet

    if found in SpecifierSet(allowed):
        return Finding("Python", "ok", found)
    return Finding("Python", "problem", f"{found}; the course needs {allowed}", "make lab PYTHON=python3.11")


def shadows() -> list[str]:
    """Files beside the notebook that Python takes for the libraries of the same name."""
    names = [*LIBRARIES, "gymnasium", "numpy", "matplotlib", "av", "ipywidgets", "course_utils"]
    found = [importlib.util.find_spec(name) for name in names]
    places = [Path(spec.origin).resolve() for spec in found if spec and spec.origin]
    return [str(place) for place in places if place.parent == Path.cwd() and place.name != "__init__.py"]


def check_folder() -> Finding | None:
    """Where the folder was deleted in which this runs, most libraries cannot even be imported."""
    try:
        Path.cwd()
    except OSError:
        return Finding("folder", "problem", "the folder this runs in is no longer there", f'cd "{Path.home()}"')
    return None


def check_names() -> Finding | None:
    """A learner's own `torchrl.py` is what `import torchrl` finds; nothing else that is said would be true then."""
    files = shadows()
    if not files:
        return None
    names = " and ".join(Path(file).name for file in files)
    return Finding(
        "names of your files",
        "problem",
        f"{names} in this folder hides the library of that name: Python imports your file in its place",
        " && ".join(f'mv "{file}" "{Path(file).with_name("my_" + Path(file).name)}"' for file in files),
    )


def check_libraries() -> list[Finding]:
    """Do torch, tensordict and torchrl work together? They are tried, whatever their versions say; where they work, the
    process that tried them goes on with the checks that need them, for to import them takes seconds.
    """
    topic, versions = ", ".join(LIBRARIES), {}
    for name in LIBRARIES:
        versions[name] = version_of(name)
        if versions[name] is None:
            return [Finding(topic, "problem", f"{name} is not installed", pip_install(name))]
    listing = ", ".join(f"{name} {version}" for name, version in versions.items())
    tried = attempt("from course_utils.machine import doctor; doctor.tell_what_needs_libraries()")
    if tried.problem:
        text = (
            f"{listing} do not work together: {tried.problem}. Each torchrl is built for certain releases of the others"
        )
        return [Finding(topic, "problem", text, pip_install(*LIBRARIES) + " --force-reinstall")]
    others = [Finding(**told) for told in json.loads(tried.said.rpartition(FOUND)[2].splitlines()[0])]
    if is_untried(versions["torch"]):
        text = f"{listing} work together in a trial, though no lesson was ever run with this torch"
        return [Finding(topic, "warning", f"{text}; the lessons were run with {asked_for('torch')}"), *others]
    return [Finding(topic, "ok", f"{listing} work together"), *others]


def check_extension() -> Finding:
    """torchrl's compiled extension holds the segment trees of native prioritized replay."""
    topic = "torchrl's compiled extension"
    try:
        from torchrl._torchrl import SumSegmentTreeFp32  # noqa: F401
    except Exception:
        text = "does not load with this torch build; only TorchRL's own PrioritizedSampler needs it, no lesson does"
        return Finding(topic, "ok", text)
    return Finding(topic, "ok", "loads; prioritized replay is there")


def check_gymnasium() -> Finding:
    try:
        import gymnasium as gym

        env = gym.make("CartPole-v1")
        env.reset(seed=0)
        env.step(0)
    except Exception as error:
        return Finding("gymnasium", "problem", f"{type(error).__name__}: {error}", pip_install("gymnasium"))
    return Finding("gymnasium", "ok", f"{gym.__version__}; CartPole-v1 steps")


def check_rendering() -> Finding:
    try:
        from course_utils.views.video import record_episode

        episode = record_episode("CartPole-v1", max_steps=1)
        problem = episode.problem
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        return Finding("pictures of environments", "warning", problem, pip_install("gymnasium"))
    return Finding("pictures of environments", "ok", "drawn without a display (rgb_array)")


def check_video() -> Finding:
    try:
        import av
        import numpy as np

        from course_utils.views.video import encode_mp4

        encode_mp4(np.zeros((2, 32, 32, 3), np.uint8))
    except Exception as error:
        problem = f"{type(error).__name__}: {error}; strips of frames stand in"
        return Finding("video", "warning", problem, pip_install("av"))
    return Finding("video", "ok", f"H.264 through PyAV {av.__version__}")


def check_widgets() -> Finding:
    try:
        import ipywidgets
    except Exception as error:
        return Finding("widgets", "warning", f"{type(error).__name__}: {error}", pip_install("ipywidgets"))
    return Finding("widgets", "ok", f"ipywidgets {ipywidgets.__version__}")


def check_disk() -> Finding:
    if not os.access(Path.cwd(), os.W_OK):
        text = f"{Path.cwd()} cannot be written, so no checkpoint and no progress can be kept there"
        return Finding("disk", "warning", text, f'chmod u+w "{Path.cwd()}"')
    free = shutil.disk_usage(os.getcwd()).free / 1e9
    if free < FREE_GB:
        text = f"{free:.1f} GB free; checkpoints and buffers want {FREE_GB:g} GB"
        return Finding("disk", "warning", text, f'"{sys.executable}" -m pip cache purge')
    return Finding("disk", "ok", f"more than {FREE_GB:g} GB free")


def check_device() -> Finding:
    try:
        from course_utils.machine.device import available_devices, is_there

        there = available_devices()
    except Exception as error:
        return Finding("device", "problem", f"{type(error).__name__}: {error}", pip_install("torch"))
    asked = os.environ.get("COURSE_DEVICE")
    if asked and not is_there(asked):
        return Finding(
            "device", "problem", f"COURSE_DEVICE={asked}, but here there is: {', '.join(there)}", "unset COURSE_DEVICE"
        )
    return Finding("device", "ok", f"{', '.join(there)} (the core lessons need no GPU)")


def check_place() -> Finding:
    if not ("COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules):
        return Finding("place", "ok", "your own machine (not Colab)")
    last = json.loads(LAST_ON_COLAB.read_text())
    text = f"Google Colab; the course was last run with what Colab carried on {last['list']} (torch {last['torch']})"
    return Finding("place", "ok", text)


# What these say is only true where torch, tensordict and torchrl work.
NEED_LIBRARIES = [check_extension, check_gymnasium, check_rendering, check_video, check_device]
ALWAYS = [check_widgets, check_disk, check_extras, check_place]


def tell_what_needs_libraries() -> None:
    """Print the findings of the checks that need torch, tensordict and torchrl, for another process to read."""
    print("\n" + FOUND + json.dumps([asdict(check()) for check in NEED_LIBRARIES]))


def diagnose() -> Report:
    """Run every check and return the report; nothing is changed, and no check raises.

    Where the libraries do not work, the checks that need them are left out: their cures would be wrong.

    The report shows itself as a table in a notebook and as lines in a terminal; `report.findings` holds the
    findings, `report.exit_code` is 1 where something stops the course.
    """
    if in_the_way := check_folder() or check_names():
        return Report([in_the_way])
    return Report([check_python(), *check_libraries(), *(check() for check in ALWAYS)])


def glance() -> Report:
    """The part of `diagnose` that imports none of the large libraries, for where they are known to work."""
    return Report([check_python(), *(check() for check in ALWAYS)])
