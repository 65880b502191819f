"""Lessons that use libraries which like to download things run without a network, and ask for none."""

from __future__ import annotations

import sys

import nbformat
import pytest
from conftest import ROOT
from no_network import run_without_network

from tools import notebooks

ALONE = [lesson for lesson in notebooks.lessons() if lesson.stem[:2] in ("17",)]
RUN = [sys.executable, "-m", "tools.run_notebooks"]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", ALONE, ids=lambda path: path.stem)
def test_a_lesson_needs_no_network_and_asks_for_none(lesson, tmp_path):
    path = tmp_path / f"{lesson.stem}.ipynb"
    nbformat.write(notebooks.generate(lesson), path)
    done, asked = run_without_network([*RUN, str(path)], tmp_path, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.split() == ["ok", lesson.stem], done.stdout + done.stderr
    assert asked == []


def test_there_are_such_lessons():
    assert ALONE


@pytest.mark.slow
def test_who_asks_is_found_out(tmp_path):
    """In the kernel itself, where the error is caught; in a process that it starts; and by a library for a model."""
    cells = [
        "import socket, subprocess, sys, urllib.request\n"
        "try:\n    urllib.request.urlopen('http://example.org', timeout=5)\nexcept OSError:\n    pass",
        "code = \"import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)\"\n"
        "assert subprocess.run([sys.executable, '-c', code], capture_output=True).returncode",
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    socket.create_connection(server.getsockname()).close()",
        "from transformers import AutoTokenizer\nAutoTokenizer.from_pretrained('gpt2')",
    ]
    path = tmp_path / "asks.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    done, asked = run_without_network([*RUN, str(path)], tmp_path, cwd=ROOT)
    assert done.returncode == 1 and done.stdout.startswith("broken asks OSError"), done.stdout + done.stderr
    hosts = [line.split()[1] for line in asked]
    assert hosts[:2] == ["example.org", "192.0.2.1"] and "huggingface.co" in hosts
