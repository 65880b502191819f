"""Targets are judged by the data."""

from __future__ import annotations

import re

import pytest
from made_up_results import made_up_arm, made_up_repeat, store_made_up, text_of

from benchmarks.groups import peers
from benchmarks.targets import targets


@pytest.mark.parametrize(
    ("lesson", "sb3", "met"),
    [(2.4, 1.5, ["yes", "yes"]), (2.6, 1.5, ["**no**", "**no**"]), (1.8, 1.0, ["yes", "**no**"])],
)
def test_targets_of_the_loop_are_judged_by_the_data(tmp_path, lesson, sb3, met):
    store_made_up(tmp_path, {"time": {"act two": {"100": made_up_repeat(lesson, sb3)}}})
    assert re.findall(r"\| (yes|\*\*no\*\*) \|", text_of(tmp_path)) == [*met, "yes", "**no**"]


@pytest.mark.parametrize(
    ("judge", "evaluation", "met"), [(1.29, 1.3, [True, True]), (1.31, 1.3, [False, True]), (1.0, 1.5, [True, False])]
)
def test_targets_of_validation_are_judged_by_the_data(tmp_path, judge, evaluation, met):
    store_made_up(tmp_path, {"time": {"act two": {"100": made_up_repeat(judge=judge, evaluation=evaluation)}}})
    assert [target.met for target in targets(tmp_path)[2:4]] == met


@pytest.mark.parametrize(("zoo", "met"), [(23.9, False), (24.1, True)])
def test_the_target_of_eight_times_is_judged_by_each_clock(tmp_path, zoo, met):
    found = {peers.OURS: made_up_arm([3] * 10), peers.ZOO_DQN: made_up_arm([zoo] * 10)}
    store_made_up(tmp_path, {"peers": found})
    assert [target.met for target in targets(tmp_path)[4:]] == [met, met]
    for run in found[peers.ZOO_DQN].values():
        run["validation_seconds"] += 1.5  # less training, the same in all
    store_made_up(tmp_path, {"peers": found})
    assert [target.met for target in targets(tmp_path)[4:]] == [False, met]
