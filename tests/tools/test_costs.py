"""A run of the tests ends with what it cost, whichever process ran a test."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import ROOT

FILES = {
    "tests/views/test_a.py": """
        import subprocess, sys, time

        BUSY = "import time\\nend = time.process_time() + {}\\nwhile time.process_time() < end: pass"

        def test_works():
            exec(BUSY.format(0.6), {})

        def test_lets_a_child_work():
            subprocess.run([sys.executable, "-c", BUSY.format(0.6)], check=True)

        def test_waits():
            exec(BUSY.format(0.1), {})
            time.sleep(0.6)
    """,
    "tests/machine/test_b.py": "\n".join(f"def test_{number}(): pass" for number in range(10)),
    "tests/test_c.py": "def test_c(): pass",
}


@pytest.fixture(scope="module", params=[0, 2], ids=["one process", "two processes"])
def said(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub("^        ", "", text, flags=re.MULTILINE))
    command = [sys.executable, "-m", "pytest", "-p", "tools.costs", "-p", "no:cacheprovider"]
    command += [f"--numprocesses={request.param}", f"--rootdir={folder}", str(folder / "tests")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "14 passed" in done.stdout, done.stdout + done.stderr
    return done.stdout


def test_work_counts_wherever_it_was_done_and_waiting_does_not(said):
    found = re.findall(r"^ +([\d.]+) \( +([\d.]+)\)  (\S+)$", said, re.MULTILINE)
    spent = {name.split("::")[1]: float(core) for core, _, name in found}
    waited = {name.split("::")[1]: float(seconds) for _, seconds, name in found}
    assert len(found) == 10 and min(spent["test_works"], spent["test_lets_a_child_work"]) >= 0.5
    assert waited["test_waits"] >= 0.6 > 0.3 > spent["test_waits"]
    assert {name.split("::")[1] for *_, name in found[:2]} == {"test_works", "test_lets_a_child_work"}


def test_every_room_is_there_with_the_most_expensive_first(said):
    rooms = said.split("core minutes by room")[1]
    assert re.findall(r"^ +[\d.]+  (\w+)$", rooms, re.MULTILINE)[0] == "views"
    assert set(re.findall(r"^ +[\d.]+  (\w+)$", rooms, re.MULTILINE)) == {"views", "machine", "tests"}
