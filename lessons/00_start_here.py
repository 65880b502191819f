# ---
# jupyter:
#   course:
#     title: Start here
#     objectives:
#       - check that this machine can run the course, and mend what is missing
#       - run a notebook, watch a first agent, and solve a first exercise
#       - find your way through the lessons, and get help when you are stuck
#     prerequisites: Python, and PyTorch as far as training a small network
#     minutes: {reading: 10, exercises: 3}
# ---

# %% [markdown]
# ## Is this machine ready?  (about 1 min to here)
#
# Click into the next cell and press **Shift+Enter**: the cell runs, its result appears below it,
# and the next cell is selected. That is all there is to running a notebook.

# %%
from course_utils import diagnose

diagnose()

# %% [markdown]
# This is the course's *doctor*. Open the fold to see what was checked. What is not well stands in
# the open: as a *warning* (the course goes on without it) or a *problem* (mend it first: the line
# names the command). Some time later, when something behaves oddly, run this cell again, or, in a
# terminal in the course's folder, `.venv/bin/python -m course_utils doctor`.
#
# ## What you will build  (about 2 min to here)
#
# Reinforcement learning is about agents that act. After each action the world answers with what is
# seen now, an **observation**, and with a number that says how good this was, the **reward**. From a
# start to an end is an **episode**; the rule by which the agent chooses is its **policy**.
#
# Here is an agent that has learned nothing yet: it pushes the cart left or right at random. The pole
# falls within a third of a second, so the film runs ten times slower than the world.

# %%
from dataclasses import replace

from course_utils import record_episode, show_video

random_episode = record_episode("CartPole-v1", seed=3)
slowly = replace(random_episode, fps=5)  # the world makes 50 steps a second
show_video(
    slowly,
    "Random actions, ten times slower",
    alt=f"A cart moves a little to and fro; after {len(slowly.rewards)} steps its pole leans too far.",
)

# %% [markdown]
# What does the agent see of this? In TorchRL everything travels in one container, the **TensorDict**:
# a dictionary of tensors that share their leading dimensions, the **batch size**. This is what an
# environment answers when it is reset:

# %%
from torchrl.envs import GymEnv

env = GymEnv("CartPole-v1")
env.set_seed(0)
env.reset()

# %% [markdown]
# An `observation` of four numbers (where the cart is, how fast it moves, how far the pole leans,
# how fast it tips), and three flags: `terminated` (the pole fell), `truncated` (time ran out) and
# `done` (either). One environment has no batch, so `batch_size` is empty; with 16 copies it would
# be `[16]`.
#
# Two of the four numbers are enough for a rule that anybody can write down: push towards the side
# to which the pole leans and tips. Here it is from the same start, at the speed of the world.


# %%
def rule(seen):
    _, _, leans, tips = seen["observation"]
    return seen.set("action", (leans + tips > 0).long())


ruled = record_episode("CartPole-v1", rule, seed=3)
show_video(
    ruled,
    "A rule of one line",
    alt=f"The pole hardly leans, the cart stays near the middle, for {len(ruled.rewards)} steps.",
)

# %% [markdown]
# Each step pays 1, and at 500 CartPole stops the clock: more cannot be had. But somebody had to know
# which numbers matter, and forgot one: from another start (`seed=0`) the same rule drives off the
# track, with its pole upright. An agent that *learns* is told nothing but the reward. In lesson 07
# yours will find a better rule by itself, and you will prove it on a hundred new starts.
#
# ## The map  (about 6 min to here)
#
# {{course map}}
#
# The minutes are for reading and exercises. The computer needs one to three: each lesson runs from
# top to bottom, also with no exercise solved. Take 00 to 07 in order: each builds on those before.
# From 08 on choose freely.
#
# ## How exercises work  (about 8 min to here)
#
# An exercise is a cell with a gap, `...`. Fill the gap, run the cell, read the answer:
#
# | answer | what it means |
# |---|---|
# | ○ not attempted | the gap is still there |
# | ✔ correct | your code does what is asked, however you wrote it |
# | ✎ not yet | it runs, but does something else; the sentence says what |
# | ⚠ could not run | your code raised an error; you see it with your line |
# | ▸ this is the course's solution | you ran the folded solution; it does not count |
#
# Your code is compared with the right answer on fresh random inputs, each time anew. Nobody else
# sees it. Below each exercise lies a folded solution: in JupyterLab click the bar with the three
# dots. If you run all cells at once, the solutions run too; your own answer is the one above.

# %% [markdown]
# ### Exercise 0.1: when is it solved?  (3 min)
# The **return** of an episode is the sum of its rewards. This course calls CartPole solved when the
# **mean** return over many episodes is **at least 475** of the 500 that are possible. Write `solved(returns)`: it gets a tensor
# of returns, one per episode, and answers True or False. Leave the gap first and run the cell,
# then try `return returns.max() >= 475`, then the right one.
# <details><summary>Hint</summary>A tensor knows its <code>mean()</code>.</details>

# %% tags=["exercise"]
from course_utils import check


def solved(returns):
    # your code
    ...


check("0.1", solved)


# %% tags=["solution"]
def solved(returns):
    return returns.mean() >= 475


check("0.1", solved)

# %% [markdown]
# What you have solved is remembered in your own copy of the course (running a solution does not
# count). Come back here to see how far you are; `forget_progress()` starts anew.

# %%
from course_utils import show_progress

show_progress()

# %% [markdown]
# ## When you are stuck  (about 12 min to here)
#
# - **A cell fails though you changed nothing**: an earlier cell was not run. *Kernel → Restart Kernel
#   and Run All Cells* runs all of them in order.
# - **A cell never ends**: press the square (■) to interrupt it.
# - **You broke your copy**: rename your notebook; the next `make lab` (the command that
#   starts the course on your own machine) puts a fresh one beside it. On Colab, open the lesson
#   again from where you had it.
# - **You are on Colab**: what Colab brings along changes. {{colab}} What is newer than that, the first
#   cell tries, and says what came of it.
# - **Something on the machine is missing**: `diagnose()`, above.
# - **A word is new**: the glossary, linked at the top of each lesson.
# - **None of this helps**: ask whoever gave you the course, or open an issue in the repository you
#   have it from. Send the output of `diagnose()` along.
#
# ## What you can do now
# You can run cells, read the doctor's report and check an exercise. That is enough to begin.
#
# **Try next:** change `seed=3` above to another number and watch a different fall. Then give the rule
# `seed=0`, and look where the cart goes.
#
# Go on with [{{next title}}]({{next file}}).
