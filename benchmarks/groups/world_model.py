"""Whether lesson 16's model can be trusted and planned in, over seeds that chose none of its settings."""

from __future__ import annotations

import time

from benchmarks.group import Group
from benchmarks.lesson_code import defining_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table

SOLVED = -200
EPISODES = 3  # of 200 real frames, the first one random
HASTY = 60  # frames of the model that is exploited
JUDGES = ("trusting", "agreeing", "cautious")


def code() -> str:
    """The lesson's cells that define the model, the planner and what exploits it."""
    return defining_code("16_world_models", "16-exploited")


def measure(arm: str, seed: int) -> dict[str, dict]:
    """One life from this seed.

    Returns:
        `exams`, real frames, mean and worst return after each episode; after the first one the `errors` after 1, 2, ...
        imagined steps and the disagreement on the `road` and in the `wild`; for each of `judges` what plans promised
        and what they were paid in a model of few frames; the processor's seconds of playing and learning.
    """
    space, found = run_code(code(), seed), {}
    torch = space["torch"]
    exams, looking = [], 0.0

    def watch(model, frames) -> None:
        nonlocal looking
        begun, chance = time.process_time(), torch.get_rng_state()
        if not exams:
            found["errors"] = [round(error, 5) for error in space["errors"](model).tolist()]
            found["road"], found["wild"] = (round(each, 6) for each in space["road_and_wild"](model, frames))
        returns = space["exam"](space["Planner"](model), seed)
        exams.append([len(frames), round(returns.mean().item(), 1), round(returns.min().item(), 1)])
        torch.set_rng_state(chance)
        looking += time.process_time() - begun

    start = time.process_time()
    _, frames = space["live"](seed, EPISODES, watch)
    found |= {"exams": exams, "cpu_seconds": round(time.process_time() - start - looking, 1)}
    hasty = space["fit"](space["make_model"](), frames[:HASTY], 1_000)
    found["judges"] = {
        name: [round(each, 1) for each in space["promised_and_paid"](hasty, space[name], 2_200_000_000 + 100 * seed)]
        for name in JUDGES
    }
    return {arm: found}


def tell(section: Section, arms: Arms) -> None:
    runs = arms["planner"]
    final = [run["exams"][-1][1] for run in runs.values()]
    rows = [
        [
            seed,
            *(f"{mean:.0f}" for _, mean, _ in run["exams"]),
            f"{run['errors'][0]:.3f}, {run['errors'][-1]:.3f}",
            f"{run['wild'] / run['road']:.1f}",
            *(f"{promised:.0f}, {paid:.0f}" for promised, paid in (run["judges"][name] for name in JUDGES)),
            f"{run['cpu_seconds']:.0f}",
        ]
        for seed, run in runs.items()
    ]
    section.answer(
        f"With {200 * EPISODES} real frames, the first 200 of them random, planning is solved for "
        f"{sum(mean >= SOLVED for mean in final)} of {len(final)} seeds."
    )
    heads = ["seed", *(f"mean return, {200 * (number + 1)} frames" for number in range(EPISODES))]
    heads += ["error after 1 and 20 steps", "disagreement, anywhere by seen"]
    heads += [f"{name}: promised, paid" for name in JUDGES]
    section.say(table([*heads, "processor seconds"], rows))
    section.measured(
        f"The definitions of lesson 16, {seeds_of(arms)}, none of which was used to find the settings. *Solved* means "
        f"a mean return of at least {SOLVED} over 20 fresh episodes of Pendulum-v1. Errors and disagreement are those "
        f"of the model after its first episode; promised and paid are returns of plans of 20 steps in a model of "
        f"{HASTY} frames. Seconds are those of playing and learning, without exams."
    )
    section.limits(
        "One easy task, few seeds, and a planner that is told the formula of the reward. Exams of 20 episodes differ "
        "by their starts."
    )


GROUP = Group(
    name="world_model",
    order=137,
    question="How far does a learned model of the world carry on Pendulum?",
    tell=tell,
    file="16_world_models",
    jobs=lambda count: [("planner", seed) for seed in seeds(count)],
    measure=measure,
    arms=lambda: ["planner"],
    code=code,
    repeats=10,
    alone=False,
)
