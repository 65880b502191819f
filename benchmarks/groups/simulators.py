"""What three ways to bring one's own simulator into TorchRL cost: the code of docs/your_simulator.md, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.group import Group
from benchmarks.lesson_code import guide_code, run_code
from benchmarks.section import Arms, Section, table

SECONDS = 0.5  # of computing, for each way in each repeat
ALONE = "the NumPy class, alone"
COPIES = {"batched, 1 copy": 1, "batched, 64 copies": 64, "batched, 1,024 copies": 1_024}
WAYS = [
    ALONE,
    "Gymnasium, alone",
    "first way: GymWrapper",
    "second way: EnvBase",
    *(f"third way: {name}" for name in COPIES),
]


def alone(space: dict) -> Callable[[int], int]:
    drone, dice = space["Drone"](0), np.random.default_rng(0)
    drone.reset()

    def play(steps: int) -> int:
        for _ in range(steps):
            if drone.step(dice.uniform(-1, 1))[2]:
                drone.reset()
        return steps

    return play


def gymnasium(space: dict) -> Callable[[int], int]:
    env = space["DroneGym"]()
    env.reset(seed=0)

    def play(steps: int) -> int:
        for _ in range(steps):
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
        return steps

    return play


def of_torchrl(env) -> Callable[[int], int]:
    def play(steps: int) -> int:
        env.rollout(steps, break_when_any_done=False)
        return steps * max(1, env.batch_size.numel())

    return play


def players(space: dict) -> dict[str, Callable[[int], int]]:
    ways = [alone(space), gymnasium(space), of_torchrl(space["GymWrapper"](space["DroneGym"]()))]
    ways += [of_torchrl(space["DroneEnv"]()), *(of_torchrl(space["Drones"](count)) for count in COPIES.values())]
    return dict(zip(WAYS, ways, strict=True))


def frames_per_second(play: Callable[[int], int]) -> float:
    """Of computing: what else the machine does counts as little as it can."""
    play(50)
    began, frames = time.process_time(), 0
    while time.process_time() - began < SECONDS:
        frames += play(100)
    return round(frames / (time.process_time() - began), 1)


def measure(way: str, repeat: int) -> dict[str, dict]:
    """All ways, one after the other in one process, so that their ratios are those of one machine at one time."""
    space = run_code(guide_code("your_simulator", "Drone", "DroneGym", "DroneEnv", "Drones"), repeat)
    return {name: {"frames_per_second": frames_per_second(play)} for name, play in players(space).items()}


def speeds(arms: Arms) -> str:
    """The table of the guide: medians, and what they are as a multiple of the first way, taken in each repeat."""
    first = arms[WAYS[2]]
    rows = []
    for name in WAYS:
        runs = arms[name]
        ratios = [runs[key]["frames_per_second"] / first[key]["frames_per_second"] for key in runs]
        speed = median(run["frames_per_second"] for run in runs.values())
        rows.append(
            [name, f"{speed:,.0f}", f"{median(ratios):.2g}" if median(ratios) < 10 else f"{median(ratios):,.0f}"]
        )
    return table(["", "frames per second", "times the first way"], rows)


def tell(section: Section, arms: Arms) -> None:
    many = {key: run["frames_per_second"] for key, run in arms[WAYS[-1]].items()}
    ratio = median(speed / arms[WAYS[2]][key]["frames_per_second"] for key, speed in many.items())
    section.answer(
        f"Written for 1,024 copies at once in torch, the same simulator plays {ratio:,.0f} times as many frames "
        "in a second of computing as one copy behind GymWrapper."
    )
    section.say("Frames per second of computing, with random actions:", speeds(arms))
    section.measured(
        f"The code of [Your own simulator](your_simulator.md); all ways in turn in one process, {SECONDS:g} seconds of "
        "computing each after a warm-up, one thread; medians, and ratios taken within each repeat."
    )
    section.limits(
        "A step of this simulator is a few additions, so this is the cost of the machinery. The slower a step of "
        "yours, the less "
        "the way matters, unless it can be written for many copies at once."
    )


GROUP = Group(
    name="simulators",
    order=155,
    question="What does it cost to bring a simulator of your own into TorchRL?",
    tell=tell,
    file="18_simulators",
    jobs=lambda count: [(ALONE, number) for number in range(count)],
    measure=measure,
    arms=lambda: WAYS,
    code=lambda: guide_code("your_simulator", "Drone", "DroneGym", "DroneEnv", "Drones"),
    repeats=3,
    only_seconds=True,
)
