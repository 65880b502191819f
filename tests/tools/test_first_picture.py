"""The picture that moves on the first page: small, whole, and of the agent that comes with the course."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from tools import first_agent, first_picture, site

MEGABYTE = 1_000_000


@pytest.fixture(scope="module", params=first_picture.THEMES)
def theme(request):
    return request.param


def test_both_together_are_small():
    assert sum(first_picture.path_of(name).stat().st_size for name in first_picture.THEMES) < MEGABYTE


def test_a_picture_is_whole_and_says_what_it_was_made_of(theme):
    with Image.open(first_picture.path_of(theme)) as picture:
        assert picture.n_frames == first_picture.STEPS / first_picture.EVERY
        assert picture.size == (first_picture.WIDTH, first_picture.HEIGHT)
        assert first_picture.described(picture) == first_picture.provenance(), "python -m tools.first_picture"


def test_its_colours_are_those_of_the_page_that_plays():
    style = (ROOT / "course_utils" / "views" / "page" / "page.css").read_text()
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for name, part in [("light", light), ("dark", dark)]:
        colours = dict(re.findall(r"--(\w+): (#\w+);", part))
        theme = first_picture.THEMES[name]
        assert (theme.ground, theme.panel, theme.ink) == (colours["ground"], colours["panel"], colours["ink"])
        assert (theme.line, theme.cart, theme.pole) == (colours["line"], colours["one"], colours["two"])


@pytest.mark.slow
def test_its_frames_are_what_the_agents_do():
    """Drawn again, it is the same picture; a bit of difference is left to other releases of the font's renderer."""
    scenes = first_picture.scenes()
    after = [scene["after training"] for scene in scenes]
    assert not any(look.fallen for look in after) and after[-1].step == first_picture.STEPS - first_picture.EVERY
    assert any(scene["before training"].fallen for scene in scenes[:50])
    for name, theme in first_picture.THEMES.items():
        with Image.open(first_picture.path_of(name)) as picture:
            for number in (0, 10, len(scenes) - 1):
                picture.seek(number)
                stored = np.asarray(picture.convert("RGB")).astype(int)
                again = np.asarray(first_picture.drawn(scenes[number], theme)).astype(int)
                assert (np.abs(stored - again).max(-1) > 40).mean() < 0.005, (name, number)


@pytest.mark.slow
def test_the_kept_agent_solves_cartpole_by_the_lessons_rule():
    assert first_agent.exam() >= 475


@pytest.mark.slow
def test_the_sites_page_has_the_agent_before_and_after(tmp_path):
    site.write_played(tmp_path)
    page = (tmp_path / site.PLAYED).read_text()
    assert re.findall(r'"name": "([^"]+)"', page) == ["after training", "before training"]


def test_the_home_shows_it_below_its_first_paragraph():
    text = site.played_first("# Title\n\nFirst.\n\n- more\n\n## Next\n")
    assert text.index("First.") < text.index(f'src="{site.PLAYED}"') < text.index("- more")
    assert text.endswith("## Next\n")
