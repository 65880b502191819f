"""Shared by the tests: where things are."""

from __future__ import annotations

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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """What takes long is started first, so that no process is left with it alone at the end; what is fast, last."""

    def turn(item):
        return 0 if item.get_closest_marker("slow") else 1 if item.path.suffix == ".ipynb" else 2

    items.sort(key=turn)
