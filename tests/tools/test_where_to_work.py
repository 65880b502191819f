"""docs/where_to_work.md and the files for other programs: what they run is what the project's own tests run."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from lab_page import ARGUMENTS
from PIL import Image
from playwright.sync_api import sync_playwright

from course_utils import show_figure
from course_utils.views.display import DRAWING
from tools import browser, lab, setup

PAGE = (ROOT / "docs" / "where_to_work.md").read_text()


def settings(name: str) -> dict:
    return json.loads((ROOT / name).read_text())


class TestContainer:
    SETTINGS = settings(".devcontainer/devcontainer.json")

    def test_its_image_is_a_python_that_the_course_supports(self):
        oldest, too_new = setup.supported_pythons()
        version = tuple(map(int, re.fullmatch(r"python:(\d+)\.(\d+)", self.SETTINGS["image"]).groups()))
        assert oldest <= version < too_new
        assert f"{self.SETTINGS['image']} make lab" in PAGE

    def test_it_runs_what_make_lab_runs_up_to_the_copy(self):
        """`make setup` is tried in a fresh copy by tests/machine/test_fresh_clone.py, `--copy` in test_install.py."""
        makefile = (ROOT / "Makefile").read_text()
        started = re.search(r"^lab: setup .*\n\t@\$\(COURSE\) (.+) --port", makefile, re.MULTILINE)[1]
        assert re.search(r"^COURSE := \.venv/bin/python$", makefile, re.MULTILINE)
        assert self.SETTINGS["onCreateCommand"] == f"make setup && .venv/bin/python {started} --copy"

    def test_it_forwards_the_port_on_which_the_course_answers(self):
        assert self.SETTINGS["forwardPorts"] == [8888] and "--ServerApp.port=8888" in lab.jupyter_command(8888)

    def test_it_follows_the_published_schema_as_far_as_we_use_it(self):
        assert set(self.SETTINGS) == {"name", "image", "onCreateCommand", "forwardPorts", "customizations"}


class TestVSCode:
    def test_here_and_in_the_container_the_same_extensions(self):
        recommended = settings(".vscode/extensions.json")["recommendations"]
        inside = settings(".devcontainer/devcontainer.json")["customizations"]["vscode"]["extensions"]
        assert recommended == inside and all(name in PAGE for name in ("Python and Jupyter", ".vscode/extensions.json"))

    def test_its_python_is_the_one_that_make_setup_makes_and_what_is_generated_is_not_written(self):
        found = settings(".vscode/settings.json")
        assert found["python.defaultInterpreterPath"] == "${workspaceFolder}/.venv/bin/python"
        assert str(setup.VENV).endswith(".venv") and found["files.readonlyInclude"] == {"notebooks/*.ipynb": True}


def test_what_the_page_says_one_types_is_there():
    said = subprocess.run([sys.executable, "-m", "tools.lab", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert "--copy" in said.stdout
    assert set(re.findall(r"`make (\w+)`", PAGE)) <= set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


def test_notebooks_can_be_converted_without_solutions(tmp_path):
    command = re.search(r"-m (jupyter nbconvert .+?)\n```", PAGE, re.DOTALL)[1].replace("\\\n", " ").split()
    command[command.index("build")] = str(tmp_path)
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True)
    page = (tmp_path / "01_environments.html").read_text()
    assert "Solution (unfold to read)" not in page and "check(" in re.sub("<[^>]+>", "", page)


@pytest.mark.slow
def test_a_drawing_turns_where_the_page_is_dark_in_jupyterlab_vs_code_colab_and_on_the_site():
    import matplotlib.pyplot as plt

    path = browser.find()
    if path is None and not browser.required():
        pytest.skip(f"There is no browser on this machine. {browser.FIX}")
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([1, 2])
    html = show_figure(figure, "a line").html
    dark = [
        ("", 'data-jp-theme-light="false" data-jp-theme-name="JupyterLab Dark"'),
        ("", 'class="vscode-dark"'),
        ('theme="dark"', ""),
        ('data-theme="dark"', ""),
    ]
    light = [("", ""), ("", 'data-jp-theme-light="true"'), ("", 'class="vscode-light"'), ('data-theme="light"', "")]
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=path, args=ARGUMENTS).new_page()
        for marks, turned in [*((mark, True) for mark in dark), *((mark, False) for mark in light)]:
            page.set_content("<!doctype html><html {}><body {}>{}</body></html>".format(*marks, html))
            seen = page.locator(f".{DRAWING}").evaluate("node => getComputedStyle(node).filter")
            assert seen.startswith("invert") == turned, marks
        page.set_content(f'<body class="vscode-dark" style="margin:0; background:#123456">{html}</body>')
        page.evaluate("() => document.images[0].decode()")
        corner = Image.open(io.BytesIO(page.screenshot())).convert("RGB").getpixel((2, 2))
    assert corner == (0x12, 0x34, 0x56), "the figure's white is the page's own colour"
