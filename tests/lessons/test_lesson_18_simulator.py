"""What lesson 18 says of a simulator of one's own."""

from __future__ import annotations

import contextlib
import io

import jupytext
import pytest
import torch
from conftest import ROOT
from torchrl.envs.utils import check_env_specs

from course_utils import check_simulator, load_results

IDS = ("18-drone", "18-unseeded", "18-seeded", "18-drone-specs", "18-envbase", "18-forgetful", "18-drones")


@pytest.fixture(scope="module")
def lesson() -> dict:
    """What the part's cells define."""
    space: dict = {"__name__": "lesson", "torch": torch, "seed": 0}
    imports = "import gymnasium as gym\nimport numpy as np\nfrom gymnasium import spaces\n"
    imports += "from course_utils import check_simulator\nfrom tensordict import TensorDict\n"
    imports += "from torchrl.data import Bounded, Categorical, Composite, Unbounded\nfrom torchrl.envs import EnvBase\n"
    exec(imports, space)
    cells = jupytext.read(ROOT / "lessons" / "18_worlds_and_records.py", fmt="py:percent").cells
    found = [cell.source for cell in cells if cell.metadata.get("id", cell.get("id")) in IDS]
    assert len(found) == len(IDS)
    with contextlib.redirect_stdout(io.StringIO()):
        for source in found:
            exec(source, space)
    return space


def test_the_broken_ones_run_and_pass_the_librarys_check(lesson):
    lesson["DroneGym"]().reset(seed=3)
    check_env_specs(lesson["ForgetfulDrones"](4))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ("DroneGym", ["The seed does not reach `self.drone.rng`"]),
        ("SeededDrone", []),
        ("ForgetfulDrones", ["A reset of rows [0, 2] resets the others, too"]),
        ("Drones", []),
    ],
)
def test_the_check_says_what_the_text_says(lesson, make, words):
    kind = lesson[make]
    faults = check_simulator((lambda: kind(4)) if "Drones" in make else kind).faults
    assert len(faults) == len(words) and all(fault.startswith(word) for fault, word in zip(faults, words, strict=True))


def test_the_first_two_ways_are_about_equally_fast_and_one_copy_of_the_third_is_not_faster():
    runs = load_results("18_simulators")["runs"]["simulators"]
    for key, first in runs["first way: GymWrapper"].items():
        speed = first["frames_per_second"]
        assert 0.8 < runs["second way: EnvBase"][key]["frames_per_second"] / speed < 1.4
        assert runs["third way: batched, 1 copy"][key]["frames_per_second"] < speed
        assert runs["third way: batched, 64 copies"][key]["frames_per_second"] > 10 * speed
