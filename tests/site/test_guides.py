"""The guides' code runs from top to bottom and prints what stands below it."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from conftest import ROOT
from made_up_results import arms

from benchmarks.groups import simulators
from benchmarks.lesson_code import guide_code

GUIDE = (ROOT / "docs" / "your_simulator.md").read_text()
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def test_the_guide_prints_what_stands_there():
    space: dict = {"__name__": "guide"}
    blocks = BLOCK.findall(GUIDE)
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "docs/your_simulator.md", "exec"), space)
        assert printed.getvalue() == expected
    assert len(blocks) > 12 and sum(bool(expected) for _, expected in blocks) == 11


def test_its_table_is_what_was_measured():
    assert simulators.speeds(arms("simulators")) in GUIDE


def test_many_copies_in_torch_are_far_ahead_and_one_is_not():
    measured = arms("simulators")
    ratios = {
        way: [
            run["frames_per_second"] / measured["first way: GymWrapper"][key]["frames_per_second"]
            for key, run in runs.items()
        ]
        for way, runs in measured.items()
    }
    assert min(ratios["third way: batched, 1,024 copies"]) > 30
    assert max(ratios["third way: batched, 1 copy"]) < 3 and max(ratios["second way: EnvBase"]) < 3
    assert min(ratios["the NumPy class, alone"]) > 3


def test_a_class_that_a_guide_does_not_have():
    with pytest.raises(LookupError, match="no block of Python with the class Boat"):
        guide_code("your_simulator", "Boat")


@pytest.mark.parametrize("name", ["Drone", "DroneGym", "DroneEnv", "Drones"])
def test_the_guides_classes_are_measured(name):
    assert f"class {name}" in simulators.GROUP.code()
