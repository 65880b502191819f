"""A stamp changes with what is run, and with nothing else."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from benchmarks import fingerprint
from benchmarks.group import Group
from benchmarks.groups import groups


@pytest.fixture
def load(tmp_path, monkeypatch):
    """A function that makes a module of a text; one of the package "made_up" where it is given a name."""
    folder = tmp_path / "made_up"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def module_of(text: str, name: str = "group"):
        fingerprint.definitions.cache_clear()
        (folder / f"{name}.py").write_text(text)
        spec = importlib.util.spec_from_file_location(f"made_up.{name}", folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        exec(compile(text, spec.origin, "exec"), module.__dict__)
        return module

    yield module_of
    sys.modules.pop("made_up", None)
    fingerprint.definitions.cache_clear()


class Reworded(ast.NodeTransformer):
    """Another word in every text."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(f"{node.value} indeed") if isinstance(node.value, str) else node


def edited(source: str, chosen: set[str]) -> str:
    """The source with other words in these functions."""
    tree = ast.parse(source)
    for node in tree.body:
        if getattr(node, "name", "") in chosen:
            node.body = [Reworded().visit(inner) for inner in node.body]
    return ast.unparse(tree)


def group_in(module, name: str) -> Group:
    return next(value for value in vars(module).values() if isinstance(value, Group) and value.name == name)


@pytest.mark.parametrize("name", groups())
def test_a_groups_stamp_changes_with_what_is_run_and_not_with_what_is_said(name, load):
    measure = groups()[name].measure
    source = Path(sys.modules[measure.__module__].__file__).read_text()
    functions = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    run = {place[1] for place in fingerprint.reached(measure.__module__, measure.__name__)} & functions
    said = functions - run
    assert any(function.startswith("tell") for function in said) and measure.__name__ in run
    before = fingerprint.measuring_code(measure)
    reworded = edited(source, said)
    assert reworded != ast.unparse(ast.parse(source))
    assert fingerprint.measuring_code(group_in(load(reworded), name).measure) == before
    for function in run:
        other = source.replace(f"def {function}(", f"def {function}(another_argument, ", 1)
        assert fingerprint.measuring_code(group_in(load(other), name).measure) != before, function


GROUP = '''
"""A question."""
from made_up import leaf
from made_up.leaf import plus

ARMS = {"one": 1}


class Player:
    """Plays."""

    def move(self):
        return leaf.STEP


def measure(arm, seed):
    """What is found."""
    return {arm: plus(ARMS[arm], seed) + Player().move()}  # why


def tell(section):
    return "words"
'''
LEAF = """
STEP = 2


def plus(one, other):
    return one + other


def unused():
    return 3
"""


class TestMeasuringCode:
    @pytest.fixture
    def hash_of(self, load, monkeypatch):
        monkeypatch.setattr(fingerprint, "PACKAGE", "made_up")

        def measured(group: str = GROUP, **leaves: str) -> str:
            for name, text in ({"leaf": LEAF} | leaves).items():
                load(text, name)
            return fingerprint.measuring_code(load(group).measure)

        return measured

    @pytest.mark.parametrize(
        ("was", "now"),
        [
            ("# why", "# because"),
            ('"""What is found."""', '"""What comes out."""'),
            ('"""Plays."""', '"""Plays on."""'),
            ('"""A question."""', '"""Another question."""'),
            ('return "words"', 'return "other words"'),
            ('ARMS = {"one": 1}', 'ARMS = {\n    "one": 1,\n}'),
        ],
    )
    def test_words_comments_and_line_breaks_leave_it(self, hash_of, was, now):
        assert was in GROUP and hash_of() == hash_of(GROUP.replace(was, now))

    @pytest.mark.parametrize(
        ("was", "now"),
        [("ARMS[arm], seed", "seed, ARMS[arm]"), ('{"one": 1}', '{"one": 2}'), ("return leaf.STEP", "return 2")],
    )
    def test_what_is_run_changes_it(self, hash_of, was, now):
        assert was in GROUP and hash_of() != hash_of(GROUP.replace(was, now))

    @pytest.mark.parametrize(("was", "now"), [("one + other", "one - other"), ("STEP = 2", "STEP = 3")])
    def test_what_is_run_in_another_file_changes_it(self, hash_of, was, now):
        assert was in LEAF and hash_of() != hash_of(leaf=LEAF.replace(was, now))

    def test_what_nobody_uses_leaves_it(self, hash_of):
        assert hash_of() == hash_of(leaf=LEAF.replace("return 3", "return 4"))

    def test_moving_a_function_to_another_file_leaves_it(self, hash_of):
        before = hash_of()
        step, plus = LEAF.split("\n\n\n")[:2]
        group = GROUP.replace("from made_up.leaf import plus", "from made_up.elsewhere import plus")
        assert hash_of(group, leaf=step, elsewhere=plus) == before
        here = GROUP.replace("from made_up import leaf\nfrom made_up.leaf import plus", f"{step}\n{plus}")
        assert hash_of(here.replace("leaf.STEP", "STEP")) == before

    def test_a_measure_without_a_name_is_refused(self, load):
        with pytest.raises(ValueError, match="write it with `def` at the top level"):
            fingerprint.measuring_code(load("measure = [lambda arm, seed: {}][0]").measure)
