"""The views where no kernel runs: played with on our pages, from the keyboard, with and without a screen reader."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from lab_page import running_chromium
from playwright.sync_api import expect
from tensordict import TensorDict

from course_utils import BreakItLab, DreamScrubber, EpisodeScrubber, sliders
from course_utils.views.display import View

pytestmark = pytest.mark.slow

STEPS, GREYS = 40, 5


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as running:
        yield running


def episode(steps: int, reward: float):
    """An episode whose frame number n is a grey of brightness 5 n."""
    frames = np.arange(steps + 1, dtype=np.uint8)[:, None, None, None] * np.uint8(GREYS)
    ends = torch.zeros(steps, 1, dtype=torch.bool)
    ends[-1] = True
    following = {"reward": torch.full((steps, 1), reward), "terminated": ends, "done": ends}
    rollout = TensorDict({"action": torch.arange(steps) % 2, "next": following}, batch_size=[steps])
    return rollout, np.broadcast_to(frames, (steps + 1, 64, 96, 3))


def gauge(n=3) -> View:
    return View(f"<p>needle at {n}</p>", f"needle at {n}")


def opened(chromium, folder, *views: View, script: bool = True):
    """A page at file:// that holds views as our site does, and may ask nobody for anything."""
    shutil.copy(ROOT / "site" / "views.js", folder)
    tag = '<script src="views.js" defer></script>' if script else ""
    body = "".join(view.html for view in views)
    head = f'<meta charset="utf-8"><title>Views</title>{tag}'
    html = f'<!doctype html><html lang="en"><head>{head}</head><body><main><h1>Views</h1>{body}</main></body></html>'
    (folder / "page.html").write_text(html)
    page = chromium.new_page()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((folder / "page.html").as_uri())
    assert wrong == [] and all(url.startswith(("file:", "data:")) for url in asked)
    return page


@pytest.fixture
def scrubber():
    (long, pictures), (short, few) = episode(STEPS, 1.0), episode(10, 2.0)
    return EpisodeScrubber({"long": long, "short": short}, {"long": pictures, "short": few})


BRIGHTNESS = """video => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0, 1, 1);
    return pen.getImageData(0, 0, 1, 1).data[0];
}"""


def shows(page, number: int, frame: int) -> None:
    """The video stands at this frame: its pixels say so."""
    video = page.locator("video").nth(number)
    page.wait_for_function("video => !video.seeking && video.readyState >= 2", arg=video.element_handle())
    assert abs(video.evaluate(BRIGHTNESS) - GREYS * frame) <= 2


def test_the_scrubber_steps_through_every_frame_from_the_keyboard(chromium, tmp_path, scrubber):
    page = opened(chromium, tmp_path, scrubber)
    slider = page.get_by_role("slider", name="step of the episode")
    expect(slider).to_have_count(1)
    captions = page.locator("figcaption")
    expect(captions.nth(0)).to_have_text("step 0, action 0, reward 1, so far 1")
    slider.focus()
    for frame in range(1, 4):
        page.keyboard.press("ArrowRight")
        shows(page, 0, frame)
        shows(page, 1, frame)
    expect(captions.nth(0)).to_have_text("step 3, action 1, reward 1, so far 4")
    assert slider.get_attribute("aria-valuetext") == (
        "step 3, action 1, reward 1, so far 4; step 3, action 1, reward 2, so far 8"
    )
    page.keyboard.press("End")
    shows(page, 0, STEPS)
    shows(page, 1, 10)  # an episode that is over stays at its end
    expect(captions.nth(0)).to_have_text("long, after 40 steps: terminated, return 40")
    page.keyboard.press("ArrowLeft")
    shows(page, 0, STEPS - 1)
    expect(captions.nth(0)).to_contain_text("step 39, action 1, reward 1, so far 40, end terminated")
    page.close()


def test_a_playing_video_takes_the_slider_along(chromium, tmp_path, scrubber):
    page = opened(chromium, tmp_path, scrubber)
    page.locator("video").first.evaluate("video => video.play()")
    page.wait_for_function("() => Number(document.querySelector('input[type=range]').value) > 5")
    page.close()


def test_a_number_is_turned_through_its_positions(chromium, tmp_path):
    page = opened(chromium, tmp_path, sliders(gauge, n=(1, 9)))
    page.locator("summary").click()
    slider = page.get_by_role("slider", name="n from 1 to 9")
    slider.focus()
    for position in (1, 3, 5, 7, 9):
        expect(page.locator("figure:visible")).to_have_text(f"n = {position}needle at {position}")
        assert slider.get_attribute("aria-valuetext") == f"n = {position}"
        page.keyboard.press("ArrowRight")
    page.close()


def dreams() -> DreamScrubber:
    real = torch.arange(5.0)[:, None]
    return DreamScrubber(torch.stack([real[step] + torch.ones(2, 3, 1) for step in range(4)]), real, names=["angle"])


def test_dreams_are_gone_through_step_by_step(chromium, tmp_path):
    page = opened(chromium, tmp_path, dreams())
    page.locator("summary").click()
    slider = page.get_by_role("slider", name="angle, all 4 steps")
    slider.focus()
    for step in range(4):
        expect(page.locator("details figure:visible")).to_contain_text(f"Step {step}: angle is {step};")
        assert slider.get_attribute("aria-valuetext").startswith(f"Step {step}: angle is {step};")
        page.keyboard.press("ArrowRight")
    page.close()


def test_without_the_script_all_of_it_can_be_read(chromium, tmp_path, scrubber):
    lab = BreakItLab({name: {"0": run(solved)} for name, solved in (("whole", 1), ("broken", 0))}, 475)
    page = opened(chromium, tmp_path, scrubber, sliders(gauge, n=(1, 9)), lab, script=False)
    assert page.locator("input").count() == 0
    for summary in page.locator("summary").all():
        summary.focus()
        page.keyboard.press("Enter")
    expect(page.locator("tbody").first.locator("tr")).to_have_count(STEPS)
    expect(page.get_by_text("needle at 9")).to_be_visible()
    expect(page.get_by_role("img", name="broken: 0 of 1 solved")).to_be_visible()
    page.close()


def run(solved: int) -> dict:
    return {"test_return": 500.0 * solved, "frames": 1_000, "curve": [[256, 9.0], [1_000, 50.0]]}


@pytest.mark.parametrize("script", [True, False], ids=["played", "still"])
def test_the_views_are_accessible(chromium, tmp_path, scrubber, script):
    page = opened(chromium, tmp_path, scrubber, sliders(gauge, n=(1, 9)), dreams(), script=script)
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    found = Axe().run(page).response["violations"]
    assert not found, [(item["id"], item["nodes"][0]["html"][:200]) for item in found]
    page.close()


def test_500_frames_are_under_300_kb():
    rollout, _ = episode(499, 1.0)
    frames = np.full((500, 400, 600, 3), 255, np.uint8)
    for step, frame in enumerate(frames):  # a cart and a pole that move
        frame[200:230, (x := 150 + step // 2) : x + 50] = 0
        frame[100:200, (x := 170 + (step * 7) % 90) : x + 10] = (200, 150, 100)
    rollout["action_value"] = torch.rand(499, 2)
    rollout["observation"] = torch.rand(499, 4)
    assert len(EpisodeScrubber(rollout, frames).html) < 300_000
