"""The optional extras: the doctor knows them all, `make` installs them all, and RLlib's list is Ray's own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from broken_machine import versions
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course_utils.machine import doctor, extras, install
from tools import colab, lock

EXTRAS = lock.pyproject()["project"]["optional-dependencies"]


def test_the_doctor_names_every_extra_of_lessons_and_benchmark():
    assert set(extras.EXTRAS) == set(EXTRAS) - {"dev"}


def test_the_makefile_installs_every_extra_for_tests_and_benchmark():
    makefile = (lock.ROOT / "Makefile").read_text()
    installed = re.search(r"^setup-dev:.*\n\t@.* tools/setup.py (.+)$", makefile, re.MULTILINE).group(1).split()
    assert set(installed) == set(EXTRAS)
    assert re.search(r"^bench: setup-dev ", makefile, re.MULTILINE)


def test_readme_and_makefile_name_every_extra_that_people_install():
    texts = [(lock.ROOT / "README.md").read_text(), (lock.ROOT / "Makefile").read_text()]
    for text in texts:
        first, others = re.search(r"NAME=(\w+)`?,? \(?or (.+?)\)", " ".join(text.split())).groups()
        assert {first, *re.findall(r"\w+", others)} == set(extras.EXTRAS), "name them all where `make extras` is told"


def test_every_extra_is_installed_where_these_tests_run():
    assert [extra for extra in extras.EXTRAS if not extras.has_extra(extra)] == []


@pytest.mark.parametrize("absent", ["ray", "tree"])
def test_rllib_is_absent_where_ray_or_what_rllib_adds_to_it_is(monkeypatch, absent):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None if name == absent else find_spec(name))
    assert not extras.has_extra("rllib")
    assert extras.has_extra("ray") == (absent != "ray")
    assert "rllib" in doctor.check_extras().text.split("absent: ")[1]


def test_the_rllib_extra_asks_for_what_ray_does_but_for_its_gymnasium():
    pytest.importorskip("ray", reason=extras.extra_install("rllib"))
    asked = [Requirement(line) for line in importlib.metadata.requires("ray")]
    theirs = {
        canonicalize_name(line.name): line.specifier
        for line in asked
        if line.marker and not line.marker.evaluate({"extra": ""}) and line.marker.evaluate({"extra": "rllib"})
    }
    ours = {canonicalize_name(line.name): line.specifier for line in map(Requirement, EXTRAS["rllib"])}
    assert str(theirs.pop("gymnasium")) == "==1.2.2", "Ray asks for another gymnasium now: is its own extra enough?"
    assert set(ours) - {"ray"} == set(theirs)
    for name, range_of_ray in theirs.items():
        lowest = next(part.version for part in ours[name] if part.operator == ">=")
        assert range_of_ray.contains(lowest), f"{name} {lowest} is too old for Ray"


def test_rllib_runs_with_the_ray_of_the_ray_extra():
    ranges = {
        name: next(Requirement(line) for line in EXTRAS[name] if line.startswith("ray"))
        for name in EXTRAS
        if name in ("ray", "rllib")
    }
    assert ranges["ray"].specifier == ranges["rllib"].specifier


def test_an_extra_comes_from_pinned_files_by_hash_and_never_by_the_name_of_the_course(monkeypatch, tmp_path):
    """Nobody holds the course's name on the public index: `pip install NAME` would obey whoever registers it."""
    command = extras.extra_install("minari")
    assert "--require-hashes" in command and str(lock.REQUIREMENTS / "minari.txt") in command
    monkeypatch.setattr(extras, "CLONE", tmp_path)
    assert extras.extra_install("minari") == 'import course_utils; course_utils.install_missing("minari")'


def test_no_file_tells_anybody_to_install_the_course_by_its_name():
    listing = [
        "git",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.py",
        "*.md",
        "*.ipynb",
        "*.y*ml",
        "Makefile",
    ]
    files = subprocess.run(listing, cwd=lock.ROOT, capture_output=True, text=True, check=True).stdout.split()
    by_name = re.compile(r"pip\W+install[^\n]{0,60}?torchrl[-_]course(?:\[[\w,]*\])?+(?! @)(?![\w-])")
    here = str(Path(__file__).relative_to(lock.ROOT))
    found = [name for name in files if name != here and by_name.search((lock.ROOT / name).read_text())]
    assert found == []


def test_colab_carries_all_of_the_extra_for_language_models(monkeypatch):
    """So that a notebook on Colab installs nothing for it."""
    carried = colab.read_list(colab.PINS.read_text()).pins
    asked = [needs for needs in install.requirements(("llm",)) if needs.name in extras.EXTRAS["llm"]]
    assert sorted(needs.name for needs in asked) == ["requests", "tokenizers", "transformers"]
    versions(monkeypatch, **{needs.name: carried[needs.name] for needs in asked})
    assert [install.lacking(needs) for needs in asked] == [set()] * 3
    versions(monkeypatch, transformers="4.57.0")
    assert [needs.name for needs in asked if install.lacking(needs)] == ["transformers"]


def test_nobody_waits_for_transformers_who_does_not_ask_for_it():
    """All of TorchRL that lessons use, its parts for language models among it, and all of our views leave it alone."""
    code = (
        "import sys, course_utils, torchrl.collectors, torchrl.envs, torchrl.modules, torchrl.objectives\n"
        "import torchrl.collectors.llm, torchrl.data.llm, torchrl.envs.llm\n"
        "import torchrl.modules.llm, torchrl.objectives.llm\n"
        "for name in course_utils.__all__:\n    getattr(course_utils, name)\n"
        "import course_utils.views.token_reading\n"
        "print([name for name in ('transformers', 'tokenizers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
