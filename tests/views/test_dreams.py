"""Dreams beside reality: what the view says and draws is read back and compared with the numbers it was given."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils import DreamScrubber
from course_utils.views.display import FOLLOWS_THEME
from course_utils.views.dream_scrubber import LABEL_WIDTH, MAX_LINES, MAX_PICTURES, PICTURE_HEIGHT, STILLS

STEPS, CANDIDATES, HORIZON = 6, 4, 3


def episode(steps: int = STEPS, candidates: int = CANDIDATES, horizon: int = HORIZON, quantities: int = 2):
    """A world that counts up, and dreams of it: candidate c is off by c / 10, and a step ahead by as much again."""
    real = torch.arange(steps + 1.0)[:, None].expand(-1, quantities).clone()
    ahead = torch.arange(1.0, horizon + 1)
    off = torch.arange(candidates)[:, None] / 10 * ahead
    imagined = torch.arange(steps)[:, None, None] + ahead + off
    return imagined[..., None].expand(-1, -1, -1, quantities).clone(), real


def pictures(steps: int = STEPS, horizon: int = HORIZON):
    """A white dot that moves a column a step, and dreams of it that are half as bright."""
    real = torch.zeros(steps + 1, 9, 9)
    real[range(steps + 1), 0, range(steps + 1)] = 1.0
    later = [[min(steps, step + 1 + ahead) for ahead in range(horizon)] for step in range(steps)]
    return real[torch.tensor(later)] / 2, real


def drawn(view: DreamScrubber, step: int, quantity: int = 0) -> ElementTree.Element:
    svg = re.search(r'src="data:image/svg\+xml;base64,([^"]+)', view._step_html(step, quantity))
    return ElementTree.fromstring(base64.b64decode(svg[1]))


def paths(view: DreamScrubber, step: int) -> list[str]:
    return [path.get("d") for path in drawn(view, step).findall(".//{*}g/{*}path")]


class TestWords:
    def test_the_error_is_of_the_chosen_dream(self):
        view = DreamScrubber(*episode(), names=["angle", "speed"], chosen=[1, 3, 0, 0, 0, 0])
        assert view.describe(1) == (
            "Step 1: angle is 1; the chosen dream is off by 0.3 at 1 step ahead, 0.6 at 2, 0.9 at 3."
        )
        assert "speed is 2; the chosen dream is off by 0 at 1 step ahead" in view.describe(2, 1)

    def test_without_a_choice_it_is_of_the_mean_and_of_a_single_dream_of_that(self):
        assert "the mean of the dreams is off by 0.15 at 1 step ahead, 0.3 at 2" in DreamScrubber(*episode()).text
        assert "the dream is off by 0 at 1 step ahead" in DreamScrubber(*episode(candidates=1)).text

    def test_only_what_came_is_compared(self):
        words = DreamScrubber(*episode(), chosen=torch.full((STEPS,), 2)).describe(STEPS - 1)
        assert words.endswith("the chosen dream is off by 0.2 at 1 step ahead.")

    def test_what_is_not_finite_is_counted_and_left_out_of_the_mean(self):
        imagined, real = episode()
        imagined[0, 0, 0, 0], imagined[1, 2, 1, 1], real[0, 0] = float("nan"), float("inf"), float("nan")
        view = DreamScrubber(imagined, real, chosen=[0] * STEPS)
        for words in ("Of 144 imagined numbers, 1 NaN and 1 infinite", "Of 14 real numbers, 1 NaN"):
            assert words in view.text and words in view.html
        assert "quantity 0: the chosen dream is off by 0 at 1 step ahead, 0 at 2" in view.text

    def test_a_dream_that_breaks_off_is_compared_as_far_as_it_goes(self):
        imagined, real = episode(candidates=1)
        imagined[0, 0, 2] = float("nan")
        assert DreamScrubber(imagined, real).describe(0).endswith("is off by 0 at 1 step ahead, 0 at 2.")

    def test_nothing_finite_is_said_to_be_nothing(self):
        imagined, real = episode()
        view = DreamScrubber(imagined * float("nan"), real)
        assert "is off by nothing that can be told" in view.text

    def test_what_is_not_drawn_is_said(self):
        imagined, real = episode(candidates=1)
        imagined = imagined.repeat(1, 200, 1, 1)
        imagined[2, 7, 2, 0] = 1e6
        view = DreamScrubber(imagined, real)
        assert f"Of 200 candidates, {MAX_LINES} are drawn." in view.text
        assert "quantity 0: 1 of 3,600 dreamt numbers lie outside what is drawn." in view.text


class TestDrawing:
    def test_each_candidate_has_a_line_that_begins_now(self):
        view = DreamScrubber(*episode(), chosen=[3] * STEPS)
        fan, before, came, chosen = paths(view, 2)
        assert fan.count("M") == CANDIDATES and fan.count("L") == CANDIDATES * HORIZON
        now = before.split("L")[-1]
        assert all(line.startswith(now) for line in fan.split("M")[1:])
        assert came.startswith(f"M{now}") and chosen in fan and chosen.startswith(f"M{now}")

    def test_a_dream_that_is_right_lies_on_what_came(self):
        view = DreamScrubber(*episode(), chosen=[0] * STEPS)
        *_, came, chosen = paths(view, 1)
        assert came.startswith(chosen)

    def test_nan_breaks_the_line(self):
        imagined, real = episode(candidates=1)
        imagined[0, 0, 1] = float("nan")
        assert paths(DreamScrubber(imagined, real), 0)[0].count("M") == 2

    def test_a_dream_that_explodes_does_not_flatten_what_was_real(self):
        imagined, real = episode()
        view = DreamScrubber(imagined * 1e9, real)
        heights = [float(point.split()[1]) for point in re.split("[ML]", paths(view, STEPS - 1)[1])[1:]]
        assert heights[0] - heights[-1] > 20

    @pytest.mark.parametrize("value", [0.0, -3.0])
    def test_a_constant_is_drawn(self, value):
        DreamScrubber(torch.full((3, 2, 2, 1), value), torch.full((4, 1), value))

    def test_the_chosen_candidate_is_drawn_of_very_many_too(self):
        view = DreamScrubber(*episode(candidates=200), chosen=[77] * STEPS)
        assert len(paths(view, 0)) == 4


class TestPictures:
    def test_the_error_is_of_the_pixels(self):
        view = DreamScrubber(imagined_frames=pictures()[0], real_frames=pictures()[1])
        half = 1 / 81 / 2
        assert view.describe(0).startswith(f"Step 0: a dreamt pixel is off by {half:.1%} of white at 1 step ahead")

    def test_both_strips_stand_one_below_the_other_and_what_did_not_come_is_said(self):
        view = DreamScrubber(imagined_frames=pictures()[0], real_frames=pictures()[1])
        png = re.search(r'src="data:image/png;base64,([^"]+)', view._step_html(STEPS - 2, 0))
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(png[1]))).convert("L"))
        column = PICTURE_HEIGHT + 4
        came, dreamt = (sheet[20 + line * column, LABEL_WIDTH + column :] for line in (0, 1))
        brightest = [
            row[place * column : place * column + PICTURE_HEIGHT].max() for row in (came, dreamt) for place in (0, 1)
        ]
        assert brightest[:2] == [255, 255] and all(100 < value < 150 for value in brightest[2:])
        assert came[2 * column + 40] == 255  # white: there the episode was over
        assert dreamt[2 * column + 40] == 0

    def test_numbers_and_pictures_stand_together(self):
        view = DreamScrubber(*episode(), imagined_frames=pictures()[0], real_frames=pictures()[1])
        page = view._step_html(1, 0)
        assert "image/svg+xml" in page and "image/png" in page and "; a dreamt pixel is off" in page

    def test_long_dreams_are_shown_in_part(self):
        dreamt, real = pictures(8, 20)
        view = DreamScrubber(imagined_frames=dreamt, real_frames=real)
        assert f"Of 20 dreamt pictures a step, {MAX_PICTURES} are shown." in view.text

    def test_colours_and_whole_numbers_are_pictures_too(self):
        dreamt = np.zeros((2, 3, 8, 8, 3), np.uint8)
        DreamScrubber(imagined_frames=dreamt, real_frames=np.full((3, 8, 8, 3), 255, np.uint8))


class TestStill:
    def test_without_a_kernel_steps_of_each_quantity_are_below_a_fold(self):
        view = DreamScrubber(*episode(40), names=["angle", "speed"])
        folds = re.findall(r'<details class="course-positions"><summary>(.*?)</summary>(.*?)</details>', view.html)
        assert [summary for summary, _ in folds] == [f"angle, {STILLS} of 40 steps", f"speed, {STILLS} of 40 steps"]
        assert all(fold.count("<figure") == fold.count("<figcaption") == STILLS for _, fold in folds)

    def test_it_is_not_large(self):
        view = DreamScrubber(*episode(200, 200, 20), imagined_frames=None)
        assert len(view.html) < 400_000

    def test_it_needs_neither_script_nor_style_sheet(self):
        html = DreamScrubber(*episode()).html
        assert "<script" not in html and "<style" not in html.removeprefix(FOLLOWS_THEME)


class TestWidget:
    def test_step_and_quantity_change_what_is_shown(self):
        view = DreamScrubber(*episode(), names=["angle", "speed"])
        controls, quantity, screen, _ = view.widget.children
        assert "Step 0: angle is 0" in screen.value
        controls.children[1].value = 4
        assert "Step 4: angle is 4" in screen.value
        quantity.value = 1
        assert "Step 4: speed is 4" in screen.value
        view.close()

    def test_pictures_alone_have_no_quantity_to_choose(self):
        view = DreamScrubber(imagined_frames=pictures()[0], real_frames=pictures()[1])
        assert len(view.widget.children) == 3
        view.close()

    def test_what_it_is_given_is_left_as_it_was(self):
        imagined, real = episode()
        before = imagined.clone(), real.clone()
        DreamScrubber(imagined, real)
        assert torch.equal(imagined, before[0]) and torch.equal(real, before[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(imagined=torch.zeros(6, 3, 2)), "One dream a step: imagined[:, None]"),
        (dict(imagined=torch.zeros(6, 0, 3, 2)), "each 1 or more; this one has [6, 0, 3, 2]"),
        (dict(real=torch.zeros(6, 2)), "a `real` of shape [7, 2]; this one has [6, 2]. The state after the last step"),
        (dict(real=torch.zeros(7, 3)), "belongs a `real` of shape [7, 2]; this one has [7, 3]."),
        (dict(names=["angle"]), "There are 2 quantities and 1 names"),
        (dict(chosen=[0, 1]), "one whole number for each of the 6 steps"),
        (dict(chosen=[0, 1, 2, 3, 4, 0]), "`chosen` goes from 0 to 4; candidates from 0 to 3"),
        (dict(chosen=[0.5] * 6), "one whole number"),
        (dict(imagined_frames=torch.zeros(6, 3, 9, 9)), "give both `imagined_frames` and `real_frames`"),
        (dict(imagined_frames=torch.zeros(6, 3, 9, 9), real_frames=torch.zeros(6, 9, 9)), "belong 7 `real_frames`"),
        (dict(imagined_frames=torch.zeros(3, 3, 9, 9), real_frames=torch.zeros(4, 9, 9)), "of 6 steps, the pictures"),
        (dict(imagined_frames=torch.zeros(6, 9), real_frames=torch.zeros(7, 9)), "[steps, horizon, height, width]"),
        (dict(imagined_frames=torch.zeros(6, 3, 8, 8), real_frames=torch.zeros(7, 9, 9)), "differ in size"),
        (dict(imagined="dream"), "`imagined` is no array of numbers"),
        (dict(real=None), "give both `imagined` and `real`"),
        (dict(imagined=None, real=None), "nothing to show"),
    ],
)  # fmt: skip
def test_wrong_input_is_told_what_is_wrong(change, words):
    imagined, real = episode()
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        DreamScrubber(**{"imagined": imagined, "real": real, **change})


def test_a_choice_of_nothing_is_told():
    dreamt, real = pictures()
    with pytest.raises(TypeError, match="it goes with `imagined`"):
        DreamScrubber(chosen=[0] * STEPS, imagined_frames=dreamt, real_frames=real)
