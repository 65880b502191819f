"""JupyterLab in a real browser, for the tests that look at what a learner looks at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tools import browser
from tools.lab import ADDRESS, free_port

expect.set_options(timeout=60_000)  # milliseconds; a busy machine takes its time to show a page

TOKEN = "browser-tests"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SETTINGS = {
    # Cells that are scrolled away are otherwise taken off the page.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@contextmanager
def running_chromium():
    """A browser, for a fixture; skips its tests where there is none and none is required."""
    path = browser.find()
    if path is None and not browser.required():
        pytest.skip(f"There is no browser on this machine. {browser.FIX}")
    assert path, browser.FIX
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


def end(process: subprocess.Popen) -> None:
    """Ask a server to end, and make it: on a busy machine it takes long to say goodbye to its kernels."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def jupyterlab(folder: Path, home: Path):
    """A JupyterLab over `folder`, with nobody's settings but ours; gives its address."""
    for name, value in SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    port = free_port(8700)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += [f"--ServerApp.ip={ADDRESS}", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={TOKEN}"]
    command += [f"--LabApp.user_settings_dir={home / 'settings'}", f"--LabApp.workspaces_dir={home / 'workspaces'}"]
    command += ["--LabApp.expose_app_in_browser=True", "--ServerApp.port_retries=0"]
    env = {**os.environ, "HOME": str(home), "JUPYTER_PLATFORM_DIRS": "0", "IPYTHONDIR": str(home / "ipython")}
    with open(home / "server.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://{ADDRESS}:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, (home / "server.log").read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        end(process)


# Asks until the same kernel has answered twice: JupyterLab connects again after it has loaded the notebook, and drops
# without a word what was sent before.
KERNEL_ANSWERS = """async () => {
    const pause = () => new Promise(resolve => setTimeout(resolve, 250));
    for (let before = null; ; await pause()) {
        const kernel = window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel;
        let now = null;
        if (kernel?.connectionStatus === 'connected') {
            try { await kernel.requestKernelInfo(); now = kernel.id; } catch { }
        }
        if (now && now === before) return now;
        before = now;
    }
}"""


class NotebookPage:
    """One notebook, opened in JupyterLab.

    Attributes:
        page: playwright's page.
        foreign: addresses the page asked for that are not this machine's.
    """

    def __init__(self, page: Page, address: str, name: str) -> None:
        self.page, self.foreign = page, []
        page.on("request", lambda request: self._note(request.url))
        page.goto(f"{address}/lab/tree/{name}?token={TOKEN}&reset")
        expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(timeout=60_000)
        page.evaluate(KERNEL_ANSWERS)

    def _note(self, url: str) -> None:
        if not url.startswith((f"http://{ADDRESS}:", "data:", "blob:")):
            self.foreign.append(url)

    def command(self, name: str, **arguments) -> None:
        """Run one of JupyterLab's commands and wait until it is done."""
        self.page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments])

    def run_all(self, seconds: float = 120) -> None:
        """Run every cell and wait until each has a number."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        waiting = self.page.locator(".jp-CodeCell .jp-InputPrompt").filter(has_text=re.compile(r"\[[ *]\]"))
        expect(waiting).to_have_count(0, timeout=1_000 * seconds)

    def use_theme(self, theme: str) -> None:
        self.command("apputils:change-theme", theme=f"JupyterLab {theme}")
        expect(
            self.page.locator(f"body[data-jp-theme-light={'false' if theme == 'Dark' else 'true'}]")
        ).to_be_attached()

    def output(self, marker: str) -> Locator:
        """The output of the cell whose code contains `marker`."""
        cell = self.page.locator(".jp-CodeCell").filter(has=self.page.locator(".jp-InputArea", has_text=marker))
        return cell.first.locator(".jp-OutputArea").first

    def errors(self) -> list[str]:
        return self.page.locator(
            ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']"
        ).all_inner_texts()


def press(slider: Locator, key: str, times: int = 1) -> None:
    """Move one of ipywidgets' sliders from the keyboard."""
    slider.locator(".noUi-handle").focus()
    for _ in range(times):
        slider.page.keyboard.press(key)
