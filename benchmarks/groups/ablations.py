"""What each part of lesson 07's recipe is worth: act two with one of the lesson's switches turned."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import dqn_cartpole
from benchmarks.figures import FRAMES, SECONDS, runs_figure, solved_of
from benchmarks.group import Group
from benchmarks.lesson_code import seeds
from benchmarks.section import Arms, Section, seeds_of
from benchmarks.summary import NEVER
from benchmarks.tables import median_cost, runs_table, solving_cost

NO_CHANGE = "the recipe"


def switches() -> list[str]:
    return list(dqn_cartpole.definitions(seed=0)["switches"])


def measure(name: str, seed: int) -> dict[str, dict]:
    """Act two with one of the lesson's switches turned; returns as `train_and_test`."""
    dqn_cartpole.warm_up()
    space = dqn_cartpole.definitions(seed)
    space["settings"] = replace(space["settings"], **space["switches"][name])
    return {name: dqn_cartpole.train_and_test(space, seed)}


def answer(arms: Arms) -> str:
    """How each changed arm compares with the unchanged one."""
    whole = arms.get(NO_CHANGE)
    if whole is None:
        return f"The unchanged recipe ({NO_CHANGE}) was not measured, so there is nothing to compare with."
    base, changes = median_cost(whole, FRAMES), []
    for name, runs in arms.items():
        if name != NO_CHANGE:
            median = median_cost(runs, FRAMES)
            ratio = f", {median / base:.1f} times the frames" if max(median, base) < NEVER else ""
            changes.append(f"{name}: {solved_of(runs)}{ratio}")
    return (
        f"The whole recipe solves it on {solved_of(whole)} seeds{solving_cost(whole, [FRAMES])}. With one thing "
        f"changed: {'; '.join(changes)}."
    )


def tell(section: Section, arms: Arms) -> None:
    section.show("ablations", runs_figure(arms, [FRAMES, SECONDS]))
    section.answer(answer(arms))
    section.say(runs_table(arms, [FRAMES, SECONDS]))
    section.measured(
        f"Act two with one of the lesson's `switches` turned and everything else as it was, {seeds_of(arms)}; the same "
        "rule and the same exam as above. Seconds include validation; as many runs went side by side as the machine "
        "has cores."
    )
    section.limits(
        "One change at a time says nothing of two together. With so few seeds, the intervals are wide: do not read an "
        "order into arms whose intervals overlap. The other settings were found with everything switched on, which "
        "favours the recipe."
    )


GROUP = Group(
    name="ablations",
    order=20,
    question="What is each part of the recipe worth?",
    tell=tell,
    file="07_dqn",
    jobs=lambda count: [(name, seed) for seed in seeds(count) for name in switches()],
    measure=measure,
    arms=switches,
    code=dqn_cartpole.recipe_code,
    repeats=10,
    alone=False,
)
