"""How cost grows: frames per second over the number of environments, time of an update over its sizes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymEnv, GymWrapper, ParallelEnv, PendulumEnv, SerialEnv

from benchmarks import dqn_cartpole
from benchmarks.group import Group

COUNTS = [1, 4, 16, 64, 256]
WORKERS = [1, 2, 4]
BATCH_SIZES = [32, 128, 512, 1024, 4096]
WIDTHS = [64, 128, 256, 512, 1024]
SECONDS = 0.4  # one repeat lasts at least so long


# Environments: Pendulum with random actions, in the ways of running many that lesson 01 teaches


def make_pendulum() -> GymEnv:
    return GymEnv("Pendulum-v1")


def vector(count: int) -> gym.vector.VectorEnv:
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gym.make_vec("Pendulum-v1", count, "sync", vector_kwargs=autoreset)


def raw_vector(count: int) -> tuple[Callable, Callable]:
    envs = vector(count)
    envs.reset(seed=0)

    def play(steps: int) -> None:
        for _ in range(steps):
            envs.step(envs.action_space.sample())

    return play, envs.close


def of_torchrl(envs, **options) -> tuple[Callable, Callable]:
    def play(steps: int) -> None:
        envs.rollout(steps, break_when_any_done=False, **options)

    return play, envs.close


def native(count: int) -> tuple[Callable, Callable]:
    env = PendulumEnv()
    start = env.reset(env.gen_params(batch_size=[count]), set_state=False)
    return of_torchrl(env, tensordict=start, auto_reset=False)


WAYS = {
    "raw SyncVectorEnv": raw_vector,
    "GymWrapper of a SyncVectorEnv": lambda count: of_torchrl(GymWrapper(vector(count))),
    "SerialEnv": lambda count: of_torchrl(SerialEnv(count, make_pendulum)),
    "ParallelEnv": lambda count: of_torchrl(ParallelEnv(count, make_pendulum)),
    "PendulumEnv (tensors)": native,
}


def frames_per_second(way: str, count: int, repeats: int, seconds: float = SECONDS) -> list[float]:
    """Speed of one way with so many copies, measured several times after a warm-up."""
    play, close = WAYS[way](count)
    steps = max(5, 512 // count)
    play(steps)
    speeds = []
    for _ in range(repeats):
        start, played = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            play(steps)
            played += steps * count
        speeds.append(round(played / (time.perf_counter() - start), 1))
    close()
    return speeds


def counts_of(way: str) -> list[int]:
    return WORKERS if way == "ParallelEnv" else COUNTS


# Updates: the lesson's own `learn`


@functools.cache
def filled_run(**changes):
    """The lesson's definitions with changed settings, and a run whose buffer holds its first frames."""
    space = dqn_cartpole.definitions(seed=0)
    space["settings"] = replace(space["settings"], **changes)
    space["validate"] = lambda run: 0.0
    run = space["build"](0)
    space["train"](run, dqn_cartpole.first_frames(space["settings"]))
    return space, run


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def update_milliseconds(repeats: int, seconds: float = SECONDS, **changes) -> list[float]:
    """Milliseconds of one update of the lesson's `learn` with changed settings, measured several times."""
    space, run = filled_run(**changes)
    found = []
    for _ in range(repeats):
        wait_for(space["device"])
        start, updates = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            space["learn"](run)
            wait_for(space["device"])
            updates += space["settings"].updates
        found.append(round(1_000 * (time.perf_counter() - start) / updates, 4))
    return found


REPEATS = 3
SIZES = {"batch_size": BATCH_SIZES, "width": WIDTHS}

ENVIRONMENTS = Group(
    file="scaling",
    jobs=lambda count: [(way, number) for way in WAYS for number in counts_of(way)],
    measure=lambda way, number: {way: {"frames_per_second": frames_per_second(way, number, REPEATS)}},
    arms=lambda: list(WAYS),
    code=lambda: "",
    repeats=1,
)
UPDATES = Group(
    file="scaling",
    jobs=lambda count: [(setting, size) for setting, sizes in SIZES.items() for size in sizes],
    measure=lambda setting, size: {setting: {"milliseconds": update_milliseconds(REPEATS, **{setting: size})}},
    arms=lambda: list(SIZES),
    code=dqn_cartpole.recipe_code,
    repeats=1,
    pinned=True,
)
