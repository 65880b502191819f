# ---
# jupyter:
#   course:
#     title: Modules and policies
#     objectives:
#       - wrap any network so that it reads and writes a TensorDict, and chain such modules
#       - build policies for discrete and continuous actions, and critics that share layers with them
#       - say when a policy explores and when it does not, and let exploration fade
#       - catch two mistakes that raise no error, mixed-up action encodings and layers without weights
#     prerequisites: PyTorch and lessons 00 to 02 (environments, specs, rollouts, TensorDict)
#     minutes: {reading: 61, exercises: 42, short: 37}
# ---

# %% [markdown]
# ## A network meets an environment  (about 1 min to here)
#
# An environment answers with a TensorDict and wants one back that holds an action. A network takes
# a tensor and returns a tensor. What happens when the two meet? The environment here is
# `Pendulum-v1`: three numbers to observe, and one real number between -2 and 2, the torque, to
# choose.

# %%
from course_utils import seed_everything

seed_everything(0)

# %%
import torch
from torchrl.envs import GymEnv

env = GymEnv("Pendulum-v1")
env.set_seed(0)
network = torch.nn.Linear(3, 1)
try:
    network(env.reset())
except TypeError as error:
    print(f"{type(error).__name__}: {str(error).splitlines()[0]}")

# %% [markdown]
# A linear layer does not know what to do with a TensorDict. `TensorDictModule` tells it three
# things: which entries to read (`in_keys`), what to compute, and where to write the result
# (`out_keys`).

# %% tags=["nbval-check-output"]
from tensordict.nn import TensorDictModule

policy = TensorDictModule(network, in_keys=["observation"], out_keys=["action"])
policy(env.reset())

# %% [markdown]
# The same TensorDict came back with one entry more, `action`. That is all a policy is in TorchRL: a
# module that writes `action`. So it can play.

# %% tags=["nbval-check-output"]
env.rollout(5, policy)["action"].shape

# %% [markdown]
# Five steps, one torque each. Without an environment, entries can be given by name, and the result
# comes back as a plain tensor. If an entry is missing, the module says which.

# %%
from tensordict import TensorDict

print("by name:", policy(observation=torch.zeros(3)).shape)
try:
    policy(TensorDict(obs=torch.zeros(3)))
except KeyError as error:
    print(f"{type(error).__name__}: ...{str(error)[80:-2]}")

# %% [markdown]
# ## Follow the keys  (about 5 min to here)
#
# Modules are joined by *names*, not by position. `TensorDictSequential` runs its modules one after
# the other on the same TensorDict: what one writes, all later ones can read. Here an *encoder* makes
# features of what is seen, a small *actor* chooses a torque, and a *critic* says how good that is.

# %% tags=["nbval-check-output"]
from tensordict.nn import TensorDictSequential


def judge(hidden, action):
    return hidden.sum(-1, keepdim=True) - action**2  # any function will do


encoder = TensorDictModule(torch.nn.Linear(3, 8), in_keys=["observation"], out_keys=["hidden"])
actor = TensorDictModule(torch.nn.Linear(8, 1), in_keys=["hidden"], out_keys=["action"])
critic = TensorDictModule(judge, in_keys=["hidden", "action"], out_keys=["score"])
chain = TensorDictSequential(encoder, actor, critic)
print("reads:", chain.in_keys)
print("writes:", chain.out_keys)

# %% [markdown]
# The chain as a whole has keys too. It reads only what no earlier member has written. `flow` draws
# it: a row for each key, a column for each module.

# %%
from course_utils import flow

flow({"encoder": encoder, "actor": actor, "critic": critic}, env)

# %% [markdown]
# Each line begins where its key is first written; `observation` comes from outside. `hidden` is
# read twice and computed once. A misspelt key has a tell-tale sign:

# %%
slip = TensorDictModule(torch.nn.Linear(8, 1), in_keys=["hiden"], out_keys=["action"])
misspelt = TensorDictSequential(encoder, slip)
print("reads:", misspelt.in_keys)
flow(misspelt, env)

# %% [markdown]
# Nobody writes `hiden`, so the chain asks the world for it, and the environment, which we gave to
# `flow` as well, has no such key. Print `in_keys` of every chain you build: only keys of the
# environment should be there.
#
# ### Exercise 3.1: what does a chain need?  (5 min)
# Write `needed(steps)`. Each element of the list `steps` is a pair `(in_keys, out_keys)`, two lists
# of names, in the order in which the modules run. Return the **set** of keys that must be in the
# TensorDict before the chain starts. Mind that a key may be read first and written later, even by
# one and the same module.
# <details><summary>Hint</summary>Walk through the steps and keep two sets: what has been written so
# far, and what was asked for before anybody wrote it.</details>

# %% tags=["exercise"]
from course_utils import check


def needed(steps):
    # your code
    ...


check("3.1", needed)


# %% tags=["solution"]
def needed(steps):
    written, asked = set(), set()
    for in_keys, out_keys in steps:
        asked |= set(in_keys) - written
        written |= set(out_keys)
    return asked


check("3.1", needed)

# %% [markdown]
# A module may also read several keys. They are handed to the function in the order of `in_keys`.
#
# ### Exercise 3.2: a module with two inputs  (3 min)
# Write `distance_module()`. It returns a `TensorDictModule` that reads `"position"` and `"goal"`,
# both of shape `[batch, 2]`, and writes `"distance"`, the straight-line (Euclidean) distance
# between them, of shape `[batch, 1]`. The two entries it reads stay as they are.
# <details><summary>Hint</summary>A function of two tensors is enough, no <code>nn.Module</code>
# is needed. <code>norm(dim=-1, keepdim=True)</code> gives the length of each row.</details>


# %% tags=["exercise"]
def distance_module():
    # your code
    ...


check("3.2", distance_module)


# %% tags=["solution"]
def distance_module():
    from tensordict.nn import TensorDictModule

    def distance(position, goal):
        return (position - goal).norm(dim=-1, keepdim=True)

    return TensorDictModule(distance, in_keys=["position", "goal"], out_keys=["distance"])


check("3.2", distance_module)

# %% [markdown]
# ## Two ready-made networks  (about 16 min to here)
#
# What goes inside a module can be any PyTorch network. Two kinds are needed so often that TorchRL
# brings them along. `MLP`, for a few numbers; `num_cells` lists the sizes of the hidden layers, and
# between them stands a tanh if you do not choose:

# %% tags=["nbval-check-output"]
from torchrl.modules import MLP

MLP(in_features=3, out_features=2, num_cells=[64, 64], activation_class=torch.nn.ReLU)

# %% [markdown]
# `ConvNet`, for pictures; it takes any number of leading dimensions, as a TensorDict has them:

# %% tags=["nbval-check-output"]
from torchrl.modules import ConvNet

eyes = ConvNet(in_features=3, num_cells=[16, 32], kernel_sizes=[8, 4], strides=[4, 2])
for leading in [(), (5,), (2, 5)]:
    print(leading, "->", tuple(eyes(torch.zeros(*leading, 3, 84, 84)).shape))

# %% [markdown]
# Colour channels, height and width became one vector of features; the leading dimensions stayed.
#
# ## From numbers to actions  (about 17 min to here)
#
# A policy for real-valued actions can simply write a number. `Actor` is a `TensorDictModule` with
# the usual keys filled in, and it may know the environment's action spec. With `safe=True` it
# moves a forbidden action to the nearest allowed one.

# %%
from torchrl.modules import Actor

too_strong = Actor(lambda observation: torch.full((1,), 50.0), spec=env.action_spec)
made_safe = Actor(lambda observation: torch.full((1,), 50.0), spec=env.action_spec, safe=True)
print("reads:", made_safe.in_keys, "writes:", made_safe.out_keys)
print("plain:", too_strong(env.reset())["action"], "safe:", made_safe(env.reset())["action"])

# %% [markdown]
# An actor that always does the same in the same situation discovers little. So many algorithms let
# the network say a *distribution* and draw the action from it. For a bell curve the network has to
# say two numbers, where its centre is (`loc`) and how wide it is (`scale`). `NormalParamExtractor`
# cuts the network's output in two halves and makes the second one positive.

# %% tags=["nbval-check-output"]
from tensordict.nn import NormalParamExtractor

loc, scale = NormalParamExtractor()(torch.tensor([[0.3, -5.0], [0.3, 0.0], [0.3, 5.0]]))
print("loc:", loc.flatten(), "\nscale:", scale.flatten())

# %% [markdown]
# A bell curve has no ends, but a torque has. `TanhNormal` bends the draw with a tanh into the
# allowed range. `ProbabilisticActor` puts it together: a module that writes the parameters, then a
# draw. Its `in_keys` are handed over by *name*: they have to be called as the arguments of
# `distribution_class` are, here `TanhNormal(loc, scale)`. (A dictionary `{argument: key}` translates.)

# %%
from torchrl.modules import ProbabilisticActor, TanhNormal

body = torch.nn.Sequential(
    MLP(in_features=3, out_features=2, num_cells=[32]), NormalParamExtractor()
)
stochastic_actor = ProbabilisticActor(
    TensorDictModule(body, in_keys=["observation"], out_keys=["loc", "scale"]),
    in_keys=["loc", "scale"],
    distribution_class=TanhNormal,
    distribution_kwargs={"low": -2.0, "high": 2.0},
    spec=env.action_spec,
    return_log_prob=True,
)
stochastic_actor(env.reset()).select("loc", "scale", "action", "action_log_prob")

# %% [markdown]
# `action_log_prob`, the logarithm of the density at the action, is what several losses will ask
# for. Now a question with a surprise: we ask five times, in the same state. What do we get?

# %%
same_state = env.reset()
[round(stochastic_actor(same_state.clone())["action"].item(), 3) for _ in range(5)]

# %% [markdown]
# Five times the same. **A `ProbabilisticActor` draws only when it is told to.** It is told by
# `set_exploration_type`: `RANDOM` draws, `DETERMINISTIC` takes one fixed value of the
# distribution. Where nothing is set it does what its `default_interaction_type` says, and that is
# `DETERMINISTIC` unless you choose another when you make the actor.

# %%
from torchrl.envs import ExplorationType, set_exploration_type

for kind in [ExplorationType.RANDOM, ExplorationType.DETERMINISTIC]:
    with set_exploration_type(kind):
        drawn = [stochastic_actor(same_state.clone())["action"].item() for _ in range(5)]
    print(f"{kind.name:>13}:", [round(action, 3) for action in drawn])

# %% [markdown]
# The same holds in a rollout: started from the same seed, two of them can only differ if the actor
# draws.


# %%
def play():
    env.set_seed(0)
    return env.rollout(20, stochastic_actor)["action"]


print("nothing set: two rollouts are equal:", torch.equal(play(), play()))
with set_exploration_type(ExplorationType.RANDOM):
    print("RANDOM:      two rollouts are equal:", torch.equal(play(), play()))

# %% [markdown]
# What does the distribution look like? We ask `TanhNormal` itself, with a narrow and a wide bell
# curve around the same centre.

# %%
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, axes = plt.subplots()
findings = ["All draws lie between -2 and 2"]
for scale in [0.3, 1.5]:
    distribution = TanhNormal(torch.tensor([0.5]), torch.tensor([scale]), low=-2.0, high=2.0)
    draws = distribution.sample((5_000,)).flatten()
    axes.hist(draws, bins=60, range=(-2, 2), alpha=0.7, label=f"scale {scale}: 5,000 draws")
    findings.append(f"scale {scale}: {(draws.abs() > 1.8).float().mean():.0%} beyond 1.8")
fixed = distribution.deterministic_sample.item()
axes.axvline(fixed, color="black", linestyle="--", label="DETERMINISTIC")
axes.set(xlabel="action (torque)", ylabel="draws")
figure.legend(loc="outside right upper")
show_figure(figure, "; ".join(findings) + f"; the deterministic action is {fixed:.2f}.")

# %% [markdown]
# No draw leaves the range from -2 to 2. If the bell curve is wide, the draws crowd at both ends,
# because the tanh presses everything far out against the limits. The deterministic action is the
# same for both: the centre `loc`, bent by the tanh, whatever the `scale`.
#
# ## Noise that fades  (about 25 min to here)
#
# A deterministic policy needs exploration from outside: a module behind the actor that overwrites
# the action. For discrete actions it is `EGreedyModule` (*epsilon-greedy*): with probability
# $\varepsilon$ the action is replaced by a random one of the spec. $\varepsilon$ should fall while
# the agent learns, and the module does not know how much has been played. You tell it, with
# `.step(n)`, in frames (a **frame** is one step of one environment).

# %%
from torchrl.data import OneHot
from torchrl.modules import EGreedyModule


def draw_epsilon(eps_init=1.0, eps_end=0.1, annealing_num_steps=1_000):
    told = EGreedyModule(OneHot(2), eps_init, eps_end, annealing_num_steps=annealing_num_steps)
    forgotten = EGreedyModule(OneHot(2), eps_init, eps_end, annealing_num_steps=annealing_num_steps)
    told_eps, forgotten_eps = [], []
    for _ in range(40):
        told_eps.append(told.eps.item())
        forgotten_eps.append(forgotten.eps.item())
        told.step(50)  # 50 frames were played
    figure, axes = plt.subplots()
    axes.plot(range(0, 2_000, 50), told_eps, marker=".", label=".step(50) after each 50 frames")
    axes.plot(range(0, 2_000, 50), forgotten_eps, linestyle="--", label=".step forgotten")
    axes.set(xlabel="frames", ylabel="epsilon", ylim=(0, 1.1))
    figure.legend(loc="outside right upper")
    return show_figure(
        figure,
        f"Epsilon falls in a straight line from {told_eps[0]:.2f} to {told_eps[-1]:.2f} within "
        f"{annealing_num_steps} frames; with .step forgotten it is {forgotten_eps[-1]:.2f} at the end.",
    )


# %% [markdown]
# In JupyterLab and Colab the three settings can be turned by hand. What do you expect of
# `annealing_num_steps` = 200, and of an `eps_end` above `eps_init`?

# %%
from course_utils import sliders

sliders(
    draw_epsilon,
    eps_init=(0.0, 1.0, 0.05),
    eps_end=(0.0, 1.0, 0.05),
    annealing_num_steps=(50, 2_000, 50),
)

# %% [markdown]
# With 200 the line is flat from frame 200 on. The other is refused: *eps should decrease over time or
# be constant*. But nothing warns you if `.step` is forgotten: the agent plays at random forever.
#
# When should such a module act? You may expect the same rule as for the actor that draws. Predict first.
#
# ### Exercise 3.3: how many different actions?  (2 min)
# The actor below always says 0.5. Behind it stands
# `EGreedyModule(Bounded(-1, 1, shape=(1,)), eps_init=1.0, eps_end=1.0)`, which draws its random
# actions from all numbers between -1 and 1 (so no two draws are alike), and with $\varepsilon = 1$
# it draws whenever it acts at all. Ten calls are made: first under `ExplorationType.RANDOM`, then
# with nothing set, then under `ExplorationType.DETERMINISTIC`. Give a tuple of three whole
# numbers: how many *different* actions come out of the ten, each time.
# <details><summary>Hint</summary>Each number is either 1 or 10. The middle one is
# the question: what does a module do that stands there only to explore?</details>

# %% tags=["exercise"]
different_actions = ...

check("3.3", different_actions)

# %% tags=["solution"]
different_actions = (10, 10, 1)

check("3.3", different_actions)

# %%
from torchrl.data import Bounded

steady = Actor(lambda observation: torch.full((1,), 0.5))
always_random = EGreedyModule(Bounded(-1, 1, shape=(1,)), eps_init=1.0, eps_end=1.0)
noisy = TensorDictSequential(steady, always_random)


def count_different():
    return len({noisy(same_state.clone())["action"].item() for _ in range(10)})


with set_exploration_type(ExplorationType.RANDOM):
    print("RANDOM:", count_different())
print("nothing set:", count_different())
with set_exploration_type(ExplorationType.DETERMINISTIC):
    print("DETERMINISTIC:", count_different())

# %% [markdown]
# **An exploration module explores unless it is told not to**, also where nothing is set. The
# actor that draws has it the other way round. And a `Collector`, TorchRL's own player (lesson 05), sets
# a type by itself: **a `Collector` plays with `RANDOM`, unless its own `exploration_type` says
# otherwise.** Training in lessons 05, 08 and 09 relies on that. Who draws when:
#
# | | `RANDOM` | nothing set | `DETERMINISTIC` |
# |---|---|---|---|
# | `ProbabilisticActor` | draws | fixed action (`default_interaction_type`) | fixed action |
# | exploration module | explores | **explores** | leaves the action alone |
# | `rollout`, or calling the policy | as the rows above | as the rows above | as the rows above |
# | `Collector` | `RANDOM` | `RANDOM` | `RANDOM`; only its own `exploration_type` counts |
#
# For real-valued actions noise is *added*, also by a module behind the actor, and it fades by
# `.step(n)`, too. `AdditiveGaussianModule` draws it anew on each step. Ornstein-Uhlenbeck noise
# remembers: each step it is pulled a little towards zero and pushed a little at random.
#
# ### Exercise 3.4: epsilon-greedy by hand  (4 min)
# Write `explore(greedy, random, draws, eps)`, as `EGreedyModule` does it. `greedy` is what the actor
# would do, `random` a random action: both are one-hot, of shape `[batch, actions]`. `draws` are
# uniform numbers between 0 and 1 of shape `[batch]`, and `eps` is a number. Each row takes its random
# action with probability `eps` (where its draw is below `eps`), else the greedy one. Return shape
# `[batch, actions]`.
# <details><summary>Hint</summary><code>torch.where(condition, a, b)</code> needs a condition whose
# shape fits: one decision per row, for all columns of the row alike.</details>


# %% tags=["exercise"]
def explore(greedy, random, draws, eps):
    # your code
    ...


check("3.4", explore)


# %% tags=["solution"]
def explore(greedy, random, draws, eps):
    explores = (draws < eps).unsqueeze(-1)
    return torch.where(explores, random, greedy)


check("3.4", explore)

# %% [markdown]
# ## Does a `Collector` listen?  (about 38 min to here) (deeper)
#
# Does it draw even inside `DETERMINISTIC`? We ask it to play the stochastic actor, and count the
# actions that are not the deterministic ones. (A collector is an iterator; each turn plays
# `frames_per_batch` frames and hands over their TensorDict. Lesson 05 explains the other options.)

# %%
from torchrl.collectors import Collector

DETERMINISTIC = ExplorationType.DETERMINISTIC


def share_drawn(**options):
    collector = Collector(
        GymEnv("Pendulum-v1"),
        stochastic_actor,
        frames_per_batch=50,
        total_frames=50,
        auto_register_policy_transforms=True,
        **options,
    )
    with set_exploration_type(DETERMINISTIC):
        played = next(iter(collector))
        fixed = stochastic_actor(played.clone())["action"]
    collector.shutdown()
    return (fixed - played["action"]).abs().gt(1e-5).float().mean().item()


print(f"inside DETERMINISTIC:             {share_drawn():.0%} drawn")
print(f"exploration_type=DETERMINISTIC:   {share_drawn(exploration_type=DETERMINISTIC):.0%} drawn")

# %% [markdown]
# It does not listen to what is set around it, only to its own option.
#
# ## Noise that remembers  (about 41 min to here) (deeper)
#
# `AdditiveGaussianModule` and `OrnsteinUhlenbeckProcessModule` side by side. In the latter `theta` says
# how strongly the old noise is pulled towards zero, `sigma` how hard it is pushed at random, and `dt`
# (0.01 by default, 0.1 here) is the time of one step: the pull is `theta * dt` of the noise, the push
# `sigma * sqrt(dt)`. In the long run the noise is as large as `sigma / sqrt(2 * theta)`, here 0.5 like
# the Gaussian's. It must know where an episode begins, hence `InitTracker`. The actor says 0, so that
# the action is the noise.

# %%
from torchrl.envs import InitTracker, TransformedEnv
from torchrl.modules import AdditiveGaussianModule, OrnsteinUhlenbeckProcessModule

pendulum = TransformedEnv(GymEnv("Pendulum-v1"), InitTracker())
pendulum.set_seed(0)
zero = Actor(lambda observation: torch.zeros(1), spec=env.action_spec)
noises = {
    "Gaussian": AdditiveGaussianModule(env.action_spec, sigma_init=0.5),
    "Ornstein-Uhlenbeck": OrnsteinUhlenbeckProcessModule(
        env.action_spec, theta=0.5, sigma=0.5, dt=0.1
    ),
}
episodes = {}
for name, noise in noises.items():
    with set_exploration_type(ExplorationType.RANDOM):
        episodes[name] = pendulum.rollout(200, TensorDictSequential(zero, noise))["action"][:, 0]

# %%
figure, axes = plt.subplots()
findings = []
for name, noise in episodes.items():
    axes.plot(noise, label=name)
    neighbours = torch.corrcoef(torch.stack([noise[:-1], noise[1:]]))[0, 1]
    findings.append(f"{name}: correlation of neighbouring steps {neighbours:.2f}")
axes.set(xlabel="step of the episode", ylabel="noise on the action")
axes.set_ylim(-2, 2)
figure.legend(loc="outside right upper")
show_figure(figure, "Noise over one episode. " + "; ".join(findings) + ".")

# %% [markdown]
# Gaussian noise changes its mind at every step. Ornstein-Uhlenbeck noise leans to one side for a
# while: it tries the same push for many steps on end. What falls by `.step(n)` is called `sigma` in
# the Gaussian and `eps` in the other, where it multiplies the noise and `sigma` stays. And however
# large the noise, the action stays within the spec.

# %%
gaussian, wandering = noises.values()
print(f"before: sigma {gaussian.sigma:.2f}, eps {wandering.eps:.2f}")
gaussian.step(1_000)
wandering.step(1_000)
print(f"after 1,000 frames: sigma {gaussian.sigma:.2f}, eps {wandering.eps:.2f}")

huge = TensorDictSequential(zero, AdditiveGaussianModule(env.action_spec, sigma_init=50.0))
with set_exploration_type(ExplorationType.RANDOM):
    largest = pendulum.rollout(50, huge)["action"].abs().max()
print(f"largest torque with huge noise: {largest:.2f}")

# %% [markdown]
# ## Critics  (about 45 min to here)
#
# A *critic* says what a situation is worth. `ValueOperator` wraps it, and chooses the name of its
# output by what it reads.

# %% tags=["nbval-check-output"]
from torchrl.modules import ValueOperator

of_state = ValueOperator(MLP(in_features=3, out_features=1))
of_both = ValueOperator(MLP(in_features=4, out_features=1), in_keys=["observation", "action"])
print(of_state.in_keys, "->", of_state.out_keys)
print(of_both.in_keys, "->", of_both.out_keys)

# %% [markdown]
# A state has a `state_value`; a state together with an action has a `state_action_value`. (`MLP`
# joins several inputs end to end, so it needs no help to read two keys. Without `num_cells` it is a
# single linear layer.)
#
# ## Layers that are shared  (about 47 min to here) (deeper)
#
# Actor and critic often look at the same features, so why compute them twice?
# `ActorValueOperator` takes a common trunk and two heads, and lends out each path on its own.

# %% tags=["nbval-check-output"]
from torchrl.modules import ActorValueOperator

trunk = TensorDictModule(MLP(in_features=3, out_features=8), ["observation"], ["hidden"])
policy_head = Actor(torch.nn.Linear(8, 1), in_keys=["hidden"], spec=env.action_spec)
value_head = ValueOperator(torch.nn.Linear(8, 1), in_keys=["hidden"])
both = ActorValueOperator(trunk, policy_head, value_head)

policy_path, value_path = both.get_policy_operator(), both.get_value_operator()
print("both:  ", both.in_keys, "->", both.out_keys)
print("policy:", policy_path.in_keys, "->", policy_path.out_keys)
print("value: ", value_path.in_keys, "->", value_path.out_keys)

# %%
flow({"trunk": trunk, "policy_head": policy_head, "value_head": value_head}, env)

# %% [markdown]
# The policy path leaves out the value head, and the other way round; so a policy that plays does
# not pay for the critic. Is the trunk in the two paths a copy, or the same?

# %% tags=["nbval-check-output"]
policy_weights, value_weights = set(policy_path.parameters()), set(value_path.parameters())
print("shared:", sum(p.numel() for p in policy_weights & value_weights), "weights")
print("policy alone:", sum(p.numel() for p in policy_weights - value_weights))
print("value alone:", sum(p.numel() for p in value_weights - policy_weights))

# %% [markdown]
# The very same weights: training one path moves the features of the other. Where the critic must
# see the action as well, `ActorCriticOperator` is the one: there the critic comes *after* the actor
# and reads what it wrote.

# %% tags=["nbval-check-output"]
from torchrl.modules import ActorCriticOperator

action_critic = ValueOperator(MLP(in_features=9, out_features=1), in_keys=["hidden", "action"])
judged_actor = ActorCriticOperator(trunk, policy_head, action_critic)
print("policy:", judged_actor.get_policy_operator().out_keys)
print("critic:", judged_actor.get_critic_operator().out_keys)
try:
    judged_actor.get_value_operator()
except RuntimeError as error:
    print(f"{type(error).__name__}: ...{str(error)[-86:]}")

# %%
flow({"trunk": trunk, "policy_head": policy_head, "action_critic": action_critic}, env)

# %% [markdown]
# This is the chain from the beginning of the lesson. It has no path from a state alone to a value,
# and says so: `get_critic_operator()` values state *and* action, and for that it runs the whole
# chain.
#
# ## Q-values, and a trap that makes no noise  (about 50 min to here)
#
# With few discrete actions the critic can say one value per action, and then the best action is
# simply the one of the largest value. `QValueModule` makes that step; `QValueActor` is a network
# with this step behind it. CartPole has two actions, push left and push right. To know what the
# simulator *really* receives, we put a spy in front of Gymnasium's CartPole; `GymWrapper` turns what
# comes out into an environment of TorchRL.

# %%
import gymnasium as gym
from torchrl.envs import GymWrapper


class Spy(gym.Wrapper):
    def reset(self, **options):
        self.received = []
        return self.env.reset(**options)

    def step(self, action):
        self.received.append(int(action))
        return self.env.step(action)


spy = Spy(gym.make("CartPole-v1"))
cartpole = GymWrapper(spy)
cartpole.action_spec

# %% [markdown]
# The spec is `OneHot`: `[1, 0]` is left, `[0, 1]` is right. Our network is made by hand: the more
# the pole leans and tips to one side, the more a push to this side is worth.

# %%
from torchrl.modules import QValueActor


def push_where_it_falls(observation):
    lean = observation[..., 2] + observation[..., 3]
    return torch.stack([-lean, lean], -1)


agent = QValueActor(push_where_it_falls, in_keys=["observation"], spec=cartpole.action_spec)
cartpole.set_seed(0)
answer = agent(cartpole.reset())
for key in ["action_value", "action", "chosen_action_value"]:
    print(f"{key}: {answer[key]}")

# %% [markdown]
# Two values; the action, a one-hot vector with its 1 where the larger value is; and that value. Now
# the same network with the other encoding, `"categorical"`: the *number* of the action instead of a
# vector. The environment stays as it was. It is the slip of lesson 01, now made by a whole agent.

# %%
from torchrl.modules import QValueModule

values = TensorDictModule(push_where_it_falls, in_keys=["observation"], out_keys=["action_value"])
mistaken = TensorDictSequential(values, QValueModule(action_space="categorical"))
for name, player in [("one-hot", agent), ("categorical", mistaken)]:
    cartpole.set_seed(0)
    played = cartpole.rollout(200, player)
    wanted = played["action_value"].argmax(-1).tolist()
    print(f"{name}: {len(played)} steps")
    print("  wanted:  ", *wanted[:24])
    print("  received:", *spy.received[:24])

# %% [markdown]
# **No error, no warning, and the simulator received nothing but 0**: always a push to the left.
# The environment looks up at which *place* the largest entry stands, and a lone number has only
# one place, place 0. No training can help an agent that has no say, and the program looks
# perfectly healthy. There are two remedies and one test.

# %% tags=["nbval-check-output"]
numbered = GymEnv("CartPole-v1", categorical_action_encoding=True)
for world in [cartpole, numbered]:
    print("actions of this environment:", type(world.action_spec).__name__)
    for name, player in [("one-hot", agent), ("categorical", mistaken)]:
        action = player(world.reset())["action"]
        print(f"  {name} agent fits:", bool(world.action_spec.is_in(action)))

# %% [markdown]
# Remedies: give the actor the environment's own spec (`spec=env.action_spec`), so that the two cannot
# differ; or ask for an environment that takes numbers (`categorical_action_encoding=True`, its spec
# is `Categorical`). The test: `env.action_spec.is_in(action)`, once, before a long run. It catches the
# silent case. A one-hot vector `[1, 0]` passes the test of an environment that takes numbers, for 1
# and 0 are both allowed; but that mistake is loud:

# %%
try:
    numbered.rollout(5, agent)
except Exception as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# ### Exercise 3.5: say it in the right encoding  (3 min)
# Write `best_action(values, encoding)`. `values` has shape `[batch, actions]`. For the encoding
# `"categorical"` return the number of the best action of each row, shape `[batch]`; for
# `"one_hot"` return one-hot vectors, shape `[batch, actions]`. Both as whole numbers (type int64).
# <details><summary>Hint</summary><code>argmax</code> finds the place.
# <code>torch.nn.functional.one_hot(index, n)</code> makes vectors of length <code>n</code>
# of it.</details>


# %% tags=["exercise"]
def best_action(values, encoding):
    # your code
    ...


check("3.5", best_action)


# %% tags=["solution"]
def best_action(values, encoding):
    index = values.argmax(-1)
    if encoding == "categorical":
        return index
    return torch.nn.functional.one_hot(index, values.shape[-1])


check("3.5", best_action)

# %% [markdown]
# ## Layers without weights  (about 60 min to here)
#
# If you leave out `in_features`, the first layer is *lazy*: it finds out the size of its input
# when it sees the first one. Handy, but until then it has no weights. Until then you can hand it to
# an optimiser (fine: it holds the very weights that are filled in later) or copy it (not fine: the
# copy stays empty). Neither raises an error. (`from_module` collects the weights of a network in a
# TensorDict.)

# %% tags=["nbval-check-output"]
lazy = MLP(out_features=2, num_cells=[8])
optimiser = torch.optim.Adam(lazy.parameters())
weights_copy = TensorDict.from_module(lazy).data.clone()

lazy(torch.zeros(4))  # now the first layer learns that its input has four numbers
for name, weight in lazy.named_parameters():
    copied = weights_copy[tuple(name.split("."))]
    print(f"{name}: network {tuple(weight.shape)}, copy {tuple(copied.shape)}")

# %% [markdown]
# The network has grown its weights; the copy made before has kept an empty first layer, of shape
# `(0,)`. Nothing complained. Such copies are common: many algorithms keep a slower copy of the
# network, a *target*, and a target without weights cannot say anything. Copying the whole module too
# early is no better:

# %%
from copy import deepcopy

lazy = MLP(out_features=2, num_cells=[8])
twin = deepcopy(lazy)
observation = torch.ones(4)
print("copied too early:", lazy(observation).data, twin(observation).data)
twin = deepcopy(lazy)
print("copied after one pass:", lazy(observation).data, twin(observation).data)

# %% [markdown]
# Two "copies" that do not agree: each made up its own first layer. So the rule is: **give
# `in_features`, or run one forward pass before anything copies the network**. Losses count too: some
# make a target of their own. A policy can be woken up by the environment itself:

# %% tags=["nbval-check-output"]
sleeping = Actor(MLP(out_features=1, num_cells=[8]), spec=env.action_spec)
asleep = [torch.nn.parameter.is_lazy(weight) for weight in sleeping.parameters()]
sleeping(env.reset())
awake = [torch.nn.parameter.is_lazy(weight) for weight in sleeping.parameters()]
print("without weights, before:", sum(asleep), "after:", sum(awake))

# %% [markdown]
# ## Actions that are forbidden now  (about 64 min to here) (deeper)
#
# In some worlds not every action is allowed in every state. `TicTacToeEnv` is such a world, and comes
# with TorchRL: nine places, and an **action mask**, `mask`, says which are free. A network that knows nothing of
# it soon plays where a sign stands already. So hand it the mask.

# %%
from torchrl.envs import TicTacToeEnv

board_game = TicTacToeEnv()
places = MLP(in_features=9, out_features=9, num_cells=[32])


def values_of_places(board):
    return places(board.flatten(-2).float())


def forbidden(policy):
    with set_exploration_type(ExplorationType.RANDOM):
        played = board_game.rollout(9, policy)
    allowed = played["mask"].gather(-1, played["action"].unsqueeze(-1))
    return f"{(~allowed).sum().item()} of {len(played)} moves were forbidden"


best = {"in_keys": ["board"], "spec": board_game.action_spec}
print("QValueActor:           ", forbidden(QValueActor(values_of_places, **best)))
careful = QValueActor(values_of_places, **best, action_mask_key="mask")
print("with action_mask_key:  ", forbidden(careful))

# %% [markdown]
# The masked actor takes the best of the free places. The exploration module needs the mask, too
# (`EGreedyModule(..., action_mask_key="mask")`). An actor that draws gets a distribution that knows of
# masks, `MaskedCategorical`: forbidden actions have probability 0.

# %%
from torchrl.modules import MaskedCategorical

logits = TensorDictModule(values_of_places, in_keys=["board"], out_keys=["logits"])
masked_actor = ProbabilisticActor(
    logits,
    in_keys={"logits": "logits", "mask": "mask"},
    distribution_class=MaskedCategorical,
    return_log_prob=True,
)
print("MaskedCategorical:     ", forbidden(masked_actor))
bold = EGreedyModule(board_game.action_spec, eps_init=1.0, eps_end=1.0, action_mask_key="mask")
print("epsilon-greedy, eps 1: ", forbidden(TensorDictSequential(careful, bold)))

# %% [markdown]
# None is forbidden any more. `TicTacToeEnv` keeps its own action spec up to date, so random play is
# legal as well. Where an environment only writes a mask, the transform `ActionMask` does that for it:
# `TransformedEnv(env, ActionMask(mask_key="mask"))`.
#
# ## A module with a memory  (about 68 min to here) (deeper)
#
# `LSTMModule` is for when one observation does not tell enough and the agent needs a memory (lesson 11
# trains one). Its memory is two tensors, $h$ and $c$, and they travel in the TensorDict like everything else:

# %% tags=["nbval-check-output"]
from torchrl.modules import LSTMModule

lstm = LSTMModule(input_size=4, hidden_size=16, in_key="observation", out_key="features")
print("reads:", lstm.in_keys)
print("writes:", lstm.out_keys)

# %% [markdown]
# The new memory is written under `"next"`, so a step in the environment carries it to the
# following observation. The environment helps with two transforms (hence `TransformedEnv`):
# `InitTracker` marks the first step of each episode (`is_init`), and a *primer* starts each
# episode with an empty memory, all zeros. The policy behind the module plays at random: all we
# want is a rollout with the memory in it.

# %%
remembering_env = TransformedEnv(GymEnv("CartPole-v1"), InitTracker())
remembering_env.append_transform(lstm.make_tensordict_primer())
remembering_env.set_seed(0)
random_policy = TensorDictModule(
    lambda features: remembering_env.action_spec.rand(), in_keys=["features"], out_keys=["action"]
)
rollout = remembering_env.rollout(
    100, TensorDictSequential(lstm, random_policy), break_when_any_done=False
)
starts = rollout["is_init"].squeeze(-1).nonzero().flatten()
starts

# %% [markdown]
# These are the steps on which episodes begin. In play the module sees one step at a time. In
# training it gets whole sequences, and there it should run through time, so that gradients can flow
# back from step to step. `set_recurrent_mode(True)` says that the last batch dimension is time. We
# run both ways on the same rollout, and ask how much the features of one step depend on each
# earlier observation.

# %%
from torchrl.modules import set_recurrent_mode

step = starts[2].item() - 1  # the last step of the second episode


def dependence(recurrent):
    data = rollout.select(*lstm.in_keys)
    observation = data["observation"].clone().requires_grad_()
    data["observation"] = observation
    with set_recurrent_mode(recurrent):
        features = lstm(data)["features"]
    gradient = torch.autograd.grad(features[step].sum(), observation)[0]
    return features.detach(), gradient.norm(dim=-1)


features_alone, alone = dependence(recurrent=False)
features_through_time, through_time = dependence(recurrent=True)
torch.allclose(features_alone, features_through_time, atol=1e-5)

# %% [markdown]
# The features agree, because the rollout has stored the memory of every step. The gradients do not:

# %%
figure, axes = plt.subplots()
axes.bar(range(step + 4), through_time[: step + 4], label="recurrent mode")
axes.bar(range(step + 4), alone[: step + 4], width=0.4, label="step by step")
axes.axvline(starts[1] - 0.5, color="black", linestyle="--", label="an episode begins")
axes.set(xlabel="step of the observation", ylabel=f"effect on step {step} (log)", yscale="log")
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"Step by step, {int((alone > 0).sum())} observation affects step {step}; in recurrent mode "
    f"{int((through_time > 0).sum())} do, the earliest of them step {through_time.nonzero().min()}.",
)

# %% [markdown]
# Step by step, only the observation of that very step counts: no gradient passes through a stored
# memory. In recurrent mode all those since the beginning of the episode do, less and less the older
# they are, and none from the episode before: the module reads `is_init` and forgets there. Play
# without the mode, train with it.
#
# ## Build it: two things to see, two to choose  (about 74 min to here) (deeper)
#
# What may stand as `distribution_class`? Any distribution of PyTorch's or TorchRL's, or one of your
# own. It needs `sample` and `log_prob`, as all of PyTorch's do, and a property `deterministic_sample`
# for `DETERMINISTIC`. This one knows three torques only:


# %%
class ThreeTorques(torch.distributions.Distribution):
    arg_constraints = {}
    torques = torch.tensor([-2.0, 0.0, 2.0])

    def __init__(self, logits):
        self.which = torch.distributions.Categorical(logits=logits)
        super().__init__(logits.shape[:-1], torch.Size([1]), validate_args=False)

    def sample(self, shape=()):
        return self.torques[self.which.sample(shape)].unsqueeze(-1)

    def log_prob(self, action):
        return self.which.log_prob((action.squeeze(-1) / 2 + 1).long())

    @property
    def deterministic_sample(self):
        return self.torques[self.which.probs.argmax(-1)].unsqueeze(-1)


# %%
three_logits = TensorDictModule(MLP(in_features=3, out_features=3), ["observation"], ["logits"])
of_three = ProbabilisticActor(
    three_logits, in_keys=["logits"], distribution_class=ThreeTorques, return_log_prob=True
)
for kind in [ExplorationType.RANDOM, ExplorationType.DETERMINISTIC]:
    with set_exploration_type(kind):
        print(f"{kind.name:>13}:", env.rollout(8, of_three)["action"].squeeze(-1).tolist())

# %% [markdown]
# Now you, with a distribution that chooses twice.
#
# ### Exercise 3.6: build it: two things to see, two to choose  (25 min)
# Real tasks often have an observation of several entries (Gymnasium's `Dict`) and an action of several
# choices at once (`MultiDiscrete`; TorchRL's spec is `MultiCategorical`). Here is one. In a picture one
# pixel is lit; press its row and its column. But where `mirror` is 1, columns count from the right.


# %%
def lamps(count, sizes):
    number = torch.randint(sizes[0] * sizes[1], (count,))
    picture = torch.nn.functional.one_hot(number, sizes[0] * sizes[1]).float()
    mirror = torch.randint(2, (count, 1)).float()
    return TensorDict(picture=picture.unflatten(-1, (1, *sizes)), mirror=mirror, batch_size=count)


def pay(td):
    seen = torch.where(
        td["mirror"].bool().unsqueeze(-1), td["picture"][:, 0].flip(-1), td["picture"][:, 0]
    )
    row, column = td["action"].unbind(-1)
    return seen[torch.arange(len(td)), row, column]


# %% [markdown]
# Write `build_actor(sizes)` for a picture of `sizes = [rows, columns]`. It returns a module that
#
# - reads `picture`, `[..., 1, rows, columns]`, and `mirror`, `[..., 1]`, with any batch size, none too,
# - writes `action`, row and column, int64 of shape `[..., 2]`,
# - and `action_log_prob`, of shape `[...]`: the log-probability of the whole action,
# - draws under `RANDOM`, and takes the most likely action under `DETERMINISTIC` (with nothing set: as
#   you like).
# <details><summary>Hint 1: the parts</summary>A network that reads two entries, as in 3.2, and writes
# <code>logits</code>: <code>rows + columns</code> numbers. Then a <code>ProbabilisticActor</code>, with
# <code>return_log_prob=True</code>.</details>
# <details><summary>Hint 2: any batch size</summary><code>picture.flatten(-3)</code> counts from the
# back; <code>torch.cat([...], -1)</code> joins features.</details>
# <details><summary>Hint 3: the distribution</summary>As <code>ThreeTorques</code>, a subclass of
# <code>torch.distributions.Distribution</code> with <code>sample</code>, <code>log_prob</code> and a
# property <code>deterministic_sample</code>. Inside, <code>logits.split(sizes, -1)</code> gives each part
# the logits of a <code>torch.distributions.Categorical</code>. <code>distribution_kwargs={"sizes":
# sizes}</code> hands the sizes over.</details>
# <details><summary>Hint 4: the log-probability</summary>Parts that are drawn independently: the
# probability of both is the product, so the logarithms add up.</details>


# %% tags=["exercise"]
def build_actor(sizes):
    # your code
    ...


check("3.6", build_actor)

# %% tags=["solution"]
import torch


class Parts(torch.distributions.Distribution):
    arg_constraints = {}

    def __init__(self, logits, sizes):
        self.parts = [
            torch.distributions.Categorical(logits=part) for part in logits.split(sizes, -1)
        ]
        super().__init__(logits.shape[:-1], torch.Size([len(sizes)]), validate_args=False)

    def sample(self, shape=()):
        return torch.stack([part.sample(shape) for part in self.parts], -1)

    def log_prob(self, action):
        return sum(part.log_prob(action[..., i]) for i, part in enumerate(self.parts))

    @property
    def deterministic_sample(self):
        return torch.stack([part.probs.argmax(-1) for part in self.parts], -1)


# %% tags=["solution"]
from torchrl.modules import MLP


class Look(torch.nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.network = MLP(
            in_features=sizes[0] * sizes[1] + 1,
            out_features=sum(sizes),
            num_cells=[64, 64],
            activation_class=torch.nn.ReLU,
        )

    def forward(self, picture, mirror):
        return self.network(torch.cat([picture.flatten(-3), mirror], -1))


# %% tags=["solution"]
from tensordict.nn import TensorDictModule
from torchrl.modules import ProbabilisticActor


def build_actor(sizes):
    return ProbabilisticActor(
        TensorDictModule(Look(sizes), in_keys=["picture", "mirror"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=Parts,
        distribution_kwargs={"sizes": list(sizes)},
        return_log_prob=True,
    )


check("3.6", build_actor)

# %% [markdown]
# Does it learn? Lesson 08 explains these lines: make more likely what was paid better than usual.


# %% tags=["solution"]
def train(actor, sizes, rounds=300):
    optimiser = torch.optim.Adam(actor.parameters(), lr=0.003)
    for number in range(rounds):
        with set_exploration_type(ExplorationType.RANDOM):
            played = actor(lamps(256, sizes))
        paid = pay(played)
        loss = -((paid - paid.mean()) * played["action_log_prob"]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if number % 100 == 0 or number == rounds - 1:
            print(f"round {number:3}: paid in {paid.mean():.0%} of all cases")


torch.manual_seed(0)
train(build_actor([3, 4]), [3, 4])

# %% [markdown]
# ## What you can do now
# You can turn any network into a module with keys, chain modules and read off what a chain needs;
# build deterministic and stochastic actors, critics and Q-value actors; switch exploration on and
# off knowingly; and test for two mistakes that nothing will report to you.
#
# **Try next:** give the Ornstein-Uhlenbeck noise `theta=5.0`, predict how its curve changes, and
# draw it again. Then `theta=0.05`.
#
# Go on with [{{next title}}]({{next file}}).
