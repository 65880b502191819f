# ---
# jupyter:
#   course:
#     title: A full DQN run, honestly judged
#     objectives:
#       - assemble a deep Q-network (DQN) agent from TorchRL's parts and train it
#       - judge an agent by what it does without exploration, on episodes it has never seen
#       - find out by looking why a loop learns slowly, and solve CartPole in seconds
#       - stop a run, save it, and go on exactly where it stopped
#     prerequisites: PyTorch and lessons 01 to 06 (each part is recalled here in a sentence)
#     minutes: {reading: 77, exercises: 42, short: 35}
# ---

# %% [markdown]
# ## When is CartPole solved?  (about 1 min to here)
#
# A pole stands on a cart. Each step the agent pushes left or right, and each step it survives
# earns a reward of 1. The episode is *terminated* when the pole falls or the cart leaves the
# track; after 500 steps a clock ends it (*truncated*). The **return** of an episode is the sum of
# its rewards, so here it is the number of steps.
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
import torch
from course_utils import choose_device, seed_everything

device = choose_device()
seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more, and lose on a busy machine

# %% [markdown]
# Many copies of CartPole are played side by side. Gymnasium steps them all in one call (a *vector
# environment*), copy number $i$ with the seed `seed + i`, and TorchRL's `GymWrapper` lets them
# read and write tensordicts. A copy whose episode is over starts a new one within the same step
# (`SAME_STEP`).

# %%
import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymWrapper


def make_envs(count, seed, **options):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("CartPole-v1", count, "sync", vector_kwargs=autoreset, **options)
    envs = GymWrapper(copies, categorical_action_encoding=True, device=device)
    envs.set_seed(seed)
    return envs


# %% [markdown]
# A rollout of several copies is a table: one row per copy, one column per step. `T` marks a step
# on which an episode ended.

# %% tags=["look"]
rollout = make_envs(4, seed).rollout(40, break_when_any_done=False)
for row in rollout["next", "done"].squeeze(-1):
    print("".join("T" if done else "·" for done in row))

# %% [markdown]
# Random actions: the pole falls again and again. Only the *first* episode of each row counts: a
# row with many short episodes must not look like one long one.
#
# ### Exercise 7.1: only the first episode counts  (5 min)
# Write `first_returns(reward, done)`. Both have shape `[copies, time]`, `done` is boolean. Return one
# number per copy: the sum of the rewards up to and including its first step that is `done`; a copy
# without one counts all of them. Here the rewards are not all 1.
# <details><summary>Hint</summary>Which steps have no <code>done</code> <em>before</em> them? A
# cumulative sum over time counts the ends so far; the step's own end must not count.</details>

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
# The judge does the same. It plays until every copy has come to an end (`break_when_all_done`),
# and `ExplorationType.DETERMINISTIC` switches exploration off, whatever the policy is made of.

# %%
from torchrl.envs import ExplorationType, set_exploration_type


def evaluate(policy, episodes, seed):
    envs = make_envs(episodes, seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = envs.rollout(500, policy, break_when_all_done=True)
    reward, done = rollout["next", "reward"].squeeze(-1), rollout["next", "done"].squeeze(-1)
    ends_before = done.cumsum(1) - done.int()
    return (reward * (ends_before == 0)).sum(1)


# %% tags=["look"]
evaluate(None, episodes=8, seed=seed)

# %% [markdown]
# Eight returns of random play (no policy), one per copy, of 500 possible.
#
# ## Act one: the textbook loop  (about 14 min to here)
#
# DQN (Mnih et al., 2015) learns $Q(s, a)$: the rewards to expect when taking action $a$ in state
# $s$ and the best actions from then on, each reward multiplied by $\gamma$ for every step it lies
# in the future. Five parts do it, and each is one object in TorchRL:
#
# | part | what it is for | in TorchRL |
# |---|---|---|
# | actor | a network gives one value per action; the best one is taken | `QValueActor` |
# | exploration | sometimes a random action instead | `EGreedyModule` |
# | collector | plays, and hands over the steps (*frames*) in batches | `Collector` |
# | replay buffer | remembers frames, and gives random samples of them | `TensorDictReplayBuffer` |
# | loss, target network | how wrong is $Q$, judged by a slower copy of itself | `DQNLoss`, `SoftUpdate` |
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
# An action is one whole number, 0 or 1, because we asked for `categorical_action_encoding`. The
# actor must be told the same: an actor that writes numbers for an environment that expects one-hot
# vectors raises no error and pushes the cart to one side forever. We give it a spec of its own,
# `Categorical(2)`, since the same actor will act in one environment and in many.

# %%
from torchrl.data import Categorical
from torchrl.modules import MLP, QValueActor

actions = Categorical(2, device=device)
network = MLP(in_features=4, out_features=2, num_cells=[128, 128], activation_class=torch.nn.ReLU)
textbook_agent = QValueActor(network.to(device), in_keys=["observation"], spec=actions)
textbook_agent(env.reset()).select("observation", "action_value", "action", "chosen_action_value")

# %% [markdown]
# From one observation of four numbers the actor wrote three entries: a value per action, the best
# action, and its value. Nothing is learned yet. Here is what this untrained agent does:

# %% tags=["look"]
from course_utils import record_episode, show_video

show_video(record_episode("CartPole-v1", textbook_agent, seed=1), "Before training")

# %% [markdown]
# An agent that always takes what it thinks best never learns about the rest. `EGreedyModule`
# replaces the action by a random one with probability $\varepsilon$, which falls in a straight
# line while we learn. It stands *after* the actor, because it overwrites the action the actor
# wrote.

# %%
from tensordict.nn import TensorDictSequential
from torchrl.modules import EGreedyModule

egreedy = EGreedyModule(actions, eps_init=1.0, eps_end=0.05, annealing_num_steps=4_000).to(device)
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
# Now the loss. A frame is stored as a *transition* $(s, a, r, s')$: state, action, reward, next
# state. For it the network should have said
#
# $$ y = r + \gamma \max_{a'} Q_\text{target}(s', a') $$
#
# where the second term falls away when nothing follows $s'$. The loss is the squared difference of
# $Q(s, a)$ and $y$. Learning from one's own estimate like this is called *bootstrapping*. So that
# the network does not chase itself, the estimate comes from a copy, the *target network*.
# `DQNLoss` keeps it (`delay_value=True`), and `SoftUpdate(eps=0.995)` moves it 0.5 % of the way to
# the network being trained, the *online network*, after each update.

# %%
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.objectives import DQNLoss, SoftUpdate

buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(50_000, device=device), batch_size=128)
loss_module = DQNLoss(textbook_agent, loss_function="l2", delay_value=True)
loss_module.make_value_estimator(gamma=0.99)
target_updater = SoftUpdate(loss_module, eps=0.995)
optimiser = torch.optim.Adam(loss_module.parameters(), lr=1e-3)

# %% [markdown]
# `loss_module.parameters()` are the very weights of the agent; the target network's are not among
# them, so the optimiser leaves those alone.
#
# ### Exercise 7.3: the target  (4 min)
# Write `td_target(reward, next_values, terminated, truncated, gamma)` for a batch of transitions.
# `next_values` holds $Q_\text{target}(s', \cdot)$, shape `[batch, actions]`; the rest has shape
# `[batch, 1]`, the two flags are boolean, `gamma` is a number. Return shape `[batch, 1]`. Decide
# which of the flags means that nothing follows.
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
# All parts are on the table. One turn of the loop: the collector plays 32 frames with exploration;
# they go into the buffer; $\varepsilon$ falls a little; and 16 times a random sample of 128
# transitions is drawn, the network takes one step of gradient descent, and the target network
# follows. The loop is bounded: after 8,000 frames it ends, solved or not. Meanwhile we draw the
# return of each training episode (*with* exploration) and, now and then, a *greedy* evaluation
# apart from training.
#
# (A collector can add transforms that a policy needs, a memory for example. Ours needs none, and
# `auto_register_policy_transforms=False` says so.)

# %%
from torchrl.collectors import Collector

collector = Collector(
    env, explorer, frames_per_batch=32, total_frames=8_000, auto_register_policy_transforms=False
)

# %% tags=["look"]
from course_utils import LivePlot

frames, updates = 0, 0
with LivePlot(threshold=475, total=8_000) as live:
    for batch in collector:
        frames += batch.numel()
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for episode_return in batch["next", "episode_reward"][batch["next", "done"]].tolist():
            live.add(frames, exploring=episode_return)
        if frames % 1_600 == 0:
            live.add(frames, greedy=evaluate(textbook_agent, 32, seed=500_000_000).mean().item())
        for _ in range(16 if frames > 1_000 else 0):  # first fill the buffer
            loss = loss_module(buffer.sample())["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            target_updater.step()
            updates += 1
collector.shutdown()
textbook_curve = live.curve("greedy")

# %% [markdown]
# It learns, but look where the curves are and where the dashed line is. Single training episodes
# jump up and down; the greedy curve, a mean of 32 episodes each time, tells how good the agent
# really is.
#
# ## Look before you turn the knobs  (about 29 min to here) (deeper)
#
# One could now try other learning rates. Let us first see what the agent believes. We play one
# greedy episode and compare the value the agent gave to its action at each step with the
# discounted rewards that really followed.


# %%
def believed_and_real(agent, gamma):
    judge = GymEnv("CartPole-v1", categorical_action_encoding=True, device=device)
    judge.set_seed(seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        episode = judge.rollout(500, agent)
    real = torch.zeros(len(episode))
    following = 0.0
    for step in reversed(range(len(episode))):
        following = episode["next", "reward"][step].item() + gamma * following
        real[step] = following
    return episode["chosen_action_value"].squeeze(-1).cpu(), real


# %% tags=["look"]
believed, real = believed_and_real(textbook_agent, gamma=0.99)

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, axes = plt.subplots()
axes.plot(real, label="really followed")
axes.plot(believed, label="believed: $Q(s, a)$")
axes.set(xlabel="step of the episode", ylabel="discounted return")
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"At the first step {real[0]:.0f} really followed, {believed[0]:.0f} was believed; "
    f"halfway {real[len(real) // 2]:.0f} and {believed[len(real) // 2]:.0f}.",
)

# %% [markdown]
# For most of the episode the agent is far too pessimistic, and its values are flat.
#
# **Suspect one: the size of the targets.** With a reward of 1 each step and $\gamma = 0.99$, a
# pole that never falls is worth $1 + 0.99 + 0.99^2 + \dots = 100$. The network starts near 0 and
# must climb there by bootstrapping: each time the target network has caught up once, the values
# reach one step further into the future. How often has it caught up?

# %% tags=["look"]
caught_up = updates * (1 - 0.995)
reachable = (1 - 0.99**caught_up) / (1 - 0.99)
print(f"{updates:,} updates of 0.5 %: caught up about {caught_up:.1f} times")
print(
    f"{caught_up:.1f} steps of reward are worth {reachable:.0f}; believed at first: {believed[0]:.0f}"
)

# %% [markdown]
# That is the flat line of the figure. The values are still on their way up, all of them together,
# and the small differences that tell left from right sit on top of that big common number.
#
# **Suspect two: the size of the inputs.** What does the network see?

# %% tags=["look"]
seen = buffer[:]["observation"].cpu()
names = ["cart position", "cart velocity", "pole angle", "pole velocity"]
spread = dict(zip(names, seen.std(0).tolist(), strict=True))
figure, axes = plt.subplots()
axes.bar(list(spread), list(spread.values()))
axes.set(ylabel="standard deviation")
show_figure(figure, "Spread: " + ", ".join(f"{name} {std:.2f}" for name, std in spread.items()))

# %% [markdown]
# The pole angle is by far the smallest of the four (the episode ends at 0.21 radians), though it
# is what the game is about. A network with fresh weights hardly notices it.
#
# **Suspect three: time spent stepping.** We count frames per second, one environment against 16 in
# one vector, both with the same actor.

# %%
import time


def frames_per_second(envs, batches):
    collector = Collector(
        envs,
        explorer,
        frames_per_batch=256,
        total_frames=256 * batches,
        auto_register_policy_transforms=False,
    )
    next(iter(collector))  # the first batch pays for the warm-up
    start = time.perf_counter()
    collected = sum(batch.numel() for batch in collector)
    collector.shutdown()
    return collected / (time.perf_counter() - start)


# %% tags=["look"]
one = GymEnv("CartPole-v1", categorical_action_encoding=True, device=device)
ratio = frames_per_second(make_envs(16, seed), batches=20) / frames_per_second(one, batches=5)
print(f"16 environments in one vector give {ratio:.0f} times the frames per second of one.")

# %% [markdown]
# Most of the time goes into the machinery around a step, and that is paid once per call, not once
# per copy.
#
# ## Act two: change the framing  (about 40 min to here)
#
# None of the three asks for a better algorithm. We change what the agent is asked:
#
# | suspect | change |
# |---|---|
# | targets | in training, a reward of -1 for falling and 0 otherwise, and $\gamma = 0.95$ |
# | inputs | the agent multiplies the pole angle by 5 before its first layer |
# | stepping | 16 environments in one vector, and updates in blocks of 32 |
#
# With the new reward a pole that never falls is worth 0, which is where a fresh network starts:
# nothing to climb, only the falls to learn. The reward changes *for training only*. The judge
# still plays the unmodified environment.
#
# The other numbers below differ from act one as well: they are the outcome of a search by hand, on
# other seeds than the ones we report. Further down you will see what each of the three changes is
# worth.

# %%
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    envs: int = 16  # copies stepped side by side
    batch_frames: int = 256  # frames collected between two blocks of updates
    warm_up: int = 1_000  # frames before the first update
    updates: int = 32  # updates in a block
    batch_size: int = 128  # transitions in one update
    memory: int = 50_000  # frames the replay buffer keeps
    target_every: int = 32  # updates between two copies to the target network
    input_scale: tuple = (1.0, 1.0, 5.0, 1.0)  # cart position and velocity, pole angle and velocity
    width: int = 256  # units in each of the two hidden layers
    learning_rate: float = 5e-4
    failure_reward: bool = True  # -1 for falling and 0 otherwise; False: 1 each step
    gamma: float = 0.95
    eps_init: float = 1.0  # exploration falls from this ...
    eps_end: float = 0.15  # ... to this ...
    eps_frames: int = 5_000  # ... over so many frames
    validation_episodes: int = 32  # greedy episodes after each block
    stop_at: float = 490.0  # validation mean that ends training: above 475, to be on the safe side
    max_frames: int = 20_480  # give up here
    validation_seed: int = 500_000_000  # far from the training seeds, which are small ...
    test_seed: int = 1_000_000_000  # ... and from the seeds of the exam


# %%
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


def make_network():
    cells = [settings.width, settings.width]
    layers = MLP(in_features=4, out_features=2, num_cells=cells, activation_class=torch.nn.ReLU)
    return torch.nn.Sequential(Scale(settings.input_scale), layers).to(device)


# %% [markdown]
# Everything one run needs, built from a seed. The parts are those of act one; only the target
# network now stands still for 32 updates and is copied whole at the next (`HardUpdate`): at updates 33,
# 66, 99 and so on, as lesson 04 found, so its copies wander slowly through the blocks of 32.

# %%
from types import SimpleNamespace

from torchrl.objectives import HardUpdate


def build(seed):
    torch.manual_seed(seed)
    run = SimpleNamespace(seed=seed, frames=0, best_score=float("-inf"), best_weights=None)
    run.network = make_network()
    run.agent = QValueActor(run.network, in_keys=["observation"], spec=actions)
    run.egreedy = EGreedyModule(
        actions,
        settings.eps_init,
        settings.eps_end,
        annealing_num_steps=settings.eps_frames / settings.batch_frames,  # one step for each batch
    ).to(device)
    run.explorer = TensorDictSequential(run.agent, run.egreedy)
    storage = LazyTensorStorage(settings.memory, device=device)
    sampled = settings.updates * settings.batch_size  # for a whole block
    run.buffer = TensorDictReplayBuffer(storage=storage, batch_size=sampled)
    run.loss = DQNLoss(run.agent, loss_function="l2", delay_value=True)
    run.loss.make_value_estimator(gamma=settings.gamma)
    run.target = HardUpdate(run.loss, value_network_update_interval=settings.target_every)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), settings.learning_rate, fused=True)
    return run


# %% [markdown]
# One block of updates. The memory does not change meanwhile, so all its transitions are drawn at
# once and split. Clipping the gradient keeps a single odd batch from undoing what was learned. (And
# `fused=True` above lets Adam move all weights in one go: the same numbers, up to rounding, in less
# time.) Should the loss ever become infinite or NaN ("not a number"), `stop_on_nan` ends the run there
# and names the likely cause: from then on nothing would be learned, however long one waits.

# %%
from course_utils import stop_on_nan


def learn(run):
    for batch in run.buffer.sample().split(settings.batch_size):
        loss = run.loss(batch)["loss"]
        stop_on_nan(loss, batch, run.loss, at=f"frame {run.frames:,}")
        run.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.loss.parameters(), max_norm=10.0)
        run.optimiser.step()
        run.target.step()


# %% [markdown]
# What would a larger batch or a wider network cost? It was measured once, with this very function:

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import load_results, show_figure, use_course_style

use_course_style()
measured = load_results("scaling")["runs"]["updates"]
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(8, 3))
costs = []
for panel, (setting, sizes) in zip(panels, measured.items(), strict=True):
    median = {int(size): sorted(result["milliseconds"])[1] for size, result in sizes.items()}
    panel.plot(list(median), list(median.values()), marker="o")
    panel.set(xscale="log", yscale="log", xlabel=setting.replace("_", " "))
    panel.set_xticks(list(median), [f"{size:,}" for size in median])
    panel.minorticks_off()
    costs += [f"{setting} {size}: {cost:.1f} ms" for size, cost in median.items()]
panels[0].set_ylabel("milliseconds of one update")
panels[0].set_yticks([2, 5, 10, 20], ["2", "5", "10", "20"])
show_figure(figure, "; ".join(costs))

# %% [markdown]
# At the small end, four times the size costs far less than four times as long: what is paid there is
# the machinery around the arithmetic, as with stepping. At the large end the cost grows with the size.
# (A large GPU takes the same time for all of these sizes: more than one core of a CPU for the smallest
# batch, a tenth of it for the largest. [The benchmark](../docs/benchmark.md#and-on-a-gpu) has both.)
#
# ### A quicker judge
# After each block the agent is to be validated, greedily, on the unmodified environment: each time up to
# 32 episodes of 500 steps, many more than it is trained on. With `evaluate` most of a run would be
# waiting for its judge. `evaluate` steps 32 simulators one after another, and its rollout keeps every
# entry of every step, though all we ask for is a sum.
#
# Gymnasium has CartPole a second time, under the name `"vector_entry_point"`: *one* simulator of many
# copies, whose state is an array with a column for each. A step of all 32 is then one calculation, which
# is what a vector environment is at its best. `GymWrapper` does not take this one (it has no
# `SAME_STEP`), and there is no need to: greedily, the agent *is* its network and an `argmax`.

# %%
import numpy as np


def greedy_returns(network, episodes, seed):
    envs = gym.make_vec("CartPole-v1", episodes, "vector_entry_point")
    observation, _ = envs.reset(seed=seed)
    returns, playing = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while playing.any():
        with torch.no_grad():
            values = network(torch.from_numpy(observation).to(device))
        action = values.argmax(-1).cpu().numpy()
        observation, reward, terminated, truncated, _ = envs.step(action)
        returns += reward * playing  # only the first episode of each copy counts
        playing &= ~(terminated | truncated)
    return returns


# %% [markdown]
# Two judges of one agent, that of act one. Their 100 episodes begin in other positions (one seed for all
# copies, or one for each), so the means may differ a little. The seconds differ more:

# %% tags=["look"]
import time

judges = {"evaluate": (evaluate, textbook_agent), "greedy_returns": (greedy_returns, network)}
for name, (judge, judged) in judges.items():
    start = time.perf_counter()
    returns = judge(judged, 100, seed=500_000_000)
    waited = time.perf_counter() - start
    print(f"{name:14} mean {returns.mean():.0f}, {1_000 * waited / returns.max():.1f} ms a step")

# %% [markdown]
# So the quick judge looks on during training, and chooses which weights are kept: the best so far, because
# training on often makes a good CartPole agent worse again. The *exam* stays with `evaluate`.

# %%
from copy import deepcopy


def validate(run):
    returns = greedy_returns(run.network, settings.validation_episodes, settings.validation_seed)
    score = returns.mean().item()
    if score > run.best_score:
        run.best_score, run.best_weights = score, deepcopy(run.agent.state_dict())
    return score


# %% [markdown]
# And the loop. `sutton_barto_reward` is Gymnasium's own name for the reward of -1 and 0. A batch
# has shape `[copies, steps]`; the buffer wants one dimension, hence `reshape(-1)`.


# %% id="07-train"
def train(run, frames, watch=None):
    train_seed = 100_000 * run.seed + run.frames
    envs = make_envs(settings.envs, train_seed, sutton_barto_reward=settings.failure_reward)
    collector = Collector(
        envs,
        run.explorer,
        frames_per_batch=settings.batch_frames,
        total_frames=frames,
        auto_register_policy_transforms=False,
        track_traj_ids=False,  # nobody asks which episode a frame belongs to
    )
    for batch in collector:
        run.frames += batch.numel()
        run.buffer.extend(batch.reshape(-1))
        run.egreedy.step()
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
# That is all. Act one spent 8,000 frames. Predict, then run: how many will act two need?

# %% tags=["look"]
run = build(seed)
start = time.perf_counter()
with LivePlot(threshold=475, total=settings.max_frames) as live:
    train(run, settings.max_frames, live.add)
seconds = time.perf_counter() - start

if run.best_score >= settings.stop_at:
    print(f"Validation mean {run.best_score:.0f} after {run.frames:,} frames, {seconds:.1f} s.")
else:
    print(f"Gave up after {run.frames:,} frames; the best weights reached {run.best_score:.0f}.")

# %% [markdown]
# Both acts, greedy evaluations only, on one axis of frames:

# %% tags=["look"]
from course_utils import learning_curves

learning_curves({"act one": [textbook_curve], "act two": [live.curve("validation")]}, threshold=475)

# %% [markdown]
# (Some runs take long, perhaps yours did: of 30 others half were done before 3,000 frames, and one in ten
# needed more than 6,000.) The curve is often rough, climbs, falls back, and jumps. That is why the best
# weights are kept, and why one good validation is not yet a result: it was the best of several looks. The
# exam is 100 fresh episodes that played no part so far.
#
# ## The exam  (about 54 min to here)

# %% tags=["look"]
agent = run.agent
agent.load_state_dict(run.best_weights)
test_returns = evaluate(agent, episodes=100, seed=settings.test_seed + 1_000 * seed)
test_return = test_returns.mean().item()
verdict = "solved" if test_return >= 475 else "not solved"
print(f"Mean {test_return:.1f}, worst {test_returns.min():.0f} of 100 fresh episodes: {verdict}")

# %% tags=["look"]
trained = record_episode("CartPole-v1", agent, seed=1)
show_video(trained, "After training")

# %% [markdown]
# Now both agents side by side, from the same start, one step at a time. Go to the last steps before
# the agent of act one falls, or goes astray. What does each of the two believe there of pushing left
# and right, and how far apart are its two values?

# %% tags=["look"]
from course_utils import EpisodeScrubber

textbook = record_episode("CartPole-v1", textbook_agent, seed=1)
EpisodeScrubber(
    {"act one": textbook.rollout, "act two": trained.rollout},
    {"act one": textbook.frames, "act two": trained.frames},
    observation_names=["cart position", "cart velocity", "pole angle", "pole velocity"],
    action_names=["left", "right"],
)

# %% [markdown]
# What does this agent believe? In the terms it was trained in, a pole that never falls is worth 0,
# and one that falls now is worth -1.

# %% tags=["look"]
states = run.buffer[:].select("observation")
with torch.no_grad():
    values = agent(states)["chosen_action_value"].squeeze(-1).cpu()
angle = states["observation"][:, 2].cpu()
figure, axes = plt.subplots()
axes.scatter(angle, values, s=3)
axes.set(xlabel="pole angle (radians)", ylabel="value of the best action")
upright, leaning = values[angle.abs() < 0.05].mean(), values[angle.abs() > 0.15].mean()
show_figure(figure, f"Mean value {upright:.2f} near upright, {leaning:.2f} beyond 0.15 radians.")

# %% [markdown]
# Upright poles are worth more than leaning ones, and the spread at one angle is the other three
# inputs at work. The values are not exact (true ones lie between -1 and 0), and they need not be:
# to act well, the agent only has to rank two pushes.
#
# ## Break it  (about 58 min to here) (deeper)
#
# We had three suspects, and changed more than three things. A suspect is not a culprit, and one run
# proves little. So take one part away *alone*, everything else as above. (One of them cannot go quite
# alone: with a reward of 1 each step goes a longer view, $\gamma = 0.99$ as in act one.) The settings
# have a switch for each:

# %% id="07-switches"
switches = {
    "the recipe": {},
    "no target network": {"target_every": 0},  # the copy follows after every update
    "no replay": {"memory": settings.batch_frames},  # remembers only the newest batch
    "no exploration": {"eps_init": 0.0, "eps_end": 0.0},
    "no input scale": {"input_scale": (1.0, 1.0, 1.0, 1.0)},
    "no failure reward": {"failure_reward": False, "gamma": 0.99},
    "one environment": {"envs": 1},
}

# %% [markdown]
# Each of them was run on ten seeds. Predict before you look: choose what to take away, and say how
# many of the ten will still be solved. You can also train one here; it takes up to 20 seconds.


# %% tags=["look"]
from dataclasses import replace


def train_without(switch, watch):
    global settings
    recipe = settings
    settings = replace(recipe, **switches[switch])
    try:
        train(build(seed), 5_120, watch)
    finally:
        settings = recipe


# %% tags=["look"]
from course_utils import BreakItLab

ablations = load_results("07_dqn")["runs"]["ablations"]
BreakItLab(ablations, solved_at=475, run_one=train_without)

# %% [markdown]
# <details><summary>All of them in one table, and what we make of it (predict first)</summary>
#
# {{table 07_dqn ablations}}
#
# "Solved" is the exam's rule. Frames and seconds count until the validation stopped the run or the
# cap was reached, validation included. A run that failed counts as longer than any other in these
# medians; the lab above gives those of the solved runs alone, so its number for "no exploration" is
# smaller. (To repeat it: <code>make bench</code>.)
#
# The culprit is the **input scale**: without it only about half of the runs get there, and slowly.
# **Exploration** comes next: an agent that never tries anything at random usually arrives as well
# (its own early mistakes are variety enough), but needs about twice the frames. The **reward** buys
# reliability: half of the runs are as quick without it, the others are slow or never arrive. **One
# environment** needs no more frames than 16, only more time to play them.
#
# And the two parts that made DQN famous? Here nobody misses the **target network**, nor the
# **replay**: 256 fresh frames from 16 environments are mixed enough. They were invented for harder
# tasks and longer runs, and you should keep them there; but that a part is in every textbook does
# not show that *your* task needs it. The flat values of act one were real, and a good explanation
# of what we saw; they were not the main reason it was slow. That is what ablations are for. (Ten
# seeds are few: a difference of one solved run means nothing.)
#
# </details>
#
# ### Would its curves have told?
# Nobody misses the target network here. Then does a run that lost it by mistake look like any other? The
# lab of lesson 06 has such a run (run I), six of them are stored, and six of the sound loop. Predict
# before you run: can you tell them by their returns?

# %% tags=["look"]
sick_runs = load_results("06_sabotaged")["runs"]["sabotaged"]


def highest(log, name):
    return max(value for value in log[name] if value is not None)


for fault in ["nothing is wrong", "no target network"]:
    logs = list(sick_runs[fault].values())
    print(
        f"{fault}, six runs. Highest greedy return:",
        *(f"{highest(log, 'eval/reward'):.0f}" for log in logs),
    )
    print(
        "    highest lag of the slower copy:", *(f"{highest(log, 'check/lag'):.2g}" for log in logs)
    )

# %% [markdown]
# By their returns, no: at one time or another, some runs of either kind would have passed 475. What tells
# is the lag, the difference between the network and its slower copy: without a copy it is 0 from the
# first update to the last. A part that nobody misses is not missed in the returns either; look for it.
#
# ### Was it TorchRL?
# **The speed-up is the recipe, not the library.** None of the changes is TorchRL's. Here is the same
# recipe in another well-known library, Stable-Baselines3 (SB3), and SB3 with the settings that its
# users recommend for this task (RL-Zoo), for DQN and for PPO: seed by seed on one core, all validated
# and examined in the same way. (A repeated run plays exactly the same frames and takes other seconds,
# so our recipe's time differs a little from that in the table above.)
#
# {{table 07_dqn peers}}
#
# The same recipe, the same result, and the other library is the quicker one. With the settings that
# were recommended to it, made to be reliable and not to be quick, its DQN takes several times the
# frames of our recipe and about ten times the seconds of training; its PPO several times the frames,
# and about twice the seconds.
# What TorchRL gives you is something else: every part stood in sight, and each change touched one of
# them. (Under a profiler about a third of its seconds are tensordict's own code; SB3 has nothing of the
# kind. [The benchmark](../docs/benchmark.md) shows whose code the rest is.)
#
# ## Does compiling pay?  (about 66 min to here) (deeper)
#
# Most of an update is machinery around little arithmetic, as you saw. `torch.compile` looks at a function
# once, on its first call, and writes a program for it that does the same with less machinery: its
# *backend* `inductor` writes C++ for a CPU, and lets the machine's C++ compiler translate it. Each later
# call is quicker. So there is a wait, then a gain, and a number of updates from which on the gain is larger.
#
# `race` takes both times, on one batch. We count *core seconds*, those of the C++ compiler among them,
# since a busy machine stretches the seconds on the wall.


# %% id="07-race" tags=["look"]
import os


def core_seconds():
    return sum(os.times()[:4])  # ours, and those of programs that we started


def race(run, updates):
    batch = run.buffer.sample()[: settings.batch_size]

    def seconds(loss_module, times):
        start = core_seconds()
        for _ in range(times):
            loss = loss_module(batch)["loss"]
            run.optimiser.zero_grad()
            loss.backward()
            run.optimiser.step()
        return (core_seconds() - start) / times

    eager = seconds(run.loss, updates)
    compiled = torch.compile(run.loss, backend="inductor", mode="default")
    return seconds(compiled, 1), eager, seconds(compiled, updates)


# %% [markdown]
# The wait is long, so `race` was run beforehand, for three sizes. Predict: with the settings of act two,
# after how many updates does it pay?

# %% tags=["look"]
from statistics import median

costs = {
    size: {fact: median(run[fact] for run in runs.values()) for fact in next(iter(runs.values()))}
    for size, runs in load_results("07_compile")["runs"]["compile"].items()
}
for size, cost in costs.items():
    eager, compiled = cost["eager_milliseconds"], cost["compiled_milliseconds"]
    waited = cost["compile_seconds"]
    print(f"{size}: wait {waited:.0f} s; update {eager:.2f} ms, compiled {compiled:.2f} ms;")
    pays_after = float(f"{1_000 * waited / (eager - compiled):.2g}")
    print(f"    pays after some {pays_after:,.0f} updates" if pays_after > 0 else "    never pays")

# %% tags=["look"]
cost = costs["as in the lesson"]
many = torch.tensor([0, 50_000])
figure, axes = plt.subplots()
axes.plot(many, cost["eager_milliseconds"] / 1_000 * many, label="as it is (eager)")
axes.plot(
    many,
    cost["compile_seconds"] + cost["compiled_milliseconds"] / 1_000 * many,
    label="compiled, the wait included",
)
act_two = (run.frames - settings.warm_up) // settings.batch_frames * settings.updates
axes.axvline(
    updates, color="black", linestyle="--", linewidth=1, label=f"act one: {updates:,} updates"
)
axes.axvline(act_two, color="black", linestyle=":", linewidth=1, label=f"act two: {act_two:,}")
axes.set(xlabel="updates", ylabel="core seconds", ylim=(0, None))
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"Two straight lines. Eager begins at 0, compiled at {cost['compile_seconds']:.0f} core seconds and rises "
    f"more slowly. Act one, {updates:,} updates, and act two, {act_two:,}, are far to the left of where they meet.",
)

# %% [markdown]
# Neither act gets to the point where the lines meet. With batches of 4,096 it would come much earlier, with
# a wider network hardly. So race before you decide, and compile what runs long. Three more things to
# know:
#
# - Compiled code is kept in a folder. The next start of the same program waits less, but not nothing.
# - A batch of another *shape*, such as a smaller last one, is compiled anew, this time for all sizes at once.
# - On a GPU what costs is to launch many small programs; `mode="reduce-overhead"` launches them as one.
#   (That was not measured here.)

# %% tags=["look"]
print(
    f"The wait in a second start: {costs['as in the lesson']['cached_seconds']:.0f} core seconds."
)
have_a_minute = False  # True: race on this machine

if have_a_minute:
    try:
        waited, eager, compiled = race(run, updates=1_000)
        print(
            f"wait {waited:.0f} s, update {1_000 * eager:.2f} ms, compiled {1_000 * compiled:.2f} ms"
        )
    except RuntimeError as error:  # there is no compiler, most often
        print(f"Not compiled ({str(error).splitlines()[0]}).")
        print(
            "A CPU needs a C++ compiler: g++ (Linux), Xcode's tools (macOS), Build Tools (Windows)."
        )

# %% [markdown]
# ## Stop, save, go on exactly  (about 73 min to here) (deeper)
#
# A long run will be interrupted. The network alone is not enough to go on as if nothing had
# happened: the target network, the optimiser's averages, the replay buffer (what it holds, and where
# it writes next), the exploration rate and the random state belong to the run too. One thing cannot
# be saved: the inside of Gymnasium's simulators. That is why `train` starts each leg with fresh
# environments, seeded by the frame it starts at. A run of two legs and a run that was stopped
# between them then see the same world.
#
# The power may also fail *while* the file is written. `save_checkpoint` writes beside the old file
# and puts the new one in its place when it is whole: at any moment there is a good one.

# %%
from dataclasses import asdict
from pathlib import Path

from course_utils import load_checkpoint, save_checkpoint


def save(run, path):
    parts = ["loss", "optimiser", "egreedy", "buffer"]
    state = {name: getattr(run, name).state_dict() for name in parts}
    state |= {name: getattr(run, name) for name in ["seed", "frames", "best_score", "best_weights"]}
    state["target_counter"] = run.target.counter
    state["random"] = torch.get_rng_state()
    state["settings"] = asdict(settings)
    save_checkpoint(state, path)


# %% [markdown]
# `load` is its mirror image. A run that goes on with other settings is neither the old run nor a
# new one, so it refuses that. And `load_checkpoint` calls `torch.load` with `weights_only=True`,
# which accepts tensors, numbers and plain containers, and refuses anything that would have to run
# code to be loaded: never open a stranger's checkpoint without it. (A memory that was loaded has
# forgotten its device, in TorchRL 0.14. So each batch is told its own on the way in, `invert=True`, or on a
# GPU the next `extend` would fail.)


# %%
def load(path):
    state = load_checkpoint(path, map_location=device)
    if state["settings"] != asdict(settings):
        raise ValueError(f"{path} was made with other settings: move it away, or set them back.")
    run = build(state["seed"])
    for name in ["loss", "optimiser", "egreedy", "buffer"]:
        getattr(run, name).load_state_dict(state[name])
    run.buffer.append_transform(lambda batch: batch.to(device), invert=True)
    for name in ["frames", "best_score", "best_weights"]:
        setattr(run, name, state[name])
    run.target.counter = state["target_counter"]
    torch.set_rng_state(state["random"].cpu())
    return run


# %% [markdown]
# So a long run is a row of legs with a checkpoint after each. Started again, the same line goes on
# from the last checkpoint there is.


# %% id="07-legs"
def train_in_legs(seed, frames, path, watch=None):
    run = load(path) if Path(path).exists() else build(seed)
    while run.frames < frames and run.best_score < settings.stop_at:
        train(run, 1_024, watch)
        save(run, path)
    return run


# %% [markdown]
# Now the proof. One run is left in peace. Another one, with the same seed, is interrupted in the
# middle of its second leg, as your stop button would do it, and then started again.


# %%
def pull_the_plug(frames, validation):
    if frames > 1_500:
        raise KeyboardInterrupt(f"at frame {frames:,}")


for path in ["runs/07_left_in_peace.pt", "runs/07_interrupted.pt"]:
    Path(path).unlink(missing_ok=True)  # of an earlier run of this cell
two_legs = train_in_legs(seed + 1, 2_048, "runs/07_left_in_peace.pt")
try:
    train_in_legs(seed + 1, 2_048, "runs/07_interrupted.pt", pull_the_plug)
except KeyboardInterrupt as interrupt:
    print("interrupted", interrupt)
print("the checkpoint is of frame", load("runs/07_interrupted.pt").frames)
resumed = train_in_legs(seed + 1, 2_048, "runs/07_interrupted.pt")


# %%
def same(mine, theirs):
    return all(torch.equal(mine[key], theirs[key]) for key in mine)


print("frames:", two_legs.frames, "and", resumed.frames)
print("online and target network:", same(two_legs.loss.state_dict(), resumed.loss.state_dict()))
print(
    "everything remembered:",
    same(two_legs.buffer[:].to_dict()["next"], resumed.buffer[:].to_dict()["next"]),
)

# %% [markdown]
# What was played after the checkpoint was lost, and played again. The two runs are identical to the
# last bit on a CPU: the checkpoint is complete. (On a GPU its own random state would have to be
# saved too, and even then the last bits are not promised.)
#
# ## TorchRL's own checkpoint  (about 82 min to here) (deeper)
#
# TorchRL can do much of this for you. A `Checkpoint` of `torchrl.checkpoint` is given the parts themselves,
# each with a name, and finds out how each is saved: a module or an optimiser by its `state_dict`, a replay
# buffer by its `dump`, plain numbers as text. `GlobalRNGState` stands for the random states of Python, NumPy
# and torch.

# %%
from torchrl.checkpoint import Checkpoint, GlobalRNGState

checkpoint = Checkpoint(
    loss=resumed.loss,
    optimiser=resumed.optimiser,
    target=resumed.target,
    egreedy=resumed.egreedy,
    buffer=resumed.buffer,
    random=GlobalRNGState(),
    progress={"frames": resumed.frames, "best_score": resumed.best_score},
)
saved = checkpoint.save("runs/07_torchrl")
for name, part in Checkpoint.manifest(saved)["components"].items():
    print(f"{name:9} {part['adapter']:20} files: {len(part['files'])}")

# %% [markdown]
# A folder with a folder for each part, and a file `manifest.json` that says what is where and which versions
# wrote it. To load, name the parts that you want, here into a fresh run; the others are left alone.

# %%
fresh, progress = build(seed), {}
wanted = Checkpoint(loss=fresh.loss, buffer=fresh.buffer, progress=progress)
loaded = wanted.load("runs/07_torchrl")
print("loaded:", *sorted(loaded.loaded), "- left alone:", *sorted(loaded.unrequested))
print(
    "frames:",
    progress["frames"],
    "- networks:",
    same(resumed.loss.state_dict(), fresh.loss.state_dict()),
)
print("cursor:", fresh.buffer.writer)

# %% [markdown]
# Which of the two, when?
#
# | | `save_checkpoint` (the course's) | `Checkpoint` (TorchRL's) |
# |---|---|---|
# | it is given | a dictionary that you put together | the parts, by name |
# | it writes | one file | a folder, or with `format="archive"` one ZIP file |
# | one part alone can be loaded | no | yes |
# | saving fails halfway | the old one is still there | the old one is still there |
# | a file was damaged later | refused | a folder: *not noticed*; a ZIP file: refused |
# | a stranger's file | is safe: no code is run | is not: a buffer's `prefetch.pkl` can run code |
# | keep the last few, and the best | no | `CheckpointRotation` |
#
# For a long run of many parts on your own machine take TorchRL's, as an archive if you can spare the
# copying. For a file that you hand on or get from somebody, take one that is safe to load.
#
# ## One chooses, the other judges: double DQN  (about 86 min to here) (deeper)
#
# ### Exercise 7.4: choose with one, judge with the other  (5 min)
# In act one values were too low, for they had not arrived yet. Later the opposite threatens: of many
# noisy values the max in the target picks the luckiest, so targets become too high. *Double* DQN (van
# Hasselt et al., 2016) lets the online network choose the next action and the target network say what
# it is worth. Write `double_target(reward, online_next, target_next, terminated, gamma)`;
# `online_next` and `target_next` are the values each network gives to the actions in $s'$, shape
# `[batch, actions]`, the rest is as in 7.3.
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
# ## Take it elsewhere  (about 93 min to here) (deeper)
#
# CartPole is written into this lesson in many places. Whoever takes its DQN to another task asks:
#
# | question | CartPole's answer | where to look |
# | --- | --- | --- |
# | how many numbers are seen? | 4, `in_features=4` | `envs.observation_spec["observation"].shape[-1]` |
# | how many actions are there? | 2, `Categorical(2)` | `envs.full_action_spec["action"].space.n` |
# | how large is each number? | the angle is small: `input_scale` | the spread of random play |
# | what ends an episode, and when does the clock? | a fall; 500 steps | `gymnasium.spec(task)` |
# | what is training paid for? | -1 for a fall, nothing else | your own choice; the judge keeps the task's |
# | how far ahead must it look? | 20 steps, $\gamma = 0.95$ | steps from a deed to its reward |
# | what counts as solved? | 475 of 500 | `gymnasium.spec(task).reward_threshold`, before any run |
#
# Take Acrobot: two rods hang from a nail, a motor sits in the joint between them, and the tip is to
# be swung above a line. Every step costs 1 until then, after 500 steps the clock ends it. Random play
# hardly ever gets there, so its reward says the same of nearly every step. The framing below pays for
# height *gained* besides, which leads the way up. Solved is, by Gymnasium's own number, a mean of -100.

# %% id="07-acrobot" tags=["look"]
from torchrl.envs import Transform


class PayForHeight(Transform):
    """In training: a little for each step, and half of the height that the tip has gained."""

    def _step(self, tensordict, next_tensordict):
        gained = 0.99 * self.height(next_tensordict) - self.height(tensordict)
        return next_tensordict.set("reward", 0.5 * gained - 0.02)

    def _reset(self, tensordict, tensordict_reset):
        return tensordict_reset

    @staticmethod
    def height(tensordict):
        cos1, sin1, cos2, sin2, _, _ = tensordict["observation"].split(1, -1)
        return -cos1 - (cos1 * cos2 - sin1 * sin2)


# %% id="07-acrobots" tags=["look"]
def make_acrobots(count, seed):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("Acrobot-v1", count, "sync", vector_kwargs=autoreset)
    envs = GymWrapper(copies, categorical_action_encoding=True, device=device)
    envs.set_seed(seed)
    return envs


def acrobot_returns(agent, episodes, seed):
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = make_acrobots(episodes, seed).rollout(500, agent, break_when_all_done=True)
    reward, done = rollout["next", "reward"].squeeze(-1), rollout["next", "done"].squeeze(-1)
    return (reward * (done.cumsum(1) - done.int() == 0)).sum(1)


acrobot = SimpleNamespace(
    make_envs=lambda count, seed: make_acrobots(count, seed).append_transform(PayForHeight()),
    score=lambda agent: acrobot_returns(agent, 16, seed=500_000_000).mean().item(),
    scale=(1.0, 1.0, 1.0, 1.0, 0.3, 0.2),  # two angles as cosine and sine, two speeds
    gamma=0.99,
    frames=24_576,
)

# %% [markdown]
# ### Exercise 7.5: build it: DQN for any task  (25 min)
# Write `train_on(task, seed, watch)`: it trains a fresh agent on `task` and gives the trained actor, a
# module that reads `observation` and writes `action`. A `task` has
#
# - `make_envs(count, seed)`: so many copies side by side, framed for training;
# - `scale`: what to multiply each observed number by; `gamma`; `frames`, how many to train for;
# - `score(agent)`: how well it plays, greedily, judged apart from training. It costs time: ask now and
#   then, late in the run, and keep the best weights if you like.
#
# Call `watch(frames, score=...)` when there is something to draw. Nothing of CartPole may be left in
# it. Plain, *double* (`DQNLoss(..., double_dqn=True)`) or *duelling* (one output for the state, and
# one for what each action adds: `DuelingMlpDQNet` of `torchrl.modules`): choose. The check trains on
# three worlds of a few states, on some 3,000 frames each and within 20 seconds of computing: act
# two's 32 updates for 256 frames fit.
#
# <details><summary>Hint 1: the sizes</summary>Build the environments first, and ask their specs as the
# table says.</details>
#
# <details><summary>Hint 2: the parts</summary>Copy <code>make_network</code>, <code>build</code>,
# <code>learn</code> and <code>train</code> of act two into one function, and put
# <code>task.</code> where <code>settings.</code> told of CartPole. Seed torch before the network is
# made.</details>
#
# <details><summary>Hint 3: calm at the end</summary>Let the learning rate fall in a straight line, from
# 0.001 to a twentieth: the last steps are small ones.</details>


# %% tags=["exercise"]
def train_on(task, seed, watch):
    # your code
    ...


check("7.5", train_on)

# %% id="07-scaled" tags=["solution"]
from copy import deepcopy
from types import SimpleNamespace

import torch
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate


class Scaled(torch.nn.Module):
    def __init__(self, factors, layers):
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors))
        self.layers = layers

    def forward(self, inputs):
        return self.layers(inputs * self.factors)


# %% id="07-agent-for" tags=["solution"]
def agent_for(task, envs):
    inputs = envs.observation_spec["observation"].shape[-1]
    actions = Categorical(envs.full_action_spec["action"].space.n)
    layers = MLP(inputs, actions.n, num_cells=[128, 128], activation_class=torch.nn.ReLU)
    agent = QValueActor(Scaled(task.scale, layers), in_keys=["observation"], spec=actions)
    egreedy = EGreedyModule(actions, 1.0, 0.1, annealing_num_steps=task.frames // 5)
    device = envs.device or "cpu"
    return agent.to(device), egreedy.to(device)


def collector_for(task, envs, explorer):
    return Collector(
        envs,
        explorer,
        frames_per_batch=256,
        total_frames=task.frames,
        auto_register_policy_transforms=False,
        track_traj_ids=False,
    )


# %% id="07-learner-for" tags=["solution"]
def learner_for(task, agent):
    storage = LazyTensorStorage(50_000, device=next(agent.parameters()).device)
    learner = SimpleNamespace(buffer=TensorDictReplayBuffer(storage=storage, batch_size=32 * 128))
    learner.loss = DQNLoss(agent, delay_value=True, double_dqn=True)
    learner.loss.make_value_estimator(gamma=task.gamma)
    learner.target = HardUpdate(learner.loss, value_network_update_interval=32)
    learner.optimiser = torch.optim.Adam(learner.loss.parameters(), lr=1e-3)
    return learner


def make_updates(learner):
    for part in learner.buffer.sample().split(128):
        loss = learner.loss(part)["loss"]
        learner.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.loss.parameters(), max_norm=10.0)
        learner.optimiser.step()
        learner.target.step()


# %% id="07-train-on" tags=["solution"]
def train_on(task, seed, watch):
    torch.manual_seed(seed)
    envs = task.make_envs(16, 100_000 * seed)
    agent, egreedy = agent_for(task, envs)
    learner = learner_for(task, agent)
    collector = collector_for(task, envs, TensorDictSequential(agent, egreedy))
    frames, best, weights = 0, float("-inf"), agent.state_dict()
    for batch in collector:
        frames += batch.numel()
        learner.buffer.extend(batch.reshape(-1))
        egreedy.step(batch.numel())
        learner.optimiser.param_groups[0]["lr"] = 1e-3 * (1 - 0.95 * frames / task.frames)
        make_updates(learner)
        if 2 * frames > task.frames and frames % 2_048 == 0:
            watch(frames, score=(score := task.score(agent)))
            if score > best:
                best, weights = score, deepcopy(agent.state_dict())
    collector.shutdown()
    agent.load_state_dict(weights)
    return agent


check("7.5", train_on)

# %% [markdown]
# And now the task itself, with a picture that lives. The folded cell trains with the `train_on` that
# was defined last: to see yours, run your own cell again, then this one. The solution was measured on
# seeds that had not been used to find its settings:

# %% tags=["look"]
elsewhere = load_results("07_acrobot")["runs"]["acrobot"]["Acrobot"]
print("means of 100 fresh episodes:", *(round(run["test_return"]) for run in elsewhere.values()))

# %% tags=["solution"]
with LivePlot(threshold=-100, total=acrobot.frames) as live:
    swinger = train_on(acrobot, seed, live.add)
returns = acrobot_returns(swinger, 100, seed=settings.test_seed + 1_000 * seed)
print(f"Acrobot: mean {returns.mean():.1f}, worst {returns.min():.0f} of 100 fresh episodes")

# %% [markdown]
# ## What you can do now
# You can assemble DQN from TorchRL's parts, judge it on fresh greedy episodes, find what holds it
# back by looking, and stop and resume a run exactly.
#
# **Try next:** change one line of `Settings`, predict what happens, and run act two again: a scale
# of 10 for the angle, `gamma=0.99`, a `width` of 64. `DQNLoss(..., double_dqn=True)` is double DQN
# ready-made.
#
# Next: [{{next title}}]({{next file}})
