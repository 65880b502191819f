"""The same seven looks at every world: specs, a check, a rollout, a transform, a picture, its speed, and what breaks.

A script calls them in this order and prints what it saw. `--facts FILE` writes it as JSON too, after every look, so
that a script that stops half-way has told what it knew.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from tensordict import TensorDictBase
from torchrl.data import Composite, TensorSpec
from torchrl.envs import EnvBase, GymEnv, TransformedEnv, check_env_specs

SECONDS = 0.5  # CPU time for which a speed is measured, after a warm-up
FRAMES = 5  # pictures in a strip
HEIGHT = 110  # of a strip, in pixels
MAX_BYTES = 30_000  # of a picture


class Tour:
    """What was seen of one world.

    Args:
        title: of the world that the script makes.
    """

    def __init__(self, title: str) -> None:
        parser = argparse.ArgumentParser(description=title)
        parser.add_argument("--facts", type=Path, help="write what was seen there, as JSON")
        parser.add_argument("--picture", type=Path, help="write the picture there (WebP)")
        self.options = parser.parse_args()
        self.seen: dict = {}
        self.note("title", title)

    def note(self, name: str, fact: object) -> None:
        self.seen[name] = fact
        print(f"{name}: {fact if isinstance(fact, str) else json.dumps(fact, indent=1)}", flush=True)
        if self.options.facts:
            self.options.facts.write_text(json.dumps(self.seen))

    def specs(self, env: EnvBase) -> None:
        """What goes in and what comes out, and of how many copies."""
        parts = {"action": env.full_action_spec, "observation": env.observation_spec, "reward": env.full_reward_spec}
        specs = {part: {name: short(spec) for name, spec in leaves(whole)} for part, whole in parts.items()}
        ends = [named(key) for key in env.done_keys]
        self.note("specs", specs | {"done": ends, "batch size": list(env.batch_size)})

    def check(self, env: EnvBase) -> None:
        """Does TorchRL's own check find that data and specs agree?"""
        self.attempt("check", lambda: check_env_specs(env) or "holds", env)

    def rollout(self, env: EnvBase, steps: int) -> TensorDictBase:
        """Play at random and tell shape and mean reward."""
        data = env.rollout(steps, break_when_any_done=False)
        rewards = [data["next", key].float().mean().item() for key in keys_of(env.reward_keys)]
        self.note("rollout", {"shape": list(data.batch_size), "mean reward": [round(value, 3) for value in rewards]})
        return data

    def transform(self, words: str, env: TransformedEnv, steps: int = 5) -> TensorDictBase | None:
        """Play through a transform that matters in this world and tell which entries differ from the world's own."""

        def play() -> dict:
            data = env.rollout(steps, break_when_any_done=False)
            inner = dict(leaves(env.base_env.observation_spec))
            new = {name: short(spec) for name, spec in leaves(env.observation_spec)}
            changed = {name: spec for name, spec in new.items() if name not in inner or short(inner[name]) != spec}
            rewards = {named(key): short_data(data["next", key]) for key in keys_of(env.reward_keys)}
            return {"words": words, "changed": changed or rewards, "shape": list(data.batch_size)}

        return self.attempt("transform", play, env)

    def strip(self, frames: Callable[[], torch.Tensor]) -> None:
        """Five of these frames beside each other, or what the observation holds over time where nothing renders.

        Args:
            frames: gives uint8 [T, H, W, 3] or [T, 3, H, W], or floats [T, entries], drawn as a map of colours.
        """
        self.attempt("picture", lambda: self.draw(torch.as_tensor(np.ascontiguousarray(frames()))))

    def draw(self, frames: torch.Tensor) -> str:
        if frames.ndim == 2:
            words, image = f"{frames.shape[1]} entries of the observation over {len(frames)} steps", heat_map(frames)
        else:
            if frames.shape[-1] != 3:
                frames = frames.movedim(-3, -1)
            chosen = np.linspace(0, len(frames) - 1, FRAMES).astype(int)
            words = f"{FRAMES} of {len(frames)} frames, played at random"
            pictures = [Image.fromarray(frames[at].numpy()) for at in chosen]
            width = max(8, pictures[0].width * HEIGHT // pictures[0].height)
            image = Image.new("RGB", ((width + 4) * FRAMES - 4, HEIGHT), "white")
            for place, picture in enumerate(pictures):
                image.paste(picture.resize((width, HEIGHT)), (place * (width + 4), 0))
        if self.options.picture:
            for quality in (80, 60, 40, 20):
                image.save(self.options.picture, "WEBP", quality=quality)
                if self.options.picture.stat().st_size <= MAX_BYTES:
                    break
        return words

    def speed(self, make: Callable[[int], EnvBase], copies: int, steps: int = 50, how: str = "") -> None:
        """Frames in a second of CPU time at one copy and at many, and as multiples of one CartPole's."""
        cart_pole = self.attempt("cart pole", lambda: frames_per_core_second(GymEnv("CartPole-v1"), 50))
        speeds = {}
        for count in dict.fromkeys([1, copies]):
            found = self.attempt(f"speed at {count}", lambda n=count: frames_per_core_second(make(n), steps))
            if found and cart_pole:
                speeds[str(count)] = {"frames_per_core_second": found, "cart_poles": round(found / cart_pole, 3)}
        self.note("speed", {"copies": speeds, "how": how})

    def breaks(self, what: str, way: Callable[[], object]) -> None:
        """Try what a newcomer would try and tell what came of it."""
        self.attempt(what, lambda: way() or "runs", trap=True)

    def attempt(self, name: str, way: Callable[[], object], env: EnvBase | None = None, trap: bool = False) -> object:
        """The result of a look; one that fails is noted under `breaks` and the tour goes on."""
        try:
            result = way()
        except Exception as error:  # whatever it is, it is what this look found
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self.note("breaks", [*self.seen.get("breaks", []), [name, text[:240]]])
            return None
        if trap:
            self.note("breaks", [*self.seen.get("breaks", []), [name, str(result)[:240]]])
        elif name in ("check", "transform", "picture"):
            self.note(name, result)
        return result


def frames_per_core_second(env: EnvBase, steps: int) -> float:
    """Frames of all copies in a second of this process's CPU time, all of its threads together."""
    env.rollout(3, break_when_any_done=False)
    start, frames = time.process_time(), 0
    while time.process_time() - start < SECONDS:
        frames += env.rollout(steps, break_when_any_done=False).numel()
    return round(frames / (time.process_time() - start), 1)


def keys_of(keys: list) -> list:
    return [key if isinstance(key, tuple) else (key,) for key in keys]


def named(key: str | tuple) -> str:
    return key if isinstance(key, str) else ".".join(key)


def leaves(spec: Composite) -> list[tuple[str, TensorSpec]]:
    """The leaves of a tree of specs by their names."""
    return [(named(key), leaf) for key, leaf in spec.items(True, True)]


def short(spec: TensorSpec) -> str:
    """Kind, shape, type and bounds of one spec, on one line."""
    kind = type(spec).__name__
    size = f" of {spec.n}" if isinstance(getattr(spec, "n", None), int) else ""
    bounds = ""
    if kind.startswith("Bounded"):
        low, high = spec.space.low.float().min().item(), spec.space.high.float().max().item()
        bounds = f", {low:.3g} to {high:.3g}"
    return f"{kind}{size} {list(spec.shape)} {str(spec.dtype).removeprefix('torch.')}{bounds}"


def short_data(value: torch.Tensor) -> str:
    return f"{list(value.shape)} {str(value.dtype).removeprefix('torch.')}, mean {value.float().mean().item():.3g}"


def heat_map(values: torch.Tensor) -> Image.Image:
    """Entries from top to bottom, steps from left to right; each entry from its least (dark) to its most (light)."""
    values = values.float()
    low, high = values.min(0).values, values.max(0).values
    share = ((values - low) / (high - low).clamp(min=1e-6)).T[: HEIGHT // 2]
    dark, light = torch.tensor([38.0, 52, 96]), torch.tensor([252.0, 222, 120])
    colours = (dark + share[..., None] * (light - dark)).to(torch.uint8)
    image = Image.fromarray(colours.numpy()).resize((560, HEIGHT), Image.Resampling.NEAREST)
    ImageDraw.Draw(image).rectangle([0, 0, 559, HEIGHT - 1], outline=(150, 150, 150))
    return image
