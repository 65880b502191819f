# ---
# jupyter:
#   course:
#     title: Continuous control, one part at a time
#     objectives:
#       - write DDPG as a complete program, and judge it by a rule that was fixed before the run
#       - turn it into TD3, SAC and REDQ by exchanging a few lines, and say what each of them is for
#       - let the program itself say what changed, in lines, keys and networks, and what it cost
#       - find the defaults in which two losses differ before they surprise you
#       - write an update of TD3 yourself, without its loss, and see it learn
#     prerequisites: lessons 03 to 07 (actors and critics, losses, collectors and buffers, an honest exam)
#     minutes: {reading: 62, exercises: 36, short: 25}
# ---

# %% [markdown]
# ## Four papers, how many lines?  (about 1 min to here)
#
# DDPG (Lillicrap et al., 2016), TD3 (Fujimoto et al., 2018), SAC (Haarnoja et al., 2018) and REDQ
# (Chen et al., 2021) are four algorithms for actions that are real numbers: the torque of a motor,
# the angle of a wheel. Each has a paper of its own, with a page of pseudocode. This lesson looks at
# them differently: **an algorithm is a loss, plus parts that can be swapped.** We write the first one
# as a complete program, and get each of the others by changing the lines that are marked
# `# <- changed`. Before you read on, write down two numbers. The program's functions have some
# seventy lines: how many of them will be new when DDPG becomes SAC? And when SAC becomes REDQ? At the
# end the notebook counts.
#
# ## First the judge  (about 3 min to here)
#
# A pendulum hangs from a motor that is too weak to lift it straight up: it has to swing to and fro
# to gain speed, and then stop at the top. Each of the 200 steps costs a little, the more the further
# from upright, the faster, and the stronger the torque. So all rewards are below zero, and even the
# best agent pays for its swing up. The rule, written down before any run:
#
# > **Solved** = a mean return of at least -200 over 100 fresh episodes of the unmodified
# > environment, 200 steps each, without exploration, with the weights as they are when training
# > ends. All runs play 10,000 frames.
#
# So no algorithm may stop when it happens to look good, and none may choose its best weights.
# (Pendulum has no official line; -200 is ours. Random play gets about -1,200; a planner that knows
# the pendulum's equations, about -140.)

# %% tags=["parameters"]
seed = 0

# %%
import torch
from course_utils import choose_device, seed_everything

device = choose_device()
seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more, and lose on a busy machine

# %% [markdown]
# As in lesson 07, Gymnasium steps many copies in one call, and `GymWrapper` hands out
# TensorDicts. A copy whose episode is over starts a new one within the same step (`SAME_STEP`). All
# copies end together here, because only the clock ends an episode.

# %%
import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import ExplorationType, GymWrapper, set_exploration_type


def make_envs(count, seed):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = GymWrapper(
        gym.make_vec("Pendulum-v1", count, "sync", vector_kwargs=autoreset), device=device
    )
    envs.set_seed(seed)
    return envs


# %%
def play(policy, episodes, seed):
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return make_envs(episodes, seed).rollout(200, policy)


def evaluate(policy, episodes, seed):
    return play(policy, episodes, seed)["next", "reward"].sum(1).squeeze(-1)


# %% tags=["look"]
evaluate(None, episodes=8, seed=seed)

# %% [markdown]
# Eight returns of random play (no policy). That is where everybody starts. Now the end of an
# episode, step number 199, and the step after it:

# %% tags=["look"]
steps = make_envs(1, seed).rollout(201, break_when_any_done=False)[0]
for flag in ["terminated", "truncated"]:
    print(f"{flag:10} anywhere: {steps['next', flag].any().item()}")
print("step 199 leads to ", steps["next", "observation"][199].cpu().numpy().round(2))
print("step 200 starts at", steps["observation"][200].cpu().numpy().round(2))

# %% [markdown]
# Nothing ever *terminates*: the clock *truncates*. So *every* target must look beyond the end of
# the episode, and what it sees there must be the pendulum that was, not the new one that took its
# place. The two lines differ: TorchRL kept the real last observation under `next`, and a loss that
# asks `terminated` bootstraps from it.
#
# ## DDPG: an actor that climbs its critic  (about 7 min to here)
#
# DQN takes the action with the largest value. With two actions you can try both; with a torque
# between -2 and 2 there are infinitely many. DDPG, *deep deterministic policy gradient*, uses two
# networks:
#
# - the **critic** $Q(s, a)$ reads the observation *and the action* and says what they are worth;
# - the **actor** $\mu(s)$ says the action, and stands in for the $\arg\max$ of DQN. It learns from
#   the gradient of $Q$ with respect to the action (which way to turn the torque so that the value
#   rises), which runs back through the critic, held fixed, into the actor's weights.
#
# $$ y = r + \gamma\, Q_\text{target}\big(s', \mu_\text{target}(s')\big)
# \qquad \text{loss\_value} = \big(Q(s, a) - y\big)^2
# \qquad \text{loss\_actor} = -Q\big(s, \mu(s)\big) $$
#
# (The future falls away after a `terminated` step.) Two plain networks, then, both made by this
# function, and the `Bounded` spec that says which torques there are:

# %%
from torchrl.data import Bounded
from torchrl.modules import MLP

torque = Bounded(-2.0, 2.0, shape=(1,), device=device)


def layers(inputs, outputs):
    return MLP(
        in_features=inputs,
        out_features=outputs,
        num_cells=[64, 64],
        activation_class=torch.nn.ReLU,
        device=device,
    )


# %% [markdown]
# And here is all that makes DDPG DDPG. `TanhModule` bends any number into the range of the spec;
# `ValueOperator` is the critic, it writes `state_action_value`; `AdditiveGaussianModule` adds
# noise to the action (and cuts the sum off at -2 and 2), always the same amount here, because an
# actor that says one torque and no other discovers nothing. (The paper used Ornstein-Uhlenbeck
# noise, which wanders: each step's is close to the last one's. TorchRL has it, with `dt=0.01`, so
# that it needs hundreds of steps to reach its full width, longer than a whole episode here. Plain
# noise does as well.) `DDPGLoss` keeps the target critic by
# itself, and the target actor only when asked (`delay_actor=True`).

# %%
from types import SimpleNamespace

from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.modules import AdditiveGaussianModule, TanhModule, ValueOperator
from torchrl.objectives import DDPGLoss


# %% id="09-ddpg"
def ddpg():
    body = layers(3, 1)
    network = TensorDictModule(body, ["observation"], ["raw"])
    squash = TanhModule(in_keys=["raw"], out_keys=["action"], spec=torque)
    actor = TensorDictSequential(network, squash)
    critic = ValueOperator(layers(4, 1), in_keys=["observation", "action"])
    noise = AdditiveGaussianModule(torque, sigma_init=0.5, sigma_end=0.5).to(device)
    explorer = TensorDictSequential(actor, noise)
    loss = DDPGLoss(actor, critic, loss_function="l2", delay_actor=True)
    return SimpleNamespace(actor=actor, explorer=explorer, loss=loss, actor_every=1)


# %% [markdown]
# (`actor_every` says after how many updates of the critic the actor moves too. DDPG moves both at
# each.) What flows where?

# %% tags=["look"]
from course_utils import flow

flow(ddpg().explorer, make_envs(1, seed))

# %% [markdown]
# Everything from here to the exam is *not* DDPG. It is the machinery that all four share, and it
# will never ask which algorithm it is running. First what a run needs: the discount, an updater
# for the target networks (`SoftUpdate`, 2 % of the way each time), one optimiser (`fused=True`
# only makes it faster), a memory.

# %%
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.objectives import SoftUpdate

gamma = 0.98


def build(algorithm, seed):
    torch.manual_seed(seed)
    run = algorithm()
    run.loss.make_value_estimator(gamma=gamma)
    run.target = SoftUpdate(run.loss, tau=0.02)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), lr=3e-3, fused=True)
    storage = LazyTensorStorage(10_000, device=device)
    run.buffer = TensorDictReplayBuffer(storage=storage, batch_size=128)
    run.seed, run.updates = seed, 0
    return run


# %% [markdown]
# `SoftUpdate` does not care how many target networks there are, nor of what kind: it moves all
# weights whose name begins with `target_`.
#
# ### Exercise 9.1: a soft update by hand  (3 min)
# Write `soft_update(target, online, tau)`. Both are TensorDicts of weights with the same keys.
# Return a new one: the target after it went the share `tau` of the way to the online network.
# <details><summary>Hint</summary>You can multiply a whole TensorDict by a number, and add two of
# them.</details>

# %% tags=["exercise"]
from course_utils import check


def soft_update(target, online, tau):
    # your code
    ...


check("9.1", soft_update)


# %% tags=["solution"]
def soft_update(target, online, tau):
    return (1 - tau) * target + tau * online


check("9.1", soft_update)

# %% [markdown]
# One update. A loss gives a TensorDict; what is to be made small in it begins with `loss_` (lesson
# 04), however many there are.


# %%
def learn(run):
    run.updates += 1
    losses = run.loss(run.buffer.sample())
    wanted = {key: loss for key, loss in losses.items() if key.startswith("loss_")}
    if run.updates % run.actor_every > 0:
        del wanted["loss_actor"]
    run.optimiser.zero_grad()
    sum(wanted.values()).backward()
    run.optimiser.step()
    run.target.step()


# %% [markdown]
# Adding `loss_actor` to `loss_value` looks dangerous: the actor wants $Q$ large, and the easiest
# way to make it large would be to change the critic. That does not happen, because the loss lends
# the actor a critic whose weights are held fixed. We shall check it. (And a weight that got no
# gradient is left alone by Adam, so a deleted `loss_actor` leaves the actor where it is.)
#
# The loop: the `Collector` plays 50 frames in 10 copies, the buffer takes them, and 10 updates
# follow. The first 500 frames are played at random. Every 1,000 frames, 10 episodes without
# exploration are played for the curve; nothing is decided by them. (As in lesson 07, the policy needs
# no transforms of its own: `auto_register_policy_transforms=False`.)
#
# Who says that the explorer explores? Nothing in this loop does. A `Collector` plays with
# `exploration_type=RANDOM` unless told otherwise, and the loop relies on it: so the noise module adds
# its noise, and later SAC's actor draws from its bell curve. In a plain `rollout` that same actor
# would say the middle of the curve, every time.

# %%
from torchrl.collectors import Collector


def train(run, watch):
    collector = Collector(
        make_envs(10, 1_000 * run.seed),
        run.explorer,
        frames_per_batch=50,
        total_frames=10_000,
        init_random_frames=500,
        auto_register_policy_transforms=False,
        track_traj_ids=False,  # nobody asks which episode a frame belongs to
    )
    frames = 0
    for batch in collector:
        frames += batch.numel()
        run.buffer.extend(batch.reshape(-1))
        for _ in range(10 if frames > 500 else 0):
            learn(run)
        if frames % 1_000 == 0:
            watch(frames, greedy=evaluate(run.actor, 10, seed=500_000_000).mean().item())
    collector.shutdown()


# %% [markdown]
# And the exam, on seeds that no training run and no curve uses.


# %%
def exam(run):
    return evaluate(run.actor, 100, seed=1_000_000_000 + 1_000 * run.seed)


# %% [markdown]
# That is the complete program. Predict, then run (half a minute or more): after how many of the
# 10,000 frames does the curve reach the line? (Seed 0 is one of the two on which the settings were
# found; the other seeds come at the end.)

# %% tags=["look"]
from course_utils import LivePlot

runs = {"DDPG": build(ddpg, seed)}
with LivePlot(threshold=-200, total=10_000) as live:
    train(runs["DDPG"], live.add)


# %% tags=["look"]
def verdict(run):
    returns = exam(run)
    mean = returns.mean().item()
    solved = "solved" if mean >= -200 else "not solved"
    return f"mean {mean:.0f}, worst {returns.min():.0f} of 100 fresh episodes: {solved}"


def first_at_line(curve):
    return next((at for at, mean in curve if mean >= -200), float("inf"))


print(f"DDPG: at the line after {first_at_line(live.series['greedy']):,.0f} frames;", end=" ")
print(verdict(runs["DDPG"]))

# %% [markdown]
# The curve ends higher than the exam, because it always plays the same ten starts, four of them
# almost upright. It shows progress; it is not the exam. And here is one bad start; the rule is about
# the mean.

# %% tags=["look"]
from course_utils import record_episode, show_video

show_video(record_episode("Pendulum-v1", runs["DDPG"].actor, seed=4), "DDPG after training")

# %% [markdown]
# What has the actor learned? It reads three numbers, but they say only two things: the angle (0 is
# upright) and the speed. So the whole actor fits into a picture.


# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style
from tensordict import TensorDict

use_course_style()
angle, speed = torch.meshgrid(
    torch.linspace(-torch.pi, torch.pi, 91), torch.linspace(-8, 8, 81), indexing="xy"
)
states = torch.stack([angle.cos(), angle.sin(), speed], -1).to(device)


def torques(run):
    seen = TensorDict(observation=states, batch_size=states.shape[:-1])
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return run.actor(seen)["action"].squeeze(-1).cpu()


# %% tags=["look"]
def show_actors(runs):
    size = (2.8 + 2.2 * len(runs), 3.2)
    figure, panels = plt.subplots(1, len(runs), sharey=True, squeeze=False, figsize=size)
    titles = []
    for panel, (name, run) in zip(panels[0], runs.items(), strict=True):
        said = torques(run)
        image = panel.pcolormesh(angle, speed, said, cmap="PuOr", vmin=-2, vmax=2)
        titles.append(f"{name}: {(said.abs() > 1.9).float().mean():.0%} at full push")
        panel.set(title=titles[-1], xlabel="angle (0: upright)")
    panels[0][0].set_ylabel("speed")
    figure.colorbar(image, ax=panels, label="torque")
    return show_figure(figure, "Torque by angle and speed; share of states: " + ", ".join(titles))


# %% tags=["look"]
show_actors({"DDPG": runs["DDPG"]})

# %% tags=["look"]
pushed = play(runs["DDPG"].actor, 100, seed=1_500_000_000)["action"].abs()
print(f"in 100 episodes: almost full torque in {(pushed > 1.9).float().mean():.0%} of the steps")

# %% [markdown]
# Two colours, and between them a sharp edge: in most *states* the actor would push with all it has
# ("full push": a torque beyond ±1.9). Of the *steps* it is a smaller share, since most of them are
# spent balancing, on the edge through the middle. At the sides, where the pendulum hangs, it pushes
# the way the pendulum is moving: that is the swinging, which nobody told it about.
#
# ## TD3: three kinds of mistrust  (about 28 min to here) (deeper)
#
# The actor climbs the critic. If the critic is too optimistic *somewhere*, that is exactly where
# the actor will go, and the target then passes the error on to all states before. *Twin delayed*
# DDPG, TD3, does not believe so easily:
#
# 1. **Clipped double Q-learning**: two critics, and the target takes the smaller of their values.
# 2. **Target policy smoothing**: the target asks not about $\mu_\text{target}(s')$ alone but about
#    actions around it, so that a narrow false peak cannot be exploited.
# 3. **Delayed policy updates**: the actor moves at every second update only, when the critics have
#    settled a little. (In the paper the targets wait with it; our loop moves them at every update.)
#
# The first two are inside `TD3Loss`, which makes both critics from the one you pass, with weights
# of their own. The third is a number in our loop. `TD3Loss` has to know the limits of an action,
# since it adds noise to it.

# %%
from torchrl.objectives import TD3Loss


# %% id="09-td3"
def td3():
    body = layers(3, 1)
    network = TensorDictModule(body, ["observation"], ["raw"])
    squash = TanhModule(in_keys=["raw"], out_keys=["action"], spec=torque)
    actor = TensorDictSequential(network, squash)
    critic = ValueOperator(layers(4, 1), in_keys=["observation", "action"])
    noise = AdditiveGaussianModule(torque, sigma_init=0.5, sigma_end=0.5).to(device)
    explorer = TensorDictSequential(actor, noise)
    loss = TD3Loss(actor, critic, loss_function="l2", action_spec=torque)  # <- changed
    return SimpleNamespace(actor=actor, explorer=explorer, loss=loss, actor_every=2)  # <- changed


# %% [markdown]
# ### Exercise 9.2: believe the pessimist  (4 min)
# Write `td3_target(reward, next_values, terminated, truncated, gamma)`. `next_values` holds what the
# two target critics say of $s'$ and the next action: shape `[2, batch, 1]`. The rest has shape
# `[batch, 1]`, the flags are boolean. Return shape `[batch, 1]`. One of the two flags says that
# nothing follows: for those steps the target is the reward alone.
# <details><summary>Hint</summary><code>next_values.amin(0)</code> is the minimum over dimension 0
# (<code>min(0)</code> gives values <em>and</em> indices). After which of the two flags does nothing
# follow?</details>


# %% tags=["exercise"]
def td3_target(reward, next_values, terminated, truncated, gamma):
    # your code
    ...


check("9.2", td3_target)


# %% tags=["solution"]
def td3_target(reward, next_values, terminated, truncated, gamma):
    return reward + gamma * next_values.amin(0) * ~terminated


check("9.2", td3_target)

# %% [markdown]
# ### Exercise 9.3: ask around, but not too far  (4 min)
# Write `smoothed(next_action, noise, std, clip)`: the action that TD3's target asks about. `noise`
# holds standard normal numbers. They are scaled by `std`, cut off at `-clip` and `clip`, and added;
# the result must be a torque that exists, from -2 to 2. All shapes are `[batch, 1]`.
# <details><summary>Hint</summary>Two times <code>clamp</code>: one for the noise, one for the
# action.</details>


# %% tags=["exercise"]
def smoothed(next_action, noise, std, clip):
    # your code
    ...


check("9.3", smoothed)


# %% tags=["solution"]
def smoothed(next_action, noise, std, clip):
    return (next_action + (noise * std).clamp(-clip, clip)).clamp(-2.0, 2.0)


check("9.3", smoothed)

# %% [markdown]
# We save the time of a second run here: TD3 was trained with this code on five seeds, and the results
# are stored. (To see it live: `other = build(td3, seed)` and `train(other, live.add)`, under a
# `LivePlot` in a cell of your own.) Does it do what it is meant to do? *Optimism* is what the critic
# promises for the first step of an episode, minus the discounted rewards that really followed, as a
# mean over 100 episodes. Mistrust should make it smaller. The loss itself tells what its critics say
# (`pred_value`; both, for TD3).


# %%
def optimism(run):
    rollout = play(run.actor, 100, seed=1_500_000_000)
    reward = rollout["next", "reward"].squeeze(-1)
    real = (gamma ** torch.arange(200, device=device) * reward).sum(1)
    with torch.no_grad():
        believed = run.loss(rollout[:, 0].clone())["pred_value"]
    return (believed - real).mean().item()


# %% tags=["look"]
from course_utils import load_results

measured = load_results("09_continuous_control")["runs"]["control"]
for name, algorithm in {"DDPG": ddpg, "TD3": td3}.items():
    before = optimism(build(algorithm, seed))
    after = ", ".join(f"{run['optimism']:+.0f}" for run in measured[name].values())
    print(f"{name:4} promises {before:+.0f} more than it gets before training; after it {after}")

# %% [markdown]
# A critic begins near 0, and where all rewards are negative that is far too much to promise. What
# training made of it we discuss at the end, beside the exams.
#
# ## SAC: the noise becomes part of the policy  (about 44 min to here) (deeper)
#
# So far someone has to choose how much noise to add: too little finds nothing, too much spoils
# everything, and the same everywhere. *Soft actor-critic*, SAC, lets the actor say a whole
# distribution, and pays it for staying undecided: the rewards get a bonus for **entropy**, which
# grows with the width of the distribution, at a price $\alpha$ (the **temperature**):
#
# $$ y = r + \gamma \Big( \min_{i = 1, 2} Q_{\text{target}, i}(s', a') - \alpha \log \pi(a' \mid s') \Big),
# \qquad a' \sim \pi(\cdot \mid s') $$
#
# (Again nothing follows a `terminated` step.) An action that was likely has a large $\log \pi$,
# and that lowers the value: being sure costs something. Where it does not matter what one does,
# the policy stays wide; where it matters, it becomes narrow. And the price is learned too, as in
# the second SAC paper of 2018, *Soft Actor-Critic Algorithms and Applications*: `SACLoss` raises
# $\alpha$ while the entropy is below a target and lowers it while it is above. Its default target
# is minus the number of numbers in an action: -1 for one torque. (The entropy of a density may be
# negative; evenly over -2 to 2 it is +1.39.)
#
# The parts you know from lesson 03: the network says where the bell curve stands and how wide it is
# (`NormalParamExtractor`), `ProbabilisticActor` draws, and `TanhNormal` bends the draw into the
# range it is told; left alone, it takes -1 to 1, and half of the torque would never be used.

# %%
from tensordict.nn import NormalParamExtractor
from torchrl.modules import ProbabilisticActor, TanhNormal
from torchrl.objectives import SACLoss

bell = ["loc", "scale"]
squashed = {"distribution_class": TanhNormal, "distribution_kwargs": {"low": -2.0, "high": 2.0}}


# %% id="09-sac"
def sac():
    body = torch.nn.Sequential(layers(3, 2), NormalParamExtractor())  # <- changed
    network = TensorDictModule(body, ["observation"], bell)  # <- changed
    actor = ProbabilisticActor(network, bell, ["action"], spec=torque, **squashed)  # <- changed
    critic = ValueOperator(layers(4, 1), in_keys=["observation", "action"])
    explorer = actor  # <- changed
    loss = SACLoss(actor, critic, loss_function="l2")  # <- changed
    return SimpleNamespace(actor=actor, explorer=explorer, loss=loss, actor_every=1)


# %% [markdown]
# The marks are those against DDPG. The noise module is gone: the actor is its own explorer. There
# is no target actor either; the target draws $a'$ from the actor as it is.
#
# ### Exercise 9.4: what is being undecided worth?  (5 min)
# Write `soft_target(reward, next_values, next_log_prob, alpha, terminated, gamma)`: the formula
# above, and no future after a `terminated` step. `next_values` has shape `[2, batch, 1]`,
# `next_log_prob`, $\log \pi(a' \mid s')$, and the rest `[batch, 1]`; `terminated` is boolean,
# `alpha` and `gamma` are numbers.
# <details><summary>Hint</summary>After a terminated step there is no value, and no next action that
# could be undecided.</details>


# %% tags=["exercise"]
def soft_target(reward, next_values, next_log_prob, alpha, terminated, gamma):
    # your code
    ...


check("9.4", soft_target)


# %% tags=["solution"]
def soft_target(reward, next_values, next_log_prob, alpha, terminated, gamma):
    undecided = -alpha * next_log_prob
    return reward + gamma * (next_values.amin(0) + undecided) * ~terminated


check("9.4", soft_target)

# %% tags=["look"]
runs["SAC"] = build(sac, seed)
with LivePlot(threshold=-200, total=10_000) as live:
    train(runs["SAC"], live.add)
print("SAC:", verdict(runs["SAC"]))

# %% tags=["look"]
batch = runs["SAC"].buffer.sample()
for when, run in {"at the start": build(sac, seed), "now": runs["SAC"]}.items():
    losses = run.loss(batch.clone())
    moves = "falls" if losses["entropy"] > run.loss.target_entropy else "rises"
    print(f"{when}: entropy {losses['entropy']:.2f}, so the price {losses['alpha']:.3f} {moves}")

# %% [markdown]
# The entropy began well above its target of -1, so the price fell, and being sure became cheap:
# nobody had to choose when to explore less. Near the target the price rises a little and falls a
# little. The two actors side by side:

# %% tags=["look"]
show_actors(runs)

# %% [markdown]
# Two algorithms, two losses, and the same edge through the middle, where the pendulum is balanced.
# SAC's other edges are soft: in far fewer states does it push with all it has.
#
# ## REDQ: ten critics, a jury of two  (about 58 min to here) (deeper)
#
# *Randomized ensembled double Q-learning*, REDQ, is SAC with ten critics. The target of each update
# asks two of them, drawn anew, and takes the smaller value; the actor climbs the mean of all ten. Ten
# opinions make the values steadier, so that one can learn more often from each frame without going
# astray. The paper makes 20 updates per frame; we leave the loop as it is, one update for five
# frames, so that hardly more than the loss differs (the table of defaults below tells what does). (10
# and 2 are the defaults of `REDQLoss`, `num_qvalue_nets` and `sub_sample_len`.)

# %%
from torchrl.objectives import REDQLoss


# %% id="09-redq"
def redq():
    body = torch.nn.Sequential(layers(3, 2), NormalParamExtractor())
    network = TensorDictModule(body, ["observation"], bell)
    actor = ProbabilisticActor(network, bell, ["action"], spec=torque, **squashed)
    critic = ValueOperator(layers(4, 1), in_keys=["observation", "action"])
    explorer = actor
    loss = REDQLoss(actor, critic, loss_function="l2")  # <- changed
    return SimpleNamespace(actor=actor, explorer=explorer, loss=loss, actor_every=1)


# %% [markdown]
# (The mark is against SAC.)
#
# ### Exercise 9.5: the jury  (5 min)
# Write `jury_value(next_values, jury)`: what REDQ's target believes of the next step. `next_values`
# holds the values of all ten target critics, shape `[10, batch, 1]`; `jury` holds the numbers of the
# two that were drawn, shape `[2]`. Return shape `[batch, 1]`. (The entropy is added elsewhere.)
# <details><summary>Hint</summary>A tensor of whole numbers can stand between the brackets of an
# index.</details>


# %% tags=["exercise"]
def jury_value(next_values, jury):
    # your code
    ...


check("9.5", jury_value)


# %% tags=["solution"]
def jury_value(next_values, jury):
    return next_values[jury].amin(0)


check("9.5", jury_value)

# %% id="09-algorithms"
algorithms = {"DDPG": ddpg, "TD3": td3, "SAC": sac, "REDQ": redq}

# %% [markdown]
# Ten critics in place of two: how many times as long as SAC's does an update of REDQ take? Write
# your guess down. We time 100 updates of each, fresh, all from the same memory, the one that DDPG
# filled. (That this works at all is worth a thought: these algorithms are **off-policy**, they can
# learn from what somebody else did.)

# %% tags=["look"]
import time

memory = runs["DDPG"].buffer[:].select("observation", "action", "next")
milliseconds = {}
for name, algorithm in algorithms.items():
    fresh = build(algorithm, seed)
    fresh.buffer.extend(memory)
    learn(fresh)  # the first update pays for the warm-up
    start = time.process_time()
    for _ in range(100):
        learn(fresh)
    milliseconds[name] = 10 * (time.process_time() - start)
for name, cost in milliseconds.items():
    print(f"{name:4} {cost / milliseconds['DDPG']:.1f} times as long as DDPG")
print(f"REDQ {milliseconds['REDQ'] / milliseconds['SAC']:.1f} times as long as SAC")

# %% [markdown]
# Not five times. The ten critics are ten slices of one large tensor (`vmap`), multiplied in one go,
# and at this size most of the time probably goes into the machinery around the arithmetic.
#
# ## What changed  (about 67 min to here) (deeper)
#
# Now the count. `inspect` reads the source of each function, `difflib` compares.

# %%
import difflib
import inspect


def source(function):
    lines = inspect.getsource(function).splitlines()[1:]  # without the line with its name
    return [line.removesuffix("  # <- changed").strip() for line in lines]


def compare(before, after):
    lines = difflib.ndiff(source(before), source(after))
    return [line for line in lines if line[0] in "+-"]


# %% tags=["look"]
swaps = {"DDPG → TD3": (ddpg, td3), "DDPG → SAC": (ddpg, sac), "SAC → REDQ": (sac, redq)}
shared = [make_envs, play, evaluate, layers, build, learn, train, exam]
total = sum(len(inspect.getsource(function).splitlines()) for function in [*shared, ddpg])
print(f"The program with DDPG has {total} lines in its functions.")
for name, (before, after) in swaps.items():
    found = compare(before, after)
    new = sum(line[0] == "+" for line in found)
    print(f"\n{name}: {new} new, {len(found) - new} gone")
    print("\n".join(found))

# %% [markdown]
# Compare with the two numbers you wrote down. Two lines make TD3 of DDPG, and **one line makes
# REDQ of SAC**. (Outside the functions, SAC brings five more, three imports, `bell` and
# `squashed`; TD3 and REDQ one import each. And the three lines of `learn` that count the updates and
# ask `actor_every` are there for TD3 alone.) But lines are the outside. What did the new losses
# change inside? First the keys that each of them says it reads.


# %% tags=["look"]
def dotted(key):
    return key if isinstance(key, str) else ".".join(key)


reads = {name: set(map(dotted, algorithm().loss.in_keys)) for name, algorithm in algorithms.items()}
common = set.intersection(*reads.values())
print("all four: ", ", ".join(sorted(common)))
for name, keys in reads.items():
    print(f"{name:4} besides: ", ", ".join(sorted(keys - common)) or "nothing")

# %% [markdown]
# The same transitions go into all of them: that is why they could share a memory. What is named
# besides is optional, used where the data has it; the memory of our updates above held none of it.
# Now the networks, read from the parameters of each loss, and the keys it writes. A weight with a
# leading dimension of 10 is ten networks.


# %%
def networks(loss, kept_as_target):
    found = []
    for name, part in loss.named_children():
        weights = [weight for weight in part.state_dict().values() if weight.ndim >= 2]
        if weights and name.startswith("target_") == kept_as_target:
            copies = len(weights[0]) if weights[0].ndim == 3 else 1
            found.append(f"{copies} × {'actor' if 'actor' in name else 'critic'}")
    return ", ".join(found)


# %% tags=["look"]
from IPython.display import Markdown

rows = ["| | trained | targets | numbers trained | writes |", "|" + "---|" * 5]
for name, algorithm in algorithms.items():
    loss = algorithm().loss
    weights = sum(weight.numel() for weight in loss.parameters())
    trained, targets = networks(loss, False), networks(loss, True)
    writes = ", ".join(f"`{key}`" for key in loss.out_keys)
    rows.append(f"| {name} | {trained} | {targets} | {weights:,} | {writes} |")
Markdown("\n".join(rows))

# %% [markdown]
# The outside hardly changed; inside, the critic became two and then ten, the target actor went,
# and a third loss came: `loss_alpha`, the price of being sure. The loop never noticed, since it
# adds up whatever begins with `loss_`. (What the actor climbs differs too: in `TD3Loss` the first
# critic, in `SACLoss` the smaller value, in `REDQLoss` the mean of all ten.) Now the check that
# was promised. Which weights does each of these losses move? We ask autograd for the gradients of
# each alone.


# %%
def moved_by(loss, batch):
    losses = loss(batch)
    names, weights = zip(*loss.named_parameters(), strict=True)
    moves = {}
    for key in [key for key in loss.out_keys if key.startswith("loss_")]:
        gradients = torch.autograd.grad(
            losses[key], weights, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        pairs = zip(names, gradients, strict=True)
        moves[key] = sorted({name.split(".")[0] for name, gradient in pairs if gradient.any()})
    return moves


# %% tags=["look"]
for name, algorithm in algorithms.items():
    fresh = build(algorithm, seed)
    for key, moved in moved_by(fresh.loss, memory[:128].clone()).items():
        print(f"{name:4} {key:11} moves {', '.join(moved)}")

# %% [markdown]
# Each loss moves its own network and nothing else, so one optimiser may take their sum.
#
# ## What it bought  (about 73 min to here) (deeper)
#
# Each algorithm was run with the code of this lesson on five seeds that were not used to find the
# common settings. (Those were found on seeds 0 and 1, by trying a few with DDPG and TD3; nothing was
# tuned for SAC or REDQ.) All curves, all seeds:

# %% tags=["look"]
from course_utils import learning_curves

curves = {
    name: [tuple(zip(*run["curve"], strict=True)) for run in found.values()]
    for name, found in measured.items()
}
learning_curves(curves, threshold=-200)

# %% [markdown]
# And the exams, each seed a number. "At the line" is the first point of the curve at -200 or above
# (the median of the seeds, like the seconds). Seconds are the processor's, on a busy machine:
# compare them, but do not expect them. Optimism, as above, is measured only where a critic
# promises the plain return; the other two count the bonus for entropy as well.

# %% tags=["look"]
from statistics import median

rows = ["| | exam, seed by seed | solved | at the line | seconds | optimism |", "|" + "---|" * 6]
for name, found in measured.items():
    tried = list(found.values())
    exams = [run["test_return"] for run in tried]
    each = ", ".join(f"{mean:.0f}" for mean in exams)
    solved = f"{sum(mean >= -200 for mean in exams)} of {len(exams)}"
    frames = f"{median(first_at_line(run['curve']) for run in tried):,.0f} frames"
    seconds = f"{median(run['cpu_seconds'] for run in tried if 'cpu_seconds' in run):.0f}"
    promised = ", ".join(f"{run['optimism']:+.1f}" for run in tried if "optimism" in run)
    cells = [name, each, solved, frames, seconds, promised or "not comparable"]
    rows.append(f"| {' | '.join(cells)} |")
Markdown("\n".join(rows))

# %% [markdown]
# No run failed. For each seed all four sat the same exam: read the numbers by columns of seeds,
# and you find them a few points apart. The *median* curves come to the line within one evaluation
# of each other; on single seeds up to three evaluations lie between them, not always in the same
# order. So on this task TD3, SAC and REDQ bought **nothing that the exam can see**, and each costs
# more processor time than the one before it.
#
# The last column gives a hint for TD3, not a proof. *When training ended*, DDPG's critic promised
# what came, to within four points; TD3's promised 13 to 20 less. Both had begun with far too much.
# For SAC and REDQ the column cannot say. The papers show their gains on robots with many joints,
# in runs of up to millions of frames. A task this easy can neither show what a part is worth nor
# show that it is worth nothing: it was chosen because you can train on it in seconds. A rule of
# thumb for harder ones: begin with SAC, which finds its own noise; REDQ where a frame costs more
# than an update; TD3 where the actor must say one action; DDPG to understand the others.
#
# ## What the losses decide without asking  (about 77 min to here) (deeper)
#
# Swapping a loss swaps its defaults too. Here are the most important that differ, read from the
# losses themselves (a dash: the loss has no such option):

# %% tags=["look"]
options = [
    "loss_function",
    "delay_actor",
    "num_qvalue_nets",
    "policy_noise",
    "noise_clip",
    "min_alpha",
    "max_alpha",
]
rows = ["| option | DDPGLoss | TD3Loss | SACLoss | REDQLoss |", "|" + "---|" * 5]
for option in options:
    row = []
    for loss in [DDPGLoss, TD3Loss, SACLoss, REDQLoss]:
        known = inspect.signature(loss.__init__).parameters
        row.append(f"`{known[option].default!r}`" if option in known else "-")
    rows.append(f"| `{option}` | {' | '.join(row)} |")
Markdown("\n".join(rows))

# %% [markdown]
# - `loss_function`: had we not written `"l2"` each time, the exchange of one loss for another would
#   also have exchanged the error it makes small, and we would have credited the wrong part.
# - `delay_actor`: DDPG's paper has a target actor; `DDPGLoss` has none unless asked.
# - `policy_noise` and `noise_clip` are counted in units of the action. The code of TD3's authors
#   multiplies them by the largest action: for a torque of up to 2 that would be 0.4 and 1.
# - `min_alpha`: in `REDQLoss` being sure never costs less than 0.1; in `SACLoss` it may (compare with
#   the price at which our SAC ended). So our REDQ differs from our SAC by more than its critics.
#
# And two that are not in the table: `SoftUpdate` wants `tau` or `eps`, the one being 1 minus the
# other; `TanhNormal` wants `low` and `high`, or you get actions from -1 to 1 without a warning.
#
# ## Build it: TD3 without its loss  (about 81 min to here) (deeper)
#
# `TD3Loss` did the work so far. Now you write what it hides: one update, from two critics to the last
# soft step. `run` holds the parts, made by the cell below: `actor`, `critics` (a list of two),
# `target_actor` and `target_critics`, `critic_optimiser` (for both critics) and `actor_optimiser`,
# and its numbers: `run.gamma`, `run.noise`, `run.clip`, `run.low` and the others. All networks are
# those of this lesson: an actor reads `observation` and writes `action`, a critic reads both and
# writes `state_action_value`.


# %% tags=["look"]
from copy import deepcopy


def parts_by_hand(seed):
    torch.manual_seed(seed)
    made = td3()  # its actor, and its noise for exploring; its loss is not used
    run = SimpleNamespace(actor=made.actor, explorer=made.explorer)
    keys = ["observation", "action"]
    run.critics = [ValueOperator(layers(4, 1), in_keys=keys) for _ in range(2)]
    run.target_actor, run.target_critics = deepcopy(run.actor), deepcopy(run.critics)
    weights = [weight for critic in run.critics for weight in critic.parameters()]
    run.critic_optimiser = torch.optim.Adam(weights, lr=3e-3, fused=True)
    run.actor_optimiser = torch.optim.Adam(run.actor.parameters(), lr=3e-3, fused=True)
    run.gamma, run.tau, run.actor_every = gamma, 0.02, 2
    run.noise, run.clip, run.low, run.high = 0.2, 0.5, -2.0, 2.0
    storage = LazyTensorStorage(10_000, device=device)
    run.buffer = TensorDictReplayBuffer(storage=storage, batch_size=128)
    run.updates = 0
    return run


# %% [markdown]
# ### Exercise 9.6: build it: an update of TD3  (15 min)
# Write `td3_update(run, batch)`, which changes the networks in `run` and returns nothing. `batch` is a
# sample of the buffer, `run.updates` the number of this update (the loop counts: 1 for the first).
#
# 1. **Target.** Ask `target_actor` about the next observations; add standard normal noise times `noise`,
#    cut off at `clip`; cut the sum off at `low` and `high`. Both `target_critics` value that action; the
#    target is the reward plus `gamma` times the smaller value, and nothing follows a `terminated` step.
# 2. **Critics.** The mean squared error of each to that target, added up; one step of their optimiser.
# 3. **Actor.** At every `actor_every`-th update: make *minus* the first critic's mean value of what the
#    actor does small; one step of its optimiser.
# 4. **Targets.** At every update all three go the share `tau` of the way to their online network.
#
# Use as many cells and helper functions as you like. `check` runs your update on tiny networks and says
# what moved, where to, and what should have.
# <details><summary>Hint 1: the target</summary>Work under <code>torch.no_grad()</code>. A module writes
# into the TensorDict it is given, so give it one that holds only what it reads:
# <code>run.target_actor(batch["next"].select("observation"))</code>. The result holds <code>action</code>;
# you can set it anew, and hand the whole to a critic.</details>
# <details><summary>Hint 2: two critics</summary><code>torch.stack([critic(asked.clone())["state_action_value"]
# for critic in run.target_critics]).amin(0)</code> is the smaller value, of shape
# <code>[batch, 1]</code>. (<code>clone</code>, so that each writes into its own copy.)</details>
# <details><summary>Hint 3: whose gradient is it?</summary>The actor's loss runs back through the first
# critic and leaves a gradient there. If <code>zero_grad</code> stands right before each
# <code>backward</code>, it does no harm.</details>
# <details><summary>Hint 4: the soft step</summary><code>old.lerp_(new, tau)</code> moves the weights
# <code>old</code> in place. <code>zip</code> the <code>parameters()</code> of a target and of its network,
# under <code>torch.no_grad()</code>.</details>


# %% tags=["exercise"]
def td3_update(run, batch):
    # your code
    ...


check("9.6", td3_update)

# %% tags=["solution"]
import torch


def smaller_target(run, after):
    asked = run.target_actor(after.select("observation"))
    noise = (torch.randn_like(asked["action"]) * run.noise).clamp(-run.clip, run.clip)
    asked["action"] = (asked["action"] + noise).clamp(run.low, run.high)
    values = [critic(asked.clone())["state_action_value"] for critic in run.target_critics]
    return after["reward"] + run.gamma * torch.stack(values).amin(0) * ~after["terminated"]


def minimise(optimiser, loss):
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


# %% tags=["solution"]
def td3_update(run, batch):
    with torch.no_grad():
        target = smaller_target(run, batch["next"])
    steps = batch.select("observation", "action")
    values = [critic(steps.clone())["state_action_value"] for critic in run.critics]
    minimise(run.critic_optimiser, sum(((value - target) ** 2).mean() for value in values))
    if run.updates % run.actor_every == 0:
        played = run.actor(batch.select("observation"))
        minimise(run.actor_optimiser, -run.critics[0](played)["state_action_value"].mean())
    with torch.no_grad():
        pairs = zip(run.target_critics, run.critics, strict=True)
        for target, online in [(run.target_actor, run.actor), *pairs]:
            for old, new in zip(target.parameters(), online.parameters(), strict=True):
                old.lerp_(new, run.tau)


check("9.6", td3_update)

# %% [markdown]
# Does it learn? The loop of above with an update in it, 8,000 frames. The folded cell after it trains with the
# `td3_update` that was defined last: yours, if you pass over the solution. It needs about as many frames as TD3
# did: what a loss of TorchRL does you can write in thirty lines; what it saves you is finding the mistakes in them.


# %% tags=["look"]
def train_by_hand(run, update, watch):
    options = {"frames_per_batch": 50, "total_frames": 8_000, "init_random_frames": 500}
    options |= {"auto_register_policy_transforms": False, "track_traj_ids": False}
    collector = Collector(make_envs(10, 1_000 * seed), run.explorer, **options)
    for number, batch in enumerate(collector, start=1):
        run.buffer.extend(batch.reshape(-1))
        for _ in range(10 if number > 10 else 0):
            run.updates += 1
            update(run, run.buffer.sample())
        if number % 20 == 0:
            watch(50 * number, greedy=evaluate(run.actor, 10, seed=500_000_000).mean().item())
    collector.shutdown()


# %% tags=["solution"]
by_hand = parts_by_hand(seed)
with LivePlot(threshold=-200, total=8_000) as live:
    train_by_hand(by_hand, td3_update, live.add)
by_hand_returns = evaluate(by_hand.actor, 100, seed=1_000_000_000 + 1_000 * seed)
print(f"mean {by_hand_returns.mean():.0f} over 100 fresh episodes, after 8,000 frames")

# %% [markdown]
# ## What you can do now
# You can write DDPG as a complete program and turn it into TD3, SAC and REDQ by swapping a loss and
# the parts it needs; you can write TD3's update without a loss; you can let the program tell what such
# a swap changed, and judge by a rule and
# over seeds what it bought.
#
# **Try next:** SAC with more critics is one argument away, `SACLoss(..., num_qvalue_nets=4)`. Or make
# `learn` run 50 times for each batch in place of 10, halve the frames, and see whom it helps:
# predict first, then use more than one seed.
#
# Next: [{{next title}}]({{next file}})
