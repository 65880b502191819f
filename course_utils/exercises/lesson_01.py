"""Exercises of lesson 01."""

from functools import cache, partial

import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import Compose, EnvBase, GymEnv, RewardScaling, RewardSum, StepCounter, TransformedEnv
from torchrl.envs.utils import step_mdp

from course_utils.exercises.drawn import mixed, rollout, whole
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.grids import MOVES, examine_grid
from course_utils.exercises.probing import tensors


class _Walk(EnvBase):
    """A point in the plane that moves by the action; like a simulator it keeps its place to itself."""

    def __init__(self, start: torch.Tensor) -> None:
        super().__init__()
        self.observation_spec = Composite(observation=Unbounded([2]))
        self.action_spec = Unbounded([2])
        self.reward_spec = Unbounded([1])
        self.start = self.place = start

    def _set_seed(self, seed):
        pass

    def _reset(self, tensordict):
        self.place = self.start
        return TensorDict({"observation": self.place})

    def _step(self, tensordict):
        self.place = self.place + tensordict["action"]
        never = torch.zeros(1, dtype=torch.bool)
        reward = -self.place.norm().unsqueeze(0)
        return TensorDict({"observation": self.place, "reward": reward, "terminated": never, "done": never.clone()})


class _Chaser:
    """A policy that goes towards a goal, more boldly each time it is asked: asked once is not asked each time."""

    def __init__(self, goal: torch.Tensor, pull: float) -> None:
        self.goal, self.pull, self.asked = goal, pull, 0

    def __call__(self, td: TensorDict) -> TensorDict:
        self.asked += 1
        return td.set("action", self.pull * self.asked**0.5 * (self.goal - td["observation"]))


def _walk(draw: Draw) -> dict:
    return {
        "env": _Walk(draw.normal(2)),
        "policy": _Chaser(3 + draw.normal(2), draw.uniform(0.1, 0.3)),
        "steps": whole(draw, 1, 5),
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


def _watch_asking_once(env, policy, steps):
    action = policy(env.reset())["action"]
    return env.rollout(steps, lambda td: td.set("action", action))["next", "observation"]


def _watch_from_the_start(env, policy, steps):
    played = env.rollout(steps, policy)
    return torch.cat([played["observation"][:1], played["next", "observation"]])


def _endings(rollout):
    after = rollout["next"]
    return after["terminated"].sum(), (after["truncated"] & ~after["terminated"]).sum()


def _clock(draw: Draw) -> dict:
    # Few different inputs, so that the environments below are built once each.
    return {"limit": whole(draw, 2, 4), "factor": (0.1, 0.3, 2.0)[whole(draw, 0, 2)]}


@cache
def _chain(kind: str, limit: int, factor: float) -> EnvBase:
    clock, total = StepCounter(max_steps=limit), RewardSum()
    scaling = RewardScaling(loc=0.0, scale=factor)
    chains = {
        "right": [clock, total, scaling],
        "sums the scaled": [clock, scaling, total],
        "counts without stopping": [StepCounter(), total, scaling],
        "no sum": [clock, scaling],
        "clock only": [clock],
        "shifts": [clock, total, RewardScaling(loc=factor, scale=1.0)],
        "constant": [clock, total, RewardScaling(loc=factor, scale=0.0)],
        "no scaling": [clock, total],
    }
    return TransformedEnv(GymEnv("Pendulum-v1"), Compose(*chains[kind]))


def _play(env, inputs):
    """What a constant torque brings about, in a few more steps than the clock allows."""
    env.set_seed(0)
    played = env.rollout(inputs["limit"] + 3, lambda td: td.set("action", torch.ones(1)))["next"]
    seen = {"length of an episode": len(played), "last flag `truncated`": bool(played["truncated"][-1])}
    return seen | {key: played[key] for key in ("reward", "episode_reward") if key in played}


def _rooms(draw: Draw) -> dict:
    # Heated beyond 30, heated to exactly 30 (there is no lead to lose at 5 degrees, so no rounding either), cooled from
    # above to below 30, and whatever else comes.
    rooms = whole(draw, 6, 12)
    temperature, action = 25 + 8 * draw.normal(rooms, 1), 3 * draw.normal(rooms, 1)
    places = mixed(draw, rooms)[:4]
    temperature[places] = torch.tensor([[29.0], [5.0], [31.0], [18.0]])
    action[places] = torch.tensor([[5.0], [25.0], [0.5], [1.0]])
    return {"td": TensorDict({"temperature": temperature, "action": action}, [rooms])}


def _room_step(td, new=None, limit=None):
    temperature = 5 + 0.9 * (td["temperature"] - 5) + td["action"] if new is None else new
    too_hot = temperature > 30 if limit is None else limit(temperature)
    return TensorDict(
        {
            "temperature": temperature,
            "reward": -(temperature - 20).abs(),
            "terminated": too_hot,
            "done": too_hot.clone(),
        },
        td.batch_size,
    )


class _Grid(EnvBase):
    """The world of exercise 1.6; a method of a subclass is a mistake in one of its parts."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__(batch_size=[count])
        self.size = size
        self.observation_spec = self.promised(count, size)
        self.state_spec = self.observation_spec.clone()
        self.action_spec = Categorical(4, [count])
        self.reward_spec = Unbounded([count, 1])
        self.set_seed(0)

    def promised(self, count, size):
        return Composite(position=Bounded(0, size - 1, [count, 2], dtype=torch.int64), shape=[count])

    def _set_seed(self, seed):
        self.chance = torch.Generator().manual_seed(seed)

    def start(self):
        number = torch.randint(self.size**2 - 1, self.batch_size, generator=self.chance)
        return torch.stack([number // self.size, number % self.size], -1)

    def _reset(self, tensordict):
        return TensorDict({"position": self.start()}, self.batch_size)

    def moved(self, position, action):
        return (position + MOVES[action]).clamp(0, self.size - 1)

    def home(self, position):
        return (position == self.size - 1).all(-1, keepdim=True)

    def _step(self, tensordict):
        position = self.moved(tensordict["position"], tensordict["action"])
        home = self.home(position)
        answer = {"position": position, "reward": torch.where(home, 1.0, -0.1), "terminated": home, "done": home}
        return TensorDict(answer, self.batch_size)


class _GridWithItsState(_Grid):
    """The same, with the state in the environment."""

    def __init__(self, count, size):
        super().__init__(count, size)
        self.state_spec = Composite(shape=[count])
        self.place = self.start()

    def _reset(self, tensordict):
        asked = None if tensordict is None else tensordict.get("_reset", None)
        self.place = self.start() if asked is None else torch.where(asked, self.start(), self.place)
        return TensorDict({"position": self.place}, self.batch_size)

    def _step(self, tensordict):
        answer = super()._step(TensorDict({"position": self.place, "action": tensordict["action"]}, self.batch_size))
        self.place = answer["position"]
        return answer


def _changed(base=_Grid, **methods):
    """A class like `base` with these methods in place of its own."""
    return type("Grid", (base,), methods)


def _answer(**entries):
    """A `_step` whose answer has these entries, each made of the right answer and of what was given."""

    def _step(self, tensordict):
        answer = _Grid._step(self, tensordict)
        return answer.update({name: make(self, answer, tensordict) for name, make in entries.items()})

    return _changed(_step=_step)


def _reset_everything(self, tensordict):
    self.place = self.start()
    return TensorDict({"position": self.place}, self.batch_size)


def _write_into_what_was_given(self, tensordict):
    tensordict["position"].copy_(self.moved(tensordict["position"], tensordict["action"]))
    home = self.home(tensordict["position"])
    answer = {"position": tensordict["position"], "reward": torch.where(home, 1.0, -0.1), "terminated": home}
    return TensorDict(answer, self.batch_size)


def _write_into_what_was_handed_out(self, tensordict):
    self.place.copy_(self.moved(self.place, tensordict["action"]))
    home = self.home(self.place)
    answer = {"position": self.place, "reward": torch.where(home, 1.0, -0.1), "terminated": home}
    return TensorDict(answer, self.batch_size)


def _copied_reset(self, tensordict):
    return _GridWithItsState._reset(self, tensordict).clone()


def _under_next(self, tensordict):
    return TensorDict({"next": _Grid._step(self, tensordict)}, self.batch_size)


def _start_by_cutting(self):
    number = torch.randint(self.size**2, self.batch_size, generator=self.chance).clamp(max=self.size**2 - 2)
    return torch.stack([number // self.size, number % self.size], -1)


def _start_by_the_agents_chance(self):
    number = torch.randint(self.size**2 - 1, self.batch_size)
    return torch.stack([number // self.size, number % self.size], -1)


_GRID_MUTANTS = [
    Mutant(
        "promises any numbers",
        _changed(
            promised=lambda self, count, size: Composite(
                position=Unbounded([count, 2], dtype=torch.int64), shape=[count]
            )
        ),
        "Say the limits: `Bounded(0, size - 1, ...)` holds both its ends.",
    ),
    Mutant(
        "promises real numbers",
        _changed(
            promised=lambda self, count, size: Composite(position=Bounded(0.0, size - 1.0, [count, 2]), shape=[count])
        ),
        "Rows and columns are whole numbers, torch.int64.",
    ),
    Mutant(
        "one position",
        _changed(
            promised=lambda self, count, size: Composite(
                position=Bounded(0, size - 1, [count, 1], dtype=torch.int64), shape=[count]
            )
        ),
        "A row and a column for each copy are [count, 2].",
    ),
    Mutant(
        "answers under next",
        _changed(_step=_under_next),
        "Do `_reset` and `_step` return a TensorDict of batch size [count], with the entries themselves and without "
        "`next`?",
    ),
    Mutant(
        "rewards of 64 bits",
        _answer(reward=lambda self, answer, given: answer["reward"].double()),
        "`reward` is torch.float64 under `next`, after a step. It has to be torch.float32.",
    ),
    Mutant(
        "moves what it was given",
        _changed(_step=_write_into_what_was_given),
        "`_step` writes into the `position` that it was given, so the root of the step changes with it.",
    ),
    Mutant(
        "moves what it handed out",
        _changed(_GridWithItsState, _step=_write_into_what_was_handed_out, _reset=_copied_reset),
        "`_step` hands out the tensor that it goes on writing into. Hand out a clone of it.",
    ),
    Mutant(
        "leaves the grid",
        _changed(moved=lambda self, position, action: position + MOVES[action]),
        "That is outside the grid. At the border a move changes nothing: `clamp(0, size - 1)`.",
    ),
    Mutant(
        "goes around",
        _changed(moved=lambda self, position, action: (position + MOVES[action]) % self.size),
        "That is the other side. At the border a move changes nothing: `clamp(0, size - 1)`.",
    ),
    Mutant(
        "columns first",
        _changed(moved=lambda self, position, action: (position + MOVES[action].flip(-1)).clamp(0, self.size - 1)),
        "Rows and columns have changed places: `position` is [row, column], and up is one row less.",
    ),
    Mutant(
        "row 0 below",
        _changed(
            moved=lambda self, position, action: (position + MOVES[action] * torch.tensor([-1, 1])).clamp(
                0, self.size - 1
            )
        ),
        "Row 0 is the top: up is one row less, down is one row more.",
    ),
    Mutant(
        "one action for all",
        _changed(moved=lambda self, position, action: _Grid.moved(self, position, action[:1].expand_as(action))),
        "Every copy does what the first one's action says. Each has an action of its own.",
    ),
    Mutant(
        "home in the last row",
        _changed(home=lambda self, position: (position == self.size - 1).any(-1, keepdim=True)),
        "Row *and* column have to be those of the goal: `(position == size - 1).all(-1)`.",
    ),
    Mutant(
        "reward of the old position",
        _answer(
            reward=lambda self, answer, given: torch.where(_Grid.home(self, given["position"]), 1.0, -0.1),
        ),
        "It should be 1, by the *new* position.",
    ),
    Mutant(
        "the goal costs, too",
        _answer(reward=lambda self, answer, given: answer["terminated"].float() - 0.1),
        "The step that reaches the goal costs nothing: its reward is 1.",
    ),
    Mutant(
        "a reward for all",
        _answer(reward=lambda self, answer, given: answer["reward"].max().expand_as(answer["reward"]).clone()),
        "Each copy gets a reward of its own, by where it is: no `any` or `max` over copies.",
    ),
    Mutant(
        "all end together",
        _answer(
            terminated=lambda self, answer, given: answer["terminated"].any().expand_as(answer["done"]).clone(),
            done=lambda self, answer, given: answer["done"].any().expand_as(answer["done"]).clone(),
        ),
        "Each copy ends by itself: no `any` over copies.",
    ),
    Mutant(
        "done, and not terminated",
        _answer(terminated=lambda self, answer, given: torch.zeros_like(answer["done"])),
        "`done` alone does not say that the world ended the episode: `terminated` does.",
    ),
    Mutant(
        "never ends",
        _answer(
            terminated=lambda self, answer, given: torch.zeros_like(answer["done"]),
            done=lambda self, answer, given: torch.zeros_like(answer["done"]),
        ),
        "The world ends an episode there: `terminated` is True.",
    ),
    Mutant(
        "all begin anew",
        _changed(_GridWithItsState, _reset=_reset_everything),
        "`_reset` gets `tensordict['_reset']`, True where a copy begins anew: leave the other rows as they were.",
    ),
    Mutant(
        "keeps its place when reset",
        _changed(
            _GridWithItsState,
            _reset=lambda self, tensordict: TensorDict({"position": self.place.clone()}, self.batch_size),
        ),
        "`_reset` has to give a copy that is done a fresh start.",
    ),
    Mutant(
        "starts anywhere",
        _changed(
            start=lambda self: torch.randint(self.size, (*self.batch_size, 2), generator=self.chance),
        ),
        "Start in any cell but the goal.",
    ),
    Mutant(
        "starts in the corner",
        _changed(start=lambda self: torch.zeros(*self.batch_size, 2, dtype=torch.int64)),
        "The start is drawn anew for each episode, from your generator.",
    ),
    Mutant(
        "one start for all",
        _changed(start=lambda self: _Grid.start(self)[:1].expand(*self.batch_size, 2).clone()),
        "All copies start in the same cell. Draw one start for each copy.",
    ),
    Mutant(
        "never in the last row",
        _changed(
            start=lambda self: torch.stack(
                [torch.randint(self.size - at, self.batch_size, generator=self.chance) for at in (1, 0)], -1
            ),
        ),
        "An episode may start in any cell but the goal.",
    ),
    Mutant(
        "the last cell twice as often",
        _changed(start=_start_by_cutting),
        "All cells but the goal are to be equally likely.",
    ),
    Mutant(
        "the agent's chance",
        _changed(start=_start_by_the_agents_chance, _set_seed=lambda self, seed: torch.manual_seed(seed) and None),
        "Draw the starts from a generator of the world's own: `torch.Generator().manual_seed(seed)`.",
    ),
    Mutant(
        "deaf to its seed",
        _changed(_set_seed=lambda self, seed: setattr(self, "chance", torch.Generator().manual_seed(0))),
        "Does `_set_seed` use its seed?",
    ),
    Mutant(
        "goes on drawing",
        _changed(
            _set_seed=lambda self, seed: (
                None if hasattr(self, "chance") else setattr(self, "chance", torch.Generator().manual_seed(seed))
            )
        ),
        "`_set_seed` has to restart your generator.",
    ),
]

EXERCISES = [
    Exercise(
        number="1.1",
        tests="Each action answers the latest observation, and each step moves the world exactly once.",
        draw=_walk,
        reference=_watch,
        probe=tensors,
        mutants=[
            Mutant(
                "never turns the page",
                _watch_without_turning,
                "You step from the same root again and again: the world moves on, but your policy still sees the first "
                "observation. Turn the page after each step: `td = step_mdp(td)`.",
            ),
            Mutant(
                "asks once",
                _watch_asking_once,
                "You ask the policy once and repeat its first action. Ask it in every round, with the tensordict of "
                "that round.",
            ),
            Mutant(
                "with the start",
                _watch_from_the_start,
                "You also return the observation of the reset. Only those that *followed* a step are asked for.",
            ),
            Mutant(
                "random actions",
                lambda env, policy, steps: env.rollout(steps)["next", "observation"],
                "Your actions do not come from `policy`: a rollout without one acts at random. Give it: "
                "`env.rollout(steps, policy)`, or call `policy(td)` before each step.",
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
        draw=lambda draw: {"rollout": rollout(draw, whole(draw, 20, 50))},
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
                "both nowhere",
                lambda rollout: (
                    (rollout["next", "terminated"] & ~rollout["next", "truncated"]).sum(),
                    _endings(rollout)[1],
                ),
                "A step with both flags is counted nowhere. It belongs to the world: count all that are `terminated`.",
            ),
            Mutant(
                "exactly one flag",
                lambda rollout: (
                    rollout["next", "terminated"].sum(),
                    (rollout["next", "terminated"] ^ rollout["next", "truncated"]).sum(),
                ),
                "Your second number counts steps with exactly one of the flags, so every fall without the clock as "
                "well. Count those that are truncated *and not* terminated.",
            ),
            Mutant(
                "difference of counts",
                lambda rollout: (
                    rollout["next", "terminated"].sum(),
                    rollout["next", "truncated"].sum() - rollout["next", "terminated"].sum(),
                ),
                "You subtract one count from the other. That takes away each fall, also where the clock had not run "
                "out. Compare the two flags step by step: truncated *and not* terminated.",
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
                "world only",
                lambda rollout: _endings(rollout)[0],
                "You return one number, how often the world ended an episode. The second one is missing: how often "
                "only the clock did.",
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
                "Your episodes do not end after `limit` steps. `StepCounter(max_steps=limit)` ends them; without "
                "`max_steps` it only counts.",
            ),
            Mutant(
                "no sum",
                partial(_chain, "no sum"),
                "Clock and scaling are right, but there is no entry `episode_reward`. `RewardSum()` writes it; with "
                "other `out_keys` the sum stands under another name.",
            ),
            Mutant(
                "clock only",
                partial(_chain, "clock only"),
                "Only the clock is at work: there is no `episode_reward`, and nothing is scaled. `TransformedEnv` "
                "takes *one* transform: put all three into a `Compose(...)`.",
            ),
            Mutant(
                "shifts",
                partial(_chain, "shifts"),
                "You *add* `factor` to each reward: it is given as `loc`. Use `loc=0.0` and `scale=factor`.",
            ),
            Mutant(
                "constant",
                partial(_chain, "constant"),
                "Each of your rewards is `factor` itself: `loc` and `scale` have changed places. Use `loc=0.0` and "
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
                "copies last",
                (100, 1, 8),
                "Copies come first, then time, then the reward's own dimension.",
            ),
            Mutant(
                "own dimension in front",
                (1, 8, 100),
                "The reward's own dimension of 1 comes last, behind the batch size.",
            ),
            Mutant(
                "own dimension in the middle",
                (8, 1, 100),
                "The reward's own dimension of 1 comes last, behind the batch size; time belongs to the batch size.",
            ),
            Mutant(
                "the observation's",
                (8, 100, 3),
                "That is the shape of the observation, three numbers a step. A reward is one number.",
            ),
            Mutant(
                "empty",
                (8, 100, 0),
                "A dimension of size 0 holds nothing. A reward is one number: its own dimension has size 1.",
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
                lambda td: _room_step(td, limit=lambda new: td["temperature"] > 30),
                "Your flags look at the temperature *before* the step, so the end is noticed one step late. Use the "
                "new one.",
            ),
            Mutant(
                "exactly 30",
                lambda td: _room_step(td, limit=lambda new: new >= 30),
                "A room of exactly 30 degrees ends with you. It terminates *above* 30: `>`.",
            ),
            Mutant(
                "heats first",
                lambda td: _room_step(td, new=5 + 0.9 * (td["temperature"] + td["action"] - 5)),
                "You heat first, so a tenth of the heat is lost at once. First the room loses a tenth of its lead, "
                "then it gains `action`.",
            ),
            Mutant(
                "loses a tenth of all",
                lambda td: _room_step(td, new=0.9 * td["temperature"] + td["action"]),
                "Your room loses a tenth of its whole temperature. It loses a tenth of its *lead* over the 5 degrees "
                "outside: `0.1 * (temperature - 5)`.",
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
    Build(
        number="1.6",
        tests="Specs, moves, rewards, ends, starts, resets of some copies, and seeds: your grid does what it promises.",
        reference=_Grid,
        examine=examine_grid,
        mutants=_GRID_MUTANTS,
    ),
]
