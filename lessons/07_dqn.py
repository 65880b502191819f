# ---
# jupyter:
#   course:
#     title: A full DQN run, honestly judged
#     objectives:
#       - assemble a deep Q-network (DQN) agent from TorchRL's parts and train it
#       - judge an agent by what it does without exploration, on episodes it has never seen
#       - find out why a loop learns slowly, and change the framing until CartPole is solved in seconds
#       - stop a run, save it, and go on exactly where it stopped
#     prerequisites: PyTorch, and the idea of Q-learning (an agent learns the value of each action)
#     minutes: {reading: 30, exercises: 20}
# ---

# %% [markdown]
# ## When is CartPole solved?  (about 2 min to here)
#
# A pole stands on a cart. Each step the agent pushes left or right; each step the pole stands
# earns a reward of 1. The episode ends when the pole falls (*terminated*) or after 500 steps
# (*truncated*).
#
# Many tutorials call a run solved when *some* episode during training was long. That is a lucky
# draw, taken while the agent still acts at random now and then. In this course a result comes from
# a rule that is written down before the run:
#
# > **Solved** = a mean return of at least 475 over 100 episodes of the unmodified environment, on
# > seeds that were used neither for training nor for choosing the weights, with the agent always
# > taking the action it thinks best (*greedy*).
#
# So the first thing to write is not the agent but its judge.

# %% tags=["parameters"]
seed = 0

# %%
from course_utils import choose_device, seed_everything

device = choose_device()
seed_everything(seed)

# %% [markdown]
# Many copies of CartPole are played side by side. Gymnasium steps the copies in one call (a
# *vector environment*), and TorchRL's `GymWrapper` makes it speak TensorDict. A copy whose episode
# is over starts a new one at once (`SAME_STEP`), but only its *first* episode counts.

# %%
import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from torchrl.envs import ExplorationType, GymWrapper, set_exploration_type


def make_envs(count, seed, **settings):
    copies = gym.make_vec(
        "CartPole-v1",
        count,
        "sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **settings,
    )
    envs = GymWrapper(copies, categorical_action_encoding=True, device=device)
    envs.set_seed(seed)
    return envs


# %% [markdown]
# The judge lets all copies play until the last of them has finished its first episode.


# %%
def evaluate(policy, episodes, seed):
    envs = make_envs(episodes, seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = envs.rollout(500, policy, break_when_all_done=True)
    reward, done = rollout["next", "reward"].squeeze(-1), rollout["next", "done"].squeeze(-1)
    first_episode = done.cumsum(1) - done.int() == 0
    return (reward * first_episode).sum(1)


evaluate(None, episodes=8, seed=0)

# %% [markdown]
# Without a policy the actions are random: eight returns, one per copy, around 20 of 500.
# `done.cumsum(1) - done` counts the ends *before* each step, so it is zero exactly during the
# first episode, its last step included.

# %% [markdown]
# ### Exercise 7.1: only the first episode counts  (5 min)
# Write `first_returns(reward, done)` yourself, without looking up. Both have shape `[copies,
# time]`; `done` is boolean. Return one number per copy: the sum of the rewards of its first
# episode. Here the rewards are not all 1.
# <details><summary>Hint</summary>Which steps have no <code>done</code> <em>before</em> them? A
# cumulative sum over time counts ends so far; the step's own end must not count against
# it.</details>

# %% tags=["exercise"]
from course_utils import check


def first_returns(reward, done):
    # your code
    ...


check("7.1", first_returns)


# %% tags=["solution"]
def first_returns(reward, done):
    ends_before = done.cumsum(1) - done.int()
    return (reward * (ends_before == 0)).sum(1)


check("7.1", first_returns)

# %% [markdown]
# ## Act one: the textbook loop  (about 10 min to here)
#
# DQN (Mnih et al., 2015) learns $Q(s, a)$: the sum of discounted rewards to expect after action
# $a$ in state $s$. Five parts do it, and each is one object in TorchRL:
#
# | part | what it is for | in TorchRL |
# |---|---|---|
# | actor | a network gives one value per action; the best one is taken | `QValueActor` |
# | exploration | sometimes a random action instead | `EGreedyModule` |
# | collector | plays, and hands over frames in batches | `Collector` |
# | replay buffer | remembers frames, and gives them back mixed | `TensorDictReplayBuffer` |
# | loss and target network | how wrong is $Q$, judged by a copy that moves slowly | `DQNLoss`, `SoftUpdate` |
#
# First the environment. `RewardSum` adds up the rewards of the running episode, so that we can
# watch training.

# %%
from torchrl.envs import GymEnv, RewardSum, TransformedEnv

env = TransformedEnv(
    GymEnv("CartPole-v1", categorical_action_encoding=True, device=device), RewardSum()
)
env.set_seed(seed)
env.action_spec

# %% [markdown]
# The action is one whole number, 0 or 1, because we asked for `categorical_action_encoding`. The
# actor below must be told the same: an actor that speaks numbers to an environment that expects
# one-hot vectors raises no error and pushes the cart to one side forever.

# %%
from torchrl.data import Categorical
from torchrl.modules import MLP, QValueActor

actions = Categorical(2, device=device)
network = MLP(
    in_features=4,
    out_features=2,
    num_cells=[128, 128],
    activation_class=torch.nn.ReLU,
    device=device,
)
textbook_agent = QValueActor(network, in_keys=["observation"], spec=actions)
textbook_agent(env.reset()).select("observation", "action_value", "action", "chosen_action_value")

# %% [markdown]
# From one observation of four numbers the actor wrote three entries: a value per action, the best
# action, and its value. Nothing is learned yet. Here is what this untrained agent does:

# %%
from course_utils import record_episode, show_video

show_video(
    record_episode("CartPole-v1", textbook_agent, seed=1),
    "Before training",
    "The pole tips over almost at once.",
)

# %% [markdown]
# An agent that always takes what it thinks best never learns about the rest. `EGreedyModule`
# replaces the action by a random one with probability $\varepsilon$, which falls in a straight
# line while we learn. The order matters: it stands after the actor.

# %%
from tensordict.nn import TensorDictSequential
from torchrl.modules import EGreedyModule

egreedy = EGreedyModule(
    spec=actions, eps_init=1.0, eps_end=0.05, annealing_num_steps=4_000, device=device
)
explorer = TensorDictSequential(textbook_agent, egreedy)

# %% [markdown]
# ### Exercise 7.2: how much to explore  (3 min)
# Write `epsilon(frame, length, start, end)`: the exploration rate at `frame`. It falls in a
# straight line from `start` at frame 0 to `end` at frame `length`, and stays there.
# <details><summary>Hint</summary>How far along are you? <code>frame / length</code>, but never
# more than 1.</details>


# %% tags=["exercise"]
def epsilon(frame, length, start, end):
    # your code
    ...


check("7.2", epsilon)


# %% tags=["solution"]
def epsilon(frame, length, start, end):
    progress = min(frame / length, 1.0)
    return start + (end - start) * progress


check("7.2", epsilon)

# %% [markdown]
# Now the loss. For a transition $(s, a, r, s')$ the network should have said
#
# $$ y = r + \gamma \max_{a'} Q_\text{target}(s', a') \quad\text{(just } r \text{ if the episode terminated)} $$
#
# and the loss is the squared difference between $Q(s, a)$ and $y$. The copy $Q_\text{target}$ is
# kept by `DQNLoss` (`delay_value=True`) and follows in small steps: with `SoftUpdate(eps=0.995)`
# it moves 0.5 % of the way each time.

# %%
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.objectives import DQNLoss, SoftUpdate

buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(50_000, device=device), batch_size=128)
loss_module = DQNLoss(textbook_agent, loss_function="l2", delay_value=True)
loss_module.make_value_estimator(gamma=0.99)
target_updater = SoftUpdate(loss_module, eps=0.995)
optimiser = torch.optim.Adam(loss_module.parameters(), lr=1e-3)

# %% [markdown]
# ### Exercise 7.3: the target  (4 min)
# Write `td_target(reward, next_values, terminated, truncated, gamma)` for a batch. `next_values`
# has shape `[batch, actions]`, everything else but the number `gamma` has shape `[batch, 1]`;
# return `[batch, 1]`.
# <details><summary>Hint</summary>A boolean tensor can switch a term off: multiply by its opposite,
# <code>~flag</code>. <code>max</code> over a dimension can keep it:
# <code>keepdim=True</code>.</details>


# %% tags=["exercise"]
def td_target(reward, next_values, terminated, truncated, gamma):
    # your code
    ...


check("7.3", td_target)


# %% tags=["solution"]
def td_target(reward, next_values, terminated, truncated, gamma):
    best_next = next_values.max(1, keepdim=True).values
    return reward + gamma * best_next * ~terminated


check("7.3", td_target)

# %% [markdown]
# All parts are on the table; this is the whole loop. It is bounded: 8,000 frames, then it ends,
# solved or not. While it runs we draw two curves: the return of episodes *with* exploration, as
# the collector sees them, and a greedy evaluation apart from it.
#
# (`auto_register_policy_transforms=True` lets the collector add to the environment what the policy
# asks for; from TorchRL 0.15 on it does so unasked.)

# %%
from course_utils import LivePlot
from torchrl.collectors import Collector

collector = Collector(
    env, explorer, frames_per_batch=32, total_frames=8_000, auto_register_policy_transforms=True
)
frames = 0
with LivePlot(threshold=475, total=8_000) as live:
    for batch in collector:
        frames += batch.numel()
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for episode_return in batch["next", "episode_reward"][batch["next", "done"]].tolist():
            live.add(frames, exploring=episode_return)
        if frames % 1_600 == 0:
            live.add(
                frames, greedy=evaluate(textbook_agent, episodes=32, seed=500_000_000).mean().item()
            )
        for _ in range(16 if frames > 1_000 else 0):  # first fill the buffer
            loss = loss_module(buffer.sample())["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            target_updater.step()
collector.shutdown()

# %% [markdown]
# It learns: both curves rise from about 20. It is far from the dashed line: 8,000 frames of
# textbook DQN do not solve CartPole. And the two curves disagree, as they must, because they
# answer different questions. *With* exploration an episode can end by a random push, or happen to
# last; *greedy* is what the agent knows.
#
# ## Look before you turn the knobs  (about 20 min to here)
#
# One could now try other learning rates. Let us first look at what the agent believes. We play one
# greedy episode and compare the value the agent gave to its action at each step with the
# discounted rewards that really followed.


# %%
def believed_and_real(agent, gamma):
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        episode = GymEnv("CartPole-v1", categorical_action_encoding=True, device=device).rollout(
            500, agent
        )
    real = torch.zeros(len(episode))
    following = 0.0
    for step in reversed(range(len(episode))):
        following = episode["next", "reward"][step].item() + gamma * following
        real[step] = following
    return episode["chosen_action_value"].squeeze(-1).cpu(), real


believed, real = believed_and_real(textbook_agent, gamma=0.99)

# %%
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, axes = plt.subplots()
axes.plot(real, label="really followed")
axes.plot(believed, label="believed: $Q(s, a)$")
axes.set(xlabel="step of the episode", ylabel="discounted return")
axes.legend()
show_figure(
    figure,
    f"The real return starts at {real[0]:.0f} and falls to 1; the believed value stays near {believed.mean():.0f}.",
)

# %% [markdown]
# The agent is far too pessimistic, and for most of the episode its values are flat. We know the
# scale they should reach. With a reward of 1 each step and $\gamma = 0.99$, a pole that never
# falls is worth $1 / (1 - 0.99) = 100$. The network starts near 0 and climbs there by
# bootstrapping: each target is one step better than the values it is made of.
#
# **Suspect one: the scale of the targets.** What the agent has to learn is small (does the pole
# fall sooner after this push or after the other one?), and it sits on top of a large number that
# is the same everywhere and still growing.
#
# **Suspect two: the scale of the inputs.** What does the network see?

# %%
seen = buffer[:]["observation"].cpu()
names = ["cart position", "cart velocity", "pole angle", "pole velocity"]
figure, axes = plt.subplots()
axes.bar(names, seen.std(0))
axes.set(ylabel="standard deviation")
show_figure(
    figure,
    "Spread of the inputs: "
    + ", ".join(f"{n} {s:.2f}" for n, s in zip(names, seen.std(0), strict=True))
    + ".",
)

# %% [markdown]
# The pole angle, the one input that says whether the pole is falling, is the smallest of the four
# by far: the episode ends at 0.21 radians. A network with fresh weights hardly notices it.
#
# **Suspect three: time spent stepping.** We count frames per second: one environment against 16 in
# one vector, both with the same actor.

# %%
import time


def frames_per_second(envs, batches):
    collector = Collector(
        envs,
        explorer,
        frames_per_batch=256,
        total_frames=256 * batches,
        auto_register_policy_transforms=True,
    )
    next(iter(collector))  # the first batch pays for the warm-up
    start = time.perf_counter()
    collected = sum(batch.numel() for batch in collector)
    collector.shutdown()
    return collected / (time.perf_counter() - start)


single = frames_per_second(
    GymEnv("CartPole-v1", categorical_action_encoding=True, device=device), batches=5
)
vector = frames_per_second(make_envs(16, seed), batches=20)
print(
    f"16 environments in one vector collect {vector / single:.0f} times as many frames a second as one."
)

# %% [markdown]
# Stepping 16 copies costs little more than stepping one: most of the time goes into the machinery
# around a step, and it is paid once per call.
#
# ## Act two: change the framing  (about 28 min to here)
#
# None of the three asks for a better algorithm. We change what the agent is asked:
#
# | suspect | change |
# |---|---|
# | inputs | the agent multiplies the pole angle by 5 before its first layer |
# | targets | while training, the reward is -1 for falling and 0 otherwise, and $\gamma = 0.95$: values stay between -1 and 0 |
# | stepping | 16 environments in one vector, and updates in blocks of 32 |
#
# The reward changes for *training only*. The judge still plays the unmodified environment.

# %%
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    envs: int = 16  # copies stepped side by side
    batch_frames: int = 256  # frames collected between two blocks of updates
    warm_up: int = 1_000  # frames before the first update
    updates: int = 32  # updates in a block
    batch_size: int = 128  # transitions in one update
    # Factors of cart position, cart velocity, pole angle, pole velocity.
    input_scale: tuple = (1.0, 1.0, 5.0, 1.0)
    width: int = 256  # units in each of the two hidden layers
    learning_rate: float = 5e-4
    gamma: float = 0.95
    eps_end: float = 0.15  # exploration falls from 1 to this ...
    eps_frames: int = 5_000  # ... over so many frames
    validation_episodes: int = 32  # greedy episodes after each block
    stop_at: float = 490.0  # validation mean that ends training: above 475, to be on the safe side
    max_frames: int = 20_480  # give up here
    validation_seed: int = 500_000_000  # far from the training seeds, which are small ...
    test_seed: int = 1_000_000_000  # ... and from the seeds of the exam


settings = Settings()

# %% [markdown]
# The scaling belongs to the agent, not to the environment. So the finished agent reads
# observations as anybody's CartPole gives them.


# %%
class Scale(torch.nn.Module):
    def __init__(self, factors):
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors))

    def forward(self, inputs):
        return inputs * self.factors


def make_agent():
    layers = MLP(
        in_features=4,
        out_features=2,
        num_cells=[settings.width] * 2,
        activation_class=torch.nn.ReLU,
    )
    network = torch.nn.Sequential(Scale(settings.input_scale), layers).to(device)
    return QValueActor(network, in_keys=["observation"], spec=actions)


make_agent()(env.reset())["action_value"]

# %% [markdown]
# Everything one run needs, built from a seed. The parts are those of act one; only the target
# network now stands still for a block of updates and is then copied whole (`HardUpdate`).

# %%
from types import SimpleNamespace

from torchrl.objectives import HardUpdate


def build(seed):
    torch.manual_seed(seed)
    run = SimpleNamespace(seed=seed, frames=0, best_score=float("-inf"), best_weights=None)
    run.agent = make_agent()
    run.egreedy = EGreedyModule(
        spec=actions,
        eps_end=settings.eps_end,
        annealing_num_steps=settings.eps_frames,
        device=device,
    )
    run.explorer = TensorDictSequential(run.agent, run.egreedy)
    run.buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(50_000, device=device), batch_size=settings.batch_size
    )
    run.loss = DQNLoss(run.agent, loss_function="l2", delay_value=True)
    run.loss.make_value_estimator(gamma=settings.gamma)
    run.target = HardUpdate(run.loss, value_network_update_interval=settings.updates)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), lr=settings.learning_rate)
    return run


# %% [markdown]
# One block of updates. Clipping the gradient keeps a single odd batch from undoing what was
# learned.


# %%
def learn(run):
    for _ in range(settings.updates):
        loss = run.loss(run.buffer.sample())["loss"]
        run.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.loss.parameters(), max_norm=10.0)
        run.optimiser.step()
        run.target.step()


# %% [markdown]
# After each block the agent is validated, greedily, on the unmodified environment. The best weights
# so far are kept, because training on often makes a good CartPole agent worse again.

# %%
from copy import deepcopy


def validate(run):
    returns = evaluate(run.agent, settings.validation_episodes, settings.validation_seed)
    score = returns.mean().item()
    if score > run.best_score:
        run.best_score, run.best_weights = score, deepcopy(run.agent.state_dict())
    return score


# %% [markdown]
# And the loop. `sutton_barto_reward=True` is Gymnasium's own name for the reward of -1 for falling and
# 0 otherwise.


# %%
def train(run, frames, watch=None):
    envs = make_envs(settings.envs, 100_000 * run.seed + run.frames, sutton_barto_reward=True)
    collector = Collector(
        envs,
        run.explorer,
        frames_per_batch=settings.batch_frames,
        total_frames=frames,
        auto_register_policy_transforms=True,
    )
    for batch in collector:
        run.frames += batch.numel()
        run.buffer.extend(batch.reshape(-1))
        run.egreedy.step(batch.numel())
        if run.frames < settings.warm_up:
            continue
        learn(run)
        score = validate(run)
        if watch:
            watch(run.frames, validation=score)
        if score >= settings.stop_at:
            break
    collector.shutdown()


# %% [markdown]
# That is all. Predict, then run: how many of the 8,000 frames of act one will it take?

# %%
run = build(seed)
start = time.perf_counter()
with LivePlot(threshold=475, total=settings.max_frames) as live:
    train(run, settings.max_frames, live.add)
seconds = time.perf_counter() - start

if run.best_score >= settings.stop_at:
    print(f"Validation mean {run.best_score:.0f} after {run.frames:,} frames and {seconds:.1f} s.")
else:
    print(
        f"Not reached within {run.frames:,} frames: the best validation mean was {run.best_score:.0f}. Its weights are kept."
    )

# %% [markdown]
# The curve is rough, often it climbs, falls back, and jumps. That is why the best weights are
# kept, and why one good validation is not yet a result: it was the best of several looks. The exam
# is 100 fresh episodes that played no part so far.
#
# ## The exam  (about 36 min to here)

# %%
agent = run.agent
agent.load_state_dict(run.best_weights)
test_returns = evaluate(agent, episodes=100, seed=settings.test_seed + 1_000 * seed)
test_return = test_returns.mean().item()
print(
    f"{test_return:.1f} on 100 fresh episodes, worst {test_returns.min():.0f}:",
    "solved" if test_return >= 475 else "not solved",
)

# %%
show_video(
    record_episode("CartPole-v1", agent, seed=1),
    "After training",
    "The pole stays upright, the cart makes small corrections.",
)

# %% [markdown]
# What does this agent believe? In the terms it was trained in, a pole that never falls is worth 0,
# and one that falls now is worth -1.

# %%
states = run.buffer[:].select("observation")
with torch.no_grad():
    values = agent(states)["chosen_action_value"].squeeze(-1).cpu()
figure, axes = plt.subplots()
axes.scatter(states["observation"][:, 2].cpu(), values, s=3)
axes.set(xlabel="pole angle (radians)", ylabel="value of the best action")
show_figure(
    figure, "Values over pole angle: a hill, highest around upright, falling on both sides."
)

# %% [markdown]
# A hill: upright is good, leaning is worse, and the spread at one angle is the other three inputs
# at work. The values are not exact (some lie outside -1 to 0), and they need not be: to act well,
# the agent only has to rank two pushes. The framing lets it learn that ranking first.
#
# ### Was it TorchRL?
# No. **The speed-up is the recipe, not the library**: none of the three changes is TorchRL's, and
# the recipe carries over to any library that lets you set the reward, the input scale and the
# batch of environments. What TorchRL gave is that each change touched one part and left the rest
# alone.

# %% [markdown]
# ## Stop, save, go on exactly  (about 42 min to here)
#
# A long run will be interrupted. A checkpoint of the network alone is not enough to go on as if
# nothing had happened: the target network, the optimiser's averages, the replay buffer, the
# exploration rate and the random state belong to the run too. One thing cannot be saved: the
# inside of Gymnasium's simulators. That is why `train` starts each leg with fresh environments,
# seeded by the frame it starts at: a run of two legs and a run that was stopped between them see
# the same world.

# %%
from pathlib import Path


def save(run, path):
    state = {name: getattr(run, name).state_dict() for name in ["loss", "optimiser", "egreedy"]}
    state |= {name: getattr(run, name) for name in ["seed", "frames", "best_score", "best_weights"]}
    state |= {
        "buffer": run.buffer[:].to_dict(),
        "target_counter": run.target.counter,
        "random": torch.get_rng_state(),
    }
    Path(path).parent.mkdir(exist_ok=True)
    torch.save(state, path)


# %%
from tensordict import TensorDict


def load(path):
    state = torch.load(path, weights_only=True, map_location=device)
    run = build(state["seed"])
    for name in ["loss", "optimiser", "egreedy"]:
        getattr(run, name).load_state_dict(state[name])
    for name in ["frames", "best_score", "best_weights"]:
        setattr(run, name, state[name])
    run.buffer.extend(TensorDict(state["buffer"], batch_size=[run.frames], device=device))
    run.target.counter = state["target_counter"]
    torch.set_rng_state(state["random"].cpu())
    return run


# %% [markdown]
# `weights_only=True` lets the file hold tensors, numbers and containers, nothing that runs: a
# checkpoint from a stranger cannot execute code. Now the proof. One run makes two legs; a second
# one is loaded from the checkpoint after the first leg and makes the second leg alone.

# %%
uninterrupted = build(seed + 1)
train(uninterrupted, 1_536)
save(uninterrupted, "runs/07_dqn.pt")
train(uninterrupted, 512)

resumed = load("runs/07_dqn.pt")
train(resumed, 512)

weights = zip(uninterrupted.loss.parameters(), resumed.loss.parameters(), strict=True)
identical = all(torch.equal(mine, theirs) for mine, theirs in weights)
print(
    f"{uninterrupted.frames:,} and {resumed.frames:,} frames; weights identical to the last bit: {identical}"
)

# %% [markdown]
# Not close: identical, down to the counter of the target updater. If this ever prints `False`
# after a change of yours, some part of the run is missing from `save`.
#
# ### Exercise 7.4: choose with one, judge with the other  (5 min)
# The max in the target is too optimistic: of many noisy values it picks the luckiest. *Double* DQN
# (van Hasselt et al., 2016) lets the online network choose the next action and the target network
# say what it is worth. Write `double_target(reward, online_next, target_next, terminated, gamma)`;
# the two `_next` have shape `[batch, actions]`, the rest as in 7.3.
# <details><summary>Hint</summary><code>values.gather(1, index)</code> takes from each row the
# entry that <code>index</code>, of shape <code>[batch, 1]</code>, names.</details>


# %% tags=["exercise"]
def double_target(reward, online_next, target_next, terminated, gamma):
    # your code
    ...


check("7.4", double_target)


# %% tags=["solution"]
def double_target(reward, online_next, target_next, terminated, gamma):
    best = online_next.argmax(1, keepdim=True)
    return reward + gamma * target_next.gather(1, best) * ~terminated


check("7.4", double_target)

# %% [markdown]
# ## What you can do now
# You can assemble DQN from TorchRL's parts, judge it on fresh greedy episodes, find what holds it
# back by looking, and stop and resume a run exactly.
#
# **Try next:** set `input_scale=(1.0, 1.0, 1.0, 1.0)` in `Settings`, predict what happens, and run
# act two again. Then restore it and take the ordinary reward back (`sutton_barto_reward=False`,
# `gamma=0.99`). Which of the three changes mattered most for you, on three seeds each?
#
# `DQNLoss(..., double_dqn=True)` is double DQN ready-made. Back to the [map of the
# course](00_start_here.ipynb).
