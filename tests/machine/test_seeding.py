"""One seed for everything that draws numbers."""

from __future__ import annotations

import random

import gymnasium as gym
import numpy as np
import pytest
import torch

from course_utils.machine import seeding


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_the_same_seed_gives_the_same_numbers(capsys):
    seeding.seed_everything(3)
    first = draw()
    seeding.seed_everything(3)
    assert draw() == first
    seeding.seed_everything(4)
    assert draw() != first
    assert "Not promised" in capsys.readouterr().out


def test_environments_of_both_kinds_are_seeded():
    from torchrl.envs import GymEnv

    env = GymEnv("CartPole-v1")
    seeding.seed_everything(3, env)
    first = env.reset()["observation"]
    seeding.seed_everything(3, env)
    assert torch.equal(env.reset()["observation"], first)
    raw = gym.make("CartPole-v1")
    seeding.seed_everything(3, raw)
    first = raw.reset()[0]
    seeding.seed_everything(3, raw)
    assert np.array_equal(raw.reset()[0], first)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None, True])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="whole number from 0"):
        seeding.seed_everything(seed)


def test_what_is_no_environment_is_refused():
    with pytest.raises(TypeError, match="str cannot be seeded"):
        seeding.seed_everything(0, "CartPole-v1")
