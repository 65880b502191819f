"""What holds for every group of measurements."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from benchmarks import groups as package
from benchmarks import page
from benchmarks.__main__ import parse
from benchmarks.groups import groups


class TestGroups:
    def test_timed_groups_run_alone(self):
        assert {name for name, group in groups().items() if not group.alone} == {
            "acrobot",
            "notebook",
            "pixel_game",
            "ablations",
            "control",
            "dream_sac",
            "dreamer",
            "language",
            "sabotaged",
            "selfplay",
            "staleness",
            "world_model",
        }
        assert {"peers", "time"} <= {name for name, group in groups().items() if group.pinned}

    @pytest.mark.parametrize("name", groups())
    def test_every_job_leads_to_an_arm_that_is_shown(self, name):
        assert {arm for arm, _ in groups()[name].jobs(1)} <= set(groups()[name].arms())


MADE_UP = """
from benchmarks.group import Group

GROUP = Group(
    name="NAME", order=15, question="Is it found?", tell=print, file="nothing", jobs=lambda count: [],
    measure=print, arms=list, code=str, repeats=1,
)
"""


class TestFinding:
    """A group is found by being in the folder."""

    @pytest.fixture
    def put(self, tmp_path, monkeypatch):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])

        def put_file(group: str) -> None:
            (tmp_path / "made_up_group.py").write_text(MADE_UP.replace("NAME", group))
            groups.cache_clear()

        yield put_file
        sys.modules.pop("benchmarks.groups.made_up_group", None)
        groups.cache_clear()

    def test_a_new_file_is_run_and_shown_in_its_place(self, put, tmp_path):
        put("new")
        assert list(groups())[:3] == ["notebook", "new", "ablations"]
        assert parse(["--groups", "new"]).groups == ["new"]
        assert "## Is it found?\n\nNot measured yet" in page.build(tmp_path)["benchmark.md"].decode()

    def test_two_groups_of_one_name_are_refused(self, put):
        put("time")
        with pytest.raises(ValueError, match="Two groups in benchmarks/groups/ are called time; rename one"):
            groups()


def test_groups_share_leaves_and_know_nothing_of_one_another():
    for path in Path(package.__file__).parent.glob("[!_]*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        from_groups = [node.module for node in imports if (node.module or "").startswith("benchmarks.groups")]
        by_name = [alias.name for node in imports if node.module == "benchmarks" for alias in node.names]
        assert not from_groups and not {"groups", "page", "targets"} & set(by_name), path.name
