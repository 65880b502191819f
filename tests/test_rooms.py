"""Where things are: arrows between rooms, no circles, no two files of one name, and the map shows the tree."""

from __future__ import annotations

import graphlib
import re
import subprocess
from collections import Counter

import grimp
import pytest
from conftest import ROOT
from lab_process import files_of_a_clone

# What the files of a room may import from other rooms; libraries and their own room always.
MAY_IMPORT = {
    "views": set(),
    "exercises": {
        *("course_utils.views.display", "course_utils.views.palette", "course_utils.views.timeline"),
        "course_utils.runs.shipped",
    },
    "machine": {"course_utils.views"},
    "runs": set(),
}
MAP = (ROOT / "docs" / "contributing.md").read_text().split("\n## ")[1]


def imports(*packages: str) -> dict[str, set[str]]:
    """What each file imports of these packages, at its top or within a function; not what only type checkers see."""
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def wrong_arrows(found: dict[str, set[str]]) -> list[str]:
    """The imports of rooms that `MAY_IMPORT` does not allow."""
    wrong = []
    for room, allowed in MAY_IMPORT.items():
        allowed = {f"course_utils.{room}", *allowed}
        for module in found:
            if module.startswith(f"course_utils.{room}."):
                inside = [name for name in found[module] if any(f"{name}.".startswith(f"{it}.") for it in allowed)]
                wrong += [f"{module} -> {name}" for name in sorted(found[module] - set(inside))]
    return wrong


@pytest.fixture(scope="module")
def ours():
    return imports("course_utils", "tools", "benchmarks")


def test_rooms_import_only_what_they_may(ours):
    assert wrong_arrows(ours) == [], "move what both need into a room that both may import"


def test_every_room_has_its_rule(ours):
    rooms = {module.split(".")[1] for module in ours if module.startswith("course_utils.") and module.count(".") > 1}
    assert rooms == MAY_IMPORT.keys()


def test_the_package_imports_nothing_of_tools_and_benchmarks(ours):
    names = set().union(*(found for module, found in ours.items() if module.startswith("course_utils")))
    assert names and not [name for name in names if not name.startswith("course_utils")]


def test_no_file_imports_itself_in_a_circle(ours):
    graphlib.TopologicalSorter(ours).prepare()  # its CycleError names the circle


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes a package of its own name and tells what its files import."""

    def write(name: str, **files: str) -> dict[str, set[str]]:
        for path, text in {"__init__": "", **files}.items():
            file = tmp_path / name / f"{path.replace('__in__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            (file.parent / "__init__.py").touch()
            file.write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        return imports(name)

    return write


def test_a_circle_is_found_even_within_functions_and_through_a_package(package):
    late = package("late", a="def f():\n    from late import b", b="import late.a")
    with pytest.raises(graphlib.CycleError, match="late.a"):
        graphlib.TopologicalSorter(late).prepare()
    through = package("through", __init__="from through.a import x", a="from through import y")
    with pytest.raises(graphlib.CycleError, match="through.a"):
        graphlib.TopologicalSorter(through).prepare()


def test_a_wrong_arrow_is_found():
    found = {
        "course_utils.views.tree": {"course_utils.views.display", "course_utils.runs.checkpoint"},
        "course_utils.machine.doctor": {"course_utils.views.video", "course_utils.exercises.progress"},
        "course_utils.exercises.checking": {"course_utils.views.display", "course_utils.views.display_more"},
    }
    assert wrong_arrows(found) == [
        "course_utils.views.tree -> course_utils.runs.checkpoint",
        "course_utils.exercises.checking -> course_utils.views.display_more",
        "course_utils.machine.doctor -> course_utils.exercises.progress",
    ]


def test_no_two_files_have_the_same_name():
    files = [path for path in files_of_a_clone() if path.startswith(("course_utils/", "tools/"))]
    names = Counter(path.rsplit("/", 1)[1] for path in files if path.endswith(".py"))
    assert len(names) > 50 and [name for name, count in names.items() if count > 1] == ["__init__.py"]


def folders() -> set[str]:
    """The project's folders, and the rooms of those that have some."""
    parts = [path.split("/")[:-1] for path in files_of_a_clone() if "/" in path and not path.startswith(".")]
    return {"/".join(part[:2]) + "/" for part in parts}


def test_the_map_is_the_tree():
    first_column = re.findall(r"^\| (`.+?) \|", MAP, flags=re.MULTILINE)
    named = {name for entry in first_column for name in re.findall(r"`(.+?)`", entry)} - {"work/"}  # the learner's
    assert not [name for name in named if not (ROOT / name).exists()], "mend the map in docs/contributing.md"
    there = folders()
    houses = {name for name in there if any(room.startswith(name) and room != name for room in there)}
    assert there - houses - named == set(), "these folders lack a line in the map of docs/contributing.md"


def test_git_ignores_no_source_file():
    """A rule for what learners make, such as runs/, would keep a room's file out of every clone."""
    listing = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "course_utils", "tests", "tools"]
    ignored = subprocess.run([*listing, "benchmarks", "examples"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not [name for name in ignored.stdout.split() if name.endswith((".py", ".md", ".json")) and "/." not in name]
