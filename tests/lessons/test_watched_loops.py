"""The watcher finds nothing to mend in training loops of the lessons and of the examples."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
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


def tuning():
    space = run_code(defining_code("14_tuning", "14-search"), seed=0)
    return lambda: space["scores"](replace(space["default"], updates=4), [1, 2])  # two runs side by side


def catch():
    """Its validation plays in a world of few states: many of those frames look like frames of the training."""
    space = run_code(defining_code("11_memory_and_pixels", "11-exam-catch", to_the_end=True), seed=0)
    space["catch_settings"] = replace(space["catch_settings"], max_frames=4_096, updates=4)
    return lambda: space["train_catch"](2, 0, nobody)


@pytest.fixture(scope="module")
def offline():
    space = run_code(defining_code("10_offline_rl", "10-methods", to_the_end=True), seed=0)
    space["settings"] = replace(space["settings"], updates=20, early_runs=24, late_runs=8)
    return space


@pytest.mark.parametrize("method", ["cloning", "DQN", "CQL", "IQL"])
def test_a_loop_that_never_plays_is_let_be(method, offline):
    data = torch.cat(offline["make_record"](0))
    seen = watch_loop(lambda: offline["learn"](method, data, 0))
    kinds = {note.kind for note in seen.notes}
    assert seen.faults == [] and {"store", "sample", "backward", "clip", "step"} <= kinds, seen.text
    assert "collect" not in kinds and ("target" in kinds) == (method != "cloning")


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
        (catch, {"collect", "store", "epsilon", "sample", "loss", "clip", "step", "target", "evaluate", "shutdown"}),
        (tuning, {"collect", "store", "epsilon", "sample", "loss", "clip", "step", "target", "shutdown"}),
        (example("recipe", 1_536), {"collect", "store", "epsilon", "sample", "loss", "step", "target", "shutdown"}),
        (example("algorithm", 512), {"collect", "loss", "step", "shutdown"}),
    ],
    ids=["lesson 08", "lesson 12", "lesson 11", "lesson 14", "libraries, recipe", "libraries, algorithm"],
)
def test_nothing_is_found_that_is_not_there(make, kinds, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "examples" / "libraries"), *sys.path])
    seen = watch_loop(make())
    assert seen.faults == [] and kinds <= {note.kind for note in seen.notes}, seen.text
