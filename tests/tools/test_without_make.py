"""docs/without_make.md: what make would run, by its own word, is what the table says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "without_make.md").read_text()
ROWS = re.findall(r"^\| `(make [^`]+)` \| (.+) \|$", PAGE, flags=re.MULTILINE)
SPY = """#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word" >> runs; done
printf '\\n' >> runs
"""


def what_make_runs(command: str, folder: Path) -> list[list[str]]:
    """The words with which make starts Python: in a folder where Python only notes them."""
    shutil.copy(ROOT / "Makefile", folder)
    spy = folder / ".venv" / "bin" / "python"
    spy.parent.mkdir(parents=True)
    spy.write_text(SPY)
    spy.chmod(0o755)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    subprocess.run([*shlex.split(command), f"PYTHON={spy}"], cwd=folder, env=outside, check=True, capture_output=True)
    return [line.split("\0")[:-1] for line in (folder / "runs").read_text().splitlines()]


@pytest.mark.parametrize(("command", "twin"), ROWS, ids=[command for command, _ in ROWS])
def test_a_twin_runs_what_make_would_run(command, twin, tmp_path):
    said = [shlex.split(line.removeprefix("python ")) for line in re.findall(r"`([^`]+)`", twin)]
    runs = what_make_runs(command, tmp_path)
    if command.split()[1] not in ("setup", "extras", "lab"):  # the others set up first
        runs = [words for words in runs if "tools/setup.py" not in words]
    if command == "make check":  # it lints first, which is a row of its own
        runs = [words for words in runs if "ruff" not in words]
    assert said == [[word for word in words if word not in ("--wheelhouse", "")] for words in runs]


def test_every_command_of_make_is_in_the_table_or_named_below_it():
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    there = {command.split()[1] for command, _ in ROWS} | {"help"}
    assert set(targets) - there == {"test", "coverage"} and "`make test` and `make coverage`" in PAGE
    extras = re.search(r"^setup-dev:.*\n.*setup\.py (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1]
    assert f"`python -I tools/setup.py {extras}`" in PAGE


def test_every_program_of_the_table_is_there():
    for _, twin in ROWS:
        for module in re.findall(r"-m ((?:tools|benchmarks)[\w.]*)", twin):
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module
