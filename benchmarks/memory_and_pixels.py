"""What a memory and a second look are worth in lesson 11, over seeds that were not used to find its settings.

Runs the lesson's own definitions: CartPole without velocities with and without a memory, and Catch with one frame and
with two.
"""

from __future__ import annotations

import contextlib
import functools
import io
import time
from collections.abc import Callable

import jupytext

from benchmarks.group import Group
from benchmarks.store import ROOT

LESSON = ROOT / "lessons" / "11_memory_and_pixels.py"
FIRST_SEED = 100  # the settings were found on smaller seeds
NOT_NEEDED = {"parameters", "exercise", "solution", "look"}
NEEDED = ["11-exam-poles", "11-exam-catch"]  # the cells that say what an exam is
MEMORY_PASSES, PIXELS_PASS = 475, 95  # mean return; per cent of the balls caught


@functools.cache
def code() -> str:
    """The lesson's cells that define something; those that look at a run are left out.

    Raises:
        LookupError: the lesson has no cell with an id that is needed.
    """
    cells = [cell for cell in jupytext.read(LESSON, fmt="py:percent").cells if cell.cell_type == "code"]
    missing = set(NEEDED) - {cell.metadata.get("id") for cell in cells}
    if missing:
        raise LookupError(f"{LESSON.name} has no cell with the id {' and '.join(sorted(missing))}")
    return "\n".join(cell.source for cell in cells if not NOT_NEEDED & set(cell.metadata.get("tags", [])))


def definitions(seed: int) -> dict:
    space: dict = {"seed": seed}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code(), space)
    return space


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

    space, curve = definitions(seed), []
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


def group(arms: list[str], repeats: int) -> Group:
    return Group(
        file="11_memory_and_pixels",
        jobs=lambda count: [(arm, seed) for seed in range(FIRST_SEED, FIRST_SEED + count) for arm in arms],
        measure=measure,
        arms=lambda: arms,
        code=code,
        repeats=repeats,
    )


MEMORY = group(["no memory", "memory"], repeats=10)  # a start fails now and then: five are too few to see it
PIXELS = group(["one look", "two looks"], repeats=5)
