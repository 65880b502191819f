"""What a stranger does: clone, `make lab`, learn; and the conda route's pip part. Slow: each installs the course."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest
import yaml
from conftest import ROOT
from lab_process import INSTALL_SECONDS, Lab, environment_of_a_newcomer, fresh_copy, status_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lock

pytestmark = pytest.mark.slow
EVERY_FILE_IS_THERE = """
import importlib.metadata
for distribution in importlib.metadata.distributions():
    missing = [f for f in distribution.files if f.suffix != ".pyc" and not distribution.locate_file(f).exists()]
    assert not missing, (distribution.name, missing)
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return fresh_copy(tmp_path_factory.mktemp("learner") / "torchrl-course")


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    return environment_of_a_newcomer(tmp_path_factory.mktemp("home"))


def readme_commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readmes_commands_are_the_ones_tried_here():
    commands = readme_commands()
    assert [command for command in commands if command.startswith("make")] == ["make lab", "make test"]
    if not (ROOT / "published.json").exists():
        assert commands[0] == "make lab", "no address, so nothing to clone"


def test_an_interrupted_installation_is_completed(clone, newcomer):
    """Kill `make setup` in the middle of copying packages; the next call must mend what was half written."""
    command = {"cwd": clone, "env": newcomer, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(["make", "setup"], start_new_session=True, **command)
    deadline = time.monotonic() + INSTALL_SECONDS
    while not list(clone.glob(".venv/lib/python*/site-packages/jedi")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (clone / ".venv" / "course-installed").exists()
    second = subprocess.run(
        ["make", "setup"], cwd=clone, env=newcomer, capture_output=True, text=True, timeout=INSTALL_SECONDS
    )
    assert second.returncode == 0, second.stdout[-2000:] + second.stderr[-2000:]
    assert "completing it" in second.stdout and "Installed into .venv, in " in second.stdout
    subprocess.run([clone / ".venv/bin/python", "-c", EVERY_FILE_IS_THERE], check=True)


def test_make_lab_opens_the_course_and_the_second_call_installs_nothing(clone, newcomer):
    (clone / "random.py").write_text("raise SystemExit('the learner took the name of a module')")
    first = Lab(clone, newcomer, port=8990)
    try:
        url = first.url(within=INSTALL_SECONDS)
        assert first.log.read_text().rstrip().endswith(url), "the address is the last thing that is printed"
        assert status_of(url) == 200
        assert status_of(url.split("?")[0].replace("/lab/tree/", "/api/contents/")) == 403, (
            "without the token: no entry"
        )
        said = first.log.read_text()
        assert "You are ready to go." in said and "notebooks copied for you." in said
        copies = sorted((clone / "work").glob("*.ipynb"))
        assert [path.name for path in copies] == [path.name for path in sorted((clone / "notebooks").glob("*.ipynb"))]
        cells = [
            cell for path in copies for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
        ]
        assert not any(cell.outputs for cell in cells)

    finally:
        first.stop()
    second = subprocess.run(
        ["make", "--no-print-directory", "setup"],
        cwd=clone,
        env=newcomer,
        capture_output=True,
        text=True,
        check=True,
    )
    assert second.stdout == second.stderr == "", "what is there is not installed again"


def test_the_pip_part_of_environment_yml_asks_for_exactly_the_pins(tmp_path):
    """What pip would install for conda is what `make setup` installs, which the tests above have tried."""
    copy = fresh_copy(tmp_path / "course")
    environment = yaml.safe_load((copy / "environment.yml").read_text())
    lines = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    (copy / "conda-pip.txt").write_text("\n".join(lines) + "\n")  # as conda does: one file, beside environment.yml
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    done = subprocess.run([*command, "-r", "conda-pip.txt"], cwd=copy, stdout=subprocess.PIPE, text=True, check=True)
    found = {entry["metadata"]["name"]: entry["metadata"]["version"] for entry in json.loads(done.stdout)["install"]}
    pins = map(Requirement, [*lock.read_requirements("torch"), *lock.read_requirements("core")])
    here = {canonicalize_name(pin.name): pin.specifier for pin in pins if pin.marker is None or pin.marker.evaluate()}
    asked = {canonicalize_name(name): version for name, version in found.items()}
    assert asked.pop("torchrl-course") and asked.keys() == here.keys()
    assert not [name for name, version in asked.items() if not here[name].contains(version)]
