# ---
# jupyter:
#   course:
#     title: Collectors and replay buffers
#     objectives:
#       - collect a steady stream of frames, and know to which episode each one belongs
#       - predict how many frames a collector plays, and which weights it plays them with
#       - run collectors in worker processes from a notebook, without hanging
#       - build a replay buffer from storage, sampler, writer and transform, and write a sampler
#       - store sub-trajectories and multi-step returns, save a buffer, and go on from it
#       - join the parts to a training loop, and see in a timeline what a loop forgets
#     prerequisites: lessons 01 to 04 (environments, TensorDicts, policies, losses)
#     minutes: {reading: 64, exercises: 35, short: 25}
# ---

# %% [markdown]
# ## What happens at the border of two batches?  (about 1 min to here)
#
# A rollout plays until an episode is over, or until it has made as many steps as you asked for.
# So its length is the agent's, not yours. The environment is CartPole in a `TransformedEnv`, whose
# `StepCounter` counts the steps of an episode:

# %%
from course_utils import seed_everything
from torchrl.envs import GymEnv, StepCounter, TransformedEnv


def make_env():
    env = GymEnv("CartPole-v1", categorical_action_encoding=True)
    return TransformedEnv(env, StepCounter())


env = make_env()
seed_everything(0, env)
print("frames per rollout:", [len(env.rollout(30)) for _ in range(6)])

# %% [markdown]
# (A length of 30 is the limit we set: that pole was still up.)
#
# Learning wants batches of one size, one after the other. That is what a **`Collector`** is for.
# It keeps the environment between two batches: it starts a new episode where one ends, and it goes
# on in the middle of an episode where a batch ends. (`None` stands for a random policy.
# `shutdown` closes the environment when you are done.)

# %%
import torch
from torchrl.collectors import Collector

env = make_env()
env.set_seed(0)
torch.manual_seed(0)
collector = Collector(env, None, frames_per_batch=30, total_frames=120)
batches = list(collector)
collector.shutdown()
[batch.shape for batch in batches]

# %% [markdown]
# Every batch has the same size. What is in one? What a rollout has, and one entry more:

# %% tags=["nbval-check-output"]
batches[0]

# %% [markdown]
# The new entry is `("collector", "traj_ids")`: the number of the episode (*trajectory*) a frame
# belongs to. Here are the four batches, one below the other, one square per frame, a colour and a
# number for each trajectory.

# %%
import matplotlib.pyplot as plt
from matplotlib.colors import ListedColormap

from course_utils import PALETTE, show_figure, use_course_style

use_course_style()
ids = torch.stack([batch["collector", "traj_ids"] for batch in batches])
colours = ListedColormap([PALETTE[name] for name in ("sky", "orange", "green", "purple")])
figure, axes = plt.subplots(figsize=(7, 2.4))
axes.pcolormesh(ids % 4, cmap=colours, vmin=0, vmax=3, edgecolors="white", linewidth=1)
for row in range(4):
    for column in range(30):
        if column == 0 or ids[row, column] != ids[row, column - 1]:
            axes.text(column + 0.5, row + 0.5, ids[row, column].item(), ha="center", va="center")
axes.invert_yaxis()
axes.set(xlabel="frame in the batch", ylabel="batch", yticks=[])
cut = sum(ids[row, -1] == ids[row + 1, 0] for row in range(3))
alt = f"{ids.max() + 1} trajectories in 4 batches; at {cut} of 3 borders one is cut and goes on."
show_figure(figure, alt)

# %% [markdown]
# Where a row begins with the number the row above ends with, a trajectory was cut by the border of
# the batch and went on behind it. The cut is not an end: `done` is False there.

# %%
for before, after in zip(batches, batches[1:], strict=False):
    last, first = before[-1], after[0]
    print(
        f"trajectory {last['collector', 'traj_ids']} -> {first['collector', 'traj_ids']}   "
        f"done: {last['next', 'done'].item()!s:5}   "
        f"steps: {last['step_count'].item()} -> {first['step_count'].item()}"
    )

# %% [markdown]
# The ids are what lets you put trajectories together again.
#
# | | `env.rollout(n)` | `Collector` |
# |---|---|---|
# | a call gives | one stretch, as long as it lasts | batches of one size, until `total_frames` |
# | the end of an episode | stops it | begins the next one |
# | the next call | begins anew | goes on where the last batch stopped |
# | good for | looking, judging | learning |
#
# ### Exercise 5.1: put trajectories together  (4 min)
# Several batches were joined: `ids` (the trajectory ids), `reward` and `done` (boolean) all have
# shape `[frames]`. They come from two environments that take turns, so frames of one trajectory
# need **not** stand side by side. Write `finished_returns(ids, reward, done)`: the return of each
# trajectory that has come to its end, sorted by id. Leave out those that are still running.
# <details><summary>Hint</summary>Which ids have ended? <code>ids[done]</code>. The frames of one of
# them are where <code>ids == number</code>. <code>torch.stack</code> makes one tensor of a list of
# numbers.</details>

# %% tags=["exercise"]
from course_utils import check


def finished_returns(ids, reward, done):
    # your code
    ...


check("5.1", finished_returns)


# %% tags=["solution"]
def finished_returns(ids, reward, done):
    ended = ids[done].sort().values
    return torch.stack([reward[ids == number].sum() for number in ended])


check("5.1", finished_returns)

# %% [markdown]
# ## How many frames did you ask for?  (about 14 min to here)
#
# 500 frames in batches of 200. Predict how many you get, then run.

# %%
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    collector = Collector(make_env(), None, frames_per_batch=200, total_frames=500)
print("collected:", sum(len(batch) for batch in collector))
print("warning:  ", str(caught[0].message).split("To silence")[0])
collector.shutdown()

# %% [markdown]
# A collector only knows whole batches. It warns, and plays on until the last batch is full.
#
# Many agents begin with frames played at random, whatever the policy says: `init_random_frames`.
# To see it at work we take a policy that always pushes right (action 1). `QValueActor` picks the
# action with the larger of two values; a linear layer with zero weights leaves the choice to its
# bias. The spec `Categorical(2)` says that an action is 0 or 1.

# %%
from torchrl.data import Categorical
from torchrl.modules import QValueActor


def make_policy():
    return QValueActor(torch.nn.Linear(4, 2), in_keys=["observation"], spec=Categorical(2))


def always(policy, action):
    weight, bias = policy.parameters()
    with torch.no_grad():
        weight.zero_()
        bias.copy_(torch.eye(2)[action])


# %%
policy = make_policy()
always(policy, 1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    collector = Collector(
        make_env(),
        policy,
        frames_per_batch=20,
        total_frames=80,
        init_random_frames=30,
        auto_register_policy_transforms=True,
    )
    actions = [batch["action"] for batch in collector]
collector.shutdown()
for number, action in enumerate(actions):
    print(f"batch {number}:", "".join(map(str, action.tolist())))
print("warning:", str(caught[0].message).split("To silence")[0])

# %% [markdown]
# We asked for 30 random frames and got 40: whether a batch is random is decided at its start, and a
# batch that begins random stays random. (With a policy, TorchRL 0.14 wants to be told whether the
# collector is to add the transforms that modules of the policy need:
# `auto_register_policy_transforms=True` or `False`; unsaid, it warns. For a policy without memory
# both do the same. From 0.15 on it adds them unasked.)
#
# ### Exercise 5.2: count before you run  (3 min)
# Write `frames(total_frames, frames_per_batch, init_random_frames)`. Return two whole numbers: how
# many frames the collector plays, and how many of them at random. `init_random_frames` is never
# larger than `total_frames`, and may be 0.
# <details><summary>Hint</summary>How many batches are begun? <code>math.ceil</code> rounds
# up.</details>


# %% tags=["exercise"]
def frames(total_frames, frames_per_batch, init_random_frames):
    # your code
    ...


check("5.2", frames)

# %% tags=["solution"]
import math


def frames(total_frames, frames_per_batch, init_random_frames):
    batches = math.ceil(total_frames / frames_per_batch)
    random_batches = math.ceil(init_random_frames / frames_per_batch)
    return batches * frames_per_batch, random_batches * frames_per_batch


check("5.2", frames)

# %% [markdown]
# ## Whose weights act?  (about 20 min to here)
#
# While you collect, you train. Does the collector play with the weights of today, or with a copy
# made when it was built? We change the policy after the first batch and look.

# %%
always(policy, 1)
collector = Collector(
    make_env(), policy, frames_per_batch=10, total_frames=30, auto_register_policy_transforms=True
)
for number, batch in enumerate(collector):
    print(f"batch {number}:", "".join(map(str, batch["action"].tolist())))
    always(policy, 0)
collector.shutdown()

# %% [markdown]
# The next batch already pushes left. On one device the collector does not copy: it *shares* the
# weights with you. Each step of the optimiser counts from the next batch on.
#
# ## Workers  (about 22 min to here) (deeper)
#
# A slow environment leaves your processor waiting. Then let several processes play at once:
#
# | | a batch has | who waits | the policy of a batch |
# |---|---|---|---|
# | `MultiSyncCollector` | a part from each worker | all, for the slowest | the newest they were given |
# | `MultiAsyncCollector` | all its frames from one worker | nobody | perhaps an older one |
#
# TorchRL starts workers by *spawn*: each is a fresh Python that knows nothing of your notebook.
# What it needs is sent as bytes, and Python's `pickle` does not send a function, only the address
# where it can be imported. The module `cloudpickle` sends the code itself.

# %%
import pickle

import cloudpickle

print("pickle:", pickle.dumps(make_env))
print("cloudpickle:", len(cloudpickle.dumps(make_env)), "bytes, make_env's code among them")

# %% [markdown]
# `__main__.make_env`: a worker has a `__main__` of its own, and no `make_env` in it. Fortunately
# the collectors wrap *functions* that build something in `cloudpickle`: `create_env_fn` and
# `policy_factory` may stand in a notebook.
#
# A policy *object* is sent as it is, and so its **class** by address. What does a fresh Python say to
# an object whose class stands in this notebook?

# %%
import subprocess
import sys


class AlwaysRight:
    def __call__(self, tensordict):
        return tensordict.set("action", torch.ones((), dtype=torch.long))


receive = "import pickle, sys; pickle.load(sys.stdin.buffer)"
sent = pickle.dumps(AlwaysRight())
worker = subprocess.run([sys.executable, "-c", receive], input=sent, capture_output=True)
print(worker.stderr.decode().splitlines()[-1])

# %% [markdown]
# It looked into its own `__main__`. (A collector then tells you only that `Worker 0 failed to
# initialize`; this line stands in the terminal.) Put such a class into a module, or build the object in
# a factory.
#
# In a **script** there is a second trap. A worker first runs the file it was started from, to get at its
# functions, and comes to the line that starts workers:

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

start = 'get_context("spawn").Process(target=print, args=["A worker is here."]).start()'


def run_script(guard):
    with TemporaryDirectory() as place:
        script = Path(place) / "script.py"
        script.write_text(f"from multiprocessing import get_context\n{guard}{start}\n")
        done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    error = " ".join(done.stderr.rpartition("RuntimeError: ")[2].split())
    return done.stdout.strip() or f"RuntimeError: {error.split('.')[0]}."


print("without a guard:", run_script(""))
print("with a guard:   ", run_script('if __name__ == "__main__": '))

# %% [markdown]
# The guard keeps the line from the workers, for whom `__name__` is another. A notebook needs none.
#
# With a factory each worker builds a policy of its own, with random weights of its own. A *weight
# sync scheme* (here `MultiProcessWeightSyncScheme`) says how yours get there, and
# `update_policy_weights_` sends them.

# %%
from torchrl.collectors import MultiSyncCollector
from torchrl.weight_update import MultiProcessWeightSyncScheme

collector = MultiSyncCollector(
    create_env_fn=[make_env, make_env],
    policy_factory=make_policy,
    weight_sync_schemes={"policy": MultiProcessWeightSyncScheme()},
    frames_per_batch=20,
    total_frames=80,
    auto_register_policy_transforms=True,
)

# %% [markdown]
# `try` and `finally` make sure that the workers are gone even if the loop fails. Forgotten workers
# are why notebooks hang.

# %%
always(policy, 1)
try:
    collector.update_policy_weights_(policy)
    for number, batch in enumerate(collector):
        rows = ["".join(map(str, row)) for row in batch["action"].tolist()]
        print(f"batch {number}, {list(batch.shape)}:", *rows)
        if number == 0:
            always(policy, 0)
        if number == 1:
            collector.update_policy_weights_(policy)
finally:
    collector.shutdown()

# %% [markdown]
# A batch is `[workers, frames]`: one row for each worker, 20 frames in all. (A replay buffer,
# below, would take each row for one item: give it `batch.reshape(-1)`.) We turned the policy to the
# left after batch 0; the workers went on pushing right in batch 1, until the new weights were
# *sent*.
#
# Now the asynchronous one, and the other way to hand things over. `EnvCreator` is a wrapper that
# does by hand what the collector did for us, and works wherever workers are started. The policy
# goes as an object: its class comes from TorchRL, so a worker can import it. On a CPU its weights
# are moved to memory that all processes see.

# %%
from torchrl.collectors import MultiAsyncCollector
from torchrl.envs import EnvCreator

always(policy, 1)
create_env = EnvCreator(make_env)
collector = MultiAsyncCollector(
    [create_env, create_env],
    policy,
    frames_per_batch=20,
    total_frames=120,
    auto_register_policy_transforms=True,
)
print("in shared memory:", all(weight.is_shared() for weight in policy.parameters()))

# %%
try:
    for number, batch in enumerate(collector):
        actions = "".join(map(str, batch["action"].tolist()))
        ids = batch["collector", "traj_ids"].unique().tolist()
        print(f"batch {number}, {list(batch.shape)}: {actions}  trajectories {ids}")
        if number == 0:
            always(policy, 0)
finally:
    collector.shutdown()

# %% [markdown]
# Each batch has one dimension and comes from one worker, whoever was ready first. Nothing was sent,
# yet the workers turn left: the memory is shared. When exactly they turn differs from run to run,
# and a batch can be half old, half new: nobody waited. Where workers hold copies, as with the
# factory above, nothing changes until you call `update_policy_weights_`.
#
# What if a worker dies? Most often the system kills it, because memory ran out. Here we do it
# ourselves, after the third batch.

# %%
mortal = MultiSyncCollector([make_env], None, frames_per_batch=10, total_frames=1_000_000)
try:
    for number, _ in enumerate(mortal):
        if number == 2:
            mortal.procs[0].kill()
except (RuntimeError, ValueError, EOFError, ConnectionError) as error:
    print(f"after batch {number}, {type(error).__name__}: {error}")
finally:
    mortal.shutdown()

# %% [markdown]
# The loop ends at once, with an error that says so. (It may be another one, `EOFError` say, if the worker
# was just handing over a batch.) A worker that merely stands still, in a simulator that never answers,
# raises nothing: it is waited for without end, and you have to press stop.
#
# Two processes took seconds to start for a few frames. CartPole is far too quick to need them;
# they pay where a step is slow.
#
# ## A memory in four parts  (about 33 min to here)
#
# A **replay buffer** is not one thing but four, and each can be exchanged:

# %%
parts = {
    "extend": "your frames",
    "transform": "changes on\nthe way in",
    "writer": "which slot\nnext?",
    "storage": "the slots:\nlist, tensor\nor file",
    "sampler": "which slots\nnow?",
    "transform ": "changes on\nthe way out",
    "sample": "your batch",
}
figure, axes = plt.subplots(figsize=(8.5, 1.7))
for place, (name, text) in enumerate(parts.items()):
    ours = name in ("extend", "sample")
    colour = "white" if ours else PALETTE["sky" if name == "storage" else "orange"]
    axes.add_patch(plt.Rectangle((1.4 * place, 0), 1.15, 1, facecolor=colour, edgecolor="black"))
    axes.text(1.4 * place + 0.57, 0.8, name.strip(), ha="center", va="center", weight="bold")
    axes.text(1.4 * place + 0.57, 0.35, text, ha="center", va="center", fontsize=9)
    if place:
        axes.annotate("", (1.4 * place, 0.5), (1.4 * place - 0.25, 0.5), arrowprops={"width": 1})
axes.set(xlim=(-0.1, 9.7), ylim=(-0.1, 1.1))
axes.axis("off")
chain = ", then ".join(f"{name.strip()}: {text}" for name, text in parts.items())
show_figure(figure, "From left to right: " + chain.replace("\n", " "))

# %% [markdown]
# Seven frames go into a `TensorDictReplayBuffer` with room for five. `LazyTensorStorage` looks at
# the first frames it gets, and then lays out one tensor per entry. Which two are forgotten?

# %% tags=["nbval-check-output"]
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

seven = TensorDict({"x": torch.arange(7)}, [7])
buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(5), batch_size=3)
buffer.extend(seven)
print("slots:  ", buffer[:]["x"].tolist())
print("sampler:", buffer.sampler)
print("writer: ", buffer.writer)

# %% [markdown]
# The two oldest. The writer (`RoundRobinWriter`) goes round: frames 5 and 6 overwrote 0 and 1, and
# its `cursor` stands at slot 2, whose frame is now the oldest. A sample tells in `index` which
# slots it came from:

# %% tags=["nbval-check-output"]
buffer.sample()

# %% [markdown]
# ### Three storages
# `ListStorage` is a Python list. It takes anything, also what is no tensor; so we use a plain
# `ReplayBuffer`, and say with `collate_fn` how the drawn items become a batch: here, as a list.

# %%
from torchrl.data import ListStorage, ReplayBuffer

notes = ReplayBuffer(storage=ListStorage(10), batch_size=4, collate_fn=list)
notes.extend(["fell left", "fell right", "time is up"])
torch.manual_seed(0)
notes.sample()

# %% [markdown]
# Four of three items: a plain sampler draws *with* replacement. `LazyMemmapStorage` keeps its
# tensors in files and reads only what is sampled, so a buffer may be larger than your memory.

# %% tags=["nbval-check-output"]
from pathlib import Path
from tempfile import TemporaryDirectory

from torchrl.data import LazyMemmapStorage

folder = TemporaryDirectory()
on_disk = TensorDictReplayBuffer(
    storage=LazyMemmapStorage(1_000, scratch_dir=folder.name), batch_size=3
)
on_disk.extend(seven)
print(type(on_disk[:]["x"]).__name__, on_disk[:]["x"].tolist())
for file in sorted(Path(folder.name).glob("*.memmap")):
    print(f"{file.name}: {file.stat().st_size:,} bytes for 1,000 slots")

# %% [markdown]
# The files have their full size from the first frame on: 8 bytes for each whole number.
#
# ### Each frame once
# Some algorithms go through a batch several times, in small pieces, each frame once per pass. That
# is another sampler: `SamplerWithoutReplacement`. Seven frames do not fit into pieces of three;
# `drop_last=True` leaves out the rest of each pass.

# %%
from torchrl.data import SamplerWithoutReplacement

torch.manual_seed(0)
passes = TensorDictReplayBuffer(
    storage=LazyTensorStorage(7), sampler=SamplerWithoutReplacement(drop_last=True), batch_size=3
)
passes.extend(seven)
for _ in range(2):
    print("one pass:", [passes.sample()["x"].tolist() for _ in range(2)])

# %% [markdown]
# No frame comes twice in a pass, and each pass has an order of its own.
#
# ### Exercise 5.3: a memory for one batch  (3 min)
# Write `make_memory(size, batch_size)`: build and return a TensorDict buffer with room for `size`
# frames. It gives samples of `batch_size`; in one pass every frame comes exactly once, in a new
# random order each pass. Where the last piece of a pass would be smaller than `batch_size`, it is
# still given.
# <details><summary>Hint</summary>Three arguments: <code>storage</code>, <code>sampler</code>,
# <code>batch_size</code>. The sampler's defaults do the rest.</details>


# %% tags=["exercise"]
def make_memory(size, batch_size):
    # your code
    ...


check("5.3", make_memory)

# %% tags=["solution"]
from torchrl.data import LazyTensorStorage, SamplerWithoutReplacement, TensorDictReplayBuffer


def make_memory(size, batch_size):
    storage = LazyTensorStorage(size)
    return TensorDictReplayBuffer(
        storage=storage, sampler=SamplerWithoutReplacement(), batch_size=batch_size
    )


check("5.3", make_memory)

# %% [markdown]
# ## Some frames teach more than others  (about 44 min to here) (deeper)
#
# Most frames are dull: the agent predicted well what followed. *Prioritized* replay (Schaul et al.,
# 2016) draws frame $i$ more often the larger its priority $p_i$ is, usually the size of its last
# TD error (lesson 04):
#
# $$ P(i) = \frac{p_i^\alpha}{\sum_k p_k^\alpha} $$
#
# With $\alpha = 0$ all $N$ frames of the buffer are drawn alike. But what is drawn more often also
# changes the network more often. *Importance weights* put that right in the loss, fully at
# $\beta = 1$:
#
# $$ w_i \propto \left( \frac{1}{N \, P(i)} \right)^\beta $$
#
# scaled so that the largest weight is 1.
#
# ### Exercise 5.4: how often, and how much  (5 min)
# Write `prioritize(priority, alpha, beta)` for a tensor of positive priorities, shape `[frames]`.
# Return two tensors of that shape: the probabilities $P(i)$ and the weights $w_i$.
# <details><summary>Hint</summary>Probabilities add up to 1. The factor <code>N</code> falls away
# once you divide the weights by the largest.</details>


# %% tags=["exercise"]
def prioritize(priority, alpha, beta):
    # your code
    ...


check("5.4", prioritize)


# %% tags=["solution"]
def prioritize(priority, alpha, beta):
    probability = priority**alpha / (priority**alpha).sum()
    weight = probability**-beta
    return probability, weight / weight.max()


check("5.4", prioritize)

# %% [markdown]
# TorchRL's `PrioritizedSampler` does this with trees written in C++. That compiled part does not
# load beside every release of PyTorch. Does it here?

# %%
from torchrl.data import PrioritizedSampler

try:
    PrioritizedSampler(max_capacity=10, alpha=0.7, beta=0.5)
    native = True
except RuntimeError as error:
    native = False
    print(f"{type(error).__name__}: {str(error).split('.')[0]}.")
print("TorchRL's own sampler" if native else "We write our own.")

# %% [markdown]
# A sampler is small, so we write one in any case, in four steps. (You may run their cells and read on
# behind them: all that follows holds for either sampler.)
#
# **Step one: draw.** To sample is to choose slots, and a slot is a number. `torch.multinomial` draws
# numbers: each one as often as its *mass* says, here $p_i^\alpha$. Three slots, their priorities, and
# $\alpha = 0.5$:

# %%
priority = torch.tensor([1.0, 4.0, 16.0])
mass = priority**0.5
torch.manual_seed(0)
index = torch.multinomial(mass, 700, replacement=True)
print("masses:", mass.tolist(), "drawn:", torch.bincount(index).tolist())

# %% [markdown]
# Masses of 1, 2 and 4, so about 100, 200 and 400 of 700 draws.
#
# **Step two: weigh.** The weights of exercise 5.4 need no $P(i)$: what is drawn with the smallest mass
# gets 1, and twice the mass gets $2^{-\beta}$.

# %% tags=["nbval-check-output"]
weight = (mass / mass.min()) ** -0.5
print("weights:", [round(number, 2) for number in weight.tolist()])

# %% [markdown]
# Those two steps are a sampler's main method. `sample` gets the storage, whose first `len(storage)`
# slots are filled, and how many frames are wanted. It returns the chosen slots, and a dictionary of what
# to write beside their frames.

# %%
from torchrl.data.replay_buffers import Sampler


class Drawing(Sampler):
    def __init__(self, max_capacity, alpha, beta):
        self.alpha, self.beta = alpha, beta
        self.priority = torch.zeros(max_capacity)  # of each slot

    def sample(self, storage, batch_size):
        mass = self.priority[: len(storage)] ** self.alpha
        index = torch.multinomial(mass, batch_size, replacement=True)
        return index, {"priority_weight": (mass[index] / mass.min()) ** -self.beta}


# %% [markdown]
# **Step three: note the errors.** The priorities come from outside, at two moments. When errors are
# reported, the buffer calls `update_priority` with the slots and their new priorities. When frames are
# written, it calls `mark_update` with their slots. Nobody knows the error of a new frame, so it gets the
# largest priority there is, and is soon looked at. The class builds on the one above:


# %%
class Prioritizing(Drawing):
    reduction = "max"  # of an item with several errors the largest counts

    def update_priority(self, index, priority, *, storage=None):
        self.priority[index] = torch.as_tensor(priority) + 1e-8  # never quite 0

    def mark_update(self, index, *, storage=None):
        self.update_priority(index, self.priority.max().item() or 1.0)


# %% [markdown]
# **Step four: be saved.** A buffer can be emptied, and saved with all it knows. So every `Sampler` must
# be able to forget its state, hand it over, and take it back: as a dictionary, or in a file.


# %%
class MultinomialSampler(Prioritizing):
    def _empty(self):
        self.priority.zero_()

    def state_dict(self):
        return {"priority": self.priority}

    def load_state_dict(self, state):
        self.priority = state["priority"]

    def dumps(self, path):
        torch.save(self.state_dict(), path)

    def loads(self, path):
        self.load_state_dict(torch.load(path))


# %% [markdown]
# That is all a sampler is. One trap remains: `update_tensordict_priority`, which reports errors to a
# buffer, first asks whether the sampler is a `PrioritizedSampler`. If it is not, it does nothing, and
# raises no error. `register` declares that ours counts as one.

# %%
print("before:", issubclass(MultinomialSampler, PrioritizedSampler))
PrioritizedSampler.register(MultinomialSampler)
print("after: ", issubclass(MultinomialSampler, PrioritizedSampler))

# %% [markdown]
# From here on it does not matter which of the two is at work. Ten frames, and frame $i$ had an
# error of $i + 1$:

# %% tags=["nbval-check-output"]
sampler_class = PrioritizedSampler if native else MultinomialSampler
buffer = TensorDictReplayBuffer(
    storage=LazyTensorStorage(10),
    sampler=sampler_class(max_capacity=10, alpha=0.7, beta=0.5),
    priority_key="td_error",
)
buffer.extend(TensorDict({"x": torch.arange(10)}, [10]))
everything = buffer[:]
everything["td_error"] = 1.0 + torch.arange(10)
buffer.update_tensordict_priority(everything)
buffer.sample(4)

# %% [markdown]
# A sample brings its `priority_weight`. `DQNLoss` uses it unasked: it multiplies each frame's loss by
# its weight, adds up, and divides by the sum of the weights. It also writes new errors for these
# frames into the sample as `td_error`, and you report them in the same way. Here is a trap: with
# `loss_function="l2"` what it writes is the *squared* TD error. Priorities are then squares, and
# $(\delta^2)^{0.35} = |\delta|^{0.7}$: with `l2`, a sampler with $\alpha = 0.35$ draws as ours does
# with 0.7, since we report the plain size of the error. Is each frame drawn as often as it should be?

# %%
torch.manual_seed(0)
drawn = buffer.sample(20_000)
frequency = torch.bincount(drawn["x"], minlength=10) / len(drawn)
mass = (1.0 + torch.arange(10)) ** 0.7
expected = mass / mass.sum()

figure, axes = plt.subplots()
axes.bar(range(10), frequency, color=PALETTE["sky"], label="drawn, of 20,000")
axes.plot(range(10), expected, "o", color=PALETTE["vermillion"], label="$p^{0.7}$, scaled")
axes.axhline(0.1, color="black", linestyle="--", linewidth=1, label="uniform")
axes.set(xlabel="frame $i$, priority $i + 1$", ylabel="share of the draws", xticks=range(10))
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"Drawn shares rise from {frequency[0]:.3f} to {frequency[9]:.3f}; they differ from p to the "
    f"0.7, scaled, by at most {(frequency - expected).abs().max():.3f}.",
)

# %% [markdown]
# Bars and dots agree, up to chance. The last frame has ten times the priority of the first, but is
# drawn only about five times as often: that is what $\alpha = 0.7$ does. And its weight is the smallest:

# %%
for number in (0, 4, 9):
    weights = drawn["priority_weight"][drawn["x"] == number]
    print(f"frame {number}: drawn {len(weights):5,} times, weight {weights[0]:.2f}")

# %% [markdown]
# What does that do to real frames? Let a critic say that every state of CartPole is worth about 10,
# and let $\gamma = 0.9$. About a step on which the pole stays up it is right, since $1 + 0.9 \cdot 10
# = 10$. Only a fall, after which nothing follows, surprises it. We give 600 frames of random play to
# a prioritized buffer with room for 500, and report these errors:

# %%
memory = TensorDictReplayBuffer(
    storage=LazyTensorStorage(500),
    sampler=sampler_class(max_capacity=500, alpha=0.7, beta=0.5),
    priority_key="td_error",
    batch_size=32,
)
player = make_env()
player.set_seed(0)
memory.extend(player.rollout(600, break_when_any_done=False))
frames = memory[:]
said, said_next = 10 + 0.5 * torch.randn(2, 500, 1)
target = frames["next", "reward"] + 0.9 * said_next * ~frames["next", "terminated"]
frames["td_error"] = (target - said).abs().squeeze(-1)
memory.update_tensordict_priority(frames)

# %% [markdown]
# `ReplayLens` looks into a buffer, without changing it, and compares what is stored with what the
# sampler draws, and with uniform draws. Predict: which share of the draws will be falls?

# %%
from course_utils import ReplayLens

ReplayLens(memory)

# %% [markdown]
# Falls are rare among the stored frames and frequent among the drawn ones. Age and action, which the
# error knows nothing of, are drawn as they are stored. And no frame is older than 500: the buffer has
# written over the first hundred.

# %% [markdown]
# ## Pieces of trajectories  (about 62 min to here) (deeper)
#
# A recurrent network, or a return over several steps, needs frames in their order. `SliceSampler`
# draws stretches that lie within one trajectory, and knows them by `traj_ids`. It must also know
# that a batch border is no end: the four batches from the beginning go in, one after the other.

# %%
from torchrl.data import SliceSampler

slices = TensorDictReplayBuffer(
    storage=LazyTensorStorage(200),
    sampler=SliceSampler(slice_len=5, traj_key=("collector", "traj_ids")),
    batch_size=20,
)
for batch in batches:
    slices.extend(batch)

torch.manual_seed(0)
sample = slices.sample()
print(sample.shape)
for piece in sample.reshape(4, 5):
    number = piece["collector", "traj_ids"][0].item()
    steps = piece["step_count"].flatten().tolist()
    truncated = piece["next", "truncated"].flatten().int().tolist()
    print(f"trajectory {number}, steps {steps}, truncated {truncated}")

# %% [markdown]
# `batch_size` counts frames: 20 frames are 4 slices of 5. Each has one trajectory and consecutive
# steps, also where a batch border lay between them. The sampler marks the last frame of a slice as
# `truncated`, so that nobody computes a return across the seam. (The frames of a trajectory have to
# stand side by side in the storage. The rows of several workers would be torn apart by `reshape(-1)`:
# give the buffer `LazyTensorStorage(size, ndim=2)` and the batch as it is, here and for
# `MultiStepTransform` below.)
#
# ### Several steps at once
# A one-step transition learns from one reward. An $n$-step transition adds up $n$ of them,
# $r_t + \gamma r_{t+1} + \dots + \gamma^{n-1} r_{t+n-1}$, and has as its next state the one $n$
# steps later. `MultiStepTransform` computes it on the way into the buffer. It has to see $n$
# steps ahead, so watch what it does with the last ones:

# %%
from torchrl.envs import MultiStepTransform


def multi_step_buffer(n_steps=3, **options):
    transform = MultiStepTransform(n_steps=n_steps, gamma=0.9, **options)
    return TensorDictReplayBuffer(storage=LazyTensorStorage(200), transform=transform, batch_size=8)


buffer = multi_step_buffer()
for number, batch in enumerate(batches):
    buffer.extend(batch)
    print(f"given {30 * (number + 1):3} frames, in the buffer {len(buffer):3}")

# %% [markdown]
# Three are always missing. The transform withholds the last $n$ frames of a batch, and hands them
# on with the next one, when it knows how they went on. Only the very last $n$ never arrive. Here is
# what it wrote around the end of the first trajectory:


# %%
def show_end(buffer):
    data = buffer[:]
    end = (data["collector", "traj_ids"] == 0).sum()
    for row in data[end - 4 : end]:
        print(
            f"step {row['step_count'].item():2} -> {row['next', 'step_count'].item():2}   "
            f"steps {row['steps_to_next_obs'].item()}   "
            f"reward {row['next', 'reward'].item():.2f}   "
            f"terminated {row['next', 'terminated'].item()}"
        )


show_end(buffer)

# %% [markdown]
# Three rewards of 1 make $1 + 0.9 + 0.81 = 2.71$; near the end fewer are left, and
# `steps_to_next_obs` counts them, so that a loss knows how far to discount the next state. But look
# at `terminated`. The last **three** rows all lead to the state in which the pole fell, and only
# one says so. By default the flags stay those of the first step, and a target built from the other
# rows would give a fallen pole a future. `done_keys` names the entries that stay; we name none, and
# the flags come along with the next state.

# %%
buffer = multi_step_buffer(done_keys=[])
for batch in batches:
    buffer.extend(batch)
show_end(buffer)

# %% [markdown]
# Now each row that ends in the fall says so. How far should $n$ reach? Turn it (in JupyterLab or
# Colab) and watch two things: how many rewards a row adds up, and how many rows reach
# the end of the episode.


# %%
def draw_multi_step(n=3):
    buffer = multi_step_buffer(n, done_keys=[])
    for batch in batches:
        buffer.extend(batch)
    rows = buffer[:]
    rows = rows[rows["collector", "traj_ids"] == 0]
    ends = rows["next", "terminated"].squeeze(-1)
    colours = [PALETTE["vermillion"] if end else PALETTE["sky"] for end in ends]
    figure, axes = plt.subplots()
    axes.bar(rows["step_count"].squeeze(-1), rows["next", "reward"].squeeze(-1), color=colours)
    axes.set(
        xlabel="step of the first trajectory (red: leads to the fall)", ylabel="sum of rewards"
    )
    axes.set_ylim(0, 7)
    most = rows["next", "reward"].max().item()
    return show_figure(
        figure, f"n = {n}: sums up to {most:.2f}; {ends.sum()} rows end in the fall."
    )


# %%
from course_utils import sliders

sliders(draw_multi_step, n=(1, 10))

# %% [markdown]
# For a blue row a critic still has to say what the rest is worth; the red ones hold all there was. The
# larger $n$, the less depends on the critic, and the more on how these very actions turned out.
#
# ### Exercise 5.5: rewards of n steps  (5 min)
# Write `n_step_rewards(reward, done, gamma, n)`. `reward` and `done` (boolean) have shape
# `[frames]`, in order of time, and can hold several episodes. For each frame **but the last `n`**
# return the discounted sum of `n` rewards, its own first. A sum ends early, with that reward
# included, at a frame that is `done`.
# <details><summary>Hint</summary>Two loops: over the first frame of each sum, and over its up to
# <code>n</code> rewards, with a <code>break</code> after a <code>done</code>.</details>


# %% tags=["exercise"]
def n_step_rewards(reward, done, gamma, n):
    # your code
    ...


check("5.5", n_step_rewards)


# %% tags=["solution"]
def n_step_rewards(reward, done, gamma, n):
    sums = []
    for first in range(len(reward) - n):
        total = 0.0
        for later in range(n):
            total = total + gamma**later * reward[first + later]
            if done[first + later]:
                break
        sums.append(total)
    return torch.stack(sums)


check("5.5", n_step_rewards)

# %% [markdown]
# ## Save, load, go on  (about 76 min to here) (deeper)
#
# A buffer can take hours to fill. `dumps` writes it into a folder, `loads` reads it into a buffer
# that was built in the same way. The frames are not all there is to it: the writer has to know
# where it stood.


# %% tags=["nbval-check-output"]
def small_buffer():
    return TensorDictReplayBuffer(storage=LazyTensorStorage(5), batch_size=3)


first = small_buffer()
first.extend(seven)
first.dumps(f"{folder.name}/saved")

second = small_buffer()
second.loads(f"{folder.name}/saved")
print(second[:]["x"].tolist(), second.writer)

# %% [markdown]
# Same slots, same cursor. So both go on alike, in what they write and, from the same seed, in what
# they draw:

# %%
for buffer in (first, second):
    buffer.extend(TensorDict({"x": torch.tensor([70, 80])}, [2]))
    torch.manual_seed(0)
    print(buffer[:]["x"].tolist(), "sample:", buffer.sample()["x"].tolist())

# %% [markdown]
# ### What `loads` does not notice
# It believes what it finds. Let the kernel be killed, or the disk be full, while a file is written,
# so that only half of it is there:

# %%
half = Path(folder.name) / "saved/storage/x.memmap"
half.write_bytes(half.read_bytes()[:20])
third = small_buffer()
third.loads(f"{folder.name}/saved")
print(third[:]["x"].tolist())

# %% [markdown]
# No error, and zeros that nobody ever put in: training would go on with frames that were never
# played. Nor is a stranger's dump safe, since one of its files (`prefetch.pkl`) can run code when it
# is loaded. A buffer also has a `state_dict()`, and our `save_checkpoint` writes that into one file
# that is either whole or refused:

# %%
from course_utils import load_checkpoint, save_checkpoint

file = Path(folder.name) / "buffer.pt"
save_checkpoint(first.state_dict(), file)
fourth = small_buffer()
fourth.load_state_dict(load_checkpoint(file))
print(fourth[:]["x"].tolist(), fourth.writer)

file.write_bytes(file.read_bytes()[:-100])
try:
    load_checkpoint(file)
except Exception as error:
    print(type(error).__name__ + ":", str(error).replace(folder.name, "..."))

# %%
folder.cleanup()

# %% [markdown]
# ## The parts together  (about 84 min to here)
#
# What plays, what remembers, and (from lesson 04) what learns: joined, they are a training loop of
# about ten lines, the heart of lessons 07, 09 and 11. You write it yourself in exercise 5.6, at the end
# of this lesson. First, all the parts, for CartPole:

# %%
from tensordict.nn import TensorDictSequential
from torchrl.modules import EGreedyModule
from torchrl.objectives import DQNLoss, SoftUpdate

actor = make_policy()
egreedy = EGreedyModule(Categorical(2), eps_init=1.0, eps_end=0.1, annealing_num_steps=1_000)
explorer = TensorDictSequential(actor, egreedy)
options = {"frames_per_batch": 50, "total_frames": 200, "auto_register_policy_transforms": False}
collector = Collector(make_env(), explorer, **options)
memory = TensorDictReplayBuffer(storage=LazyTensorStorage(1_000), batch_size=32)
loss_module = DQNLoss(actor, loss_function="l2", delay_value=True)
target_updater = SoftUpdate(loss_module, eps=0.99)
optimiser = torch.optim.Adam(loss_module.parameters(), lr=1e-3)

# %% [markdown]
# A turn of training is: collect a batch, store it, and then a few times sample, compute the loss, go
# backward, take a step, and let the target network follow. (A collector draws at random: it plays
# under `ExplorationType.RANDOM` unless it is told otherwise. So the explorer explores.)


# %%
def train():
    for batch in collector:
        memory.extend(batch)
        for _ in range(4):
            loss = loss_module(memory.sample())["loss"]
            loss.backward()
            optimiser.step()
            target_updater.step()


# %% [markdown]
# It runs, and nothing complains. Three things are missing all the same; which? Decide, then let
# `watch_loop` run it. It notes from outside what a loop does to its parts, in order.

# %%
from course_utils import watch_loop

seen = watch_loop(train)
seen

# %% [markdown]
# The picture has a row for each turn; what repeats is written once. Dashed boxes are what should have
# happened there, and did not. None of the three faults raises an error: they cost you an evening.
# `watch_loop` works for any loop of yours.
#
# ### Exercise 5.6: build it: a training loop  (15 min)
# Write `my_loop(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates)`. For
# each batch that the collector plays: store it, tell `egreedy` how many frames were played, and make
# `updates` updates. Each update learns from a sample of its own; the target network follows. Nothing
# is returned. When the collector has no more batches, shut it down. The check runs your loop with
# tiny parts and watches.
#
# Write it in your own way. `check` and `watch_loop(my_loop)` call your function with tiny parts of
# their own, chosen by the *names* of its parameters, and the second shows at any time what your loop
# does. The parts above are enough. If you would rather play with
# `env.rollout(frames_per_batch, policy)`, name `env`, `policy` and `blocks`, how many batches to
# play; if you build your own buffer, `batch_size`.
# <details><summary>Hint 1</summary>Begin with <code>for batch in collector:</code> and two lines:
# <code>extend</code>, and <code>egreedy.step(...)</code> with the number of frames,
# <code>batch.numel()</code>. Let <code>watch_loop(my_loop)</code> show them.</details>
# <details><summary>Hint 2</summary>An inner loop, <code>for _ in range(updates):</code>. Its first line
# is a loss of a sample: <code>loss_module(buffer.sample())["loss"]</code>.</details>
# <details><summary>Hint 3</summary>Four calls follow in the inner loop: <code>zero_grad</code>,
# <code>backward</code>, <code>step</code> of the optimiser, <code>step</code> of the target updater. And
# one stands behind both loops.</details>


# %% tags=["exercise"]
def my_loop(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    # your code
    ...


check("5.6", my_loop)


# %% tags=["solution"]
def my_loop(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for _ in range(updates):
            loss = loss_module(buffer.sample())["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            target_updater.step()
    collector.shutdown()


check("5.6", my_loop)

# %% [markdown]
# Ten lines: every loop of lessons 07, 09 and 11 has them in it, and adds something around them.
#
# ## What you can do now
# You can collect frames in one process or several, say how many there will be, which trajectory
# each belongs to and whose weights played it; build a memory for them from a storage, a sampler, a
# writer and a transform, one of them written by yourself; and join them to a loop that learns.
#
# **Try next:** hand the buffer to the collector: `Collector(..., replay_buffer=buffer)` fills it
# itself, and the loop gets `None` in place of batches. `watch_loop` will tell you whether it still does
# all it should.
#
# Go on with [{{next title}}]({{next file}}).
