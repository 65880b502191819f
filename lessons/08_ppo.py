# ---
# jupyter:
#   course:
#     title: "PPO: the same parts, another loss"
#     objectives:
#       - turn DQN into PPO by swapping its loss, its data and its actor, and solve two tasks with one loop
#       - write REINFORCE in under thirty lines, and see how noisy its gradient is
#       - write the clipped objective, and say what it stops and what it lets through
#       - read clip fraction, KL and entropy as instruments, and tell by them when a step is too large
#     prerequisites: lessons 01 to 07 (GAE and the policy gradient are from lesson 04, the judge from 07)
#     minutes: {reading: 60, exercises: 36, short: 35}
# ---

# %% [markdown]
# ## What if we learn the policy itself?  (about 1 min to here)
#
# DQN learns what each action is worth, and takes the best one. That needs a list of actions, and a
# pendulum has none: a torque is any number from -2 to 2. This lesson learns the *policy* itself, the
# probability of each action, and solves both: a cart pushed left or right, a pendulum swung up.
#
# An algorithm is a loss plus parts that can be swapped:
#
# | part | DQN, lesson 07 | PPO, this lesson |
# |---|---|---|
# | what is learned | values of actions | probabilities of actions (actor), values of states (critic) |
# | loss | `DQNLoss` | `ClipPPOLoss` |
# | what the loss reads | a transition | also the `advantage`, from `GAE` |
# | exploration | $\varepsilon$-greedy, added from outside | the actor draws its actions |
# | data | a replay buffer, old frames too | the newest batch only, then thrown away |
# | target network | yes | none |
#
# The deepest change is the data. A policy gradient is a mean over actions *as the present policy
# draws them*. Frames are of no use once the policy has moved far (how far, PPO watches): PPO is
# **on-policy**, DQN off-policy.
#
# As always the rules first, written down before any run:
#
# > **Solved** = over 100 fresh episodes of the unmodified Gymnasium environment, acting greedily:
# > a mean return of at least 475 on `CartPole-v1`, and of at least -200 on `Pendulum-v1`.
#
# (Greedily: actions are drawn to find out, and the exam asks for the best guess. On Pendulum each step
# costs more the further the pole is from upright; hanging still for 200 steps costs almost 2,000.)

# %% tags=["parameters"]
seed = 0

# %%
import torch
from course_utils import choose_device, seed_everything

device = choose_device()
seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more, and lose on a busy machine

# %% [markdown]
# The judge is lesson 07's, for any task: many copies side by side, and only the first episode of
# each row counts. `CartPole-v1` is cut after 500 steps, `Pendulum-v1` after 200.

# %%
import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import ExplorationType, GymWrapper, set_exploration_type


def make_envs(task, count, seed):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec(task, count, "sync", vector_kwargs=autoreset)
    envs = GymWrapper(copies, categorical_action_encoding=True, device=device)
    envs.set_seed(seed)
    return envs


def first_episode(done):
    return done.cumsum(1) - done.int() == 0


def evaluate(task, policy, episodes, seed):
    envs = make_envs(task, episodes, seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = envs.rollout(500, policy, break_when_all_done=True)
    counts = first_episode(rollout["next", "done"])
    return (rollout["next", "reward"] * counts).sum(1).squeeze(-1)


# %% tags=["look"]
for task in ["CartPole-v1", "Pendulum-v1"]:
    print(task, "random play, mean of 16:", round(evaluate(task, None, 16, seed).mean().item()))

# %% [markdown]
# ## REINFORCE, in under thirty lines  (about 4 min to here)
#
# The actor for CartPole is the one of lesson 04: a network gives a score (*logit*) per action, and
# `ProbabilisticActor` draws from the distribution that follows from them.

# %%
from tensordict.nn import TensorDictModule
from torchrl.modules import MLP, ProbabilisticActor


def network(inputs, outputs):
    cells, activation = [64, 64], torch.nn.Tanh
    return MLP(inputs, outputs, num_cells=cells, activation_class=activation, device=device)


def cartpole_actor():
    return ProbabilisticActor(
        TensorDictModule(network(4, 2), in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )


# %% [markdown]
# The oldest policy-gradient method, **REINFORCE** (Williams, 1992), plays whole episodes and makes
# each action more likely in proportion to what followed it:
#
# $$ L = -\frac{1}{n} \sum_t \log \pi(a_t \mid s_t)\; G_t, \qquad
# G_t = r_t + \gamma\, r_{t+1} + \gamma^2\, r_{t+2} + \dots $$
#
# Rows of several copies hold several episodes one after the other, so the sum must not run on.
#
# ### Exercise 8.1: returns that stop at the end  (5 min)
# Write `returns_to_go(reward, done, gamma)`. Both tensors have shape `[copies, time]`, `done` is
# boolean. Return the same shape: the discounted return from every step to the end *of its own
# episode*. (Where a row stops in the middle of one, sum what is there. A last dimension of size 1, which
# real batches have, is left out.)
# <details><summary>Hint</summary>Go backwards over time, all copies at once. What is carried over
# from the step after, if this step is <code>done</code>?</details>

# %% tags=["exercise"]
from course_utils import check


def returns_to_go(reward, done, gamma):
    # your code
    ...


check("8.1", returns_to_go)


# %% tags=["solution"]
def returns_to_go(reward, done, gamma):
    returns, following = torch.zeros_like(reward), torch.zeros_like(reward[:, 0])
    for step in reversed(range(reward.shape[1])):
        following = reward[:, step] + gamma * following * ~done[:, step]
        returns[:, step] = following
    return returns


check("8.1", returns_to_go)


# %% [markdown]
# `play` marks the first episode of each copy (`counts`) and adds its returns (`to_go`). It sets all
# rewards after that episode to 0, so its sum cannot run on into another one. (It does not call your
# `returns_to_go`: the lesson runs without it.) The whole of REINFORCE:


# %%
def play(envs, actor, gamma):
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        rollout = envs.rollout(500, actor, break_when_all_done=True)
    counts = first_episode(rollout["next", "done"])
    reward, following = rollout["next", "reward"] * counts, 0.0
    to_go = torch.zeros_like(reward)
    for step in reversed(range(reward.shape[1])):
        following = reward[:, step] + gamma * following
        to_go[:, step] = following
    return rollout.set("to_go", to_go).set("counts", counts)


# %% id="08-reinforce"
def policy_loss(actor, frames, weight):
    log_prob = actor.get_dist(frames).log_prob(frames["action"])
    return -(log_prob * weight).mean()


def reinforce(seed, updates, watch):
    torch.manual_seed(seed)
    actor = cartpole_actor()
    envs = make_envs("CartPole-v1", 8, 100_000 * seed)
    optimiser = torch.optim.Adam(actor.parameters(), lr=1e-2)
    for update in range(updates):
        episodes = play(envs, actor, gamma=0.98)
        frames = episodes[episodes["counts"].squeeze(-1)]
        loss = policy_loss(actor, frames, frames["to_go"].squeeze(-1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        watch(update, len(frames) / 8)


# %% [markdown]
# Three runs that differ in nothing but the seed. (A step is worth 1, so the mean return of the
# eight episodes is their mean length.) Before you run it: how alike will the curves be?

# %% tags=["look"]
from course_utils import LivePlot

with LivePlot(x_label="updates", y_label="mean return of 8 episodes", threshold=475) as live:
    for number in range(3):
        name = f"seed {seed + number}"
        reinforce(seed + number, 24, lambda x, y, name=name: live.add(x, **{name: y}))
for name in live.series:
    _, returns = live.curve(name)
    print(f"{name}: best {max(returns):.0f}, last {returns[-1]:.0f}")

# %% [markdown]
# It learns, with nothing but a policy and its log-probabilities. But the curves go their own ways,
# with steps back, and every update throws eight whole episodes away.
#
# ## How noisy is the direction?  (about 17 min to here) (deeper)
#
# An update is a step along a gradient that was *estimated* from a few episodes. Let one fresh actor play
# 512 of them, and compute one gradient from each small group: how well does it agree with that of all
# 512? The cosine between the two is 1 for the same direction, 0 for no relation.
#
# Each step is weighed with its return, or with its return minus the mean of all returns ("better
# than usual" instead of "good"). Which of the two will agree better?


# %%
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()


def gradient(actor, frames, weight):
    gradients = torch.autograd.grad(policy_loss(actor, frames, weight), list(actor.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


# %% tags=["look"]
torch.manual_seed(seed)
fresh = cartpole_actor()
episodes = play(make_envs("CartPole-v1", 512, seed), fresh, gamma=0.98)
counts = episodes["counts"].squeeze(-1)
episodes["better"] = episodes["to_go"] - episodes[counts]["to_go"].mean()


def direction(rows, key):
    frames = rows[rows["counts"].squeeze(-1)]
    return gradient(fresh, frames, frames[key].squeeze(-1))


def agreement(size, key):
    whole = direction(episodes, "better")
    groups = [direction(group, key) for group in episodes.split(size)[:32]]
    return [torch.cosine_similarity(one, whole, dim=0).item() for one in groups]


# %% tags=["look"]
sizes = [1, 2, 4, 8, 16, 32]
weights = {"return": "to_go", "return - mean": "better"}
cosines, means, found = {}, {}, []
for name, key in weights.items():
    cosines[name] = [agreement(size, key) for size in sizes]
    means[name] = [sum(group) / len(group) for group in cosines[name]]
    away = sum(value < 0 for value in cosines[name][0])
    by_size = [f"{mean:.2f} for {size}" for size, mean in zip(sizes, means[name], strict=True)]
    found.append(f"{name}: {away} of 32 single episodes point away; mean {', '.join(by_size)}")
    print(found[-1])

# %% tags=["look"]
figure, axes = plt.subplots()
for shift, name in enumerate(weights):
    places = [place + 0.25 * shift for place in range(len(sizes))]
    for x, values in zip(places, cosines[name], strict=True):
        axes.plot([x] * len(values), values, "o", color=f"C{shift}", ms=4, alpha=0.4)
    axes.plot(places, means[name], color=f"C{shift}", label=name)
axes.set(xticks=range(6), xticklabels=sizes, xlabel="episodes in a group", ylabel="cosine")
figure.legend(loc="outside upper center", ncols=2)
show_figure(figure, "Agreement with the gradient of all episodes. " + "; ".join(found))

# %% [markdown]
# Each dot is one possible update, the lines are means. Single episodes are scattered widely; by the
# estimate of all 512, even a small step along a dot below 0 would make the policy worse. More
# episodes help. Subtracting the mean helps most in small and middle groups; with 32 episodes hardly
# any more. On average over many episodes it changes nothing, because probabilities add up to 1: what
# a constant adds to one action it takes from the others. It only makes the estimate less noisy. (The
# mean is that of all 512; with a group's own the line is the same from 8 episodes on. A group is a
# part of the whole, which flatters large ones.)
#
# A **critic** goes further: it says what is usual *in this state*. Actor and critic together are an
# *actor-critic*, and the difference is the advantage, which `GAE` computes (lesson 04).
#
# ## Several steps from one batch, safely  (about 27 min to here)
#
# One batch, one step, then all of it thrown away: that is wasteful. But after the first step the
# policy is no longer the one that drew the actions. **PPO** (*proximal policy optimisation*,
# Schulman et al., 2017) keeps count of that with the *ratio*
#
# $$ \rho = \frac{\pi_\text{new}(a \mid s)}{\pi_\text{old}(a \mid s)}, \qquad
# L = -\,\text{mean}\,\min\big(\rho\, A,\ \text{clip}(\rho,\, 1 - \epsilon,\, 1 + \epsilon)\, A\big) $$
#
# The old probability was noted when the action was drawn: `action_log_prob`. As a function of the
# ratio, for one action with a good advantage and one with a bad one:

# %% tags=["look"]
ratio = torch.linspace(0.0, 2.0, 201)
figure, panels = plt.subplots(1, 2, figsize=(8, 3))
for panel, advantage in zip(panels, [1.0, -1.0], strict=True):
    objective = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    panel.plot(ratio, ratio * advantage, ":", color="0.5", label="unclipped")
    panel.plot(ratio, objective, label="clipped")
    panel.plot([1.0], [advantage], "ko", ms=5)
    panel.set(xlabel="new probability / old", title=f"advantage {advantage:+.0f}")
panels[0].set_ylabel("objective (larger is better)")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
show_figure(
    figure,
    "Objective over the ratio. Advantage +1: rises to 1.2 and is flat from there. Advantage -1: "
    "flat at -0.8 below a ratio of 0.8, then falls without end.",
)

# %% [markdown]
# The first update of a batch starts at the dot, the later ones wherever the earlier ones left the ratio.
# Where the curve is flat there is no gradient: a good action is not pushed further once it is 20 % more
# likely, a bad one not once it is 20 % less likely. Look at the other sides: a step in the *wrong*
# direction is never cut off, so it can always be undone.
#
# ### Exercise 8.2: the clipped objective  (4 min)
# Write `clipped_loss(log_prob, old_log_prob, advantage, eps)`, the loss to be minimised. All
# three tensors have shape `[batch]`; return one number, as a tensor: `backward` will be called on it, and
# the gradient has to reach `log_prob`.
# <details><summary>Hint</summary>The ratio of two probabilities is <code>exp</code> of the
# difference of their logarithms. <code>torch.min(a, b)</code> takes the smaller one, entry by
# entry.</details>


# %% tags=["exercise"]
def clipped_loss(log_prob, old_log_prob, advantage, eps):
    # your code
    ...


check("8.2", clipped_loss)


# %% tags=["solution"]
def clipped_loss(log_prob, old_log_prob, advantage, eps):
    ratio = (log_prob - old_log_prob).exp()
    clipped = ratio.clamp(1 - eps, 1 + eps)
    return -torch.min(ratio * advantage, clipped * advantage).mean()


check("8.2", clipped_loss)

# %% [markdown]
# Now the parts together. `GAE` takes the critic and writes `advantage` and `value_target` into a batch.
# `ClipPPOLoss` takes both and gives three losses to be summed: the clipped objective, half the critic's
# squared error (`"l2"`), and one for the entropy, switched off here (it comes later). Each number that
# the two tasks do not share is a setting.

# %%
from dataclasses import dataclass
from types import SimpleNamespace

from torchrl.modules import ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE


@dataclass(frozen=True)
class Settings:
    envs: int  # copies side by side
    steps: int  # steps of each copy in a batch
    minibatch: int  # frames in one update
    learning_rate: float  # at the start; it falls in a straight line, to a tenth in the last batch
    gamma: float
    lmbda: float
    reward_scale: float = 1.0  # multiplies the rewards that the loss sees
    batches: int = 20
    epochs: int = 8  # how often all frames of a batch are used
    clip: float = 0.2


# %%
def build(actor, inputs, settings, seed):
    run = SimpleNamespace(actor=actor, settings=settings, seed=seed)
    critic = ValueOperator(network(inputs, 1), in_keys=["observation"])
    run.advantages = GAE(gamma=settings.gamma, lmbda=settings.lmbda, value_network=critic)
    run.loss = ClipPPOLoss(
        actor,
        critic,
        clip_epsilon=settings.clip,
        entropy_coeff=0.0,
        critic_coeff=0.5,
        loss_critic_type="l2",
        normalize_advantage=True,
    )
    run.optimiser = torch.optim.Adam(run.loss.parameters(), settings.learning_rate, fused=True)
    run.schedule = torch.optim.lr_scheduler.LinearLR(
        run.optimiser, start_factor=1.0, end_factor=0.05, total_iters=settings.batches
    )
    return run


# %% [markdown]
# `normalize_advantage` gives the advantages of a minibatch the mean 0 and the spread 1, so that one
# step size suits any scale of rewards. Learning is then two loops: several *epochs*, in each of which all
# frames are shuffled and cut into *minibatches*. (`clip_grad_norm_` is another clipping: it shortens a
# gradient longer than 1, against wild minibatches.) What is returned are the readings of the last epoch.


# %%
def learn(run, batch):
    batch = batch.copy()  # whoever watches sees the rewards as they were played
    batch["next", "reward"] = run.settings.reward_scale * batch["next", "reward"]
    with torch.no_grad():
        run.advantages(batch)
    frames, readings = batch.reshape(-1), []
    for _ in range(run.settings.epochs):
        shuffled = frames[torch.randperm(len(frames), device=device)]
        for part in shuffled.split(run.settings.minibatch):
            losses = run.loss(part)
            total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
            run.optimiser.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(run.loss.parameters(), max_norm=1.0)
            run.optimiser.step()
            readings.append(losses.select("clip_fraction", "kl_approx", "entropy").detach())
    run.schedule.step()
    last_epoch = torch.stack(readings[-len(readings) // run.settings.epochs :])
    return {name: reading.mean().item() for name, reading in last_epoch.items()}


# %% [markdown]
# And training is one. What plays does not matter here, as long as it hands over batches of shape
# `[copies, steps]`.


# %%
def train(run, batches, watch):
    for number, batch in enumerate(batches, start=1):
        watch(number, batch, learn(run, batch))


# %% [markdown]
# For CartPole a `Collector` plays 32 copies in one vector, 64 steps each, and then goes on where it
# stopped. Where a row ends without a fall, or the clock ends an episode, `GAE` bootstraps: it adds what
# the critic thinks the last state is worth. With $\gamma = 0.98$ an agent looks about 50 steps ahead.


# %%
from torchrl.collectors import Collector

cartpole = Settings(envs=32, steps=64, minibatch=256, learning_rate=5e-3, gamma=0.98, lmbda=0.9)


def cartpole_batches(run):
    frames = run.settings.envs * run.settings.steps
    collector = Collector(
        make_envs("CartPole-v1", run.settings.envs, 100_000 * run.seed),
        run.actor,
        frames_per_batch=frames,
        total_frames=frames * run.settings.batches,
        auto_register_policy_transforms=False,
        track_traj_ids=False,
    )
    yield from collector
    collector.shutdown()


# %% id="08-cartpole"
def train_cartpole(settings, seed, watch):
    torch.manual_seed(seed)
    run = build(cartpole_actor(), 4, settings, seed)
    train(run, cartpole_batches(run), watch)
    return run


# %% [markdown]
# We watch what the agent does while it explores: on how many of a thousand steps a pole fell. A
# perfect agent has none.


# %%
def falls(batch):
    return 1_000 * batch["next", "terminated"].float().mean().item()


# %% tags=["look"]
with LivePlot("batches", "falls per 1,000 steps", total=cartpole.batches) as live:
    run = train_cartpole(
        cartpole, seed, lambda number, batch, readings: live.add(number, falls=falls(batch))
    )

# %% tags=["look"]
cartpole_returns = evaluate("CartPole-v1", run.actor, 100, 1_000_000_000 + 1_000 * seed)
solved = "solved" if cartpole_returns.mean() >= 475 else "not solved"
played = cartpole.envs * cartpole.steps * cartpole.batches
print(f"{played:,} frames. Mean of 100 fresh episodes: {cartpole_returns.mean():.1f}, {solved}")

# %% [markdown]
# No validation, no best weights kept: the number of batches was fixed beforehand, and the *last*
# weights sat the exam. (The step size falls to a tenth, so the last steps are small ones.)
#
# ## Read the instruments  (about 43 min to here)
#
# The value of a policy-gradient loss says nothing about progress. PPO has better instruments, and
# `ClipPPOLoss` hands them over with every loss:
#
# | entry | what it measures | healthy, roughly | alarm |
# |---|---|---|---|
# | `clip_fraction` | share of frames whose ratio has left $1 \pm \epsilon$ | 0.02 to 0.3 | 0, or far above |
# | `kl_approx` | distance of new and old policy, in the mean | below about 0.03 | it jumps |
# | `entropy` | how undecided the policy is | falls slowly | at once near 0 |
#
# A coin has an entropy of $\ln 2 \approx 0.69$, certainty one of 0. The distance is the
# **KL divergence** of the two policies, here the mean of $\log \pi_\text{old} - \log \pi_\text{new}$
# over the actions taken. Three runs of 10 batches differ in the learning rate alone: one is far too
# small, one is that of above, one far too large. (It falls on the way as above, in half as many
# batches.) Predict the first reading of the three instruments for each run.

# %% id="08-instruments"
from dataclasses import replace

rates = {"too small": 1e-5, "as above": cartpole.learning_rate, "too large": 1.0}


def instruments(rate, seed):
    noted = []

    def watch(number, batch, readings):
        noted.append(readings | {"falls per 1,000 steps": falls(batch)})

    train_cartpole(replace(cartpole, learning_rate=rate, batches=10), seed, watch)
    return noted


# %% tags=["look"]
logs = {name: instruments(rate, seed) for name, rate in rates.items()}

# %% tags=["look"]
figure, panels = plt.subplots(1, 4, figsize=(11, 3))
for panel, name in zip(panels, logs["as above"][0], strict=True):
    for label, noted in logs.items():
        panel.plot(range(1, 11), [readings[name] for readings in noted], label=label, marker=".")
    panel.set(title=name, xlabel="batch")
panels[1].set_yscale("symlog", linthresh=0.01)
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
after_one = []
for label, noted in logs.items():
    clipped, distance, undecided = (
        noted[0][name] for name in ["clip_fraction", "kl_approx", "entropy"]
    )
    after_one.append(
        f"{label}: clip fraction {clipped:.2f}, KL {distance:.3f}, entropy {undecided:.2f}"
    )
show_figure(figure, "Readings of each batch. After the first batch: " + "; ".join(after_one))

# %% tags=["look"]
print("After the first batch\n  " + "\n  ".join(after_one))
for label, noted in logs.items():
    print(f"{label}: {noted[-1]['falls per 1,000 steps']:.0f} falls per 1,000 steps at the end")

# %% [markdown]
# The first three panels know after *one* batch what the falls show only later (those of the first
# batch were counted before anything was learned). Too small: nothing is clipped, both actions stay as
# likely as each other, and a KL of 0.001 is the noise of the sample. Too large: the policy is so far
# from the old one that the loss says nothing of it any more (clip fraction, KL), and is certain of
# itself (entropy near 0): it draws the same action every time, and cannot find out about the other.
# That alone is not yet death: while the new policy differs from the one that played, later steps of
# this batch still have a gradient and can bring it back. Where a whole batch was drawn from a policy
# that is certain, none is left. Read the three together:
#
# | entropy | clip fraction and KL | what it is |
# |---|---|---|
# | falls slowly | small, not 0 | healthy |
# | as at the start | both about 0 | the step is too small |
# | near 0 | jump | the step is too large; not dead yet |
# | 0 | both 0 | dead: always the same action, and nothing moves it |
#
# You have met a dead run before: in the `FaultLab` of lesson 06 it is run D, *dead ReLUs*. There it is the first layer
# that lets nothing through, and the value is the same in every state: `check/spread` is 0 from its first point to its
# last. Its `train/gradient_norm` is not 0, because the biases of the layers behind it still learn what a state is worth in
# the mean. So ask of each algorithm for the number that *must* move: here the entropy with clip fraction and KL, there
# the spread of the values.
#
# And the clipping? It takes the *incentive* to go further away; it does not forbid it. One step
# that is too long goes far beyond the limits.
#
# What to do then: a smaller learning rate, fewer epochs, larger minibatches, or an entropy bonus
# (`entropy_coeff` above 0, which pays for staying undecided). The losses tell of the critic as well:
# `explained_variance` is 1 if it hits every target, 0 if it could as well say their mean. If it stays
# low, a `lmbda` nearer to 1 leans on it less.
#
# ### Exercise 8.3: the clip fraction  (3 min)
# Write `clip_fraction(log_prob, old_log_prob, eps)`: the share of frames whose ratio lies outside
# $1 \pm \epsilon$, one number.
# <details><summary>Hint</summary>The mean of a boolean tensor, made <code>float</code>, is a
# share.</details>


# %% tags=["exercise"]
def clip_fraction(log_prob, old_log_prob, eps):
    # your code
    ...


check("8.3", clip_fraction)


# %% tags=["solution"]
def clip_fraction(log_prob, old_log_prob, eps):
    ratio = (log_prob - old_log_prob).exp()
    return ((ratio - 1).abs() > eps).float().mean()


check("8.3", clip_fraction)

# %% [markdown]
# ### Exercise 8.4: a KL that is never negative  (4 min)
# A KL divergence cannot be negative, but the mean of $\log \pi_\text{old} - \log \pi_\text{new}$
# over a sample can. With the ratio $\rho$, the mean of $(\rho - 1) - \log \rho$ estimates the same
# number, never falls below 0 and, for small steps, scatters less (Schulman, 2020). Write
# `kl_estimate(log_prob, old_log_prob)`.
# <details><summary>Hint</summary>$\log \rho$ is the difference of the two log-probabilities; mind
# which one is the new one.</details>


# %% tags=["exercise"]
def kl_estimate(log_prob, old_log_prob):
    # your code
    ...


check("8.4", kl_estimate)


# %% tags=["solution"]
def kl_estimate(log_prob, old_log_prob):
    log_ratio = log_prob - old_log_prob
    return (log_ratio.exp() - 1 - log_ratio).mean()


check("8.4", kl_estimate)

# %% [markdown]
# ## Swap the task  (about 61 min to here) (deeper)
#
# For the pendulum we keep `build`, `learn` and `train` to the letter. Three parts change, and the numbers
# in `Settings`. The **actor** gives a bell curve instead of two scores: centre and width from
# `NormalParamExtractor`, pressed into the limits by `TanhNormal` (lesson 03).

# %%
from tensordict.nn import NormalParamExtractor
from torchrl.modules import TanhNormal


def pendulum_actor():
    body = torch.nn.Sequential(network(3, 2), NormalParamExtractor())
    return ProbabilisticActor(
        TensorDictModule(body, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=TanhNormal,
        distribution_kwargs={"low": -2.0, "high": 2.0},
        return_log_prob=True,
    )


# %% [markdown]
# ### Exercise 8.5: how likely was this torque?  (5 min)
# An action is made in two steps: $u$ is drawn from a normal distribution with `loc` and `scale`, and
# the torque is $a = m \tanh u$ with the largest torque $m$ = `limit`. Bending squeezes the line, so
# the density of $a$ is that of $u$ divided by the slope $\frac{da}{du} = m\,(1 - \tanh^2 u)$. Write
# `log_prob_of_torque(action, loc, scale, limit)`; all tensors have the same shape, `limit` is a
# number.
# <details><summary>Hint</summary>First find <em>u</em> again: <code>torch.atanh</code>. Then
# <code>torch.distributions.Normal(loc, scale).log_prob(u)</code>; a division becomes a difference of
# logarithms.</details>


# %% tags=["exercise"]
def log_prob_of_torque(action, loc, scale, limit):
    # your code
    ...


check("8.5", log_prob_of_torque)


# %% tags=["solution"]
def log_prob_of_torque(action, loc, scale, limit):
    bent = action / limit
    log_prob_of_u = torch.distributions.Normal(loc, scale).log_prob(torch.atanh(bent))
    return log_prob_of_u - torch.log(limit * (1 - bent**2))


check("8.5", log_prob_of_torque)

# %% [markdown]
# The **environment** is TorchRL's own `PendulumEnv`, a world written in PyTorch that steps any number
# of pendulums in one go. It tells angle and speed (`th`, `thdot`); Gymnasium shows cosine, sine and
# speed. The judge plays Gymnasium's, so a `Transform` writes that observation. A transform that adds
# an entry to the observations needs three methods (one that changes a reward needs `_step` alone, as
# in lesson 06): `_call` adds the entry to what a step returns, `_reset` does the same for the first
# state of an episode, and `transform_observation_spec` announces it, so that specs and data agree.

# %%
from torchrl.data import Unbounded
from torchrl.envs import PendulumEnv, Transform, TransformedEnv


class AsGymnasium(Transform):
    def _call(self, next_tensordict):
        angle, speed = next_tensordict["th"], next_tensordict["thdot"]
        return next_tensordict.set(
            "observation", torch.stack([angle.cos(), angle.sin(), speed], -1)
        )

    def _reset(self, tensordict, tensordict_reset):
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec):
        observation_spec["observation"] = Unbounded((3,), device=observation_spec.device)
        return observation_spec


native = TransformedEnv(PendulumEnv(device=device), AsGymnasium())

# %% [markdown]
# We train in one world and are judged in another. Are they the same? Five hundred random states and
# torques, one step in each of the two. (`gen_params` holds the constants of the world, once for each
# pendulum; `set_state=False` asks for a random start.)

# %% tags=["look"]
states = native.reset(native.gen_params(batch_size=[500], device=device), set_state=False)
states["thdot"].uniform_(-8, 8)  # all speeds there are: a start has -1 to 1 only
stepped = native.step(native.rand_action(states)).cpu()
judge = gym.make("Pendulum-v1").unwrapped
judge.reset(seed=0)
gaps = []
for row in stepped:
    judge.state = torch.stack([row["th"], row["thdot"]]).double().numpy()
    observation, reward, *_ = judge.step(row["action"].numpy())
    gaps.append((torch.as_tensor(observation) - row["next", "observation"]).abs().max().item())
    gaps.append(abs(float(reward) - row["next", "reward"].item()))
print(f"largest difference of an observation or a reward: {max(gaps):.1e}")

# %% [markdown]
# The same up to rounding, and the native one is stepped 32 at a time. So the third part that changes is
# the **collector**: each time a rollout of 200 steps, from the fresh starts it is given
# (`auto_reset=False`).

# %%
pendulum = Settings(
    envs=32, steps=200, minibatch=800, learning_rate=3e-3, gamma=0.95, lmbda=0.95, reward_scale=0.1
)


def pendulum_batches(run):
    native.set_seed(run.seed)
    for _ in range(run.settings.batches):
        params = native.gen_params(batch_size=[run.settings.envs], device=device)
        start = native.reset(params, set_state=False)
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            batch = native.rollout(
                run.settings.steps, run.actor, auto_reset=False, tensordict=start
            )
        yield batch


# %% id="08-pendulum"
def train_pendulum(settings, seed, watch):
    torch.manual_seed(seed)
    run = build(pendulum_actor(), 3, settings, seed)
    train(run, pendulum_batches(run), watch)
    return run


# %% [markdown]
# Gymnasium stops a pendulum after 200 steps (*truncated*), our rollout just stops there. Either way the
# pendulum would swing on: nothing is `terminated`, and `GAE` bootstraps. (`reward_scale` brings rewards
# of down to -16 a step to a size that a critic with fresh weights can reach. $\gamma$ is 0.95, some 20
# steps ahead.)

# %% tags=["look"]
log, live = [], LivePlot("batches", "mean return", threshold=-200, total=pendulum.batches)


def note(number, batch, readings):
    log.append(readings | {"return": batch["next", "reward"].sum(1).mean().item()})
    live.add(number, exploring=log[-1]["return"])


with live:
    run = train_pendulum(pendulum, seed, note)

# %% tags=["look"]
pendulum_returns = evaluate("Pendulum-v1", run.actor, 100, 1_000_000_000 + 1_000 * seed)
solved = "solved" if pendulum_returns.mean() >= -200 else "not solved"
played = pendulum.envs * pendulum.steps * pendulum.batches
print(f"{played:,} frames. Mean of 100 fresh episodes: {pendulum_returns.mean():.1f}, {solved}")

# %% tags=["look"]
from course_utils import record_episode, show_video

show_video(record_episode("Pendulum-v1", run.actor, seed=4), "Pendulum after training")

# %% [markdown]
# Now its instruments. The entropy is that of a *density*, estimated from drawn torques (`TanhNormal` has
# no formula); all torques from -2 to 2 alike would have $\ln 4 \approx 1.39$. Where do clip fraction and
# KL peak, and what does the return do there?

# %% tags=["look"]
figure, panels = plt.subplots(1, 4, figsize=(11, 3))
course = []
for panel, name in zip(panels, log[0], strict=True):
    values = [readings[name] for readings in log]
    first, largest, last = values[0], max(values), values[-1]
    panel.plot(range(1, len(log) + 1), values, marker=".")
    panel.set(title=name, xlabel="batch")
    top = values.index(largest) + 1
    course.append(f"{name} {first:.3f} to {last:.3f}, largest {largest:.3f} in batch {top}")
show_figure(figure, f"Instruments of the run on Pendulum: {'; '.join(course)}.")

# %% tags=["look"]
print("\n".join(course))

# %% [markdown]
# With seed 0 both peak around batch 7, amid the climb. KL crosses the number in the table, and nothing
# breaks: those are rules of thumb, not limits.
#
# ## One run proves little  (about 74 min to here) (deeper)
#
# The same code was run on seeds that had not been used to find the settings. Besides the two tasks,
# four changes on CartPole, each of them alone: no clipping, a single epoch for each batch, and learning
# rates of 0.1 and of 1, far above the recipe's. Predict: how many of each are solved?

# %% tags=["look"]
from statistics import median

from course_utils import load_results

measured = load_results("08_ppo")["runs"]["ppo"]
rules = {name: -200 if name == "Pendulum" else 475 for name in measured}
for name, runs in measured.items():
    returns = [run["test_return"] for run in runs.values()]
    passed = sum(value >= rules[name] for value in returns)
    seconds = [run["cpu_seconds"] for run in runs.values() if "cpu_seconds" in run]
    took = f"{median(seconds):.0f}" if seconds else "-"
    print(f"{name:27} {passed} of {len(runs)} solved, {took:>3} s:", *map(round, returns))

# %% [markdown]
# (A mean return for each seed, and the processor's seconds for training one run, the median. To
# repeat it: `make bench ARGS='--groups ppo'`.) One loop solves both tasks. Without clipping the first
# 64 steps teach far more than with it, and later ones tear it down again: one run of five is solved,
# one died after batches without a single fall. So clipping makes the repeated use of a batch
# reliable. One epoch makes 8 updates of a batch, eight epochs make 64; with the same step size and
# frames, only those with 64 get there in time. (Nothing was tuned for the changes; smaller steps may
# do without clipping.)
#
# A learning rate of 1 breaks every run, one of them only after it had begun to learn. With 0.1 two runs
# die, one of them after a batch with hardly a fall; three learn on, none far enough. An alarm is a reason
# to look, not a verdict.

# %% tags=["look"]
figure, panels = plt.subplots(2, 3, figsize=(10, 5))
for panel, (name, runs) in zip(panels.flat, measured.items(), strict=True):
    for result in runs.values():
        panel.plot(*zip(*result["curve"], strict=True), color="C0", alpha=0.7)
    panel.set(title=name, xlabel="batch")
    panel.set_ylabel("mean return" if name == "Pendulum" else "falls per 1,000 steps")
show_figure(
    figure,
    "Each line is a seed, each panel an arm. CartPole and its four changes: falls while exploring; "
    "Pendulum: return, exploring.",
)

# %% [markdown]
# ## Build it: PPO's update without its loss  (about 78 min to here) (deeper)
#
# `ClipPPOLoss` did the work so far. Now you write what it hides, and the two loops around it: all that
# is done with one batch. `run` holds the parts: `actor`, `critic`, one `optimiser` for both, and numbers,
# each named below. Actor and critic are like CartPole's. `frames` is a TensorDict of shape `[frames]`:
#
# | entry | shape | what it is |
# |---|---|---|
# | `observation` | `[frames, ...]` | what was seen |
# | `action`, `action_log_prob` | `[frames]` | what was done, and its log-probability when it was drawn |
# | `advantage`, `value_target` | `[frames, 1]` | what `GAE` made of the batch |
#
# ### Exercise 8.6: build it: PPO's update written out  (15 min)
# Write `ppo_update(run, frames)`, which moves the networks in `run` and returns nothing. The entries of
# `frames` stay as they are.
#
# 1. **Epochs.** Go through all frames up to `epochs` times. Shuffle them anew each time, and cut them
#    into minibatches of `minibatch` frames (the last one may be smaller, and counts). One step for each.
# 2. **Loss.** The clipped objective of 8.2 with `clip`, made a loss; plus `critic_coeff` times the
#    critic's mean squared error; minus `entropy_coeff` times the mean entropy of the distributions. The
#    advantages of the minibatch are given the mean 0 and the spread 1 before.
# 3. **Step.** If the gradient of all weights together is longer than `max_norm`, shorten it to that.
#    Then one step of `optimiser`.
# 4. **Stop.** After each epoch estimate the KL over *all* frames, as in 8.4: the mean of
#    $(\rho - 1) - \log \rho$. If it is above `max_kl`, that was the last epoch.
#
# Use as many cells and helper functions as you like. `check` runs your update on tiny networks and looks
# at the frames and the gradient of each step.
# <details><summary>Hint 1: the loops</summary><code>frames[torch.randperm(len(frames))].split(n)</code>
# shuffles and cuts; the last piece is as small as it has to be. Write the loss of one minibatch as a
# function of its own.</details>
# <details><summary>Hint 2: the loss</summary><code>run.actor.get_dist(part)</code> gives the distribution,
# with <code>log_prob(part["action"])</code> and <code>entropy()</code>; calling the actor itself would
# draw new actions. <code>run.critic(part)["state_value"]</code> has the shape of
# <code>value_target</code>. Of the advantages <code>squeeze(-1)</code> takes the last dimension away:
# <code>[frames]</code> times <code>[frames, 1]</code> would be a square.</details>
# <details><summary>Hint 3: the step, and the stop</summary><code>zero_grad</code>, <code>backward</code>,
# <code>torch.nn.utils.clip_grad_norm_</code> of <code>[*run.actor.parameters(),
# *run.critic.parameters()]</code>, <code>step</code>: in this order. The KL needs new log-probabilities of
# all frames, under <code>torch.no_grad()</code>.</details>


# %% tags=["exercise"]
def ppo_update(run, frames):
    # your code
    ...


check("8.6", ppo_update)

# %% tags=["solution"]
import torch


def new_log_ratio(run, frames):
    return run.actor.get_dist(frames).log_prob(frames["action"]) - frames["action_log_prob"]


def ppo_loss(run, part):
    advantage = part["advantage"].squeeze(-1)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
    ratio = new_log_ratio(run, part).exp()
    clipped = ratio.clamp(1 - run.clip, 1 + run.clip)
    objective = torch.min(ratio * advantage, clipped * advantage).mean()
    error = run.critic(part)["state_value"] - part["value_target"]
    entropy = run.actor.get_dist(part).entropy().mean()
    return -objective + run.critic_coeff * (error**2).mean() - run.entropy_coeff * entropy


# %% tags=["solution"]
def ppo_update(run, frames):
    weights = [*run.actor.parameters(), *run.critic.parameters()]
    for _ in range(run.epochs):
        for part in frames[torch.randperm(len(frames))].split(run.minibatch):
            run.optimiser.zero_grad()
            ppo_loss(run, part).backward()
            torch.nn.utils.clip_grad_norm_(weights, run.max_norm)
            run.optimiser.step()
        with torch.no_grad():
            log_ratio = new_log_ratio(run, frames)
        if (log_ratio.exp() - 1 - log_ratio).mean() > run.max_kl:
            break


check("8.6", ppo_update)

# %% [markdown]
# Does it learn? The cell below makes the parts and the loop around your update; the folded one after it
# trains on CartPole, for as many batches as above, with the `ppo_update` that was defined last: yours, if
# you pass over the solution. Predict what the greedy agent gets before and after.


# %% tags=["look"]
def parts_by_hand(seed):
    torch.manual_seed(seed)
    critic = ValueOperator(network(4, 1), in_keys=["observation"])
    run = SimpleNamespace(actor=cartpole_actor(), critic=critic, settings=cartpole, seed=seed)
    run.advantages = GAE(gamma=0.98, lmbda=0.9, value_network=critic)
    weights = [*run.actor.parameters(), *critic.parameters()]
    run.optimiser = torch.optim.Adam(weights, lr=cartpole.learning_rate, fused=True)
    run.epochs, run.minibatch, run.clip, run.max_norm, run.max_kl = 8, 256, 0.2, 1.0, 0.03
    run.critic_coeff, run.entropy_coeff = 0.5, 0.01
    return run


def train_by_hand(run, update, watch):
    for number, batch in enumerate(cartpole_batches(run), start=1):
        watch(number, falls=falls(batch))
        with torch.no_grad():
            run.advantages(batch)
        update(run, batch.reshape(-1))


# %% tags=["solution"]
by_hand = parts_by_hand(seed)
before = evaluate("CartPole-v1", by_hand.actor, 50, 1_000_000_000 + 1_000 * seed)
with LivePlot("batches", "falls per 1,000 steps", total=cartpole.batches) as live:
    train_by_hand(by_hand, ppo_update, live.add)
after = evaluate("CartPole-v1", by_hand.actor, 50, 1_000_000_000 + 1_000 * seed)
print(f"mean of 50 fresh episodes: {before.mean():.0f} before, {after.mean():.0f} after")

# %% [markdown]
# ## What you can do now
# You can swap DQN's parts for PPO's, write its loss, solve a task with two actions and one with a
# continuous action by the same loop, and tell from three instruments whether a step was too large. And
# you can write PPO's update without its loss.
#
# PPO or DQN? PPO takes any kind of action, but more frames: in lesson 07's comparison, where all runs
# are stopped by the same validation, the PPO of Stable-Baselines3 needed about three times the frames
# of our DQN. (This lesson's 40,960 were fixed beforehand.) It is for worlds that are cheap to play.
#
# **Try next:** give `ClipPPOLoss` an `entropy_coeff` of 0.01, predict what each of the three
# instruments will do, and run CartPole again. Or raise `epochs` to 30: which one tells?
# (Write your prediction down before you look.)
#
# Next: [{{next title}}]({{next file}}).
