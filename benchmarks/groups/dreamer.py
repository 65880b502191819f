"""How well lesson 16's Dreamer dreams of Catch, and plays it after training in its dreams alone."""

from __future__ import annotations

import time
from copy import deepcopy

from benchmarks import store
from benchmarks.group import Group
from benchmarks.lesson_code import FIRST_SEED, named_code, run_code, seeds
from benchmarks.section import Arms, Section, table
from course_utils import load_weights

GAMES, UPDATES, DREAMS, PARTS = 2_560, 3_000, 300, 10
WEIGHTS = "16_dreamer.pt"
AHEAD = (1, 4, 6, 7)
ARMS = ("model", "policy")
MOST_SEEDS = {"model": 2}


def code() -> str:
    """The lesson's cells that define the world, the model, the dreams, and the training in them."""
    names = "catch play eye parts after world-model model-loss train-model dream judge dream-env actor-critic"
    return named_code(
        "16_world_models", *(f"16-dreamer-{name}" for name in [*names.split(), "dream-update", "train-actor"])
    )


def measure(arm: str, seed: int) -> dict[str, dict]:
    """One model trained on games played at random, or one policy trained in the dreams of the model that is kept.

    The weights of the first seed's model are kept beside the stored results: the lesson loads them.

    Returns:
        For a model: `model_curve`, [updates, share of ends judged rightly four steps ahead] ten times; `judged` and
        `drawn`, shares by steps ahead at the end; `surprise` in nats for each picture. For a policy: `curve`, [updates
        in dreams, per cent caught] ten times; `caught` in 2,000 fresh games at the end. Both with processor's seconds.
    """
    import torch

    space = run_code(code(), seed)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    began = time.process_time()
    found = (model if arm == "model" else policy)(space, seed)
    return {arm: found | {"cpu_seconds": round(time.process_time() - began, 1)}}


def model(space: dict, seed: int) -> dict:
    import torch

    parts, watched, curve = space["make_parts"](), space["play_catch"](GAMES, seed), []

    def look(update: int) -> None:
        if update % (UPDATES // PARTS) == 0:
            with torch.random.fork_rng():
                curve.append([update, round(space["judge_dreams"](parts)[0][4], 3)])

    space["train_model"](parts, watched, UPDATES, look=look)
    if seed == FIRST_SEED:
        kept = {name: part.half().state_dict() for name, part in vars(deepcopy(parts)).items()}
        torch.save(kept, store.RESULTS / WEIGHTS)
    judged, drawn = (
        {ahead: round(share, 3) for ahead, share in shares.items()} for shares in space["judge_dreams"](parts)
    )
    nats = space["surprise"](parts, space["play_catch"](1_000, 500_000_000)).tolist()
    return {"model_curve": curve, "judged": judged, "drawn": drawn, "surprise": [round(number, 2) for number in nats]}


def policy(space: dict, seed: int) -> dict:
    parts, watched, curve = space["make_parts"](), space["play_catch"](GAMES, seed), []
    for name, weights in load_weights("16_dreamer").items():
        getattr(parts, name).load_state_dict(weights)

    def look(update: int, actor) -> None:
        if update % (DREAMS // PARTS) == 0:
            curve.append([update, round(space["per_cent_caught"](parts, actor), 1)])

    actor = space["train_in_dreams"](parts, watched, DREAMS, look)
    return {"caught": round(space["per_cent_caught"](parts, actor, 2_000, 600_000_000), 1), "curve": curve}


def shares(runs: dict[str, dict], what: str, ahead: int) -> str:
    """Per cent, seed by seed."""
    return ", ".join(f"{100 * run[what][str(ahead)]:.0f}" for run in runs.values())


def tell(section: Section, arms: Arms) -> None:
    models, policies = arms["model"], arms["policy"]
    caught = [run["caught"] for run in policies.values()]
    if caught:
        section.answer(
            f"Balls caught for real by {len(caught)} policies trained in dreams alone: "
            f"{min(caught):g} to {max(caught):g} %."
        )
    rows = [[str(ahead), shares(models, "judged", ahead), shares(models, "drawn", ahead)] for ahead in AHEAD]
    section.say(table(["steps ahead", "ends judged rightly, %, model by model", "ends drawn to the pixel, %"], rows))
    section.measured(
        f"Lesson 16's cells. Models ({', '.join(models)}) learn in {UPDATES:,} updates from {GAMES:,} games of eight "
        "steps played at random; their exam are 1,000 fresh games played at random, whose ends are dreamt with the "
        f"actions that were taken. Policies ({', '.join(policies)}) learn in {DREAMS} updates in the dreams of the "
        f"first model, whose weights are kept in `{WEIGHTS}`; their exam are 2,000 fresh greedy games."
    )
    section.limits(
        "One small game, one size of the model, few seeds; the policy's entropy bonus and the number of its dreams "
        "were chosen by looking at a policy of another seed in the dreams of the same model."
    )


GROUP = Group(
    name="dreamer",
    order=145,
    question="Can an agent learn Catch in its dreams?",
    tell=tell,
    file="16_dreamer",
    jobs=lambda count: [(arm, seed) for arm in ARMS for seed in seeds(min(count, MOST_SEEDS.get(arm, count)))],
    measure=measure,
    arms=lambda: list(ARMS),
    code=code,
    repeats=5,
    alone=False,
)
