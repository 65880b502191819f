# ---
# jupyter:
#   course:
#     title: Environments
#     objectives:
#       - step an environment, and read what TorchRL writes down about each step
#       - tell terminated, truncated and done apart, and a step from a trajectory
#       - read specs, add transforms, and make a run repeatable by its seeds
#       - play many copies at once, and choose the quickest way by measuring
#       - build an environment of your own, and have it checked (1.6)
#     prerequisites: PyTorch, and lesson 00
#     minutes: {reading: 59, exercises: 31, short: 29}
# ---

# %% [markdown]
# ## A world to act in  (about 1 min to here)
#
# A pendulum hangs from a motor that is too weak to lift it in one go. Twenty times a second
# somebody chooses how hard the motor turns, and is told how bad things are: the reward is highest,
# 0, while the pendulum stands still and upright. Here the choices are random.

# %%
from course_utils import record_episode, show_video

show_video(record_episode("Pendulum-v1", seed=1), "A random agent")

# %% [markdown]
# See, act, get a reward, see again: an **environment** is whatever answers in this loop. To TorchRL
# it is an object that reads and writes tensordicts. `GymEnv` makes one from any Gymnasium
# environment.
#
# ## Reset, act, step  (about 2 min to here)
#
# `reset` starts an episode and writes what is seen first. The pendulum's observation is three
# numbers: cosine and sine of its angle (upright: 1 and 0), and how fast it turns.

# %%
import torch
from torchrl.envs import GymEnv

torch.manual_seed(1)
env = GymEnv("Pendulum-v1")
env.set_seed(0)
td = env.reset()
td["observation"]

# %% [markdown]
# `rand_action` writes a random action into the same tensordict: how hard the motor turns, and in
# which direction.

# %%
td = env.rand_action(td)
td["action"]

# %% [markdown]
# `step` reads `action`, moves the simulator on by one step, and writes what came of it.

# %% tags=["nbval-check-output"]
td = env.step(td)
td

# %% [markdown]
# All that `step` wrote lies under `next`: the new observation, the reward of this action, and the
# flags. What was there before has stayed. The reward and each flag have shape `[1]`: a single number
# keeps a dimension of its own. This layout is the *TorchRL Episode Data* format, **TED**. Here it is
# drawn. The next two cells define the drawing: run them, but you need not read them.

# %%
import matplotlib.pyplot as plt
import numpy as np
from course_utils import PALETTE, show_figure, use_course_style

use_course_style()
order = ["observation", "action", "reward", "terminated", "truncated", "done"]


def box(part, title):
    keys = [key for key in order if key in part]
    rows = [f"{key:<12}{np.array2string(part[key].numpy(), precision=2)}" for key in keys]
    return "\n".join([title, *rows])


# %%
def draw_ted(steps, alt):
    figure, axes = plt.subplots(figsize=(0.4 + 2.9 * len(steps), 3))
    axes.set(xlim=(0, len(steps)), ylim=(0, 2))
    axes.axis("off")
    look = {"family": "monospace", "size": 8.5, "va": "center"}
    arrow = {"arrowstyle": "->", "linewidth": 1.5}
    for t, step in enumerate(steps):
        for part, name, height, colour in [
            (step, "root", 1.55, PALETTE["blue"]),
            (step["next"], "next", 0.45, PALETTE["vermillion"]),
        ]:
            frame = {"boxstyle": "round", "facecolor": "none", "edgecolor": colour}
            axes.text(t + 0.04, height, box(part, f"step {t}: {name}"), bbox=frame, **look)
        axes.annotate("", (t + 0.2, 0.85), (t + 0.2, 1.15), arrowprops=arrow)
        axes.text(t + 0.23, 1, "step", va="center")
        if t > 0:
            axes.annotate("", (t, 1.2), (t - 0.26, 0.8), arrowprops=arrow | {"linestyle": "--"})
    return show_figure(figure, alt)


# %%
reward = td["next", "reward"].item()
draw_ted(
    td.unsqueeze(0),
    "One step in two boxes, an arrow called step between them. The root holds observation, action "
    f"and three flags; next holds the new observation, the reward {reward:.2f} and three flags.",
)

# %% [markdown]
# The upper box, the *root*, is what the agent knew and did; the lower one, `next`, is what the world
# answered. The reward stands under `next`, because it is part of the answer.
#
# ## Does a tensordict hold the world?  (about 8 min to here)
#
# Take one tensordict, with one action in it, and step from it twice. (`clone` makes a copy, so that
# each step writes into one of its own.)

# %%
start = env.rand_action(env.reset())
once = env.step(start.clone())
twice = env.step(start.clone())
print("stepped from:  ", start["observation"].numpy().round(2))
print("first answer:  ", once["next", "observation"].numpy().round(2))
print("second answer: ", twice["next", "observation"].numpy().round(2))

# %% [markdown]
# One starting point, one action, two answers. The world is inside Gymnasium's simulator, and each
# `step` moves it on. The tensordict is only a note of what was seen; `step` never looks at its
# `observation`.
#
# But whoever chooses the next action reads it there. So after each step *turn the page*: what was
# `next` becomes the root of the following step. That is what `step_mdp` does. (An MDP, Markov
# decision process, is the textbook name of such a world.)

# %%
from course_utils import show
from torchrl.envs.utils import step_mdp

following = step_mdp(twice)
show(twice, following)

# %% [markdown]
# `show` of two tensordicts compares them. The new observation has *moved* to the root, the flags
# with it. The old action and the reward are gone: they belong to the step that is over. Reset once,
# then repeat choose, step, turn the page:

# %%
td = env.reset()
for _ in range(5):
    td = env.step(env.rand_action(td))
    print(f"cosine {td['observation'][0]:+.2f}, reward {td['next', 'reward'].item():.2f}")
    td = step_mdp(td)

# %% [markdown]
# The cosine changes from line to line, and the reward with it: each root now shows what was
# seen last. The random agent does not look at it; yours soon will. A **policy**, the rule by which an
# agent chooses, is any function that writes `action` into a tensordict.
#
# ### Exercise 1.1: your own loop  (4 min)
# Write `watch(env, policy, steps)`. It resets `env` and plays `steps` steps. `policy(td)` writes
# `action` into a tensordict and returns it. Return the observations that *followed* each step,
# stacked along a new first dimension. No episode ends on the way.
# <details><summary>Hint</summary>Choose, step, remember <code>td["next", "observation"]</code>,
# turn the page. At the end: <code>torch.stack</code>.</details>

# %% tags=["exercise"]
from course_utils import check


def watch(env, policy, steps):
    # your code
    ...


check("1.1", watch)


# %% tags=["solution"]
def watch(env, policy, steps):
    from torchrl.envs.utils import step_mdp

    seen = []
    td = env.reset()
    for _ in range(steps):
        td = env.step(policy(td))
        seen.append(td["next", "observation"])
        td = step_mdp(td)
    return torch.stack(seen)


check("1.1", watch)

# %% [markdown]
# ## A rollout is a stack of steps  (about 15 min to here)
#
# `rollout` is that loop ready-made. Without a policy it acts at random, and it stacks the steps:

# %%
rollout = env.rollout(6)
print("batch size:", list(rollout.batch_size))
draw_ted(
    rollout[:3],
    f"The first 3 of {len(rollout)} steps, each a root and a next. Dashed arrows lead from the "
    "next of one step to the root of the following one, where the same observation stands.",
)

# %% [markdown]
# Follow a dashed arrow: the observation under `next` stands again at the root of the following
# step. Each step is complete in itself, so steps can be shuffled later without losing anything.
# Steps that follow one another without a gap, as these do, are a **trajectory**.
#
# What is `rollout[3]`? Decide, then run.

# %%
print("rollout:   ", list(rollout.batch_size), " reward", list(rollout["next", "reward"].shape))
print(
    "rollout[3]:", list(rollout[3].batch_size), " reward", list(rollout[3]["next", "reward"].shape)
)

# %% [markdown]
# It has no time dimension left. `rollout[3]` is the *fourth step* of this one trajectory, not a
# trajectory, let alone the fourth of several: here there is only one.
#
# ## Why did it end?  (about 17 min to here)
#
# Three flags speak about endings, and they are not the same:
#
# | flag | means | CartPole |
# |---|---|---|
# | `terminated` | the world came to an end | the pole fell, or the cart left the track |
# | `truncated` | somebody stopped the clock | 500 steps are over |
# | `done` | either | start a new episode |
#
# We give CartPole a clock of 20 steps and play on after each end: with
# `break_when_any_done=False`, `rollout` resets and carries on. The third number of CartPole's
# observation is the angle of the pole.

# %%
torch.manual_seed(0)
cartpole = GymEnv("CartPole-v1", max_episode_steps=20)
cartpole.set_seed(0)
rollout = cartpole.rollout(100, break_when_any_done=False)
angle = rollout["next", "observation"][:, 2]
fell = rollout["next", "terminated"].nonzero()[:, 0]
timed_out = rollout["next", "truncated"].nonzero()[:, 0]

figure, axes = plt.subplots()
axes.plot(angle, color=PALETTE["black"], linewidth=1)
axes.plot(fell, angle[fell], "X", color=PALETTE["vermillion"], markersize=10, label="terminated")
axes.plot(timed_out, angle[timed_out], "s", color=PALETTE["blue"], markersize=8, label="truncated")
axes.set(xlabel="step", ylabel="pole angle (radians)")
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"Pole angle over 100 steps. It terminates at steps {fell.tolist()}, "
    f"and is truncated at steps {timed_out.tolist()}.",
)

# %% [markdown]
# At each cross the pole leaned too far. At each square it still stood: only our clock ran out. (The
# jump after each mark is the reset.)
# Whoever learns from this data must not treat both alike. After a fall nothing follows, after the
# clock much would have. Lesson 04 comes back to it.
#
# Here is the place just around the first end:

# %%
end = rollout["next", "done"].nonzero()[0, 0]
last, following = rollout[end]["next"], rollout[end + 1]
print(f"last next:      angle {last['observation'][2]:+.3f}, done {last['done'].item()}")
print(f"following root: angle {following['observation'][2]:+.3f}, done {following['done'].item()}")

# %% [markdown]
# Only here does a root differ from the `next` before it: the episode's last observation is kept
# under `next`, and the following root belongs to a fresh episode. The flags at the root are
# therefore always False in a rollout. Look for endings under `next`.
#
# ### Exercise 1.2: count the endings  (3 min)
# Write `endings(rollout)` for a rollout as above, batch size `[time]`. Return two numbers: how
# many episodes ended because the world did, and how many only because of the clock. Both flags can
# be True on one step; that episode counts for the world.
# <details><summary>Hint</summary>Boolean tensors know <code>&amp;</code> (and), <code>~</code>
# (not) and <code>sum()</code>.</details>


# %% tags=["exercise"]
def endings(rollout):
    # your code
    ...


check("1.2", endings)


# %% tags=["solution"]
def endings(rollout):
    terminated = rollout["next", "terminated"]
    clock_only = rollout["next", "truncated"] & ~terminated
    return terminated.sum(), clock_only.sum()


check("1.2", endings)

# %% [markdown]
# ## Specs: what goes in, what comes out  (about 24 min to here)
#
# Before any step, an environment says what its entries look like. Such a promise is a **spec**:
# shape, type and allowed values. `action_spec` and `reward_spec` answer with the one spec there is;
# `observation_spec`, and all that begin with `full_`, with a dictionary from which we pick by name.

# %% tags=["nbval-check-output"]
specs = {
    "observation": cartpole.observation_spec["observation"],
    "action": cartpole.action_spec,
    "reward": cartpole.reward_spec,
    "done": cartpole.full_done_spec["done"],
}
for name, spec in specs.items():
    print(f"{name:12} {type(spec).__name__:20} {list(spec.shape)}  {spec.dtype}")

# %% [markdown]
# Four real numbers within bounds come out, with a reward without bounds and a flag (a `Categorical`
# of type bool). In goes a `OneHot` of length 2. A spec is also useful in itself: it can draw a value
# and test one.

# %%
torque = env.action_spec
print("Pendulum's motor: from", torque.low.item(), "to", torque.high.item())
print(f"a random torque: {torque.rand().item():.2f}")
print("is a torque of 3 allowed?", bool(torque.is_in(torch.tensor([3.0]))))

# %% [markdown]
# A choice among *n* actions can be written in two ways: *one-hot* (right is `[0, 1]`) or
# *categorical* (right is `1`). `GymEnv` uses one-hot unless asked. What if you mix them up? We
# push once, always from the same start, and look at the cart's velocity.

# %%
one_hot = GymEnv("CartPole-v1")
categorical = GymEnv("CartPole-v1", categorical_action_encoding=True)


def velocity_after(env, action):
    env.set_seed(0)
    td = env.reset().set("action", torch.tensor(action))
    return env.step(td)["next", "observation"][1].item()


print(f"one-hot [0, 1]: {velocity_after(one_hot, [0, 1]):+.2f}")
print(f"categorical 1:  {velocity_after(categorical, 1):+.2f}")
print(f"one-hot 1:      {velocity_after(one_hot, 1):+.2f}   <- the wrong encoding")
print("does its spec allow it?", bool(one_hot.action_spec.is_in(torch.tensor(1))))

# %% [markdown]
# No error: the lone number is read as a vector whose largest entry is number 0, so the cart goes
# *left*. An agent that makes this mistake pushes one way forever. When in doubt, ask `is_in`. The
# remedy: one encoding throughout, be it one-hot or `GymEnv(..., categorical_action_encoding=True)`.
#
# ## Transforms: change what passes  (about 28 min to here)
#
# A `TransformedEnv` is an environment with something in front of it. `StepCounter` counts steps
# (and is a clock, given `max_steps`), `RewardSum` adds up the rewards of the running episode, and
# `Compose` chains transforms, first to last.

# %%
from torchrl.envs import Compose, RewardSum, StepCounter, TransformedEnv

env = TransformedEnv(GymEnv("Pendulum-v1"), Compose(StepCounter(max_steps=50), RewardSum()))
rollout = env.rollout(1000)
for step in [*rollout[:3], rollout[-1]]:
    after = step["next"]
    count, total = after["step_count"].item(), after["episode_reward"].item()
    print(f"step_count {count:2}   reward {after['reward'].item():6.2f}   sum {total:8.2f}")
print("last flags:", rollout[-1]["next"].select("terminated", "truncated", "done").to_dict())

# %% [markdown]
# Two new entries, `step_count` and `episode_reward`. We asked for 1000 steps, but the clock cut
# the episode at 50: `truncated`, hence `done`, and not `terminated`.
#
# Why the `Compose`? `TransformedEnv` takes *one* transform. What happens to a second one?

# %%
dropped = TransformedEnv(GymEnv("Pendulum-v1"), StepCounter(), RewardSum())
seen = dropped.rollout(3)["next"].keys()
print("step_count:", "step_count" in seen, "  episode_reward:", "episode_reward" in seen)

# %% [markdown]
# It is dropped, and nothing is said. (The third place belongs to another option.) Print the
# environment, or the keys of a short rollout, after you have put transforms in front of it.
#
# A transform can also act on the way *in*. `ActionScaling` lets the agent say -1 to 1 and turns
# that into the motor's own range before the simulator sees it.

# %%
from torchrl.envs import ActionScaling

plain, scaled = GymEnv("Pendulum-v1"), TransformedEnv(GymEnv("Pendulum-v1"), ActionScaling())
for name, env, action in [("plain", plain, 1.0), ("scaled", scaled, 0.5)]:
    env.set_seed(0)
    td = env.step(env.reset().set("action", torch.tensor([action])))
    low, high = env.action_spec.low.item(), env.action_spec.high.item()
    print(f"{name:6} [{low:+.0f}, {high:+.0f}]  action {td['action'].item()}", end="  ")
    print("next", td["next", "observation"].numpy())

# %% [markdown]
# The spec has changed from ±2 to ±1, and 0.5 now does what 1 did without the transform.
# The tensordict keeps what the agent said. `Compose` calls its transforms first to last on what
# comes out, and last to first on what goes in: the last one stands nearest to the agent.
#
# ### Exercise 1.3: scaled, but honestly counted  (4 min)
# `RewardScaling(loc, scale)` turns each reward $r$ into `scale` $\cdot r$ + `loc`. Write
# `build(limit, factor)`: a Pendulum whose episodes are truncated after `limit` steps and whose
# `reward` is multiplied by `factor`, while `episode_reward` adds up the rewards *before* scaling.
# <details><summary>Hint</summary>The order within <code>Compose</code> is the order in which
# they see the reward. Import <code>RewardScaling</code> from <code>torchrl.envs</code>.</details>


# %% tags=["exercise"]
def build(limit, factor):
    # your code
    ...


check("1.3", build)


# %% tags=["solution"]
def build(limit, factor):
    from torchrl.envs import Compose, GymEnv, RewardScaling, RewardSum, StepCounter
    from torchrl.envs import TransformedEnv

    steps = [StepCounter(max_steps=limit), RewardSum(), RewardScaling(loc=0.0, scale=factor)]
    return TransformedEnv(GymEnv("Pendulum-v1"), Compose(*steps))


check("1.3", build)

# %% [markdown]
# ## Inputs of one size  (about 35 min to here) (deeper)
#
# Networks like inputs of mean 0 and spread 1. `ObservationNorm` measures both on random play, once
# (`init_stats`), and then removes them. `standard_normal=True` means: subtract the mean, divide by
# the standard deviation.

# %%
from torchrl.envs import ObservationNorm

torch.manual_seed(0)
norm = ObservationNorm(in_keys=["observation"], out_keys=["normal"], standard_normal=True)
env = TransformedEnv(GymEnv("Pendulum-v1"), norm)
env.set_seed(0)
norm.init_stats(num_iter=2_000)
rollout = env.rollout(1_000, break_when_any_done=False)

figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
names = ["cosine", "sine", "speed"]
for ax, key in zip(axes, ["observation", "normal"], strict=True):
    ax.boxplot(rollout[key].numpy(), tick_labels=names, whis=(0, 100))
    ax.set(title=key)
raw, normal = (rollout[key].std(0).tolist() for key in ["observation", "normal"])
spread = ", ".join(f"{n} {a:.1f} to {b:.1f}" for n, a, b in zip(names, raw, normal, strict=True))
show_figure(figure, f"Box plots before and after. The standard deviations change: {spread}.")

# %% [markdown]
# On the left the speed dwarfs the rest, on the right all three are of about one size. The mean
# and spread were measured on earlier play, so new data comes out near 0 and 1, not exactly. With
# `out_keys` we kept both versions; without it the observation is replaced.
#
# ## Check it, seed it  (about 38 min to here)
#
# After stacking transforms, does the environment still keep its promises? `check_env_specs` plays
# a few steps and compares all that comes out with the specs. It raises an error where they differ.
# It plays with your environment, so call it before you seed.

# %%
from torchrl.envs.utils import check_env_specs

env = TransformedEnv(GymEnv("Pendulum-v1"), Compose(ActionScaling(), StepCounter(), RewardSum()))
print("returned:", check_env_specs(env))

# %% [markdown]
# No error: the specs hold. (In a script of your own it also logs a line, unless the environment
# variable `RL_LOGGING_LEVEL` is `WARNING` before TorchRL is imported. The course sets it.)
#
# Chance enters in two places: the world (where does the pendulum start?) and the agent (which
# random action?). Each has its own seed.


# %%
def random_return(world_seed, agent_seed):
    env.set_seed(world_seed)
    torch.manual_seed(agent_seed)
    return env.rollout(50)["next", "reward"].sum().item()


for world_seed, agent_seed in [(0, 0), (0, 0), (0, 1), (1, 0)]:
    print(f"world {world_seed}, agent {agent_seed}: {random_return(world_seed, agent_seed):.3f}")

# %% [markdown]
# The first two agree to the last digit. Change either seed, and the return changes. For a run that
# can be repeated, set both.
#
# ## Many at once  (about 40 min to here)
#
# Learning needs many steps. `SerialEnv` steps several copies, one after another, and gives
# them a common batch dimension. It takes a function that makes one copy, because it must make
# eight different ones.

# %%
from torchrl.envs import SerialEnv


def make_pendulum():
    return GymEnv("Pendulum-v1")


serial = SerialEnv(8, make_pendulum)
serial.reset()["observation"].shape

# %% [markdown]
# ### Exercise 1.4: predict the shape  (2 min)
# We let these 8 copies play 100 steps: `rollout = serial.rollout(100)`. Time comes after the
# dimensions of the environment itself. What is the shape of `rollout["next", "reward"]`? Answer
# with a tuple, before you run anything.
# <details><summary>Hint</summary>The reward of one step of one copy had shape <code>[1]</code> in
# the tensordict that our first <code>step</code> printed.</details>

# %% tags=["exercise"]
shape = ...

check("1.4", shape)

# %% tags=["solution"]
shape = (8, 100, 1)

check("1.4", shape)

# %% [markdown]
# With copies there are trajectories to choose from: `rollout[3]` is now the whole trajectory of
# the fourth *copy*, and `rollout[:, 3]` the fourth step of all.

# %% tags=["nbval-check-output"]
rollout = serial.rollout(20)
print("rollout[3]:   ", list(rollout[3].batch_size), " time")
print("rollout[:, 3]:", list(rollout[:, 3].batch_size), "  copies")
serial.close()

# %% [markdown]
# `SerialEnv` is a Python loop over TorchRL environments. Gymnasium has a loop of its own, a
# **vector environment**; to wrap it whole in `GymWrapper` is the second way. (`"sync"`: all copies
# in this process.) Left to itself, Gymnasium resets a copy that is done too late for TorchRL, which
# refuses that; hence `SAME_STEP`.

# %%
import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymWrapper

autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
vector = GymWrapper(gym.make_vec("Pendulum-v1", 8, "sync", vector_kwargs=autoreset))
vector.reset()["observation"].shape

# %% [markdown]
# The same shape, so nothing that follows would notice.
#
# ## Who resets a copy that is done?  (about 45 min to here) (deeper)
#
# Gymnasium calls the answer `autoreset_mode`:
#
# | mode | a new episode starts | with TorchRL |
# |---|---|---|
# | `NEXT_STEP`, Gymnasium's default | in the step after the end, whose action does nothing | refused, with an error |
# | `SAME_STEP` | within the step that ends the old one | works |
# | `DISABLED` | when somebody resets this copy; TorchRL does | works |
#
# With `SAME_STEP` and with `DISABLED` the last observation of an episode stays under `next`, as above.
# Do they play alike?

# %%
played = {}
for mode in [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]:
    poles = gym.make_vec("CartPole-v1", 3, "sync", vector_kwargs={"autoreset_mode": mode})
    poles = GymWrapper(poles)
    poles.set_seed(0)
    torch.manual_seed(0)
    played[mode.name] = poles.rollout(60, break_when_any_done=False)
    print(f"{mode.name:9} {played[mode.name]['next', 'done'].sum().item()} episodes ended")
print("the same rollout:", (played["SAME_STEP"] == played["DISABLED"]).all())

# %% [markdown]
# To the last number. Either will do; the course takes `SAME_STEP`.
#
# ## Which way is the quickest?  (about 47 min to here) (deeper)
#
# The third way to have many is a world written in PyTorch. TorchRL's `PendulumEnv` has the same physics. You
# hand `reset` the physical constants for as many pendulums as you like. (`set_state=False`: start
# at random, not from a state given to it.)

# %%
from torchrl.envs import PendulumEnv

native = PendulumEnv()
many = native.reset(native.gen_params(batch_size=[1024]), set_state=False)
many["th"].shape

# %% [markdown]
# `th` is the angle, `thdot` its speed: a thousand pendulums in one tensor. And the world is not
# hidden any more. Step twice from one tensordict again:

# %%
start = native.rand_action(many)
once, twice = native.step(start.clone()), native.step(start.clone())
print("the same answer twice:", torch.equal(once["next", "th"], twice["next", "th"]))

# %% [markdown]
# Here the tensordict *does* hold the world: from an earlier one you can go on as often as you like.
#
# The fourth way is a process per copy, `ParallelEnv`. The workers are fresh Python processes: they
# import everything anew and then make their copy, so each gets the *function*, not an environment.
# In a script the call must stand under `if __name__ == "__main__":`, or each worker would run the
# script again.
#
# Our copies can be slowed down, to play an expensive simulator later on.

# %%
import time

from torchrl.envs import ParallelEnv


class SlowPendulum(GymEnv):
    pause = 0.0

    def set_pause(self, seconds):
        self.pause = seconds

    def _step(self, tensordict):
        time.sleep(self.pause)
        return GymEnv._step(self, tensordict)


def make_slow_pendulum():
    return SlowPendulum("Pendulum-v1")


# %%
begin = time.perf_counter()
parallel = ParallelEnv(2, make_slow_pendulum)
parallel.reset()
print(f"Two workers took {time.perf_counter() - begin:.1f} s to start.")

# %% [markdown]
# Now a race. A *frame* is one step of one copy; each way plays a little, and the chart shows
# frames per second.


# %%
def frames_per_second(env, steps, **options):
    env.rollout(3, break_when_any_done=False, **options)  # the first steps pay for warm-up
    begin = time.perf_counter()
    rollout = env.rollout(steps, break_when_any_done=False, **options)
    return rollout.numel() / (time.perf_counter() - begin)


def from_reset(count):
    # PendulumEnv needs its constants at reset, so we reset it here and not in the rollout.
    params = native.gen_params(batch_size=[count])
    return {"tensordict": native.reset(params, set_state=False), "auto_reset": False}


speeds = {
    "GymEnv": frames_per_second(make_pendulum(), 400),
    "ParallelEnv (2)": frames_per_second(parallel, 200),
    "SerialEnv (8)": frames_per_second(SerialEnv(8, make_pendulum), 100),
    "GymWrapper of a vector (8)": frames_per_second(vector, 200),
    "PendulumEnv (8)": frames_per_second(native, 200, **from_reset(8)),
    "PendulumEnv (1024)": frames_per_second(native, 200, **from_reset(1024)),
}

# %%
ratios = {name: speed / speeds["GymEnv"] for name, speed in speeds.items()}
figure, axes = plt.subplots(figsize=(8, 3))
bars = axes.barh(list(speeds), list(speeds.values()))
axes.bar_label(bars, [f"{ratio:,.1f} x" for ratio in ratios.values()], padding=4)
axes.set(xscale="log", xlabel="frames per second (each line: ten times more)")
axes.set_xlim(min(speeds.values()) / 3, 10 * max(speeds.values()))  # so that every bar is seen
axes.invert_yaxis()
show_figure(
    figure,
    "Frames per second as a multiple of GymEnv: "
    + ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items()),
)

# %% [markdown]
# The labels are multiples of one `GymEnv`; yours will differ. What matters is the order of
# magnitude: the fewer Python calls per frame, the quicker, and a world in tensors leaves the rest
# far behind. Two processes gain little or even lose: a pendulum step is so cheap that handing it
# over costs more.
#
# And with more copies? This was measured once, for up to 256 of them:

# %%
from course_utils import load_results

measured = load_results("scaling")["runs"]["environments"]
figure, axes = plt.subplots(figsize=(8, 3.4))
gains = []
for name, counts in measured.items():
    median = {int(count): sorted(found["frames_per_second"])[1] for count, found in counts.items()}
    axes.plot(list(median), list(median.values()), marker="o", label=name)
    gains.append(f"{name} {median[max(median)] / median[1]:.1f} (1 to {max(median)} copies)")
axes.set(xscale="log", yscale="log", xlabel="copies", ylabel="frames per second")
figure.legend(loc="outside right upper")
show_figure(figure, "Times the frames per second of one copy: " + "; ".join(gains) + ".")

# %% [markdown]
# `SerialEnv` gains with the first few copies only: it pays its Python calls for each of them. The
# wrapped vector gains longer, until it comes near the *raw* one: that is Gymnasium's loop over the
# copies, without TorchRL around it, and it gains no more either. Tensors go on gaining.
#
# So when does `ParallelEnv` pay? Let each step take 50 ms, as in a heavy simulator. A method
# called on `parallel` is called in each worker.

# %%
behind_each_other = SerialEnv(2, make_slow_pendulum)
behind_each_other.reset()
for pause in [0.0, 0.05]:
    behind_each_other.set_pause(pause)
    parallel.set_pause(pause)
    gain = frames_per_second(parallel, 20) / frames_per_second(behind_each_other, 20)
    print(f"pause {1000 * pause:2.0f} ms: ParallelEnv gives {gain:.1f} times SerialEnv's frames")

# %% [markdown]
# A number below 1 is a loss. With slow steps the workers wait at the same time: the gain is above 1,
# and can come near their number, 2. On a busy machine handing a step over takes longer, and the gain
# is smaller. It pays when a step is slow, cores are free, and the run is long against the start. Shut
# the workers down when done; they do not leave by themselves while the notebook is open.

# %%
parallel.close()
print("closed:", parallel.is_closed)

# %% [markdown]
# ## What Gymnasium says besides  (about 58 min to here) (deeper)
#
# Gymnasium's `reset` and `step` also return `info`, a dictionary for whatever else a simulator has
# to tell. Pendulum's is empty. This wrapper puts something into it: the energy a torque costs.


# %%
class Metered(gym.Wrapper):
    def reset(self, **options):
        observation, info = self.env.reset(**options)
        return observation, info | {"energy": np.zeros(1, dtype=np.float32)}

    def step(self, action):
        *answer, info = self.env.step(action)
        return *answer, info | {"energy": action**2}


metered = GymWrapper(Metered(gym.make("Pendulum-v1")))
print("kept:", "energy" in metered.rollout(3)["next"])

# %% [markdown]
# TorchRL throws `info` away unless it is asked to keep it. `auto_register_info_dict` plays a little
# to see what there is, and adds it to the observation spec.

# %%
metered.auto_register_info_dict()
rollout = metered.rollout(3)
print("energy:  ", rollout["next", "energy"].squeeze(-1))
print("action²: ", rollout["action"].squeeze(-1) ** 2)
print(metered.observation_spec["energy"].shape, metered.observation_spec["energy"].dtype)

# %% [markdown]
# The energy now lies in each step, under `next` and at the following root, like any observation. The
# values have to be NumPy arrays; a plain Python number raises an `AttributeError`. Where you want some
# of the entries only, `set_info_dict_reader` takes a `default_info_dict_reader` with their names.
#
# ## A world of your own  (about 60 min to here) (deeper)
#
# Boats at sea, blown about by random wind. Each steers left or right, wants to stay at position 0
# (the reward is minus the distance from it), and is lost beyond 3. That is all, and it is a function
# of three lines:


# %%
def sail(position, action, gust):
    position = position + 0.3 * action + 0.4 * gust
    lost = position.abs() > 3
    return position, -position.abs(), lost


sail(torch.tensor([0.0, 2.9]), torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]))

# %% [markdown]
# Two boats that steer to the right in still air: new positions, rewards, and the second one is lost.
# What turns this into an environment? A subclass of `EnvBase` that says four things:
#
# | you write | it says |
# |---|---|
# | specs, in `__init__` | what goes in and comes out |
# | `_reset(tensordict)` | how an episode begins |
# | `_step(tensordict)` | what an action leads to |
# | `_set_seed(seed)` | where chance comes from |
#
# The methods' public twins (`reset`, `step`, `set_seed`) do the rest. First the specs. `Bounded` and
# `Unbounded` are real numbers with and without limits, and `Composite` is a dictionary of specs. All
# begin with the number of boats:

# %%
from torchrl.data import Bounded, Composite, Unbounded

count = 2
position = Composite(position=Unbounded([count, 1]), shape=[count])
steering = Bounded(-1.0, 1.0, [count, 1])
position.rand()["position"], steering.rand()

# %% [markdown]
# Both methods answer with a tensordict. It is made of a dictionary and the batch size, here `[2]`
# for two boats (lesson 02 says more about it):

# %%
from tensordict import TensorDict

TensorDict({"position": torch.zeros(2, 1)}, batch_size=[2])

# %% [markdown]
# Now the class. `_step` returns what belongs under `next`, without the word `next`.

# %%
from torchrl.envs import EnvBase


class Boats(EnvBase):
    def __init__(self, count):
        super().__init__(batch_size=[count])
        self.observation_spec = Composite(position=Unbounded([count, 1]), shape=[count])
        self.state_spec = self.observation_spec.clone()
        self.action_spec = Bounded(-1.0, 1.0, [count, 1])
        self.reward_spec = Unbounded([count, 1])
        self.set_seed(0)

    def _set_seed(self, seed):
        self.wind = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        return TensorDict({"position": torch.zeros(*self.batch_size, 1)}, self.batch_size)

    def _step(self, tensordict):
        gust = torch.randn(*self.batch_size, 1, generator=self.wind)
        position, reward, lost = sail(tensordict["position"], tensordict["action"], gust)
        answer = {"position": position, "reward": reward, "terminated": lost, "done": lost}
        return TensorDict(answer, self.batch_size)


# %%
boats = Boats(16)
check_env_specs(boats)
boats.rollout(5)["next", "reward"].shape

# %% [markdown]
# The check found nothing wrong. Three things are easily overlooked:
#
# - The state lies in the tensordict, so `position` is also an *input*: `state_spec` says so. Nothing
#   here fails without it; it is for whoever asks the environment what `step` reads.
# - The wind has a random generator of its own, which `_set_seed` fills. So the world's seed and the
#   agent's do not mix.
# - Nobody wrote a spec for the flags. Look what is there:

# %%
boats.full_done_spec

# %% [markdown]
# Every environment has `done` and `terminated`, one flag a copy, so `EnvBase` writes that spec by
# itself. (An environment with other flags, such as `truncated`, sets `done_spec`.) Rewards and flags
# end in a dimension of 1.
#
# What if a promise is broken? NumPy counts with 64 bits unless told otherwise, and such a reward
# easily slips through.


# %%
class CarelessBoats(Boats):
    def _step(self, tensordict):
        answer = super()._step(tensordict)
        return answer.set("reward", answer["reward"].double())


try:
    check_env_specs(CarelessBoats(16))
except Exception as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# The check names the entry, what was promised (`fake`) and what came (`real`), before any network
# would have stumbled over it. All tools from above work on your world. Here it gets a clock, and
# two policies: random, and one that steers home.


# %%
def steer_home(td):
    return td.set("action", -td["position"].clamp(-1, 1))


env = TransformedEnv(Boats(16), StepCounter(max_steps=60))
figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
lost = {}
for ax, (name, policy) in zip(axes, {"random": None, "home": steer_home}.items(), strict=True):
    torch.manual_seed(0)
    env.set_seed(0)
    rollout = env.rollout(60, policy, break_when_any_done=False)
    ends = rollout["next", "terminated"].squeeze(-1)
    lost[name] = ends.sum().item()
    path = rollout["next", "position"].squeeze(-1)
    ax.plot(path.T, color=PALETTE["blue"], linewidth=0.7)
    ax.plot(ends.nonzero()[:, 1], path[ends], "X", color=PALETTE["vermillion"])
    ax.set(title=f"{name}: {lost[name]} lost", xlabel="step")
axes[0].set_ylabel("position")
show_figure(figure, f"Paths of 16 boats for 60 steps, crosses where one is lost: {lost}.")

# %% [markdown]
# At each cross a boat was lost and a new one started from 0; the others sailed on undisturbed. You
# wrote nothing for that: the common part of `EnvBase` puts a fresh start only where a copy is done.
#
# It calls `_reset` for these: `tensordict["_reset"]`, of shape `[count, 1]`, is then True for the
# copies that begin anew. (Where there is no such entry, or no tensordict at all, all begin.) `Boats`
# need not look, for their state travels in the tensordict. A world that keeps its state in `self`
# must leave the other copies as they are.
#
# ### Exercise 1.5: a room to heat  (3 min)
# Write `room_step(td)`, the `_step` of a heated room. `td` holds `temperature` and `action`, both
# of shape `[rooms, 1]`, and has batch size `[rooms]`. In a step the room first loses a tenth of
# its lead over the 5 degrees outside, then gains `action` degrees. The reward is minus the
# distance of the *new* temperature from 20; the episode terminates when the *new* temperature is
# above 30. Return a new tensordict with these four entries: `temperature`, `reward`, `terminated` and
# `done`.
# <details><summary>Hint</summary>The lead is <code>temperature - 5</code>. Compare
# <code>Boats._step</code>, and take the batch size from <code>td.batch_size</code>.</details>


# %% tags=["exercise"]
def room_step(td):
    # your code
    ...


check("1.5", room_step)


# %% tags=["solution"]
def room_step(td):
    from tensordict import TensorDict

    temperature = td["temperature"] - 0.1 * (td["temperature"] - 5) + td["action"]
    too_hot = temperature > 30
    answer = {"temperature": temperature, "reward": -(temperature - 20).abs()}
    return TensorDict(answer | {"terminated": too_hot, "done": too_hot}, td.batch_size)


check("1.5", room_step)

# %% [markdown]
# ### Exercise 1.6: build it: a grid of your own  (15 min)
# Build a world in which agents look for the way home. Write a class `Grid(EnvBase)`; `Grid(count,
# size)` is `count` copies (batch size `[count]`) of a square of `size` times `size` cells.
#
# - `position`, the observation: row and column, whole numbers (int64) of shape `[count, 2]`. Row 0 is
#   at the top, column 0 on the left. Its spec allows the cells of the grid, and nothing else.
# - `action`: one whole number a copy, shape `[count]` (a `Categorical`): 0 up, 1 right, 2 down, 3
#   left. A move against
#   the border leaves the position as it is.
# - The goal is the last row's last cell. Whoever gets there is `terminated` (and `done`), with a
#   reward of 1. Every other step is paid -0.1.
# - Each episode starts in a random cell that is not the goal, all equally likely, drawn from a
#   generator that belongs to the world, as in `Boats`.
#
# Whether the state lies in the tensordict or in the object is up to you (in the object: mind
# `_reset`, above). Use as many cells as you like;
# `check_env_specs` and a printed rollout help on the way. The check makes grids of several sizes, plays,
# resets some of the copies, seeds, and says what it saw.
# <details><summary>Hint 1: specs</summary><code>Bounded(0, size - 1, [count, 2],
# dtype=torch.int64)</code> and <code>Categorical(4, [count])</code>, both from
# <code>torchrl.data</code>. The others are as in <code>Boats</code>.</details>
# <details><summary>Hint 2: moves</summary>A table of four moves,
# <code>torch.tensor([[-1, 0], [0, 1], [1, 0], [0, -1]])</code>, can be indexed with all actions at once.
# Add, then <code>clamp(0, size - 1)</code>.</details>
# <details><summary>Hint 3: home</summary>Row <i>and</i> column have to be <code>size - 1</code>:
# <code>(position == size - 1).all(-1, keepdim=True)</code> has shape <code>[count, 1]</code>, as a flag
# needs it. <code>torch.where(home, 1.0, -0.1)</code> is the reward.</details>
# <details><summary>Hint 4: starts</summary>Number the cells from 0, row by row. The goal is the last
# one, so draw below <code>size * size - 1</code>. Row and column are <code>number // size</code> and
# <code>number % size</code>.</details>

# %% tags=["exercise"]
from torchrl.envs import EnvBase


class Grid(EnvBase):
    # your code
    ...


check("1.6", Grid)

# %% tags=["solution"]
import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


def walk(position, action, size):
    moves = torch.tensor([[-1, 0], [0, 1], [1, 0], [0, -1]])
    return (position + moves[action]).clamp(0, size - 1)


def starts(batch_size, size, generator):
    number = torch.randint(size**2 - 1, batch_size, generator=generator)
    return torch.stack([number // size, number % size], -1)


# %% tags=["solution"]
class Grid(EnvBase):
    def __init__(self, count, size):
        super().__init__(batch_size=[count])
        self.size, cells = size, Bounded(0, size - 1, [count, 2], dtype=torch.int64)
        self.observation_spec = Composite(position=cells, shape=[count])
        self.state_spec = self.observation_spec.clone()
        self.action_spec, self.reward_spec = Categorical(4, [count]), Unbounded([count, 1])
        self.set_seed(0)

    def _set_seed(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        position = starts(self.batch_size, self.size, self.generator)
        return TensorDict({"position": position}, self.batch_size)

    def _step(self, tensordict):
        position = walk(tensordict["position"], tensordict["action"], self.size)
        home = (position == self.size - 1).all(-1, keepdim=True)
        answer = {"position": position, "reward": torch.where(home, 1.0, -0.1)}
        return TensorDict(answer | {"terminated": home, "done": home}, self.batch_size)


check("1.6", Grid)

# %% [markdown]
# Does it run? Give it a clock of 50 steps, let a random agent play, then one that knows the way (down,
# then right), and compare how often each gets home in 200 steps of 16 copies.


# %% tags=["solution"]
def down_then_right(td):
    below = td["position"][..., 0] == 4
    return td.set("action", torch.where(below, 1, 2))


grid = TransformedEnv(Grid(16, 5), StepCounter(max_steps=50))
check_env_specs(grid)
for name, walker in {"random": None, "down, then right": down_then_right}.items():
    torch.manual_seed(0)
    grid.set_seed(0)
    walked = grid.rollout(200, walker, break_when_any_done=False)["next"]
    print(f"{name:17} home {walked['terminated'].sum().item():4} times", end="  ")
    print(f"mean reward {walked['reward'].mean().item():+.2f}")

# %% [markdown]
# ## What you can do now
# You can step any environment by hand or by `rollout`, read what TED says about each step, tell
# why an episode ended, read specs, add transforms, seed, run many copies at once, and build a
# world of your own that passes the check.
#
# **Try next:** give the boats a second sea: a current that drifts all of them by 0.1 per step. What
# must `steer_home` do about it? Have you a simulator of your own, in NumPy say? [Your own
# simulator](../docs/your_simulator.md) brings it to TorchRL in three ways, and has it checked.
#
# Go on with [{{next title}}]({{next file}}).
