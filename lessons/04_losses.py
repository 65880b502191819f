# ---
# jupyter:
#   course:
#     title: "Losses: what should the network have said?"
#     objectives:
#       - compute returns, targets and TD errors by hand, and find them again in `DQNLoss`
#       - tell which ends of an episode end the future, and let a target network follow slowly
#       - read a loss tensordict, and say which parameters each of its losses moves
#       - choose how far a target looks ahead with TD(0), TD(λ) and GAE, and judge actions by it
#       - write an optimiser step that forgets nothing, and a loss of your own
#     prerequisites: lessons 01 to 03 (environments, TensorDict, modules and actors)
#     minutes: {reading: 61, exercises: 39, short: 38}
# ---

# %% [markdown]
# ## What should the network have said?  (about 1 min to here)
#
# In supervised learning every picture comes with its label, and the loss compares. An agent gets
# no labels. It gets rewards, often late: the goal that counts was prepared ten moves before. So
# the question of this lesson is where the *right answers* come from that a loss needs.
#
# The first answer: wait and see. So far a **return** was the plain sum of an episode's rewards, and
# agents are still judged by that. To *train*, later rewards count less: the return from a step is the
# sum of the rewards from there on, each multiplied by $\gamma$ for every step it lies in the future:
#
# $$ G_t = r_t + \gamma\, r_{t+1} + \gamma^2\, r_{t+2} + \dots $$

# %%
import torch

reward = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 2.0])
gamma = 0.9
weights = gamma ** torch.arange(len(reward))
print("weights ", weights.numpy().round(2))
print("weighted", (weights * reward).numpy().round(2))
print(f"return from step 0: {(weights * reward).sum():.3f}")

# %% [markdown]
# Two rewards, 1 and 2, are worth less than 3 from where we stand: the later one has lost more. How
# far ahead an agent cares is the choice of $\gamma$.

# %%
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, axes = plt.subplots()
ahead = torch.arange(60)
for discount in [0.5, 0.9, 0.97, 0.99]:
    axes.plot(ahead, discount**ahead, label=f"$\\gamma$ = {discount}")
axes.set(xlabel="steps until the reward comes", ylabel="what is left of it")
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"What is left of a reward that comes later. After 20 steps {0.5**20:.6f} for gamma 0.5, "
    f"{0.9**20:.2f} for 0.9, {0.99**20:.2f} for 0.99.",
)

# %% [markdown]
# With $\gamma = 0.5$ the agent lives for the next few steps; with 0.99 a reward 60 steps away still
# counts for more than half.
#
# ### Exercise 4.1: one return per step  (4 min)
# Write `discounted_returns(reward, gamma)`. `reward` holds the rewards of one whole episode, shape
# `[time]`. Return a tensor of the same shape: the return from *every* step.
# <details><summary>Hint</summary>The last return is the last reward. From there walk backwards:
# how does the return of a step follow from the return of the step after it?</details>

# %% tags=["exercise"]
from course_utils import check


def discounted_returns(reward, gamma):
    # your code
    ...


check("4.1", discounted_returns)


# %% tags=["solution"]
def discounted_returns(reward, gamma):
    returns = torch.zeros_like(reward)
    following = 0.0
    for step in reversed(range(len(reward))):
        following = reward[step] + gamma * following
        returns[step] = following
    return returns


check("4.1", discounted_returns)

# %% [markdown]
# ## One step, one surprise  (about 9 min to here)
#
# Waiting for the end is slow, and one lucky episode is a poor witness. The second answer: look one
# step ahead, and *trust your own estimate* for the rest. The **state** $s$ is what the agent sees,
# here the observation. Let $Q(s, a)$ be the network's guess at the return after action $a$ in state
# $s$ (what the action is *worth*). One step later the reward $r$ and the next state $s'$ are known.
# From $s'$ on we assume that the agent takes the action it thinks best, hence the largest $Q$; and the
# network should have said
#
# $$ y = r + \gamma \max_{a'} Q(s', a') $$
#
# That is the **target**. What the network did say, $Q(s, a)$, misses it by the **TD error**
# $y - Q(s, a)$ (TD for *temporal difference*: two guesses, one step apart). Learning from one's own
# guesses is called **bootstrapping**.
#
# Let an untrained agent play CartPole for 64 steps.

# %%
from torchrl.envs import GymEnv
from torchrl.modules import MLP, QValueActor

torch.manual_seed(0)
env = GymEnv("CartPole-v1", categorical_action_encoding=True)
env.set_seed(0)
network = MLP(in_features=4, out_features=2, num_cells=[32])
agent = QValueActor(network, in_keys=["observation"], spec=env.action_spec)
with torch.no_grad():
    steps = env.rollout(64, agent, break_when_any_done=False)
steps.select("observation", "action", "next")

# %% [markdown]
# Everything the formula needs is there: $s$, $a$, and under `next` the reward and $s'$. Now by
# hand. `no_grad` around the target says: this is the answer to aim at, not something to be moved.

# %%
said = network(steps["observation"]).gather(1, steps["action"].unsqueeze(1))
with torch.no_grad():
    best_next = network(steps["next", "observation"]).max(1, keepdim=True).values
    target = steps["next", "reward"] + gamma * best_next * ~steps["next", "terminated"]
td_error = target - said
by_hand = td_error.pow(2).mean()

print("   said  target  TD error")
for row in torch.cat([said, target, td_error], 1)[:6].tolist():
    print("".join(f"{number:8.3f}" for number in row))

# %% [markdown]
# The untrained network says something near 0, and each step pays a reward of 1: it is surprised by
# about 1 every time. The mean of the squared surprises is the loss. (`~terminated` switches the
# future off where there is none; that is the next section.)
#
# In TorchRL a loss is a module: it takes the agent once, then a tensordict of steps at each call.
# The discount belongs to its *value estimator*, the part that makes the targets. (`delay_value` is
# explained two sections on; `False` means that the network itself answers for $s'$, as above.)

# %%
from torchrl.objectives import DQNLoss

loss_module = DQNLoss(agent, loss_function="l2", delay_value=False)
loss_module.make_value_estimator(gamma=gamma)
losses = loss_module(steps)
print("TorchRL   ", losses["loss"].item())
print("by hand   ", by_hand.item())
print("difference", abs(losses["loss"] - by_hand).item())

# %% [markdown]
# The same number up to rounding. `l2`, the squared error, is what `DQNLoss` takes if nothing is
# said; `smooth_l1` grows only in proportion to large errors. What does the module need for it?

# %%
from course_utils import flow

flow(loss_module, steps)

# %% [markdown]
# A circle is a key that is read, a square one that is written. The network is asked about the
# observation and about the next one; the loss itself reads the action, the reward and two flags (what
# each of them is good for is the next section), and gives one entry, `loss`. Besides, it writes
# something into the data:

# %% tags=["nbval-check-output"]
print("writes", "td_error", list(steps["td_error"].shape), "into the data")
print("it is the TD error:       ", torch.allclose(steps["td_error"], td_error))
print("it is the TD error squared:", torch.allclose(steps["td_error"], td_error.pow(2)))

# %% [markdown]
# One number per step, so that a replay buffer can later prefer the surprising ones. Careful with
# the name: what `DQNLoss` writes as `td_error` is its *square*.
#
# ## When does the future count?  (about 15 min to here)
#
# Three steps, each with a reward of 1, each leading to a state worth 10. After the first the
# episode goes on. The second is *terminated*: the pole fell. The third is *truncated*: the clock
# ran out, the pole still stands. `done` is true for both ends. With $\gamma = 0.9$: which three
# targets do you expect?

# %% tags=["nbval-check-output"]
from tensordict import TensorDict
from torchrl.objectives.value import TD0Estimator

worth = torch.full((3, 1), 10.0)
ends = {
    "reward": torch.ones(3, 1),
    "terminated": torch.tensor([[False], [True], [False]]),
    "truncated": torch.tensor([[False], [False], [True]]),
    "done": torch.tensor([[False], [True], [True]]),
}
three = TensorDict({"next": ends}, batch_size=[3])
estimator = TD0Estimator(gamma=0.9, value_network=None)
targets = estimator.value_estimate(three, next_value=worth)
for name, value in zip(["goes on", "terminated", "truncated"], targets, strict=True):
    print(f"{name:10}  target {value.item():.1f}")

# %% [markdown]
# The truncated step has the same target as the one that goes on. The world did not end there, only
# our watching did, so the value of the next state still counts. TorchRL bootstraps through every
# step that is not `terminated`. Asking `done` instead would teach the agent that surviving until the
# clock stops is as bad as falling:

# %% tags=["nbval-check-output"]
wrong = ends["reward"] + 0.9 * worth * ~ends["done"]
print("had we asked `done`:", wrong.squeeze(1).tolist())
print("inside DQNLoss:", type(loss_module.value_estimator).__name__)

# %% [markdown]
# That estimator is the very object that `DQNLoss` keeps inside. Why, then, did `flow` show that the
# loss reads `("next", "done")`? We turn each of the two flags around and look whether the loss moves.

# %% tags=["nbval-check-output"]
for flag in ["done", "terminated"]:
    turned = steps.clone()
    turned["next", flag] = ~turned["next", flag]
    same = torch.equal(loss_module(turned)["loss"], losses["loss"])
    print(f"{flag:10} turned around: the loss is", "the same" if same else "another one")

# %% [markdown]
# `done` is fetched, and its value changes nothing. It stands in for `terminated` where data has no such
# entry, and estimators that look further than one step ask it where a trajectory stops.
#
# ## A target that does not run away  (about 19 min to here)
#
# There is something odd about bootstrapping: the network is both the pupil and the one who writes
# the answers. Move it towards a target, and the target moves as well. We take one gradient step on
# the 64 steps, and look at what the network then says about the states *after* them, from which
# the targets were made.
#
# With `delay_value=True` the loss keeps a second set of the same weights, the **target network**.
# It takes no part in training (the optimiser does not even see it), and it answers for $s'$. A
# **target updater** says how it follows the network being trained, the *online* network. Make it
# as soon as the loss exists: making it copies the online weights into the target.
#
# We ask both for the best value in each $s'$, and take the mean. The agent holds the online weights;
# `to_module` lends it the target's, until the `with` ends.

# %%
from torchrl.objectives import SoftUpdate

loss_module = DQNLoss(agent, loss_function="l2", delay_value=True)
loss_module.make_value_estimator(gamma=gamma)
updater = SoftUpdate(loss_module, eps=0.99)
optimiser = torch.optim.SGD(loss_module.parameters(), lr=0.01)


def mean_best_value():
    next_states = steps["next"].select("observation")
    return agent(next_states)["chosen_action_value"].mean().item()


def both_say():
    with torch.no_grad():
        online = mean_best_value()
        with loss_module.target_value_network_params.to_module(agent):
            target = mean_best_value()
    return {"online network": online, "target network": target}


# %%
before = both_say()
loss_module(steps)["loss"].backward()
optimiser.step()
after = both_say()
for name in before:
    print(f"{name} says of s': {before[name]:.4f} -> {after[name]:.4f}")

# %% [markdown]
# The step raised $Q$ at $s$, where the targets asked for more. All states share the weights, so $Q$ at
# $s'$ rose as well: a target made of it would have run away from us. The target network
# stood still, and will only now be moved, by `updater.step()`: a **soft update** mixes a little of
# the new weights into the old,
#
# $$ \theta_\text{target} \leftarrow \varepsilon\, \theta_\text{target} +
# (1 - \varepsilon)\, \theta_\text{online} $$
#
# `eps` is the share that *stays* (no relation to the epsilon of exploration). To see it move we
# take the smallest network there is, one single weight. `watch_target` lets the online weight take
# the values of a path, calls `updater.step()` at each, and notes the target's weight, which begins
# at 0.


# %%
from torchrl.data import Categorical


def watch_target(path, make_updater):
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    loss = DQNLoss(QValueActor(layer, spec=Categorical(1)), delay_value=True)
    updater = make_updater(loss)
    (target_weight,) = loss.target_value_network_params.values(True, True)  # the only one there is
    seen = []
    for number in path:
        layer.weight.data.fill_(number)
        updater.step()
        seen.append(target_weight.item())
    return seen


# %% tags=["nbval-check-output"]
seen = watch_target([1, 1, 1, 1], lambda loss: SoftUpdate(loss, eps=0.99))
for call, weight in enumerate(seen, start=1):
    print(f"after call {call}: target weight {weight:.6f}")

# %% [markdown]
# With `eps=0.99` the target goes 1 % of the way at each call: 0.01 of 1 first, then 1 % of what is
# left, and so on. Many papers call the moving share $\tau$; `SoftUpdate(loss, tau=0.01)` is the
# same thing, and exactly one of the two may be given.
#
# The other kind, `HardUpdate`, waits, then copies everything. We let the online weight count the
# calls, so that the target's weight tells at which call it was last copied.

# %% tags=["nbval-check-output"]
from torchrl.objectives import HardUpdate

seen = watch_target(range(1, 13), lambda loss: HardUpdate(loss, value_network_update_interval=3))
for call, weight in enumerate(seen, start=1):
    print(f"call {call:2}: the target's weight is that of call {weight:.0f}")

# %% [markdown]
# An interval of 3, and a copy at every *fourth* call: in this version `HardUpdate` waits for the
# given number of calls and copies at the one after. It hardly matters for an interval of 1,000,
# but if you compare with another library, or step it once an epoch, it is good to know.
#
# Both kinds side by side, while the online weight wanders as it would in training. The interval
# of 59 means a copy at every 60th call:

# %%
generator = torch.Generator().manual_seed(4)
path = (0.02 + 0.15 * torch.randn(300, generator=generator)).cumsum(0)
kinds = {
    "soft, eps=0.99": lambda loss: SoftUpdate(loss, eps=0.99),
    "soft, tau=0.1": lambda loss: SoftUpdate(loss, tau=0.1),
    "hard, interval 59": lambda loss: HardUpdate(loss, value_network_update_interval=59),
}
followers = {name: watch_target(path.tolist(), kind) for name, kind in kinds.items()}

# %%
figure, axes = plt.subplots()
axes.plot(path, color="0.6", linewidth=1, label="online weight")
for name, seen in followers.items():
    axes.plot(seen, label=name)
axes.set(xlabel="calls of updater.step()", ylabel="weight")
figure.legend(loc="outside right upper")
distance = {name: (torch.tensor(seen) - path).abs().mean() for name, seen in followers.items()}
show_figure(
    figure,
    "A wandering online weight and three targets that follow it. Mean distance: "
    + ", ".join(f"{name} {value:.2f}" for name, value in distance.items())
    + ".",
)

# %% [markdown]
# A larger $\tau$ follows more closely and trembles more; a small one is smooth and late; the hard
# target stands still and then jumps. Slow targets are calm, fast ones are up to date: that is the
# trade.
#
# ### Exercise 4.2: how far has it come?  (3 min)
# Write `follow(target, online, eps, steps)`: the target weights after `steps` soft updates, while
# `online` does not change. Both are tensors of the same shape; return a new one.
# <details><summary>Hint</summary>A loop will do. Or ask: what happens to the <em>difference</em>
# of the two in one update?</details>


# %% tags=["exercise"]
def follow(target, online, eps, steps):
    # your code
    ...


check("4.2", follow)


# %% tags=["solution"]
def follow(target, online, eps, steps):
    for _ in range(steps):
        target = eps * target + (1 - eps) * online
    return target


check("4.2", follow)

# %% [markdown]
# ## Two networks, two losses  (about 32 min to here)
#
# DQN compares all actions. On Pendulum an action is any torque between -2 and 2, so there is
# nothing to enumerate. DDPG (Lillicrap et al., 2016) uses two networks: an **actor** names one
# action, a **critic** says what that action is worth.

# %% tags=["nbval-check-output"]
from tensordict.nn import TensorDictSequential
from torchrl.modules import Actor, TanhModule, ValueOperator

torch.manual_seed(0)
pendulum = GymEnv("Pendulum-v1")
pendulum.set_seed(0)
raw = Actor(MLP(in_features=3, out_features=1, num_cells=[64]), in_keys=["observation"])
limit = TanhModule(in_keys=["action"], out_keys=["action"], spec=pendulum.action_spec)
actor = TensorDictSequential(raw, limit)
critic = ValueOperator(
    MLP(in_features=4, out_features=1, num_cells=[64]), in_keys=["observation", "action"]
)
for name, module in {"actor": actor, "critic": critic}.items():
    print(f"{name:6} reads {module.in_keys}, writes {module.out_keys}")

# %% [markdown]
# `TanhModule` squeezes what the network says into the limits of the spec. The critic reads the
# `action` that the actor writes: in a row they form one network from observation to value. Now 200
# steps of random play, and `DDPGLoss`. Both networks get a delayed copy.

# %%
from torchrl.objectives import DDPGLoss

swings = pendulum.rollout(200)
loss_module = DDPGLoss(actor, critic, delay_actor=True, delay_value=True)
loss_module.make_value_estimator(gamma=0.95)
target_updater = SoftUpdate(loss_module, tau=0.005)
losses = loss_module(swings)
for name, value in losses.items():
    shown = f"{value.item():8.3f}" if value.ndim == 0 else f"shape {list(value.shape)}"
    print(f"{name:16} {shown:12} has a graph: {value.requires_grad}")

# %% [markdown]
# Who reads what? With `delay_actor` and `delay_value` there are four networks now:

# %%
flow(loss_module, swings)

# %% [markdown]
# The two delayed copies, the targets, are asked about the next observation only, the two networks
# in training about this one, and only the critic needs the action that was taken. (The picture shows
# what enters and leaves; that the actor's action goes into the critic happens inside. `td_error`, a
# square as in `DQNLoss`, goes into the data besides.)
#
# A loss module answers with a tensordict, and here is the rule to read it: **names that begin with
# `loss_` are to be minimised; the rest is for you to look at.** `loss_value` is the critic's
# squared TD error. `loss_actor` is minus the critic's value of the actor's action: making it
# smaller makes the action better. `pred_value` and `target_value` are what the critic said and
# should have said. Go by the name: `pred_value` carries a graph too, and is not a loss. (`DQNLoss`
# has a single entry, called plain `loss`.)
#
# Two losses, two networks: which loss moves which? We send each backward alone and count the
# weight tensors that received a gradient.

# %% tags=["nbval-check-output"]
groups = {
    "actor": loss_module.actor_network_params,
    "critic": loss_module.value_network_params,
    "target actor": loss_module.target_actor_network_params,
    "target critic": loss_module.target_value_network_params,
}
reached = {}
for name in ["loss_actor", "loss_value"]:
    loss_module.zero_grad()
    loss_module(swings)[name].backward()
    for group, params in groups.items():
        tensors = [w for key, w in params.items(True, True) if key[-1] in ("weight", "bias")]
        reached[group, name] = f"{sum(w.grad is not None for w in tensors)} of {len(tensors)}"
print(f"{'':14} {'loss_actor':>10} {'loss_value':>10}")
for group in groups:
    print(f"{group:14} {reached[group, 'loss_actor']:>10} {reached[group, 'loss_value']:>10}")

# %% [markdown]
# A clean division. `loss_actor` passes *through* the critic, but stops short of its weights:
# otherwise the critic would learn to flatter the actor instead of telling the truth. `loss_value`
# leaves the actor alone. The target networks get nothing from either. That is why the two losses
# may simply be added and sent backward together.
#
# ## How far should a target look?  (about 39 min to here) (deeper)
#
# One step ahead and then a guess, or all the way to the end? There is everything in between. Here
# is one trajectory of 16 steps: a stumble costs 0.5 on the way, the goal at the end pays 1. The
# critic knows nothing yet and says 0.3 everywhere.

# %% tags=["nbval-check-output"]
length = 16
reward = torch.zeros(length, 1)
reward[5], reward[-1] = -0.5, 1.0
end = torch.zeros(length, 1, dtype=torch.bool)
end[-1] = True
believed = torch.full((length, 1), 0.3)
following = {"reward": reward, "terminated": end, "done": end, "state_value": believed}
walk = TensorDict({"state_value": believed, "next": following}, batch_size=[length])
walk

# %% [markdown]
# The last batch dimension is time. The values are already written under `state_value`, here and in
# `next`, so the estimators need no network (`value_network=None`). **TD(0)** (`TD0Estimator`)
# trusts the critic after one step. **TD(λ)** (`TDLambdaEstimator`) goes on, and at each further
# step gives weight $1 - \lambda$ to the critic's value $V$ of the next state and $\lambda$ to
# going on:
#
# $$ G^\lambda_t = r_t + \gamma \left[(1 - \lambda)\, V(s_{t+1}) +
# \lambda\, G^\lambda_{t+1}\right] $$
#
# With $\lambda = 1$ the target is the return, and the critic is asked only where the data stops
# before the episode has terminated.

# %%
from torchrl.objectives.value import GAE, TDLambdaEstimator

estimators = {
    "TD(0)": TD0Estimator(gamma=0.95, value_network=None),
    "TD(λ), λ = 0.8": TDLambdaEstimator(gamma=0.95, lmbda=0.8, value_network=None),
    "TD(λ), λ = 1": TDLambdaEstimator(gamma=0.95, lmbda=1.0, value_network=None),
    "GAE, λ = 0.8": GAE(gamma=0.95, lmbda=0.8, value_network=None),
}
estimates = {name: estimator(walk.clone()) for name, estimator in estimators.items()}
estimates["GAE, λ = 0.8"].select("advantage", "value_target")

# %% [markdown]
# Each estimator writes two entries: the `value_target` the critic should have said, and the
# `advantage`, how much better it went than the critic believed.

# %%
figure, axes = plt.subplots()
styles = ["-", "-", "-", ":"]
for (name, estimate), style in zip(estimates.items(), styles, strict=True):
    width = 4 if name.startswith("GAE") else 1.5
    axes.plot(estimate["value_target"].squeeze(1), style, label=name, linewidth=width, marker=".")
axes.axhline(0.3, color="0.6", linewidth=1)
axes.set(xlabel="step", ylabel="value target")
figure.legend(loc="outside right upper")
first = {name: estimate["value_target"][0].item() for name, estimate in estimates.items()}
show_figure(
    figure,
    "Value targets along the trajectory; the critic says 0.3 everywhere. At step 0: "
    + ", ".join(f"{name} {value:.2f}" for name, value in first.items())
    + ". All of them are 1 at the last step.",
)

# %% [markdown]
# TD(0) notices the stumble and the goal only on the very step; everywhere else it repeats the
# critic, discounted once. The return ($\lambda = 1$) carries both back to the first step.
# $\lambda = 0.8$ carries them back a few steps and fades. And the dotted line, of a fourth estimator,
# lies on that of TD(λ) with $\lambda = 0.8$:
#
# **GAE** (*generalised advantage estimation*, Schulman et al., 2016; in TorchRL `GAE`) is the same
# idea told from the other side. It starts from the TD errors and adds those that follow, fading:
#
# $$ \delta_t = r_t + \gamma V(s_{t+1}) - V(s_t), \qquad
# A_t = \delta_t + \gamma\lambda\, \delta_{t+1} + (\gamma\lambda)^2\, \delta_{t+2} + \dots $$

# %%
lambda_return, gae = estimates["TD(λ), λ = 0.8"], estimates["GAE, λ = 0.8"]
gap = (gae["advantage"] - (lambda_return["value_target"] - walk["state_value"])).abs().max()
print(f"largest |GAE advantage - (TD(λ) target - value)|: {gap:.1e}")

# %% [markdown]
# The GAE advantage is the TD(λ) target minus the value. Both $\gamma$ and $\lambda$ let credit
# fade, so let us turn them separately.

# %%
figure, panels = plt.subplots(1, 3, sharey=True, figsize=(9, 3))
blame = {}
for panel, discount in zip(panels, [0.8, 0.95, 1.0], strict=True):
    for lmbda in [0.0, 0.8, 1.0]:
        estimate = GAE(gamma=discount, lmbda=lmbda, value_network=None)(walk.clone())
        panel.plot(estimate["advantage"].squeeze(1), label=f"λ = {lmbda}", marker=".")
        blame[discount, lmbda] = estimate["advantage"][10].item()
    panel.axhline(0, color="0.6", linewidth=1)
    panel.set(title=f"$\\gamma$ = {discount}", xlabel="step")
panels[0].set_ylabel("advantage (GAE)")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
show_figure(
    figure,
    "Advantages for three discounts and three lambdas. Credit at step 10, five steps before the "
    "goal: " + ", ".join(f"gamma {g}, lambda {x}: {v:.2f}" for (g, x), v in blame.items()) + ".",
)

# %% [markdown]
# They are not the same knob. $\gamma$ says what is *worth* something: with 0.8 the goal is worth
# little from afar, whatever $\lambda$ is, and the critic's 0.3 looks too high. $\lambda$ says whom
# to *believe*, the critic or what happened. Turn them yourself (in JupyterLab or Colab): which of
# the three curves does $\lambda$ leave alone, and for which $\lambda$ do two of them meet?


# %%
def draw_credit(gamma=0.95, lmbda=0.8):
    estimate = GAE(gamma=gamma, lmbda=lmbda, value_network=None)(walk.clone())
    returns = GAE(gamma=gamma, lmbda=1.0, value_network=None)(walk.clone())["value_target"]
    curves = {
        "return": returns,
        "target": estimate["value_target"],
        "advantage": estimate["advantage"],
    }
    figure, axes = plt.subplots()
    for name, curve in curves.items():
        axes.plot(curve.squeeze(1), label=name, marker=".")
    axes.set(xlabel="step", ylim=(-1.0, 1.1))
    figure.legend(loc="outside right upper")
    first = ", ".join(f"{name} {curve[0].item():.3f}" for name, curve in curves.items())
    return show_figure(figure, f"At step 0 with gamma {gamma:.2f} and lambda {lmbda:.2f}: {first}.")


# %%
from course_utils import sliders

sliders(draw_credit, gamma=(0.0, 1.0), lmbda=(0.0, 1.0))

# %% [markdown]
# The return knows no $\lambda$; with $\lambda = 1$ the target is the return. And at $\gamma = 0$ each
# target is just the reward of that step.
#
# Why not always believe what happened? Because it is noisy. Here are 10,000 walks. Now each step pays
# about 0.2, give or take, so the first step is really worth much more than the 0.3 that the critic
# still says. We look at the target of that step.

# %%
torch.manual_seed(0)
many = walk.expand(10_000, length).clone()
many["next", "reward"] = 0.2 + 0.5 * torch.randn(10_000, length, 1)
truth = (0.95 ** torch.arange(length) * 0.2).sum()
print(f"true value of the first step: {truth:.2f}; the critic says 0.30")
for lmbda in [0.0, 0.5, 0.8, 0.9, 0.95, 1.0]:
    estimate = GAE(gamma=0.95, lmbda=lmbda, value_network=None)(many.clone())
    first = estimate["value_target"][:, 0]
    error = (first - truth).pow(2).mean().sqrt()
    print(
        f"λ = {lmbda:<4}  mean {first.mean():5.2f}  spread {first.std():5.2f}  error {error:5.2f}"
    )

# %% [markdown]
# Small $\lambda$: little spread, but the mean repeats the critic's mistake (*bias*). $\lambda = 1$:
# right on average, while any single walk can be far off (*variance*). The last column counts both
# (the root of the mean squared error): neither end of the scale is best here.
#
# ### Exercise 4.3: GAE by hand  (6 min)
# Real data holds several episodes in one row. Write
# `gae(reward, value, next_value, terminated, done, gamma, lmbda)` and return the advantages.
# All tensors have shape `[time, 1]`, the flags are boolean. `next_value` is the value of each
# step's own next state. Two things must be right: where a step has no future, and where the sum of
# the $\delta$ must not run on into the next episode.
# <details><summary>Hint</summary>As in 4.1, go backwards: A<sub>t</sub> is
# &delta;<sub>t</sub> plus a faded A<sub>t+1</sub>. One flag belongs in &delta;, the other one in
# front of A<sub>t+1</sub>.</details>


# %% tags=["exercise"]
def gae(reward, value, next_value, terminated, done, gamma, lmbda):
    # your code
    ...


check("4.3", gae)


# %% tags=["solution"]
def gae(reward, value, next_value, terminated, done, gamma, lmbda):
    delta = reward + gamma * next_value * ~terminated - value
    advantage = torch.zeros_like(reward)
    following = torch.zeros(1)
    for step in reversed(range(len(reward))):
        following = delta[step] + gamma * lmbda * following * ~done[step]
        advantage[step] = following
    return advantage


check("4.3", gae)

# %% [markdown]
# ## A loss for decisions  (about 57 min to here) (deeper)
#
# So far the network said what things are worth. A *policy* says how likely each action is, and
# there is no right answer for a probability. But there is an advantage: did it go better than
# expected after this action? The **policy gradient** makes an action more likely in proportion to
# its advantage, and less likely where the advantage is negative:
#
# $$ L = -\frac{1}{n} \sum_t \log \pi(a_t \mid s_t)\; A_t $$
#
# Three actions, equally likely at first. Action 0 was tried once and went well, action 1 twice
# and went badly, action 2 went as expected. Predict, then run: what happens to each?

# %%
scores = torch.zeros(3, requires_grad=True)
taken = torch.tensor([0, 1, 1, 2])
advantage = torch.tensor([2.0, -1.0, -1.0, 0.0])
loss = -(scores.log_softmax(-1)[taken] * advantage).mean()
loss.backward()
with torch.no_grad():
    before = scores.softmax(-1).tolist()
    after = (scores - scores.grad).softmax(-1).tolist()

figure, axes = plt.subplots(figsize=(6, 2.8))
axes.bar([-0.2, 0.8, 1.8], before, 0.4, label="before", color="0.7")
axes.bar([0.2, 1.2, 2.2], after, 0.4, label="after one step")
axes.set(xlabel="action", ylabel="probability", xticks=[0, 1, 2])
figure.legend(loc="outside right upper")
moved = ", ".join(f"action {i}: {before[i]:.2f} to {after[i]:.2f}" for i in range(3))
show_figure(figure, f"Probabilities before and after one step. {moved}.")

# %% [markdown]
# Action 0 rose, action 1 fell, and action 2 slipped a little only because the three must add up
# to 1. Now on CartPole. `ExplorationType.RANDOM` makes the policy draw its actions, and
# `return_log_prob=True` notes how likely each was at the time. The loss will compute the
# log-probabilities afresh, with a graph; the data needs none, hence `no_grad`.

# %%
from tensordict.nn import TensorDictModule
from torchrl.envs import ExplorationType, set_exploration_type
from torchrl.modules import ProbabilisticActor

torch.manual_seed(0)
env.set_seed(0)
scores = MLP(in_features=4, out_features=2, num_cells=[32])  # one per action
policy = ProbabilisticActor(
    TensorDictModule(scores, in_keys=["observation"], out_keys=["logits"]),
    in_keys=["logits"],
    spec=env.action_spec,
    distribution_class=torch.distributions.Categorical,
    return_log_prob=True,
)
value = ValueOperator(MLP(in_features=4, out_features=1, num_cells=[32]), in_keys=["observation"])
with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
    play = env.rollout(64, policy, break_when_any_done=False)
GAE(gamma=0.99, lmbda=0.95, value_network=value)(play)
play.select("action", "action_log_prob", "advantage", "value_target")

# %% [markdown]
# GAE has added `advantage` and `value_target` to the data. `ReinforceLoss` reads them, and is the
# formula above plus a loss for the critic:

# %%
from torchrl.objectives import ReinforceLoss

reinforce = ReinforceLoss(policy, value)
losses = reinforce(play)
by_hand = -(play["action_log_prob"] * play["advantage"].squeeze(-1)).mean()
print("gives", sorted(losses.keys()))
print("loss_actor", losses["loss_actor"].item())
print("by hand   ", by_hand.item())
print("difference", abs(losses["loss_actor"] - by_hand).item())

# %% [markdown]
# A loss of this kind is not a score to watch. Its value depends on which actions happened to be
# tried; what counts is its gradient.
#
# `ClipPPOLoss`, the loss of PPO, is built on the same gradient. It compares the new probability of
# an action with the one noted in `action_log_prob`, and ceases to push once they are too far apart
# (*clipping*). At the first update they are equal, so nothing is clipped:

# %%
from torchrl.objectives import ClipPPOLoss

ppo = ClipPPOLoss(policy, value)
losses = ppo(play)
weights = list(policy.parameters())
ours = torch.autograd.grad(reinforce(play)["loss_actor"], weights)
theirs = torch.autograd.grad(losses["loss_objective"], weights)
gap = max((one - other).abs().max().item() for one, other in zip(ours, theirs, strict=True))
print(f"largest difference of the two gradients: {gap:.1e}\n")
for name, number in losses.items():
    print(f"{name:18} {number.item():8.3f}" + ("   <- a loss" if name[:5] == "loss_" else ""))

# %% [markdown]
# Same gradient, though the numbers differ (this loss takes the *ratio* of the two probabilities, new
# to noted, not a logarithm). Three entries are losses, to be added:
#
# | entry | what it says | here |
# | --- | --- | --- |
# | `loss_objective` | the actor's loss: minus ratio times advantage, clipped | the advantages' mean, negative |
# | `loss_critic` | how far the critic is from `value_target` | large: nothing learned yet |
# | `loss_entropy` | minus a little of the entropy: rewards a policy that keeps its options open | negative |
#
# The rest tells how the update is going: how undecided the policy is (`entropy`), how far it has moved
# from the noted one, and whether the critic knows its targets. Lesson 08 reads them as instruments.
#
# ### Exercise 4.4: the policy-gradient loss  (4 min)
# Write `policy_loss(logits, action, returns, value)`. `logits` has shape `[batch, actions]`,
# `action` (whole numbers), `returns` and `value` have shape `[batch]`. The advantage is the return
# minus the critic's `value`. Return $L$ of the formula above, a mean; its gradient reaches the logits
# *only*.
# <details><summary>Hint</summary><code>log_softmax(-1)</code> makes log-probabilities, and
# <code>gather(1, action[:, None])</code> takes one from each row. <code>detach()</code> cuts a
# tensor off from what it was made of.</details>


# %% tags=["exercise"]
def policy_loss(logits, action, returns, value):
    # your code
    ...


check("4.4", policy_loss)


# %% tags=["solution"]
def policy_loss(logits, action, returns, value):
    log_prob = logits.log_softmax(-1).gather(1, action[:, None]).squeeze(1)
    advantage = (returns - value).detach()
    return -(log_prob * advantage).mean()


check("4.4", policy_loss)

# %% [markdown]
# ## A step that forgets nothing  (about 69 min to here)
#
# All losses of TorchRL are used alike. First of all, what is to be sent backward?
#
# ### Exercise 4.5: which ones to add  (3 min)
# Write `total_loss(losses)`: the one number to send backward, for the tensordict of *any* loss
# module that follows the naming rule.
# <details><summary>Hint</summary>A tensordict has <code>items()</code>, like a dictionary; a name
# has <code>startswith</code>.</details>


# %% tags=["exercise"]
def total_loss(losses):
    # your code
    ...


check("4.5", total_loss)


# %% tags=["solution"]
def total_loss(losses):
    return sum(value for name, value in losses.items() if name.startswith("loss_"))


check("4.5", total_loss)

# %% [markdown]
# Here is one full update of the DDPG agent from "Two networks, two losses", an actor and a critic with
# a loss each. Each line has a job, and leaving out one of those with a comment raises no error.

# %%
optimiser = torch.optim.Adam(loss_module.parameters(), lr=1e-3)


def update(data):
    losses = loss_module(data)
    total = sum(value for name, value in losses.items() if name.startswith("loss_"))
    optimiser.zero_grad()  # else the gradients of the last update are still in there
    total.backward()  # only computes gradients, moves nothing
    norm = torch.nn.utils.clip_grad_norm_(loss_module.parameters(), max_norm=10.0)
    optimiser.step()  # moves the online networks
    target_updater.step()  # lets the target networks follow
    return losses.detach(), norm


# %% [markdown]
# What did one update move? We compare all weights before and after.

# %%
before = {group: params.data.clone() for group, params in groups.items()}
losses, norm = update(swings)
print(f"length of the gradient before clipping: {norm:.1f}\n")
for group, params in groups.items():
    moved = (params.data - before[group]).abs().values(include_nested=True, leaves_only=True)
    print(f"{group:14} moved by at most {max(change.max().item() for change in moved):.1e}")

# %% [markdown]
# The online networks moved by about the learning rate (Adam's first step always does), the target
# networks by the 0.5 % of that which `tau=0.005` allows. The gradient was longer than 10 and was
# cut to that length. It does not show in this first step, but in the averages that Adam keeps one
# odd batch can no longer drown out the others. Now 200 updates on the same 200 steps.

# %%
history = [update(swings)[0].select("loss_value", "loss_actor") for _ in range(200)]

# %%
figure, panels = plt.subplots(1, 2, figsize=(8, 3))
for panel, name in zip(panels, ["loss_value", "loss_actor"], strict=True):
    panel.plot([losses[name].item() for losses in history])
    panel.set(xlabel="update", title=name)
start, stop = history[0], history[-1]
show_figure(
    figure,
    f"Over 200 updates loss_value goes from {start['loss_value']:.1f} to "
    f"{stop['loss_value']:.1f}, loss_actor from {start['loss_actor']:.1f} to "
    f"{stop['loss_actor']:.1f}.",
)

# %% [markdown]
# `loss_value` falls: the critic comes closer to its targets. `loss_actor` *rises*, and nothing is
# wrong. It is minus the value of the actor's actions, and the critic is just finding out that on
# Pendulum all rewards are negative. A loss tells whether the optimiser works; whether the agent is
# any good, only play can tell.
#
# Finally the slip that many first loops contain. The loss is computed, `backward()` is called, the
# loop runs through, and no error appears:

# %%
frozen = loss_module.value_network_params.data.clone()
loss_module.zero_grad()
for turn in range(1, 4):
    loss_module(swings)["loss_value"].backward()
    grads = [weight.grad for weight in critic.parameters()]
    print(
        f"turn {turn}: length of the critic's gradient {torch.nn.utils.get_total_norm(grads):.2f}"
    )
unmoved = (loss_module.value_network_params.data == frozen).all()
print("the critic is exactly what it was:", unmoved)

# %% [markdown]
# Two mistakes in one. Without `optimiser.step()` nothing was learned. Without `zero_grad()` each
# gradient was added to the ones before: the second is twice, the third three times the first.
# A loop that does not learn is worth this look: *did the weights move, and is the gradient fresh?*
#
# ## Build it: a loss of your own  (about 78 min to here) (deeper)
#
# Everything a loss module does you have now done by hand once. The last two exercises put it together:
# first the target for real data, then a whole loss.
#
# ### Exercise 4.6: the target, from data as it comes  (4 min)
# Write `td_targets(steps, next_value, gamma)`. `steps` is a tensordict as a collector or a rollout
# gives it: the flags stand in it twice, and the reward once. `next_value` holds the value of each step's
# next state, shape `[..., 1]` like the reward. Return the one-step targets in that shape.
# <details><summary>Hint</summary>What came of a step stands under <code>next</code>:
# <code>steps["next", "reward"]</code>. The flags outside tell how things stood <em>before</em> the
# step.</details>


# %% tags=["exercise"]
def td_targets(steps, next_value, gamma):
    # your code
    ...


check("4.6", td_targets)


# %% tags=["solution"]
def td_targets(steps, next_value, gamma):
    has_future = ~steps["next", "terminated"]
    return steps["next", "reward"] + gamma * next_value * has_future


check("4.6", td_targets)

# %% [markdown]
# Now a whole loss. What would it be good for? `teach` hands a loss a fresh network and lets it learn
# CartPole from nothing but 3,000 steps of random play: 600 updates, each from 128 of these steps.

# %%
env.set_seed(0)
record = env.rollout(3_000, break_when_any_done=False)


def mean_length(agent):
    with torch.no_grad():
        return sum(len(env.rollout(500, agent)) for _ in range(10)) / 10


def teach(make_loss):
    torch.manual_seed(0)
    network = MLP(in_features=4, out_features=2, num_cells=[64, 64], activation_class=torch.nn.ReLU)
    agent = QValueActor(network, in_keys=["observation"], spec=env.action_spec)
    loss, before = make_loss(network, gamma=0.9), mean_length(agent)
    trained = [weight for weight in loss.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=1e-3)
    for update in range(1, 601):
        number = loss(record[torch.randint(len(record), (128,))])
        optimiser.zero_grad()
        number.backward()
        optimiser.step()
        if update % 20 == 0:
            loss.update_target()
    return f"ten episodes last {before:.0f} steps before, {mean_length(agent):.0f} after"


# %% [markdown]
# ### Exercise 4.7: build it: a loss of your own  (15 min)
# Write `QLoss`, a class that does what `DQNLoss` does, in as many cells of your own as you like.
#
# - `loss = QLoss(network, gamma)`: `network` is a module that takes observations and gives one value
#   for each action. The loss keeps a copy of it, the target network.
# - `loss(steps)` gives one number with a graph: the mean squared TD error. `steps` is a tensordict of any
#   batch shape, with `observation`, `action` (whole numbers, one a step), and under `next`
#   `observation`, `reward`, `done`, `terminated` and `truncated`; the reward and the flags have a last
#   dimension of 1.
# - `loss.update_target()` copies the network being trained into the target.
# - `loss.parameters()` must contain the weights being trained, for an optimiser; frozen target weights
#   may be among them.
#
# A `torch.nn.Module` will do; a `LossModule` of TorchRL's (in `torchrl.objectives`) as well. The check
# compares numbers, gradients and a moment of training with those of a right one. Once it agrees, run
# `print(teach(QLoss))`: random play lasts about 20 steps.
#
# <details><summary>Hint 1: the frame</summary>A subclass of <code>torch.nn.Module</code> with
# <code>__init__</code>, <code>forward</code> and <code>update_target</code>. Call
# <code>super().__init__()</code> first.</details>
#
# <details><summary>Hint 2: the copy</summary><code>copy.deepcopy(network)</code> makes it,
# <code>requires_grad_(False)</code> keeps it out of training, and <code>load_state_dict</code> copies
# into it later. Not in <code>forward</code>: that would be a target that runs away.</details>
#
# <details><summary>Hint 3: the value of the action taken</summary>
# <code>values.gather(-1, steps["action"].unsqueeze(-1))</code> has the reward's shape. So has the best
# next value, with <code>max(-1, keepdim=True).values</code>. A tensor that lost its last dimension
# broadcasts to a square.</details>
#
# <details><summary>Hint 4: the gradient</summary>The target is an answer to aim at: make it inside
# <code>with torch.no_grad():</code>. The value of the action taken stays outside.</details>


# %% tags=["exercise"]
class QLoss(torch.nn.Module):
    def __init__(self, network, gamma): ...

    def forward(self, steps): ...

    def update_target(self): ...


check("4.7", QLoss)

# %% tags=["solution"]
from copy import deepcopy

import torch


class QLoss(torch.nn.Module):
    def __init__(self, network, gamma):
        super().__init__()
        self.network, self.gamma = network, gamma
        self.target = deepcopy(network).requires_grad_(False)

    def forward(self, steps):
        said = self.network(steps["observation"]).gather(-1, steps["action"].unsqueeze(-1))
        with torch.no_grad():
            best_next = self.target(steps["next", "observation"]).max(-1, keepdim=True).values
            has_future = ~steps["next", "terminated"]
            answer = steps["next", "reward"] + self.gamma * best_next * has_future
        return (answer - said).pow(2).mean()

    def update_target(self):
        self.target.load_state_dict(self.network.state_dict())


check("4.7", QLoss)

# %% tags=["solution"]
print(teach(QLoss))

# %% [markdown]
# ## What you can do now
# You can say where the answers come from that a network is trained on: returns, one-step targets,
# and mixtures of both. You know which ends have no future, why targets follow slowly, which entries
# of a loss tensordict to minimise and whom they move, what one update must contain, and how to write a
# loss that TorchRL does not have.
#
# **Try next:** call `loss_module.make_value_estimator(ValueEstimators.TDLambda, gamma=0.95,
# lmbda=0.9)` on the DDPG loss (`ValueEstimators` is in `torchrl.objectives`) and compare
# `target_value` with the TD(0) one.
#
# Go on with [{{next title}}]({{next file}}).
