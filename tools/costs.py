"""A pytest plugin that ends a run with what it cost: the ten most expensive tests, and the core minutes by room.

`make test` loads it with `-p tools.costs`. A core second is a second of work of one core, so waiting costs
nothing. Counted are the process that runs a test and those it started, a browser or a kernel, at the end of the test
at which they end; one that is never waited for is not. A notebook counts as one test.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

SHOWN = 10
CORE_SECONDS = "core seconds"


def core_seconds() -> float:
    """What this process and the children it has waited for have worked so far."""
    return sum(os.times()[:4])


def room(nodeid: str) -> str:
    """`views` of `tests/views/test_show.py::test_x`; all notebooks are one room, and so is what lies in no folder."""
    file = nodeid.split("::")[0]
    folders = file.split("/")[1:-1]
    return "notebooks" if file.endswith(".ipynb") else folders[0] if file.startswith("tests/") and folders else "tests"


def name(nodeid: str) -> str:
    """The cells of a notebook share a kernel, whose work is known when it ends: they have one name."""
    file = nodeid.split("::")[0]
    return file if file.endswith(".ipynb") else nodeid


class Costs:
    """Notes in the process that runs a test what it cost, and sums it up where the run is reported."""

    def __init__(self) -> None:
        self.noted, self.spent, self.waited = core_seconds(), Counter(), Counter()

    def pytest_collection_finish(self) -> None:
        self.noted = core_seconds()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item) -> None:
        now = core_seconds()
        item.user_properties.append((CORE_SECONDS, now - self.noted))
        self.noted = now

    def pytest_runtest_logreport(self, report) -> None:
        self.waited[report.nodeid] += report.duration
        if report.when == "teardown":  # it carries what was noted in all phases
            self.spent[report.nodeid] = sum(value for key, value in report.user_properties if key == CORE_SECONDS)

    def pytest_terminal_summary(self, terminalreporter) -> None:
        rooms, tests, seconds = Counter(), Counter(), Counter()
        for nodeid, spent in self.spent.items():
            rooms[room(nodeid)] += spent
            tests[name(nodeid)] += spent
            seconds[name(nodeid)] += self.waited[nodeid]
        terminalreporter.section("core seconds (of seconds) of the most expensive tests")
        for test, spent in tests.most_common(SHOWN):
            terminalreporter.write_line(f"{spent:7.1f} ({seconds[test]:6.1f})  {test}")
        terminalreporter.section("core minutes by room")
        for one, spent in rooms.most_common():
            terminalreporter.write_line(f"{spent / 60:7.1f}  {one}")
        terminalreporter.write_line(f"{rooms.total() / 60:7.1f}  all of them, collecting and starting left out")


def pytest_configure(config) -> None:
    config.pluginmanager.register(Costs(), "costs")
