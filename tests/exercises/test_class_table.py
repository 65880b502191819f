"""A class of five, one of them hostile: who has solved what, and who is stuck on which mistake."""

from __future__ import annotations

import csv
import io
import zipfile

import pytest
from notebooks_of_learners import listing, write_notebook

from course_utils.exercises import certificate_command, class_table
from course_utils.exercises.class_table import Learner
from course_utils.exercises.rerun import Verdict

RIGHT = "def solved(returns):\n    return returns.mean() >= 475\n\n\ncheck('0.1', solved)"
BEST = "def mine(r):\n    return max(r) >= 475\ncheck('0.1', mine)"
SENTENCE = "You look at the best episode. One lucky episode out of many solves nothing: take the mean."
HOSTILE = """
import os, signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
while True:
    try:
        bad = [0] * 1000
    except BaseException:
        pass
check("0.1", bad)
"""


@pytest.fixture
def handed_in(tmp_path):
    folder = tmp_path / "handed-in"
    write_notebook(folder / "ada" / "work" / "00.ipynb", RIGHT)
    write_notebook(folder / "=ben.ipynb", BEST)
    write_notebook(
        folder / "cy.ipynb",
        "goal = 475\ndef solved(returns):\n    return (returns >= goal).any()\ncheck('0.1', solved)",
    )
    write_notebook(folder / "dora" / "00.ipynb", HOSTILE)
    with zipfile.ZipFile(folder / "eve.zip", "w") as archive:
        archive.writestr("00.ipynb", "{")
        archive.write(folder / "ada" / "work" / "00.ipynb", "again/00.ipynb")
    return folder


@pytest.mark.slow
def test_a_class_of_five(handed_in, tmp_path, monkeypatch, capsys):
    before = listing(handed_in)
    monkeypatch.chdir(tmp_path)
    assert certificate_command.main(["class", str(handed_in), "--yes", "--seconds", "8"]) == 0
    said = capsys.readouterr().out
    assert "code that others wrote" in said and "ada: 1 solved, 0 not yet" in said and "eve: 1 solved" in said
    assert listing(handed_in) == before
    (table,), (page,) = tmp_path.glob("class-*.csv"), tmp_path.glob("class-*.html")
    lines = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    status = {line["learner"]: line["status"] for line in lines if line["exercise"] == "0.1"}
    assert status == {"'=ben": "not yet", "ada": "correct", "cy": "not yet", "dora": "could not run", "eve": "correct"}
    assert {line["mistake"] for line in lines if line["learner"] in ("'=ben", "cy") and line["exercise"] == "0.1"} == {
        "best episode"
    }
    assert [line["what the check says"] for line in lines if line["status"] == "could not be read"] == [
        "00.ipynb is no notebook that can be read."
    ]
    text = page.read_text(encoding="utf-8")
    assert text.index(SENTENCE) < text.index("Cut off after 8 seconds") and "=ben, cy" in text


def test_nothing_runs_unasked(handed_in, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(class_table, "rerun", lambda *_: pytest.fail("it runs"))
    assert certificate_command.main(["class", str(handed_in)]) == 2
    assert "5 submissions" in (said := capsys.readouterr().out) and "--yes" in said


def test_what_is_wrong_with_one_is_told_and_the_others_are_run(handed_in, monkeypatch):
    def rerun(notebooks, limits):
        if any("bad" in answer.code for answers in notebooks for answer in answers):
            raise RuntimeError("out of memory")
        return {}

    monkeypatch.setattr(class_table, "rerun", rerun)
    (handed_in / "fay.zip").write_text("no zip")
    (handed_in / "notes.txt").write_text("not handed in")
    problems = {learner.name: learner.problems for learner in class_table.run_class(handed_in)}
    assert list(problems) == ["=ben", "ada", "cy", "dora", "eve", "fay"]
    assert "dora could not be run (RuntimeError: out of memory)." in problems["dora"]
    assert "zip that cannot be read" in problems["fay"][0]


def test_an_interruption_keeps_what_is_known(handed_in, tmp_path, monkeypatch, capsys):
    def interrupted(folder, limits):
        yield Learner("ada", {"0.1": Verdict("0.1", "correct")})
        raise KeyboardInterrupt

    monkeypatch.setattr(class_table, "run_class", interrupted)
    monkeypatch.chdir(tmp_path)
    assert certificate_command.main(["class", str(handed_in), "--yes"]) == 2
    assert "ada,00,0.1,correct" in next(tmp_path.glob("class-*.csv")).read_text()


@pytest.mark.parametrize("name", ["none", "empty"])
def test_where_nothing_was_handed_in(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    assert certificate_command.main(["class", str(tmp_path / name), "--yes"]) == 2
    assert "for each learner" in capsys.readouterr().err


def test_what_most_are_stuck_on_comes_first_and_names_are_text():
    def learner(name: str, **statuses: str) -> Learner:
        found = {number: Verdict(number, "not yet", words) for number, words in statuses.items()}
        return Learner(name, found)

    bad = "<script>alert(1)</script>"
    one = Learner(bad, {"0.1": Verdict("0.1", "not yet", "A", "a"), "10.1": Verdict("10.1", "not yet", "B")})
    other = Learner("b", {"2.1": Verdict("2.1", "could not run", "C"), "10.1": Verdict("10.1", "not yet", "B")})
    found = class_table.stuck([one, other])
    assert [(number, names) for number, _, _, names in found] == [("10.1", [bad, "b"]), ("0.1", [bad]), ("2.1", ["b"])]
    page = class_table.as_page([one, other])
    assert "<script" not in page and 'aria-label="could not run"' in page
    assert class_table.as_page([]).count("Nobody is stuck") == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1"])
def test_no_spreadsheet_takes_a_name_for_a_formula(text):
    assert class_table.cell(text) == f"'{text}"
    assert class_table.cell("ada") == "ada"
