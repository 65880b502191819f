"""The views in a real JupyterLab: what a learner clicks must change what the learner sees."""

from __future__ import annotations

import re
import time

import nbformat
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from lab_page import NotebookPage, jupyterlab, press, running_chromium
from playwright.sync_api import expect

pytestmark = pytest.mark.slow

SETUP = """import time
import torch
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymEnv
from torchrl.modules import MLP, QValueActor
from course_utils import Board, BreakItLab, DreamScrubber, EpisodeScrubber, FaultLab, LivePlot, ReplayLens
from course_utils import flow, load_results, record_episode, show, show_figure, sliders

torch.manual_seed(0)
env = GymEnv("CartPole-v1", categorical_action_encoding=True)
env.set_seed(0)
agent = QValueActor(MLP(in_features=4, out_features=2), spec=Categorical(2))
data = env.rollout(200, break_when_any_done=False)"""
SCRUBBER = """greedy, random = record_episode("CartPole-v1", agent, seed=1), record_episode("CartPole-v1", seed=2)
EpisodeScrubber(
    {"greedy": greedy.rollout, "random": random.rollout}, {"greedy": greedy.frames, "random": random.frames}
)"""
LENS = """buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(150), batch_size=32)
buffer.extend(data)
ReplayLens(buffer)"""
SLIDERS = """import matplotlib.pyplot as plt


def fading(gamma=0.9, steps=3):
    figure, axes = plt.subplots()
    axes.plot([gamma**step for step in range(steps)])
    return show_figure(figure, f"left after {steps - 1} steps: {gamma ** (steps - 1):.4f}")


sliders(fading, gamma=(0.0, 1.0), steps=(1, 20))"""
LAB = """def runs(solved):
    return {
        str(seed): {"test_return": 500.0 if seed < solved else 60.0, "frames": 1_000 + 500 * seed,
                    "curve": [[256 * k, 40 * k] for k in range(1, 10)]}
        for seed in range(10)
    }


def run_one(name, watch):
    for block in range(1, 6):
        time.sleep(0.05)
        watch(256 * block, validation=100.0 * block)


BreakItLab({"the recipe": runs(10), "no memory": runs(4), "no target": runs(9)}, 475, run_one)"""
FAULT_LAB = 'FaultLab(load_results("06_sabotaged")["runs"]["sabotaged"])'
BOARD = "Board(lambda board, mask: torch.linspace(0.5, -0.5, 9))"
LIVE = """with LivePlot(threshold=475, total=3_000) as live:
    for step in range(1, 61):
        time.sleep(0.02)
        live.add(50 * step, score=8 * step)"""
MANY = """from tensordict import TensorDict

many = TensorDictReplayBuffer(storage=LazyTensorStorage(50), batch_size=8)
many.extend(TensorDict({"action": torch.rand(50, 30), "next": {"reward": torch.rand(50, 1)}}, [50]))
ReplayLens(many)"""
TIMELINE = """from course_utils.views.timeline import Moment, timeline

turn = "collect store sample loss backward step sample loss backward step".split()
moments = [Moment(kind, kind) for kind in turn * 3]
timeline([*moments, Moment("target", "target", "wrong")], ["Nobody calls `zero_grad`."], ["zero_grad", "shutdown"])"""
TOKENS = """from course_utils import TokenScrubber

prompt, answers = list("12+30="), [["4", "2", "<end>"], ["4", "1", "<end>"], ["9", " ", "<end>"]]
mask = torch.arange(9).expand(3, 9) >= 6
advantage = torch.tensor([1.2, -0.3, -0.9])
moved = -2.0 + 0.4 * torch.arange(4.0).view(4, 1, 1) * advantage[:, None].expand(3, 9)
names = [f"round {10 * number}" for number in range(4)]
TokenScrubber([prompt + answer for answer in answers], advantage, moved, mask=mask, checkpoints=names)"""
DREAMS = """real = torch.arange(9.0)[:, None].expand(-1, 2)
ahead, wrong = torch.arange(1.0, 4)[:, None], torch.arange(5.0)[:, None, None] / 10
imagined = torch.stack([real[step] + ahead * (1 + wrong) for step in range(8)])
DreamScrubber(imagined, real, names=["angle", "speed"], chosen=[1] * 8)"""
CELLS = [
    SETUP,
    "show(data)",
    'show(data, data.exclude("action"))',
    "flow(agent, env)",
    SCRUBBER,
    LENS,
    SLIDERS,
    LAB,
    FAULT_LAB,
    BOARD,
    LIVE,
    MANY,
    TIMELINE,
    TOKENS,
    DREAMS,
]


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as running:
        yield running


@pytest.fixture(scope="module")
def views(chromium, tmp_path_factory):
    """A notebook with every view, run from top to bottom."""
    folder, home = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("home")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "views.ipynb")
    with jupyterlab(folder, home) as address:
        page = chromium.new_page(viewport={"width": 1300, "height": 1000})
        page.set_default_timeout(20_000)
        opened = NotebookPage(page, address, "views.ipynb")
        opened.run_all()
        yield opened
        page.close()


def changes(read, act) -> None:
    """`act` must change what `read` returns, within the ten seconds that a slow machine may take."""
    before = read()
    act()
    for _ in range(100):
        if read() != before:
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing changed: {before[:300]}")


def live(views, marker: str):
    """The widget of a cell; its static form stands hidden in an output of its own."""
    return views.output(marker).locator(".jp-OutputArea-child").filter(has=views.page.locator(".widget-box"))


def alts(output) -> str:
    return " | ".join(image.get_attribute("alt") for image in output.locator("img").all())


def test_every_cell_runs_without_an_error_and_asks_nobody_else(views):
    assert views.errors() == []
    assert (
        views.page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts()
        == []
    )
    assert views.foreign == []


def test_a_tree_folds_and_unfolds_from_the_keyboard(views):
    tree = views.output("show(data)")
    inner = tree.locator("details").nth(1)
    row = inner.locator("tr", has_text="reward").first
    expect(row).to_be_visible()
    inner.locator("summary").first.focus()
    views.page.keyboard.press("Enter")
    expect(row).to_be_hidden()
    views.page.keyboard.press("Enter")
    expect(row).to_be_visible()


def test_a_comparison_names_what_was_removed(views):
    expect(views.output('data.exclude("action")')).to_contain_text(re.compile(r"removed.*action", re.DOTALL))


def test_a_flow_is_a_picture_that_says_what_it_shows(views):
    assert "QValueModule reads 'action_value'" in alts(views.output("flow(agent, env)"))


def test_the_scrubber_steps_and_plays_all_episodes_together(views):
    output = live(views, "EpisodeScrubber(\n")
    slider = output.locator(".widget-slider")
    assert "greedy, step 0" in alts(output) and "random, step 0" in alts(output)
    changes(lambda: output.locator("img").first.get_attribute("src"), lambda: press(slider, "ArrowRight", 3))
    expect(output.locator("img[alt^='greedy, step 3']")).to_be_visible()
    expect(output.locator("img[alt^='random, step 3']")).to_be_visible()
    expect(output.locator("figcaption").first).to_contain_text("step 3")
    expect(output.locator("img[alt*='marks step 3']")).to_be_visible()
    output.locator(".widget-play button").first.click()
    expect(output.locator("img[alt^='random, after']")).to_be_visible(timeout=30_000)


def test_the_lens_shows_another_quantity_and_draws_again(views):
    output = live(views, "ReplayLens(buffer)")
    changes(lambda: alts(output), lambda: output.get_by_role("button", name="done", exact=True).click())
    changes(lambda: output.inner_text(), lambda: output.get_by_role("button", name="Draw again").click())


def test_the_lens_is_used_from_the_keyboard(views):
    output = live(views, "ReplayLens(buffer)")
    output.get_by_role("button", name="age", exact=True).focus()
    for name in ("done", "action"):
        views.page.keyboard.press("Tab")
        views.page.keyboard.press("Space")
        expect(output.locator(f"img[alt^='Shares of frames by {name}.']")).to_be_visible()
    output.get_by_role("button", name="Draw again").focus()
    changes(lambda: output.inner_text(), lambda: views.page.keyboard.press("Space"))
    expect(output.locator("img[alt^='Shares of frames by action.']")).to_be_visible()


def test_many_quantities_are_gone_through_with_the_arrow_keys(views):
    output = live(views, "ReplayLens(many)")
    slider = output.locator(".widget-slider").first
    press(slider, "ArrowRight", 2)
    expect(output.locator("img[alt^='Shares of frames by action[1].']")).to_be_visible()
    press(slider, "ArrowUp")
    expect(output.locator("img[alt^='Shares of frames by action[2].']")).to_be_visible()
    press(slider, "ArrowLeft")
    expect(output.locator("img[alt^='Shares of frames by action[1].']")).to_be_visible()


def test_the_scrubbers_speed_is_chosen_from_the_keyboard(views):
    output = live(views, "EpisodeScrubber(\n")
    half = output.get_by_role("button", name="half", exact=True)
    half.focus()
    views.page.keyboard.press("Space")
    expect(half).to_have_class(re.compile("mod-active"))


def test_dreams_are_scrubbed_played_and_chosen_from_the_keyboard(views):
    output = live(views, "DreamScrubber(imagined")
    assert "Step 0: angle is 0; the chosen dream is off by 0.1 at 1 step ahead, 0.2 at 2, 0.3 at 3." in alts(output)
    press(output.locator(".widget-slider"), "ArrowRight", 3)
    expect(output.locator("figcaption")).to_contain_text("Step 3: angle is 3;")
    speed = output.get_by_role("button", name="speed", exact=True)
    speed.focus()
    views.page.keyboard.press("Space")
    expect(output.locator("figcaption")).to_contain_text("Step 3: speed is 3;")
    output.locator(".widget-play button").first.click()
    expect(output.locator("figcaption")).to_contain_text("Step 7: speed is 7;", timeout=30_000)


def test_sliders_redraw_the_figure(views):
    output = live(views, "sliders(fading")
    assert "left after 2 steps: 0.8100" in alts(output)
    press(output.locator(".widget-slider").nth(1), "ArrowRight")
    expect(output.locator("img[alt='left after 3 steps: 0.7290']")).to_be_visible()
    press(output.locator(".widget-slider").nth(0), "ArrowRight", 5)
    expect(output.locator("img[alt='left after 3 steps: 0.8574']")).to_be_visible()


def test_the_lab_wants_a_prediction_before_it_shows_anything(views):
    output = live(views, "BreakItLab({")
    reveal = output.get_by_role("button", name="Show the runs")
    expect(reveal).to_be_disabled()
    output.get_by_role("button", name="8 to 10").click()
    reveal.click()
    expect(output).to_contain_text("A surprise: you expected 8 to 10, and with no memory 4 of 10 were solved.")
    expect(output.locator("img[alt*='no memory: 4 of 10 solved']")).to_be_visible()
    output.get_by_role("button", name="no memory").focus()
    views.page.keyboard.press("Tab")
    views.page.keyboard.press("Space")
    expect(output.get_by_role("button", name="no target")).to_have_class(re.compile("mod-active"))
    expect(reveal).to_be_disabled()
    expect(output.locator("img[alt*='no memory']")).to_have_count(0)


def test_the_lab_trains_one_while_the_learner_watches(views):
    output = live(views, "BreakItLab({")
    output.get_by_role("button", name="Run one here").click()
    expect(output.locator("img[alt*='validation 500']")).to_be_visible(timeout=20_000)


def test_a_run_is_diagnosed_from_the_keyboard(views):
    output = live(views, "FaultLab(")
    expect(output.locator("img[alt^='Run A, first and last points']")).to_be_visible()
    tell = output.get_by_role("button", name="What tells it?")
    expect(tell).to_be_disabled()
    output.get_by_role("button", name="A", exact=True).focus()
    views.page.keyboard.press("Tab")
    views.page.keyboard.press("Space")
    expect(output.locator("img[alt^='Run B, first and last points']")).to_be_visible()
    output.get_by_role("button", name="nothing is wrong").focus()
    views.page.keyboard.press("Space")
    expect(tell).to_be_enabled()
    tell.focus()
    views.page.keyboard.press("Space")
    expect(output.locator("[role=status]")).to_contain_text(re.compile(r"^(Right: |Not nothing is wrong, but )"))


def test_a_board_is_played_on_from_the_keyboard(views):
    output = live(views, "Board(lambda")
    status = output.get_by_role("status")
    expect(status).to_have_text("Your turn, with X.")
    output.get_by_role("button", name="row 2, column 2: free").focus()
    views.page.keyboard.press("Enter")
    expect(status).to_have_text(
        "You: X at row 2, column 2. The agent: O at row 1, column 1. Your turn, with X.", timeout=10_000
    )
    expect(output.locator("button[title='row 1, column 1: O']")).to_have_text("O")
    expect(output.locator("button:focus")).to_have_text("X")  # who plays by keyboard stays where they are
    output.get_by_text("show what the agent thinks").click()
    expect(output.get_by_role("button", name="-0.50")).to_have_attribute("title", "row 3, column 3: free, -0.50")
    output.get_by_role("button", name="-0.50").click()
    expect(status).to_contain_text("The agent: O at row 1, column 2.")
    output.get_by_role("button", name="the agent begins").click()
    expect(status).to_have_text("The agent: X at row 1, column 1. Your turn, with O.")


def test_training_is_scrubbed_through_token_by_token_from_the_keyboard(views):
    output = live(views, "TokenScrubber([")
    status = output.get_by_role("status")
    expect(status).to_contain_text("Token 7 of 9, '4': probability 0.135 at round 0 (")
    checkpoint, answer, token = output.locator(".widget-slider").all()
    press(checkpoint, "ArrowRight", 3)
    expect(output.locator("strong", has_text="prompt 12+30=, round 30")).to_be_visible()
    expect(status).to_contain_text("0.571 at round 30 (times 4.22; ")
    expect(output).to_contain_text("of 3 tokens with a positive advantage 3 became more probable")
    press(answer, "ArrowRight", 2)
    expect(status).to_contain_text("Token 7 of 9, '9': probability 0.135 at round 0, 0.046 at round 30")
    press(token, "ArrowRight")
    expect(status).to_contain_text("Token 8 of 9, '␣'")
    press(token, "ArrowLeft", 3)
    expect(status).to_contain_text("Token 5 of 9, '0', belongs to the prompt")
    output.locator(".widget-play button").first.click()


def test_a_live_plot_leaves_its_last_picture(views):
    output = views.output("with LivePlot")
    expect(output.locator("img")).to_have_count(1)
    assert "score 480" in alts(output)
    expect(output).to_contain_text("3,000 of at most 3,000 frames")


def test_a_timeline_says_in_words_what_it_shows(views):
    output = views.output("timeline([")
    expect(output.get_by_role("table", name="What the loop did, turn by turn")).to_be_visible()
    expect(output.get_by_role("row", name=re.compile("^turns? 1"))).to_contain_text("zero_grad is missing")
    expect(output).to_contain_text("wrong: target")
    expect(output.get_by_role("rowheader", name="end")).to_be_visible()
    expect(output.get_by_role("listitem")).to_have_text("Nobody calls zero_grad.")


def test_no_view_has_a_list_to_choose_from(views):
    """JupyterLab would take its arrow keys, and a letter typed on it would cut or insert a cell."""
    assert views.page.locator(".jp-OutputArea select").count() == 0


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_every_view_can_be_read_in_both_themes(views, theme):
    views.use_theme(theme)
    for marker in (
        "show(data)",
        'data.exclude("action")',
        "EpisodeScrubber(\n",
        "ReplayLens(buffer)",
        "BreakItLab({",
        "FaultLab(",
        "timeline([",
        "TokenScrubber([",
        "Board(lambda",
        "DreamScrubber(imagined",
    ):
        assert contrast_violations(views.page, views.output(marker)) == []
    scrubber = views.output("EpisodeScrubber(\n")
    turned = re.compile("^invert" if theme == "Dark" else "^none$")
    expect(scrubber.locator("img.course-drawing").first).to_have_css("filter", turned)
    expect(scrubber.locator(".widget-html img:not(.course-drawing)").first).to_have_css("filter", "none")


def contrast_violations(page, output) -> list[str]:
    output.evaluate("node => node.setAttribute('data-looked-at', '')")
    options = {"runOnly": ["color-contrast"]}
    found = Axe().run(page, context={"include": [["[data-looked-at]"]]}, options=options).response["violations"]
    output.evaluate("node => node.removeAttribute('data-looked-at')")
    return [node["html"] for violation in found for node in violation["nodes"]]


def test_on_our_own_pages_a_slider_opens_one_checkpoint_after_the_other(chromium):
    from course_utils import TokenScrubber

    page = chromium.new_page()
    names = ["start", "middle", "end"]
    page.set_content(TokenScrubber([["4", "2"]], [1.0], -torch.rand(3, 1, 2), checkpoints=names).html)
    page.add_script_tag(path=ROOT / "site" / "views.js")
    slider, opened = (
        page.get_by_role("slider", name="checkpoint of the training"),
        page.locator("details[open] summary"),
    )
    expect(slider).to_have_attribute("aria-valuetext", "end")
    for name in ("middle", "start"):
        slider.press("ArrowLeft")
        expect(slider).to_have_attribute("aria-valuetext", name)
        expect(opened).to_have_text(name)
    page.close()


@pytest.mark.parametrize("colours", ["color:#000;background:#fff", "color:#ddd;background:#111"])
def test_what_the_notebooks_show_without_a_kernel_is_accessible(chromium, colours):
    page = chromium.new_page()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
        shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
        body = "".join(f"<section>{html}</section>" for html in shown)
        head = f"<head><title>{path.stem}</title></head>"
        page.set_content(
            f'<html lang="en">{head}<body style="{colours}"><main><h1>{path.stem}</h1>{body}</main></body></html>'
        )
        page.locator("details").evaluate_all("nodes => nodes.forEach(node => node.open = true)")
        found = Axe().run(page).response["violations"]
        assert not found, [(path.stem, item["id"], item["nodes"][0]["html"][:200]) for item in found]
    page.close()
