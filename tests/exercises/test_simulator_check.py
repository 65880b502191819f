"""`check_simulator`: each broken simulator gets its own sentence first, and right ones get none."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
import time

import gymnasium as gym
import jupytext
import numpy as np
import pytest
import torch
from broken_simulators import BROKEN
from conftest import ROOT
from right_simulators import RIGHT, Cart, Room

import course_utils
from course_utils import check_simulator
from course_utils.exercises import sim_ends
from course_utils.exercises.simulator_check import UNFINISHED

SECONDS = {"Endless": 0.6}
COSTLY = {"SerialEnv", "SerialEnv of rooms", "PendulumEnv with dimensions", "TicTacToeEnv", "transformed twice"} | {
    "GymWrapper of a vector",
    "PendulumEnv",
    "Parts",
    "a clock",
    "transformed",
    "Catalogue",
    "MountainCarContinuous-v0",
    "Acrobot-v1",
    "CliffWalking-v1",
    "GymEnv, one-hot Taxi",
    "its own vector",
    "next step",
    "one of Rooms",
    "ParallelEnv",
    "GymWrapper",
}


def slow_if(name, costly):
    return pytest.param(name, marks=pytest.mark.slow) if costly else name


@pytest.mark.parametrize("name", [slow_if(name, name in COSTLY) for name in RIGHT])
def test_a_right_simulator_has_no_fault(name):
    seen = check_simulator(RIGHT[name])
    assert seen.faults == [] and not [note for note in seen.notes if "could not be checked" in note]


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_said_first(name, monkeypatch):
    monkeypatch.setattr(sim_ends, "LONGEST", 200)  # what is broken here shows in so many steps
    make, words = BROKEN[name]
    assert words in check_simulator(make, seconds=SECONDS.get(name, 20.0)).faults[0]


def test_no_two_broken_simulators_of_a_form_have_the_same_words():
    words = [words for _, words in BROKEN.values()]
    assert len(set(words)) > 50


# The course's own environments


def classes_of(lesson: str, *names: str, **given) -> dict:
    """What a lesson's cells define, those before the last of the named classes: definitions and imports alone."""
    space = {"torch": torch, "np": np, "device": "cpu", "seed": 0, **given}
    path = next((ROOT / "lessons").glob(f"{lesson}_*.py"))
    for cell in jupytext.read(path, fmt="py:percent").cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type != "code" or tags & {"exercise", "parameters"} or "solution" in tags and lesson != "01":
            continue
        lines = cell.source.splitlines()
        starts = [
            n
            for n, line in enumerate(lines)
            if re.match(r"(def|class|from|import|@)\b|[A-Za-z_]+ = [\d(]|POSTS = ", line)
        ]
        for start in starts:
            end = next((n for n in range(start + 1, len(lines)) if lines[n] and lines[n][0] not in " )]}"), len(lines))
            piece = "\n".join(
                [*lines[start:end], *([lines[end]] if end < len(lines) and lines[end][0] in ")]}" else [])]
            )
            if piece.startswith("import course_utils"):
                continue
            try:
                exec(compile(piece, str(path), "exec"), space)
            except (NameError, SyntaxError, TypeError, AttributeError):
                continue  # it needs what a run has computed
        if all(name in space for name in names):
            return space
    raise LookupError(f"{lesson} does not define {names}")


OURS = {"01": ("Boats", (4,)), "01b": ("Grid", (3, 4)), "11": ("Catch", (4,)), "11b": ("Recall", (4,))} | {
    "15": ("Posts", (3,)),
    "15b": ("Tag", (3,)),
}


@pytest.mark.parametrize("name", [slow_if(name, name != "01") for name in OURS])
def test_an_environment_of_the_course_has_no_fault(name):
    kind, arguments = OURS[name]
    helpers = {"01": (), "01b": (), "11": ("draw",), "11b": ("show",), "15": (), "15b": ()}[name]
    space = classes_of(name[:2], kind, *(["look"] if name == "11" else []), *helpers)
    seen = check_simulator(lambda: space[kind](*arguments))
    assert seen.faults == [] and not [note for note in seen.notes if "could not be checked" in note]


# The view


def test_it_shows_faults_as_lines_and_as_html():
    seen = check_simulator(BROKEN["Doubles"][0])
    assert seen.text.splitlines()[0].startswith("✘ Gymnasium environment: 1 fault (")
    assert seen.text.splitlines()[1] == f"- {seen.faults[0]}"
    assert "<code>observation</code> is float64" in seen.html and "1 fault" in seen.html
    assert re.search(r"\d+ copies made, \d+ resets, [\d,]+ steps, \d+ episodes", seen.counts)
    assert check_simulator(Cart).text.startswith("✔ Gymnasium environment: nothing is wrong (")


def test_words_of_the_simulator_are_escaped():
    class Angry(Cart):
        def step(self, action):
            raise ValueError("<b>no</b>")

    seen = check_simulator(Angry)
    assert "<b>no" not in seen.html and "&lt;b&gt;no" in seen.html and "at line" in seen.faults[0]


def test_it_is_offered_by_the_package():
    assert "check_simulator" in course_utils.__all__


# It leaves everything as it was, and takes little time


def test_the_generators_go_on_as_if_nothing_had_happened():
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    expected = torch.rand(1).item(), np.random.rand(), random.random()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    check_simulator(BROKEN["GlobalChance"][0])
    check_simulator(Cart)
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected


@pytest.mark.parametrize("make", [lambda: gym.make("CartPole-v1"), Room])
def test_it_ends_by_itself_long_before_it_is_cut_off(make):
    began = time.process_time()
    seen = check_simulator(make, seconds=120)
    assert time.process_time() - began < 40 and UNFINISHED not in seen.notes


@pytest.mark.slow
def test_a_heavy_step_is_planned_for():
    class Heavy(Cart):
        def step(self, action):
            end = time.thread_time() + 0.0055
            while time.thread_time() < end:
                pass
            return super().step(action)

    seen = check_simulator(Heavy)
    assert seen.faults == [] and any("steps a second in each process" in note for note in seen.notes)


# Nothing waits for ever, and nothing goes on

LOCKED = """
import gc, torch
from course_utils.exercises.undisturbed import torch_state

class Draws:
    def __init__(self):
        self.me = self  # only the garbage collection frees it

    def __del__(self):
        torch.default_generator.manual_seed(seen.append(torch_state()) or 1)

seen = []
gc.set_threshold(1)
for _ in range(200):
    Draws()
    {read}()
print(len(seen))
"""


def test_the_state_of_torch_is_read_where_a_finalizer_may_draw():
    told = subprocess.run([sys.executable, "-c", LOCKED.format(read="torch_state")], capture_output=True, timeout=120)
    assert int(told.stdout) > 100, told.stderr.decode()


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="no collection begins while a tensor is made")
def test_torch_itself_would_wait_for_ever_there():
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", LOCKED.format(read="torch.get_rng_state")], timeout=20)


def test_what_was_cut_off_in_a_call_that_cannot_be_interrupted_ends_with_it():
    taken, sleeping = [], threading.Event()

    class Waits(Cart):
        def step(self, action):
            taken.append(threading.current_thread())
            sleeping.set()
            time.sleep(5)  # the check waits for three times its seconds, and two more for the thread
            return super().step(action)

    seen = check_simulator(Waits, seconds=0.5)  # so long that what else this process does meanwhile does not count
    assert "computed nothing and waited" in seen.faults[0]
    state = torch.get_rng_state()
    taken[0].join(15)
    assert not taken[0].is_alive() and len(taken) == 1 and torch.equal(torch.get_rng_state(), state)


# Whatever is given, it never raises


@pytest.mark.parametrize("garbage", [None, 3, "x", [], object(), int, dict, lambda: 3, lambda x: x, print, sys.exit])
def test_garbage_gets_a_sentence(garbage):
    assert check_simulator(garbage).faults


def test_a_simulator_that_returns_anything_gets_a_sentence():
    for thing in (None, 3, (), (1, 2), "x", [1], {}, (None,) * 5, (np.zeros(2), None, None, None, None)):

        class Odd(Cart):
            def step(self, action, thing=thing):
                return thing

        class OddStart(Cart):
            def reset(self, thing=thing, **options):
                return thing

        assert check_simulator(Odd).faults and check_simulator(OddStart).faults
