"""Exercises of lesson 01."""

from functools import cache, partial

import torch
from tensordict import TensorDict
from torchrl.data import Composite, Unbounded
from torchrl.envs import Compose, EnvBase, GymEnv, RewardScaling, RewardSum, StepCounter, TransformedEnv
from torchrl.envs.utils import step_mdp

from course_utils.exercises.exercise import Draw, Exercise, Mutant


class _Walk(EnvBase):
    """A point on a line that moves by the action; like a simulator it keeps its place to itself."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.observation_spec = Composite(observation=Unbounded([1]))
        self.action_spec = Unbounded([1])
        self.reward_spec = Unbounded([1])
        self.start = self.place = torch.tensor([start])

    def _set_seed(self, seed):
        pass

    def _reset(self, tensordict):
        self.place = self.start
        return TensorDict({"observation": self.place})

    def _step(self, tensordict):
        self.place = self.place + tensordict["action"]
        never = torch.zeros(1, dtype=torch.bool)
        return TensorDict(
            {"observation": self.place, "reward": -self.place.abs(), "terminated": never, "done": never.clone()}
        )


def _walk(draw: Draw) -> dict:
    goal, pull = draw.uniform(2, 4), draw.uniform(0.2, 0.6)
    return {
        "env": _Walk(draw.uniform(-1, 1)),
        "policy": lambda td: td.set("action", pull * (goal - td["observation"])),
        "steps": int(draw.integers(2, 4, 1)),
    }


def _watch(env, policy, steps):
    return env.rollout(steps, policy)["next", "observation"]


def _watch_without_turning(env, policy, steps):
    td, seen = env.reset(), []
    for _ in range(steps):
        td = env.step(policy(td))
        seen.append(td["next", "observation"])
    return torch.stack(seen)


def _watch_stepping_twice(env, policy, steps):
    td, seen = env.reset(), []
    for _ in range(steps):
        td = policy(td)
        seen.append(env.step(td)["next", "observation"])
        td = step_mdp(env.step(td))
    return torch.stack(seen)


def _watch_resetting(env, policy, steps):
    return torch.stack([env.step(policy(env.reset()))["next", "observation"] for _ in range(steps)])


def _rollout(draw: Draw) -> dict:
    # Steps on which both flags, one, or none is set; root flags are False, as in every rollout.
    terminated, truncated = draw.flags(0.2, 40, 1), draw.flags(0.3, 40, 1)
    terminated[:4] = torch.tensor([[True], [True], [False], [False]])
    truncated[:4] = torch.tensor([[True], [False], [True], [False]])
    no = torch.zeros(40, 1, dtype=torch.bool)
    flags = {"terminated": terminated, "truncated": truncated, "done": terminated | truncated}
    root = {"terminated": no, "truncated": no.clone(), "done": no.clone()}
    return {"rollout": TensorDict(root | {"next": TensorDict(flags, [40])}, [40])}


def _endings(rollout):
    after = rollout["next"]
    return after["terminated"].sum(), (after["truncated"] & ~after["terminated"]).sum()


def _clock(draw: Draw) -> dict:
    # Few different inputs, so that the environments below are built once each.
    return {"limit": int(draw.integers(2, 4, 1)), "factor": int(draw.integers(1, 6, 1)) / 10}


@cache
def _chain(kind: str, limit: int, factor: float) -> EnvBase:
    clock, total = StepCounter(max_steps=limit), RewardSum()
    scaling = RewardScaling(loc=0.0, scale=factor)
    chains = {
        "right": [clock, total, scaling],
        "sums the scaled": [clock, scaling, total],
        "counts without stopping": [StepCounter(), total, scaling],
        "no sum": [clock, scaling],
        "shifts": [clock, total, RewardScaling(loc=factor, scale=1.0)],
        "no scaling": [clock, total],
    }
    return TransformedEnv(GymEnv("Pendulum-v1"), Compose(*chains[kind]))


def _play(env, inputs):
    """What a constant torque brings about, in one more step than the clock allows."""
    env.set_seed(0)
    rollout = env.rollout(inputs["limit"] + 1, lambda td: td.set("action", torch.ones(1)))
    return rollout["next"].select("reward", "episode_reward", "truncated", "done", strict=False)


def _rooms(draw: Draw) -> dict:
    temperature = 25 + 8 * draw.normal(12, 1)
    # Heated beyond 30, cooled from above to below 30, and neither.
    temperature[:3] = torch.tensor([[29.0], [31.0], [18.0]])
    action = 3 * draw.normal(12, 1).abs()
    action[:3] = torch.tensor([[5.0], [0.5], [1.0]])
    return {"td": TensorDict({"temperature": temperature, "action": action}, [12])}


def _room_step(td):
    temperature = 5 + 0.9 * (td["temperature"] - 5) + td["action"]
    too_hot = temperature > 30
    return TensorDict(
        {
            "temperature": temperature,
            "reward": -(temperature - 20).abs(),
            "terminated": too_hot,
            "done": too_hot.clone(),
        },
        td.batch_size,
    )


def _room_ends_by_the_old(td):
    too_hot = td["temperature"] > 30
    return _room_step(td).update({"terminated": too_hot, "done": too_hot.clone()})


EXERCISES = [
    Exercise(
        number="1.1",
        tests="Each action answers the latest observation, and each step moves the world exactly once.",
        draw=_walk,
        reference=_watch,
        mutants=[
            Mutant(
                "never turns the page",
                _watch_without_turning,
                "You step from the same root again and again: the world moves on, but your policy still sees the first "
                "observation. Turn the page after each step: `td = step_mdp(td)`.",
            ),
            Mutant(
                "root observations",
                lambda env, policy, steps: env.rollout(steps, policy)["observation"],
                "These are the observations *before* each step. What followed a step lies under `next`: "
                '`td["next", "observation"]`.',
            ),
            Mutant(
                "steps twice",
                _watch_stepping_twice,
                "You call `env.step` twice per round, and each call moves the world. Keep what the one call returned, "
                "and use it for both.",
            ),
            Mutant(
                "resets each time",
                _watch_resetting,
                "You reset before every step, so you see the first step over and over. Reset once, before the loop.",
            ),
            Mutant(
                "last only",
                lambda env, policy, steps: _watch(env, policy, steps)[-1],
                "You return the last observation only. Collect one per step, and stack them.",
            ),
        ],
    ),
    Exercise(
        number="1.2",
        tests="Endings are read under `next`, and the clock counts only where the world went on.",
        draw=_rollout,
        reference=_endings,
        mutants=[
            Mutant(
                "root flags",
                lambda rollout: (
                    rollout["terminated"].sum(),
                    (rollout["truncated"] & ~rollout["terminated"]).sum(),
                ),
                "You read the flags at the root. There they are always False: an episode that is over has no further "
                "step. Read them under `next`.",
            ),
            Mutant(
                "counts both twice",
                lambda rollout: (rollout["next", "terminated"].sum(), rollout["next", "truncated"].sum()),
                "A step with both flags is counted twice. It belongs to the world: for the clock, count steps that are "
                "truncated *and not* terminated.",
            ),
            Mutant(
                "done as terminated",
                lambda rollout: (rollout["next", "done"].sum(), _endings(rollout)[1]),
                "Your first number counts `done`, which is also True when only the clock ran out. Count `terminated`.",
            ),
            Mutant(
                "clock first",
                lambda rollout: (
                    (rollout["next", "terminated"] & ~rollout["next", "truncated"]).sum(),
                    rollout["next", "truncated"].sum(),
                ),
                "Where both flags are True you count for the clock. The pole has fallen there: count it for the world.",
            ),
            Mutant(
                "swapped",
                lambda rollout: _endings(rollout)[::-1],
                "The right two numbers in the wrong order: first the world's endings, then the clock's.",
            ),
        ],
    ),
    Exercise(
        number="1.3",
        tests="The clock stops the episode, the reward is scaled, and the sum is of the true rewards.",
        draw=_clock,
        reference=partial(_chain, "right"),
        probe=_play,
        mutants=[
            Mutant(
                "sums the scaled",
                partial(_chain, "sums the scaled"),
                "Your `episode_reward` adds up *scaled* rewards: `RewardSum` stands after `RewardScaling`. Let it see "
                "the reward first.",
            ),
            Mutant(
                "counts without stopping",
                partial(_chain, "counts without stopping"),
                "Your episodes do not end after `limit` steps. A `StepCounter` alone only counts; give it `max_steps`.",
            ),
            Mutant(
                "no sum",
                partial(_chain, "no sum"),
                "Clock and scaling are right, but there is no `episode_reward`. Add a `RewardSum()`.",
            ),
            Mutant(
                "shifts",
                partial(_chain, "shifts"),
                "You *add* `factor` to each reward: `loc` and `scale` have changed places. Use `loc=0.0` and "
                "`scale=factor`.",
            ),
            Mutant(
                "no scaling",
                partial(_chain, "no scaling"),
                "Clock and sum are right, but `reward` is as it was. Add `RewardScaling` at the end.",
            ),
        ],
    ),
    Exercise(
        number="1.4",
        tests="Copies first, then time, then the reward's own dimension of 1.",
        reference=(8, 100, 1),
        mutants=[
            Mutant(
                "time first",
                (100, 8, 1),
                "Time and copies are swapped. In TorchRL the environment's own dimensions come first, time after them.",
            ),
            Mutant(
                "no last dimension",
                (8, 100),
                "That is the batch size of the rollout. A reward has a dimension of its own, of size 1, behind it.",
            ),
            Mutant(
                "flattened",
                (800, 1),
                "A rollout keeps copies and time apart; they are two dimensions, not one of 800.",
            ),
            Mutant(
                "one copy",
                (100, 1),
                "That is the reward of one copy. Here 8 of them play side by side.",
            ),
        ],
    ),
    Exercise(
        number="1.5",
        tests="What `_step` has to return: new state, its reward, its flags, with the batch size of the input.",
        draw=_rooms,
        reference=_room_step,
        mutants=[
            Mutant(
                "under next",
                lambda td: TensorDict({"next": _room_step(td)}, td.batch_size),
                "You put the answer under `next`. `step` does that for you: `_step` returns the entries directly.",
            ),
            Mutant(
                "reward of the old",
                lambda td: _room_step(td).set("reward", -(td["temperature"] - 20).abs()),
                "Your reward judges the temperature *before* the step. It should tell what the action led to: use the "
                "new one.",
            ),
            Mutant(
                "ends by the old",
                _room_ends_by_the_old,
                "Your flags look at the temperature *before* the step, so the end is noticed one step late. Use the "
                "new one.",
            ),
            Mutant(
                "never done",
                lambda td: _room_step(td).set("done", torch.zeros_like(td["temperature"], dtype=torch.bool)),
                "`done` stays False where `terminated` is True. A terminated episode is done: set both.",
            ),
            Mutant(
                "lost dimension",
                lambda td: _room_step(td).set("reward", -(_room_step(td)["temperature"] - 20).abs().squeeze(-1)),
                "Your reward has shape [rooms]. It needs a last dimension of 1, [rooms, 1], as its spec promises.",
            ),
            Mutant(
                "no batch size",
                lambda td: TensorDict(_room_step(td).to_dict(), []),
                "The entries are right, but your tensordict has no batch size. Give it `td.batch_size`.",
            ),
        ],
    ),
]
