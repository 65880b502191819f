"""What an answer needs is found in any notebook, and nothing else of it is run."""

from __future__ import annotations

import json
import os
import re
import zipfile

import pytest
from conftest import ROOT
from notebooks_of_learners import write_notebook

from course_utils.exercises.answers import NotAnswers, answers_in, find_answers, given_in
from course_utils.exercises.catalogue import all_exercises
from course_utils.exercises.rerun import rerun
from tools import notebooks as builder


def only(*cells: str) -> str:
    """The code of the one answer in these cells."""
    (answer,) = answers_in(list(cells))
    return answer.code


def value(*cells: str):
    """What their one check is given."""
    (answer,) = answers_in(list(cells))
    program, given = given_in(answer.code, answer.number)
    names: dict = {}
    exec(compile(program, "cells", "exec"), names)
    return eval(compile(given, "cells", "eval"), names)


class TestWhatIsNeeded:
    def test_imports_and_names_of_earlier_cells_are_and_training_is_not(self):
        code = only(
            "import math\nimport this_is_not_there",
            "GOAL = 475\nagent = train()",
            "for step in range(10**9):\n    agent.learn()",
            "def root(x):\n    return math.sqrt(x)",
            "def solved(returns):\n    agent = 3\n    return root(GOAL) + agent\n\n\ncheck('0.1', solved)",
        )
        assert "import math" in code and "GOAL = 475" in code and "def root" in code
        assert "this_is_not_there" not in code and "train" not in code and "learn" not in code

    def test_a_class_in_several_cells_with_its_base_and_helpers(self):
        built = value(
            "from collections import UserList as Base",
            "step = 2\ndef helper(x):\n    return x + step",
            "class Mine(Base):\n    extra = step\n    def more(self):\n        return [helper(x) for x in self.data]",
            "def more_twice(self):\n    return self.more() * Other().factor\nMine.more_twice = more_twice",
            "class Other:\n    factor = 2",
            "check('1.1', Mine)",
        )
        assert built([1]).more_twice() == [3, 3]

    @pytest.mark.parametrize(
        ("cells", "want"),
        [
            (["x = 1", "x = 2", "check('1.1', x)", "x = 3"], 2),
            (["x = [1]", "x.append(2)", "x[0] = 5", "check('1.1', x)"], [5, 2]),
            (["x = 1", "x += 2", "check('1.1', x)"], 3),
            (["x = {}", "for k in 'ab':\n    x[k] = 1", "check('1.1', x)"], {"a": 1, "b": 1}),
            (["x = 1", "if x:\n    y = 2\nelse:\n    y = 3", "check('1.1', y)"], 2),
            (["try:\n    import nothing_of_this_name as y\nexcept ImportError:\n    y = 1", "check('1.1', y)"], 1),
            (["y = 1", "if False:\n    y = 2", "check('1.1', y)"], 1),
            (["check('1.1', x)", "x = 7"], 7),  # a cell below was run before the one above
            (["a = 1; b = 2", "check('1.1', (a, b))"], (1, 2)),
            (["def f():\n    return g", "g = 1", "x = f()", "g = 2", "check('1.1', (x, f()))"], (1, 2)),
            (["from math import *", "check('1.1', floor(1.5))"], 1),
            (["def add(f):\n    return 5", "@add\ndef g():\n    pass", "check('1.1', g)"], 5),
            (["check('1.1', (shape := (1, 2)))"], (1, 2)),
            (["from course_utils import check", "for x in (1, 2):\n    check('1.1', x)"], 2),
            (["result = check(number='1.1', answer=3)"], 3),
            (["import course_utils", "print(course_utils.check('1.1', 3).status)"], 3),
            (["%matplotlib inline\nx = 1\n!ls\nx?", "check('1.1', x)"], 1),
            (["%%time\nx = 1\ncheck('1.1', x)"], 1),
            (["%%bash\nx = 5", "x = 1", "check('1.1', x)"], 1),
            (["def f(:", "x = 1", "check('1.1', x)"], 1),
        ],
    )
    def test_a_name_has_the_value_that_the_notebook_gave_it(self, cells, want):
        assert value(*cells) == want

    def test_a_cell_that_is_no_python_is_an_answer_that_cannot_run(self):
        (answer,) = answers_in(["def f(:\n    pass\ncheck('1.1', f)"])
        with pytest.raises(SyntaxError):
            given_in(answer.code, "1.1")

    def test_code_that_ends_in_something_else_is_refused(self):
        for code in ("check('1.2', 1)", "x = check('1.1', 1)", "", "check('1.1', 1)\n1", "check('1.1')"):
            with pytest.raises(SyntaxError):
                given_in(code, "1.1")

    def test_a_check_within_a_function_is_none_and_several_come_last_first(self):
        assert not list(answers_in(["def f():\n    check('1.1', 1)"]))
        assert [a.code for a in answers_in(["check('1.1', 1)", "check('1.1', 2)", "check('1.1', 1)"])] == [
            'check("1.1", 1)\n',
            'check("1.1", 2)\n',
        ]


@pytest.mark.parametrize(
    "cell", ["# @title Solution (unfold to read)\ncheck('1.1', 1)", ("check('1.1', 1)", "solution")]
)
def test_the_courses_solutions_are_nobodys_answer(tmp_path, cell):
    (found,) = find_answers(write_notebook(tmp_path / "a.ipynb", "shape = None\ncheck('1.1', shape)", cell))
    assert [answer.code for answer in found.answers] == ['shape = None\n\ncheck("1.1", shape)\n']


class TestPlaces:
    def test_notebooks_of_a_folder_and_of_a_zip_are_the_same(self, tmp_path):
        folder = tmp_path / "ada"
        write_notebook(folder / "work" / "01.ipynb", "check('1.1', 1)")
        write_notebook(folder / "work" / ".ipynb_checkpoints" / "01.ipynb", "check('1.1', 2)")
        write_notebook(folder / "__MACOSX" / "._01.ipynb", "check('1.1', 3)")
        (folder / "link.ipynb").symlink_to(folder / "work" / "01.ipynb")
        with zipfile.ZipFile(tmp_path / "ada.zip", "w") as archive:
            for path in folder.rglob("*.ipynb"):
                if not path.is_symlink():
                    archive.write(path, path.relative_to(folder))
        one, other = (find_answers(tmp_path / name) for name in ("ada", "ada.zip"))
        assert one == other and [answer.code for found in one for answer in found.answers] == ['check("1.1", 1)\n']

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "{}", '{"cells": 3}', '{"cells": [{}]}', '{"cells": [1]}', "[" * 100_000, "\x00\xff"]
    )
    def test_a_broken_notebook_is_told_and_the_others_are_read(self, tmp_path, text):
        (tmp_path / "a.ipynb").write_text(text)
        write_notebook(tmp_path / "b.ipynb", "check('1.1', 1)")
        broken, whole = find_answers(tmp_path)
        assert (broken.name, broken.problem) == ("a.ipynb", "is no notebook that can be read")
        assert len(whole.answers) == 1

    def test_what_is_no_file_is_not_opened(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.ipynb")  # opening it would wait for ever
        assert "is no notebook" in find_answers(tmp_path)[0].problem

    def test_half_letters_do_no_harm(self, tmp_path):
        cell = {"cell_type": "code", "source": "x = '\ud800'\ncheck('1.1', x)", "metadata": {}}
        (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
        assert find_answers(tmp_path)[0].answers[0].code.encode()

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 1000])
    def test_a_zip_that_is_none(self, tmp_path, content):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(NotAnswers, match="zip that cannot be read"):
            find_answers(tmp_path / "a.zip")

    def test_nothing_there(self, tmp_path):
        with pytest.raises(NotAnswers, match="no notebook"):
            find_answers(tmp_path)
        with pytest.raises(NotAnswers, match="is not there"):
            find_answers(tmp_path / "none")


def as_if_written(source: str) -> str:
    """A solution as a learner would write it into a cell of their own."""
    return re.sub(r"# @title Solution.*\n", "", source)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", all_exercises())
def test_the_right_answers_of_every_lesson_are_found_in_it_and_pass(lesson):
    """The whole notebook as it is, with its stubs, its training and its figures, and a right answer to all of it."""
    (path,) = (ROOT / "lessons").glob(f"{lesson}_*.py")
    cells = [cell.source for cell in builder.generate(path).cells if cell.cell_type == "code"]
    answers = list(answers_in([as_if_written(source) for source in cells]))
    verdicts = rerun([answers])
    assert {number: found.status for number, found in verdicts.items()} == dict.fromkeys(
        all_exercises()[lesson], "correct"
    ), [found.feedback for found in verdicts.values() if found.status != "correct"]
