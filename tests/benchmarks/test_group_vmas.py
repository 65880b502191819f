"""The same team code on VMAS."""

from __future__ import annotations

import importlib.util
import re

from conftest import ROOT
from made_up_results import arms, told

from benchmarks.groups import vmas
from benchmarks.lesson_code import FIRST_SEED
from benchmarks.missing import OF_VMAS, of_vmas


def run(value: float) -> dict:
    facts = {"return": value, "untrained": -1.0, "ceiling": 3.2, "bumps": 0.5, "arrived": 0.9}
    return facts | {"curve": [0.0], "frames": 60_000, "cpu_seconds": 15.0, "vmas": "1.5.2"}


def test_answers_are_computed_in_units_of_the_best_return(tmp_path):
    page = told(tmp_path, "vmas", {"as in the lesson": {"100": run(3.0), "101": run(2.0)}, "own policies": {}})
    assert "at least 80% of the best one seen (3.00): as in the lesson 1 of 2." in page
    assert "| as in the lesson | 1 of 2 | 100%, 67% | 2.50 | 90% | 0.50 | 15.0 |" in page


def test_where_it_is_missing_that_is_said_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "vmas and gym not installed" in of_vmas() and "pip install --no-deps vmas==" in of_vmas()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert of_vmas() == ""


def test_the_lesson_the_group_and_the_atlas_name_the_same_releases(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    pins = (ROOT / "examples" / "worlds" / "requirements" / "vmas.txt").read_text()
    releases = " ".join(re.search(rf"^{name}==\S+$", pins, re.MULTILINE)[0] for name in OF_VMAS)
    line = f"pip install --no-deps {releases}"
    assert line in of_vmas() and line in (ROOT / "lessons" / "15_many_agents.py").read_text()


def test_the_first_arm_runs_first_and_on_all_seeds():
    jobs = vmas.GROUP.jobs(10)
    assert [arm for arm, _ in jobs[:10]] == [vmas.ARMS[0]] * 10
    assert [sum(arm == name for arm, _ in jobs) for name in vmas.ARMS] == [10, 5, 5]


def test_nine_teams_of_ten_come_close_to_the_best():
    found = arms("vmas")
    assert min(int(seed) for runs in found.values() for seed in runs) >= FIRST_SEED
    best = max(one["return"] for runs in found.values() for one in runs.values())
    returns = [one["return"] for one in found[vmas.ARMS[0]].values()]
    assert len(returns) == 10
    assert sum(value >= vmas.GOOD * best for value in returns) >= 0.9 * len(returns)
    paths = found[vmas.ARMS[0]][str(FIRST_SEED)]["paths"]
    assert set(paths) == {"before", "after"}, "the lesson's stored film"
    assert sum(map(sum, paths["after"]["sees"])) > 0, "in which mates meet"


def test_what_the_lesson_says_of_the_other_arms_holds():
    returns = {name: {seed: one["return"] for seed, one in runs.items()} for name, runs in arms("vmas").items()}
    main, ippo, own = (returns[name] for name in vmas.ARMS)
    best = max(value for runs in returns.values() for value in runs.values())
    assert min(value for runs in returns.values() for value in runs.values()) > 0.9 * best, "every team above 90 %"
    assert len(ippo) == len(own) == 5
    assert all(1 <= value / main[seed] < 1.03 for seed, value in ippo.items()), "within 3 %, not once below"
    assert sum(value < main[seed] for seed, value in own.items()) == 4, "a little worse with four of five seeds"
