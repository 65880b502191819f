"""The picture that moves on the first page: an agent before and after training. `python -m tools.first_picture`.

It writes docs/before_after_light.webp and docs/before_after_dark.webp. The agent is lesson 07's (tools/first_agent.py);
`--train` trains it anew first. Each picture says in its description (EXIF) what it was made of.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.course import ROOT

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

STEPS, EVERY = 300, 2  # steps of the world, and how many of them a frame is apart
REST = 20  # steps for which a fallen pole lies there
WIDTH, HEIGHT, FINE = 720, 250, 3  # drawn so much finer, for smooth edges
MILLISECONDS = 20 * EVERY
DESCRIPTION = 0x010E  # EXIF's ImageDescription


@dataclass(frozen=True)
class Look:
    """One instant of one agent's play."""

    place: float
    angle: float
    step: int
    fallen: bool


@dataclass(frozen=True)
class Theme:
    ground: str
    panel: str
    ink: str
    line: str
    cart: str
    pole: str


# Those of the page that plays: course_utils/views/page/page.css.
THEMES = {
    "light": Theme("#ffffff", "#f1f4f7", "#1c2430", "#7b8794", "#0060a8", "#b34700"),
    "dark": Theme("#14181d", "#222931", "#e8ecf1", "#7f8b98", "#6cb6ff", "#ffa35c"),
}


def path_of(theme: str) -> Path:
    return ROOT / "docs" / f"before_after_{theme}.webp"


def played(agent) -> list[Look]:
    """What an agent does in `STEPS` steps of CartPole, greedily: one episode after the other, seeds from 0."""
    import gymnasium
    import torch
    from tensordict import TensorDict
    from torchrl.envs.utils import ExplorationType, set_exploration_type

    env, looks, seed = gymnasium.make("CartPole-v1"), [], 0
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        while len(looks) < STEPS:
            (seen, _), step, fallen = env.reset(seed=seed), 0, False
            while not fallen and len(looks) < STEPS:
                looks.append(Look(float(seen[0]), float(seen[2]), step, False))
                action = agent(TensorDict({"observation": torch.as_tensor(seen)}))["action"]
                seen, _, fallen, _, _ = env.step(int(action))
                step += 1
            looks += [Look(float(seen[0]), float(seen[2]), step, True)] * REST
            seed += 1
    return looks[:STEPS]


def drawn(looks: dict[str, Look], theme: Theme) -> Image.Image:
    """One frame: the agents side by side."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), theme.ground)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(17 * FINE)
    wide = WIDTH * FINE / len(looks)
    for number, (name, look) in enumerate(looks.items()):
        _draw_one(pen, (number + 0.5) * wide, wide, look, theme)
        words = f"fell after {look.step} steps" if look.fallen else f"step {look.step}"
        for text, height in [(name, 18), (words, HEIGHT - 18)]:
            pen.text(((number + 0.5) * wide, height * FINE), text, theme.ink, font, anchor="mm")
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _draw_one(pen: ImageDraw.ImageDraw, middle: float, wide: float, look: Look, theme: Theme) -> None:
    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        return (left, top * FINE, right, bottom * FINE)

    pen.rounded_rectangle(
        box(middle - wide / 2 + 6 * FINE, 34, middle + wide / 2 - 6 * FINE, HEIGHT - 36), 8 * FINE, theme.panel
    )
    floor = HEIGHT - 62
    pen.line(box(middle - wide / 2 + 6 * FINE, floor, middle + wide / 2 - 6 * FINE, floor), theme.line, 2 * FINE)
    x = middle + look.place * wide / 5.6
    pen.rounded_rectangle(box(x - 26 * FINE, floor - 26, x + 26 * FINE, floor), 3 * FINE, theme.cart)
    foot = (x, (floor - 20) * FINE)
    tip = (x + 95 * FINE * math.sin(look.angle), foot[1] - 95 * FINE * math.cos(look.angle))
    pen.line((*foot, *tip), theme.pole, 8 * FINE)
    for at, radius, colour in [(tip, 4, theme.pole), (foot, 4, theme.ink)]:
        pen.ellipse(
            [at[0] - radius * FINE, at[1] - radius * FINE, at[0] + radius * FINE, at[1] + radius * FINE], colour
        )


def provenance() -> dict:
    """What the pictures are made of, as their description says it."""
    from tools import first_agent

    return {
        "made by": "python -m tools.first_picture",
        "agent": "lesson 07, seed 0",
        "weights": hashlib.sha256(first_agent.WEIGHTS.read_bytes()).hexdigest(),
        "steps": STEPS,
    }


def described(picture: Image.Image) -> dict:
    """What a picture says it was made of."""
    return json.loads(picture.getexif()[DESCRIPTION])


def scenes() -> list[dict[str, Look]]:
    """What stands in each frame, by the agents' names."""
    from tools import first_agent

    plays = {name: played(agent)[::EVERY] for name, agent in first_agent.agents().items()}
    return [dict(zip(plays, looks, strict=True)) for looks in zip(*plays.values(), strict=True)]


def write() -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[DESCRIPTION] = json.dumps(provenance())
    shown = scenes()
    for name, theme in THEMES.items():
        first, *others = (drawn(scene, theme) for scene in shown)
        first.save(
            path_of(name),
            save_all=True,
            append_images=others,
            duration=MILLISECONDS,
            loop=0,
            lossless=True,
            method=6,
            exif=exif,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the picture that moves on the first page.")
    parser.add_argument("--train", action="store_true", help="train the agent anew first")
    if parser.parse_args().train:
        from tools import first_agent

        frames, reached = first_agent.train()
        print(f"Trained for {frames:,} frames; a mean return of {reached:.0f} over 100 fresh episodes.")
    write()
    for name in THEMES:
        print(f"{path_of(name).relative_to(ROOT)}: {path_of(name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
