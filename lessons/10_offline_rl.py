# ---
# jupyter:
#   course:
#     title: "Offline RL: learn from what others wrote down"
#     objectives:
#       - store play as a dataset, load it into a replay buffer, and look at it before learning from it
#       - clone what the data shows, and say when that is enough
#       - see DQN promise the impossible offline, and mend it with one term of your own
#       - swap one loss for another while buffer, loop and judge stay the same
#       - estimate from a real record what another policy would have been worth, and when not to believe it
#     prerequisites: PyTorch and lessons 01, 03, 04, 05 and 07; one section looks back at 08
#     minutes: {reading: 68, exercises: 35, short: 45}
# ---

# %% [markdown]
# ## Nobody may play  (about 3 min to here)
#
# In every lesson so far the agent could try things. Often it may not: a hospital, a car, a factory
# will not let a beginner experiment, but they have kept records for years. **Offline RL** learns
# from such a record alone. The collector is gone, and the replay buffer is the world.
#
# Our factory is a hall with a robot that knows two commands: *drive* one cell ahead, and *turn* right.
# The early shift fetches goods in the west and drives them to the dock in the south, which pays 1. The late shift
# fetches goods in the north and drives them to the ramp in the east, which pays 10. Every command was recorded.
# Nobody ever drove from the west to the ramp. Before you read on, predict: can an agent learn from this record to
# do it?
#
# As always, the rule comes first:
#
# > The exam = 100 fresh starts in the west, played greedily, 60 commands each; what counts is the mean
# > return (10 if all reach the ramp). And because there is nobody to ask, **training never plays**: the
# > number of updates is fixed in advance, and the last weights are examined, once.
#
# Lesson 07 kept the weights that had played best. To know them, it played.

# %% tags=["parameters"]
seed = 0

# %%
import torch
from course_utils import choose_device, seed_everything

device = choose_device()
seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more

# %% [markdown]
# All numbers in one place; each is explained where it is used.

# %%
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    early_runs: int = 240  # recorded runs of the early shift
    late_runs: int = 80
    limit: int = 60  # commands a robot may use
    updates: int = 1_500  # of every method
    batch_size: int = 128
    width: int = 64  # units in each of the two hidden layers
    learning_rate: float = 1e-3
    gamma: float = 0.95
    target_every: int = 10  # updates between two copies to the target network
    conservative: float = 1.0  # weight of CQL's second term
    exam_seed: int = 1_000_000_000  # far from the seeds of the record


settings = Settings()

# %% [markdown]
# ## The hall  (about 7 min to here)
#
# A map says it all: `#` is a wall, `e` and `l` are where the early and the late shift start, `D` is the dock, `R` the
# ramp.

# %%
plan = [
    "###########",
    "#eee##l####",
    "#e#e##l####",
    "#e#e##l####",
    "#e#.......R",
    "######.####",
    "######.####",
    "######.####",
    "######D####",
]
headings = [(1, 0), (0, 1), (-1, 0), (0, -1)]  # east, south, west, north: a turn is one further
cells = [(x, y) for y, row in enumerate(plan) for x, sign in enumerate(row) if sign != "#"]

# %% [markdown]
# A robot's state is its cell and its heading, so there are four states for each cell. Such a world is a few tables:
# where each command leads, what it pays to arrive, and what the robot sees (its place, and where it looks). A
# robot that drives into a wall stays where it is.


# %%
def drive(cell, heading):
    (x, y), (right, down) = cells[cell], headings[heading]
    ahead = (x + right, y + down)
    return cells.index(ahead) if ahead in cells else cell


def states_of(letter):
    marked = [cell for cell, (x, y) in enumerate(cells) if plan[y][x] == letter]
    return torch.tensor([4 * cell + way for cell in marked for way in range(4)], device=device)


# %%
pairs = [(cell, way) for cell in range(len(cells)) for way in range(4)]
commands = [[4 * drive(cell, way) + way, 4 * cell + (way + 1) % 4] for cell, way in pairs]
after = torch.tensor(commands, device=device)  # [states, 2]: where drive and turn lead
pay = torch.zeros(len(pairs), device=device)
pay[states_of("R")], pay[states_of("D")] = 10.0, 1.0
seen = [[cells[cell][0] / 5 - 1, cells[cell][1] / 4 - 1, *headings[way]] for cell, way in pairs]
look = torch.tensor(seen, device=device)  # [states, 4]: what the network is shown

# %% [markdown]
# The environment looks things up in the tables, for many robots at once. It is an `EnvBase` like the boats of lesson 01.

# %%
from tensordict import TensorDict
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


# %%
class Robots(EnvBase):
    def __init__(self, count, starts, seed):
        super().__init__(device=device, batch_size=[count])
        state = Categorical(len(pairs), [count])
        view = Composite(observation=Unbounded([count, 4]), state=state, shape=[count])
        self.observation_spec = view.to(device)
        self.state_spec = Composite(state=state, shape=[count]).to(device)
        self.action_spec = Categorical(2, [count]).to(device)
        self.reward_spec = Unbounded([count, 1]).to(device)
        self.starts = starts
        self.set_seed(seed)

    def _set_seed(self, seed):
        self.dice = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        chosen = torch.randint(len(self.starts), self.batch_size, generator=self.dice)
        state = self.starts[chosen.to(device)]
        return TensorDict({"state": state, "observation": look[state]}, self.batch_size)

    def _step(self, tensordict):
        state = after[tensordict["state"], tensordict["action"]]
        answer = {"state": state, "observation": look[state], "reward": pay[state][:, None]}
        answer["terminated"] = answer["done"] = answer["reward"] > 0
        return TensorDict(answer, self.batch_size)


# %% tags=["look"]
from torchrl.envs import check_env_specs

check_env_specs(Robots(4, states_of("e"), seed))
print(
    f"{len(cells)} cells, {len(pairs)} states, {len(states_of('e'))} of them starts of the early shift"
)

# %% [markdown]
# `check_env_specs` has nothing to object to. The judge plays one episode in each row; `first` marks the steps up to
# its end.

# %%
from torchrl.envs import ExplorationType, set_exploration_type


def play(policy, robots):
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = robots.rollout(settings.limit, policy, break_when_all_done=True)
    done = rollout["next", "done"].squeeze(-1)
    return rollout, done.cumsum(1) - done.int() == 0


def evaluate(policy, episodes, seed, gamma=1.0):
    rollout, first = play(policy, Robots(episodes, states_of("e"), seed))
    rewards = rollout["next", "reward"].squeeze(-1) * first
    return (rewards * gamma ** torch.arange(rewards.shape[1], device=device)).sum(1)


# %% [markdown]
# ## Write it down  (about 15 min to here)
#
# Both shifts know their way: from every state they give the command that leads to their goal in the fewest steps. The
# function counts those steps backwards from the goal.

# %%
from tensordict.nn import TensorDictModule


def driver(letter):
    there = states_of(letter)
    steps = torch.full((len(pairs),), 1_000.0, device=device)
    for _ in range(settings.limit):
        steps = 1 + steps[after].min(1).values
        steps[there] = 0
    command = steps[after].argmin(1)
    return TensorDictModule(lambda state: command[state], in_keys=["state"], out_keys=["action"])


# %% [markdown]
# An episode is a row of the rollout up to its end. The record holds what a robot saw and did, not the number of its
# state.


# %%
def record(letter, starts, runs, seed):
    rollout, first = play(driver(letter), Robots(runs, states_of(starts), seed))
    kept = ["observation", "action", *(("next", key) for key in ["observation", "reward"])]
    kept += [("next", key) for key in ["terminated", "truncated", "done"]]
    rollout["next", "truncated"] = torch.zeros_like(rollout["next", "done"])  # all arrive in time
    return [row[steps] for row, steps in zip(rollout.select(*kept), first, strict=True)]


def make_record(seed):
    early = record("D", "e", settings.early_runs, 10 * seed)
    return early + record("R", "l", settings.late_runs, 10 * seed + 1)


# %% tags=["look"]
episodes = make_record(seed)
print(f"{len(episodes)} episodes, {sum(map(len, episodes)):,} frames")
episodes[0]

# %% [markdown]
# One episode in TorchRL's form. Two habits for records of your own: store whole episodes, and note for every end
# whether the world ended (`terminated`) or somebody stopped the clock (`truncated`).
#
# ### Minari, the common format  (about 18 min to here) (deeper)
# A record should outlive the notebook, and be readable by others. **Minari** is the format that
# Gymnasium's makers keep for this: a folder with an HDF5 file, one group per episode, and a
# description of environment and author. It is an optional part of this course. Is it here?

# %% tags=["look"]
from course_utils import ask_for_extra

has_minari = ask_for_extra("minari", "the episodes stay in memory, and all cells run as they are")

# %% [markdown]
# An episode of $T$ steps has $T$ actions, rewards and flags, but $T + 1$ observations: the last one
# is where it ended. Minari stores each observation once; TorchRL's form (lesson 01) stores the
# inner ones twice, at the root and under `next`. So we append the last `next` observation.

# %%
import os
from pathlib import Path

folder = Path("runs/10_datasets").absolute()
os.environ["MINARI_DATASETS_PATH"] = str(folder / "minari")  # not in your home


# %%
def to_minari(episode):
    from minari.data_collector.episode_buffer import EpisodeBuffer

    last = episode["next", "observation"][-1:]
    after = {
        name: episode["next", name].squeeze(-1).cpu().numpy()
        for name in ["reward", "terminated", "truncated"]
    }
    return EpisodeBuffer(
        observations=torch.cat([episode["observation"], last]).cpu().numpy(),
        actions=episode["action"].cpu().numpy(),
        rewards=after["reward"],
        terminations=after["terminated"],
        truncations=after["truncated"],
        infos={},
    )


# %%
def store(name, episodes):
    import minari
    from gymnasium.spaces import Box, Discrete

    if name in minari.list_local_datasets():
        minari.delete_dataset(name)  # of an earlier run of this cell
    return minari.create_dataset_from_buffers(
        name,
        [to_minari(episode) for episode in episodes],
        observation_space=Box(-1.0, 1.0, (4,)),
        action_space=Discrete(2),
        algorithm_name="two shifts",
        description="west to dock, and north to ramp",
        author="a learner",
        author_email="learner@example.org",
        code_permalink="lesson 10",
    )


# %% [markdown]
# And back, shifting the observations apart again.


# %%
def from_minari(episode):
    observations = torch.as_tensor(episode.observations)
    ended = {"terminated": episode.terminations, "truncated": episode.truncations}
    after = {name: torch.as_tensor(flags)[:, None] for name, flags in ended.items()}
    after["done"] = after["terminated"] | after["truncated"]
    after["reward"] = torch.as_tensor(episode.rewards, dtype=torch.float32)[:, None]
    step = {"observation": observations[:-1], "action": torch.as_tensor(episode.actions)}
    after["observation"] = observations[1:]
    return TensorDict({**step, "next": after}, batch_size=[len(episode)])


# %% tags=["look"]
import warnings

if has_minari:
    with warnings.catch_warnings():  # Minari misses an environment of Gymnasium's; the hall is none
        warnings.simplefilter("ignore", UserWarning)
        dataset = store("hall/shifts-v0", episodes)
    print(f"{dataset.id}: {dataset.total_episodes} episodes, {dataset.total_steps:,} steps")
    read = [from_minari(episode) for episode in dataset]
    same = torch.equal(read[0]["observation"], episodes[0]["observation"].cpu())
    print("read back as it was written:", same)

# %% [markdown]
# The comparison is worth its line. TorchRL has a class for this
# step, *MinariExperienceReplay*, which turns a Minari dataset, downloaded or your own, into a replay
# buffer. In release 0.14.1, with which this course is tested, what it hands out has the right shapes,
# and every number in it is zero. No error is raised. Nothing replaces a look at what was loaded.
#
# ## Look before you learn  (about 25 min to here)
#
# What does the record hold? What do its episodes pay, and where has a robot been?

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
returns = torch.tensor([episode["next", "reward"].sum().item() for episode in episodes])
places = torch.cat(episodes)["observation"].cpu()
x, y = 5 * (places[:, 0] + 1), 4 * (places[:, 1] + 1)
late = torch.cat(
    [
        torch.full((len(episode),), bool(pays > 1))
        for episode, pays in zip(episodes, returns, strict=True)
    ]
)
# %% tags=["look"]
figure, axes = plt.subplots(figsize=(6, 3.6))
for shift, rows, shade in [
    ("early shift, pays 1", ~late, "C0"),
    ("late shift, pays 10", late, "C1"),
]:
    jitter = 0.3 * torch.rand(2, int(rows.sum())) - 0.15  # all frames of a cell would be one dot
    axes.scatter(x[rows] + jitter[0], y[rows] + jitter[1], s=2, color=shade, label=shift)
for letter, (column, row) in {"D": (6, 8), "R": (10, 4)}.items():
    axes.annotate(letter, (column, row), ha="center", va="center", fontweight="bold")
axes.set(xlabel="cell, west to east", ylabel="cell, north to south", xlim=(0, 11), ylim=(9, 0))
axes.legend(loc="upper left", bbox_to_anchor=(1, 1), markerscale=4)
show_figure(
    figure,
    f"{(~(returns > 1)).sum()} runs from the west to the dock, {(returns > 1).sum()} from the north to the ramp. They "
    "share a crossing and nothing else.",
)

# %% [markdown]
# Where dots lie, an agent can be told what happens; where none lie, it can only guess. **Coverage** is the word for
# it, of states and, in each state, of actions. Good halves of a path to the ramp are here: from the west to
# the crossing, and from the crossing to the ramp. To join them is called **stitching**.

# %% [markdown]
# ### Exercise 10.1: coverage  (4 min)
# The states are grouped, and the groups numbered from 0 to `cell_count - 1`. Each frame has the
# number of its group in `cells` and its action, 0 or 1, in `actions` (both of shape `[frames]`).
# Write `both_tried(cells, actions, cell_count)`: of the groups that were visited, the share in which
# *both* actions were tried.
# <details><summary>Hint</summary>A table of booleans,
# <code>torch.zeros(cell_count, 2, dtype=torch.bool)</code>, can be written at all frames at
# once: <code>seen[cells, actions] = True</code>. Then <code>all(1)</code> and <code>any(1)</code>.</details>


# %% tags=["exercise"]
from course_utils import check


def both_tried(cells, actions, cell_count):
    # your code
    ...


check("10.1", both_tried)


# %% tags=["solution"]
def both_tried(cells, actions, cell_count):
    seen = torch.zeros(cell_count, 2, dtype=torch.bool)
    seen[cells, actions] = True
    return seen.all(1).sum() / seen.any(1).sum()


check("10.1", both_tried)

# %% [markdown]
# And in our record, if each state is a group of its own?

# %% tags=["look"]
frames = torch.cat(episodes)
state_of = {tuple(row): number for number, row in enumerate(look.tolist())}
numbers = torch.tensor([state_of[tuple(row)] for row in frames["observation"].tolist()])
tried = torch.zeros(len(pairs), 2, dtype=torch.bool)
tried[numbers, frames["action"].cpu()] = True
print(
    f"states visited: {tried.any(1).sum()} of {len(pairs)}; both commands tried: {tried.all(1).sum()}"
)

# %% [markdown]
# In nearly every state one command was tried, and nobody knows what the other one does.
#
# ## The buffer is the world  (about 33 min to here)
#
# This is all of learning. Compare it with lesson 07: no environment, no collector, no
# exploration, no validation. The buffer is filled once. What is left to choose is the *method*: an
# agent, a loss, how its terms are weighed, and a target network if it has one. The dictionary
# `methods` will name a function for each method, which builds these; we write them one by one.

# %%
from types import SimpleNamespace

from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer


def learn(method, data, seed, watch=None):
    torch.manual_seed(seed)
    student = methods[method]()
    storage = LazyTensorStorage(len(data), device=device)
    buffer = TensorDictReplayBuffer(storage=storage, batch_size=settings.batch_size)
    buffer.extend(data)
    optimiser = torch.optim.Adam(student.loss.parameters(), settings.learning_rate, fused=True)
    for update in range(settings.updates):
        terms = student.loss(buffer.sample())
        loss = sum(weight * terms[name] for name, weight in student.weights.items())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.loss.parameters(), max_norm=10.0)
        optimiser.step()
        if student.target:
            student.target.step()
        if watch and (update + 1) % 100 == 0:
            watch(update + 1, student.agent)
    return student.agent


# %% [markdown]
# All agents and critics are made of one small network.

# %%
from torchrl.modules import MLP, ProbabilisticActor, QValueActor

actions = Categorical(2, device=device)


def make_network(outputs):
    return MLP(
        in_features=4,
        out_features=outputs,
        num_cells=[settings.width, settings.width],
        activation_class=torch.nn.ReLU,
        device=device,
    )


def make_value_agent():
    return QValueActor(make_network(2), in_keys=["observation"], spec=actions)


# %% [markdown]
# ### Cloning
# **Behaviour cloning** makes no use of rewards: in this state they turned, so turn. It is
# classification. A *ProbabilisticActor* turns the network's two numbers (*logits*) into the probabilities of
# the actions, and the loss is minus the log-probability of the recorded one. (TorchRL's *BCLoss* does
# this too; for whole-number actions release 0.14.1 wants a module that writes logits under `action`,
# which could not act, so we write the one line.)


# %%
def make_actor():
    return ProbabilisticActor(
        TensorDictModule(make_network(2), in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        spec=actions,
    )


# %%
class CloningLoss(torch.nn.Module):
    def __init__(self, actor):
        super().__init__()
        self.actor = actor

    def forward(self, batch):
        distribution = self.actor.get_dist(batch)
        return {"loss_bc": -distribution.log_prob(batch["action"]).mean()}


def cloning():
    actor = make_actor()
    return SimpleNamespace(
        agent=actor, loss=CloningLoss(actor), weights={"loss_bc": 1.0}, target=None
    )


# %% [markdown]
# ### Exercise 10.2: the cloning loss  (4 min)
# Write `cloning_loss(logits, action)`: `logits` has shape `[batch, actions]`, `action` holds whole
# numbers, shape `[batch]`. Return the mean of minus the log-probability of the recorded action, as a
# tensor: `backward` will be called on it.
# <details><summary>Hint</summary><code>logits.log_softmax(1)</code> gives all log-probabilities;
# <code>gather</code> picks one from each row.</details>


# %% tags=["exercise"]
def cloning_loss(logits, action):
    # your code
    ...


check("10.2", cloning_loss)


# %% tags=["solution"]
def cloning_loss(logits, action):
    log_probabilities = logits.log_softmax(1)
    return -log_probabilities.gather(1, action[:, None]).mean()


check("10.2", cloning_loss)

# %% [markdown]
# ### DQN without a world
# The same loss as in lesson 07, the same loop as for cloning.

# %%
from torchrl.objectives import DQNLoss, HardUpdate


def make_dqn_loss(agent):
    loss = DQNLoss(agent, loss_function="l2", delay_value=True)
    loss.make_value_estimator(gamma=settings.gamma)
    return loss


def copy_to_target(loss):
    return HardUpdate(loss, value_network_update_interval=settings.target_every)


def plain_dqn():
    agent = make_value_agent()
    loss = make_dqn_loss(agent)
    return SimpleNamespace(
        agent=agent, loss=loss, weights={"loss": 1.0}, target=copy_to_target(loss)
    )


# %% [markdown]
# What could go wrong? The target asks for the best value in the next state, and the network answers
# for *both* actions, also for one that nobody tried there. If that guess is too high, the max takes it.
# Online the agent would soon try that action and know better. Offline nobody ever does: the
# mistake is copied from target to target.
#
# ### CQL: doubt what was not tried
# **Conservative Q-learning** (Kumar et al., 2020) adds one term to DQN's loss:
#
# $$ \alpha\,\Big[ \log \sum_{a'} e^{Q(s, a')} - Q(s, a) \Big] $$
#
# The first part presses all values down, the high ones most; the second lifts the value of the
# recorded action. You write the term first.
#
# ### Exercise 10.3: CQL's term  (4 min)
# Write `cql_penalty(values, action)`: `values` is $Q(s, \cdot)$, shape `[batch, actions]`, `action`
# the recorded one, shape `[batch]`. Return the mean over the batch of the term in brackets.
# <details><summary>Hint</summary><code>values.logsumexp(1)</code> is the first part.</details>


# %% tags=["exercise"]
def cql_penalty(values, action):
    # your code
    ...


check("10.3", cql_penalty)


# %% tags=["solution"]
def cql_penalty(values, action):
    recorded = values.gather(1, action[:, None]).squeeze(1)
    return (values.logsumexp(1) - recorded).mean()


check("10.3", cql_penalty)

# %% [markdown]
# Hold the solutions of 10.2 and 10.3 side by side: with the values as logits they are the *same function*. CQL
# is DQN plus $\alpha$ times cloning. With a very large $\alpha$ it is a clone. So the whole method is `DQNLoss` and
# that term; with $\alpha = 0$ it is plain DQN, and nothing else differs.


# %%
class ConservativeLoss(torch.nn.Module):
    def __init__(self, agent):
        super().__init__()
        self.agent, self.dqn = agent, make_dqn_loss(agent)

    def forward(self, batch):
        values = self.agent(batch.select("observation"))["action_value"]
        recorded = values.gather(1, batch["action"][:, None]).squeeze(1)
        term = (values.logsumexp(1) - recorded).mean()
        return {"loss": self.dqn(batch)["loss"], "loss_cql": term}


def conservative_dqn():
    agent = make_value_agent()
    loss = ConservativeLoss(agent)
    weights = {"loss": 1.0, "loss_cql": settings.conservative}
    return SimpleNamespace(agent=agent, loss=loss, weights=weights, target=copy_to_target(loss.dqn))


# %% [markdown]
# ### Why not the library's own?  (about 53 min to here) (deeper)
# TorchRL has `DiscreteCQLLoss`. In release 0.14.1 it builds a target network and does not use it: its targets come
# from the network in training. The proof takes a few lines: change the target network alone, and see whose loss moves.

# %% tags=["look"]
from torchrl.objectives import DiscreteCQLLoss

library = DiscreteCQLLoss(make_value_agent(), loss_function="l2", delay_value=True)
library.make_value_estimator(gamma=settings.gamma)
for loss, term in [(make_dqn_loss(make_value_agent()), "loss"), (library, "loss_qvalue")]:
    copy_to_target(loss)  # else TorchRL warns that nobody would
    before = loss(frames[:32].clone())[term].item()
    loss.target_value_network_params.apply(lambda weights: weights.data.fill_(1.0))
    later = loss(frames[:32].clone())[term].item()
    print(f"{type(loss).__name__:16} {before:.4f}, and with another target network {later:.4f}")

# %% [markdown]
# `DQNLoss` asks its target network, `DiscreteCQLLoss` does not. Nothing warns you. Ask such a question of every loss
# you did not write.
#
# ### IQL: never ask  (about 55 min to here)
# **Implicit Q-learning** (Kostrikov et al., 2022) goes another way: it never asks for the value of an
# action that was not recorded. Beside the actor and $Q(s, a)$ there is a third network, $V(s)$. It
# learns what the *better* ones of the recorded actions were worth, and the actor clones, each action
# with the weight $e^{\beta (Q(s, a) - V(s))}$: the better than $V$, the more. `temperature` is
# $\beta$ (nothing to do with the temperature of SAC's entropy). `DiscreteIQLLoss` has three terms,
# for actor, $Q$ and $V$.

# %%
from torchrl.objectives import DiscreteIQLLoss


def implicit_q_learning():
    actor, observed = make_actor(), ["observation"]
    values = TensorDictModule(make_network(2), observed, ["state_action_value"])
    state_value = TensorDictModule(make_network(1), observed, ["state_value"])
    options = {"loss_function": "l2", "expectile": 0.9, "temperature": 3.0}
    loss = DiscreteIQLLoss(actor, values, state_value, action_space=actions, **options)
    loss.make_value_estimator(gamma=settings.gamma)
    weights = {"loss_actor": 1.0, "loss_qvalue": 1.0, "loss_value": 1.0}
    return SimpleNamespace(agent=actor, loss=loss, weights=weights, target=copy_to_target(loss))


# %% [markdown]
# So there are four methods. They differ in their loss and the networks it asks for; buffer, loop,
# optimiser and number of updates are the same.

# %% id="10-methods"
methods = {
    "cloning": cloning,
    "DQN": plain_dqn,
    "CQL": conservative_dqn,
    "IQL": implicit_q_learning,
}


# %% [markdown]
# ### Exercise 10.4: better than V  (4 min)
# IQL's $V$ is fitted with an *expectile* loss. `difference` is $Q(s, a) - V(s)$ for recorded actions,
# shape `[batch]`. Its squares are averaged, each weighed by `expectile` (0.8, say) where the
# difference is positive and by `1 - expectile` where it is not. Write
# `expectile_loss(difference, expectile)`.
# <details><summary>Hint</summary><code>torch.where(condition, a, b)</code> takes
# numbers for <code>a</code> and <code>b</code>.</details>


# %% tags=["exercise"]
def expectile_loss(difference, expectile):
    # your code
    ...


check("10.4", expectile_loss)


# %% tags=["solution"]
def expectile_loss(difference, expectile):
    weight = torch.where(difference > 0, expectile, 1 - expectile)
    return (weight * difference**2).mean()


check("10.4", expectile_loss)

# %% [markdown]
# ## Four students, one record  (about 61 min to here)
#
# Cloning has a cheap improvement: copy only the best. Keep the tenth of the episodes with the largest
# returns, and clone those.


# %%
def best_episodes(episodes, share):
    ranked = sorted(episodes, key=lambda episode: episode["next", "reward"].sum(), reverse=True)
    return ranked[: max(1, round(share * len(ranked)))]


# %% [markdown]
# ### Exercise 10.5: only the best  (4 min)
# Write `keep_best(returns, share)`: a boolean mask over the episodes, True for the
# `round(share * episodes)` largest returns (at least one; of equal returns, whichever you like).
# <details><summary>Hint</summary><code>returns.topk(count).indices</code></details>


# %% tags=["exercise"]
def keep_best(returns, share):
    # your code
    ...


check("10.5", keep_best)


# %% tags=["solution"]
def keep_best(returns, share):
    count = max(1, round(share * len(returns)))
    mask = torch.zeros(len(returns), dtype=torch.bool)
    mask[returns.topk(count).indices] = True
    return mask


check("10.5", keep_best)

# %% [markdown]
# Predict before you run: who drives from the west to the ramp? For DQN and CQL we also note what they *promise*
# on the way: the mean value of the greedy command in the states in which the exam starts.

# %% tags=["look"]
starts = TensorDict({"observation": look[states_of("e")]}, [len(states_of("e"))])
promises = {"DQN": {}, "CQL": {}}


def note(name):
    def watch(update, agent):
        with torch.no_grad():
            values = agent(starts.clone())["chosen_action_value"]
        promises[name][update] = values.mean().item()

    return watch


# %% tags=["look"]
data = torch.cat(episodes)
students = {
    "cloning": learn("cloning", data, seed),
    "cloning the best tenth": learn("cloning", torch.cat(best_episodes(episodes, 0.1)), seed),
    "DQN": learn("DQN", data, seed, note("DQN")),
    "CQL": learn("CQL", data, seed, note("CQL")),
    "IQL": learn("IQL", data, seed),
}

# %% [markdown]
# The exam, once, for everybody, those who wrote the record included.

# %% tags=["look"]
exam = settings.exam_seed + 1_000 * seed
sitting = {"early shift": driver("D"), **students, "the shortest way": driver("R")}
exams = {name: evaluate(agent, 100, exam) for name, agent in sitting.items()}
for name, returns in exams.items():
    ramp, dock = (100 * (returns == paid).float().mean() for paid in (10, 1))
    print(f"{name:24} return {returns.mean():5.2f}   ramp {ramp:3.0f}   dock {dock:3.0f}")

# %% [markdown]
# *Cloning* does at the crossing what most did there: it turns to the dock. The clone of the *best* has only seen
# the late shift, who never was in the west. *DQN* gets nowhere at all. *CQL* and *IQL* drive a way that nobody ever
# drove, from two halves that were recorded.
#
# ## What was promised, what was kept  (about 69 min to here)
#
# What did DQN and CQL promise on the way? Here with two lines that training could not know: what the shortest way
# is worth, discounted, and what each agent's driving really was worth in its exam.

# %% tags=["look"]
worth = {
    name: evaluate(agent, 100, exam, settings.gamma).mean().item()
    for name, agent in sitting.items()
}
figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
words = []
for panel, (name, noted) in zip(panels, promises.items(), strict=True):
    panel.plot(list(noted), list(noted.values()), color="C0", label="promised")
    panel.axhline(worth[name], color="C1", label="real, in its exam")
    panel.axhline(
        worth["the shortest way"], linestyle="--", color="C2", label="the most that is possible"
    )
    panel.set(title=name, xlabel="updates")
    promised = list(noted.values())[-1]
    words.append(f"{name} promises {promised:.1f} and is worth {worth[name]:.1f}")
panels[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
most = worth["the shortest way"]
show_figure(figure, "; ".join(words) + f"; no driver can be worth more than {most:.1f}")

# %% [markdown]
# To promise more than can follow is called **overestimation**. DQN's promise is above what anybody could reach, and
# nothing came of it. In the end the promise of CQL lies below what its driving is worth (on the way it once lay above
# it): that is what *conservative* means.
#
# That has its price. With a larger $\alpha$ the promise sinks and the agent becomes a clone; with a
# smaller one it becomes DQN. Here $\alpha$ was chosen by playing, on the seeds 0 to 2: offline,
# nobody would tell you. (So the exam above, of seed 0, is no fresh one; the ten seeds below are.)
#
# ## Does it hold?  (about 71 min to here) (deeper)
#
# One seed proves little. Here is the same with other seeds, records and all; every dot is one seed. On the right, what
# was promised against what was kept: above the line lie the promises that were broken.

# %% tags=["look"]
from course_utils import load_results

runs = load_results("10_offline_rl")["runs"]["offline"]
{
    name: round(sum(run["test_return"] for run in found.values()) / len(found), 1)
    for name, found in runs.items()
}

# %% tags=["look"]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
for row, found in enumerate(runs.values()):
    left.scatter(
        [run["test_return"] for run in found.values()], [row] * len(found), s=30, alpha=0.7
    )
left.set(yticks=range(len(runs)), yticklabels=list(runs), xlabel="mean return of the exam")
left.invert_yaxis()
for name in ("DQN", "CQL"):
    kept, told = ([run[key] for run in runs[name].values()] for key in ("worth", "promised"))
    right.scatter(kept, told, s=30, alpha=0.7, label=name)
kept_exactly = torch.linspace(0, 5, 50)
right.plot(kept_exactly, kept_exactly, "--", color="grey", label="kept exactly")
right.set(xlabel="real, discounted", ylabel="promised", yscale="symlog")
right.legend(loc="upper left", bbox_to_anchor=(1, 1))
broken = {
    name: sum(run["promised"] > run["worth"] for run in runs[name].values())
    for name in ("DQN", "CQL")
}
show_figure(
    figure,
    "; ".join(
        f"{name} broke its promise on {count} of {len(runs[name])} seeds"
        for name, count in broken.items()
    ),
)

# %% [markdown]
# (All numbers stand in [the benchmark](../docs/benchmark.md). To repeat it: <code>make bench ARGS='--groups offline'</code>.)
#
# Read it seed by seed. *Cloning* never does better than the early shift, whose way it copies; the clone of the *best*
# never delivers anything. *DQN* breaks its promise on every seed, and delivers nothing either. *CQL*, which is DQN and
# one term, beats all of them on every seed, and on nine of ten promises less than it keeps.
# *IQL* delivers a little more often, and takes more than twice as long as CQL; its settings were not searched.
#
# CQL is not perfect: from about one start in ten it does not reach the ramp.
#
# Where does offline RL **not** help? If the record is good, clone it: nothing is simpler. And no loss makes up for what
# nobody recorded, nor is there anybody to tell you, offline, which of your seeds is the bad one.
#
# ## A real record: what a shop showed  (about 76 min to here) (deeper)
#
# The hall is made up. This record is real: one week in November 2019 of a large fashion shop, ZOZOTOWN. A panel shows
# three of 34 items for men, side by side. For each display it is noted which item stood in which place, and whether
# it was clicked. Who chose the item was drawn by lot: *chance*, which takes all items alike, or a *bandit*, a program
# that has learned from clicks what to show (Thompson sampling). The course carries 10,000 displays of each, from the
# Open Bandit Dataset (Saito et al., 2020). Source, licence and what we left out stand beside it, in
# `examples/records/README.md`.

# %% tags=["look"]
import numpy as np
from course_utils import real_records


def read_shop(name):
    table = np.genfromtxt(real_records() / f"shop_by_{name}.csv", delimiter=",", names=True)
    columns = {key: torch.as_tensor(table[key]).float() for key in table.dtype.names}
    for key in ["item", "place"]:
        columns[key] = columns[key].long()
    return TensorDict(columns, [len(table)])


shop = {name: read_shop(name) for name in ["chance", "bandit"]}
for name, displays in shop.items():
    days = displays["second"].max().item() / 86_400
    clicked = displays["click"].mean().item()
    print(f"{name}: {len(displays):,} displays in {days:.1f} days, {clicked:.2%} of them clicked")
shop["bandit"][0]

# %% [markdown]
# An episode is one step long: show an item, and it is clicked or not. Beside place and item stands the
# **propensity**: how likely this item was in this place when it was chosen. (The four `user` entries are properties
# of the visitor, as numbers without a meaning.) Look before you learn: what was shown how often?

# %% tags=["look"]
figure, axes = plt.subplots(figsize=(8, 3))
shown = {name: displays["item"].bincount(minlength=34) for name, displays in shop.items()}
for shift, name in [(-0.2, "chance"), (0.2, "bandit")]:
    axes.bar(torch.arange(34) + shift, shown[name], width=0.4, label=name)
axes.set(xlabel="item", ylabel="displays")
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
facts = [f"{name} from {counts.min()} to {counts.max()} times" for name, counts in shown.items()]
show_figure(figure, f"How often each of the 34 items was shown: {', '.join(facts)}.")

# %% [markdown]
# Chance covers all items. The bandit has favourites, and some items it hardly ever shows.
#
# What would be clicked if *another* policy chose the items? Nobody can ask the shop any more. But a display that the
# other policy would show three times as often can count three times. That is **inverse propensity weighting**:
#
# $$ \text{value} = \frac{1}{n} \sum_i w_i\, r_i, \qquad w_i = \frac{\pi(a_i \mid s_i)}{\text{propensity}_i} $$
#
# Here $r_i$ is 1 for a click and $s_i$ is the place. The policy $\pi$ is a table, places by items. For the bandit we
# take what it showed in the mean of the week; its propensities change from display to display.

# %% tags=["look"]
policies = {"chance": torch.full((3, 34), 1 / 34), "bandit": torch.zeros(3, 34)}
for place in range(3):
    items = shop["bandit"]["item"][shop["bandit"]["place"] == place]
    policies["bandit"][place] = items.bincount(minlength=34) / len(items)


def judge_from(displays, policy):
    weights = policy[displays["place"], displays["item"]] / displays["propensity"]
    gains = weights * displays["click"]
    return weights, gains.mean().item(), gains.std().item() / len(gains) ** 0.5


# %% [markdown]
# Both policies really ran, so each estimate can be held against what was clicked in the policy's own
# record (of the bandit our table is the mean week, which is nearly what ran). Predict: from which of
# the two records can the other policy be judged better?

# %% tags=["look"]
estimates = {}
for name, other in [("bandit", "chance"), ("chance", "bandit")]:
    weights, value, error = judge_from(shop[other], policies[name])
    real = shop[name]["click"].mean().item()
    estimates[name] = (value, error, real)
    effective = (weights.sum() ** 2 / (weights**2).sum()).item()
    print(
        f"{name}, judged from the record of {other}: {value:.2%} ± {error:.2%}, really {real:.2%}"
    )
    print(f"    weights: mean {weights.mean():.2f}, largest {weights.max():.0f}", end="; ")
    print(f"the {len(weights):,} displays are worth {effective:,.0f}")

# %% [markdown]
# (After ± stands one standard error. The real values come from 10,000 displays each, and are off by about 0.08 % as
# well.)
#
# From the record of *chance* the bandit's value comes out within its error. From the record of the *bandit*, the
# value of chance comes out much too small. What the bandit hardly ever shows has a tiny propensity, and so a huge
# weight. Counted by the **effective sample size**, $(\sum w)^2 / \sum w^2$, less than a tenth of that record is left.
# The mean weight should be 1: where it is not, the weights have not been sampled well. And which displays were
# clicked?

# %% tags=["look"]
displays = shop["bandit"]
weights, _, _ = judge_from(displays, policies["chance"])
order = weights.argsort()
clicked = displays["click"][order] > 0
ranks = torch.arange(len(order))
figure, axes = plt.subplots()
axes.plot(ranks, weights[order], color="C0", label="all displays")
axes.scatter(ranks[clicked], weights[order][clicked], color="C1", zorder=3, label="clicked")
axes.set(yscale="log", xlabel="displays of the bandit, by weight", ylabel="weight")
figure.legend(loc="outside right upper")
top, most = weights[displays["click"] > 0].max(), weights.max()
show_figure(
    figure,
    f"The largest weight of a clicked display is {top:.1f}, the largest of all {most:.0f}. One click on that one "
    f"would have added {most / len(weights):.1%} to the estimate.",
)

# %% [markdown]
# Not one click fell on a display with a large weight. Had a single one, the estimate would have been several times as
# large. The printed error knows nothing of that: it is computed from what was seen, as the estimate is. In the mean
# over many records inverse propensity weighting is right; one record can be far off, and look sure.
#
# And could a third policy do better than both? We look for the item that one half of chance's record clicks most, and
# judge "always show this one" on each half. Predict both numbers.

# %% tags=["look"]
halves = {"the half that chose it": shop["chance"][::2], "the other half": shop["chance"][1::2]}
chooser = halves["the half that chose it"]
rates = [chooser["click"][chooser["item"] == item].mean() for item in range(34)]
best = torch.stack(rates).argmax()
always = torch.zeros(3, 34)
always[:, best] = 1.0
for name, half in halves.items():
    _, value, error = judge_from(half, always)
    print(f"always item {best}, judged by {name}: {value:.2%} ± {error:.2%}")

# %% [markdown]
# The half that chose the item promises three times what the other half finds. Lesson 14 calls it the winner's curse:
# what was chosen for its numbers is not to be judged by the same numbers.
#
# ### What TorchRL does with it (deeper)
#
# To a replay buffer the propensity is one entry more: kept, and handed out with its frame. No sampler looks at it,
# nor do DQN, CQL and IQL. The losses of lesson 08 do: what PPO keeps as `action_log_prob` *is* the logarithm of the
# propensity, and its ratio is our weight. So `ClipPPOLoss`, asked about the policy of chance, should tell our
# numbers. (`Embedding` looks up a row of the table; a click is the advantage.)

# %% tags=["look"]
from torchrl.data import SamplerWithoutReplacement
from torchrl.objectives import ClipPPOLoss

table = torch.nn.Embedding.from_pretrained(policies["chance"].log())
chance_actor = ProbabilisticActor(
    TensorDictModule(table, in_keys=["place"], out_keys=["logits"]),
    in_keys=["logits"],
    distribution_class=torch.distributions.Categorical,
)
columns = {"place": displays["place"], "action": displays["item"]}
columns |= {
    "action_log_prob": displays["propensity"].log(),
    "advantage": displays["click"][:, None],
}
storage = LazyTensorStorage(len(displays))
each_once = SamplerWithoutReplacement()
buffer = TensorDictReplayBuffer(storage=storage, sampler=each_once, batch_size=len(displays))
buffer.extend(TensorDict(columns, [len(displays)]))
readings = ClipPPOLoss(chance_actor, None, entropy_bonus=False)(buffer.sample())
for key in ["mean_ratio", "max_ratio", "ESS", "clip_fraction"]:
    print(f"{key:14} {readings[key].item():.3f}")

# %% [markdown]
# Mean and largest ratio are those of our weights, and `ESS` is the effective sample size as a share of the frames.
# The clip fraction is the warning of lesson 08: nearly every ratio has left the limits. Clipping would calm the
# estimate, and make it wrong in the mean.
#
# In an episode of many steps the weights of all its steps are multiplied, and soon nearly nothing is left of a
# record. That is why the methods of this lesson learn values instead.
#
# ## More records  (about 86 min to here) (deeper)
#
# Many records are public. Minari's are read like ours; for other collections TorchRL has replay buffers, all built
# alike: you sample from them as from ours. **These lines are not run here: each downloads its data**, from megabytes
# to many gigabytes, and needs a network.
#
# ```python
# import minari
# from torchrl.data.datasets import (
#     AtariDQNExperienceReplay, D4RLExperienceReplay, OpenXExperienceReplay,
# )
#
# hand = minari.load_dataset("D4RL/door/human-v2", download=True)  # a robot hand, moved by people
# hand = torch.cat([from_minari(episode) for episode in hand])
# maze = D4RLExperienceReplay("maze2d-umaze-v1", batch_size=256, direct_download=True)
# pong = AtariDQNExperienceReplay("Pong/5", batch_size=256)  # the fifth of DQN's five trainings
# arm = OpenXExperienceReplay("cmu_stretch", batch_size=256, num_slices=8)  # robots, as slices
# batch = maze.sample()
# ```
#
# | loader | what it holds | needs besides a network |
# |---|---|---|
# | `minari.load_dataset` | Minari's public collection, D4RL's tasks among them | `minari[hdf5,hf]` |
# | `D4RLExperienceReplay` | the older D4RL collection | `h5py` |
# | `AtariDQNExperienceReplay` | what DQN saw in training on 60 Atari games | `gsutil`; gigabytes of disk |
# | `OpenXExperienceReplay` | demonstrations by many robots, with camera images | `datasets<4`, `torchvision` |
#
# Others wrote them: look at each of them first, as we did.

# %% [markdown]
# ### Exercise 10.6: build it: a record, an offline loss, an honest exam  (15 min)
# All of this lesson in one function of yours, on another small world. Write
# `offline_run(record, make_env, used_seeds)`:
#
# - `record` is a tensordict of frames: `observation` (eight numbers), `action` (0 or 1), and under `next` the
#   `observation`, `reward`, `terminated`, `truncated` and `done`. Learn from it alone, with $\gamma = 0.9$, CQL's
#   term with the weight 1, and some 400 updates at a learning rate of 0.01.
# - Then hold the exam: `make_env(count, seed)` gives an environment of `count` copies, whose episodes end after at
#   most 12 steps. Play 20 episodes, greedily, with a seed that is not in `used_seeds`.
# - Return two things: the agent (it writes `action_value` and `action`, as a `QValueActor` does), and
#   the returns of the 20 episodes: sums of rewards without a discount, of the first episode of each
#   copy.
#
# Use as many cells as you like. The check watches what your function does: whether it plays before it has learned, what
# it promises where an episode ended and where a clock stopped it, and how it held its exam.
# <details><summary>Hint 1: the parts</summary>An agent as in <code>make_value_agent</code> (eight inputs), a loss as in
# <code>ConservativeLoss</code>, the loop of <code>learn</code>, the exam of <code>play</code> and
# <code>evaluate</code>.</details>
# <details><summary>Hint 2: the loss</summary><code>DQNLoss</code> masks ends by itself. Add your term of 10.3 to
# its <code>loss</code>. Its target network wants a step of <code>HardUpdate</code> after each of the
# optimiser.</details>
# <details><summary>Hint 3: the exam</summary><code>rollout(12, agent, break_when_any_done=False)</code> starts a new
# episode in a row whose first one ended. Count the first one alone: the steps at which
# <code>done.cumsum(1) - done.int() == 0</code>.</details>


# %% tags=["exercise"]
def offline_run(record, make_env, used_seeds):
    # your code
    ...


check("10.6", offline_run)


# %% tags=["solution"]
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import ExplorationType, set_exploration_type
from torchrl.modules import MLP, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate


def small_loss():
    network = MLP(in_features=8, out_features=2, num_cells=[32])
    agent = QValueActor(network, in_keys=["observation"], spec=Categorical(2))
    loss = DQNLoss(agent, loss_function="l2", delay_value=True)
    loss.make_value_estimator(gamma=0.9)
    return agent, loss, HardUpdate(loss, value_network_update_interval=10)


def first_returns(rollout):
    reward, done = (rollout["next", key].squeeze(-1) for key in ("reward", "done"))
    return (reward * (done.cumsum(1) - done.int() == 0)).sum(1)


# %% tags=["solution"]
def offline_run(record, make_env, used_seeds):
    agent, loss, target = small_loss()
    optimiser = torch.optim.Adam(loss.parameters(), 1e-2)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(len(record)), batch_size=128)
    buffer.extend(record)
    for _ in range(400):
        batch = buffer.sample()
        values = agent(batch.select("observation"))["action_value"]
        recorded = values.gather(1, batch["action"][:, None]).squeeze(1)
        total = loss(batch)["loss"] + (values.logsumexp(1) - recorded).mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        target.step()
    envs = make_env(20, max(used_seeds) + 1)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return agent, first_returns(envs.rollout(12, agent, break_when_any_done=False))


check("10.6", offline_run)

# %% [markdown]
# ## What you can do now
# You can write a record and read it back, look at what it covers, clone it, and learn more from it than it shows; and
# you compare what was promised with what was kept. From a record with propensities you can say what another policy
# would have been worth, and how far to believe it. You know which question to ask first: what does the record *not*
# cover?
#
# **Try next:** predict what CQL becomes with a large weight: `settings = Settings(conservative=30.0)`, then `learn` and
# examine it again. Or wall up the crossing for the late shift, and see who still finds the ramp.
#
# Next: [{{next title}}]({{next file}}).
