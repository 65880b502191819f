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
