# ---
# jupyter:
#   course:
#     title: "Scaling out: from one process to a cluster"
#     objectives:
#       - tell from three times whether more workers will pay, and where they stop paying
#       - change one process for many, or for a cluster, by changing how the collector is built and nothing else
#       - see how old the policy behind a batch is, and say what V-trace corrects in it and what that costs
#       - run IMPALA, actors here and a learner there, and say what is lost when one of them dies
#       - build a collector with weights of its own, and send it new ones
#     prerequisites: lessons 05 (collectors) and 08 (the policy gradient and its ratio)
#     minutes: {reading: 55, exercises: 40, short: 28}
# ---

# %% [markdown]
# ## Where does the time go?  (about 1 min to here)
#
# Your agent needs a day to learn, and you are offered a hundred machines. Will it need a quarter of an
# hour? Before you say yes, ask where the day goes. An agent does two things in turn: it *plays*
# (simulator and policy), and it *learns*. Spread out, many *workers* play, and one *learner*
# learns from what they send. More workers play more. They do not learn faster.
#
# So we measure first. The task is CartPole, with one addition: a simulator that is as slow as we
# like. A `Transform` makes each step last longer, as a physics engine or a game would. (It *sleeps*,
# and a sleeper needs no processor. Remember that: it is what makes this lesson possible on two cores,
# and also where it flatters.)

# %% tags=["parameters"]
seed = 0

# %%
import torch
from course_utils import seed_everything

seed_everything(seed)
torch.set_num_threads(1)

# %%
import time

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymWrapper, Transform

COPIES, STEPS = 16, 32  # CartPoles side by side in a worker; steps of each in a batch


class Wait(Transform):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def _step(self, tensordict, next_tensordict):
        time.sleep(self.seconds)
        return next_tensordict


# %%
def make_env(seed, copies=COPIES, step_seconds=0.0):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = gym.make_vec("CartPole-v1", copies, "sync", vector_kwargs=autoreset)
    envs = GymWrapper(envs, categorical_action_encoding=True)
    envs.set_seed(seed)
    return envs.append_transform(Wait(step_seconds)) if step_seconds else envs


# %% [markdown]
# The agent is an actor and a critic, as in lesson 08, and one thing more: a layer called `age`, whose
# weights are all 0 and whose bias is a number we set. What the layer writes into each frame is that
# number: *how many batches the weights that played had been trained on*. It travels to the workers as
# weights do, whatever brings them there, so it tells what has really arrived. Actor and layer together
# are the *player*: all that a worker needs.

# %%
from types import SimpleNamespace

from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.modules import MLP, ProbabilisticActor, ValueOperator


def network(outputs):
    return MLP(4, outputs, num_cells=[64, 64], activation_class=torch.nn.Tanh)


def agent():
    actor = ProbabilisticActor(
        TensorDictModule(network(2), ["observation"], ["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    age = torch.nn.Linear(4, 1).requires_grad_(False)
    torch.nn.init.zeros_(age.weight), torch.nn.init.zeros_(age.bias)
    player = TensorDictSequential(actor, TensorDictModule(age, ["observation"], ["trained_on"]))
    critic = ValueOperator(network(1), in_keys=["observation"])
    return SimpleNamespace(actor=actor, age=age, player=player, critic=critic)


# %% [markdown]
# The learner uses `A2CLoss`, the policy-gradient loss without PPO's clipping (*advantage
# actor-critic*), and advantages not from `GAE` but from *V-trace*, a function of TorchRL's called
# `vtrace_advantage_estimate`. It wants to know how likely each action is now (`log_pi`), and how likely it
# was when it was drawn; why, and what it makes of that, comes in the section on V-trace.

# %%
from torchrl.objectives import A2CLoss
from torchrl.objectives.value.functional import vtrace_advantage_estimate

ROWS, GAMMA, REWARD_SCALE = 4, 0.99, 0.1
RATES = [2e-3, 5e-3]  # learning rates of actor and critic
FRAMES = 81_920  # a whole training


def build(seed):
    torch.manual_seed(seed)
    run = agent()
    run.seed, run.frames, run.batches = seed, 0, 0
    options = {"entropy_coeff": 0.01, "critic_coeff": 0.5, "loss_critic_type": "l2"}
    run.loss = A2CLoss(run.actor, run.critic, **options)
    groups = [{"params": part.parameters()} for part in [run.actor, run.critic]]
    run.optimiser = torch.optim.Adam(groups)
    return run


# %%
def with_advantages(run, rows):
    with torch.no_grad():
        log_pi = run.actor.get_dist(rows).log_prob(rows["action"]).unsqueeze(-1)
        advantage, rows["value_target"] = vtrace_advantage_estimate(
            GAMMA,
            log_pi,
            rows["action_log_prob"].unsqueeze(-1),
            run.critic(rows.clone())["state_value"],
            run.critic(rows["next"].clone())["state_value"],
            REWARD_SCALE * rows["next", "reward"],
            *(rows["next", name] for name in ["done", "terminated"]),
        )
    rows["advantage"] = advantage - advantage.mean()
    return rows


# %% [markdown]
# `learn` uses every frame of a batch once: an update from four rows of the 16, an update from the
# next four. The step sizes fall to a twentieth on the way. Three choices are there for calm; what
# each of them does alone is not measured here, what they do together is, further down. Rewards are
# scaled, so that the critic has to reach 10 and not 100. Actor and critic have a learning rate and a
# gradient clip each: under one clip for both, the critic's gradient, the larger one by far, shrinks
# the actor's. And the mean of the advantages is taken off: a critic that is wrong by the same amount
# everywhere (at first it is) makes all of them positive, or all negative, and pushes the actor
# towards, or away from, whatever happened to be played.


# %%
def update(run, frames):
    losses = run.loss(frames)
    total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
    run.optimiser.zero_grad()
    total.backward()
    for group in run.optimiser.param_groups:
        torch.nn.utils.clip_grad_norm_(group["params"], max_norm=1.0)
    run.optimiser.step()


def learn(run, batch):
    for group, rate in zip(run.optimiser.param_groups, RATES, strict=True):
        group["lr"] = rate * max(0.05, 1 - run.frames / FRAMES)
    rows = batch.reshape(-1, STEPS)
    for part in rows[torch.randperm(len(rows))].split(ROWS):
        update(run, with_advantages(run, part).reshape(-1))
    run.frames += batch.numel()
    run.batches += 1
    run.age.bias.fill_(run.batches)


# %% [markdown]
# Now one process, and a clock on both halves. (`total_frames` is far away: we stop when we like.)

# %%
import statistics

from torchrl.collectors import Collector

batch_frames = COPIES * STEPS
unending = {"total_frames": 1_000_000 * batch_frames, "auto_register_policy_transforms": False}


def watch_the_clock(collector, run, batches):
    """Median seconds of waiting for a batch, and of learning from it; the first is left out."""
    waited, learned, stream = [], [], iter(collector)
    for _ in range(batches):
        start = time.perf_counter()
        batch = next(stream)
        middle = time.perf_counter()
        learn(run, batch)
        waited.append(middle - start)
        learned.append(time.perf_counter() - middle)
    return statistics.median(waited[1:]), statistics.median(learned[1:])


# %% tags=["look"]
clock = {}
for milliseconds in [0, 5, 20]:
    run = build(seed)
    env = make_env(seed, step_seconds=milliseconds / 1_000)
    collector = Collector(env, run.player, frames_per_batch=batch_frames, **unending)
    clock[milliseconds] = watch_the_clock(collector, run, 5)
    collector.shutdown()

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, axes = plt.subplots(figsize=(7, 2.2))
names = [f"{milliseconds} ms" for milliseconds in clock]
played, learned = (
    list(1_000 * seconds for seconds in times) for times in zip(*clock.values(), strict=True)
)
axes.barh(names, played, label="play")
axes.barh(names, learned, left=played, label="learn")
axes.set(xlabel="milliseconds a batch", ylabel="a step lasts longer by")
figure.legend(loc="outside right upper")
shares = [f"{name}: {p / (p + q):.0%}" for name, p, q in zip(names, played, learned, strict=True)]
show_figure(figure, "Share of the time that is play: " + ", ".join(shares))

# %% tags=["look"]
for name, p, q in zip(names, played, learned, strict=True):
    print(f"{name:>5}: play {p:3.0f} ms, learn {q:2.0f} ms a batch; play is {p / (p + q):.0%}")

# %% [markdown]
# The slower the simulator, the more of the time is play, and play is what can be spread. But whatever
# the simulator, the orange part stays: learning has to happen in one place.
#
# ## When do workers pay?  (about 9 min to here)
#
# Three times decide. For one batch, let $S$ be the seconds a worker needs to play it, $L$ those to
# learn from it, and $C$ those that the learner spends to *carry* it over: to receive it, and to send
# weights back. With $n$ workers, in batches per second:
#
# | | | batches per second |
# |---|---|---|
# | one process | play, learn, play, learn | $1 / (S + L)$ |
# | $n$ workers, synchronous | all play at once, then all $n$ batches are learned from | $n / (S + n\,(L + C))$ |
# | $n$ workers, asynchronous | workers play on while the learner learns | $\min\big(n / S,\; 1 / (L + C)\big)$ |
#
# Both have the same ceiling, $1 / (L + C)$: a learner that never waits. With more synchronous workers
# one comes ever closer to it; asynchronous ones gain in a straight line until they reach it, and
# nothing after that. That is **Amdahl's law**: what cannot be spread sets the limit.
#
# ### Exercise 12.1: is it worth two machines?  (5 min)
# Write `speed_up(workers, simulate, learn, carry)`: how many times as many batches per second $n$
# synchronous workers deliver as one process that carries nothing. All times are seconds per batch.
# <details><summary>Hint</summary>Divide the second row of the table by the first.</details>

# %% tags=["exercise"]
from course_utils import check


def speed_up(workers, simulate, learn, carry):
    # your code
    ...


check("12.1", speed_up)


# %% tags=["solution"]
def speed_up(workers, simulate, learn, carry):
    together = workers / (simulate + workers * (learn + carry))
    return together * (simulate + learn)


check("12.1", speed_up)

# %% [markdown]
# ### Exercise 12.2: how many are enough?  (3 min)
# Write `enough_workers(simulate, learn, carry)`: the smallest number of *asynchronous* workers with which
# the learner never waits, a whole number.
# <details><summary>Hint</summary>When is n / S at least 1 / (L + C)? <code>math.ceil</code> rounds
# up.</details>

# %% tags=["exercise"]
import math


def enough_workers(simulate, learn, carry):
    # your code
    ...


check("12.2", enough_workers)


# %% tags=["solution"]
import math


def enough_workers(simulate, learn, carry):
    return math.ceil(simulate / (learn + carry))


check("12.2", enough_workers)

# %% [markdown]
# Now towards hundreds of workers. $L$ is the one measured above, $S$ what a batch of CartPole takes plus
# what is added to each step, and $C$ was measured in the benchmark that follows below. Where does each line
# bend?


# %% id="12-model"
def batches_per_second(kind, workers, simulate, learn, carry):
    if kind == "single":
        return 1 / (simulate + learn)
    if kind == "sync":
        return workers / (simulate + workers * (learn + carry))
    return min(workers / simulate, 1 / (learn + carry))


# %% tags=["look"]
from course_utils import load_results

speeds = load_results("12_scaling_out")["runs"]["workers"]
carry = statistics.median(run["carry"] for run in speeds["async"].values())
learning = clock[0][1]
counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True)
words = []
for panel, step in zip(panels, [0.001, 0.01, 0.1], strict=True):
    play = clock[0][0] + STEPS * step
    for kind in ["sync", "async"]:
        rates = [batches_per_second(kind, n, play, learning, carry) for n in counts]
        panel.loglog(counts, [batch_frames * rate for rate in rates], marker=".", label=kind)
    ceiling = batch_frames / (learning + carry)
    panel.axhline(ceiling, color="0.4", linestyle="--", label="learner never waits")
    panel.set(title=f"{1_000 * step:.0f} ms a step", xlabel="workers")
    words.append(f"{1_000 * step:.0f} ms: {math.ceil(play / (learning + carry))} workers")
panels[0].set_ylabel("frames/s, predicted")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
enough = "; ".join(words)
show_figure(figure, f"Predicted frames per second over workers. The learner is busy from: {enough}")

# %% tags=["look"]
print(f"learn {1_000 * learning:.1f} ms, carry {1_000 * carry:.1f} ms a batch")
print(f"the learner is busy all the time from: {enough}")

# %% [markdown]
# Below the bend, twice the workers are twice the frames. Above it they buy nothing: what helps there is a
# faster *learner* (larger batches on a GPU, several learners that share gradients) or less to carry. A
# handful of workers with a fast simulator keeps one learner busy; with a step of a tenth of a second hundreds
# of them are well spent. That is a *model*. It knows of no network that is full and of no worker that is
# slower than the others, and it takes $C$ for the same however many there are.
#
# A simulator that runs on a GPU, beside the learner, needs neither workers nor carrying. Lesson 15 meets
# one, VMAS: there a step of 10,000 copies takes little longer than a step of ten, and with ten of them the CPU
# is the quicker one ([measured](../docs/benchmark.md#and-a-simulator-on-a-gpu)).
#
# ## One construction  (about 26 min to here)
#
# Lesson 05 met `MultiSyncCollector` and `MultiAsyncCollector`. All of TorchRL's collectors hand over
# batches of the same form, so the learner need not know who played. Everything that differs stands in
# one function:

# %%
from functools import partial

from torchrl.collectors import MultiAsyncCollector, MultiSyncCollector


def make_collector(kind, run, workers, step_seconds=0.0):
    seeds = [1_000 * run.seed + 100_000_000 * worker for worker in range(workers)]
    envs = [partial(make_env, each, step_seconds=step_seconds) for each in seeds]
    if kind == "single":
        return Collector(envs[0], run.player, frames_per_batch=batch_frames, **unending)
    if kind == "sync":
        together = {"frames_per_batch": workers * batch_frames, "cat_results": "stack"}
        return MultiSyncCollector(envs, run.player, **together, **unending)
    return MultiAsyncCollector(envs, run.player, frames_per_batch=batch_frames, **unending)


# %% [markdown]
# (`partial` is a function with some arguments filled in. It reaches the workers through
# `cloudpickle`, and the policy is built of classes that a worker can import: lesson 05's two
# rules.) Two workers, and a simulator of 20 ms a step. First write down what the model says: a batch is
# 512 frames, and the times stand above.

# %% tags=["look"]
step = 0.02
play, _ = clock[20]
asleep = {}  # frames per second with a simulator that sleeps
for kind, workers in [("single", 1), ("sync", 2), ("async", 2)]:
    run = build(seed)
    collector = make_collector(kind, run, workers, step)
    stream, batches = iter(collector), 2 if kind == "sync" else 4
    for _ in range(batches):
        learn(run, next(stream))
    start, before = time.perf_counter(), run.frames
    for _ in range(batches):
        learn(run, next(stream))
    speed = (run.frames - before) / (time.perf_counter() - start)
    collector.shutdown()
    asleep[kind] = speed
    model = batch_frames * batches_per_second(kind, workers, play, learning, carry)
    print(f"{kind:7} {workers} worker(s): {speed:5.0f} frames/s, predicted {model:5.0f}")

# %% [markdown]
# The same for more workers and a simulator of 50 ms a step, from the benchmark, with two learners
# (<code>make bench ARGS='--groups workers'</code>; dots: measured;
# lines: the model, with $S$ and $L$ measured in a single process beside each dot):


# %%
def times_one_process(run):
    alone = batch_frames / (run["simulate"] + run["learn"])
    return run["frames_per_second"] / alone


def model_times_one_process(kind, run):
    times = run["simulate"], run["learn"], carry
    return batches_per_second(kind, run["workers"], *times) * (run["simulate"] + run["learn"])


# %% tags=["look"]
figure, panels = plt.subplots(1, 2, figsize=(10, 3.4))
naps = sorted({run["learn_slept"] for run in speeds["async"].values()})
facts, learners = {}, dict(zip(["a quick learner", "a slow learner"], naps, strict=True))
for panel, (title, slept) in zip(panels, learners.items(), strict=True):
    facts[title] = []
    for place, (kind, runs) in enumerate(speeds.items()):
        slow = [r for r in runs.values() if r["step_seconds"] > 0 and r["learn_slept"] == slept]
        if not slow:
            continue
        workers, gains = [run["workers"] for run in slow], [times_one_process(run) for run in slow]
        beside = [number + 0.1 * (place - 1) for number in workers]  # else they cover one another
        panel.plot(beside, gains, f"C{place}o", label=kind)
        most = f"{kind}: {gains[-1]:.1f} times one process with {workers[-1]} workers"
        facts[title].append(most)
        if kind in ("sync", "async"):
            line = [model_times_one_process(kind, run) for run in slow]
            panel.plot(workers, line, f"C{place}-")
    panel.set(title=title, xlabel="workers", xticks=[1, 2, 4, 8], ylim=(0, None))
panels[0].set_ylabel("times one process")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
words = "; ".join(f"{title}: {', '.join(most)}" for title, most in facts.items())
show_figure(figure, f"A step of 50 ms, frames per second over workers. {words}")

# %% tags=["look"]
for title, most in facts.items():
    print(f"50 ms a step, {title}:", *most, sep="\n  ")
print("CartPole as it is, two workers:")
for kind, runs in speeds.items():
    for run in runs.values():
        if run["step_seconds"] == 0:
            print(f"  {kind}: {times_one_process(run):.1f} times one process")

# %% [markdown]
# Left, all are far from the bend, and both kinds go up in a straight line as far as they were
# measured: $n$ workers, about $n$ times. Right, the learner sleeps for 0.4 s more over each batch, as
# if a large network were at work on a GPU. Now
# $S / (L + C)$ is about four, and there the asynchronous line bends: eight workers bring what four do. Synchronous
# ones creep towards the same ceiling and are farther from it. (That two asynchronous workers bring *more* than twice as
# much here is no mistake. One process stops playing while it learns; they do not.)
#
# ### And a simulator that computes?
#
# All of them sleep, and who sleeps needs no core. Real simulators compute. Here is one: Gymnasium's Acrobot, which
# integrates the equations of two rods with four evaluations a step, 128 times side by side. How long does a
# *processor* work for one step of each? (The sleeper's step lasts 20 ms at least. Both are only played, at random.)


# %% tags=["look"]
def acrobots(seed, copies=128):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = GymWrapper(gym.make_vec("Acrobot-v1", copies, "sync", vector_kwargs=autoreset))
    envs.set_seed(seed)
    return envs


makers = {"sleeps": partial(make_env, step_seconds=step), "computes": acrobots}
needs = {}  # milliseconds of a processor a step
for name, maker in makers.items():
    env = maker(seed)
    env.rollout(2)
    start = time.process_time()
    env.rollout(STEPS, break_when_any_done=False)
    needs[name] = 1_000 * (time.process_time() - start) / STEPS
    print(f"the simulator that {name}: {needs[name]:.1f} ms of a processor a step")

# %% [markdown]
# The sleeper leaves its core to others for most of its step; who computes does not. Two workers that compute want two
# whole cores, and a learner a third one. What do two of them bring, beside one
# that plays in this process? (The sleepers' number is the synchronous one from above, learning included.)

# %% tags=["look"]
rates = {}
frames = 128 * STEPS
for workers in [1, 2]:
    envs = [partial(acrobots, seed + worker) for worker in range(workers)]
    options = unending | {"frames_per_batch": workers * frames}
    collector = (
        MultiSyncCollector(envs, **options) if workers > 1 else Collector(envs[0], **options)
    )
    stream = iter(collector)
    next(stream)
    start = time.perf_counter()
    for _ in range(4):
        next(stream)
    rates[workers] = 4 * workers * frames / (time.perf_counter() - start)
    collector.shutdown()
print(f"two that sleep:   {asleep['sync'] / asleep['single']:.1f} times one process")
print(f"two that compute: {rates[2] / rates[1]:.1f} times one process")

# %% [markdown]
# The first number is near two where the learner has a core for itself. The second depends even more
# on the machine: on how many of its cores are free while you run it, and on what else (memory, clock,
# the way back to this process) the two have to share. Count the cores before you count workers.
# **What two cores cannot show** is how far that goes; a network between machines is not in these
# numbers either.
#
# ## Other machines  (about 36 min to here) (deeper)
#
# Three more constructions lead to other machines. This is all that changes (`launcher="mp"` starts the
# workers on this machine, to try it; left out, a cluster's Slurm is asked):
#
# ```python
# from torchrl.collectors.distributed import DistributedCollector, RayCollector, RPCCollector
#
# RayCollector(envs, run.player, frames_per_batch=512, update_after_each_batch=True, ...)
# DistributedCollector(envs, run.player, frames_per_batch=512, update_interval=1, launcher="mp", ...)
# RPCCollector(envs, run.player, frames_per_batch=512, update_after_each_batch=True, launcher="mp", ...)
# ```
#
# | collector | workers are | fits |
# |---|---|---|
# | `Collector` | you yourself | playing takes a small part of the time, or one process has to do |
# | `MultiSyncCollector` | processes of this machine | the method needs fresh frames (PPO) |
# | `MultiAsyncCollector` | processes of this machine | the method bears old frames |
# | `RayCollector` | actors of a Ray cluster | several machines; where an actor dies, it raises an error |
# | `DistributedCollector` | processes that talk by `torch.distributed` | several machines, a fixed number |
# | `RPCCollector` | the same, by remote calls of PyTorch's RPC | as before |
#
# None of them replaces a worker that dies. Who wants workers that come and go has to build a new collector each time;
# the script in the last section does.
#
# **Ray** is a program of its own that runs on every machine of a cluster (a *node*). One node, the *head*,
# keeps the list of the others and of what each has to offer. You hand Ray a Python object, here a
# collector; it starts it in a process wherever there is room, calls its methods from afar and brings the
# results. Such an object is called an *actor*; with the network of that name it has nothing to do. What an
# actor asks for (`num_cpus=1`) is a booking, not a limit: where too little is free, it waits. One machine
# alone is a cluster as well, of one node, and that is what this lesson uses.
#
# ### Exercise 12.3: which one fits?  (4 min)
# Write `which_collector(machines, simulate, learn, needs_fresh_frames)`: the name of a class, as a
# string. More than one machine: `RayCollector`. On one: as a rule of thumb `Collector` if playing a
# batch takes no longer than learning from it (one worker beside the learner could bring up to twice
# as many), else one of the two `Multi...` collectors, the synchronous one if the frames have to be
# fresh.
# <details><summary>Hint</summary>Three questions, in the order of the text; each one is an
# <code>if</code> with a <code>return</code>.</details>


# %% tags=["exercise"]
def which_collector(machines, simulate, learn, needs_fresh_frames):
    # your code
    ...


check("12.3", which_collector)


# %% tags=["solution"]
def which_collector(machines, simulate, learn, needs_fresh_frames):
    if machines > 1:
        return "RayCollector"
    if simulate <= learn:
        return "Collector"
    return "MultiSyncCollector" if needs_fresh_frames else "MultiAsyncCollector"


check("12.3", which_collector)

# %% [markdown]
# ## How old is the policy?  (about 44 min to here) (deeper)
#
# While an asynchronous worker plays, the learner goes on. When the batch arrives, the policy that
# played is no longer the one that learns: it is *stale*. The `age` layer tells how many batches the
# learner has moved on since. (TorchRL can count too: `track_policy_version=True` adds a
# `policy_version`, the number of updates that a worker has received.) In a small run with two workers:

# %% tags=["look"]
run = build(seed)
collector = make_collector("async", run, workers=2)
lags, shared, stream = [], [], iter(collector)
for _ in range(32):
    batch = next(stream)
    lag = run.batches - batch["trained_on"]
    lags.append((lag.min().item(), lag.max().item()))
    shared.append(lag.mean().item())
    learn(run, batch)
collector.shutdown()
print("youngest to oldest:", ", ".join(f"{low:.0f}-{high:.0f}" for low, high in lags))

# %% [markdown]
# Each pair is one batch: the age of its youngest and of its oldest frame, in batches. Where the two
# differ, the weights changed *while* it was played: on one machine, workers read the weights from
# memory they share with the learner. With two workers the **lag** is a batch or two; with a hundred it can be
# a hundred, since so many others deliver while one of them plays.
#
# ### Exercise 12.4: too old  (4 min)
# Write `share_too_old(trained_on, batches, limit)`: the share of frames whose weights lag *more* than
# `limit` batches behind a learner that has learned from `batches` batches. `trained_on` has shape
# `[workers, steps, 1]`; return one number.
# <details><summary>Hint</summary>The mean of a boolean tensor, made <code>float</code>, is a
# share.</details>


# %% tags=["exercise"]
def share_too_old(trained_on, batches, limit):
    # your code
    ...


check("12.4", share_too_old)


# %% tags=["solution"]
def share_too_old(trained_on, batches, limit):
    return (batches - trained_on > limit).float().mean()


check("12.4", share_too_old)

# %% [markdown]
# Is that bad? Lesson 08's ratio says how far the learner has come from the player: for each action,
# the probability that the learner gives it over the one that the player gave it. We put one batch aside
# and let the learner go on with others; the ratios of its actions after 0, 2 and 16 of those:


# %%
def ratios(actor, batch):
    log_prob = actor.get_dist(batch).log_prob(batch["action"])
    return (log_prob - batch["action_log_prob"]).exp()


# %% tags=["look"]
run = build(seed)
collector = make_collector("single", run, 1)
stream = iter(collector)
old = next(stream).clone()
figure, panels = plt.subplots(1, 3, figsize=(9, 2.6), sharex=True, sharey=True)
spreads = []
for panel, moved_on in zip(panels, [0, 2, 16], strict=True):
    while run.batches < moved_on:
        learn(run, next(stream))
    with torch.no_grad():
        found = ratios(run.actor, old).flatten()
    panel.hist(found.clamp(max=3), bins=30, range=(0, 3))
    panel.set(title=f"{moved_on} batches later", xlabel="ratio")
    spreads.append(f"{moved_on} batches later from {found.min():.2f} to {found.max():.2f}")
collector.shutdown()
panels[0].set_ylabel("frames")
show_figure(figure, "Ratios of the actions of one batch: " + "; ".join(spreads))

# %% tags=["look"]
print("\n".join(spreads))

# %% [markdown]
# At first all ratios are 1: player and learner agree. Then they spread. A policy gradient that takes
# such frames for its own is biased: actions that it has long given up go on being counted as its
# choice.
#
# ## V-trace, in ten lines  (about 53 min to here) (deeper)
#
# IMPALA (*importance weighted actor-learner architectures*, Espeholt et al., DeepMind, 2018) weighs
# frames with those ratios. In **V-trace** each frame's TD error is weighed with its ratio $\rho_t$, clipped at 1,
# and what comes later counts less, the less likely the way there is under the learner's policy:
#
# $$ v_t = V(s_t) + \delta_t + \gamma\, c_t\, \big(v_{t+1} - V(s_{t+1})\big), \qquad
# \delta_t = \bar\rho_t\, \big(r_t + \gamma V(s_{t+1}) - V(s_t)\big) $$
#
# with $\bar\rho_t = c_t = \min(1, \rho_t)$ (two letters, since their limits may differ). If all ratios are
# 1, these are lesson 04's TD($\lambda$) targets with $\lambda = 1$: all rewards to the end of the
# row, then the critic; if a ratio is 0, the frame teaches neither actor nor critic. The clip keeps
# one lucky frame from shouting down all others. It is not PPO's clip: ratios below 1 stay as they
# are. **That has a price:** the $c_t$ multiply along the way, so where many of them are below 1 a
# target sees only a few steps ahead and leans on the critic, and less is learned from a batch.
#
# ### Exercise 12.5: ratios that cannot shout  (4 min)
# Write `clipped_ratio(log_pi, log_mu, limit)`. `log_pi` is the log-probability under the learner's
# policy, `log_mu` under the one that played; both have the same shape.
# <details><summary>Hint</summary><code>exp</code> of the difference;
# <code>clamp(max=...)</code>.</details>


# %% tags=["exercise"]
def clipped_ratio(log_pi, log_mu, limit):
    # your code
    ...


check("12.5", clipped_ratio)


# %% tags=["solution"]
def clipped_ratio(log_pi, log_mu, limit):
    return (log_pi - log_mu).exp().clamp(max=limit)


check("12.5", clipped_ratio)

# %% [markdown]
# The whole of it, for rows that may hold several episodes (all tensors `[rows, steps]`; `value` and
# `next_value` are the critic's):


# %%
def v_trace(ratio, value, next_value, reward, terminated, done, gamma):
    weight = ratio.clamp(max=1.0)
    delta = weight * (reward + gamma * next_value * ~terminated - value)
    later, targets = torch.zeros_like(value[:, 0]), torch.zeros_like(value)
    for step in reversed(range(value.shape[1])):
        later = delta[:, step] + gamma * weight[:, step] * later * ~done[:, step]
        targets[:, step] = value[:, step] + later
    after = torch.cat([targets[:, 1:], next_value[:, -1:]], 1)  # the target of the next step
    after = torch.where(done, next_value, after)
    return targets, weight * (reward + gamma * after * ~terminated - value)


# %% [markdown]
# The second thing it returns is the actor's advantage,
# $\bar\rho_t\, (r_t + \gamma v_{t+1} - V(s_t))$: the TD error again, with the corrected target of the
# next step. Is it what TorchRL's function says? The old batch from above, and the learner that has
# moved on:

# %% tags=["look"]
kept = old.clone()
with torch.no_grad():
    log_pi = run.actor.get_dist(kept).log_prob(kept["action"])
    values = [run.critic(part.clone())["state_value"] for part in (kept, kept["next"])]
    reward, terminated, done = (kept["next", name] for name in ["reward", "terminated", "done"])
    logs = [log.unsqueeze(-1) for log in (log_pi, kept["action_log_prob"])]
    theirs = vtrace_advantage_estimate(GAMMA, *logs, *values, reward, done, terminated)
    flat = [each.squeeze(-1) for each in (*values, reward, terminated, done)]
    targets, advantage = v_trace(ratios(run.actor, kept), *flat, GAMMA)

# %% tags=["look"]
for name, mine, other in [
    ("advantage", advantage, theirs[0]),
    ("value target", targets, theirs[1]),
]:
    gap = (mine - other.squeeze(-1)).abs().max().item()
    print(f"{name:12}  largest difference {gap:.0e}, largest value {mine.abs().max():.1f}")

# %% [markdown]
# The same, up to rounding. **Beware of a trap:** TorchRL also has a module, `VTrace`, that is used like `GAE`. In the
# release this course is tested with (0.14.1) it asks how likely the actor's *favourite* action is, or a newly drawn
# one, not the one in the batch. So we hand the function both log-probabilities ourselves, as `with_advantages` does.
#
# What does the correction correct? One state, two actions: action 1 pays 1, action 0 pays 0, for ever, with
# $\gamma = 0.9$. The learner takes action 1 in nine cases of ten, so the state is worth $0.9 / (1 - 0.9) = 9$ to
# it. But the frames come from a player that tosses a coin. What does a critic learn from them?

# %%
drawn = torch.randint(0, 2, (256, 32))  # the player's coin
reward, never = drawn.float(), torch.zeros_like(drawn, dtype=torch.bool)


def believed_value(ratio):
    value = torch.zeros(256, 32)
    for _ in range(200):
        targets, _ = v_trace(ratio, value, value, reward, never, never, gamma=0.9)
        value = torch.full_like(value, targets.mean().item())
    return value[0, 0].item()


# %% tags=["look"]
probability = torch.tensor([0.1, 0.9])[drawn]  # of the learner, for the player's actions
print("worth to the player 5, to the learner 9")
print(f"as if the frames were its own: {believed_value(torch.ones(256, 32)):.1f}")
print(f"with V-trace:                  {believed_value(probability / 0.5):.1f}")

# %% [markdown]
# Uncorrected, the critic learns what the state is worth to the *player*. With V-trace it comes near to what it is
# worth to the learner. Not quite: the clip at 1 leaves it between the two. A larger limit would be exact here, and shout
# louder elsewhere. So V-trace corrects what the critic believes (and, in the advantage, how much an action counts).
#
# And for a whole training? One process, but the *player* is always the learner of `lag`
# batches ago, out of 160 in all. Once with V-trace, once without: we write the learner's own log-probabilities into the
# batch, as if the frames were its own.

# %% id="12-stale"
from copy import deepcopy


def snapshot(run):
    return {name: value.clone() for name, value in run.player.state_dict().items()}


def train_stale(seed, lag, corrected, frames=FRAMES):
    run = build(seed)
    player, past = deepcopy(run.player), [snapshot(run)]
    env = make_env(1_000 * seed)
    collector = Collector(env, player, frames_per_batch=batch_frames, **unending)
    for batch in collector:
        if not corrected:
            with torch.no_grad():
                own = run.actor.get_dist(batch).log_prob(batch["action"])
            batch["action_log_prob"] = own
        learn(run, batch)
        past.append(snapshot(run))
        player.load_state_dict(past[max(0, len(past) - 1 - lag)])
        if run.frames >= frames:
            break
    collector.shutdown()
    return run


# %% [markdown]
# The exam is lesson 08's: 100 fresh episodes, played greedily; a mean return of 475 is *solved*.

# %% id="12-exam"
from torchrl.envs import ExplorationType, set_exploration_type


def examine(run, episodes=100):
    envs = make_env(1_000_000_000 + 1_000 * run.seed, copies=episodes)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = envs.rollout(500, run.actor, break_when_all_done=True)
    done = rollout["next", "done"]
    first = done.cumsum(1) - done.int() == 0  # steps of the first episode of each row
    return (rollout["next", "reward"] * first).sum(1).mean().item()


# %% tags=["look"]
stale = load_results("12_scaling_out")["runs"]["staleness"]
figure, axes = plt.subplots(figsize=(7, 3.2))
facts = []
for row, (name, runs) in enumerate(stale.items()):
    scores = [run["test_return"] for run in runs.values()]
    axes.scatter(scores, [row] * len(scores), alpha=0.7)
    solved = sum(score >= 475 for score in scores)
    median = statistics.median(scores)
    facts.append(f"{name}: median {median:.0f}, {solved} of {len(scores)} solved")
axes.axvline(475, color="black", linestyle="--")
axes.set(yticks=range(len(stale)), yticklabels=list(stale), xlabel="mean return of the exam")
axes.margins(y=0.2)
axes.invert_yaxis()
show_figure(figure, "Each dot is a seed. " + "; ".join(facts))

# %% tags=["look"]
print("\n".join(facts))
for lag in [4, 20]:
    with_it, without = stale[f"{lag} old, V-trace"], stale[f"{lag} old, not corrected"]
    both = [key for key in with_it if key in without]
    gain = [with_it[key]["test_return"] - without[key]["test_return"] for key in both]
    error = statistics.stdev(gain) / len(gain) ** 0.5
    print(f"{lag} old: V-trace minus not corrected {statistics.mean(gain):+.0f} ± {error:.0f}")

# %% [markdown]
# (<code>make bench ARGS='--groups staleness'</code> repeats it.) All learned from equally many
# frames. Each gain is the mean of the differences, seed by seed, with its standard error: a
# difference of less than two of those, up or down, is none that these seeds show.
#
# Look at the first row first: with fresh frames the recipe solves the task on nearly every seed, so what is lost further
# down was lost by age. Four batches old, V-trace wins a good part of it back: twice as many seeds are solved, and the
# gain is more than three times its standard error. Twenty batches old it wins nothing that these seeds show; hardly any
# is solved either way. V-trace takes away most of a *bias*, in the critic and in what an action counts. It does not make
# old frames fresh. The states in them are still those of the old player, and where ratios are small, targets see only a
# few steps ahead and such frames teach the actor little. So look at the lag first (fewer workers for a learner, or a
# faster learner, make it smaller); and whether V-trace pays on your own task, only runs can say: many seeds, with it and
# without.
#
# ## IMPALA: actors there, a learner here  (about 67 min to here) (deeper)
#
# All parts are there. **IMPALA** is: many workers (its paper says actors) that play with weights a little old, one
# learner that takes whatever arrives, V-trace in between. Where Ray is installed, the workers are actors of Ray, which
# could as well run on other machines. Without it, `MultiAsyncCollector` takes their place. Nothing but the construction
# changes.

# %%
from course_utils import ask_for_extra

ray_is_here = ask_for_extra("ray", "two processes of this machine play instead")


# %%
def quiet_ray(workers):
    """Start a Ray of this machine alone, with room for so many workers."""
    import os

    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray would report its use to its makers
    # What workers print stays in Ray's own logs; what they raise arrives here.
    options = {"logging_level": "error", "log_to_driver": False, "include_dashboard": False}
    # Room to book, even on fewer cores; and memory for batches on their way.
    room = {"num_cpus": workers, "object_store_memory": 100_000_000}
    ray.init(address="local", _node_ip_address="127.0.0.1", **room, **options)


# %%
def ray_collector(run, workers):
    from torchrl.collectors.distributed import RayCollector

    collector = RayCollector(
        [partial(make_env, 1_000 * run.seed + 100_000_000 * worker) for worker in range(workers)],
        run.player,
        frames_per_batch=batch_frames,
        total_frames=unending["total_frames"],
        collector_kwargs={"auto_register_policy_transforms": False},
        remote_configs={"num_cpus": 1},
        update_after_each_batch=True,
    )
    collector.update_policy_weights_()  # the first ones, for all
    return collector


# %% [markdown]
# `update_after_each_batch` is how the workers get their weights: whoever has delivered a batch
# receives the newest ones before it plays on. (Calling `update_policy_weights_` for *all* after each
# batch would make the learner wait until every one of them has finished its own.)


# %%
def train(run, collector, watch):
    try:
        for batch in collector:
            lag = run.batches - batch["trained_on"].mean().item()
            watch(run.frames, batch, lag)
            learn(run, batch)
            if run.frames >= FRAMES:
                break
    finally:
        collector.shutdown()


# %% tags=["look"]
from course_utils import LivePlot

run, seen, workers = build(seed), [], 2
if ray_is_here:
    quiet_ray(workers)
    collector = ray_collector(run, workers)
else:
    collector = make_collector("async", run, workers)
with LivePlot("frames", "falls per 1,000 steps", total=FRAMES) as live:

    def watch(frames, batch, lag):
        seen.append(lag)
        live.add(frames, falls=1_000 * batch["next", "terminated"].float().mean().item())

    train(run, collector, watch)
if ray_is_here:
    import ray

    ray.shutdown()
score = examine(run)

# %% tags=["look"]
who = type(collector).__name__
verdict = "solved" if score >= 475 else "not solved"
print(f"{who}: {run.frames:,} frames, lag {statistics.mean(seen):.1f} batches in the mean")
print(f"mean return of 100 fresh episodes: {score:.0f}, {verdict}")

# %% [markdown]
# The recipe of the dots above, with frames that others played, a little old. It is one run: with
# another seed, or with the workers at another pace, it can come out quite differently, as the rows of
# the dots with old frames show.
#
# ## How weights travel  (about 71 min to here) (deeper)
#
# What brings new weights to the workers is a part of its own, a *weight sync scheme*
# (`torchrl.weight_update`), and like every part it can be swapped:
#
# | scheme | weights go through | default of |
# |---|---|---|
# | `SharedMemWeightSyncScheme` | memory that all processes see | `MultiSyncCollector`, `MultiAsyncCollector` |
# | `MultiProcessWeightSyncScheme` | a pipe to each worker; it holds a copy | |
# | `RayWeightSyncScheme` | `torch.distributed`, announced by Ray | `RayCollector` |
# | `DistributedWeightSyncScheme`, `RPCWeightSyncScheme` | `torch.distributed` | their collectors |
# | `NoWeightSyncScheme` | nothing: for a policy that never changes | |
#
# In "How old is the policy?" two workers read their weights from shared memory. We swap the first scheme for the
# second: with a `policy_factory` each worker has a copy of its own, as in lesson 05, and we send ours to it every
# eighth batch only. Predict how old the batches will be.

# %%
from torchrl.weight_update import MultiProcessWeightSyncScheme


def lags_of(collector, run, batches, send_every):
    lags = []
    for batch in collector:
        lags.append(run.batches - batch["trained_on"].mean().item())
        learn(run, batch)
        if run.batches % send_every == 0:
            collector.update_policy_weights_(run.player)
        if run.batches == batches:
            break
    collector.shutdown()
    return lags


# %% tags=["look"]
envs = [partial(make_env, seed), partial(make_env, seed + 1)]
options = {"frames_per_batch": batch_frames, **unending}
run = build(seed)
options |= {"weight_sync_schemes": {"policy": MultiProcessWeightSyncScheme()}}
collector = MultiAsyncCollector(envs, policy_factory=lambda: agent().player, **options)
collector.update_policy_weights_(run.player)
copied = lags_of(collector, run, 32, send_every=8)
figure, axes = plt.subplots(figsize=(7, 2.6))
axes.plot(shared, marker=".", label="shared memory")
axes.plot(copied, marker=".", label="copies, sent every 8 batches")
axes.set(xlabel="batches learned from", ylabel="mean lag, in batches", ylim=(0, 12))
figure.legend(loc="outside right upper")
means = f"mean lag: shared {statistics.mean(shared):.1f}, copies {statistics.mean(copied):.1f}"
show_figure(figure, f"Lag over batches. {means}")

# %% tags=["look"]
print(means)

# %% [markdown]
# In shared memory, whatever the learner writes is there for the next step of every worker. Copies stay as they
# are until something is sent, and age meanwhile. But what is sent costs $C$: a policy of a gigabyte to a hundred
# workers is a hundred gigabytes, so large policies are sent rarely. In both cases the weights may change in the
# middle of a batch (not with Ray, as we used it). V-trace does not mind, since each frame carries the log-probability
# it was drawn with.
#
# ### Exercise 12.6: build it: a collector that syncs weights  (20 min)
# All collectors so far were somebody else's. Build one, in your own process, that plays with a *copy* of the policy, as a
# worker does. Write a class that can do this:
#
# | you write | and it |
# |---|---|
# | `SmallCollector(env, policy, frames_per_batch, total_frames)` | makes its own copy of the policy, as it is now |
# | `for batch in collector:` | hands over tensordicts of shape `[rows, steps]` until `total_frames` have been played |
# | `collector.update_policy_weights_(policy)` | takes over *all* weights of the policy it is given |
# | `collector.shutdown()` | closes the environment, once, however often you say so; a loop that is under way ends |
#
# - `env` has `env.numel()` rows that are stepped together, so one step is as many frames. `frames_per_batch` is a multiple
#   of that, and `total_frames` one of `frames_per_batch`.
# - A batch goes on where the last one stopped, in the middle of episodes. A row is reset when *its* episode is over.
# - Each frame holds a whole number, `"version"`, of shape `[rows, steps]` in a batch: how many times
#   weights had been sent when it was played.
# - Only `update_policy_weights_` changes the copy, and nothing changes the learner's network. Nothing
#   is played ahead. (What a second `for` over the same collector does is up to you.)
# - Actions are drawn, as by TorchRL's collectors, and without gradients. Both end before the batch is handed over: the
#   learner needs its gradients.
#
# <details><summary>Hint 1: one step</summary><code>env.step_and_maybe_reset(policy(now))</code> returns two tensordicts: the
# frame, with <code>"next"</code> in it, and the one to go on from, in which rows that were over have begun anew. It starts
# with <code>now = env.reset()</code>. <code>torch.stack(frames, 1)</code> makes a batch of frames.</details>
# <details><summary>Hint 2: the copy</summary><code>copy.deepcopy</code> once; then
# <code>load_state_dict(policy.state_dict())</code>, which copies into the tensors that are there: trained weights, frozen
# ones and buffers.</details>
# <details><summary>Hint 3: the loop</summary>A method <code>__iter__</code> with a <code>yield</code> in it is all that
# <code>for</code> asks for. What stands inside <code>with torch.no_grad():</code> at a <code>yield</code> holds for the
# learner too, so play a batch in a method of its own and yield what it returns.</details>
# <details><summary>Hint 4: drawn, not greedy</summary><code>with
# set_exploration_type(ExplorationType.RANDOM):</code></details>


# %% tags=["exercise"]
class SmallCollector:
    def __init__(self, env, policy, frames_per_batch, total_frames): ...  # your code

    def __iter__(self): ...  # your code

    def update_policy_weights_(self, policy): ...  # your code

    def shutdown(self): ...  # your code


check("12.6", SmallCollector)

# %% tags=["solution"]
import copy

from torchrl.envs import ExplorationType, set_exploration_type


class Player:
    """Plays with weights of its own, and goes on where it stopped."""

    def __init__(self, env, policy):
        self.env, self.policy, self.now = env, copy.deepcopy(policy), env.reset()

    def play(self, steps, version):
        frames = []
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            for _ in range(steps):
                frame, self.now = self.env.step_and_maybe_reset(self.policy(self.now))
                frames.append(frame.set("version", torch.full(frame.shape, version)))
        return torch.stack(frames, 1)


# %% tags=["solution"]
class SmallCollector:
    def __init__(self, env, policy, frames_per_batch, total_frames):
        self.player = Player(env, policy)
        self.steps = frames_per_batch // env.numel()
        self.batches = total_frames // frames_per_batch
        self.version, self.closed = 0, False

    def __iter__(self):
        for _ in range(self.batches):
            if self.closed:
                return
            yield self.player.play(self.steps, self.version)

    def update_policy_weights_(self, policy):
        self.player.policy.load_state_dict(policy.state_dict())
        self.version += 1

    def shutdown(self):
        if not self.closed:
            self.player.env.close()
        self.closed = True


check("12.6", SmallCollector)

# %% [markdown]
# Yours fits wherever this lesson has a collector. In a cell of your own, let it take the place of the copies above, and
# predict the ages that come out:
#
# ```python
# run = build(seed)
# mine = SmallCollector(make_env(seed), run.player, batch_frames, 32 * batch_frames)
# lags_of(mine, run, 32, send_every=8)
# ```
#
# (0 to 7, four times over: a copy ages by one with each batch that is learned from, until it is sent anew. Nobody plays
# beside the learner here, so no batch is under way when weights arrive.)
#
# ## To a real cluster  (about 93 min to here) (deeper)
#
# `examples/cluster/` in the course's repository holds this lesson as one script, `train.py`, with checkpoints
# as in lesson 07. Its `make_collector` knows all six collectors, and nothing else does:
#
# ```bash
# python train.py --collector async --workers 8
# python train.py --collector ray --workers 64 --resource simulator --checkpoint /shared/run.pt
# ```
#
# A Ray cluster is a head and any number of nodes that were told its address. `--resource simulator` keeps
# the actors off the head: they go where a node offers that word.
#
# ```bash
# ray start --head --port=6379                                          # on the head
# ray start --address=HEAD:6379 --resources='{"simulator": 16}'         # on every other node
# ray job submit --working-dir examples/cluster -- python train.py ...  # on the head
# ```
#
# Its `README.md` has the whole of it, down to a `cluster.yaml` that makes Ray start and stop the nodes
# itself, and two nodes on one machine to try it on.
#
# With hundreds of nodes, some of them die: that is a Tuesday, not an accident. What happens then?
#
# | what is lost | what the script does |
# |---|---|
# | an actor, or a node | says so, saves, builds new workers where there is room, goes on |
# | all the room there was | says so, saves, stops; the same command goes on from there |
# | a worker that stands still | waits for `--patience` seconds, says so, saves, stops |
# | the learner itself | nothing more; the checkpoint of at most ten batches ago is whole, if its folder is |
#
# In the first three rows the batches on their way are lost, others are played in their place, and nothing that was
# *learned* is lost. In the last one up to ten batches of learning are (`--save-every`). It can be that simple because
# all that cannot be replaced (weights, optimiser, counters) is in one place, the learner. Workers hold nothing of value.
#
# ## What you can do now
# You can say from three times how many workers pay, build the same collector for one process, for many or for a
# cluster, tell how old the frames are that arrive, what V-trace corrects in them, and what is lost when a node dies.
#
# **Try next:** give one of two workers a simulator ten times as slow, and predict what becomes of the synchronous
# and of the asynchronous collector. Or set `workers = 6` in the IMPALA run: what happens to the lag, and what to the
# frames per second?
#
# Next: [{{next title}}]({{next file}}).
