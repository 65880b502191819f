# ---
# jupyter:
#   course:
#     title: "Offline RL: learn from what others wrote down"
#     objectives:
#       - store play as a dataset, load it into a replay buffer, and look at it before learning from it
#       - clone what the data shows, and say when that is enough
#       - see DQN promise the impossible offline, and find out with a control what CQL changes
#       - swap one loss for another while buffer, loop and judge stay the same
#     prerequisites: PyTorch and lessons 03, 04, 05 and 07
#     minutes: {reading: 38, exercises: 20}
# ---

# %% [markdown]
# ## Nobody may play  (about 2 min to here)
#
# In every lesson so far the agent could try things. Often it may not: a hospital, a car, a factory
# will not let a beginner experiment, but they have kept records for years. **Offline RL** learns
# from such a record alone. The collector is gone, and the replay buffer is the world.
#
# Here is our record: half of it was written by a player that pushes at random, half by agents that
# were stopped halfway through their training. No good agent wrote a line of it. Before you read
# on, predict: can what is learned from it play better than everyone who wrote it?
#
# As always, the rule comes first:
#
# > **Solved** = a mean return of at least 475 over 100 fresh greedy episodes of the unmodified
# > CartPole. And because there is nobody to ask, **training never plays**: the number of updates is
# > fixed in advance, and the last weights are examined, once.
#
# Lesson 07 kept the weights that had played best. That was a luxury: to know them, it played.

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
    player_frames: int = 2_560  # the players' own training, online
    half_trained_return: float = 120.0  # what we call half-trained
    epsilon: float = 0.3  # half-trained players push at random this often
    part_frames: int = 10_000  # frames of a part of the record
    updates: int = 1_500  # of every method
    batch_size: int = 256
    width: int = 128  # units in each of the two hidden layers
    learning_rate: float = 5e-4
    gamma: float = 0.99
    target_every: int = 100  # updates between two copies to the target network
    conservative: float = 0.1  # weight of CQL's second term
    exam_seed: int = 1_000_000_000  # far from the seeds of the record


settings = Settings()

# %% [markdown]
# The environment and the judge are those of lesson 07: many copies side by side, and only the first
# episode of each counts.

# %%
import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import ExplorationType, GymWrapper, set_exploration_type


def make_envs(count, seed, **options):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("CartPole-v1", count, "sync", vector_kwargs=autoreset, **options)
    envs = GymWrapper(copies, categorical_action_encoding=True, device=device)
    envs.set_seed(seed)
    return envs


def evaluate(policy, episodes, seed):
    envs = make_envs(episodes, seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = envs.rollout(500, policy, break_when_all_done=True)
    reward, done = rollout["next", "reward"].squeeze(-1), rollout["next", "done"].squeeze(-1)
    ends_before = done.cumsum(1) - done.int()
    return (reward * (ends_before == 0)).sum(1)


# %% [markdown]
# ## The players  (about 7 min to here)
#
# Somebody must have played. We train DQN briefly, in the manner of lesson 07, and after every 64 frames
# photograph its weights with the return they reach. (This is the only training online in this
# lesson.) Networks first; all agents and critics below are made of this one.

# %%
from torchrl.data import Categorical
from torchrl.modules import MLP, QValueActor

actions = Categorical(2, device=device)


class Scale(torch.nn.Module):
    def forward(self, observation):
        return observation * observation.new_tensor([1.0, 1.0, 5.0, 1.0])  # the angle is small


def make_network(outputs):
    cells = [settings.width, settings.width]
    layers = MLP(
        in_features=4, out_features=outputs, num_cells=cells, activation_class=torch.nn.ReLU
    )
    return torch.nn.Sequential(Scale(), layers).to(device)


def make_value_agent():
    return QValueActor(make_network(2), in_keys=["observation"], spec=actions)


# %% [markdown]
# `DQNLoss`, `HardUpdate`, `EGreedyModule`, `Collector` and `TensorDictReplayBuffer` are old
# acquaintances; `sutton_barto_reward` gives -1 for a fall and 0 otherwise.

# %%
from copy import deepcopy

from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.modules import EGreedyModule
from torchrl.objectives import DQNLoss, HardUpdate


# %%
def train_online(agent, seed):
    egreedy = EGreedyModule(actions, 1.0, 0.15, annealing_num_steps=5_000).to(device)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(5_000, device=device), batch_size=128)
    loss_module = DQNLoss(agent, loss_function="l2", delay_value=True)
    loss_module.make_value_estimator(gamma=0.95)
    target = HardUpdate(loss_module, value_network_update_interval=32)
    optimiser = torch.optim.Adam(loss_module.parameters(), 5e-4)
    envs = make_envs(16, 100_000 * seed, sutton_barto_reward=True)
    options = {"auto_register_policy_transforms": False, "track_traj_ids": False}
    options |= {"frames_per_batch": 64, "total_frames": settings.player_frames}
    collector = Collector(envs, TensorDictSequential(agent, egreedy), **options)
    try:
        for batch in collector:
            buffer.extend(batch.reshape(-1))
            egreedy.step(batch.numel())
            if len(buffer) >= 1_000:
                for _ in range(8):
                    optimiser.zero_grad()
                    loss_module(buffer.sample())["loss"].backward()
                    torch.nn.utils.clip_grad_norm_(loss_module.parameters(), 10.0)
                    optimiser.step()
                    target.step()
                yield
    finally:  # also if nobody asks for the rest
        collector.shutdown()


# %% [markdown]
# From the photographs we keep the three agents nearest to a return of 120, our half-trained players,
# and the best one for a comparison at the end.


# %%
def make_players(seed):
    torch.manual_seed(seed)
    agent, photographs = make_value_agent(), []
    for _ in train_online(agent, seed):
        reached = evaluate(agent, episodes=8, seed=500_000_000).mean().item()
        photographs.append((reached, deepcopy(agent)))
        if reached >= 475:
            break
    nearest = sorted(photographs, key=lambda shot: abs(shot[0] - settings.half_trained_return))
    best = max(photographs, key=lambda shot: shot[0])
    return [agent for _, agent in nearest[:3]], best[1]


# %% tags=["look"]
half_trained, good_player = make_players(seed)
for player in [*half_trained, good_player]:
    print(f"mean return {evaluate(player, 20, seed=400_000_000).mean():.0f}")


# %% [markdown]
# ## Write it down  (about 12 min to here)
#
# The players play, and every step is recorded: half of the time they push at random
# (`policy=None`), the other half of the time the half-trained agents play, with
# $\varepsilon = 0.3$. `record` makes a rollout of ten copies, as lesson 07 did, and cuts its rows into
# episodes. The recorder stops in the middle of one: that is the clock's doing, so we write
# *truncated*. A second record, by the best player alone, is kept for the end.


# %%
def record(policy, frames, seed, epsilon=0.0):
    if epsilon:
        policy = TensorDictSequential(policy, EGreedyModule(actions, epsilon, epsilon).to(device))
    torch.manual_seed(seed)
    envs = make_envs(10, 1_000_000 + 1_000 * seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        table = envs.rollout(frames // 10, policy, break_when_any_done=False)
    table["next", "truncated"][:, -1] |= ~table["next", "terminated"][:, -1]
    table["next", "done"] = table["next", "terminated"] | table["next", "truncated"]
    kept = ["observation", "action", *(("next", key) for key in ["observation", "reward"])]
    kept += [("next", key) for key in ["terminated", "truncated", "done"]]
    frames = table.select(*kept).reshape(-1)
    ends = frames["next", "done"].squeeze(-1).nonzero().squeeze(-1) + 1
    return list(frames.split(ends.diff(prepend=ends.new_zeros(1)).tolist()))


# %%
def make_records(half_trained, good_player, seed):
    frames = settings.part_frames
    mixed = record(None, frames, seed)
    for number, player in enumerate(half_trained):
        mixed += record(player, frames // 3 // 10 * 10, seed + 100 + number, settings.epsilon)
    return {"mixed": mixed, "good": record(good_player, frames, seed + 200)}


# %% tags=["look"]
records = make_records(half_trained, good_player, seed)
mixed_episodes = records["mixed"]
print(f"{len(mixed_episodes)} episodes, {sum(map(len, mixed_episodes)):,} frames")

# %% [markdown]
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

    if name in minari.list_local_datasets():
        minari.delete_dataset(name)  # of an earlier run of this cell
    return minari.create_dataset_from_buffers(
        name,
        [to_minari(episode) for episode in episodes],
        env="CartPole-v1",
        eval_env="CartPole-v1",
        algorithm_name="random and half-trained DQN",
        description="half random pushes, half agents stopped halfway through training",
        author="a learner",
        author_email="learner@example.org",
        code_permalink="lesson 10",
    )


# %% tags=["look"]
if has_minari:
    dataset = store("cartpole/mixed-v0", mixed_episodes)
    print(f"{dataset.id}: {dataset.total_episodes} episodes, {dataset.total_steps:,} steps")
    print("observations", dataset[0].observations.shape, "actions", dataset[0].actions.shape)

# %% [markdown]
# `MINARI_DATASETS_PATH` names the folder. Without it Minari would write to your home.
#
# ## Look before you learn  (about 20 min to here)
#
# First read it back as TorchRL wants it, shifting the observations apart again.

# %%
from tensordict import TensorDict


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
if has_minari:
    import minari

    dataset = minari.load_dataset("cartpole/mixed-v0")
    episodes = [from_minari(episode) for episode in dataset]
    same = torch.equal(episodes[0]["observation"], mixed_episodes[0]["observation"].cpu())
    print("read back as it was written:", same)
else:
    episodes = [episode.cpu() for episode in mixed_episodes]


# %% tags=["look"]
episodes[0]

# %% [markdown]
# One episode in TorchRL's form. The comparison above is worth its line. TorchRL has a class for this
# step, *MinariExperienceReplay*, which turns a Minari dataset, downloaded or your own, into a replay
# buffer. In release 0.14.1, with which this course is tested, what it hands out has the right shapes,
# and every number in it is zero. No error is raised. Nothing replaces a look at what was loaded.
#
# Now what the record holds. How long are its episodes, and where has it been?

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style
from matplotlib.colors import ListedColormap

use_course_style()
returns = torch.tensor([episode["next", "reward"].sum().item() for episode in episodes])
frames = torch.cat(episodes)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.hist(returns.numpy(), bins=40)
left.axvline(475, linestyle="--", color="black")
left.set(
    xlabel="return of an episode (dashed: 475)", ylabel="episodes", xlim=(0, 500), yscale="log"
)
order = torch.randperm(len(frames))  # drawn one after the other, one action would hide the other
position, _, angle, _ = frames["observation"][order].unbind(1)
pushes = ListedColormap(["C0", "C1"])
dots = right.scatter(position, angle, s=1, c=frames["action"][order], cmap=pushes)
right.set(xlabel="cart position (the track ends at 2.4)", ylabel="pole angle")
right.legend(dots.legend_elements()[0], ["pushed left", "pushed right"], loc="lower right")
far = frames["observation"][:, 0].abs().max()
show_figure(
    figure,
    f"{len(returns)} episodes, half of them shorter than {returns.median():.0f} steps, the longest "
    f"{returns.max():.0f}. The cart was never farther than {far:.1f} from the middle.",
)

# %% [markdown]
# This is what an agent can know: where dots lie, it can be told what happens; where none lie, it can
# only guess. **Coverage** is the word for it, of states and, in each state, of actions. What lies
# beyond the last dot, in particular the end of the track, may never have been recorded at all.

# %% [markdown]
# ### Exercise 10.1: coverage  (4 min)
# Cut the states into `cell_count` cells. Each frame has the number of its cell in `cells` and its
# action, 0 or 1, in `actions` (both of shape `[frames]`). Write
# `both_tried(cells, actions, cell_count)`: of the cells that were visited, the share in which *both*
# actions were tried.
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
# ## The buffer is the world  (about 28 min to here)
#
# Rewards may be written anew as long as the record tells what happened: as in lesson 07, a fall
# costs -1 and all else is 0. A pole that never falls is then worth 0, and **no state can be worth more
# than 0**. Keep this in mind: it lets us catch a lie.


# %%
def for_learning(episodes):
    frames = torch.cat(episodes)
    kept = frames.select("observation", "action", ("next", "observation"))
    fell = frames["next", "terminated"]
    kept["next", "reward"] = -fell.float()
    kept["next", "terminated"] = fell
    kept["next", "done"] = frames["next", "done"]
    return kept.to(device)


# %% tags=["look"]
mixed = for_learning(episodes)

# %% [markdown]
# And this is all of learning. Compare it with lesson 07: no environment, no collector, no
# exploration, no validation. The buffer is filled once. What is left to choose is the *method*: an
# agent, a loss, how its terms are weighed, and a target network if it has one. The dictionary
# `methods` will name a function for each method, which builds these; we write them one by one.

# %%
from types import SimpleNamespace


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
# ### Cloning
# **Behaviour cloning** makes no use of rewards: in this state they pushed left, so push left. It is
# classification. A *ProbabilisticActor* turns the network's two numbers (*logits*) into the probabilities of
# the actions, and the loss is minus the log-probability of the recorded one. (TorchRL's *BCLoss* does
# this too; for whole-number actions release 0.14.1 wants a module that writes logits under `action`,
# which could not act, so we write the one line.)

# %%
from tensordict.nn import TensorDictModule
from torchrl.modules import ProbabilisticActor


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
def plain_dqn():
    agent = make_value_agent()
    loss = DQNLoss(agent, loss_function="l2", delay_value=True)
    loss.make_value_estimator(gamma=settings.gamma)
    target = HardUpdate(loss, value_network_update_interval=settings.target_every)
    return SimpleNamespace(agent=agent, loss=loss, weights={"loss": 1.0}, target=target)


# %% [markdown]
# What could go wrong? The target asks for the best value in the next state, and the network answers
# for *both* actions, also for one that nobody tried there. If that guess is too high, the max takes it.
# Online the agent would soon try that action, fall, and know better. Offline nobody ever does: the
# mistake is copied from target to target.
#
# ### CQL: doubt what was not tried
# **Conservative Q-learning** (Kumar et al., 2020) adds one term to DQN's loss:
#
# $$ \alpha\,\Big[ \log \sum_{a'} e^{Q(s, a')} - Q(s, a) \Big] $$
#
# The first part presses all values down, the high ones most; the second lifts the value of the
# recorded action. `DiscreteCQLLoss` hands out both terms, `loss_qvalue` (DQN's) and `loss_cql`.

# %%
from torchrl.objectives import DiscreteCQLLoss


def conservative_dqn():
    agent = make_value_agent()
    loss = DiscreteCQLLoss(agent, loss_function="l2", delay_value=True)
    loss.make_value_estimator(gamma=settings.gamma)
    target = HardUpdate(loss, value_network_update_interval=settings.target_every)
    weights = {"loss_qvalue": 1.0, "loss_cql": settings.conservative}
    return SimpleNamespace(agent=agent, loss=loss, weights=weights, target=target)


def without_the_term():
    student = conservative_dqn()
    student.weights["loss_cql"] = 0.0
    return student


# %% [markdown]
# In release 0.14.1 the target network is built and copied here, and not used: `DiscreteCQLLoss` takes its targets
# from the network in training. So as run here CQL differs from DQN in two things, its term and this. To tell them
# apart we need a *control*: CQL with $\alpha = 0$, which is DQN without a target network.
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
# is DQN plus $\alpha$ times cloning. (TorchRL also halves DQN's part.) With a very large $\alpha$ it is a clone.
#
# ### IQL: never ask
# **Implicit Q-learning** (Kostrikov et al., 2022) goes another way: it never asks for the value of an
# action that was not recorded. A third network $V(s)$ learns what the *better* ones of the recorded
# actions were worth, and the actor clones, each action with the weight $e^{\beta (Q(s, a) - V(s))}$: the better
# than $V$, the more. `temperature` is $\beta$. `DiscreteIQLLoss` has three terms, for actor, $Q$ and $V$.

# %%
from torchrl.objectives import DiscreteIQLLoss


def implicit_q_learning():
    actor, observed = make_actor(), ["observation"]
    values = TensorDictModule(make_network(2), observed, ["state_action_value"])
    state_value = TensorDictModule(make_network(1), observed, ["state_value"])
    options = {"loss_function": "l2", "expectile": 0.8, "temperature": 3.0}
    loss = DiscreteIQLLoss(actor, values, state_value, action_space=actions, **options)
    loss.make_value_estimator(gamma=settings.gamma)
    target = HardUpdate(loss, value_network_update_interval=settings.target_every)
    weights = {"loss_actor": 1.0, "loss_qvalue": 1.0, "loss_value": 1.0}
    return SimpleNamespace(agent=actor, loss=loss, weights=weights, target=target)


# %% [markdown]
# So there are four methods and a control. They differ in their loss and the networks it asks for; buffer, loop,
# optimiser and number of updates are the same.

# %% id="10-methods"
methods = {
    "cloning": cloning,
    "DQN": plain_dqn,
    "CQL": conservative_dqn,
    "CQL without its term": without_the_term,
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
# ## Four students, one record  (about 46 min to here)
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
# Predict before you run: who of cloning, cloning the best, DQN, CQL and the control plays longest? For DQN and CQL we
# also note what they *believe* on the way: the share of recorded states that they give a value above 0,
# which no state can have.

# %% tags=["look"]
beliefs = {"DQN": {}, "CQL": {}}


def note(name):
    def watch(update, agent):
        with torch.no_grad():
            values = agent(mixed[::5].select("observation"))["chosen_action_value"]
        beliefs[name][update] = values.squeeze(-1).cpu()

    return watch


# %% tags=["look"]
best = for_learning(best_episodes(episodes, share=0.1))
students = {
    "cloning": learn("cloning", mixed, seed),
    "cloning the best tenth": learn("cloning", best, seed),
    "DQN": learn("DQN", mixed, seed, note("DQN")),
    "CQL": learn("CQL", mixed, seed, note("CQL")),
    "CQL without its term": learn("CQL without its term", mixed, seed),
}

# %% [markdown]
# The exam, once, for everybody, those who wrote the record included. Returns are also shown
# *normalised*: 0 is the random player, 1 the mean of the half-trained ones (playing greedily). The last line asks
# what the first page asked: who plays better than everyone who wrote it, the best of them included?

# %% tags=["look"]
exam = settings.exam_seed + 1_000 * seed
random_return = evaluate(None, 100, exam).mean().item()
teacher_returns = [evaluate(player, 100, exam).mean().item() for player in half_trained]
teacher_return = sum(teacher_returns) / len(teacher_returns)


def report(name, score):
    normalised = (score - random_return) / (teacher_return - random_return)
    verdict = "solved" if score >= 475 else ""
    print(f"{name:24}{score:6.1f}{normalised:8.2f}  {verdict}")


report("random player", random_return)
report("half-trained players", teacher_return)
exams = {name: evaluate(agent, 100, exam).cpu() for name, agent in students.items()}
for name, returns in exams.items():
    report(name, returns.mean().item())
ahead = [name for name, returns in exams.items() if returns.mean() > max(teacher_returns)]
print(f"better than the best writer ({max(teacher_returns):.0f}): {', '.join(ahead) or 'nobody'}")
with_term, control, dqn = (
    exams[name].mean().item() for name in ["CQL", "CQL without its term", "DQN"]
)
print(
    f"of CQL's lead over DQN ({with_term - dqn:+.0f}), {control - dqn:+.0f} is there without its term"
)

# %% tags=["look"]
from course_utils import record_episode, show_video

show_video(record_episode("CartPole-v1", students["CQL"], seed=1), "CQL, which never played")

# %% [markdown]
# One run. Before we make anything of it: what did DQN and CQL believe on the way?

# %% tags=["look"]
figure, panels = plt.subplots(1, 2, figsize=(9, 3.2))
words = []
for panel, (name, noted) in zip(panels, beliefs.items(), strict=True):
    means = [values.mean().item() for values in noted.values()]
    impossible = (list(noted.values())[-1] > 0).float().mean().item()
    panel.plot(list(noted), means, label="promised: mean value of recorded states")
    panel.axhline(0, linestyle="--", color="black", label="the most that is possible")
    panel.set(title=name, xlabel="updates")
    words.append(
        f"{name} promises {impossible:.0%} of the states more than 0, {means[-1]:.2f} in the mean"
    )
panels[1].legend(loc="upper left")
show_figure(figure, "; ".join(words))

# %% [markdown]
# To promise more than can follow is called **overestimation**. Nobody needs to play to see it here: a value
# above 0 promises better than never falling. And do not take "conservative" for "modest": compare the two
# scales. CQL's targets come from the network in training: what rises raises its own target. Its values are
# not true. But a greedy agent goes only by their *order* in a state, and that can be right all the same. So ask
# all of them, in the states of the half-trained players: how often would they push as was
# recorded there, and how often as the *best* player would, whom no student has seen?

# %% tags=["look"]
theirs = mixed[len(mixed) // 2 :]  # the second half of the record


def pushes_of(agent):
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return agent(theirs.select("observation"))["action"]


agrees = {}
for name, student in students.items():
    chosen, wise = pushes_of(student), pushes_of(good_player)
    agrees[name] = [(chosen == other).float().mean().item() for other in (theirs["action"], wise)]
    print(f"{name:24}{agrees[name][0]:.0%} as recorded, {agrees[name][1]:.0%} as the best player")

# %% [markdown]
# No student can agree with all that was recorded: three pushes in ten were random, so half of those are the other
# way. A clone should come closest: that is its whole aim. To leave the record is no merit in itself; it is one where
# the second number rises. (The best player is no measure of truth either: two good agents may push differently.)
#
# ## Does it hold?  (about 52 min to here)
#
# One seed proves little. Here is the same with other seeds, players, records and all; every dot is one
# seed, failed ones included. In the three lower rows the record was written by the *best* player alone.

# %% tags=["look"]
from course_utils import load_results

runs = load_results("10_offline_rl")["runs"]["offline"]
figure, axes = plt.subplots(figsize=(8, 4))
for row, found in enumerate(runs.values()):
    axes.scatter(
        [run["test_return"] for run in found.values()], [row] * len(found), s=30, alpha=0.7
    )
axes.axvline(475, linestyle="--", color="black")
axes.set(
    yticks=range(len(runs)),
    yticklabels=list(runs),
    xlabel="mean return of the exam (dashed: solved)",
)
axes.invert_yaxis()
solved = {
    arm: sum(run["test_return"] >= 475 for run in found.values()) for arm, found in runs.items()
}
show_figure(
    figure, "; ".join(f"{arm}: {count} of {len(runs[arm])} solved" for arm, count in solved.items())
)

# %% [markdown]
# {{table 10_offline_rl offline}}
#
# ("Frames" are those learned from; seconds are those of one processor core. To repeat it:
# <code>make bench ARGS='--groups offline'</code>.)
#
# Read the dots row by row. *Cloning* plays better than the best of its teachers on four seeds of five. Random pushes
# point both ways and cancel out, and a greedy clone takes the more common opinion of three different players. Keeping
# only the *best tenth* is no gain here: what is left is better, but there is little of it. *DQN* stays where its
# teachers are (a return of about 120), although it knows the rewards. *CQL*, as TorchRL runs it, beats the clone of
# the same record on every seed, and solves the task from this record on two seeds of five; on the worst one it is far
# from it. *IQL* ends a little behind the clone and takes three times as long as CQL; CQL's settings were searched by
# hand, those of IQL were not.
#
# Is it the term? The control solves two of five as well: without the term most of the lead over DQN is still there.
# On three seeds CQL plays better than its control, on two worse, once by 200: five seeds do not show what
# the term is worth here. Nor can they tell whether DQN fails because it deceives itself, or because its target
# network was copied only 15 times. Two things were changed at once; without a control nobody would have noticed.
#
# And where does offline RL **not** help? If the record is good, clone it: CQL's lead over the clone is small there.
# DQN ends far behind. In the middle of the seeds, CQL comes about as far from the record that no good agent wrote as
# from the good one. And no loss makes up for what nobody recorded, nor is there anybody to tell you, offline, which
# of your seeds is the bad one.
#
# ## Real records  (about 55 min to here)
#
# Nobody has to write a record first: many are public. Minari's are read like ours; for other collections TorchRL has
# replay buffers, all built alike: you sample from them as from ours. **These lines are not run here: each
# downloads its data**, from megabytes to many gigabytes, and needs a network.
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
# They come from strangers: look at them first, as we did.
#
# ## What you can do now
# You can write a record and read it back, look at what it covers, clone it, and learn more from it
# than it shows; and you doubt a lead until a control has been run. You know
# which question to ask first: what does the record *not* cover?
#
# **Try next:** `learn("IQL", mixed, seed)` and its exam. Or predict what CQL becomes with a large weight:
# `settings = Settings(conservative=10.0)`, then `learn` and examine it again.
#
# Next: [{{next title}}]({{next file}}).
