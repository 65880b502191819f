"""The stored results are whole, small, and of the code that measures now."""

from __future__ import annotations

import pytest
from made_up_results import arms, stamp_and_arms

from benchmarks import fingerprint, lesson_code, store
from benchmarks.groups import groups

MAX_BYTES = 250_000


def test_every_group_was_measured():
    missing = [name for name, group in groups().items() if not store.read_group(store.RESULTS, group.file, name)[1]]
    assert missing == []


@pytest.mark.parametrize("group", groups())
def test_results_say_what_they_were_measured_with(group):
    stamp, _ = stamp_and_arms(group)
    machine, code = {"cpu", "cores"}, {"torch", "torchrl", "gymnasium", "python", "code", "measured by"}
    assert set(stamp) >= {*machine, *code, "date", "command"}


@pytest.mark.parametrize("group", groups())
def test_results_were_measured_by_the_code_that_is_there_now(group):
    """Where it measures as before, only written otherwise, put the new hash into the stamp by hand."""
    stamp, _ = stamp_and_arms(group)
    now = fingerprint.measuring_code(groups()[group].measure)
    assert stamp["measured by"] == now, f"make bench ARGS='--groups {group}'"


@pytest.mark.parametrize(("group", "seeds"), [("notebook", 30), ("ablations", 10), ("peers", 10)])
def test_every_arm_ran_on_enough_seeds_not_used_for_tuning(group, seeds):
    for runs in arms(group).values():
        assert len(runs) >= seeds and min(map(int, runs)) >= lesson_code.FIRST_SEED


def test_results_are_small():
    for path in store.RESULTS.glob("*.json"):
        assert path.stat().st_size < MAX_BYTES, path.name
