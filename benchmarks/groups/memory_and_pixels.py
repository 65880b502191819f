"""What a memory and a second look are worth in lesson 11, over seeds that were not used to find its settings.

Runs the lesson's own definitions: CartPole without velocities with and without a memory, and Catch with one frame and
with two.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.group import Group
from benchmarks.lesson_code import defining_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of
from benchmarks.tables import tell_exams

MEMORY_PASSES, PIXELS_PASS = 475, 95  # mean return; per cent of the balls caught


def code() -> str:
    """The lesson's cells that define something, those that say what an exam is among them."""
    return defining_code("11_memory_and_pixels", "11-exam-poles", "11-exam-catch", to_the_end=True)


def poles(space: dict, seed: int, agent: Callable, *swapped, watch: Callable) -> tuple:
    run = space["train_poles"](agent(), 100_000 * seed, *swapped, watch=watch)
    return run, space["examine_poles"](run, *swapped[:1])


def catch(space: dict, seed: int, looks: int, watch: Callable) -> tuple:
    run = space["train_catch"](looks, seed, watch)
    return run, space["examine_catch"](run, looks)


def measure(arm: str, seed: int) -> dict[str, dict]:
    """One training and its exam.

    Returns:
        For the arm: `score` (mean return, or per cent caught), frames, the processor's seconds with validation, and
        the validation curve.
    """
    import torch

    space, curve = run_code(code(), seed), []
    learners = {
        "no memory": lambda watch: poles(space, seed, space["memoryless_agent"], watch=watch),
        "memory": lambda watch: poles(
            space,
            seed,
            space["remembering_agent"],
            space["memory_parts"],
            space["cut_next_like_now"],
            watch=watch,
        ),
        "one look": lambda watch: catch(space, seed, 1, watch),
        "two looks": lambda watch: catch(space, seed, 2, watch),
    }
    torch.manual_seed(seed)
    start = time.process_time()
    run, score = learners[arm](lambda frames, validation: curve.append([frames, round(validation, 1)]))
    seconds = time.process_time() - start
    return {arm: {"score": round(score, 1), "frames": run.frames, "cpu_seconds": round(seconds, 1), "curve": curve}}


def tell(section: Section, arms: Arms, passes: float, exam: str, limits: str) -> None:
    tell_exams(
        section,
        lambda _, run: run["score"] >= passes,
        {"frames, median": ("frames", 0), "processor seconds, median": ("cpu_seconds", 1)},
        score="score",
    )
    section.measured(
        f"The definitions of lesson 11, {seeds_of(arms)}, none of which was used to find the settings. *Solved* means "
        f"{exam}, with the averaged weights that were best in validation. Frames and seconds count until the "
        "validation stopped a run or its cap was reached, validation included."
    )
    section.limits(f"{limits} Few seeds; the settings were searched by hand for the arm that remembers.")


def tell_memory(section: Section, arms: Arms) -> None:
    exam = f"a mean return of at least {MEMORY_PASSES} over 100 fresh greedy episodes of CartPole without velocities"
    tell(section, arms, MEMORY_PASSES, exam, "What is hidden shows within two frames: no long memory is needed.")


def tell_pixels(section: Section, arms: Arms) -> None:
    exam = f"at least {PIXELS_PASS} % of the balls caught in 500 fresh greedy games of Catch"
    tell(section, arms, PIXELS_PASS, exam, "A game of 9 by 9 pixels, and short episodes.")


def jobs_of(arms: list[str], count: int) -> list[tuple[str, int]]:
    return [(arm, seed) for seed in seeds(count) for arm in arms]


MEMORY_ARMS, PIXELS_ARMS = ["no memory", "memory"], ["one look", "two looks"]
MEMORY = Group(
    name="memory",
    order=90,
    question="What is a memory worth where velocities are hidden?",
    tell=tell_memory,
    file="11_memory_and_pixels",
    jobs=lambda count: jobs_of(MEMORY_ARMS, count),
    measure=measure,
    arms=lambda: MEMORY_ARMS,
    code=code,
    repeats=10,  # a start fails now and then: five are too few to see it
)
PIXELS = Group(
    name="pixels",
    order=100,
    question="What is a second look worth in a game of pixels?",
    tell=tell_pixels,
    file="11_memory_and_pixels",
    jobs=lambda count: jobs_of(PIXELS_ARMS, count),
    measure=measure,
    arms=lambda: PIXELS_ARMS,
    code=code,
    repeats=5,
)
