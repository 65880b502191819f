"""How the time of an update of lesson 07 grows with its sizes."""

from __future__ import annotations

from benchmarks import dqn_cartpole
from benchmarks.figures import updates_figure
from benchmarks.group import Group
from benchmarks.section import Arms, Section
from benchmarks.tables import growth, growth_table
from benchmarks.update_time import REPEATS, SIZES, update_milliseconds


def measure(setting: str, size: int) -> dict[str, dict]:
    return {setting: {"milliseconds": update_milliseconds(REPEATS, **{setting: size})}}


def tell(section: Section, arms: Arms) -> None:
    section.show("updates", updates_figure(arms))
    found = {name.replace("_", " "): growth(arm, "milliseconds") for name, arm in arms.items()}
    sentences = [
        f"{high / low:.0f} times the {name} ({low} to {high}) makes an update {ratio:.1f} times as long"
        for name, (low, high, ratio) in found.items()
    ]
    section.answer("; ".join(sentences) + ".")
    section.say("Milliseconds of an update, by size:", growth_table(arms, "milliseconds", "{:.2f}"))
    section.measured(
        "The lesson's own `learn` with one setting changed, on one pinned core with one thread, median of three "
        "repeats (all are drawn)."
    )
    section.limits("One thread: large sizes gain from more cores, and from a GPU.")


GROUP = Group(
    name="updates",
    order=160,
    question="How does an update grow with its sizes?",
    tell=tell,
    file="scaling",
    jobs=lambda count: [(setting, size) for setting, sizes in SIZES.items() for size in sizes],
    measure=measure,
    arms=lambda: list(SIZES),
    code=dqn_cartpole.recipe_code,
    repeats=1,
    pinned=True,
    only_seconds=True,
)
