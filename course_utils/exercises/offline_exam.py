"""The tiny world of exercise 10.6: a record of two halves, an environment that notes who plays it, and its examiner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.exercise import Draw

if TYPE_CHECKING:
    from tensordict import TensorDict

STATES, GAMMA, LIMIT, EPISODES = 8, 0.9, 12, 20
USED = range(100)  # seeds of the record
# From the west 0, 1, crossing 2, dock 3; from the north 4, 5, crossing 2, ramp 6; and 7, cut short on its way to 2.
# A row: state, is it the second command of that state, next state, reward, terminated, done. What is seen after an end
# looks like the best place there is.
EARLY = [(0, 0, 1, 0, 0, 0), (1, 0, 2, 0, 0, 0), (2, 1, 3, 0, 0, 0), (3, 0, 6, 1, 1, 1)]
LATE = [(4, 0, 5, 0, 0, 0), (5, 0, 2, 0, 0, 0), (2, 0, 6, 0, 0, 0), (6, 0, 6, 10, 1, 1)]
CUT = [(7, 0, 2, 0, 0, 1)]
ROWS = 60 * EARLY + 30 * LATE + 20 * CUT


class World:
    """One draw of the world: which observation and which command stand for what, and what happened in it."""

    def __init__(self, draw: Draw) -> None:
        self.names = draw.normal(STATES).argsort()  # the observation of each state
        self.first = draw.integers(0, 2, STATES)  # the number of each state's first command
        self.seeds: list[int] = []
        self.updates, self.updates_at_first_step = 0, -1
        self.commands: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.envs: list[Any] = []

    def observation(self, states: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(self.names[states], STATES).float()

    def record(self, draw: Draw) -> TensorDict:
        """All frames in a random order, as `[frames]`."""
        from tensordict import TensorDict

        rows = torch.tensor(ROWS)[draw.normal(len(ROWS)).argsort()]
        state, second, after, reward, terminated, done = rows.unbind(1)
        action = torch.where(second.bool(), 1 - self.first[state], self.first[state])
        following = {"observation": self.observation(after), "reward": reward.float()[:, None]}
        following |= {"terminated": terminated.bool()[:, None], "done": done.bool()[:, None]}
        following["truncated"] = following["done"] & ~following["terminated"]
        step = {"observation": self.observation(state), "action": action, "next": following}
        return TensorDict(step, [len(rows)])

    def make_env(self, count: int, seed: int) -> Any:
        """`count` copies that start in the west; what is done with them is noted."""
        env = _environment(self, count, seed)
        self.seeds.append(int(seed))
        self.envs.append(env)
        return env


def _environment(world: World, count: int, seed: int) -> Any:
    from tensordict import TensorDict
    from torchrl.data import Categorical, Composite, Unbounded
    from torchrl.envs import EnvBase

    leads = {(row[0], row[1]): row[2:5] for row in EARLY + LATE + CUT}

    class Lane(EnvBase):
        def __init__(self) -> None:
            super().__init__(batch_size=[count])
            hidden = {"state": Categorical(STATES, [count]), "clock": Unbounded([count, 1], dtype=torch.int64)}
            view = {"observation": Unbounded([count, STATES]), **hidden}
            self.observation_spec = Composite(view, shape=[count])
            self.state_spec = Composite(hidden, shape=[count])
            self.action_spec = Categorical(2, [count])
            self.reward_spec = Unbounded([count, 1])
            self.running = torch.zeros(count)
            self.finished: list[list[float]] = [[] for _ in range(count)]
            self.set_seed(seed)

        def _set_seed(self, seed: int | None) -> None:
            self.dice = torch.Generator().manual_seed(seed)

        def _reset(self, tensordict: Any) -> TensorDict:
            state = torch.randint(2, [count], generator=self.dice)
            asked = tensordict.get("_reset") if tensordict is not None else None
            begun = torch.ones(count, dtype=torch.bool) if asked is None else asked.reshape(count)
            self.running[begun] = 0.0
            clock = torch.zeros(count, 1, dtype=torch.int64)
            return TensorDict({"state": state, "observation": world.observation(state), "clock": clock}, [count])

        def _step(self, tensordict: Any) -> TensorDict:
            if world.updates_at_first_step < 0:
                world.updates_at_first_step = world.updates
            state, action = tensordict["state"], tensordict["action"].reshape(count)
            world.commands.append((state.clone(), action.clone()))
            second = action != world.first[state]
            found = [
                leads.get((here, int(other)), (here, 0, 0))
                for here, other in zip(state.tolist(), second.tolist(), strict=True)
            ]
            after, reward, terminated = (torch.tensor(each) for each in zip(*found, strict=True))
            clock = tensordict["clock"] + 1
            done = terminated.bool()[:, None] | (clock >= LIMIT)
            self.running += reward
            for row in done.squeeze(1).nonzero().flatten().tolist():
                self.finished[row].append(self.running[row].item())
            self.running[done.squeeze(1)] = 0.0
            answer = {"state": after, "observation": world.observation(after), "clock": clock, "done": done}
            answer |= {"reward": reward.float()[:, None], "terminated": terminated.bool()[:, None]}
            return TensorDict(answer, [count])

    return Lane()


def examine(answer: Callable, draw: Draw) -> str:
    """What is wrong with `answer(record, make_env, used_seeds)`, an offline run with its exam, by what it did.

    Returns:
        The first thing that hurts; empty where nothing does.
    """
    from torch.optim.optimizer import register_optimizer_step_post_hook

    world = World(draw)
    record = world.record(draw)

    def count(*_: Any) -> None:
        world.updates += 1

    hook = register_optimizer_step_post_hook(count)
    try:
        given = answer(record, world.make_env, USED)
    finally:
        hook.remove()
    if not isinstance(given, tuple | list) or len(given) != 2:
        return f"Return two things, the agent and the returns of its exam: this is a {type(given).__name__}."
    agent, returns = given
    if not callable(agent):
        return f"The first thing you return is the agent, which takes a tensordict: this is a {type(agent).__name__}."
    return (
        _about_playing(world)
        or _about_values(world, agent)
        or _about_exam(world, agent)
        or _about_returns(world, returns)
    )


def _about_playing(world: World) -> str:
    if not world.updates:
        return "No optimiser made a step: nothing was learned from the record."
    if 0 <= world.updates_at_first_step < world.updates:
        later = world.updates - world.updates_at_first_step
        return f"The environment was played before training ended: {later} updates came after its first step. " + PLAYED
    return ""


PLAYED = "Offline nobody may play until all is learned."
NO_REWARD = "The values do not tell what was paid: a clone knows what was often done, not its worth."
NO_MASK = "Nothing follows an end: `terminated` switches the next value off."
CLOCK = "A clock is no end of the world: mask by `terminated`, not by `done`."
NO_TERM = "The conservative term is missing, too weak, or its sign is turned round."
EXPLORES = "An exam shows what was learned: play greedily, under `ExplorationType.DETERMINISTIC`."
OLD_SEEDS = "An exam takes seeds that were not used for the record."
WRONG_RETURNS = "Add up the rewards of one episode for each copy, undiscounted, up to its own end."


def _values(world: World, agent: Callable) -> Any:
    from tensordict import TensorDict
    from torchrl.envs import ExplorationType, set_exploration_type

    seen = TensorDict({"observation": world.observation(torch.arange(STATES))}, [STATES])
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return agent(seen)


def _about_values(world: World, agent: Callable) -> str:
    said = _values(world, agent)
    found = said.get("action_value", None) if hasattr(said, "get") else None
    if not isinstance(found, torch.Tensor) or found.shape != (STATES, 2):
        return "The agent has to write `action_value`, of shape [states, 2], and `action`: `QValueActor` does."
    if not found.isfinite().all():
        return "Some values are not finite: the run fell apart."
    states = torch.arange(STATES)
    first, second = found[states, world.first], found[states, 1 - world.first]
    if first[6] < 6:
        return f"The last step to the ramp pays 10; your agent promises {first[6]:.1f} for it. {NO_REWARD}"
    if first[3] > 3:
        return f"The last step to the dock pays 1 and ends the episode; your agent promises {first[3]:.1f}. {NO_MASK}"
    if first[7] < 3:
        return (
            f"One step was cut by the clock on its way to the crossing; your agent promises {first[7]:.1f} for it, "
            f"though what follows is worth {first[2]:.1f}. {CLOCK}"
        )
    gaps = (first - second)[states != 2]
    if gaps.min() < 1.5:
        wrong = int((gaps < 1.5).sum())
        return (
            f"In {wrong} of {len(gaps)} places where one command alone was recorded, the one nobody gave is promised "
            f"nearly as much, or more. {NO_TERM}"
        )
    return ""


def _about_exam(world: World, agent: Callable) -> str:
    if not world.commands:
        return "There was no exam: no environment of `make_env` was played."
    greedy = _values(world, agent)["action"].reshape(STATES, -1)[:, 0]
    states, taken = (torch.cat(each) for each in zip(*world.commands, strict=True))
    other = (taken != greedy[states]).float().mean().item()
    if other:
        return (
            f"In its exam the agent gave other commands than its best in {100 * other:.0f} % of the steps. {EXPLORES}"
        )
    if again := sorted(set(world.seeds) & set(USED)):
        return f"The exam was played with the seed {again[0]}, which wrote the record. {OLD_SEEDS}"
    return ""


def _about_returns(world: World, returns: Any) -> str:
    paid = [row[0] for env in world.envs for row in env.finished if row]
    every = [each for env in world.envs for row in env.finished for each in row]
    given = torch.as_tensor(returns, dtype=torch.float32).flatten()
    if len(given) < EPISODES:
        return f"You return {len(given)} returns; the exam has at least {EPISODES} episodes."
    for episodes in (paid, every):
        if len(episodes) == len(given) and torch.allclose(given.sort().values, torch.tensor(episodes).sort().values):
            low = min(episodes)
            return "" if low == 10 else f"All is well-formed, but an episode ended with {low:.0f}: the ramp pays 10."
    mean = sum(paid) / max(1, len(paid))
    return f"Your returns have a mean of {given.mean():.2f}; what was paid in the exam has {mean:.2f}. {WRONG_RETURNS}"
