"""VMAS's navigation on both devices: how long a step of all copies takes, over the number of copies.

Runs where there is a CUDA device and VMAS is installed; elsewhere it is left out.
"""

from __future__ import annotations

import time
from importlib.metadata import version

from benchmarks.figures import growth_figure, medians_of
from benchmarks.group import Group
from benchmarks.lesson_code import named_code
from benchmarks.missing import DEVICES, of_a_gpu, of_vmas
from benchmarks.section import Arms, Section
from benchmarks.tables import growth_table
from benchmarks.update_time import wait_for

COPIES = [10, 100, 1_000, 10_000]
STEPS = 20  # of all copies, in one repeat
REPEATS = 3


def measure(arm: str, copies: int) -> dict[str, dict]:
    """Milliseconds of a step of so many copies, three agents each, that move at random, on the device `arm`."""
    import torch
    from torchrl.envs import VmasEnv

    torch.set_num_threads(1)
    world = VmasEnv("navigation", num_envs=copies, n_agents=3, seed=0, device=arm)
    world.rollout(STEPS, break_when_any_done=False)
    found = []
    for _ in range(REPEATS):
        wait_for(world.device)
        start = time.perf_counter()
        world.rollout(STEPS, break_when_any_done=False)
        wait_for(world.device)
        found.append(round(1_000 * (time.perf_counter() - start) / STEPS, 3))
    return {arm: {"milliseconds": found, "vmas": version("vmas")}}


def tell(section: Section, arms: Arms) -> None:
    (copies, cpu), (_, cuda) = (medians_of(arms[device], "milliseconds") for device in DEVICES)
    ratios = [slow / quick for slow, quick in zip(cpu, cuda, strict=True)]
    section.show("gpu_vmas", growth_figure(arms, "milliseconds", "copies", "milliseconds of a step of all copies"))
    section.answer(
        "The GPU is "
        + ", ".join(
            f"{ratio:.2g} times as fast as the CPU with {number:,} copies"
            for number, ratio in zip(copies, ratios, strict=True)
        )
        + f". A step of {copies[-1]:,} copies takes it {cuda[-1] / cuda[0]:.1f} times as long as one of {copies[0]}."
    )
    section.say("Milliseconds of a step of all copies, by copies:", growth_table(arms, "milliseconds", "{:.1f}"))
    release = next(iter(arms["cuda"].values()))["vmas"]
    section.measured(
        f"`VmasEnv('navigation', n_agents=3)` of VMAS {release}, rollouts of {STEPS} steps with random actions, the "
        f"median of {REPEATS}."
    )
    section.limits("One thread on the CPU. No network acts or learns here.")


GROUP = Group(
    name="gpu_vmas",
    order=181,
    question="And a simulator on a GPU?",
    tell=tell,
    file="gpu",
    jobs=lambda count: [(device, copies) for copies in COPIES for device in DEVICES],
    measure=measure,
    arms=lambda: DEVICES,
    code=lambda: named_code("15_many_agents", "15-navigation"),
    repeats=1,
    only_seconds=True,
    missing=lambda: of_a_gpu() or of_vmas(),
    unmeasured=(
        "Not measured: there is no stored result. On a machine with a CUDA device and VMAS (lesson 15 says how to "
        "install it), `make bench ARGS='--groups gpu_vmas'` measures a step of 10 to 10,000 copies on both devices."
    ),
)
