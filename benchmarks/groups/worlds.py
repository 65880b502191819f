"""Which families of environments run with this TorchRL on this machine: each in a virtual environment of its own."""

from __future__ import annotations

from benchmarks import worlds
from benchmarks.group import Group
from benchmarks.section import Arms, Section


def measure(family: str, key: int) -> dict[str, dict]:
    return {family: worlds.try_family(family)}


def stale(family: str, run: dict) -> bool:
    """Was this record made by another script, or with other pins, than are there now?"""
    return run.get("made by") != worlds.made_by(family)


def tell(section: Section, arms: Arms) -> None:
    records = {name: next(iter(runs.values())) for name, runs in arms.items()}
    ran = [name for name, record in records.items() if record["ran"]]
    instead = [name for name in records if name not in ran and "stand_in" in records[name]]
    section.answer(
        f"{len(ran)} of {len(records)} families run here. For {len(instead)} of the others TorchRL's wrapper was run "
        "over a stand-in. [The atlas](worlds.md) has a card for each."
    )
    section.measured(
        "Each family is installed beside the course, in a virtual environment of its own, from wheels at exact "
        "versions (from source where there is no wheel and its build was read); then its script in `examples/worlds/` "
        "makes a world, checks its specs, plays at random, and measures its speed in CPU time, so that what else the "
        "machine does counts little."
    )
    section.limits("A family that fails here may run on the platform it was made for; its card names that platform.")


GROUP = Group(
    name="worlds",
    order=205,
    question="Which worlds run with this TorchRL?",
    tell=tell,
    file="18_worlds",
    jobs=lambda count: [(family, 0) for family in worlds.families()],
    measure=measure,
    arms=lambda: list(worlds.families()),
    code=lambda: "",  # each record names what it was made by
    repeats=1,
    stale=stale,
)
