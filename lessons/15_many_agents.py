# ---
# jupyter:
#   course:
#     title: "Many agents: a team, and an opponent"
#     objectives:
#       - read a tensordict of several agents, and say what a group is and what lies at the root
#       - tell a loss by `set_keys` where a group keeps its rewards and values, and see what goes wrong without
#       - train a team of three with one policy, and with three, and see who does what
#       - measure whether a critic that sees all helps, and what a reward for all, one's own, or for the difference one made does
#       - take the same code to VMAS, and a game with turns from PettingZoo
#       - break a team mate, and measure who makes up for it
#       - train a player against itself until it never loses, and prove that it does not
#     prerequisites: lessons 01 to 08 (an `EnvBase` of one's own is from lesson 01, PPO from 08)
#     minutes: {reading: 102, exercises: 40, short: 45}
# ---

# %% [markdown]
# ## Three rovers, three posts  (about 1 min to here)
#
# Three rovers stand somewhere on a field. Three posts have to be held, one rover each, and nobody tells
# them who takes which. If all three run to the post that is nearest, two of them are of no use.
#
# So far one agent acted. With several, three questions are new: where is *whose* entry, who is paid for
# *what*, and who sees *whom*? This half of the lesson answers them for a team that works together. The
# other half is about two that play against each other.
#
# The rule first, as always:
#
# > A post is *held* if after 25 steps some rover is less than 0.15 away from it. A team is judged by the
# > share of fresh episodes in which all three posts are held, acting greedily.

# %% tags=["parameters"]
seed = 0

# %%
import torch
from course_utils import seed_everything

seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more, nor from a GPU

# %% [markdown]
# ## A world with a group in it  (about 3 min to here)
#
# The world is one class, as in lesson 01. What each rover sees are six numbers: where it is itself, and
# where its two team mates are, from its own place. (The posts never move, so nobody needs to see them.)

# %%
from tensordict import TensorDict


def look(place, sight=True):
    mates = [place.roll(-step, 1) - place for step in (1, 2)]
    seen = torch.cat([place, *(sight * mate for mate in mates)], -1)
    return TensorDict(
        {"agents": TensorDict({"observation": seen}, place.shape[:2])}, place.shape[:1]
    )


# %% tags=["look"]
one_field = torch.tensor([[[0.0, 0.5], [0.5, 0.5], [0.0, -0.5]]])  # one copy, three rovers, x and y
look(one_field)["agents", "observation"]

# %% [markdown]
# A row is what one rover sees. The first stands at (0, 0.5), one mate half a unit to its right, the other
# one unit below. `look` writes the three rows not at the root but one level down, in a tensordict of
# its own whose batch size ends in the number of rovers: `[copies, 3]`. That is a **group**: agents whose
# entries have the same shapes, stacked along one dimension.
#
# Who is paid for what? Let us begin with one reward for all, the *team reward*: minus the distance of a
# post to the rover that is closest to it, mean over the posts. (Own rewards come later: minus the
# distance of a rover to the post that is closest to *it*.)

# %%
POSTS = torch.tensor([[0.0, 0.7], [0.6, -0.4], [-0.6, -0.4]])


def distances(place):
    return torch.cdist(place, POSTS.expand(len(place), 3, 2))  # [copies, rovers, posts]


def pay(place, team_reward):
    distance = distances(place)
    if team_reward:
        return -distance.min(1).values.mean(1, keepdim=True).expand(-1, 3).unsqueeze(-1)
    return -distance.min(2).values.unsqueeze(-1)


# %% tags=["look"]
print("one reward for all:", pay(one_field, team_reward=True).squeeze().numpy().round(2))
print("own rewards:       ", pay(one_field, team_reward=False).squeeze().numpy().round(2))

# %% [markdown]
# Now the class. Specs nest as the data do: `Composite(agents=Composite(...))`.

# %%
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import EnvBase


# %%
class Posts(EnvBase):
    def __init__(self, count, team_reward=True, sight=True):
        super().__init__(batch_size=[count])
        self.team_reward, self.sight, team = team_reward, sight, [count, 3]
        seen = Composite(observation=Unbounded([*team, 6]), shape=team)
        moves = Composite(action=Bounded(-1.0, 1.0, [*team, 2]), shape=team)
        paid = Composite(reward=Unbounded([*team, 1]), shape=team)
        self.observation_spec = Composite(agents=seen, shape=[count])
        self.state_spec = self.observation_spec.clone()
        self.action_spec = Composite(agents=moves, shape=[count])
        self.reward_spec = Composite(agents=paid, shape=[count])
        self.set_seed(0)

    def _set_seed(self, seed):
        self.chance = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        return look(2 * torch.rand(*self.batch_size, 3, 2, generator=self.chance) - 1, self.sight)

    def _step(self, tensordict):
        place = tensordict["agents", "observation"][..., :2]
        place = (place + 0.2 * tensordict["agents", "action"]).clamp(-1, 1)
        answer = look(place, self.sight).set(("agents", "reward"), pay(place, self.team_reward))
        over = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return answer.update({"done": over, "terminated": over.clone()})


# %%
from torchrl.envs import StepCounter, TransformedEnv, check_env_specs

STEPS = 25
world = TransformedEnv(Posts(16), StepCounter(STEPS))
check_env_specs(world)

# %% tags=["look"]
from course_utils import show

show(world.rollout(STEPS))

# %% [markdown]
# Unfold `next`. Two levels, two kinds of entries:
#
# | level | entry | shape | whose |
# |---|---|---|---|
# | in the group | `("agents", "observation")` | `[16, 25, 3, 6]` | each rover's own |
# | in the group | `("agents", "action")` | `[16, 25, 3, 2]` | each rover's own |
# | in the group | `("next", "agents", "reward")` | `[16, 25, 3, 1]` | each rover's own, even where all get the same |
# | at the root | `("next", "done")`, `terminated`, `truncated` | `[16, 25, 1]` | the team's: one clock for all |
#
# A tuple of names, such as `("agents", "reward")`, is a *nested key* (lesson 02): the path to an entry.
# The environment knows its own:

# %%
world.reward_keys, world.action_keys, world.done_keys

# %% [markdown]
# VMAS and PettingZoo, the best-known collections of such worlds, come in the same layout, so what follows
# fits them, too. (Their groups are named after their agents.)
#
# ### Exercise 15.1: from own rewards to a team's  (4 min)
# Write `shared_reward(reward)`. `reward` has shape `[copies, time, agents, 1]`, each agent's own reward.
# Return the same shape: every agent gets the mean of what all agents of its copy got at this step.
# <details><summary>Hint</summary>The agents are the last dimension but one: <code>-2</code>.
# <code>keepdim=True</code> leaves a dimension of 1 there, and <code>expand_as</code> stretches it
# again.</details>

# %% tags=["exercise"]
from course_utils import check


def shared_reward(reward):
    # your code
    ...


check("15.1", shared_reward)


# %% tags=["solution"]
def shared_reward(reward):
    return reward.mean(-2, keepdim=True).expand_as(reward)


check("15.1", shared_reward)

# %% [markdown]
# ## One network for three  (about 12 min to here)
#
# `MultiAgentMLP` is a network for a whole group: `[..., agents, inputs]` goes in, `[..., agents,
# outputs]` comes out. Two switches say what is inside:
#
# - `share_params`: one set of weights for all agents, or a set each;
# - `centralized`: each agent's output depends on the inputs of all, or on its own alone.

# %%
from torchrl.modules import MultiAgentMLP


def network(outputs, central, shared):
    return MultiAgentMLP(
        n_agent_inputs=6,
        n_agent_outputs=outputs,
        n_agents=3,
        centralized=central,
        share_params=shared,
        depth=2,
        num_cells=64,
        activation_class=torch.nn.Tanh,
    )


# %% [markdown]
# Which output depends on which input? Ask the gradient: output of agent $i$, derived by the inputs of
# agent $j$. Predict the four pictures, and which of the four networks have the most weights.


# %% tags=["look"]
def dependence(net):
    given = torch.randn(3, 6, requires_grad=True)
    outputs = net(given)
    rows = [torch.autograd.grad(row.sum(), given, retain_graph=True)[0] for row in outputs]
    return torch.stack(rows).abs().sum(-1) > 0  # [output of, input of]


kinds = [(central, shared) for central in (False, True) for shared in (True, False)]
nets = {f"centralized={c}\nshare_params={s}": network(1, c, s) for c, s in kinds}
weights = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, panels = plt.subplots(1, 4, figsize=(10, 3.8), layout="constrained")
said = []
for panel, (name, net) in zip(panels, nets.items(), strict=True):
    depends = dependence(net)
    panel.imshow(depends, cmap="Blues", vmin=0, vmax=1.4)
    panel.grid(False)
    panel.set(title=f"{name}\n{weights[name]:,} weights", xlabel="input of agent")
    panel.set(xticks=range(3), yticks=range(3))
    said.append(
        f"{name}: {int(depends.sum())} of 9 pairs, {weights[name]:,} weights".replace("\n", ", ")
    )
panels[0].set_ylabel("output of agent")
show_figure(figure, "Which output depends on which input. " + "; ".join(said))

# %% [markdown]
# Not centralized: a diagonal, each on its own. Centralized: everything. Three sets of weights are three
# times as many; in a centralized one with shared weights all three outputs are even the same number.
#
# An **actor** must not be centralized here: when a rover acts, it has its own six numbers and no
# others. A critic may be, because it is only used in training. Such a **central critic** under actors
# that act alone is what *MAPPO* stands for (multi-agent PPO, Yu et al., 2022); with a critic for which
# each agent's own view is all, it is *IPPO* (independent PPO, de Witt et al., 2020).

# %%
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torchrl.modules import ProbabilisticActor, TanhNormal


def make_actor(shared):
    # loc and scale of each rover's two moves
    moves = torch.nn.Sequential(network(4, False, shared), NormalParamExtractor())
    parameters = [("agents", "loc"), ("agents", "scale")]
    return ProbabilisticActor(
        TensorDictModule(moves, in_keys=[("agents", "observation")], out_keys=parameters),
        in_keys=parameters,
        out_keys=[("agents", "action")],
        distribution_class=TanhNormal,
        return_log_prob=True,
    )


def make_critic(central):
    return TensorDictModule(
        network(1, central, True),
        in_keys=[("agents", "observation")],
        out_keys=[("agents", "state_value")],
    )


# %% tags=["look"]
from course_utils import flow

flow({"actor": make_actor(True), "critic": make_critic(True)}, world)

# %% [markdown]
# Nothing is new but the names of the keys: each has `agents` in front.
#
# ## Why a loss needs `set_keys`  (about 17 min to here)
#
# A loss looks for `reward`, `state_value`, `done` at the root, unless it is told otherwise. (A step's
# reward and flags lie under `next`. The loss puts `next` in front by itself, so the name to give is
# `("agents", "reward")`, as `world.reward_keys` says it.) Let us give lesson 08's parts a batch of
# our team, as they are. What will happen?

# %%
from torchrl.envs import ExplorationType, set_exploration_type

# %% tags=["look"]
from torchrl.objectives.value import GAE

torch.manual_seed(seed)
actor, critic = make_actor(shared=True), make_critic(central=True)
with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
    batch = world.rollout(STEPS, actor)


def attempt(estimator):
    try:
        with torch.no_grad():
            found = estimator(batch.clone())
        return f"advantage of shape {list(found['advantage'].shape)}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


# %% tags=["look"]
advantages = GAE(gamma=0.9, lmbda=0.9, value_network=critic)
print("as it is:          ", attempt(advantages))
advantages.set_keys(value=("agents", "state_value"), reward=("agents", "reward"))
print("after `set_keys`:  ", attempt(advantages))

# %% [markdown]
# The first error does not say what is missing: `td.get("reward")` gave None, as there is no reward at
# the root. `set_keys` tells where it is. The second one is about shapes: three rewards and three values
# a step, but one flag. When the team's time is up, it is up for each of the three, so the flag has to
# be copied to them.
#
# `MultiAgentGAE` does that by itself, and `MAPPOLoss` brings it along:

# %%
from torchrl.objectives.multiagent import MAPPOLoss

# %% tags=["look"]
loss = MAPPOLoss(actor, critic, entropy_coeff=0.0)
loss.set_keys(value=("agents", "state_value"), reward=("agents", "reward"))
loss.make_value_estimator(gamma=0.9, lmbda=0.9)

# %% tags=["look"]
print(type(loss.value_estimator).__name__, "->", attempt(loss.value_estimator))
for name in ["action", "sample_log_prob", "value", "reward", "done", "terminated", "advantage"]:
    print(f"{name:16} {getattr(loss.tensor_keys, name)}")

# %% [markdown]
# The loss handed its keys on to its estimator. Where the actor writes its actions and their
# log-probabilities the loss asked the actor itself. `done` and `terminated` stay at the root, because
# they are the team's. `advantage` is written and read by our own parts, so it may lie anywhere.
#
# Anywhere, as long as *both* look there. Suppose you estimate the advantages yourself and keep them in
# the group, and forget to tell the loss:

# %% tags=["look"]
from torchrl.objectives.value import MultiAgentGAE

advantages = MultiAgentGAE(gamma=0.9, lmbda=0.9, value_network=critic)
advantages.set_keys(
    value=("agents", "state_value"), reward=("agents", "reward"), advantage=("agents", "advantage")
)
with torch.no_grad():
    kept = advantages(batch.clone()).reshape(-1)

# %% tags=["look"]
shuffled = kept[torch.randperm(len(kept))]
found = loss(shuffled)
print("no error:", ", ".join(name for name, _ in found.items() if name.startswith("loss")))
with torch.no_grad():
    inside = loss.value_estimator(shuffled.copy())  # what the loss does where it finds no advantage
pair = [shuffled["agents", "advantage"].flatten(), inside["advantage"].flatten()]
agreement = torch.corrcoef(torch.stack(pair))[0, 1].item()
print(f"correlation of the advantages it used with the right ones: {agreement:.2f}")

# %% [markdown]
# No error, no warning. The loss found no `advantage` at the root and computed its own, from a
# *shuffled* minibatch, in which the next row is some other step of some other copy: GAE took it for one
# long time line. Such a run learns badly, and nothing says why. After `set_keys` print a loss's keys
# and compare them with the batch.
#
# ## Training the team  (about 22 min to here)
#
# All settings that are going to be varied stand in one place. The rest is lesson 08: a collector, the
# advantages, and eight epochs of minibatches.

# %%
from dataclasses import dataclass
from types import SimpleNamespace

from torchrl.collectors import Collector


@dataclass
class Settings:
    shared_policy: bool = True
    central_critic: bool = True
    team_reward: bool = True
    sight: bool = True
    copies: int = 64
    batches: int = 30
    epochs: int = 8
    minibatch: int = 400
    learning_rate: float = 3e-3


# %%
def build(settings, seed):
    torch.manual_seed(seed)
    actor, critic = make_actor(settings.shared_policy), make_critic(settings.central_critic)
    loss = MAPPOLoss(actor, critic, entropy_coeff=0.0)
    loss.set_keys(value=("agents", "state_value"), reward=("agents", "reward"))
    loss.make_value_estimator(gamma=0.9, lmbda=0.9)
    optimiser = torch.optim.Adam(loss.parameters(), lr=settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.1, settings.batches)
    return SimpleNamespace(
        actor=actor, loss=loss, optimiser=optimiser, schedule=schedule, settings=settings
    )


# %%
def learn(run, batch):
    with torch.no_grad():
        run.loss.value_estimator(batch)
    frames = batch.reshape(-1)
    for _ in range(run.settings.epochs):
        for part in frames[torch.randperm(len(frames))].split(run.settings.minibatch):
            losses = run.loss(part)
            run.optimiser.zero_grad()
            (losses["loss_objective"] + losses["loss_critic"]).backward()
            torch.nn.utils.clip_grad_norm_(run.loss.parameters(), 1.0)
            run.optimiser.step()
    run.schedule.step()


# %% id="15-train"
def train(settings, seed, watch):
    run = build(settings, seed)
    posts = Posts(settings.copies, settings.team_reward, settings.sight)
    envs = TransformedEnv(posts, StepCounter(STEPS))
    envs.set_seed(seed)
    frames = settings.copies * STEPS
    options = {"frames_per_batch": frames, "total_frames": frames * settings.batches}
    collector = Collector(envs, run.actor, auto_register_policy_transforms=False, **options)
    for number, batch in enumerate(collector, start=1):
        watch(number, batch)
        learn(run, batch)
    collector.shutdown()
    return run


# %% id="15-judge"
def play(policy, episodes, seed, sight=True):
    world = Posts(episodes, sight=sight)
    world.set_seed(seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return world.rollout(STEPS, policy)


def at_posts(rollout):
    place = rollout["next", "agents", "observation"][:, -1, :, :2]
    return distances(place) < 0.15  # [episodes, rovers, posts]


def all_held(rollout):
    return at_posts(rollout).any(1).all(1).float().mean().item()


# %%
def break_mate(policy, rover, how):
    def act(tensordict):
        seen = tensordict["agents", "observation"].clone()
        if how == "is blind":
            seen[:, rover, 2:] = 0
        asked = TensorDict({"agents": {"observation": seen}}, tensordict.batch_size)
        asked["agents"].batch_size = seen.shape[:2]
        action = policy(asked)["agents", "action"].clone()
        if how == "acts at random":
            action[:, rover] = 2 * torch.rand_like(action[:, rover]) - 1
        if how == "stands still":
            action[:, rover] = 0
        if how == "takes the top post":
            action[:, rover] = (5 * (POSTS[0] - seen[:, rover, :2])).clamp(-1, 1)
        return tensordict.set(("agents", "action"), action)

    return act


# %% id="15-break"
BREAKS = ["is as trained", "is blind", "acts at random", "stands still", "takes the top post"]


def with_broken_mate(policy, how, seed, sight=True):
    """Posts held by all three, and by the other two alone; mean over which rover is broken."""
    held, by_others = [], []
    for rover in range(3):
        reached = at_posts(play(break_mate(policy, rover, how), 300, seed, sight))
        others = [mate for mate in range(3) if mate != rover]
        held.append(reached.any(1).all(1).float().mean().item())
        by_others.append(reached[:, others].any(1).sum(1).float().mean().item())
    return sum(held) / 3, sum(by_others) / 3


# %% [markdown]
# (The last two cells are for later: what a team is worth if one rover is broken.) How well does a team
# play that has not been trained, and what will one policy for all three have learned after 48,000
# frames?

# %%
from course_utils import LivePlot

shared = Settings()
live = LivePlot("batches", "mean team reward of a step", total=shared.batches)


def note(number, batch):
    live.add(number, exploring=batch["next", "agents", "reward"].mean().item())


untrained = build(shared, seed).actor
with live:
    run = train(shared, seed, note)

# %% tags=["look"]
exam_seed = 1_000_000 + seed
before, after = (play(policy, 300, exam_seed) for policy in (untrained, run.actor))
print(f"all three posts held: {all_held(before):.0%} before, {all_held(after):.0%} after training")

# %% [markdown]
# The same start twice, and a thin line from each rover to each mate that it sees:

# %%
import numpy as np
from course_utils import Episode, show_video


def draw(panel, name, place, broken):
    panel.set(title=name, xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), xticks=[], yticks=[], aspect="equal")
    for post in POSTS:
        panel.add_patch(plt.Circle(post.tolist(), 0.15, facecolor="0.9", edgecolor="black"))
    for rover, (x, y) in enumerate(place.tolist()):
        for other in place if rover != broken else []:
            panel.plot([x, other[0]], [y, other[1]], color="0.8", lw=0.8)
        marker = "X" if rover == broken else "o"
        panel.plot([x], [y], marker, color=f"C{rover}", ms=9)


# %%
def film(rollouts, broken=None):
    figure, panels = plt.subplots(1, len(rollouts), figsize=(6, 3.2), dpi=80)
    whole = next(reversed(rollouts.values()))[0]
    frames = []
    for step in range(STEPS):
        for panel, (name, rollout) in zip(panels, rollouts.items(), strict=True):
            panel.clear()
            place = rollout["next", "agents", "observation"][0, step, :, :2]
            draw(panel, name, place, None if name in ("before", "as trained") else broken)
        figure.canvas.draw()
        frames.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    plt.close(figure)
    rewards = whole["next", "agents", "reward"].mean((1, 2)).numpy()
    return Episode(np.stack(frames), rewards, whole, False, True, 6, "Posts")


# %% tags=["look"]
ends = [int(at_posts(rollout[:1]).any(1).sum()) for rollout in (before, after)]
show_video(
    film({"before": before, "after": after}),
    "The same start before (left) and after training (right; the return is its)",
    f"Three rovers among three posts. Before training {ends[0]} posts are held at the end, after it {ends[1]}.",
)

# %% [markdown]
# ## Who does what?  (about 27 min to here)
#
# All three rovers have the same policy. So why do they not all do the same? Because they do not *see*
# the same: each knows where it is among its mates. Where does each end, over 300 episodes? And with a
# policy for each rover, trained in the same way? Predict both tables.

# %%
team_of_three = train(Settings(shared_policy=False), seed, lambda number, batch: None)

# %% tags=["look"]
teams = {"one policy": run, "own policies": team_of_three}
figure, panels = plt.subplots(1, 2, figsize=(7, 3.2))
said = []
for panel, (name, team) in zip(panels, teams.items(), strict=True):
    roles = at_posts(play(team.actor, 300, exam_seed)).float().mean(0)
    panel.imshow(roles, cmap="Blues", vmin=0, vmax=1.8)
    panel.grid(False)
    panel.set(title=name, xticks=range(3), xticklabels=["top", "right", "left"], yticks=range(3))
    panel.set(xlabel="ends at post", ylabel="rover")
    for rover, post in np.ndindex(3, 3):
        panel.text(post, rover, f"{roles[rover, post]:.0%}", ha="center", va="center")
    said.append(f"{name}: " + "; ".join(" ".join(f"{x:.0%}" for x in row) for row in roles))
show_figure(figure, "How often each rover (row) ends at each post (column). " + ". ".join(said))

# %% [markdown]
# With one policy each rover ends at each post about equally often: who goes where is settled anew in
# every episode, by who stands where. With own policies *roles* have grown: there are posts to which a
# rover never goes, wherever it begins. How sharp the roles are depends on the seed. Both teams hold all posts.
#
# ## Break a team mate  (about 31 min to here) (deeper)
#
# Which team is worth more when something goes wrong? One rover is broken, each of the three in turn,
# and its mates play on as they were trained:
#
# - it *is blind*: it sees zeros in place of its mates;
# - it *acts at random*, or *stands still*;
# - it *takes the top post*, whoever is nearer, and stays there.
#
# Where can mates make up for it, and which team's mates will?

# %% tags=["look"]
print(f"{'one rover ...':22}" + "".join(f"{name:>30}" for name in teams))
broken = {}
for how in BREAKS:
    torch.manual_seed(seed)
    broken[how] = [with_broken_mate(team.actor, how, exam_seed) for team in teams.values()]
    cells = [f"{held:.0%} held, others {posts:.2f} posts" for held, posts in broken[how]]
    print(f"{how:22}" + "".join(f"{cell:>30}" for cell in cells))

# %% [markdown]
# (How often all three posts are held, and how many posts the *other two* hold at the end.) Three posts
# need three rovers, so nobody can make up for one that stands still or reels about. But the others
# mostly hold two posts, though they never met such a mate.
#
# A stubborn mate is different: its post *is* held, and the others only need to take the other two.
# The team with one policy mostly does that; who goes where was open to them anyway. The team with
# roles does it when the broken rover happens to be the one whose role it is. And *blindness* costs
# one policy everything, for a rover that sees zeros believes that both mates stand exactly where it
# stands; a rover that has one firm post does not care. (How firm the roles are depends on the seed:
# the stored runs below tell it seed by seed.)
#
# So *firm* roles are robust against not seeing, and one policy against mates that do the unforeseen.
# Neither was asked for: it comes from how the weights were shared.

# %% tags=["look"]
stubborn = play(break_mate(run.actor, 0, "takes the top post"), 300, exam_seed)
show_video(
    film({"as trained": after, "rover 0 takes the top post": stubborn}, broken=0),
    "One policy: as trained (left), and with one mate, the cross, that takes the top post (right)",
    f"Three rovers among three posts; {int(at_posts(stubborn[:1]).any(1).sum())} are held at the end on the right.",
)

# %% [markdown]
# ## Whose reward is it?  (about 36 min to here) (deeper)
#
# Every rover got the same reward, for what all three did together. How is one of them to know what *it*
# did for it? That is the question of **credit assignment**. One answer is the **difference reward** (Wolpert and
# Tumer, 2001): what the team got, minus what it would have got without me.
#
# ### Exercise 15.2: what would they have got without me?  (6 min)
# Write `credit(distance)`. `distance` is what `distances` returns, shape `[copies, agents, posts]`. The
# team's reward is minus the distance of a post to the agent closest to it, mean over the posts. Return,
# in the shape `[copies, agents, 1]`, the difference reward of each agent: the team's reward minus the
# team's reward if this agent did not exist.
# <details><summary>Hint</summary>A loop over the agents is fine. Without agent i:
# <code>torch.cat([distance[:, :i], distance[:, i + 1:]], 1)</code>.</details>
# <details><summary>A second hint</summary>Write a function for the team's reward first, <code>[copies, any
# number of agents, posts]</code> to <code>[copies]</code>, and call it twice.</details>

# %% tags=["exercise"]
from course_utils import check


def credit(distance):
    # your code
    ...


check("15.2", credit)


# %% tags=["solution"]
def credit(distance):
    def team(some):
        return -some.min(1).values.mean(1)

    without = [
        team(torch.cat([distance[:, :i], distance[:, i + 1 :]], 1))
        for i in range(distance.shape[1])
    ]
    return torch.stack([team(distance) - other for other in without], 1).unsqueeze(-1)


check("15.2", credit)

# %% [markdown]
# Someone whom nobody would miss earns 0, and nobody earns less than that: a rover more cannot hurt this
# team.
#
# Does a team learn from such a reward, and better? Here is the same number on a shorter way: without me, each
# post that is mine (nobody is closer) falls to the rover that is *second* closest.


# %% id="15-missed"
def missed(place):
    distance = distances(place)
    closest, second = distance.topk(2, dim=1, largest=False).values.split(1, 1)
    return ((distance == closest) * (second - closest)).mean(2, keepdim=True)


# %% id="15-difference"
class ByCredit(Posts):
    def _step(self, tensordict):
        answer = super()._step(tensordict)
        place = answer["agents", "observation"][..., :2]
        return answer.set(("agents", "reward"), missed(place))


# %% id="15-rewards"
REWARDS = {
    "team reward": lambda: Posts(64),
    "own rewards": lambda: Posts(64, team_reward=False),
    "difference reward": lambda: ByCredit(64),
}


# %% id="15-train-in"
def train_in(envs, steps, settings, seed, watch):
    """As `train`, in any world whose agents see six numbers."""
    run = build(settings, seed)
    envs.set_seed(seed)
    frames = settings.copies * steps
    options = {"frames_per_batch": frames, "total_frames": frames * settings.batches}
    collector = Collector(envs, run.actor, auto_register_policy_transforms=False, **options)
    for number, batch in enumerate(collector, start=1):
        watch(number, batch)
        learn(run, batch)
    collector.shutdown()
    return run


# %% [markdown]
# `make bench` trained a team on each of the three rewards, with fresh seeds. Each critic sees one rover, so that
# rovers of different reward may get different values. Predict: which team learns first? All are judged by the
# *team* reward, whatever they were paid.

# %% tags=["look"]
from course_utils import load_results

paid_for = load_results("15_rewards")["runs"]["rewards"]
figure, axes = plt.subplots(figsize=(7, 3.6))
for color, (name, runs) in enumerate(paid_for.items()):
    curves = np.array([result["curve"] for result in runs.values()])
    axes.plot(range(1, 31), curves.T, color=f"C{color}", alpha=0.25)
    axes.plot(range(1, 31), curves.mean(0), color=f"C{color}", lw=2.5, label=name)
    held, ends = np.mean([result["held"] for result in runs.values()]), curves[:, -1].mean()
    print(f"{name:18} all posts held: {held:4.0%}   team reward of a step at the end: {ends:.3f}")
axes.set(xlabel="batches", ylabel="mean team reward of a step")
figure.legend(loc="outside right upper")
show_figure(
    figure,
    "Mean team reward of a step over the batches, a thin line for each seed and their mean. Halfway, after 15 "
    "batches: "
    + ", ".join(
        f"{name} {np.mean([result['curve'][14] for result in runs.values()]):.3f}"
        for name, runs in paid_for.items()
    ),
)

# %% [markdown]
# Own rewards leave posts empty: with two of five seeds all three rovers end at one. The difference reward fills
# the posts as the team reward does, and is ahead of it halfway, with every seed: what mates do well or badly is
# no longer mixed into one's own reward. With three rovers there is little to tell apart, so little is gained.

# %% [markdown]
# ## What matters, over many seeds  (about 48 min to here) (deeper)
#
# One run proves little. The same code was run on fresh seeds, with one thing changed at a time. Predict
# for each arm how many runs hold all three posts in at least 80 % of fresh episodes:

# %% tags=["look"]
from course_utils import load_results

measured = load_results("15_many_agents")["runs"]["multiagent"]
print(f"{'':38} {'good runs':>10} {'posts held':>11} {'stubborn mate':>14}")
for name, runs in measured.items():
    good = sum(result["held"] >= 0.8 for result in runs.values())
    posts = np.mean([result["posts"] for result in runs.values()])
    made_up = np.mean([result["broken"]["takes the top post"][0] for result in runs.values()])
    print(f"{name:38} {f'{good} of {len(runs)}':>10} {posts:11.2f} {made_up:14.0%}")
blind = [result["broken"]["is blind"][0] for result in measured["own policies"].values()]
print("own policies, all posts held with one mate blind:", *(f"{held:.0%}" for held in blind))

# %% tags=["look"]
figure, panels = plt.subplots(2, 4, figsize=(11, 5), sharex=True)
for panel, (name, runs) in zip(panels.flat, measured.items(), strict=False):
    for result in runs.values():
        panel.plot(range(1, len(result["curve"]) + 1), result["curve"], color="C0", alpha=0.7)
    panel.set(title=name.replace(", ", ",\n", 1))
for panel in panels.flat[len(measured) :]:
    panel.axis("off")
figure.supxlabel("batches")
figure.supylabel("mean reward of a step")
show_figure(
    figure, "A panel for each arm, a line for each seed: the mean reward of a step while learning."
)


# %% [markdown]
# Read it with its limits: one small world, five seeds an arm.
#
# - *The critic*, one that sees all or one's own view, makes no difference here. Each rover sees where
#   its mates are, so it knows all there is to know already. It can help where agents see little, and what they
#   are paid for depends on what others see; this world is too simple to show that. Even among blind rovers with
#   own policies both kinds learn.
# - *Own policies* hold the posts as well, with roles, and make up less often for a stubborn mate.
# - *Own rewards* pay a rover at any post, whoever is there already. So rovers meet, and one or two posts stay empty
#   most of the time. This is no failure of learning: the team does what it is paid for.
# - *Blind* rovers with one policy cannot settle who goes where, as nothing tells them apart but their
#   own place. Give them own policies, and each learns one role: nobody needs to see anybody.
#
# ## The same team code on VMAS  (about 54 min to here) (deeper)
#
# `Posts` was made for this lesson. *VMAS* (vectorised multi-agent simulator, Bettini et al., 2022) is a
# collection of such worlds, many copies side by side in PyTorch, and `VmasEnv` gives them our layout. In
# its *navigation* each of three agents has a goal of its own. All are paid by how much nearer the three
# came to their goals in this step; whoever bumps into another loses 1. Twelve rays show what is closer
# than 0.35.

# %%
from importlib.util import find_spec

has_vmas = all(find_spec(name) for name in ("vmas", "gym"))
if has_vmas:
    print("VMAS is here: the team is trained live.")
else:
    print("VMAS is not installed: what was stored is shown. This installs it:")
    print("pip install --no-deps vmas==1.5.2 gym==0.26.2")

# %% [markdown]
# It is none of the course's extras, because both packages come as source alone: to install them runs their
# authors' set-up code on your machine. `--no-deps` leaves everything else as it is. VMAS is under the GPL 3.
#
# Our team reads six numbers, and navigation gives 18. We could widen the network. Or we say in six numbers
# what matters: the speed, the way to the goal, and where the rays hit something. A transform does it, an
# `ObservationTransform`, with a nested key as with any other:

# %% id="15-six"
from torchrl.envs import ObservationTransform


class SixNumbers(ObservationTransform):
    """Speed, way to the goal, and the sum of the rays, each as long as what it hits is close."""

    def __init__(self):
        super().__init__(in_keys=[("agents", "all")], out_keys=[("agents", "observation")])

    def _apply_transform(self, seen):
        angles = torch.arange(12) * torch.pi / 6
        rays = torch.stack([angles.cos(), angles.sin()], -1)
        return torch.cat([seen[..., 2:4], -seen[..., 4:6], seen[..., 6:] @ rays], -1)

    def _reset(self, tensordict, tensordict_reset):
        return self._call(tensordict_reset)

    def transform_observation_spec(self, spec):
        spec["agents", "observation"] = Unbounded([*spec["agents"].shape, 6])
        return spec


# %% [markdown]
# `RenameTransform` keeps the 18 numbers as `("agents", "all")`, for the film; `Compose` chains the transforms.
# A detail: `VmasEnv(max_steps=100)` would
# call the end of the time *terminated*, as if nothing were to come. `StepCounter` calls it *truncated*.

# %% id="15-navigation"
from torchrl.envs import Compose, RenameTransform

NAVIGATION = Settings(copies=60, batches=10, epochs=10, minibatch=800)


def navigation(copies, seed):
    from torchrl.envs import VmasEnv

    world = VmasEnv("navigation", num_envs=copies, n_agents=3, seed=seed)
    renamed = RenameTransform([("agents", "observation")], [("agents", "all")])
    return TransformedEnv(world, Compose(renamed, SixNumbers(), StepCounter(100)))


# %% [markdown]
# An episode ends when all three are on their goals, or after 100 steps. The judge plays one greedy episode in
# each copy; what a copy does after its end does not count.


# %% id="15-navigate"
def navigate(policy, episodes, seed):
    world = navigation(episodes, seed)
    world.set_seed(seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return world.rollout(100, policy, break_when_any_done=False)


def first_episode(rollout):
    ended = rollout["next", "done"].int()
    return ended.cumsum(1) - ended == 0  # [copies, time, 1]


def returns(rollout):
    return (rollout["next", "agents", "reward"].mean(-2) * first_episode(rollout)).sum((1, 2))


# %% id="15-path"
def busiest(rollout):
    """Of the copies in which all arrive, the one in which the rays hit something most often."""
    first = first_episode(rollout)
    hits = (rollout["agents", "all"][..., 6:] > 0).any(-1).sum(-1, keepdim=True)
    arrived = (rollout["next", "terminated"] & first).any(1)
    return int(((hits * first).sum(1) * arrived).argmax())


def path_of(rollout, copy):
    """Of one copy: places, goals, whose rays hit something, and rewards, as plain lists."""
    steps = int(first_episode(rollout)[copy].sum())
    seen = rollout["agents", "all"][copy, :steps].double()
    rewards = rollout["next", "agents", "reward"][copy, :steps].double().mean((1, 2))
    return {
        "places": seen[..., :2].round(decimals=2).tolist(),
        "goals": (seen[0, :, :2] - seen[0, :, 4:6]).round(decimals=2).tolist(),
        "sees": (seen[..., 6:].amax(-1) > 0).int().tolist(),
        "rewards": rewards.round(decimals=4).tolist(),
    }


# %% [markdown]
# And now `build`, `learn` and the loop from above, untouched: 60,000 frames of the team.

# %%
from course_utils import load_results

if has_vmas:
    live = LivePlot("batches", "mean reward of a step", total=NAVIGATION.batches)
    with live:
        pilots = train_in(navigation(60, seed), 100, NAVIGATION, seed, note).actor
    exams = {"before": build(NAVIGATION, seed).actor, "after": pilots}
    exams = {name: navigate(policy, 200, exam_seed) for name, policy in exams.items()}
    flown = {name: returns(rollout).mean().item() for name, rollout in exams.items()}
    shown = busiest(exams["after"])
    paths = {name: path_of(rollout, shown) for name, rollout in exams.items()}
else:
    stored = load_results("15_vmas")["runs"]["vmas"]["as in the lesson"]["100"]
    flown, paths = {"before": stored["untrained"], "after": stored["return"]}, stored["paths"]
print({name: round(value, 2) for name, value in flown.items()}, "mean return")


# %%
def draw_navigation(panel, name, path, step):
    panel.clear()
    panel.set(title=name, xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xticks=[], yticks=[], aspect="equal")
    for agent, (x, y) in enumerate(path["places"][step]):
        color, sees = f"C{agent}", path["sees"][step][agent]
        panel.plot(*path["goals"][agent], "s", ms=11, mfc="none", mew=2, color=color)
        panel.add_patch(plt.Circle((x, y), 0.35, color=color, alpha=0.35 if sees else 0.1, lw=0))
        panel.add_patch(plt.Circle((x, y), 0.1, color=color))


def film_navigation(paths):
    figure, panels = plt.subplots(1, 2, figsize=(6, 3.2), dpi=80)
    frames, longest = [], max(len(path["places"]) for path in paths.values())
    for step in range(longest):
        for panel, (name, path) in zip(panels, paths.items(), strict=True):
            draw_navigation(panel, name, path, min(step, len(path["places"]) - 1))
        figure.canvas.draw()
        frames.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    plt.close(figure)
    rewards = np.array(paths["after"]["rewards"])
    whole = TensorDict({"places": torch.tensor(paths["after"]["places"])}, [len(rewards)])
    return Episode(np.stack(frames), rewards, whole, True, False, 12, "navigation")


# %% tags=["look"]
nearer = [np.linalg.norm(np.subtract(p["places"][-1], p["goals"]), axis=-1) for p in paths.values()]
show_video(
    film_navigation(paths),
    "The same start before (left) and after training (right; steps and return are its)",
    "Three discs and their goals, squares of the same colour; the pale circle is how far an agent's rays reach, "
    "darker where they hit a mate. Mean distance to the goal at the end: "
    f"{nearer[0].mean():.2f} before training, {nearer[1].mean():.2f} after it.",
)

# %% [markdown]
# Who has a mate within reach of its rays has a darker circle. Of 200 fresh starts this is the one with most such
# meetings, among those in which all arrive. Nothing in the team's code knew of this world, but for the names of
# its keys and the six numbers. How good is it? With fresh seeds, in units of the best return
# that any team was seen to have:

# %% tags=["look"]
pilots_of = load_results("15_vmas")["runs"]["vmas"]
best = max(result["return"] for runs in pilots_of.values() for result in runs.values())
for name, runs in pilots_of.items():
    shares = [result["return"] / best for result in runs.values()]
    print(f"{name:18}", *(f"{share:.0%}" for share in shares))

# %% [markdown]
# Every team comes above 90 %.
#
# - *IPPO*, whose critic sees one agent, is as good here: within 3 % of the lesson's team with each of the five
#   seeds, and not once below.
# - *Own policies* learn it, too, and are a little worse with four of five seeds. There each network learns from a
#   third of the frames.
#
# ## PettingZoo, and agents that leave  (about 61 min to here) (deeper)
#
# PettingZoo is to many agents what Gymnasium is to one: an interface that many worlds share. It has two
# forms. In the *parallel* form all agents act at once, as our rovers did. In the **AEC form** (agent
# environment cycle) they take turns, as in a board game. `PettingZooWrapper` takes both.
#
# There agents have names, and may leave before the others. Names become groups:

# %%
from torchrl.envs.utils import MarlGroupMapType

names = ["scout_0", "scout_1", "truck_0"]
for kind in MarlGroupMapType:
    print(kind.name, kind.get_group_map(names))

# %% [markdown]
# Those are the two extremes that `MarlGroupMapType` names: all in one group, which needs the same
# shapes for all, or a group for each. A dictionary says anything in between, and the wrapper's own
# guess goes by the names: `scout_0` and `scout_1` become the group `scout`. Now a world, written for
# PettingZoo. The scouts drive until they are out of fuel.

# %%
from course_utils import ask_for_extra

has_zoo = ask_for_extra("multiagent", "its cells print nothing, and all others run as they are")

# %%
from gymnasium.spaces import Box, Discrete


class Trip:
    possible_agents = names

    def observation_space(self, agent):
        return Box(0, 9, (1,), np.float32)

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.fuel = list(names), {"scout_0": 2, "scout_1": 4, "truck_0": 6}
        return self.seen(), {name: {} for name in names}

    def seen(self):
        return {name: np.array([self.fuel[name]], np.float32) for name in self.agents}


# %%
def make_convoy():
    from pettingzoo import ParallelEnv

    class Convoy(Trip, ParallelEnv):
        metadata = {"name": "convoy"}

        def step(self, actions):
            for name in self.agents:
                self.fuel[name] -= 1
            answer = self.seen(), {name: 1.0 for name in self.agents}
            over = {name: self.fuel[name] == 0 for name in self.agents}
            never, infos = dict.fromkeys(self.agents, False), {name: {} for name in self.agents}
            self.agents = [name for name in self.agents if not over[name]]
            return *answer, over, never, infos

    return Convoy()


# %% tags=["look"]
if has_zoo:
    import warnings

    from torchrl.envs import PettingZooWrapper

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says which release of PettingZoo it was tested with
        convoy = PettingZooWrapper(make_convoy(), use_mask=True, done_on_any=False)
    drive = convoy.rollout(10)
    print(convoy.group_map)
    print("there before the step:", drive["scout", "mask"].int().tolist())
    print("reward of each scout: ", drive["next", "scout", "reward"].squeeze(-1).tolist())
    print("done at the root:     ", drive["next", "done"].squeeze(-1).int().tolist())

# %% [markdown]
# A tensor of two scouts cannot shrink to one. So whoever has left keeps its row, and `("scout",
# "mask")` says who is still there, row by row: both scouts for two steps, then the second alone, then
# neither, while the truck drives on. What stands in the rows of those who left is filling, and must not
# be learned from. `done_on_any=False` lets the episode last until all are done; the default for this
# form ends it with the first.
#
# In the AEC form the mask says whose turn it is, and `action_mask` which moves are allowed: see *Taking turns*,
# near the end.
#
# ### Exercise 15.3: the mean of those who are there  (4 min)
# Write `mean_of_present(loss, mask)`. `loss` has shape `[frames, agents, 1]`, `mask` is boolean,
# `[frames, agents]`: is this agent there? Return the mean loss over all pairs of frame and agent where
# it is, as one number in a tensor that `backward` can start from. Where an agent is not there, `loss`
# holds anything, even NaN. Somebody is always there.
# <details><summary>Hint</summary>NaN times 0 is NaN, so multiplying is no way to leave something out. A
# boolean tensor can <i>pick</i>: <code>x[mask]</code>.</details>

# %% tags=["exercise"]
from course_utils import check


def mean_of_present(loss, mask):
    # your code
    ...


check("15.3", mean_of_present)


# %% tags=["solution"]
def mean_of_present(loss, mask):
    return loss[mask].mean()


check("15.3", mean_of_present)

# %% [markdown]
# ## Two players, one board  (about 71 min to here)
#
# So far agents worked together. Now they work against each other: what one wins, the other loses. Such a game
# is called **zero-sum**. The smallest one that everybody knows comes with TorchRL.

# %% id="15-game"
import torch
from course_utils import show
from torchrl.envs import TicTacToeEnv

game = TicTacToeEnv()
torch.manual_seed(seed)
one_game = game.rollout(9)
show(one_game)

# %% [markdown]
# Two players, but a single `action`: they take turns, and `turn` says whose it is. The mask says which of the
# nine cells are free. Each player has a reward of its own. And the board? Here are the first moves of the
# game above.

# %%
for step in range(3):
    print("turn", one_game["turn"][step].item(), " board", one_game["board"][step].tolist())

# %% [markdown]
# The signs swap from line to line: *1 is the player whose turn it is*, 0 is the other one, -1 is a free cell.
# Whoever moves sees its own stones as 1. So one network can play both sides, and need not be told which one
# it plays.
#
# Lesson 03 met action masks. Is the mask more than good manners? Let us play the middle twice.

# %%
first = game.reset().set("action", torch.tensor(4))
second = game.step(first)["next"].set("action", torch.tensor(4))
after = game.step(second)["next"]
for name, td in [("one move", second), ("the same again", after)]:
    print(f"{name:15} middle: {td['board'][1, 1].item()}, free cells: {td['mask'].sum().item()}")

# %% [markdown]
# No error. The second player took the first one's stone away, and both times the player who is to move next
# finds a 0 there: the other's. A policy without the mask learns to steal, or plays one cell for ever, and the
# game never ends. So everything that chooses gets the mask: the greedy actor and the exploring one.
#
# ## A network for both sides  (about 74 min to here)
#
# The network sees two planes, *mine* and *theirs*, and gives each cell a value: what the **player to move**
# can expect of playing there, from -1 (lost) to 1 (won). `EGreedyModule` explores, always among the free
# cells.

# %% id="15-network"
from torchrl.modules import MLP


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = MLP(18, 9, num_cells=[128, 128], activation_class=torch.nn.ReLU)

    def forward(self, board):
        cells = board.flatten(-2)
        return self.layers(torch.cat([cells == 1, cells == 0], -1).float())


# %% id="15-players"
from tensordict.nn import TensorDictSequential
from torchrl.modules import EGreedyModule, QValueActor


def player(values):
    return QValueActor(values, in_keys=["board"], spec=game.action_spec, action_mask_key="mask")


def exploring(actor, eps=0.3):
    explore = EGreedyModule(game.action_spec, eps_init=eps, eps_end=eps, action_mask_key="mask")
    return TensorDictSequential(actor, explore)


# %% [markdown]
# A match lets `turn` decide whose move counts. Many games are played side by side, `start` is a batch of
# boards. From an empty board no game needs more than nine moves, and two games need ten or more: in nine
# moves each row finishes exactly one game.

# %% id="15-match"
from tensordict import TensorDict


def empty_boards(count):
    return game.reset(TensorDict(batch_size=[count]))


def match(first, second, start):
    def move(td):
        moves = [each(td.copy())["action"] for each in (first, second)]
        return td.set("action", torch.where(td["turn"].squeeze(-1) == 0, *moves))

    steps = int(start["mask"][0].sum())  # as many as there are free cells
    with torch.no_grad():
        return game.rollout(
            steps, move, auto_reset=False, tensordict=start, break_when_any_done=False
        )


# %%
torch.manual_seed(seed)
beginner = player(Network())
played = match(beginner, exploring(beginner, eps=1.0), empty_boards(1_000))
wins = {name: int(played["next", name, "reward"].sum()) for name in ("player0", "player1")}
print(wins, "games finished:", int(played["next", "done"].sum()))

# %% [markdown]
# The second player moved at random (`eps=1`), the first by a network that has learned nothing. A winner gets
# 1. The loser gets 0, as in a draw! TorchRL leaves it to you to make a zero-sum game of it.
#
# ## Whose value is it?  (about 78 min to here)
#
# Lesson 04's target was *reward plus the value of what follows*. But what follows is the *other player's*
# turn, and the network speaks for the player to move. What is good for the other is bad for me, so the sign
# flips:
#
# $$ y = \begin{cases} r & \text{if the game is over} \\ -\max_{a \text{ free}} Q(s', a) & \text{if it goes on} \end{cases} $$
#
# with $r = 1$ if this very move has won, 0 in a draw. Nobody can lose by moving, and the loser's -1 comes
# from the minus sign. This is called **negamax**. Three things can go wrong: the sign, the mask, the end.


# %% id="15-target"
def negamax(batch, next_values):
    after = batch["next"]
    best = next_values.masked_fill(~after["mask"], -torch.inf).amax(-1, keepdim=True)
    won = after["player0", "reward"] + after["player1", "reward"]  # only who moved can win
    return torch.where(after["done"], won, -best)


# %% [markdown]
# On a full board nothing is free, and `best` is minus infinity: `where` leaves it out. A factor of 0 would
# not, for 0 times infinity is not a number.
#
# Wrong targets raise no error. Two of them, to be trained later:


# %% id="15-wrong-targets"
def sign_kept(batch, next_values):
    return torch.where(batch["next", "done"], 1.0, -1.0) * negamax(batch, next_values)


def mask_forgotten(batch, next_values):
    won = batch["next", "player0", "reward"] + batch["next", "player1", "reward"]
    return torch.where(batch["next", "done"], won, -next_values.amax(-1, keepdim=True))


# %% [markdown]
# ### Exercise 15.4: whose turn is next?  (6 min)
# In some games a good move earns another one: who closes a box in *Dots and Boxes* moves again. Write
# `turn_target(reward, turn, next_turn, next_values, next_mask, terminated, gamma)`. `next_values` is
# for the player who is to move next, `next_mask` is True where that player may move; both are
# `[batch, actions]`, all others `[batch, 1]` but the number `gamma`. The reward is the mover's, and
# comes at any move. Where a game has ended, `next_mask` may be False everywhere.
# <details><summary>Hint</summary>What follows is mine if the turn stays, and counts against me if it changes.</details>
# <details><summary>A second hint</summary><code>torch.where(turn == next_turn, best, -best)</code>, and another
# <code>where</code> for the end.</details>


# %% tags=["exercise"]
def turn_target(
    reward, turn, next_turn, next_values, next_mask, terminated, gamma
): ...  # your code


check("15.4", turn_target)


# %% tags=["solution"]
def turn_target(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    best = next_values.masked_fill(~next_mask, -torch.inf).amax(-1, keepdim=True)
    for_mover = torch.where(turn == next_turn, best, -best)
    return reward + gamma * torch.where(terminated, 0.0, for_mover)


check("15.4", turn_target)

# %% [markdown]
# ## An exam that leaves nothing out  (about 86 min to here)
#
# Winning against a random player proves little. *Never losing* is a statement about *all* that an opponent
# could do, and this game is small enough to try it all. At the agent's turn it plays its move. At the
# opponent's turn, every free cell is played, each in a copy of the game.


# %% id="15-all-moves"
def all_moves(td):
    rows, cells = td["mask"].nonzero(as_tuple=True)
    return td[rows].set("action", cells)


# %% id="15-exam"
def exam(agent, side):
    """How all games end in which the agent is player `side`, whatever the other one plays."""
    ended = {"won": 0, "drawn": 0, "lost": 0}
    td = empty_boards(1)
    while len(td):
        with torch.no_grad():
            td = agent(td) if td["turn"][0] == side else all_moves(td)
        after = game.step(td)["next"]
        over = after["done"].squeeze(-1)
        won, lost = (int(after[f"player{who}", "reward"].sum()) for who in (side, 1 - side))
        ended["won"] += won
        ended["lost"] += lost
        ended["drawn"] += int(over.sum()) - won - lost
        td = after[~over].select("board", "turn", "mask", "done", "terminated")
    return ended


# %% id="15-never-loses"
def never_loses(agent):
    return all(exam(agent, side)["lost"] == 0 for side in (0, 1))


# %%
print("untrained, begins:", exam(beginner, side=0))
print("untrained, second:", exam(beginner, side=1))
print("never loses:", never_loses(beginner))

# %% [markdown]
# If a single one of these games beats the agent, *lost* is not 0. If it is 0, that is no measurement but a
# proof, by trying all cases.
#
# ## Learn from yourself, and from who you were  (about 91 min to here)
#
# In **self-play** the opponent is the learner itself: always as strong as you are, and free. Its
# danger is to forget: who only meets today's opponent may lose to yesterday's. So in each round a
# **past self** is the opponent, one of the snapshots taken on the way. Both explore, and the moves of
# both go to the memory: the target does not ask who made a move (lesson 08 called it off-policy).
#
# An update is lesson 07's: the value of what was played, towards the target.


# %% id="15-update"
def update(network, batch, target, optim):
    with torch.no_grad():
        wanted = target(batch, network(batch["next", "board"]))
    value = network(batch["board"]).gather(-1, batch["action"].unsqueeze(-1))
    loss = torch.nn.functional.mse_loss(value, wanted)
    optim.zero_grad()
    loss.backward()
    optim.step()


# %% [markdown]
# And the loop. Every ten rounds a snapshot is taken, and sits the exam. **Training stops when the proof
# holds**, or after 200 rounds.

# %% id="15-self-play"
from copy import deepcopy

from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer


def self_play(seed, target=negamax, past_selves=True, rounds=200, updates=30):
    torch.manual_seed(seed)
    network = Network()
    greedy = player(network)
    learner, snapshots = exploring(greedy), [deepcopy(greedy)]
    optim = torch.optim.Adam(network.parameters(), lr=2e-3)
    slower = torch.optim.lr_scheduler.LinearLR(optim, 1.0, 0.0, rounds * updates)
    memory = TensorDictReplayBuffer(storage=LazyTensorStorage(30_000), batch_size=256)
    for number in range(1, rounds + 1):
        other = exploring(snapshots[torch.randint(len(snapshots), ())]) if past_selves else learner
        pair = (learner, other) if number % 2 else (other, learner)
        memory.extend(match(*pair, empty_boards(128)).reshape(-1))
        for _ in range(updates):
            update(network, memory.sample(), target, optim)
            slower.step()
        if number % 10 == 0:
            snapshots.append(deepcopy(greedy))
            if never_loses(greedy):
                break
    return snapshots


# %% [markdown]
# To stop on a good score may be to stop on luck (to choose by one is, too: lesson 14). A proof has no
# luck in it. There is no target network: a game is over after nine moves at most, and errors do not
# go round in circles.

# %%
snapshots = self_play(seed)
agent = snapshots[-1]
print("rounds:", 10 * (len(snapshots) - 1))
for name, each in [("after 20", snapshots[2]), ("at the end", agent)]:
    print(f"{name:10} begins: {exam(each, side=0)}  second: {exam(each, side=1)}")

# %% [markdown]
# In no game that can be played against it does the agent lose, from either side. That holds for these
# weights. Does the recipe find such weights with every seed? `make bench` trained it with seeds that were not
# used to write it, and in three other ways.

# %% tags=["look"]
from course_utils import load_results

for name, runs in load_results("15_selfplay")["runs"]["selfplay"].items():
    lost, rounds = ([run[what] for run in runs.values()] for what in ("lost", "rounds"))
    never = sum(sum(each) == 0 for each in lost)
    print(f"{name:17} never lose: {never:2} of {len(runs)}   rounds: {rounds}")

# %% [markdown]
# Past selves or not makes little difference here: with random moves among the others, every position
# is met anyway. In games that are too large for that, leagues of past selves are what keeps a player
# from forgetting. The two wrong targets never pass. What keeping the sign does is looked into below;
# forgetting the mask lets a target count on moves that nobody can make.
#
# ## How wrong are its values?  (about 95 min to here) (deeper)
#
# The network's equation has an exact solution, too. `worth` follows the same rule without any network: a move
# is worth 1 if it wins, else minus the best that the other player can do then. This is the **minimax** value.
# As in TorchRL, the board is seen by who moves.

# %% id="15-minimax"
LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
exact = {}


def worth(board):
    """For each free cell what it is worth to the player to move; `board` is a tuple of nine numbers."""
    if board not in exact:
        exact[board] = {}
        for cell in [cell for cell in range(9) if board[cell] == -1]:
            mine = (*board[:cell], 1, *board[cell + 1 :])
            if any(all(mine[place] == 1 for place in line) for line in LINES):
                exact[board][cell] = 1
            else:  # the other player sees the board with the signs swapped
                replies = worth(tuple(sign if sign == -1 else 1 - sign for sign in mine))
                exact[board][cell] = -max(replies.values(), default=0)
    return exact[board]


# %%
print("the empty board:", worth((-1,) * 9))
print("positions with a move to choose:", sum(bool(moves) for moves in exact.values()))

# %% [markdown]
# The game is a draw whatever the first move is. Now each value that the network gives a free cell can be
# compared with the true one, over all positions.

# %%
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
boards = torch.tensor([board for board in exact if -1 in board]).view(-1, 3, 3)
truth = torch.tensor(
    [[exact[board].get(cell, torch.nan) for cell in range(9)] for board in exact if -1 in board]
)
figure, places = plt.subplots(1, 2, sharey=True)
for axes, title, each in zip(places, ["untrained", "trained"], [beginner, agent], strict=True):
    with torch.no_grad():
        believed = each.module[0].module(boards)
    axes.boxplot([believed[truth == true] for true in (-1, 0, 1)], showfliers=False, whis=(1, 99))
    axes.set_xticks([1, 2, 3], ["lost", "drawn", "won"])
    axes.set(title=title, xlabel="what the move is truly worth")
places[0].set(ylabel="what the network believes")
right = [
    (believed[truth == true] - true).abs().lt(0.5).double().mean().item() for true in (-1, 0, 1)
]
show_figure(
    figure,
    "Boxes of the network's values by the true worth of a move. Untrained: around 0 for all three. Trained: "
    f"the three lie apart; within a half of the truth are {right[0]:.0%} of the values of lost moves, "
    f"{right[1]:.0%} of drawn and {right[2]:.0%} of won ones.",
)

# %% [markdown]
# Boxes hold half of the values, whiskers all but the last per cent. Its numbers are far from exact, but lost,
# drawn and won lie apart, and that is enough to choose. Nobody told the network what a position is worth. It
# found out by playing, from nothing but who had won.
#
# ## Elo: who is better, and by how much?  (about 98 min to here) (deeper)
#
# In larger games nobody can try everything. Then players are measured against one another. The
# **Elo rating** gives each a number, so that only differences count: who is rated 400 higher can
# expect to score ten times what the other scores (a win scores 1, a draw ½),
#
# $$ \text{expected score of } A \text{ against } B = \frac{1}{1 + 10^{(R_B - R_A) / 400}}. $$
#
# For a table of our snapshots we need games. Two greedy players would play the same one again and again, so
# each pair plays from all 72 openings of two moves, on both sides. A random player and a perfect one take
# part.


# %% id="15-perfect"
def exact_values(board):
    rows = [worth(tuple(cells)) for cells in board.flatten(-2).tolist()]
    values = torch.tensor([[row.get(cell, -1) for cell in range(9)] for row in rows])
    return values + 0.01 * torch.rand(values.shape)  # among equally good moves, any


perfect = player(exact_values)
random_player = exploring(beginner, eps=1.0)


# %% id="15-score"
def score(first, second, start):
    """Points of `first` and games: 1 for a win and a half for a draw."""
    played = match(first, second, start)["next"]
    ended = (played["done"].cumsum(1) == 1) & played["done"]  # the first end of each row
    won, lost = (played[who, "reward"][ended] for who in ("player0", "player1"))
    return float((0.5 + (won - lost) / 2).sum()), len(won)


def openings():
    td = empty_boards(1)
    for _ in range(2):
        td = game.step(all_moves(td))["next"]
    return td.select("board", "turn", "mask", "done", "terminated")


# %%
torch.manual_seed(seed)
for name, other in [
    ("random", random_player),
    ("perfect", perfect),
    ("the first snapshot", snapshots[1]),
]:
    for order, pair in [("begins", (agent, other)), ("second", (other, agent))]:
        points, games = score(*pair, empty_boards(200))
        points = points if order == "begins" else games - points
        print(f"against {name:18} {order}: {points:5} points of {games}")

# %% [markdown]
# Against a perfect player every game is a draw: a half point each. All that is left to win is against weaker
# players.


# %% id="15-tournament"
def tournament(players):
    """The share of the points that each player takes from each other one; one draw more for each pair."""
    shares = torch.full((len(players), len(players)), 0.5)
    for one in range(len(players)):
        for two in range(one):
            start = openings()
            begun, games = score(players[one], players[two], start)
            points = begun + games - score(players[two], players[one], start)[0]
            shares[one, two] = (points + 0.5) / (2 * games + 1)
            shares[two, one] = 1 - shares[one, two]
    return shares


# %% [markdown]
# The ratings are fitted by gradient descent: we look for those under which the results were most likely. The
# one added draw keeps them finite, for who wins all games would be infinitely better. The random player is
# set to 0.


# %% id="15-elo"
def elo(shares):
    ratings = torch.zeros(len(shares), requires_grad=True)
    optim = torch.optim.Adam([ratings], lr=20.0)
    for _ in range(500):
        expected = 1 / (1 + 10 ** ((ratings - ratings.unsqueeze(1)) / 400))
        loss = torch.nn.functional.binary_cross_entropy(expected, shares)
        optim.zero_grad()
        loss.backward()
        optim.step()
    return ratings.detach()


# %%
torch.manual_seed(seed)
players = [*snapshots, random_player, perfect]
ratings = elo(tournament(players))
ratings = (ratings - ratings[-2]).tolist()

figure, axes = plt.subplots()
rounds = [10 * number for number in range(len(snapshots))]
axes.plot(rounds, ratings[:-2], marker="o", label="snapshots")
axes.axhline(ratings[-1], color="0.5", linestyle="--", label="perfect")
axes.axhline(0, color="0.5", linestyle=":", label="random")
axes.set(xlabel="rounds of self-play", ylabel="Elo")
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"Elo over the rounds of self-play, the random player at 0: from {ratings[0]:.0f} before training over "
    f"{ratings[1]:.0f} after 10 rounds to {ratings[-3]:.0f} at the end; the perfect player has {ratings[-1]:.0f}.",
)

# %% [markdown]
# The curve climbs fast and then meets the perfect player's line. More cannot be had. In games without such a
# line, this curve is all one has; and it compares only with those who took part. A pool that is weak
# everywhere in the same way does not notice. That is why the exam above asked *all* opponents.
#
# ### Exercise 15.5: one game's worth of Elo  (5 min)
# On game servers ratings are corrected after each game: the winner takes points from the loser, more if
# nobody expected it. Write `after_game(first, second, score, k)`. `first` and `second` are ratings of shape
# `[games]`, for as many games side by side; `score` is what the first player took, 1, ½ or 0. Return both
# players' new ratings: each moves by `k` times *score minus expected score*.
# <details><summary>Hint</summary>The expected score of the first player:
# <code>1 / (1 + 10 ** ((second - first) / 400))</code>.</details>
# <details><summary>A second hint</summary>What the first player gains is what the second one loses. Why?</details>


# %% tags=["exercise"]
def after_game(first, second, score, k): ...  # your code


check("15.5", after_game)


# %% tags=["solution"]
def after_game(first, second, score, k):
    expected = 1 / (1 + 10 ** ((second - first) / 400))
    gain = k * (score - expected)
    return first + gain, second - gain


check("15.5", after_game)

# %% [markdown]
# ## Play against it  (about 107 min to here) (deeper)
#
# Your turn. Click a cell; tick the box, and each free cell says what the agent would expect *in your place*.
# Without a kernel, unfold your moves instead: all games that can be played against it are there.

# %%
from course_utils import Board


def think(board, mask):
    return agent(TensorDict({"board": board, "mask": mask}))["action_value"]


Board(think)

# %% [markdown]
# Try to win. Then play badly and look at its thoughts: does it always take a win that is there? A win now and
# a win in two moves are both worth 1 to it. Which number in the target would make it hurry? (A $\gamma$ below
# 1 in front of the maximum.)
#
# ## What went wrong in the other trainings?  (about 111 min to here) (deeper)
#
# Above, one target kept its sign: *what is best for the other is best for me*. In how many of all positions
# does its player choose a best move, by the exact values?

# %% tags=["look"]
free = boards.flatten(1) == -1
helper = self_play(seed, target=sign_kept, rounds=30)[-1]
for name, each in [("untrained", beginner), ("sign kept", helper), ("trained", agent)]:
    with torch.no_grad():
        chosen = each(TensorDict({"board": boards, "mask": free}, [len(boards)]))["action"]
    worths = truth.nan_to_num(-2)
    best = worths.gather(1, chosen.unsqueeze(1)).squeeze(1) == worths.amax(1)
    print(f"{name:9} plays a best move in {best.double().mean():.0%} of {len(best)} positions")

# %% [markdown]
# Whoever kept the sign is glad of each win, whoever wins it. And note that even the trained player has gaps:
# it never loses since it never gets into the positions in which it would go wrong.
#
# `DQNLoss` of lesson 07 has no minus sign. But it has a $\gamma$, and nothing forbids $\gamma = -1$:

# %% id="15-dqnloss"
from torchrl.objectives import DQNLoss

batch = match(exploring(agent), exploring(agent), empty_boards(64)).reshape(-1)
batch["next", "reward"] = batch["next", "player0", "reward"] + batch["next", "player1", "reward"]
dqn_loss = DQNLoss(agent, delay_value=False, loss_function="l2")
dqn_loss.make_value_estimator(gamma=-1.0)
values_of = agent.module[0].module
with torch.no_grad():
    wanted = negamax(batch, values_of(batch["next", "board"]))
    value = values_of(batch["board"]).gather(-1, batch["action"].unsqueeze(-1))
    by_hand = (value - wanted).square().mean()
    print(f"DQNLoss: {dqn_loss(batch)['loss']:.6f}   by hand: {by_hand:.6f}")

# %% [markdown]
# The same number: with its mask the actor even leaves out what is taken. So all that lesson 07 added, a
# target network or double DQN, is there for larger games.

# %% [markdown]
# ## Taking turns: Connect Four  (about 116 min to here) (deeper)
#
# PettingZoo's other form, AEC: one acts, the others wait. Connect Four is among its games: seven columns, and
# four in a row win. What does waiting look like in a tensordict, and which groups do we want?


# %%
def connect_four(groups=None):
    from pettingzoo.classic import connect_four_v3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        return PettingZooWrapper(connect_four_v3.env(), use_mask=True, group_map=groups)


# %% tags=["look"]
if has_zoo:
    for kind in [None, *MarlGroupMapType]:
        torch.manual_seed(seed)
        four = connect_four(kind)
        turns = four.rollout(42)
        print(kind.name if kind else "by default:", list(four.group_map))
        for group in four.group_map:
            acts, column = turns[group, "mask"][:4].int(), turns[group, "action"][:4]
            print(f"  {group:8} acts: {acts.tolist()}  action: {column.tolist()}")

# %% [markdown]
# In the parallel form a mask was False for who had left. Here it is False for who waits. *Each* step has an
# action for both; that of the one who waits is filling, and nobody plays it. By default each player is a
# group, so that each could have its own network. `ALL_IN_ONE_GROUP` stacks both. Then one network can play
# both sides, as above, and the row in which the mask is True is the mover's.

# %% tags=["look"]
if has_zoo:
    four = connect_four(MarlGroupMapType.ALL_IN_ONE_GROUP)
    torch.manual_seed(seed)
    games = [four.rollout(42) for _ in range(40)]
    moves = torch.cat([game["agents"][game["agents", "mask"]] for game in games])
    legal = moves["action_mask"].gather(-1, moves["action"].unsqueeze(-1)).float().mean()
    wins = sum((game["next", "agents", "reward"][-1] == 1).int() for game in games).flatten()
    print(f"{len(games)} games at random, {len(moves)} moves, legal: {legal:.0%}")
    print(f"won by who begins: {wins[0]}, by the other: {wins[1]}; reward of a loser: -1")

# %% [markdown]
# All moves are legal, for the wrapper hands the mask on to its action spec, from which random actions are
# drawn. (A policy needs `action_mask_key`, as ours has. After an illegal move the game is over, at a reward
# of -1.) And this game pays its loser, which `TicTacToeEnv` left to us.
#
# Do the lines of our self-play take such a game? They read a board of 1, 0 and -1, and a row for each move.


# %%
def rows_of(seen):
    mine, theirs = seen["observation", "observation"].long().unbind(-1)
    board = torch.where(mine + theirs == 0, -1, mine)  # 1 is mine, 0 the other's
    return TensorDict({"board": board, "mask": seen["action_mask"]}, seen.batch_size)


def as_above(game):
    """A row for each move: the mover's board, and then the board of who moves next."""
    turn = game["agents", "mask"]
    before, after = rows_of(game["agents"][turn]), rows_of(game["next", "agents"][~turn])
    won = game["next", "agents", "reward"].clamp(min=0).unbind(1)
    after["player0"], after["player1"] = ({"reward": reward} for reward in won)
    after["done"] = game["next", "done"]
    return before.set("action", game["agents", "action"][turn]).set("next", after)


# %% tags=["look"]
if has_zoo:
    torch.manual_seed(seed)
    columns = Network()
    columns.layers = MLP(84, 7, num_cells=[128, 128], activation_class=torch.nn.ReLU)
    batch = torch.cat([as_above(game) for game in games])
    optim = torch.optim.Adam(columns.parameters(), lr=2e-3)
    for _ in range(200):
        update(columns, batch[torch.randint(len(batch), (256,))], negamax, optim)
    with torch.no_grad():
        values = columns(batch["board"]).gather(-1, batch["action"].unsqueeze(-1))
        last = batch["next", "done"] & (negamax(batch, columns(batch["next", "board"])) == 1)
    print(f"value of the moves that won: {values[last].mean():.2f}, of all: {values.mean():.2f}")

# %% [markdown]
# They do: `negamax` and `update` are the cells of above. But that is not yet a player. We let it play itself
# for a few hundred games, half a minute's worth. Against a random player it was not clearly better than an
# untrained network. `TicTacToeEnv` plays 128 games in a call and PettingZoo plays one, in Python; and
# here a game has up to 42 moves. A strong player wants far more games, or a simulator in tensors.

# %% [markdown]
# ## Build it: two groups, two losses  (about 122 min to here) (deeper)
#
# Hunters and a hare want opposite things. They see different numbers, so they cannot be one group; and
# what is good for one is bad for the other, so they cannot share a loss. The world is given:

# %%
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import EnvBase


def group_specs(count, agents, inputs):
    entries = {
        "observation": Unbounded([count, agents, inputs]),
        "action": Bounded(-1.0, 1.0, [count, agents, 2]),
        "reward": Unbounded([count, agents, 1]),
    }
    return {name: Composite({name: spec}, shape=[count, agents]) for name, spec in entries.items()}


# %%
def see(hunters, hares):
    seen = torch.cat([hunters, hares - hunters], -1)
    fled = torch.cat([hares, (hunters - hares).flatten(1).unsqueeze(1)], -1)
    groups, count = {"hunters": (seen, 2), "hares": (fled, 1)}, len(hunters)
    return TensorDict(
        {name: TensorDict({"observation": x}, [count, n]) for name, (x, n) in groups.items()},
        [count],
    )


def moved(tensordict):
    places = []
    for group, speed in [("hunters", 0.1), ("hares", 0.15)]:
        place = tensordict[group, "observation"][..., :2]
        places.append((place + speed * tensordict[group, "action"]).clamp(-1, 1))
    return places


def paid(hunters, hares):
    away = (hunters - hares).norm(dim=-1, keepdim=True)  # [count, 2, 1]
    return {"hunters": {"reward": -away}, "hares": {"reward": away.min(1, keepdim=True).values}}


# %%
class Tag(EnvBase):
    group_map = {"hunters": ["hunter_0", "hunter_1"], "hares": ["hare_0"]}

    def __init__(self, count):
        super().__init__(batch_size=[count])
        hunters, hares = group_specs(count, 2, 4), group_specs(count, 1, 6)
        for name in ["observation", "action", "reward"]:
            spec = Composite(hunters=hunters[name], hares=hares[name], shape=[count])
            setattr(self, f"{name}_spec", spec)
        self.state_spec = self.observation_spec.clone()
        self.set_seed(0)

    def _set_seed(self, seed):
        self.chance = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        start = 2 * torch.rand(*self.batch_size, 3, 2, generator=self.chance) - 1
        return see(start[:, :2], start[:, 2:])

    def _step(self, tensordict):
        places = moved(tensordict)
        answer = see(*places).update(paid(*places))
        over = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return answer.update({"done": over, "terminated": over.clone()})


# %% tags=["look"]
from torchrl.envs import StepCounter, TransformedEnv, check_env_specs

tag = TransformedEnv(Tag(64), StepCounter(STEPS))
check_env_specs(tag)
show(tag.rollout(STEPS))

# %% [markdown]
# ### Exercise 15.6: build it: give each group its own loss  (15 min)
# Build a class `Team`. `Team(env)` makes what it needs for every group of `env`, whatever the groups
# are called and however many agents they have: `env.group_map` is a dictionary from a group's name to
# its agents, and the shapes are in the specs.
#
# - `team.policy(tensordict)` writes the action of every group, between -1 and 1, and returns the
#   tensordict. Each agent acts by its own observation alone. Under `ExplorationType.RANDOM` it
#   explores.
# - `team.learn(batch)` learns from a batch as `rollout` returns it, shape `[copies, time]`. Each group
#   learns from *its own* reward, `(group, "reward")`. What stands in the batch stays as it is.
#
# How it learns is up to you; PPO with this lesson's parts is one way. The check lets a team play in
# worlds of its own: groups with other names and sizes, 512 frames a batch, 12 batches. There each
# agent is paid at once for each action, so it is easy; a call of `learn` should take about a
# twentieth of a second; after the 12 batches the mean reward of each group has to be at least 0.08
# higher than before.
# <details><summary>Hint 1: shapes</summary><code>env.observation_spec[group,
# "observation"].shape</code> is <code>[copies, agents, inputs]</code>, and
# <code>env.full_action_spec[group, "action"].shape</code> ends in the number of moves.</details>
# <details><summary>Hint 2: parts</summary>A loop over <code>env.group_map</code>. For each group an
# actor, a critic and a <code>MAPPOLoss</code>, as above with the group's name in place of
# <code>"agents"</code>, and an optimiser. The policy is
# <code>TensorDictSequential(*actors)</code>.</details>
# <details><summary>Hint 3: keys</summary>Two losses on one batch must not write their advantages to the
# same place: <code>advantage=(group, "advantage")</code> and <code>value_target=(group,
# "value_target")</code>, beside <code>value</code> and <code>reward</code>.</details>
# <details><summary>Hint 4: learn</summary>First let each loss's <code>value_estimator</code> read the
# whole batch (a <code>copy()</code> of it). Then <code>reshape(-1)</code>, and four steps on all frames
# at once, for each group with its own loss and optimiser. A learning rate of 0.01 is not too
# much.</details>


# %% tags=["exercise"]
class Team:
    # your code
    ...


check("15.6", Team)

# %% tags=["solution"]
import torch
from tensordict.nn import NormalParamExtractor, TensorDictModule, TensorDictSequential
from torchrl.modules import MultiAgentMLP, ProbabilisticActor, TanhNormal
from torchrl.objectives.multiagent import MAPPOLoss


def group_network(env, group, outputs, central):
    _, agents, inputs = env.observation_spec[group, "observation"].shape
    net = MultiAgentMLP(
        n_agent_inputs=inputs, n_agent_outputs=outputs, n_agents=agents, centralized=central,
        share_params=True, depth=2, num_cells=64, activation_class=torch.nn.Tanh,
    )  # fmt: skip
    return net


# %% tags=["solution"]
def group_loss(env, group):
    moves = env.full_action_spec[group, "action"].shape[-1]
    seen, parameters = [(group, "observation")], [(group, "loc"), (group, "scale")]
    net = torch.nn.Sequential(group_network(env, group, 2 * moves, False), NormalParamExtractor())
    actor = ProbabilisticActor(
        TensorDictModule(net, in_keys=seen, out_keys=parameters),
        in_keys=parameters,
        out_keys=[(group, "action")],
        distribution_class=TanhNormal,
        return_log_prob=True,
    )
    value = TensorDictModule(
        group_network(env, group, 1, True), in_keys=seen, out_keys=[(group, "state_value")]
    )
    loss = MAPPOLoss(actor, value, entropy_coeff=0.0)
    names = {"value": "state_value", "reward": "reward"}
    names |= {"advantage": "advantage", "value_target": "value_target"}
    loss.set_keys(**{name: (group, key) for name, key in names.items()})
    loss.make_value_estimator(gamma=0.9, lmbda=0.9)
    return actor, loss


# %% tags=["solution"]
class Team:
    def __init__(self, env):
        parts = [group_loss(env, group) for group in env.group_map]
        self.policy = TensorDictSequential(*(actor for actor, _ in parts))
        self.losses = [loss for _, loss in parts]
        self.optimisers = [torch.optim.Adam(loss.parameters(), lr=0.01) for loss in self.losses]

    def learn(self, batch):
        batch = batch.copy()
        for loss, optimiser in zip(self.losses, self.optimisers, strict=True):
            with torch.no_grad():
                loss.value_estimator(batch)
            frames = batch.reshape(-1)
            for _ in range(4):
                readings = loss(frames)
                optimiser.zero_grad()
                (readings["loss_objective"] + readings["loss_critic"]).backward()
                torch.nn.utils.clip_grad_norm_(loss.parameters(), 1.0)
                optimiser.step()


check("15.6", Team)

# %% [markdown]
# Who wins? The cell below lets a team play tag against itself, with the `Team` that was defined last:
# yours, if you pass over the solution. Then each side meets one that has never learned. Predict the
# four distances.

# %% tags=["solution"]
torch.manual_seed(seed)
novices, team = Team(tag), Team(tag)
for _ in range(60):
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        batch = tag.rollout(STEPS, team.policy)
    team.learn(batch)


def mixed(hunters, hares):
    def act(tensordict):
        moves = hares.policy(tensordict.clone())["hares", "action"]
        return hunters.policy(tensordict).set(("hares", "action"), moves)

    return act


# %% tags=["solution"]
tag.set_seed(1_000_000 + seed)
for hunters, hares in [(novices, novices), (team, novices), (novices, team), (team, team)]:
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        game = tag.rollout(STEPS, mixed(hunters, hares))
    away = game["next", "hares", "reward"][:, 10:].mean().item()
    who = ["trained" if side is team else "untrained" for side in (hunters, hares)]
    print(f"hunters {who[0]:9}, hare {who[1]:9}: nearest hunter {away:.2f} away (steps 10 to 25)")

# %% [markdown]
# ## What you can do now
# You can read a tensordict of several agents, tell a loss where a group keeps its entries, train a team
# with one policy or several, choose what its critic sees and what it is paid for, and measure what it
# is worth with a broken mate. You can train a player by self-play, one network for both sides, and tell
# *better than it was* (Elo) from *never loses* (a proof). And you can train two groups that want different
# things, each with its own loss.
#
# **Try next:** break a mate during *training*: in every tenth episode let one rover act at random.
# Predict first: will the others make up for it more often, and what will it cost while all are well?
#
# Next: [{{next title}}]({{next file}}).
