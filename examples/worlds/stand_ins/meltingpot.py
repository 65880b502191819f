"""A stand-in for Melting Pot: two players on a strip of fields with apples, behind the interface of a `Substrate`.

As there, every player has a picture of its own, one picture of the world stands under `WORLD.RGB` with each player,
and the kinds of arrays are described by dm_env, whose three kinds are stood in for, too, where it is missing.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np

from stand_ins import put

PLAYERS, FIELDS = 2, 8


class Array:
    def __init__(self, shape, dtype, name=None, minimum=None, maximum=None) -> None:
        self.shape, self.dtype, self.name = tuple(shape), np.dtype(dtype), name
        self.minimum, self.maximum = minimum, maximum


class BoundedArray(Array):
    pass


class DiscreteArray(BoundedArray):
    def __init__(self, num_values: int) -> None:
        super().__init__((), np.int64, minimum=0, maximum=num_values - 1)
        self.num_values = num_values


class Substrate:
    """A player walks left or right; an apple is worth one point, and grows again elsewhere."""

    def observation_spec(self):
        specs = put("dm_env").specs if find_spec("dm_env").loader is None else __import__("dm_env").specs
        one = {"RGB": specs.Array((8, 8, 3), np.uint8), "READY_TO_SHOOT": specs.Array((), np.float64)}
        return [{**one, "WORLD.RGB": specs.Array((24, 8 * FIELDS, 3), np.uint8)}] * PLAYERS

    def action_spec(self):
        return [DiscreteArray(3)] * PLAYERS

    def reward_spec(self):
        return [Array((), np.float64)] * PLAYERS

    def reset(self):
        self.places, self.apple, self.steps = [0, FIELDS - 1], 4, 0
        return self.now([0.0] * PLAYERS)

    def step(self, actions):
        self.steps += 1
        rewards = [0.0] * PLAYERS
        for player, action in enumerate(actions):
            self.places[player] = int(np.clip(self.places[player] + int(action) - 1, 0, FIELDS - 1))
            if self.places[player] == self.apple:
                rewards[player], self.apple = 1.0, (self.apple * 5 + 3) % FIELDS
        return self.now(rewards)

    def now(self, rewards):
        return SimpleNamespace(observation=self.observation(), reward=np.array(rewards), last=lambda: self.steps >= 200)

    def observation(self):
        world = np.full((24, 8 * FIELDS, 3), 235, np.uint8)
        world[8:16, 8 * self.apple : 8 * self.apple + 8] = (70, 160, 60)
        for player, colour in enumerate([(200, 60, 50), (50, 80, 200)]):
            world[2 + 10 * player : 12 + 10 * player, 8 * self.places[player] : 8 * self.places[player] + 8] = colour
        parts = [world[8:16, 8 * place : 8 * place + 8] for place in self.places]
        return [{"RGB": part, "READY_TO_SHOOT": np.float64(1.0), "WORLD.RGB": world} for part in parts]

    def close(self) -> None:
        pass


def install() -> None:
    if find_spec("dm_env") is None:
        put("dm_env.specs", Array=Array, BoundedArray=BoundedArray, DiscreteArray=DiscreteArray)
    put("meltingpot.utils.substrates.substrate", Substrate=Substrate)
    config = SimpleNamespace(default_player_roles=("default",) * PLAYERS)
    build = {"get_config": lambda name: config, "build_from_config": lambda config, roles: Substrate()}
    put("meltingpot.substrate", **build)
    put("meltingpot.configs.substrates", SUBSTRATES=["commons_harvest__open"])
