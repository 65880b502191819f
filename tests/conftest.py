"""Shared by the tests: where things are."""

from __future__ import annotations

import os
import random
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # tools/ is no installed package


@pytest.fixture(autouse=True)
def no_figure_is_left_open():
    """For the tests that say that a helper closes its own."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def a_check_draws_the_same_each_time(request, monkeypatch):
    """No test of the checks fails by luck. DRAWS=1, DRAWS=2, ... draw other inputs: is a check lucky, too?"""
    if "tests/exercises/" in request.node.nodeid:
        seed = f"{os.environ.get('DRAWS', '')} {request.node.nodeid}"
        monkeypatch.setattr(random, "SystemRandom", lambda: random.Random(seed))


def pytest_addoption(parser):
    parser.addoption("--lesson", metavar="NN", help="only the tests that are about this lesson, such as 09")


def is_about(nodeid: str, lesson: str) -> bool:
    """Is it a test of `test_lesson_09.py`, or is its parameter a file of lesson 09 or its exercise, such as 9.2?"""
    its_file = f"/test_lesson_{lesson}" in nodeid or re.search(rf"[\[/-]{lesson}_[a-z]", nodeid)
    return bool(its_file or "tests/exercises/" in nodeid and re.search(rf"[\[-]{int(lesson)}\.\d", nodeid))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """What takes long is started first, so that no process is left with it alone at the end; what is fast, last."""
    if lesson := config.getoption("--lesson"):
        others = [item for item in items if not is_about(item.nodeid, lesson)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if is_about(item.nodeid, lesson)]

    def turn(item):
        return 0 if item.get_closest_marker("slow") else 1 if item.path.suffix == ".ipynb" else 2

    items.sort(key=turn)
    for item in items:
        if turn(item) != 1:  # a server, a browser or a process may be late on a busy machine; twice is no accident
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter):
    """How many of the mutants nobody wrote were refused."""
    counts = [
        dict(report.user_properties)["generated mutants"]
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call" and "generated mutants" in dict(report.user_properties)
    ]
    if counts:
        made, alive, equivalent = map(sum, zip(*counts, strict=True))
        share = (made - alive) / (made - equivalent)
        terminalreporter.write_line(
            f"{made} generated mutants: {made - alive} refused, {equivalent} equivalent by reason; "
            f"{share:.1%} of those that are wrong were refused"
        )
