"""A saved notebook keeps its pictures when the kernel is gone, and a view that nobody sees any more holds no memory."""

from __future__ import annotations

import gc
import json
import re
import sys
import time
import urllib.request
import weakref

import ipywidgets
import nbformat
import numpy as np
import pytest
from ipywidgets.widgets import widget as registry
from jupyter_client.manager import KernelManager
from lab_page import TOKEN, NotebookPage, jupyterlab, press, running_chromium
from playwright.sync_api import TimeoutError, expect

from course_utils.views import display
from course_utils.views.display import STILL, WIDGET, WidgetView
from course_utils.views.frames import Film

SETUP = """from course_utils import BreakItLab, EpisodeScrubber, record_episode, sliders
from course_utils.views.display import View
import numpy as np"""
SCRUBBER = """episode = record_episode("CartPole-v1", seed=1)
EpisodeScrubber(episode.rollout, episode.frames)"""
SLIDERS = """def gauge(n=3):
    return View(f"<p>needle at {n}</p>", "")

sliders(gauge, n=(1, 9))"""
LAB = """runs = {"0": {"test_return": 500.0, "frames": 1_000, "curve": [[256, 9.0], [1_000, 50.0]]}}
BreakItLab({"whole": runs, "broken": runs}, 475)"""

OTHERS = {
    "show(data)": "show(data)",
    "flow(": """from tensordict.nn import TensorDictModule

flow(TensorDictModule(torch.nn.Linear(4, 2), ["observation"], ["action"]), data)""",
    "ReplayLens(": """from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(150), batch_size=32)
buffer.extend(data)
ReplayLens(buffer, draws=100)""",
    "FaultLab(": 'FaultLab(load_results("06_sabotaged")["runs"]["sabotaged"])',
    "LivePlot(": """with LivePlot() as live:
    for step in range(50):
        live.add(step, score=step)""",
    "timeline(": """from course_utils.views.timeline import Moment, timeline

timeline([Moment("collect", "collect"), Moment("store", "store")], missing=["sample"])""",
    "TokenScrubber(": 'TokenScrubber([["4", "2"]], [1.0], -torch.rand(3, 1, 2))',
    "show_video(": "show_video(episode)",
    "learning_curves(": 'learning_curves({"a": [([0, 1], [0.0, 1.0])]})',
}
OTHERS_SETUP = """import torch
from torchrl.envs import GymEnv
from course_utils import FaultLab, LivePlot, ReplayLens, TokenScrubber
from course_utils import flow, learning_curves, load_results, show, show_video

data = GymEnv("CartPole-v1").rollout(20)"""


class Shell:
    """What a view asks of a kernel's shell: which cell runs, and which run of it."""

    kernel = displayhook = object()

    def __init__(self, cell: str, run: str, code: str = "") -> None:
        self.user_ns, self.user_ns_hidden = {}, {}
        metadata = {"cellId": cell} if cell else {}
        self.parent = {"header": {"msg_id": run}, "metadata": metadata, "content": {"code": code}}

    def get_parent(self) -> dict:
        return self.parent


@pytest.fixture
def published(monkeypatch):
    """What cells show; `published.run(view, cell, run)` shows a view in a run of a cell."""
    outputs = []
    monkeypatch.setattr(display, "_on_stage", display._Stage())
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data, **_: outputs.append(data))

    def run(view, cell: str, number: str, code: str = "") -> None:
        monkeypatch.setattr("IPython.get_ipython", lambda: Shell(cell, number, code))
        view._ipython_display_()

    outputs_and_run = type("Published", (), {"outputs": outputs, "run": staticmethod(run)})
    return outputs_and_run


def box() -> WidgetView:
    return WidgetView(lambda: ipywidgets.VBox([ipywidgets.HTML("live")]), "<p>still</p>", "still")


def living() -> dict:
    """Every widget that ipywidgets keeps, in releases 8 and 7."""
    return registry._instances if hasattr(registry, "_instances") else registry.Widget.widgets


class TestTwoOutputs:
    def test_the_picture_comes_first_and_the_widget_is_an_output_of_its_own(self, published):
        view = box()
        published.run(view, "cell", "1")
        still, live = published.outputs
        assert "<p>still</p>" in still["text/html"] and STILL in still["text/html"] and still["text/plain"] == "still"
        assert WIDGET not in still and "text/html" not in live
        assert live[WIDGET]["model_id"] == view.widget.model_id

    def test_where_no_kernel_runs_there_is_the_picture_alone(self, published, monkeypatch):
        monkeypatch.setattr("IPython.get_ipython", lambda: None)
        WidgetView(lambda: 1 / 0, "<p>still</p>", "still")._ipython_display_()
        assert published.outputs == [{"text/html": "<p>still</p>", "text/plain": "still"}]


class TestClosing:
    def test_a_second_run_of_a_cell_closes_what_the_first_showed(self, published):
        first, second = box(), box()
        published.run(first, "cell", "1")
        before, gone = len(living()), first.widget
        published.run(second, "cell", "2")
        assert gone.comm is None and second.widget.comm is not None
        assert len(living()) == before

    def test_two_views_of_one_run_and_of_two_cells_live_side_by_side(self, published):
        views = [box() for _ in range(3)]
        for view, cell in zip(views, ("a", "a", "b"), strict=True):
            published.run(view, cell, f"run of {cell}")
        assert all(view.widget.comm is not None for view in views)

    def test_a_view_that_another_cell_shows_too_stays(self, published):
        shared = box()
        published.run(shared, "a", "1")
        published.run(shared, "b", "2")
        published.run(box(), "a", "3")
        assert shared.widget.comm is not None

    def test_where_cells_have_no_name_their_code_tells_them_apart(self, published):
        first, other, second = box(), box(), box()
        published.run(first, "", "1", "x = 1")
        published.run(other, "", "2", "x = 2")
        gone = first.widget
        published.run(second, "", "3", "x = 1")
        assert gone.comm is None and other.widget.comm is not None

    def test_a_closed_view_is_forgotten_and_one_that_is_kept_can_be_shown_again(self, published):
        kept, dropped = box(), box()
        published.run(kept, "a", "1")
        published.run(dropped, "b", "2")
        seen = weakref.ref(dropped)
        del dropped
        published.run(box(), "a", "3")
        published.run(box(), "b", "4")
        gc.collect()
        assert seen() is None
        published.run(kept, "c", "5")
        assert kept.widget.comm is not None


def test_a_film_holds_500_frames_of_cartpole_in_under_10_mb():
    from course_utils import record_episode

    frames = record_episode("CartPole-v1", seed=1, max_steps=20).film
    assert frames.nbytes / len(frames) * 500 < 10e6
    again = Film(np.asarray(frames))
    assert np.array_equal(again[3], frames[3]) and np.asarray(again).shape == (len(frames), 400, 600, 3)


# What is freed goes back to the system first: the measure is what is held, and not what the allocator keeps at hand.
MEASURE = """import ctypes, gc, os
gc.collect()
getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)
with open("/proc/self/statm") as file:
    print(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)"""
BIG = """from course_utils import EpisodeScrubber
from torchrl.envs import GymEnv
import numpy as np
rollout = GymEnv("Pendulum-v1").rollout(100)
noise = np.random.default_rng(0).integers(0, 255, (1, 300, 400, 3), dtype=np.uint8)
EpisodeScrubber(rollout, np.repeat(noise, 100, 0))"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_five_runs_of_a_cell_take_the_memory_of_one():
    """Noise does not compress, so each film that is held is 36 MB; IPython's `Out` keeps what cells returned."""
    manager = KernelManager()
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        printed: list[str] = []

        def run(code: str) -> float:
            printed.clear()
            hook = lambda message: printed.append(message["content"].get("text", ""))  # noqa: E731
            reply = client.execute_interactive(code, timeout=300, output_hook=hook)
            assert reply["content"]["status"] == "ok", reply["content"]
            return float("".join(printed) or 0) if code == MEASURE else 0.0

        taken = []
        for _ in range(5):
            run(BIG)
            taken.append(run(MEASURE))
        assert taken[-1] < 1.1 * taken[0], taken
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A notebook with every view, run and saved by a program that knows of no widget's state."""
    from nbclient import NotebookClient

    sources = [SETUP, OTHERS_SETUP, SCRUBBER, SLIDERS, LAB, *OTHERS.values()]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=300, kernel_name="python3", store_widget_state=False).execute()
    path = tmp_path_factory.mktemp("saved") / "views.ipynb"
    nbformat.write(notebook, path)
    return nbformat.read(path, as_version=4)


@pytest.mark.slow
class TestSavedWithoutTheStateOfItsWidgets:
    """What VS Code, Colab, GitHub and nbviewer have to go by: they choose one form of each output, and know no CSS of
    JupyterLab's. None of them runs here; what each form holds can be read from the file.
    """

    @pytest.mark.parametrize("marker", ["EpisodeScrubber(e", "sliders(g", "BreakItLab({", *OTHERS])
    def test_every_view_has_a_form_of_its_own_in_the_file(self, saved, marker):
        (cell,) = [cell for cell in saved.cells if marker in cell.source]
        shown = [output.data for output in cell.outputs if "data" in output]
        stills = [data for data in shown if "text/html" in data]
        (still,) = stills
        assert re.search(r"<(img|video|table|details|figure|p)\b", still["text/html"]) and still["text/plain"].strip()
        assert "<script" not in still["text/html"] and not re.search(r'src="(?!data:)', still["text/html"])
        assert not saved.metadata.get("widgets")

    def test_a_widget_that_cannot_be_shown_says_nothing_below_the_form_that_is(self, saved):
        found = 0
        for cell in saved.cells:
            shown = [output.data for output in cell.outputs if "data" in output]
            for place, data in enumerate(shown):
                if WIDGET in data:
                    found += 1
                    assert set(data) == {WIDGET, "text/plain"} and data["text/plain"] == ""
                    assert STILL in shown[place - 1]["text/html"] and place > 0
        assert found == 6


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as running:
        yield running


def end_kernels(address: str) -> None:
    sessions = urllib.request.urlopen(f"{address}/api/sessions?token={TOKEN}").read()
    for session in json.loads(sessions):
        end = urllib.request.Request(f"{address}/api/sessions/{session['id']}?token={TOKEN}", method="DELETE")
        urllib.request.urlopen(end)


def opened_without_kernel(chromium, address: str, name: str):
    """JupyterLab sometimes starts a kernel before it has read that it shall ask; then anew."""
    for patience in (20_000, 20_000, 60_000):  # milliseconds
        end_kernels(address)
        page = chromium.new_page(viewport={"width": 1300, "height": 1000})
        page.goto(f"{address}/lab/tree/{name}?token={TOKEN}&reset")
        try:
            page.get_by_role("button", name="No Kernel").last.click(timeout=patience)
            return page
        except TimeoutError:
            page.close()
    raise AssertionError(f"JupyterLab never asked which kernel {name} shall have")


def looked_at(page) -> None:
    """Each view's picture is there to see, and no word of a widget that is gone."""
    expect(page.locator("video")).to_be_visible()
    expect(page.get_by_text("needle at 3").first).to_be_visible()
    expect(page.get_by_text("Your prediction first, then unfold")).to_be_visible()
    expect(page.get_by_text("model not found").filter(visible=True)).to_have_count(0)


@pytest.mark.slow
def test_a_notebook_that_is_opened_the_next_day_shows_its_pictures(chromium, tmp_path):
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, SCRUBBER, SLIDERS, LAB)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "views.ipynb")
    with jupyterlab(folder, home) as address:
        page = chromium.new_page(viewport={"width": 1300, "height": 1000})
        opened = NotebookPage(page, address, "views.ipynb")
        opened.run_all()
        assert opened.errors() == []
        output = opened.output("EpisodeScrubber(episode")
        expect(output.locator(".widget-slider")).to_be_visible()
        expect(output.locator("video")).to_be_hidden()  # the widget stands in its place
        press(output.locator(".widget-slider"), "ArrowRight", 2)
        expect(output.locator("img[alt^='episode, step 2']")).to_be_visible()
        opened.command("docmanager:save")
        time.sleep(1)
        page.close()

        end_kernels(address)
        page = chromium.new_page(viewport={"width": 1300, "height": 1000})
        opened = NotebookPage(page, address, "views.ipynb")  # it starts a new kernel
        looked_at(page)
        expect(page.locator(".widget-slider")).to_have_count(0)
        page.close()

        end_kernels(address)
        notebook = nbformat.read(folder / "views.ipynb", as_version=4)
        assert not notebook.metadata.get("widgets")
        (folder / "copy.ipynb").write_text(nbformat.writes(notebook).replace("Python 3", "Another"))  # untrusted
        settings = home / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
        settings.write_text(json.dumps({"windowingMode": "none", "autoStartDefaultKernel": False}))
        for name in ("views.ipynb", "copy.ipynb"):
            page = opened_without_kernel(chromium, address, name)
            looked_at(page)
            page.close()
