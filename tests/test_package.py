"""The package that notebooks import: cheap, and every name is there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

import course_utils


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_it_loads_nothing_heavy():
    heavy = "{'torch', 'torchrl', 'tensordict', 'ipywidgets', 'matplotlib', 'av', 'numpy'}"
    assert python(f"import sys, course_utils; print({heavy} & set(sys.modules))") == "set()"


def test_torchrl_does_not_log_to_the_notebook():
    assert python("import course_utils, torchrl.envs") == ""


@pytest.mark.parametrize("name", course_utils.__all__)
def test_every_name_it_offers_is_there(name):
    assert getattr(course_utils, name)


def test_no_name_is_hidden_by_a_module():
    """Once course_utils/x is imported, `from course_utils import x` gives the module."""
    modules = {path.stem for path in (ROOT / "course_utils").iterdir()}
    assert not modules & set(course_utils.__all__)


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(AttributeError, match="ReplayLens, TokenScrubber, ask_for_extra, check"):
        course_utils.chek  # noqa: B018


def test_completion_offers_every_name_of_the_package():
    assert dir(course_utils) == course_utils.__all__ and "check" in dir(course_utils)
