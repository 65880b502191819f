# ---
# jupyter:
#   course:
#     title: "Choosing a library: one task, four ways to write it"
#     objectives:
#       - read the same agent in four libraries, and count what each makes you write and change
#       - measure them fairly, with one judge, one clock and several seeds
#       - work out what a speed table means for a run of your own
#       - choose by what you need, and say why
#       - take an agent from one library to another, and prove that it is still the same
#     prerequisites: lesson 07 (the recipe), 04 (terminated and done) and 05 (frames)
#     minutes: {reading: 49, exercises: 40, short: 29}
# ---

# %% [markdown]
# ## Which one is best?  (about 2 min to here)
#
# You have learned TorchRL for twelve lessons. Should your next project use it? Ask around, and you
# will hear that *Stable-Baselines3* needs ten lines, that *RLlib* scales, that *CleanRL* shows
# everything in one file, and that one of them is ten times faster than another. Each may be true,
# somewhere.
#
# Here the same agent is written four times and run under one judge:
#
# | | in a sentence |
# |---|---|
# | [Stable-Baselines3](https://stable-baselines3.readthedocs.io) (SB3) | finished algorithms: a class, settings, `learn` |
# | [RLlib](https://docs.ray.io/en/latest/rllib/index.html) | finished algorithms on Ray, up to many machines |
# | [TorchRL](https://docs.pytorch.org/rl/) | parts that fit together: the loop is yours |
# | plain PyTorch, as [CleanRL](https://docs.cleanrl.dev) writes it | one file with everything in it, to read and to change |
#
# Predict before you go on, and write it down: which needs the most lines? Which learns CartPole in the fewest
# seconds? By what factor does the quickest beat the slowest? (A cell below the tables of "Over seeds" answers all three.)
#
# > **The rule.** After every so many frames a judge plays 32 greedy episodes. At a mean of 490, or when the
# > frames are used up, the exam: 100 fresh episodes of the unmodified CartPole. *Solved* is a mean of at
# > least 475. The clock counts training alone, in **core seconds**: seconds of one processor core at work.

# %% tags=["parameters"]
seed = 0

# %%
from course_utils import library_scripts

scripts = library_scripts()
sorted(path.name for path in scripts.glob("*.py"))

# %% [markdown]
# A script for each library and purpose. `judge.py` is the rule above, the same for all: a script calls
# `judge(act, frames)` as often as it likes, `act` being its greedy agent. All of them can be run by hand,
# too: `python examples/libraries/sb3_dqn.py --seed 3`.
#
# ## The same agent, four times  (about 6 min to here)
#
# Here is all of SB3's, with the settings that its makers publish for this task in
# [RL-Zoo](https://github.com/DLR-RM/rl-baselines3-zoo):

# %% tags=["look"]
print((scripts / "sb3_dqn.py").read_text())

# %% [markdown]
# Three things: environments, a class with settings, `learn`, whose callback ends the run when the judge
# has seen enough. Where is the replay buffer, the target network, the loss? Inside. That is the offer:
# somebody has written and tested them.
#
# TorchRL's loop you know from lesson 07. This is the core of the plain one:

# %% tags=["look"]
plain = (scripts / "plain_dqn.py").read_text()
print(plain[plain.index("def td_loss") :])

# %% [markdown]
# It hides nothing, and whatever you write like this is tested by nobody but you.
# `info["final_obs"]`, for example: leave it out, and where the clock ends an episode, the target takes its
# future from the start of the *next* one. The program runs all the same.
#
# How long are they? We count lines of code, the same way for all: no blank lines, no comments, and
# not the first line, which says what a script is.


# %%
def code_lines(text):
    stripped = [line.strip() for line in text.splitlines()]
    return [line for line in stripped if line and not line.startswith(("#", '"""'))]


libraries = {
    "plain PyTorch": "plain",
    "TorchRL": "torchrl",
    "Stable-Baselines3": "sb3",
    "RLlib": "rllib",
}


def lines_of(library, purpose):
    return code_lines((scripts / f"{libraries[library]}_{purpose}.py").read_text())


for library in libraries:
    print(f"{library:20}{len(lines_of(library, 'dqn')):4} lines")

# %% [markdown]
# Part of a script is settings, one a line, and settings are not work. More telling is what happens
# when you want something *else*: that is the next section. First a question about speed.
#
# ### Exercise 13.1: what "twice as fast" means for you  (4 min)
# A library spends `ours` microseconds per frame on its own machinery and on learning, another one
# `theirs`. Your environment takes `env` microseconds per frame whoever steps it. Write
# `times_as_fast(env, ours, theirs)`: how many times as fast is the *run* with the first library?
# <details><summary>Hint</summary>Time per frame with the one, time per frame with the other; then a
# quotient.</details>

# %% tags=["exercise"]
from course_utils import check


def times_as_fast(env, ours, theirs):
    # your code
    ...


check("13.1", times_as_fast)


# %% tags=["solution"]
def times_as_fast(env, ours, theirs):
    return (env + theirs) / (env + ours)


check("13.1", times_as_fast)

# %% [markdown]
# Keep that formula in mind for the tables below. CartPole's step takes a few microseconds, a physics
# simulation a few hundred, a robot tens of thousands: there, a library that is twice as fast gains
# next to nothing.
#
# ## Lines to change  (about 19 min to here) (deeper)
#
# Four changes that people really make, each written out and runnable: PPO instead of DQN
# (`algorithm`), a loss with a term of our own, a penalty on large values (`loss`), a network with
# residual layers (`network`), and several workers that play at once (`workers`). The fifth,
# `recipe`, is lesson 07's: another reward, a rescaled input, 16 environments, blocks of updates.
#
# ### Exercise 13.2: count what changed  (5 min)
# Write `new_lines(before, after)` for two scripts, given as text: how many lines of `after` have to
# be written, because `before` cannot supply them? A line of `before` can be used once, wherever it
# stands. Ignore indentation, blank lines and comments: lines that begin with `#`. (The table below
# also leaves out each script's first line, its description, so your count is one more there.) (A
# comment behind code is a part of its line.)
# <details><summary>Hint</summary><code>collections.Counter</code> counts lines, and
# <code>Counter(a) - Counter(b)</code> keeps what <code>a</code> has more often.</details>


# %% tags=["exercise"]
def new_lines(before, after):
    # your code
    ...


check("13.2", new_lines)


# %% tags=["solution"]
from collections import Counter


def new_lines(before, after):
    def code(text):
        stripped = [line.strip() for line in text.splitlines()]
        return Counter(line for line in stripped if line and not line.startswith("#"))

    return (code(after) - code(before)).total()


check("13.2", new_lines)

# %%
from collections import Counter

changes = ["algorithm", "loss", "network", "workers", "recipe"]
print(f"{'lines to write for':20}" + "".join(f"{change:>11}" for change in changes))
for library in libraries:
    before = Counter(lines_of(library, "dqn"))
    counts = [(Counter(lines_of(library, change)) - before).total() for change in changes]
    print(f"{library:20}" + "".join(f"{count:11}" for count in counts))

# %% [markdown]
# Read it by column. *Another algorithm* is a class's name and its settings where algorithms come
# finished, and a new script where the loop is yours. A loss or a network of your own is shortest
# where the loop is yours (RLlib's loss comes close). The recipe takes 15 to 27 lines everywhere, most
# of them settings. Here is what the loss takes in TorchRL (`+` is written, `-` goes, indentation is
# left out):

# %% tags=["look"]
import difflib


def show_change(library, change):
    before, after = lines_of(library, "dqn"), lines_of(library, change)
    print("\n".join(line for line in difflib.ndiff(before, after) if line[0] in "+-"))


show_change("TorchRL", "loss")

# %% [markdown]
# A loss is a module that returns a tensor; what you add to it before `backward` is your business.
# The same term in SB3:

# %% tags=["look"]
show_change("Stable-Baselines3", "loss")

# %% [markdown]
# SB3 has no place for it, so its whole update is written anew in a subclass, target and all: what was
# the library's work is yours again. RLlib has such a place, a method of its *learner*:

# %% tags=["look"]
show_change("RLlib", "loss")

# %% [markdown]
# Few lines, once you have found which class and which method. A count of lines does not count the
# search. And equally many lines can do different things: *workers* of plain PyTorch and SB3 are processes
# that step environments while one process decides and learns; in TorchRL and RLlib each has a
# policy of its own, and RLlib's go to other machines as soon as Ray runs there.
#
# ## Side by side, with the same recipe  (about 33 min to here) (deeper)
#
# Now they run. All four get lesson 07's recipe: same network, same updates of the same size after
# the same number of frames. (SB3 differs a little: its first 1,000 frames are all random, its loss is Huber's,
# and one toss tells all 16 copies at once whether to explore; the last two it lets nobody choose.) First live,
# one seed, each in a process of its own:

# %%
import json
import os
import subprocess
import sys


def run(script, *arguments):
    command = [sys.executable, str(scripts / f"{script}.py"), "--seed", str(seed), *arguments]
    quiet = {"OMP_NUM_THREADS": "1", "RL_LOGGING_LEVEL": "WARNING"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | quiet, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


# %%
from course_utils import ask_for_extra

with_sb3 = ask_for_extra("sb3", "its run is left out here; the stored runs below have it")
with_rllib = ask_for_extra("rllib", "its frames are left out here; the stored runs below have it")

# %% tags=["look"]
live = {"plain PyTorch": run("plain_recipe"), "TorchRL": run("torchrl_recipe")}
if with_sb3:
    live["Stable-Baselines3"] = run("sb3_recipe")
for library, result in live.items():
    verdict = "solved" if result["solved"] else "not solved"
    print(
        f"{library:20}{verdict}: exam {result['test_return']:.0f} after {result['frames']:,} frames, "
        f"{result['cpu_seconds']:.1f} s (and {result['startup_cpu_seconds']:.1f} s to start)"
    )

# %% [markdown]
# One seed: who came first here is a lottery ticket. RLlib takes longer, so live it only gets a few
# frames. The first 1,000 of them only fill the buffer; once it learns, it is slower than this:

# %% tags=["look"]
try:
    pace = run("rllib_recipe", "--frames", "1300") if with_rllib else None
except subprocess.CalledProcessError:  # on a busy machine Ray may not start in time
    pace = None
if pace:
    print(
        f"RLlib: {pace['frames']:,} frames in {pace['cpu_seconds']:.1f} s, "
        f"{pace['startup_cpu_seconds']:.1f} s to start"
    )
else:
    print("RLlib was not run here: its extra is absent, or Ray could not start in time.")

# %% [markdown]
# ### Exercise 13.3: another library's buffer  (4 min)
# You port a replay buffer's content from SB3 to TorchRL. SB3 stores `dones` (1.0 where the episode was
# over, for *any* reason) and `timeouts` (1.0 where only the clock ended it), both shape `[batch, 1]` here.
# (Its `sample` combines the two, which is why `batch.dones` was enough in SB3's script above.) `best_next`
# is the best value in the next state, `gamma` a number. Write
# `target(rewards, best_next, dones, timeouts, gamma)`, shape `[batch, 1]`, as DQN wants it.
# <details><summary>Hint</summary>What TorchRL calls <code>terminated</code> is: over, and not by the
# clock.</details>


# %% tags=["exercise"]
def target(rewards, best_next, dones, timeouts, gamma):
    # your code
    ...


check("13.3", target)


# %% tags=["solution"]
def target(rewards, best_next, dones, timeouts, gamma):
    terminated = dones * (1 - timeouts)
    return rewards + gamma * best_next * (1 - terminated)


check("13.3", target)

# %% [markdown]
# ## Over seeds, measured once for everybody  (about 43 min to here)
#
# Every dot is one seed; a cross is a run that failed its exam. Left all with the same recipe, right each
# with the settings its own makers publish for CartPole: RL-Zoo's, those of RLlib's example, of TorchRL's
# example, and CleanRL's defaults. (RLlib's example adds four improvements to DQN: double Q, dueling,
# prioritised replay, n-step returns. On the left they are off.)

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import load_results, show_figure, use_course_style

use_course_style()
stored = load_results("13_choosing_a_library")


def timed(runs):
    """The runs whose seconds are known: those added later, on another machine, are stored without."""
    return [run for run in runs.values() if "cpu_seconds" in run]


# %% tags=["look"]
groups = {"the same recipe": "libraries", "each one's own settings": "recommended"}
figure, panels = plt.subplots(1, 2, figsize=(9, 3), sharex=True, sharey=True)
words = []
for panel, (title, group) in zip(panels, groups.items(), strict=True):
    for library, runs in stored["runs"].get(group, {}).items():
        for solved, marker in ((True, "o"), (False, "x")):
            seconds = [run["cpu_seconds"] for run in timed(runs) if run["solved"] == solved]
            panel.scatter(seconds, [library] * len(seconds), marker=marker, color="C0", alpha=0.7)
        passed = sum(run["solved"] for run in runs.values())
        words.append(f"{title}, {library}: {passed} of {len(runs)} solved")
    panel.set(xscale="log", xlabel="core seconds of training", title=title)
    panel.margins(y=0.15)
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter("")
panels[0].invert_yaxis()
show_figure(figure, "; ".join(words))

# %%
from statistics import median


def print_table(group):
    print(f"{'':20}{'solved':>9}{'frames':>10}{'core s':>9}{'frames/s':>10}{'start-up s':>12}")
    for library, runs in stored["runs"].get(group, {}).items():
        solved = f"{sum(run['solved'] for run in runs.values())} of {len(runs)}"
        frames = median(run["frames"] for run in runs.values())
        seconds = median(run["cpu_seconds"] for run in timed(runs))
        pace = median(run["frames"] / run["cpu_seconds"] for run in timed(runs))
        start_up = median(run["startup_cpu_seconds"] for run in timed(runs))
        numbers = f"{frames:10,.0f}{seconds:9.1f}{pace:10,.0f}{start_up:12.1f}"
        print(f"{library:20}{solved:>9}{numbers}")
    for library in libraries:
        if library not in stored["runs"].get(group, {}):
            print(f"{library:20}not measured yet")


print("The same recipe (medians)")
print_table("libraries")
print("\nEach one's own settings (medians; runs that failed count with what they spent)")
print_table("recommended")

# %% [markdown]
# **One thing is uneven in the lower table.** There the judge looks in every 1,000 frames at SB3 and RLlib, and every 5,000
# at TorchRL and plain PyTorch, whose settings are made for long runs. An agent that is good enough plays on until the judge
# comes, so those two rows hold up to 4,000 frames more, and their seconds. In the upper table all are judged alike.
#
# Now to what you wrote down at the start:

# %% tags=["look"]
longest = max(libraries, key=lambda library: len(lines_of(library, "dqn")))
print(f"most lines: {longest}, {len(lines_of(longest, 'dqn'))}")
for title, group in groups.items():
    measured = stored["runs"][group]
    seconds = {
        name: median(run["cpu_seconds"] for run in timed(runs)) for name, runs in measured.items()
    }
    quickest, slowest = min(seconds, key=seconds.get), max(seconds, key=seconds.get)
    factor = seconds[slowest] / seconds[quickest]
    print(
        f"{title}: {quickest} in the fewest seconds, {slowest} in the most, {factor:.0f} times as many"
    )

# %% [markdown]
# Exercise 13.1 again, with the left panel's numbers: seconds of a run relative to TorchRL's, for environments
# that take longer and longer to step. Below the dashed line a library is quicker. (CartPole's own step, some
# 8 microseconds, is counted as the library's.)

# %% tags=["look"]
shared = stored["runs"]["libraries"]
cost = {
    library: median(1e6 * run["cpu_seconds"] / run["frames"] for run in timed(runs))
    for library, runs in shared.items()
}
slower = [10**exponent for exponent in range(1, 6)]  # microseconds of a step of the environment
figure, axes = plt.subplots()
for library in cost:
    if library != "TorchRL":
        relative = [(env + cost[library]) / (env + cost["TorchRL"]) for env in slower]
        axes.plot(slower, relative, marker="o", label=library)
axes.axhline(1, linestyle="--", color="black")
axes.set(xscale="log", xlabel="microseconds the environment takes for a step")
axes.set(ylabel="seconds, TorchRL = 1")
axes.set_yscale("log", base=2)
axes.yaxis.set_major_formatter("{x:g}")
figure.legend(loc="outside right upper")
shares = [f"{library}: {(10 + cost[library]) / (10 + cost['TorchRL']):.1f}" for library in cost]
show_figure(figure, "At 10 microseconds, " + ", ".join(shares) + "; all near 1 at 100,000")

# %% [markdown]
# The two panels, and the two tables, are two different questions.
#
# - **The same recipe**: frames to solve lie in the same range everywhere, because the *algorithm*
#   is the same. What differs is machinery, per frame and at the start. RLlib's is made for many
#   workers and machines, and is paid for even with one. TorchRL's lies between that and the other two: a
#   TensorDict at every turn has its price. (Lesson 07's own loop pays less: it draws a whole block's
#   samples at once and fuses Adam's steps. Here every script is as its users would first write it.)
# - **Each one's own settings** differ in everything at once: how often they update, how long they explore, how
#   large the network is. They say how a task feels on the first day with a library, and nothing
#   about its speed. All are meant for a whole run, none to stop as early as possible; our recipe was
#   searched for this very task. To compare the two panels and call it a library's merit would be the
#   oldest trick in benchmarking.
#
# **How it was measured.** Fresh seeds (from 100 on), one process and one thread a run; RLlib's own
# settings on fewer seeds, because a run takes many minutes. Core seconds,
# because the machine was shared; those of Ray's own background processes are not in them. RLlib ran
# with the course's Gymnasium; Ray itself asks for exactly version 1.2.2.
# To repeat it: <code>make bench ARGS='--groups libraries recommended'</code>.
#
# ### Exercise 13.4: how many frames was that?  (4 min)
# Frames are the currency of such tables, and libraries do not all count alike. Some vector
# environments spend the call *after* an end on resetting that copy (Gymnasium's `NEXT_STEP`): the
# call is made, but nothing can be learned from that copy. `over[copy, call]` is True where an
# episode ended. Write `frames(over)`: how many transitions are in this record?
# <details><summary>Hint</summary>All entries, minus one for each end that a further call follows.</details>


# %% tags=["exercise"]
def frames(over):
    # your code
    ...


check("13.4", frames)


# %% tags=["solution"]
def frames(over):
    return over.numel() - over[:, :-1].sum()


check("13.4", frames)

# %% [markdown]
# ## What each one has  (about 58 min to here) (deeper)
#
# Speed and length are what is easy to measure. More often a project is decided by one thing a
# library has or has not. Each entry gives its reason, and was checked on the versions in the first
# row.

# %% tags=["look"]
from IPython.display import Markdown

table = json.loads((scripts / "features.json").read_text())
rows = ["| | " + " | ".join(libraries) + " |", "|---|" + "---|" * len(libraries)]
rows.append("| version | " + " | ".join(table["versions"][library] for library in libraries) + " |")
for feature, entries in table["features"].items():
    cells = [f"**{entries[library]['has']}**: {entries[library]['why']}" for library in libraries]
    rows.append(f"| {feature} | " + " | ".join(cells) + " |")
Markdown("\n".join(rows))

# %% [markdown]
# "no" means: not in this package. SB3 leaves recurrent PPO to `sb3-contrib`, for example, on purpose: a
# small core that stays reliable.
#
# ### Exercise 13.5: who is left?  (3 min)
# `has` is boolean, shape `[libraries, features]`; `needs` is boolean, shape `[features]`: what your
# project cannot do without. Write `candidates(has, needs)`: a boolean per library, True if it has
# all you need.
# <details><summary>Hint</summary>A feature is fine if the library has it <em>or</em> you do not need
# it.</details>


# %% tags=["exercise"]
def candidates(has, needs):
    # your code
    ...


check("13.5", candidates)


# %% tags=["solution"]
def candidates(has, needs):
    return (has | ~needs).all(1)


check("13.5", candidates)

# %% [markdown]
# ## Three more, read about and not run  (about 64 min to here) (deeper)
#
# These were **not run here**. What follows is from their documentation, and why they were not run.
#
# - [Tianshou](https://tianshou.org) (2.0.1): PyTorch and Gymnasium, between SB3 and TorchRL. A
#   high-level interface that builds an experiment, and a procedural one of algorithm, policy,
#   collector and trainer; a long list of algorithms, offline and multi-agent ones among them.
#   Version 2 is a new design: code for version 1 does not run with it. Not run: it asks for a
#   pandas older than the one pinned here for RLlib.
# - [PufferLib](https://puffer.ai/docs.html) (3.0.0): made for speed. Environments in C, fast
#   vectorisation, one PPO-like trainer, wrappers for Gymnasium and PettingZoo. If your simulator
#   can be written in C and PPO is what you want, look there first. Not run: its installation
#   compiles, and fetches sources while doing so, which failed here.
# - [moolib](https://facebookresearch.github.io/moolib/): not a collection of algorithms but
#   communication: remote calls, gradient averaging over machines that come and go, batched
#   environments in processes; IMPALA is its example. Its repository is archived, and there is no
#   package of it to install. Not run. For a new project, read it for its ideas.
#
# ## So, which one?  (about 66 min to here)
#
# | you want to | start with | because |
# |---|---|---|
# | know whether RL can solve your task, this week | Stable-Baselines3 | fewest lines, tested algorithms, published settings |
# | invent or change a loss, a replay scheme, a network | TorchRL or plain PyTorch | three lines for a loss, nine for a network |
# | understand or publish exactly what was run | plain PyTorch | one file is the whole truth; you are its only tester |
# | swap parts: buffers, exploration, samplers, losses, many agents, memory | TorchRL | parts share one data format |
# | simulate thousands of copies as tensors on one device | TorchRL | environments, policy and loss stay there |
# | use a cluster with little code, tuning included | RLlib | a number in a config; its machinery costs on one machine |
#
# And against TorchRL, plainly: a beginner's first result comes later than with SB3; its interface
# has been renamed more than once; errors speak of keys and specs; for a standard algorithm on a
# standard task its flexibility is work that somebody else has already done. If nothing in the
# features table is on your list of needs, take SB3.
#
# Choosing is not marrying: the environment is a Gymnasium environment in all four, and the judge of this
# lesson took every one of them through a function from observations to actions. Keep your own project's
# judge as small, and you can change your mind.
#
# ### Exercise 13.6: build it: a port  (20 min)
# Change your mind, then. Somebody hands you a DQN in plain PyTorch that is half trained: a `network` from four numbers to
# the values of two actions, an older `target` of the same layers, `gamma`, and `tau`. Their loss is `td_loss`, printed above.
# After each update they move the target by a share of the way: `target = (1 - tau) * target + tau * network`.
#
# Write `port(network, target, gamma, tau)`. It returns four things, in this order:
#
# - `act(observations)`: greedy actions as `judge.py` and Gymnasium want them. NumPy in, float32, shape `[n, 4]`; NumPy out,
#   whole numbers, shape `[n]`;
# - `loss_module`: a `DQNLoss`;
# - `updater`: its `step()`, called after the optimiser's, moves the loss's target;
# - `to_tensordict(batch)`: makes of their batch what `loss_module` reads. Theirs is a dict of `seen` and `seen_next`, shape
#   `[n, 4]`, and of `action`, `reward` and `terminated`, shape `[n]`.
#
# A port is right if nobody can tell it from the original: the same actions, the same loss on any batch, and, after thirty
# updates of both on the same batches, still the same.
#
# <details><summary>Hint 1: the agent</summary><code>QValueActor(network, in_keys=["observation"], spec=Categorical(2))</code>
# holds the very network that it is given, weights and all.</details>
# <details><summary>Hint 2: the batch</summary>In TorchRL rewards and flags have a last dimension of 1:
# <code>batch["reward"][:, None]</code>. It also asks for <code>("next", "done")</code>; here that is the same as
# <code>terminated</code>.</details>
# <details><summary>Hint 3: the loss</summary>Mean of squares: <code>loss_function="l2"</code>. A target of its own:
# <code>delay_value=True</code>. Gamma: <code>loss_module.make_value_estimator(gamma=gamma)</code>. The updater:
# <code>SoftUpdate(loss_module, tau=tau)</code>.</details>
# <details><summary>Hint 4: the target</summary>Building a loss copies the network into its target, and building an updater
# does so once more. So lend the network the target's weights while both are built, and give it back its own
# (<code>copy.deepcopy(network.state_dict())</code>) when they are.</details>


# %% tags=["exercise"]
def port(network, target, gamma, tau):
    # your code
    ...


check("13.6", port)

# %% tags=["solution"]
import copy

import torch
from tensordict import TensorDict
from torchrl.data import Categorical
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss, SoftUpdate


def to_tensordict(batch):
    columns = {name: batch[name][:, None] for name in ["reward", "terminated"]}
    after = {"observation": batch["seen_next"], "done": columns["terminated"].clone(), **columns}
    entries = {"observation": batch["seen"], "action": batch["action"], "next": after}
    return TensorDict(entries, batch_size=[len(batch["action"])])


def make_loss(agent, network, target, gamma, tau):
    own = copy.deepcopy(network.state_dict())
    network.load_state_dict(target.state_dict())  # both copy it into the loss's target
    loss_module = DQNLoss(agent, loss_function="l2", delay_value=True)
    updater = SoftUpdate(loss_module, tau=tau)
    network.load_state_dict(own)
    loss_module.make_value_estimator(gamma=gamma)
    return loss_module, updater


# %% tags=["solution"]
def port(network, target, gamma, tau):
    agent = QValueActor(network, in_keys=["observation"], spec=Categorical(2))

    def act(observations):
        with torch.no_grad():
            seen = TensorDict({"observation": torch.as_tensor(observations)}, [len(observations)])
            return agent(seen)["action"].numpy()

    return act, *make_loss(agent, network, target, gamma, tau), to_tensordict


check("13.6", port)

# %% [markdown]
# Equal numbers are the only proof of a port that is worth something: one flag read otherwise, and it trains, learns, and is
# another algorithm. Your `act` goes to `judge.py` as it is: `mean_return(act, episodes=32, seed=0)`.
#
# ## What you can do now
# You can compare libraries without fooling yourself: one judge, one recipe, several seeds, core
# seconds, failed runs in the table. You know what each of four makes easy, and what it would cost
# you to leave its path.
#
# **Try next:** take `sb3_recipe.py`, turn one setting, and predict the row of the table it will give. Or
# write lesson 08's PPO against `judge.py`, and see where it lands.
#
# Next: [{{next title}}]({{next file}}).
