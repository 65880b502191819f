"""Lesson 07 beside Stable-Baselines3 (SB3): the same judge, the same stopping rule, the same core.

RL-Zoo's settings are those of the repository DLR-RM/rl-baselines3-zoo: `CartPole-v1` in hyperparams/dqn.yml (at commit
ce95481b) and hyperparams/ppo.yml (at commit 208b6fdf).
"""

from __future__ import annotations

import math

from benchmarks import dqn_cartpole, sb3_cartpole
from benchmarks.figures import FRAMES, SECONDS, TRAINING, WITH_VALIDATION, runs_figure, solved_of
from benchmarks.group import Group
from benchmarks.lesson_code import seeds
from benchmarks.section import Arms, Section, seeds_of, upper
from benchmarks.tables import median_cost, runs_table

OURS = "TorchRL DQN, this recipe"
SAME_RECIPE = "SB3 DQN, this recipe"
ZOO_DQN = "SB3 DQN, RL-Zoo settings"
ZOO_PPO = "SB3 PPO, RL-Zoo settings"


def zoo_dqn(seed: int, lesson: dict):
    from stable_baselines3 import DQN
    from stable_baselines3.common.env_util import make_vec_env

    model = DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=1),
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=100_000,
        learning_starts=1_000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=256,
        gradient_steps=128,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
        device="cpu",
    )
    return model, 50_000


def zoo_ppo(seed: int, lesson: dict):
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=8),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: left * 1e-3,  # "lin_0.001" in RL-Zoo: in a straight line to 0
        clip_range=lambda left: left * 0.2,
        seed=seed,
        device="cpu",
    )
    return model, 100_000


PEERS = {SAME_RECIPE: sb3_cartpole.same_recipe, ZOO_DQN: zoo_dqn, ZOO_PPO: zoo_ppo}


def measure(name: str, seed: int) -> dict[str, dict]:
    """One run after a warm-up that is not timed; returns as `train_and_test`."""
    if name == OURS:
        dqn_cartpole.warm_up()
        return {name: dqn_cartpole.train_and_test(dqn_cartpole.definitions(seed), seed)}
    sb3_cartpole.warm_up(PEERS[name])
    return {name: sb3_cartpole.run_sb3(PEERS[name], seed)}


def arms() -> list[str]:
    return [OURS, *PEERS]


def blocks_of(arms: Arms) -> str:
    """How many frames lie between two validations, over all runs."""
    curves = [[frames for frames, _ in run["curve"]] for runs in arms.values() for run in runs.values()]
    found = {after - before for curve in curves for before, after in zip(curve, curve[1:], strict=False)}
    return " to ".join(f"{frames:,}" for frames in dict.fromkeys([min(found), max(found)])) if found else "so many"


def answer(arms: Arms) -> str:
    sentences = []
    if {OURS, SAME_RECIPE} <= set(arms):
        ours, theirs = (median_cost(arms[name], TRAINING) for name in (OURS, SAME_RECIPE))
        if math.isfinite(ours) and math.isfinite(theirs):
            quicker, times = ("TorchRL", theirs / ours) if ours < theirs else ("Stable-Baselines3", ours / theirs)
            sentences.append(
                f"With the same recipe {quicker} is the quicker one: the other needs {times:.1f} times the seconds of "
                "training."
            )
    for name in (ZOO_DQN, ZOO_PPO):
        ratios = zoo_ratios(arms, name)
        if ratios:
            training, whole = ratios
            sentences.append(
                f"{name} takes {training:.1f} times as long as the lesson to solve it ({whole:.1f} times with "
                "validation)."
            )
    sentences.append("; ".join(f"{name}: {solved_of(runs)} solved" for name, runs in arms.items()) + ".")
    return " ".join(sentences)


def zoo_ratios(arms: Arms, name: str) -> tuple[float, float] | None:
    """How many times the lesson's median seconds an arm needs to solve it: training alone, with validation."""
    if not {name, OURS} <= set(arms):
        return None
    pairs = [(median_cost(arms[name], cost), median_cost(arms[OURS], cost)) for cost in (TRAINING, SECONDS)]
    if not all(math.isfinite(median) for pair in pairs for median in pair):
        return None
    return pairs[0][0] / pairs[0][1], pairs[1][0] / pairs[1][1]


def tell(section: Section, arms: Arms) -> None:
    costs = [FRAMES, TRAINING, WITH_VALIDATION]
    section.show("peers", runs_figure(arms, costs))
    section.answer(answer(arms))
    section.say(runs_table(arms, costs))
    section.measured(
        f"{upper(seeds_of(arms))}; for each seed all of them one after the other, on one pinned core with one thread, "
        "after a short warm-up that is not timed. All are validated by the lesson's `greedy_returns` after each block "
        f"of updates (every {blocks_of(arms)} frames), stop at the same score, and sit the same exam; the time of "
        "validation is taken apart. Each may use the frames its settings allow. *This recipe* in Stable-Baselines3 "
        "(SB3) takes the lesson's `Settings` one by one; its loss is Huber's, which it does not let one choose. "
        "*RL-Zoo settings* are those of "
        "[RL-Zoo](https://github.com/DLR-RM/rl-baselines3-zoo/tree/master/hyperparams) for CartPole-v1 (dqn.yml and "
        "ppo.yml)."
    )
    section.limits(
        "RL-Zoo's settings were made to be reliable at their full length, not to stop early; the recipe was tuned for "
        "this task and this stopping rule: what is compared are settings, not the quality of libraries. Only the two "
        "rows of the same recipe compare libraries."
    )


GROUP = Group(
    name="peers",
    order=30,
    question="Is it the library or the recipe?",
    tell=tell,
    file="07_dqn",
    jobs=lambda count: [(name, seed) for seed in seeds(count) for name in arms()],
    measure=measure,
    arms=arms,
    code=dqn_cartpole.recipe_code,
    repeats=10,
    pinned=True,
)
