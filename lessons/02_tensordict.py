# ---
# jupyter:
#   course:
#     title: TensorDict, one container for everything
#     objectives:
#       - read, index, stack, reshape and split many tensors as if they were one (TensorDict)
#       - tell batch dimensions from feature dimensions, and use the batch size to catch mistakes
#       - say what shares memory and what is a copy, before you write into it
#       - move, convert, save and load a whole set of tensors in one call
#       - write code that works for data whose keys it does not know, episodes of any length too (2.6)
#     prerequisites: PyTorch and lessons 00 and 01 (environments and rollouts)
#     minutes: {reading: 41, exercises: 32, short: 30}
# ---

# %% [markdown]
# ## How do you shuffle ten tensors in step?  (about 1 min to here)
#
# Learning from steps of an environment nearly always includes this: shuffle the steps, then go
# through them in small pieces, *minibatches*. A step is not one tensor but many, and they must be
# shuffled in the same order, or the reward of one step meets the action of another.
#
# With a plain dictionary of tensors it takes a loop. Note that we have to pick some entry to learn
# how many rows there are.

# %%
import torch


def minibatches_of_dict(data, size):
    rows = len(data["action"])
    batches = []
    for index in torch.randperm(rows).split(size):
        batches.append({name: entry[index] for name, entry in data.items()})
    return batches


# %%
flat = {"observation": torch.randn(6, 4), "action": torch.randn(6, 2)}
[
    {name: list(entry.shape) for name, entry in batch.items()}
    for batch in minibatches_of_dict(flat, 4)
]

# %% [markdown]
# Six rows became a batch of four and a batch of two. But what follows a step belongs to it too, and
# is best kept in a dictionary of its own:

# %%
nested = {**flat, "next": {"reward": torch.randn(6, 1)}}
try:
    minibatches_of_dict(nested, 4)
except KeyError as error:
    print(f"{type(error).__name__}: {str(error)[:16]}...")

# %% [markdown]
# The inner dictionary took our row numbers for a key. A dictionary does not know that its entries
# have rows in common. A **`TensorDict`** does, and at the end of this lesson the function above
# will be one line that asks for no key at all.
#
# ## Keys and shapes at once  (about 4 min to here)
#
# Environments speak TensorDict. `GymEnv` and `rollout` are known from lesson 01; here they are just
# our source of data.

# %% tags=["nbval-check-output"]
from torchrl.envs import GymEnv

torch.manual_seed(0)
env = GymEnv("CartPole-v1")
env.set_seed(0)
data = env.rollout(6)
data

# %% [markdown]
# Read it from the bottom: `batch_size` is `[6]`, six steps. Above it stands every entry with its
# shape and type, and each shape *begins* with that 6. The dimensions an entry has beyond the batch
# size are its own: the **feature dimensions**. CartPole's `observation` has four features: the
# cart's position and speed, the pole's angle and turning speed, numbered 0 to 3. `next` is a
# TensorDict inside the TensorDict. (`device` comes later in this lesson; `is_shared` tells whether
# other processes can see the memory.)
#
# TensorDicts can also be made by hand, from tensors and dictionaries:

# %% tags=["nbval-check-output"]
from tensordict import TensorDict

TensorDict(nested, batch_size=[6])

# %% [markdown]
# The inner dictionary has become a TensorDict with the same batch size. Here is the picture to keep
# in mind, drawn from a few entries of `data` (`select` keeps the entries you name, and no others):

# %%
import matplotlib.pyplot as plt
from course_utils import PALETTE, show_figure, use_course_style

use_course_style()
figure, axes = plt.subplots(figsize=(7, 3.4))
drawn = data.select("observation", "action", ("next", "observation"), ("next", "reward"))
left, shapes = 0, []
for (key, entry), colour in zip(drawn.items(True, True), PALETTE.values(), strict=False):
    rows, width = entry.shape
    for step in range(rows):
        for feature in range(left, left + width):
            box = plt.Rectangle((feature, step - 0.5), 1, 1, facecolor=colour, edgecolor="white")
            axes.add_patch(box)
    shapes.append(f"{key if isinstance(key, str) else ' '.join(key)}\n{list(entry.shape)}")
    axes.text(left + width / 2, -0.8, shapes[-1], ha="center")
    left += width + 2
axes.add_patch(plt.Rectangle((-0.3, 1.5), left - 1.4, 1, fill=False, linewidth=3))
axes.text(left - 1.5, 2.15, "data[2]")
axes.set(xlim=(-0.5, left + 0.5), ylim=(rows - 0.3, -2), xticks=[], yticks=range(rows))
axes.set(xlabel="feature dimensions: each entry has its own", ylabel="batch dimension: shared")
axes.grid(False)
alt = ", ".join(shapes).replace("\n", " ")
show_figure(figure, f"Entries side by side, {rows} rows each: {alt}. data[2] cuts row 2 of all.")

# %% [markdown]
# Down: the batch dimension, one row per step, the same for all. Across: the features, as many as an
# entry likes. What the picture cannot tell is what is *in* the entries. `show` opens a TensorDict
# like a folder (click on a line with a triangle to close or open it):

# %%
from course_utils import show

show(data)

# %% [markdown]
# In each shape the batch dimension is in bold, and a few figures tell what the values are like.
# CartPole pays a reward of 1 for every step, and `done` is False while the pole stands. Whatever we
# do to a TensorDict as a whole (index, stack, reshape, split) is done to the rows, and never to the
# features.
#
# ## The batch size keeps watch  (about 10 min to here)
#
# A new entry is set like in a dictionary. Its shape has to begin with the batch size; what comes
# after is free.

# %% tags=["nbval-check-output"]
data["picture"] = torch.zeros(6, 3, 32, 32)
try:
    data["bonus"] = torch.zeros(4)
except RuntimeError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# Six pictures fit six steps. Four bonuses do not, and we hear of it here, at the line with the
# mistake, rather than when training goes wrong an hour later.
#
# TensorDict cannot know where your batch ends and your features begin: a `[6, 4]` entry might be
# six rows of four, or a table of 24 numbers. That is why *you* say it. Say nothing, and the batch
# size is empty:

# %% tags=["nbval-check-output"]
unspoken = TensorDict({"observation": torch.zeros(6, 4), "reward": torch.zeros(6, 1)})
print(unspoken.batch_size)
try:
    unspoken[0]
except Exception as error:
    print(f"{type(error).__name__}: {str(error)[:60]}")

# %% tags=["nbval-check-output"]
unspoken.batch_size = [6]
unspoken[0].shape, len(unspoken)

# %% [markdown]
# An empty batch size means "one thing", and one thing has no row 0. With `[6]` it can be indexed
# and has a length. (`td.shape` is another name for `td.batch_size`.)
#
# ## Nesting, and keys that are not there  (about 12 min to here)
#
# A nested entry is reached with several keys in one pair of brackets (a tuple). Setting works the
# same way, and makes the inner TensorDict where there is none. `del` removes an entry.

# %% tags=["nbval-check-output"]
del data["picture"]
data["statistics", "speed"] = data["observation"][:, 1].abs()
print(data["next", "reward"].shape, data["next"]["reward"].shape)
list(data.keys(include_nested=True, leaves_only=True))

# %% [markdown]
# Both spellings give the same reward. The list shows all entries at any depth, nested ones as
# tuples; plain `data.keys()` would show the top level only. `keys(True, True)` is short for the
# same, and `items` and `values` take these two switches too.
#
# Now a key with a slip of the pen, asked for in two ways:

# %% tags=["nbval-check-output"]
print(data.get("rewrad"))
print(data.get(("next", "bonus"), torch.zeros(6)))
try:
    data["next", "rewrad"]
except KeyError as error:
    print(type(error).__name__, str(error)[:40])

# %% [markdown]
# `get` answers `None`, or the default you name; square brackets raise a `KeyError`. So use brackets
# for what must be there, and `get` with a default for what may be missing: a `None` that slips
# through shows up much later, somewhere else. `in` asks first:

# %% tags=["nbval-check-output"]
"reward" in data, ("next", "reward") in data

# %% [markdown]
# ## By key, by position, by mask  (about 14 min to here)
#
# A string or a tuple of strings is a key and gives one entry for all rows. Everything else is a
# position, and gives all entries for some rows. We take a longer stretch of play, in which the pole
# falls now and then (`break_when_any_done=False` starts a new episode each time).

# %% tags=["nbval-check-output"]
play = env.rollout(100, break_when_any_done=False)
print("key     ", play["observation"].shape)
print("integer ", play[3].shape, "with observation", play[3]["observation"].shape)
print("slice   ", play[10:20].shape, "with observation", play[10:20]["observation"].shape)
print("list    ", play[[0, 50, 99]].shape)
print("last few", play[-5:].shape)

# %% [markdown]
# An integer takes one row and drops the dimension: `play[3]` is the fourth step, with no batch
# left. Slices and lists keep it.
#
# A **mask** is a tensor of True and False, one per row. All entries are cut by the same mask. Here
# it asks whether the pole's angle, feature 2, is positive:

# %%
leans_right = play["observation"][:, 2] > 0
print("mask", leans_right.shape, leans_right.dtype)
right = play[leans_right]
right.shape, right["observation"][:, 2].min()

# %% [markdown]
# Only steps on which the pole leans to the right are left, as the smallest angle shows, and their
# actions and rewards came along.
#
# ### Exercise 2.1: the steps that ended in a fall  (3 min)
# Write `falls(data)`: it gets steps with batch size `[time]`, like `play`, and returns, as a
# TensorDict with all entries, only the steps that led to `terminated`. Mind that a flag has shape
# `[time, 1]`.
# <details><summary>Hint</summary>What a step led to stands under <code>next</code>. A mask needs
# the shape of the batch: <code>squeeze(-1)</code> drops a last dimension of 1.</details>

# %% tags=["exercise"]
from course_utils import check


def falls(data):
    # your code
    ...


check("2.1", falls)


# %% tags=["solution"]
def falls(data):
    return data[data["next", "terminated"].squeeze(-1)]


check("2.1", falls)

# %% [markdown]
# ## Stack, concatenate, reshape, split  (about 19 min to here)
#
# PyTorch's own functions work on TensorDicts, and `dim` counts batch dimensions. **Stacking** makes
# a new dimension; **concatenating** lengthens one that is there.

# %% tags=["nbval-check-output"]
first, second = play[:6], play[6:12]
stacked = torch.stack([first, second])
print("stack      ", stacked.shape)
print("stack dim 1", torch.stack([first, second], 1).shape)
print("cat        ", torch.cat([first, second]).shape)
print(
    "stacked observation", stacked["observation"].shape, "reward", stacked["next", "reward"].shape
)

# %% [markdown]
# `stacked` is how a batch from two environments looks: `[environments, time]`. Nested entries went
# along, and features stayed last. With several batch dimensions, positions go dimension by
# dimension, and `...` means "the batch dimensions I do not mention".

# %% tags=["nbval-check-output"]
print("stacked[0, 2]    ", stacked[0, 2].shape)
print("stacked[:, -1]   ", stacked[:, -1].shape)
print("stacked[..., 0]  ", stacked[..., 0].shape)
print("reshape(-1)      ", stacked.reshape(-1).shape)
print("reshape(4, 3)    ", stacked.reshape(4, 3).shape)
print("reshape, split(5)", [piece.shape for piece in stacked.reshape(-1).split(5)])

# %% [markdown]
# `reshape(-1)` lays the two environments end to end: one long row of steps, from which single ones
# can be drawn. `split(5)` cuts pieces of 5, and the last one is as long as what is left.
#
# ### Exercise 2.2: predict a shape  (2 min)
# `many` has batch size `[6, 10]`: six environments, ten steps each. Its `observation` has four
# features, so its shape is `[6, 10, 4]`. Predict, without running it, the shape of
#
# `torch.stack([many, many])[..., :3]["observation"]`
#
# and give it as a tuple of numbers.
# <details><summary>Hint</summary>First only the batch size: what does stacking make of <code>[6,
# 10]</code>, and which dimension does <code>[..., :3]</code> cut? Then add the features.</details>

# %% tags=["exercise"]
shape = ...  # your tuple of numbers

check("2.2", shape)

# %% tags=["solution"]
shape = (2, 6, 3, 4)  # stack: [2, 6, 10]; the last batch dimension is cut to 3; features follow

check("2.2", shape)

# %% [markdown]
# ### Exercise 2.3: full batches only  (4 min)
# Write `full_batches(data, size)`: `data` has batch size `[environments, time]`. Lay all steps in
# one row, environment after environment, and return a list (or tuple) of TensorDicts of exactly
# `size` steps each, in order. Steps that do not fill a last batch are left out.
# <details><summary>Hint</summary>With <code>n</code> steps in the row there are <code>n //
# size</code> full batches. How many steps is that? Cut the row there, then split it.</details>


# %% tags=["exercise"]
def full_batches(data, size):
    # your code
    ...


check("2.3", full_batches)


# %% tags=["solution"]
def full_batches(data, size):
    rows = data.reshape(-1)
    full = len(rows) // size * size
    return rows[:full].split(size)


check("2.3", full_batches)

# %% [markdown]
# ## Whose memory is it?  (about 27 min to here)
#
# A slice of a tensor is a *view*: it looks at the same memory. TensorDict follows its tensors. We
# ask for the piece of memory (*storage*) behind an entry, before and after.

# %% tags=["nbval-check-output"]
steps = play[:6].clone()


def memory(td):
    return td["observation"].untyped_storage().data_ptr()


results = {
    "steps[1:4]": steps[1:4],
    "steps.split(4)[0]": steps.split(4)[0],
    "steps.reshape(2, 3)": steps.reshape(2, 3),
    "steps.select('observation')": steps.select("observation"),
    "steps.copy()": steps.copy(),
    "steps[[1, 2, 3]]": steps[[1, 2, 3]],
    "steps[steps['action'][:, 0] == 1]": steps[steps["action"][:, 0] == 1],
    "torch.stack([steps, steps])": torch.stack([steps, steps]),
    "steps.clone()": steps.clone(),
}
for name, result in results.items():
    print(f"{name:34}", "shares" if memory(result) == memory(steps) else "copies")

# %% [markdown]
# Slices, splits and (where they can) reshapes share; lists, masks and stacks copy. Mind the two
# that sound alike: `copy()` copies the *dictionary* and shares the tensors, `clone()` copies the
# tensors.
#
# Sharing is about tensors. The slice itself is a new TensorDict with its own list of keys, and that
# makes a difference when you write:

# %% tags=["nbval-check-output"]
steps["next", "reward"].fill_(1.0)
steps[:2]["next", "reward"] = torch.full((2, 1), 7.0)
print("replaced an entry of the slice:", steps["next", "reward"].squeeze(-1).tolist())
steps[:2]["next", "reward"].fill_(7.0)
print("filled an entry of the slice:  ", steps["next", "reward"].squeeze(-1).tolist())
steps["next", "reward"][4:] = 9.0
print("wrote into rows of the entry:  ", steps["next", "reward"].squeeze(-1).tolist())

# %% [markdown]
# `steps[:2]` made a new TensorDict. `[key] = tensor` put a *new* tensor into it, and it was thrown
# away at the end of the line: `steps` never heard of it, and nothing is said. To change values, write
# *into* the tensor: take the key first and assign to its rows, or use `tensor.fill_(value)` or
# `td.set_(key, tensor)`. (A list of positions, as in `tensor[:, [1, 3]]`, makes a copy on the right of
# `=`; on the left it writes into `tensor`.)
#
# ### Exercise 2.4: hide the speeds  (4 min)
# Write `hide_speeds(data)`: return the same steps with features 1 and 3 of `observation` (the
# two speeds of CartPole) set to 0, now and in what comes `next`. `data` itself must stay as it is;
# its batch size is `[time]`.
# <details><summary>Hint</summary>Start from a copy whose tensors are its own. Rows come first,
# features second: <code>tensor[:, [1, 3]]</code>, on the left of <code>=</code>.</details>


# %% tags=["exercise"]
def hide_speeds(data):
    # your code
    ...


check("2.4", hide_speeds)


# %% tags=["solution"]
def hide_speeds(data):
    result = data.clone()
    result["observation"][:, [1, 3]] = 0
    result["next", "observation"][:, [1, 3]] = 0
    return result


check("2.4", hide_speeds)

# %% [markdown]
# ### Locked
# A TensorDict that others rely on can be locked. No key may then come, go or be replaced; values
# may still be written into the tensors that are there.

# %% tags=["nbval-check-output"]
steps.lock_()
try:
    steps["bonus"] = torch.zeros(6)
except RuntimeError as error:
    print(f"{type(error).__name__}: {str(error)[:32]}")
steps.set_("observation", torch.zeros(6, 4))
with steps.unlock_():
    steps["bonus"] = torch.zeros(6)
steps.is_locked, "bonus" in steps, steps["observation"].abs().max()

# %% [markdown]
# The new key was refused, `set_` could overwrite the observations, and inside `with
# steps.unlock_():` the door was open; afterwards it is locked again.
#
# ## Other devices, other types  (about 37 min to here)
#
# `td.to(device)` moves every entry, at any depth, in one call. With a GPU you would write
# `td.to("cuda")`. To see it on any machine we use PyTorch's `meta` device, which knows shapes but
# stores no numbers.

# %% tags=["nbval-check-output"]
moved = play.select("observation", ("next", "reward")).to("meta")
print({entry.device for entry in moved.values(True, True)}, play["observation"].device)
moved["bonus"] = torch.zeros(100)
play.device, moved.device, moved["bonus"].device

# %% [markdown]
# `play` stayed where it was: `to` returns a new TensorDict. `play.device` is `None`, which means
# "no promise": each entry may live where it likes. `moved` has a device, so a new entry is moved
# there when you set it.
#
# Types are converted just as easily. Perhaps too easily:

# %%
show(play, play.float())

# %% [markdown]
# Given two TensorDicts, `show` says what became of the first one. `float()` converted *everything*
# that was not `float32` before: whole numbers, and flags too. `apply` gives each entry to a function
# of yours, and there you can choose:

# %%
show(play, play.apply(lambda entry: entry.double() if entry.is_floating_point() else entry))

# %% [markdown]
# Only what was a floating-point number before has been touched.
#
# ## A function for every entry  (about 38 min to here)
#
# `apply` calls a function once per entry. If the rows change in number, say so with `batch_size`.
# (`double()` is there because `mean` refuses whole numbers and flags.) `named_apply` hands over the
# key as well, with `nested_keys=True` the whole tuple of a nested one; where the function returns
# `None`, the entry is left out.

# %% tags=["nbval-check-output"]
mean = play.apply(lambda entry: entry.double().mean(0), batch_size=[])
print(mean.shape, mean["next", "reward"])


def only_flags(key, entry):
    name = key if isinstance(key, str) else key[-1]
    return entry if name in ("terminated", "truncated", "done") else None


play.named_apply(only_flags, nested_keys=True)

# %% [markdown]
# Means over time in one call, and then only the flags, from both levels.
#
# ### Exercise 2.5: pictures to numbers  (4 min)
# Cameras give whole numbers from 0 to 255 (`torch.uint8`), networks want floating-point numbers
# from 0 to 1. Write `scale_pictures(data)`: every entry of type `torch.uint8`, at any depth and
# whatever its name, becomes `torch.float32` and is divided by 255. All other entries stay as they
# are.
# <details><summary>Hint</summary>You do not need the names: decide by
# <code>entry.dtype</code>.</details>


# %% tags=["exercise"]
def scale_pictures(data):
    # your code
    ...


check("2.5", scale_pictures)


# %% tags=["solution"]
def scale_pictures(data):
    return data.apply(lambda entry: entry.float() / 255 if entry.dtype == torch.uint8 else entry)


check("2.5", scale_pictures)

# %% [markdown]
# ## What it replaces  (about 44 min to here)
#
# Back to the shuffle. The TensorDict knows its length, indexes all entries together, and splits:


# %%
def minibatches(data, size):
    return data[torch.randperm(len(data))].split(size)


# %% tags=["nbval-check-output"]
names = ["observation", "action"]
torch.manual_seed(1)
from_dict = minibatches_of_dict({name: play[name] for name in names}, 32)
torch.manual_seed(1)
from_td = minibatches(play, 32)
[
    all(torch.equal(ours[name], theirs[name]) for name in names)
    for ours, theirs in zip(from_td, from_dict, strict=True)
]

# %% [markdown]
# The same seed, the same batches, and `from_td` brought `next` along too.
#
# Now the point of it all. Here is the one line above at work on data it has never heard of: a
# pendulum, whose action is a real number, and a made-up robot with two cameras.

# %% tags=["nbval-check-output"]
robot = TensorDict(
    {
        "camera": {"left": torch.zeros(90, 3, 8, 8), "right": torch.zeros(90, 3, 8, 8)},
        "joints": torch.zeros(90, 7),
    },
    batch_size=[90],
)
pendulum = GymEnv("Pendulum-v1").rollout(80)
for data_set in [play, pendulum, robot]:
    sizes = [len(batch) for batch in minibatches(data_set, 32)]
    print(f"{type(data_set).__name__:10} {len(list(data_set.keys(True, True))):2} entries", sizes)

# %% [markdown]
# The function names no entry, so nothing in it has to change when the data do. Whole parts of
# reinforcement learning are like that: whatever collects, stores and samples only moves rows about.
# What does read an entry says so by its key, and that key is all it needs to agree on with the rest
# of the program. This is why one replay buffer (TorchRL's store of steps, lesson 05) serves every
# environment, and why the algorithms in this course carry over to others with few changes.
#
# ## Rows of different length, rows for workers, plain nests  (about 47 min to here) (deeper)
#
# `torch.stack` wants the same keys and shapes everywhere. A **lazy stack** only keeps the list and
# stacks an entry when you ask for it, so it can also hold what does not fit:

# %% tags=["nbval-check-output"]
from tensordict import lazy_stack

episodes = lazy_stack([play[:3], play[:5]])
print(episodes.batch_size, episodes[1].batch_size)
print(episodes.get("observation", as_padded_tensor=True).shape)

# %% [markdown]
# `lazy_stack` writes -1 for a length that differs. The padded entry is filled up with zeros to the
# longer of the two; plain `episodes["observation"]` would raise an error.
#
# `map` turns it round: it cuts the TensorDict into chunks of rows, gives each chunk, with all its
# entries, to a worker, and puts the answers back together. It is made for slow work per row, such
# as decoding pictures.

# %% tags=["nbval-check-output"]
from multiprocessing.pool import ThreadPool


def energy(chunk):
    speeds = chunk["observation"][:, [1, 3]]
    return TensorDict({"energy": speeds.square().sum(-1)}, batch_size=chunk.batch_size)


with ThreadPool(2) as workers:
    result = play[:8].map(energy, chunksize=4, pool=workers)
result

# %% [markdown]
# Two chunks of four became one result of eight. We passed two *threads*. Left to itself, `map`
# starts *processes*, and each of them has to start Python and import its libraries first: worth it
# for long work, not for eight rows. Processes also need a function they can import from a file;
# with one that was typed into a notebook `map` may wait forever.
#
# Without TensorDict there is a middle way: a *pytree* is any nest of dictionaries, lists and tuples, and
# `tree_map` applies a function to each leaf of it.

# %% tags=["nbval-check-output"]
from torch.utils._pytree import tree_map

nest = play.to_dict()
index = torch.randperm(len(nest["action"]))[:32]
batch = tree_map(lambda entry: entry[index], nest)
batch["next"]["reward"].shape

# %% [markdown]
# That copes with nesting. But the nest still has no length, so we had to ask `action` again; it
# does not notice an entry of the wrong length when you put it in; and every other operation (move,
# reshape, stack) needs a `tree_map` of its own.
#
# ## On disk  (about 51 min to here) (deeper)
#
# `memmap_(folder)` moves every entry to a file of its own, and the TensorDict goes on working: the
# numbers are read from the file when they are used. It is the way to handle data that are larger
# than the memory of your machine.

# %% tags=["nbval-check-output"]
import tempfile
from pathlib import Path

folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
on_disk = play.select("observation", ("next", "reward")).memmap_(folder.name)
for file in sorted(Path(folder.name).rglob("*.*")):
    print(file.relative_to(folder.name).as_posix())
type(on_disk["observation"]).__name__, on_disk.is_locked

# %% [markdown]
# The folders follow the nesting; `meta.json` holds names, shapes and types. The result is locked,
# because its entries belong to those files. (`memmap`, without the underscore, leaves the original
# alone and returns a new TensorDict.)

# %% tags=["nbval-check-output"]
loaded = TensorDict.load_memmap(folder.name)
print("equal: ", (loaded == on_disk).all())
loaded["next", "reward"][0] = -5.0
print("shared:", loaded["next", "reward"][0].item(), on_disk["next", "reward"][0].item())

# %% [markdown]
# `load_memmap` reads the descriptions and opens the files. Both TensorDicts now look at the same
# file: what one writes the other one sees. Load only folders that you, or somebody you trust, wrote:
# what `meta.json` and pickles beside it say can make Python run a stranger's code. As with slices
# this holds for writing *into* an entry:

# %% tags=["nbval-check-output"]
loaded["observation"] = torch.zeros(100, 4)
print("replaced:", bool((TensorDict.load_memmap(folder.name)["observation"] == 0).all()))
on_disk.set_("observation", torch.zeros(100, 4))
print("set_:    ", bool((TensorDict.load_memmap(folder.name)["observation"] == 0).all()))
folder.cleanup()

# %% [markdown]
# Replacing an entry of `loaded`, which is not locked, never reached the file; `set_` did. On disk as
# in memory: `set_` and assigning to rows write, `[key] =` replaces. (The temporary folder is gone now,
# so we forget these two.)
#
# ## With names of your own  (about 55 min to here) (deeper)
#
# If your program always has the same entries, write them down as a class. A `tensorclass` works
# like a TensorDict, with attributes, and with methods of yours:

# %% tags=["nbval-check-output"]
from tensordict import tensorclass


@tensorclass
class Step:
    observation: torch.Tensor
    reward: torch.Tensor

    def tilted(self):
        return self[self.observation[:, 2].abs() > 0.1]


journal = Step(play["observation"], play["next", "reward"], batch_size=[100])
journal[:3]

# %%
print(len(journal.tilted()), "of", len(journal), "steps are tilted:", type(journal[0]).__name__)
try:
    journal.rewrad
except AttributeError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# It is indexed, stacked and moved as before and stays a `Step`. An editor can complete its names,
# and a slip of the pen is found at once. TorchRL's environments answer with plain TensorDicts,
# because they cannot know what entries your data will have.
#
# ## Build it: one row for each episode  (about 57 min to here) (deeper)
#
# `lazy_stack` held episodes of different length. Most code wants them in one block of memory, filled
# up at the end of each row, with a mask that says what is real.
#
# ### Exercise 2.6: build it: one row for each episode  (15 min)
# A rollout with several episodes is one long row of steps. Statistics per episode, and networks with a
# memory, want each episode in a row of its own, and episodes are not equally long. Build
# `by_episode(data)`.
#
# - `data` has batch size `[time]`. Its entries may have any names, any nesting, shape and type; only
#   `("next", "done")`, of shape `[time, 1]`, is sure to be there. It is True at the last step of an
#   episode. The last episode of all may still be under way.
# - Return one TensorDict of batch size `[episodes, longest]`, with every entry of `data` in its type:
#   each row begins with the first step of its episode; places after an episode's last step hold 0 or
#   False.
# - Add an entry `mask`, a `torch.bool` of shape `[episodes, longest]`: True where a step was played.
# - `data` itself stays as it is.
#
# Try it on `play` as you go. The check makes up records that you have never seen.
# <details><summary>Hint 1: where to cut</summary><code>data["next", "done"].squeeze(-1).nonzero()</code>
# gives the places of the last steps; the cut is one place behind. If steps are left after the last
# cut, they are one more episode.</details>
# <details><summary>Hint 2: the pieces</summary><code>data.split(lengths)</code> takes a list of lengths.
# Or slice: <code>data[start:stop]</code>.</details>
# <details><summary>Hint 3: a row of zeros</summary><code>torch.zeros_like(td)</code> has all entries of
# <code>td</code>, in their types, filled with 0. Write the steps into its first rows:
# <code>row[:n] = piece</code>.</details>
# <details><summary>Hint 4: the mask</summary><code>torch.arange(longest) &lt; n</code> is True in the
# first <code>n</code> places. Set it as an entry of each row, then <code>torch.stack</code> the
# rows.</details>


# %% tags=["exercise"]
def by_episode(data):
    # your code
    ...


check("2.6", by_episode)


# %% tags=["solution"]
def by_episode(data):
    last = data["next", "done"].squeeze(-1).nonzero().squeeze(-1)
    cuts = [0, *(last + 1).tolist()]
    if cuts[-1] < len(data):
        cuts.append(len(data))
    pieces = [data[start:stop] for start, stop in zip(cuts, cuts[1:], strict=False)]
    longest = max(len(piece) for piece in pieces)
    rows = []
    for piece in pieces:
        row = torch.zeros_like(torch.cat([data[:1]] * longest))
        row[: len(piece)] = piece
        row["mask"] = torch.arange(longest) < len(piece)
        rows.append(row)
    return torch.stack(rows)


check("2.6", by_episode)

# %% [markdown]
# What is it good for? With a row for each episode, returns and averages over episodes are one line
# each, as long as the mask is used.

# %% tags=["solution"]
episodes = by_episode(play)
mask = episodes["mask"]
returns = (episodes["next", "reward"].squeeze(-1) * mask).sum(-1)
lean = (episodes["observation"][..., 2].abs() * mask).sum(0) / mask.sum(0)
print("episodes:", list(episodes.batch_size), " returns:", returns.int().tolist())
print("finished:", episodes["next", "done"].squeeze(-1).any(-1).tolist())
figure, axes = plt.subplots()
axes.plot(lean, color=PALETTE["blue"])
axes.set(xlabel="step of the episode", ylabel="lean of the pole (radians)")
show_figure(
    figure,
    f"Mean lean over the episodes still under way: {lean[0]:.2f} at the first step, "
    f"{lean[8]:.2f} at the ninth. From step {mask.sum(-1).sort().values[-2]} on only one is left.",
)

# %% [markdown]
# Where only one episode is left, the curve is that one episode. And a row that is not finished has
# no return yet: its pole still stood when the rollout ended. Before you average, ask whether the last
# row is finished.
#
# ## What you can do now
# You can read a TensorDict's shapes, cut, stack and save it as one object, write into it knowing
# whose memory it is, and write functions that do not depend on its keys.
#
# **Try next:** give `robot` a third camera and run its cell again; then give it an entry of 80
# rows and read the error.
#
# Go on with [{{next title}}]({{next file}}).
