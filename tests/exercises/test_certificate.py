"""A page that says what is solved: true when it is made, found out when it is changed, harmless when it is hostile."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from notebooks_of_learners import listing, solve, write_notebook

from course_utils.exercises import certificate as certificates
from course_utils.exercises import certificate_command, edition
from course_utils.exercises.answers import Answer
from course_utils.exercises.certificate import Certificate, NotACertificate, Row
from course_utils.exercises.printing import browser, print_page
from course_utils.exercises.progress import FILE
from course_utils.exercises.rerun import Limits, rerun, run_notebook

RIGHT = "def solved(returns):\n    return returns.mean() >= 475\n\n\ncheck('0.1', solved)"
WRONG = "def solved(returns):\n    return returns.max() >= 475\n\n\ncheck('0.1', solved)"
BEST = "You look at the best episode. One lucky episode out of many solves nothing: take the mean."


def command(*words: str) -> int:
    return certificate_command.main(list(words))


def of_rows(*rows: Row) -> Certificate:
    return Certificate("Ada", "2026-01-02", edition.edition(), edition.versions(), list(rows))


def solved(code: str = RIGHT, number: str = "0.1", status: str = "correct") -> Row:
    return Row(number, status, "", "2026-01-01", code)


def saved(path: Path, certificate: Certificate) -> Path:
    path.write_text(certificates.rendered(certificate), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    """A work copy of two lessons: solved, wrong, left open, a solution opened and run, a progress of its own."""
    work = tmp_path_factory.mktemp("learner") / "work"
    work.mkdir()
    for name in ("00_start_here", "04_losses"):
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", work)
    (work / ".editions.json").write_text("{}")
    record = {"0.1": {"solved": "2026-03-02", "status": "correct", "tries": 4}, "4.5": {"solved": "2026-03-03"}}
    record["4.5"] |= {"status": "correct", "tries": 1}
    (work / FILE).write_text(json.dumps(record))
    solve(work / "00_start_here.ipynb", {"0.1": RIGHT})
    wrong = "def total_loss(losses):\n    return sum(losses.values())\n\n\ncheck('4.5', total_loss)"
    right = "def follow(target, online, eps, steps):\n    w = eps**steps\n    return w * target + (1 - w) * online\n"
    answers = {"4.2": f"{right}\n\ncheck('4.2', follow)", "4.4": "check('4.4', 1 / 0)", "4.5": wrong}
    solve(work / "04_losses.ipynb", answers)
    return work


@pytest.fixture(scope="module")
def made(learner):
    """The certificate of the learner's own command, what it printed, and the folder before."""
    before, said = listing(learner), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", said)
        assert command(str(learner), "--name", "Ada <script>") == 0
    (path,) = learner.glob("certificate-*.html")
    return path, said.getvalue(), before


class TestMade:
    def test_it_says_what_the_checks_say_of_each_answer_in_the_notebooks(self, made):
        rows = {row.number: row for row in certificates.read(made[0])[0].rows}
        status = {number: row.status for number, row in rows.items() if row.status != "not attempted"}
        assert status == {"0.1": "correct", "4.2": "correct", "4.4": "could not run", "4.5": "not yet"}
        assert "every entry" in rows["4.5"].feedback and "ZeroDivisionError" in rows["4.4"].feedback
        assert "rows" not in rows["0.1"].code and len(rows) == sum(map(len, certificates.all_exercises().values()))

    def test_days_are_those_of_the_record_and_only_of_what_is_correct_now(self, made):
        days = {row.number: row.solved for row in certificates.read(made[0])[0].rows if row.solved}
        assert days == {"0.1": "2026-03-02"}

    def test_nothing_that_the_learner_has_is_changed(self, made, learner):
        after = listing(learner)
        assert {name: text for name, text in after.items() if name != made[0].name} == made[2]

    def test_it_tells_the_edition_and_what_it_proves(self, made):
        text = made[0].read_text()
        assert edition.fingerprint() in text and "torchrl 0.14" in text
        assert "does not prove who wrote them" in text and "2 of" in made[1] and "✎ 4.5 not yet" in made[1]

    def test_it_holds_elsewhere(self, made, tmp_path, monkeypatch, capsys):
        path = Path(shutil.copy(made[0], tmp_path / "sent.html"))
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as some mail programs do
        monkeypatch.chdir(tmp_path)
        assert command("verify", "sent.html", "--yes") == 0
        said = capsys.readouterr().out
        assert "4 of 4 rows hold; 2 exercises are solved" in said and "not who wrote them" in said
        assert [path.name for path in tmp_path.iterdir()] == ["sent.html"]

    def test_a_second_one_replaces_nothing(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(certificates, "rerun", lambda answers, limits: {})
        write_notebook(tmp_path / "a.ipynb", RIGHT)
        assert [command(str(tmp_path)) for _ in range(2)] == [0, 0]
        assert len(list(tmp_path.glob("certificate-*.html"))) == 2


class TestChanged:
    def test_a_status_that_was_changed_does_not_hold(self, tmp_path, capsys):
        path = saved(tmp_path / "a.html", of_rows(solved(WRONG)))  # whoever makes the page anew by our own code
        assert command("verify", str(path), "--yes") == 1
        said = capsys.readouterr().out
        assert "does not hold: the page says *correct*, and the check *not yet*" in said and BEST in said
        assert "0 of 1 rows hold; 0 exercises are solved" in said

    def test_a_row_without_its_answer_does_not_hold(self):
        (held,) = certificates.verify(of_rows(solved("")))
        assert not held.holds and "no answer" in held.now.feedback

    def test_an_answer_to_another_exercise_does_not_hold(self):
        (held,) = certificates.verify(of_rows(solved(RIGHT, "1.1")))
        assert not held.holds and 'does not end in check("1.1"' in held.now.feedback

    @pytest.mark.parametrize("old", ["Ada", "2026-01-01", "correct", "mean()", "1 of 1", "</html>"])
    def test_any_change_in_an_editor_is_seen(self, tmp_path, old):
        path = saved(tmp_path / "a.html", of_rows(solved()))
        assert certificates.read(path)[1] == ""
        text = path.read_text()
        for place in (text.index(old), text.rindex(old)):
            path.write_text(text[:place] + old[1:] + text[place + len(old) :])
            with contextlib.suppress(NotACertificate):
                assert "changed after it was made" in certificates.read(path)[1]

    def test_a_page_that_shows_something_else_than_its_data_is_seen_with_a_new_seal_too(self, tmp_path):
        text = certificates.rendered(of_rows(solved(WRONG, status="not yet")))
        text = text.replace("not yet</span>", "correct</span>", 1)[
            : text.rindex("\n<!-- sealed") + len("correct") - len("not yet")
        ]
        (tmp_path / "a.html").write_text(text + certificates.sealed(text))
        assert "something else than its answers' data" in certificates.read(tmp_path / "a.html")[1]

    def test_another_edition_is_said(self, tmp_path, capsys, monkeypatch):
        other = dataclasses.replace(of_rows(solved()), edition=edition.edition() | {"checks": "0123"})
        path = saved(tmp_path / "a.html", other)
        assert certificates.read(path)[1] == ""
        monkeypatch.setattr(certificates, "verify", lambda certificate, limits: [])
        assert command("verify", str(path), "--yes") == 0
        assert f"The checks here are others: {edition.fingerprint()}" in capsys.readouterr().out


def with_data(**changes) -> str:
    data = {"kind": certificates.KIND, "name": "", "made": "", "edition": edition.edition(), "versions": {}}
    data |= {"rows": [vars(solved())]} | changes
    return certificates.DATA + json.dumps(data) + certificates.END_OF_DATA


row = vars(solved())
HOSTILE = {
    "empty": "",
    "no page of ours": "<!doctype html><p>hello",
    "no data": certificates.DATA,
    "no JSON": certificates.DATA + "{" + certificates.END_OF_DATA,
    "deep": certificates.DATA + "[" * 200_000 + certificates.END_OF_DATA,
    "a list": certificates.DATA + "[]" + certificates.END_OF_DATA,
    "a large number": certificates.DATA + "9" * 10_000 + certificates.END_OF_DATA,
    "twice": with_data() * 2,
    "another kind": with_data(kind="certificate 2"),
    "no rows": with_data(rows=[]),
    "rows of words": with_data(rows=["a"]),
    "a row too much": with_data(rows=[row | {"more": 1}]),
    "the same row twice": with_data(rows=[row, row]),
    "too many rows": with_data(rows=[row | {"number": f"{i}.1"} for i in range(99)] * 5),
    "no number": with_data(rows=[row | {"number": "0.1; rm"}]),
    "a number that is none": with_data(rows=[row | {"number": 0.1}]),
    "another status": with_data(rows=[row | {"status": "excellent"}]),
    "code that is none": with_data(rows=[row | {"code": None}]),
    "too much code": with_data(rows=[row | {"code": "#" * 300_000}]),
    "half a letter": with_data(name="\ud800"),
    "a long name": with_data(name="a" * 10_000),
    "no edition": with_data(edition=[]),
    "an empty edition": with_data(edition={}),
    "versions of numbers": with_data(versions={"torch": 2}),
}


class TestHostile:
    @pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
    def test_a_page_that_is_none_gets_one_sentence(self, tmp_path, capsys, text):
        (tmp_path / "a.html").write_text(text)
        assert command("verify", str(tmp_path / "a.html"), "--yes") == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and "a.html is no certificate" in said.err

    def test_nor_does_one_that_is_no_text_or_huge_or_not_there(self, tmp_path, capsys):
        (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
        with (tmp_path / "huge").open("wb") as file:
            file.truncate(10**10)
        for name in ("bytes", "huge", "none", "."):
            assert command("verify", str(tmp_path / name), "--yes") == 2
            assert capsys.readouterr().err.count("\n") == 1

    def test_code_of_others_runs_only_when_somebody_says_so(self, tmp_path, capsys, monkeypatch):
        trace = tmp_path / "it ran"
        path = saved(tmp_path / "a.html", of_rows(solved(f"open({str(trace)!r}, 'w')\ncheck('0.1', None)")))
        assert command("verify", str(path)) == 2  # nobody is there to be asked
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        for answer in ("", "n", "no"):
            monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
            assert command("verify", str(path)) == 2
        assert "code that others wrote, with all your rights" in capsys.readouterr().out and not trace.exists()
        monkeypatch.setattr("builtins.input", lambda question: "y")
        assert command("verify", str(path)) == 1 and trace.exists()

    def test_what_stands_in_it_commands_no_terminal(self, tmp_path, capsys, monkeypatch):
        bad = Row("0.1", "not yet", "\x1b]0;title\x07\x9b31m", None, RIGHT)
        path = saved(tmp_path / "a.html", dataclasses.replace(of_rows(bad), made="\x1b[2J"))
        monkeypatch.setattr(certificates, "rerun", lambda answers, limits: {})
        command("verify", str(path), "--yes")
        assert not set(capsys.readouterr().out) & {"\x1b", "\x07", "\x9b"}

    def test_what_stands_in_it_is_text_and_no_page(self):
        bad = "</script><script>alert(1)</script><!-- --><img src=x onerror=alert(1)>"
        text = certificates.rendered(
            dataclasses.replace(of_rows(Row("0.1", "not yet", bad, bad, bad)), name=bad, made=bad, versions={bad: bad})
        )
        assert text.count("<script") == 1 and "<img" not in text and "default-src 'none'" in text


BAD_ANSWERS = {
    "while True:\n    f = 1\ncheck('0.1', f)": "Cut off after",
    "def f(returns):\n    while True:\n        pass\ncheck('0.1', f)": "never ends",
    "import os\nf = os._exit(0)\ncheck('0.1', f)": "os._exit",
    "import os, signal\nf = os.kill(os.getpid(), signal.SIGKILL)\ncheck('0.1', f)": "It ended the Python",
    "import sys\nf = sys.exit()\ncheck('0.1', f)": "SystemExit",
    "f = print('x' * 10**6)\ncheck('0.1', f)": "",
    "f = input()\ncheck('0.1', f)": "EOFError",
    "def f():\n    return f()\nx = f()\ncheck('0.1', x)": "RecursionError",
    "x = nothing_of_this_name\ncheck('0.1', x)": "NameError: name 'nothing_of_this_name' is not defined\nat line 1",
    "import os\ng = [os.write(i, b'{}\\n') for i in range(3, 20) if i in map(int, os.listdir('/proc/self/fd'))]\n"
    "check('0.1', g)": "writes where the check writes",
}


@pytest.mark.slow
def test_no_answer_holds_up_the_next_one():
    """In one process each until it ends; after each bad one comes a right one."""
    answers = [Answer("0.1", code) for code in BAD_ANSWERS]
    found = run_notebook(answers, Limits(exercise=12))
    assert len(found) == len(answers)
    for verdict, words in zip(found, BAD_ANSWERS.values(), strict=True):
        assert verdict.status in ("could not run", "not attempted") and words in verdict.feedback, verdict
    right = rerun([[*answers[3:5], Answer("0.1", RIGHT)]])
    assert right["0.1"].status == "correct"


def test_the_time_of_a_notebook_ends_too():
    found = rerun(
        [[Answer("0.1", "import time\nx = time.sleep(60)\ncheck('0.1', x)"), Answer("1.1", RIGHT)]], Limits(60, 2)
    )
    assert "Cut off after 2" in found["0.1"].feedback and "Not run" in found["1.1"].feedback


COLOURS = "(style => [style.color, style.backgroundColor])(getComputedStyle(document.body))"


@pytest.mark.slow
def test_it_is_printed_by_a_browser_and_read_in_both_themes(tmp_path):
    if browser() is None:
        pytest.skip("needs Chromium")
    from playwright.sync_api import sync_playwright
    from pypdf import PdfReader

    path = saved(tmp_path / "a.html", of_rows(solved(), Row("1.1", "not yet", "Not `this`.", None, "check('1.1', 1)")))
    assert print_page(path, tmp_path / "a.pdf")
    assert "1 of 2 exercises solved" in PdfReader(tmp_path / "a.pdf").pages[0].extract_text()
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        shades = {}
        for scheme in ("light", "dark"):
            page = chrome.new_page(color_scheme=scheme)
            complaints = []
            page.on("console", lambda message, complaints=complaints: complaints.append(message.text))
            page.goto(path.as_uri())
            shades[scheme] = page.evaluate(
                "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
            )
            page.get_by_text("show").first.click()
            assert page.get_by_text("returns.mean() >= 475").is_visible() and complaints == []
        chrome.close()
    assert shades == {
        "light": ["rgb(27, 27, 27)", "rgb(255, 255, 255)"],
        "dark": ["rgb(230, 230, 230)", "rgb(22, 22, 22)"],
    }


def test_without_a_browser_it_says_how_to_print(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_BROWSER", "/nowhere")
    monkeypatch.setattr(certificates, "rerun", lambda answers, limits: {})
    write_notebook(tmp_path / "a.ipynb", RIGHT)
    assert command(str(tmp_path), "--pdf") == 0
    assert "open the page and print it" in capsys.readouterr().out and not list(tmp_path.glob("*.pdf"))


class TestEdition:
    def test_it_comes_from_a_clone_or_from_what_was_installed(self, monkeypatch, tmp_path):
        assert edition.source().startswith("commit ")
        monkeypatch.setattr(edition, "HERE", tmp_path / "a" / "b")
        for about, source in [
            ({"archive_info": {"hashes": {"sha256": "ab"}}}, "wheel sha256 ab"),
            ({"vcs_info": {"commit_id": "cd"}}, "commit cd"),
            ({"dir_info": {}}, ""),
        ]:
            told = type("Told", (), {"read_text": lambda self, name, about=about: json.dumps(about)})
            monkeypatch.setattr(edition.metadata, "distribution", lambda name, told=told: told())
            assert edition.source() == source

    def test_the_fingerprint_is_of_the_checks(self, monkeypatch, tmp_path):
        for name in ("lesson_00.py", "judging.py"):
            shutil.copy(ROOT / "course_utils" / "exercises" / name, tmp_path)
        monkeypatch.setattr(edition, "HERE", tmp_path)
        before = edition.fingerprint()
        (tmp_path / "judging.py").write_bytes((tmp_path / "judging.py").read_bytes().replace(b"\n", b"\r\n"))
        assert edition.fingerprint() == before
        (tmp_path / "lesson_00.py").write_text("EXERCISES = []")
        assert edition.fingerprint() != before


@pytest.mark.parametrize("words", [["verify"], ["class"], ["a", "b"], ["verify", "a", "b"]])
def test_words_that_mean_nothing_get_the_usage(words, capsys):
    assert command(*words) == 2
    assert "verify FILE | class FOLDER" in capsys.readouterr().err


def test_a_folder_without_notebooks_gets_a_sentence(tmp_path, capsys):
    assert command(str(tmp_path)) == 2 and "There is no notebook" in capsys.readouterr().err


def test_where_ones_own_notebooks_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert certificate_command.own_folder() == tmp_path or (ROOT / "work" / ".editions.json").exists()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".editions.json").write_text("{}")
    assert certificate_command.own_folder() == Path("work")
    monkeypatch.chdir(tmp_path / "work")
    assert certificate_command.own_folder() == tmp_path / "work"
