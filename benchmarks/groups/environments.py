"""How frames per second grow with the number of environments."""

from __future__ import annotations

import time
from collections.abc import Callable

import gymnasium as gym
import matplotlib.pyplot as plt
from gymnasium.vector import AutoresetMode
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from torchrl.envs import GymEnv, GymWrapper, ParallelEnv, PendulumEnv, SerialEnv

from benchmarks.figures import draw_growth
from benchmarks.group import Group
from benchmarks.section import Arms, Section
from benchmarks.tables import growth, growth_table
from course_utils.views.plotting import use_course_style

COUNTS = [1, 4, 16, 64, 256]
WORKERS = [1, 2, 4]
REPEATS = 3
SECONDS = 0.4  # one repeat lasts at least so long


# Pendulum with random actions, in the ways of running many that lesson 01 teaches


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


def measure(way: str, count: int) -> dict[str, dict]:
    return {way: {"frames_per_second": frames_per_second(way, count, REPEATS)}}


# What is said and drawn


def environments_figure(arms: Arms) -> tuple[Figure, str]:
    use_course_style()
    figure, axes = plt.subplots(figsize=(9, 4.2))
    words = draw_growth(axes, arms, "frames_per_second")
    axes.yaxis.set_major_locator(LogLocator())
    axes.set(xlabel="copies of the environment", ylabel="frames per second")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, f"Lines. Frames per second over copies of the environment: {'; '.join(words)}."


def tell(section: Section, arms: Arms) -> None:
    section.show("environments", environments_figure(arms))
    gains = [(name, *growth(arm, "frames_per_second")) for name, arm in arms.items()]
    section.answer(
        "Frames per second with many copies, as a multiple of those with few: "
        + "; ".join(f"{name} {ratio:.1f} ({low} to {high} copies)" for name, low, high, ratio in gains)
        + "."
    )
    section.say("Frames per second, by the number of copies:", growth_table(arms, "frames_per_second", "{:,.0f}"))
    section.measured(
        "Pendulum with random actions, in the ways of running many that lesson 01 teaches; one thread per process, "
        "each point after a warm-up, median of three repeats (all are drawn). ParallelEnv starts a process per copy "
        "and was measured for a few only."
    )
    section.limits(
        "A step of Pendulum costs next to nothing, so this is the cost of the machinery. With a simulator that takes "
        "milliseconds a step, ParallelEnv wins; lesson 01 shows it."
    )


GROUP = Group(
    name="environments",
    order=150,
    question="How do frames per second grow with the number of environments?",
    tell=tell,
    file="scaling",
    jobs=lambda count: [(way, number) for way in WAYS for number in counts_of(way)],
    measure=measure,
    arms=lambda: list(WAYS),
    code=lambda: "",
    repeats=1,
    only_seconds=True,
)
