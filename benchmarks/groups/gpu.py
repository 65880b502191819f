"""The same lesson on a GPU: time of an update over its sizes on both devices, and the whole of lesson 07 on each.

Runs where there is a CUDA device; elsewhere it is left out.
"""

from __future__ import annotations

import os

from benchmarks import dqn_cartpole, update_time
from benchmarks.figures import FRAMES, SECONDS, medians_of, updates_figure
from benchmarks.group import Group
from benchmarks.lesson_code import seeds
from benchmarks.missing import DEVICES, of_a_gpu
from benchmarks.section import Arms, Section, upper
from benchmarks.tables import growth_table, runs_table


def jobs(count: int) -> list[tuple[str, int]]:
    updates = [
        (f"{setting}, {device}", size)
        for setting, sizes in update_time.SIZES.items()
        for size in sizes
        for device in DEVICES
    ]
    lessons = [(f"act two, {device}", seed) for seed in seeds(count) for device in DEVICES]
    return updates + lessons


def measure(arm: str, key: int) -> dict[str, dict]:
    """Milliseconds of an update with one setting changed, or act two of the executed lesson, on the device named."""
    what, device = arm.split(", ")
    os.environ["COURSE_DEVICE"] = device
    update_time.filled_run.cache_clear()  # it does not know of the device
    if what == "act two":
        return {arm: dqn_cartpole.run_notebook(key)["act two"]}
    return {arm: {"milliseconds": update_time.update_milliseconds(update_time.REPEATS, **{what: key})}}


def gains(arms: Arms) -> list[str]:
    """How much faster than the CPU the GPU is at the smallest and the largest size of each setting."""
    sentences = []
    for setting in dict.fromkeys(name.split(", ")[0] for name in arms):
        both = [arms.get(f"{setting}, {device}") for device in ("cpu", "cuda")]
        if all(both):
            (sizes, cpu), (_, cuda) = (medians_of(arm, "milliseconds") for arm in both)
            sentences.append(
                f"{setting.replace('_', ' ')} {sizes[0]}: the GPU is {cpu[0] / cuda[0]:.1f} times as fast as the CPU, "
                f"{sizes[-1]}: {cpu[-1] / cuda[-1]:.1f} times"
            )
    return sentences


def tell(section: Section, arms: Arms) -> None:
    sizes = {name: arm for name, arm in arms.items() if not name.startswith("act two")}
    lessons = {name: runs for name, runs in arms.items() if name.startswith("act two")}
    if sizes:
        section.show("gpu", updates_figure(sizes))
        section.answer(f"{upper('; '.join(gains(sizes)))}.")
        section.say("Milliseconds of an update, by size:", growth_table(sizes, "milliseconds", "{:.2f}"))
    if lessons:
        section.say("Act two of the lesson on each device:", runs_table(lessons, [FRAMES, SECONDS]))
    absent = [device for device in DEVICES if f"act two, {device}" not in lessons]
    if absent:
        section.say(f"Act two has no stored run with `COURSE_DEVICE={absent[0]}`.")
    section.measured("As above, with `COURSE_DEVICE` set to either device.")
    section.limits("One thread on the CPU. The environments stay on the CPU whatever the device.")


GROUP = Group(
    name="gpu",
    order=180,
    question="And on a GPU?",
    tell=tell,
    file="gpu",
    jobs=jobs,
    measure=measure,
    arms=lambda: list(dict.fromkeys(arm for arm, _ in jobs(1))),
    code=dqn_cartpole.recipe_code,
    repeats=3,
    only_seconds=True,
    missing=of_a_gpu,
    unmeasured=(
        "Not measured: there is no stored result. On a machine with a CUDA device, "
        "`make bench ARGS='--groups gpu'` measures an update over its sizes and the whole of lesson 07 on both "
        "devices (`COURSE_DEVICE=cpu` and `COURSE_DEVICE=cuda`)."
    ),
)
