"""The watcher finds nothing to mend in training loops of the lessons and of the examples."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from conftest import ROOT

from benchmarks.lesson_code import defining_code, run_code
from course_utils import watch_loop


def nobody(*_, **__):
    """In the place of who watches a curve."""


def ppo():
    space = run_code(defining_code("08_ppo", "08-cartpole"), seed=0)
    return lambda: space["train_cartpole"](replace(space["cartpole"], batches=2), 0, nobody)


def v_trace():
    space = run_code(defining_code("12_scaling_out", "12-stale"), seed=0)
    return lambda: space["train_stale"](0, lag=2, corrected=True, frames=2_048)  # its player moves after two batches


def example(name: str, frames: int):
    def make():
        module = __import__(f"torchrl_{name}")
        return lambda: module.train(0, lambda act, played: played >= frames)

    return make


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (ppo, {"collect", "loss", "clip", "step", "shutdown"}),
        (v_trace, {"collect", "loss", "clip", "step", "shutdown"}),
        (example("recipe", 1_536), {"collect", "store", "epsilon", "sample", "loss", "step", "target", "shutdown"}),
        (example("algorithm", 512), {"collect", "loss", "step", "shutdown"}),
    ],
    ids=["lesson 08", "lesson 12", "libraries, recipe", "libraries, algorithm"],
)
def test_nothing_is_found_that_is_not_there(make, kinds, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "examples" / "libraries"), *sys.path])
    seen = watch_loop(make())
    assert seen.faults == [] and kinds <= {note.kind for note in seen.notes}, seen.text
