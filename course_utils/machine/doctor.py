"""Look the machine over before the first lesson, and say in words what is missing and how to mend it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from course_utils.machine.install import is_newer_than_tried
from course_utils.views.display import View

FREE_GB = 1.0
# Extras of single lessons, and modules that are there where the extra is.
OPTIONAL = {
    "minari": ("minari",),
    "ray": ("ray",),
    "rllib": ("ray", "tree"),
    "sb3": ("stable_baselines3",),
    "tuning": ("optuna",),
}
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
    """All findings, as a table in a notebook and as lines elsewhere."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        rows = "".join(
            f"<tr><td style='text-align:left'>{SYMBOLS[f.status]} {f.status}</td>"
            f"<td style='text-align:left'>{escape(f.topic)}</td><td style='text-align:left'>{escape(f.text)}"
            + (f"<br>mend it with: <code>{escape(f.fix)}</code>" if f.fix else "")
            + "</td></tr>"
            for f in findings
        )
        head = "<tr><th scope='col'>status</th><th scope='col'>checked</th><th scope='col'>found</th></tr>"
        html = f"<table>{head}{rows}</table><p>{escape(self.verdict)}</p>"
        super().__init__(html, "\n".join([*(f.line() for f in findings), self.verdict]))

    @property
    def exit_code(self) -> int:
        """1 where something stops the course, else 0."""
        return int(any(f.status == "problem" for f in self.findings))

    @property
    def verdict(self) -> str:
        if self.exit_code:
            return "The course cannot run here yet: mend what is marked problem, then run this again."
        return "You are ready to go."


def wanted(package: str) -> str:
    """The version range of `package` that the course asks for, such as `torch<2.16,>=2.13`; its name if unknown."""
    try:
        requirements = importlib.metadata.requires("torchrl-course") or []
    except importlib.metadata.PackageNotFoundError:
        return package
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requirements):
        if requirement.name == package and requirement.marker is None:
            extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
            return f"{package}{extras}{requirement.specifier}"
    return package


def pip_install(*packages: str) -> str:
    return "python -m pip install " + " ".join(f'"{wanted(package)}"' for package in packages)


def extra_install(extra: str) -> str:
    """The command that installs an extra of the course."""
    return f'python -m pip install "torchrl-course[{extra}]"'


def has_extra(extra: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in OPTIONAL[extra])


def ask_for_extra(extra: str, without: str) -> bool:
    """Is an optional extra there? Where it is not, print what is missed and the command that installs it.

    Args:
        extra: its name, as in `torchrl-course[minari]`.
        without: what happens without it.

    Returns:
        True where it is installed.

    Raises:
        ValueError: the course has no extra of this name.
    """
    if extra not in OPTIONAL:
        raise ValueError(f"There is no optional extra {extra!r}; there are: {', '.join(OPTIONAL)}.")
    if has_extra(extra):
        print(f"{extra} is here.")
        return True
    print(f"{extra} is not installed: {without}.\nTo install it: {extra_install(extra)}, then restart the kernel.")
    return False


def check_extras() -> Finding:
    """Which optional extras are there? None is needed, so none is a problem."""
    there = [extra for extra in OPTIONAL if has_extra(extra)]
    absent = [extra for extra in OPTIONAL if extra not in there]
    words = [f"{', '.join(there)} installed"] if there else []
    words += [f"{extra} absent ({extra_install(extra)})" for extra in absent]
    return Finding("optional extras", "ok", "; ".join(words))


def check_python() -> Finding:
    found = platform.python_version()
    try:
        allowed = importlib.metadata.metadata("torchrl-course")["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:
        return Finding("Python", "ok", found)
    from packaging.specifiers import SpecifierSet

    if found in SpecifierSet(allowed):
        return Finding("Python", "ok", found)
    return Finding("Python", "problem", f"{found}; the course needs {allowed}", "make lab PYTHON=python3.11")


def check_pairing() -> Finding:
    """Do torch, tensordict and torchrl load, and are they releases that belong together?"""
    topic = "torch, tensordict, torchrl"
    versions = {}
    for name in ("torch", "tensordict", "torchrl"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return Finding(topic, "problem", f"{name} is not installed", pip_install(name))
    listing = ", ".join(f"{name} {version}" for name, version in versions.items())
    from packaging.requirements import Requirement

    wrong = []
    newer = is_newer_than_tried(versions["torch"])  # it may well work
    for name, version in versions.items():
        fits = Requirement(wanted(name)).specifier.contains(version, prereleases=True)
        if not fits and not (newer and name == "torch"):
            wrong.append(name)
    if wrong:
        names = " and ".join(wrong)
        return Finding(
            topic,
            "problem",
            f"{listing} do not belong together: each torchrl release is built for certain releases of torch and "
            f"tensordict, and here {names} is another one",
            pip_install("torch", "tensordict", "torchrl"),
        )
    for name in versions:
        try:
            importlib.import_module(name)
        except Exception as error:  # a binary mismatch shows as ImportError, OSError, RuntimeError, ...
            return Finding(
                topic,
                "problem",
                f"{name} {versions[name]} does not load ({type(error).__name__}: {str(error).splitlines()[0][:120]}). "
                f"Most often its compiled part was built for another torch than {versions['torch']}",
                "python -m pip install --force-reinstall "
                + " ".join(f'"{wanted(package)}"' for package in ("torch", "tensordict", "torchrl")),
            )
    if newer:
        return Finding(
            topic, "warning", f"{listing}; the course was not yet tried with this torch", pip_install("torch")
        )
    return Finding(topic, "ok", listing)


def check_extension() -> Finding:
    """torchrl's compiled extension holds the segment trees of native prioritized replay."""
    topic = "torchrl's compiled extension"
    try:
        from torchrl._torchrl import SumSegmentTreeFp32  # noqa: F401
    except Exception:
        return Finding(
            topic,
            "warning",
            "does not load with this torch build; only TorchRL's own PrioritizedSampler needs it, no lesson does",
        )
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
    free = shutil.disk_usage(os.getcwd()).free / 1e9
    if free < FREE_GB:
        text = f"{free:.1f} GB free; checkpoints and buffers want {FREE_GB:g} GB"
        return Finding("disk", "warning", text, "python -m pip cache purge")
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
    colab = "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules
    return Finding("place", "ok", "Google Colab" if colab else "your own machine (not Colab)")


CHECKS: list[Callable[[], Finding]] = [
    check_python,
    check_pairing,
    check_extension,
    check_gymnasium,
    check_rendering,
    check_video,
    check_widgets,
    check_disk,
    check_device,
    check_extras,
    check_place,
]


def diagnose() -> Report:
    """Run every check and return the report; nothing is changed, and no check raises.

    The report shows itself as a table in a notebook and as lines in a terminal; `report.findings` holds the
    findings, `report.exit_code` is 1 where something stops the course.
    """
    return Report([check() for check in CHECKS])
