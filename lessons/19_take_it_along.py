# ---
# jupyter:
#   course:
#     title: "Take your agent with you: a file, a page, a server"
#     objectives:
#       - say what of an agent has to travel, and catch a normalisation that was left behind
#       - export a policy to plain PyTorch, `torch.export` and ONNX, and prove that it still decides alike
#       - measure what an export and `torch.compile` gain, warm-up included
#       - hand out a web page in which the agent plays, and a server that answers others
#       - fold a loop of your own into one of TorchRL's trainers, and say when that pays
#     prerequisites: lessons 01 to 09 (the trainers are lesson 07's loop, folded)
#     minutes: {reading: 78, exercises: 44, short: 45}
# ---

# %% [markdown]
# ## It worked in my kernel  (about 1 min to here)
#
# Your agent is solved: here, in this kernel, with TorchRL around it. Now somebody wants it: a web page in which it plays, a
# server that answers a robot, a colleague who has only NumPy, a ranking in which it meets others. What do you hand
# over? "The weights" is the usual answer, and an agent of which only the weights arrive can fail without a
# single error.
#
# | part | you hand out | the question |
# |---|---|---|
# | one | a file and its card | does it still decide alike, elsewhere? |
# | two | a page | can it play where there is no Python at all? |
# | three | an address | what does it answer to what nobody expected, and who is better? |
# | four | the loop itself | what does a ready-made trainer take off your hands, and what does it hide? |
#
# One rule for all of it: an export counts as right when its *exam* is that of the original, seed by
# seed. "It looks fine in the video" is no exam.

# %% tags=["parameters"]
seed = 0

# %% id="19-start"
import torch
from course_utils import seed_everything

seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more, nor from a GPU


# %% [markdown]
# ## An agent that lives behind a transform  (about 3 min to here)
#
# We need one that is worth taking along. It is trained here and now: lesson 07's DQN on CartPole, shortened. One thing
# differs. Lesson 07 scaled the observation *inside* the agent. Most projects do it *outside*, by a transform of
# the environment, and so do we: `ObservationNorm` hands the agent each number as a share of its limit.

# %% id="19-world"
import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymWrapper, ObservationNorm

limits = torch.tensor([2.4, 3.0, 0.21, 3.0])  # cart: position, velocity; pole: angle, velocity


def make_norm():
    return ObservationNorm(
        loc=torch.zeros(4), scale=limits, in_keys=["observation"], standard_normal=True
    )


def make_world(count, seed, **options):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("CartPole-v1", count, "sync", vector_kwargs=autoreset, **options)
    world = GymWrapper(copies, categorical_action_encoding=True).append_transform(make_norm())
    world.set_seed(seed)
    return world


# %% [markdown]
# (At a position of 2.4 or an angle of 0.21 the episode ends; the velocities have no limit, 3 is about what one sees.
# `standard_normal=True` means `(observation - loc) / scale`.) The exam is lesson 07's: greedy, the sum of
# the rewards up to the first end of each row.

# %% id="19-exam"
from torchrl.envs import ExplorationType, set_exploration_type


def exam(agent, episodes, seed):
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        played = make_world(episodes, seed).rollout(500, agent, break_when_all_done=True)
    reward, done = played["next", "reward"].squeeze(-1), played["next", "done"].squeeze(-1)
    return (reward * (done.cumsum(1) - done.int() == 0)).sum(1)


# %% id="19-parts"
from copy import deepcopy

from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate


def make_agent():
    cells = {"num_cells": [256, 256], "activation_class": torch.nn.ReLU}
    layers = MLP(in_features=4, out_features=2, **cells)
    return QValueActor(layers, in_keys=["observation"], spec=Categorical(2))


def make_learner(agent):
    loss = DQNLoss(agent, loss_function="l2", delay_value=True)
    loss.make_value_estimator(gamma=0.95)
    target = HardUpdate(loss, value_network_update_interval=32)
    return loss, target, torch.optim.Adam(loss.parameters(), 5e-4)


def make_collector(world, explorer, frames):
    sizes = {"frames_per_batch": 256, "total_frames": frames, "track_traj_ids": False}
    return Collector(world, explorer, auto_register_policy_transforms=False, **sizes)


# %% id="19-train"
def train(seed, frames=10_240):
    torch.manual_seed(seed)
    agent, buffer = make_agent(), TensorDictReplayBuffer(storage=LazyTensorStorage(frames))
    egreedy = EGreedyModule(Categorical(2), 1.0, 0.15, annealing_num_steps=20)
    (loss_module, target, optimiser), best = make_learner(agent), (0.0, 0, None)
    world = make_world(16, 1_000 * seed, sutton_barto_reward=True)  # -1 for falling, else 0
    collector = make_collector(world, TensorDictSequential(agent, egreedy), frames)
    for turn, batch in enumerate(collector, start=1):
        buffer.extend(batch.reshape(-1))
        egreedy.step()
        for _ in range(32 if len(buffer) > 1_000 else 0):
            loss = loss_module(buffer.sample(128))["loss"]
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(agent.parameters(), 10.0)
            optimiser.step()
            target.step()
        score = exam(agent, 16, seed=500_000_000).mean().item()
        if score > best[0]:
            best = (score, turn * 256, deepcopy(agent.state_dict()))
        if score >= 490:
            break
    collector.shutdown()
    agent.load_state_dict(best[2])
    return agent, best[:2]


# %% tags=["look"]
agent, (score, frames) = train(seed)
exam_seed = 1_000_000_000
at_home = exam(agent, 50, exam_seed)
print(f"best of its validations: {score:.0f}, after {frames:,} frames")
print(
    f"exam: mean {at_home.mean():.1f}, worst {at_home.min():.0f} of {len(at_home)} fresh episodes"
)

# %% [markdown]
# That is the agent that travels: trained in this notebook, nothing loaded. Its 50 returns are the yardstick.
#
# ## The classic accident  (about 6 min to here)
#
# You save the weights, send them, and a colleague without TorchRL rebuilds the network. Here is what travels:

# %%
{name: tuple(weights.shape) for name, weights in agent.state_dict().items()}

# %% [markdown]
# Six tensors, and none of them holds `limits`: those live in the environment. Our colleague judges with what is
# there, Gymnasium and NumPy: `decide` takes observations `[copies, 4]` and gives one whole number for each copy. Copy
# number $i$ has the seed `seed + i`, as in the exam above, so return $i$ is about the same episode.
#
# Mind the two resets. `set_seed` of TorchRL seeds by resetting, and the rollout begins by resetting again: the episode
# of a seed is the *second* one after `reset(seed=...)`. Who resets once sees other episodes, and other returns, though
# nothing is wrong with the agent.

# %% id="19-judge"
import numpy as np


def exam_anywhere(decide, episodes, seed):
    worlds = gym.make_vec("CartPole-v1", episodes, "sync")
    worlds.reset(seed=seed)  # TorchRL sets the seed by a reset, too,
    seen, _ = worlds.reset()  # and begins its rollout with another one
    returns, running = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while running.any():
        seen, reward, terminated, truncated, _ = worlds.step(decide(seen))
        returns += reward * running
        running &= ~(terminated | truncated)
    return torch.tensor(returns)


# %% id="19-decide"
def decide_by(values):  # values: from observations [copies, 4] to action values [copies, 2]
    def decide(seen):
        with torch.no_grad():
            return values(torch.as_tensor(seen)).argmax(-1).numpy()

    return decide


# %%
network = agent.module[0].module  # the layers within a QValueActor
with_norm = exam_anywhere(decide_by(lambda seen: network(seen / limits)), 50, exam_seed)
left_behind = exam_anywhere(decide_by(network), 50, exam_seed)
print("with its normalisation, returns as at home:", (with_norm == at_home).all().item())
print(
    f"normalisation left behind: mean {left_behind.mean():.1f}, "
    f"from {left_behind.min():.0f} to {left_behind.max():.0f}"
)

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(with_norm.sort().values, "o", label="with its normalisation")
axes.plot(left_behind.sort().values, "x", label="normalisation left behind")
axes.set(xlabel="episodes, shortest first", ylabel="return", ylim=(0, 540))
figure.legend(loc="outside upper center", ncols=2)
lucky = (left_behind == 500).sum()
show_figure(
    figure,
    f"50 episodes each. With its normalisation the mean is {with_norm.mean():.0f}; left behind it is "
    f"{left_behind.mean():.0f}, and {lucky} of the 50 episodes still last 500 steps.",
)

# %% [markdown]
# The same weights, the same episodes, no error and no warning; and some episodes still go well, so that whoever
# looks at one video may notice nothing. The network wants an angle of 0.1 to come as 0.5 and got 0.1. Nothing in a tensor
# says what it is measured in.
#
# **How to catch it:** the exam's result and its seeds travel too, and whoever receives the agent repeats it. Then this
# accident is one subtraction:

# %%
print(f"as promised: {at_home.mean():.1f}, as arrived: {left_behind.mean():.1f}")
print("episodes that differ:", (left_behind != at_home).sum().item(), "of", len(at_home))

# %% [markdown]
# With `VecNorm` (today `VecNormV2`) it is worse: its mean and spread *move* with every step of the
# environment. In a new process they begin anew, and the agent sees numbers it never learned from. Freeze them
# first: `to_observation_norm()` gives an `ObservationNorm` with the numbers as they are now.

# %%
from torchrl.envs import GymEnv, TransformedEnv, VecNormV2

moving = TransformedEnv(GymEnv("CartPole-v1"), VecNormV2(in_keys=["observation"]))
moving.set_seed(seed)
moving.rollout(200, break_when_any_done=False)
frozen = moving.transform.to_observation_norm()
torch.stack([frozen.loc, frozen.scale])

# %% [markdown]
# ## All that has to travel  (about 10 min to here)
#
# | what | where it lives | left behind |
# |---|---|---|
# | weights | `agent.state_dict()` | plays at random: you notice |
# | order, units and scale of the inputs | transforms of the environment | plays badly: **you may not notice** |
# | keys read and written | `agent.in_keys`, `agent.out_keys` | an error: you notice |
# | meaning of the actions | the environment's spec | left for right: you notice |
# | exploration *off* | `set_exploration_type`, `EGreedyModule` | a few per cent worse: **you may not** |
# | memory | `recurrent_state...` among the keys | forgets everything, at each step: **you may not** |
#
# The last two in numbers. The explorer of the training is an actor, too, and nothing prevents you from saving it:

# %%
from tensordict import TensorDict

explorer = TensorDictSequential(deepcopy(agent), EGreedyModule(Categorical(2), 0.15, 0.15))
torch.manual_seed(seed)
states = torch.randn(1_000, 4)
asked = TensorDict({"observation": states}, [1_000])
greedy = agent(asked.clone())["action"]
exploring = explorer(asked.clone())["action"]
with set_exploration_type(ExplorationType.DETERMINISTIC):
    told_not_to = explorer(asked.clone())["action"]
print("decided otherwise by the explorer:", (exploring != greedy).sum().item(), "of 1,000")
print("and when it is told not to explore:", (told_not_to != greedy).sum().item())

# %% [markdown]
# (Of the 15 % random actions half are right by chance.) A memory shows among the keys: what is read *and* written
# under `next` has to be carried from call to call by whoever uses the agent, beginning with zeros.

# %%
from torchrl.modules import GRUModule

remembers = GRUModule(input_size=4, hidden_size=8, in_key="observation", out_key="features")
remembers.in_keys, remembers.out_keys

# %% [markdown]
# All this fits on an **agent card**: a small JSON file beside the agent's. `write_card` refuses one on which
# something is missing, `read_card` one that is not whole. `loc` and `scale` are what *the file* still expects of its
# caller; the file that we make next takes raw numbers, so they stay at 0 and 1. `begins` is a line of our own: without
# it nobody could repeat the exam outside TorchRL.

# %%
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from course_utils import read_card, write_card

luggage = TemporaryDirectory(ignore_cleanup_errors=True)
bounds = {"cart position": 4.8, "cart velocity": None, "pole angle": 0.42, "pole velocity": None}
result = {"mean": at_home.mean().item(), "episodes": 50, "seeds": [exam_seed, exam_seed + 49]}
write_card(
    Path(luggage.name) / "agent.json",
    name="cartpole-dqn",
    task="CartPole-v1",
    observation=[{"name": name, "low": end and -end, "high": end} for name, end in bounds.items()],
    actions=["push left", "push right"],
    reads=["observation"],
    writes=["action_value"],
    exam=result | {"begins": "at the second reset after the seed"},
    licence="MIT",
)
card = read_card(Path(luggage.name) / "agent.json")
print(json.dumps({key: card[key] for key in ("task", "actions", "exam", "licence")}, indent=1))

# %% [markdown]
# ## One function, plain PyTorch  (about 13 min to here)
#
# An actor of TorchRL is a function of tensordicts. Elsewhere one wants a function from one tensor to one tensor. Of
# a `QValueActor` the network inside is nearly that. What is missing is the normalisation: put it *into* the
# module, as buffers, and it is in the `state_dict` from now on.

# %% id="19-portable"
from torch import nn


class Portable(nn.Module):
    """From raw observations [..., 4] to action values [..., 2]; nothing of TorchRL is needed."""

    def __init__(self, loc, scale):
        super().__init__()
        self.register_buffer("loc", loc)
        self.register_buffer("scale", scale)
        hidden = [nn.Linear(4, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
        self.layers = nn.Sequential(*hidden, nn.Linear(256, 2))

    def forward(self, observation):
        return self.layers((observation - self.loc) / self.scale)


def make_portable(agent):
    norm = make_norm()
    portable = Portable(norm.loc.clone(), norm.scale.clone())
    portable.layers.load_state_dict(agent.module[0].module.state_dict(), strict=True)
    return portable.eval()


# %%
portable = make_portable(agent)
abroad = exam_anywhere(decide_by(portable), 50, exam_seed)
print("its exam is the original's, seed by seed:", (abroad == at_home).all().item())

# %% [markdown]
# `MLP` is a `Sequential`, so the names of its weights are those of plain PyTorch. Always load with `strict=True`, the
# default. Who silences the error of a wrong name with `strict=False` gets this:

# %%
stranger = Portable(torch.zeros(4), limits).eval()
loaded = stranger.layers.load_state_dict(agent.state_dict(), strict=False)
print("missing:", len(loaded.missing_keys), "of 6; unexpected:", len(loaded.unexpected_keys))
print(f"exam: {exam_anywhere(decide_by(stranger), 50, exam_seed).mean():.1f}")

# %% [markdown]
# Nothing was loaded, nothing was raised.
#
# **And without PyTorch?** A network this small is three matrix products. NumPy alone will do:


# %% id="19-numpy"
def by_hand(portable):
    scale = portable.scale.numpy()
    weights = [weight.detach().numpy() for weight in portable.layers.parameters()]

    def values(seen):
        hidden = np.maximum(seen / scale @ weights[0].T + weights[1], 0)
        hidden = np.maximum(hidden @ weights[2].T + weights[3], 0)
        return hidden @ weights[4].T + weights[5]

    return values


# %%
numpy_only = by_hand(portable)
off = np.abs(numpy_only(states.numpy()) - portable(states).detach().numpy()).max()
print(f"off by {off:.1e} at most")

# %% [markdown]
# **Any other actor.** Every TorchRL module can be called with keywords, one for each of its `in_keys`, and then
# returns tensors instead of a tensordict. `select_out_keys` says which. Beware: it changes the module *in place*, so
# take a copy, or the agent will have lost its other outputs when you go on training.


# %% id="19-one-tensor"
class OneTensor(nn.Module):
    """Any actor that reads `observation`, as a function from one tensor to one tensor."""

    def __init__(self, actor, key):
        super().__init__()
        self.actor = deepcopy(actor).select_out_keys(key)

    def forward(self, observation):
        return self.actor(observation=observation)


# %%
agree = OneTensor(agent, "action_value")(states / limits) == portable(states)
print(
    "OneTensor and Portable agree:", agree.all().item(), "| the agent still writes", agent.out_keys
)

# %% [markdown]
# A policy that *draws* its actions, such as those of PPO and SAC, goes through the same door. What is exported is
# what it does at that moment. So say that it shall not draw:

# %%
from tensordict.nn import TensorDictModule
from torchrl.data import Bounded
from torchrl.modules import NormalParamExtractor, ProbabilisticActor, TanhNormal

torch.manual_seed(seed)
body = nn.Sequential(MLP(in_features=3, out_features=2, num_cells=[64]), NormalParamExtractor())
drawing = ProbabilisticActor(
    TensorDictModule(body, ["observation"], ["loc", "scale"]),
    in_keys=["loc", "scale"],
    spec=Bounded(-2.0, 2.0, (1,)),
    distribution_class=TanhNormal,
    distribution_kwargs={"low": -2.0, "high": 2.0},
)
for kind in (ExplorationType.RANDOM, ExplorationType.DETERMINISTIC):
    with set_exploration_type(kind):
        program = torch.export.export(OneTensor(drawing, "action"), (torch.zeros(2, 3),))
    twice = [program.module()(torch.zeros(2, 3)) for _ in range(2)]
    print(f"{kind.name:13} twice the same answer: {torch.equal(*twice)}")

# %% [markdown]
# Loaded elsewhere, the first would explore for ever: no context reaches into the file any more.
#
# ## `torch.export`: a program without Python  (about 19 min to here)
#
# **`torch.export`** runs a module once on an example and writes down what happened as a graph of tensor operations. The
# file holds the graph and the weights; whoever loads it needs neither your classes nor TorchRL. What an example cannot
# show is what may *vary*. You say that: the first dimension is a batch of any size. And there is a trap:

# %%
batch = torch.export.Dim("batch")
for examples in (1, 2):
    try:
        torch.export.export(
            portable, (torch.zeros(examples, 4),), dynamic_shapes={"observation": {0: batch}}
        )
        print(f"example batch of {examples}: exported")
    except Exception as error:
        print(f"example batch of {examples}: {type(error).__name__}: {str(error)[:210]}\n")

# %% [markdown]
# An example of size 1 is taken for *always 1* (of sizes 0 and 1 the tracer makes constants, because they broadcast). Here
# it says so, because we named the dimension; without `dynamic_shapes` it says nothing until somebody calls the file with
# another number of states. Take an example of 2 or more.


# %% id="19-program"
def make_program(portable):
    size = {"observation": {0: torch.export.Dim("batch")}}
    return torch.export.export(portable, (torch.zeros(2, 4),), dynamic_shapes=size)


# %%
program = make_program(portable)
torch.export.save(program, Path(luggage.name) / "agent.pt2")
loaded = torch.export.load(Path(luggage.name) / "agent.pt2").module()
print([node.target.__name__ for node in program.graph.nodes if node.op == "call_function"])
with torch.no_grad():
    print("largest difference:", (loaded(states) - portable(states)).abs().max().item())

# %% [markdown]
# Seven operations, the normalisation among them. (On torch 2.11 the loader warns: `The given buffer is not writable`. It
# reads the weights as they lie in the file; nothing here writes to them.)
#
# **AOTInductor** compiles such a program to a library of machine code that C++ can load without Python, too. It needs a
# C++ compiler and some seconds of it; so the cell only defines it, and you see below what it costs and gains. Try it:
# `torch._inductor.aoti_load_package(ahead_of_time(program, "agent.aoti.pt2"))` is a function from tensor to tensor.


# %% id="19-ahead"
def ahead_of_time(program, path):
    return torch._inductor.aoti_compile_and_package(program, package_path=str(path))


# %% [markdown]
# ## ONNX: a program for everybody  (about 23 min to here)
#
# **ONNX** is a format for such graphs that is nobody's own. Browsers, phones, C#, Java and Rust have *runtimes* for it.
# `torch.onnx.export(..., dynamo=True)` starts from an exported program.

# %%
from course_utils import ask_for_extra

has_deploy = ask_for_extra("deploy", "the cells on ONNX show nothing")


# %% id="19-onnx"
def save_onnx(program, path):
    import logging
    import warnings

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, aloud
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # torch's, about itself
        names = {"input_names": ["observation"], "output_names": ["action_value"]}
        torch.onnx.export(program, dynamo=True, verbose=False, **names).save(path)


def open_onnx(path):  # a function from a float32 array to an array
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda seen: session.run(None, {"observation": seen})[0]


# %% [markdown]
# Check on many states, not on one, and say the largest difference. Two judges are better than one: `onnxruntime`
# optimises the graph, and the evaluator that comes with `onnx` itself just follows the standard, slowly.

# %%
values = {"plain PyTorch": portable, "torch.export": loaded}
values["NumPy"] = lambda seen: torch.tensor(numpy_only(seen.numpy()))
if has_deploy:
    import onnx
    from onnx.reference import ReferenceEvaluator

    path = str(Path(luggage.name) / "agent.onnx")
    save_onnx(program, path)
    model = onnx.load(path)
    print(
        "inputs", [item.name for item in model.graph.input], [n.op_type for n in model.graph.node]
    )
    runtime, reference = open_onnx(path), ReferenceEvaluator(model)
    values["onnxruntime"] = lambda seen: torch.tensor(runtime(seen.numpy()))
    values["onnx reference"] = lambda seen: torch.tensor(
        reference.run(None, {"observation": seen.numpy()})[0]
    )

# %% tags=["look"]
with torch.no_grad():
    right = agent(observation=states / limits)[1]
    for name, function in values.items():
        off, alike = (function(states) - right).abs().max(), function(states).argmax(-1)
        print(
            f"{name:14} off by {off:.1e} at most on {len(states):,} states, "
            f"decides otherwise on {(alike != right.argmax(-1)).sum()}"
        )

# %% [markdown]
# Not always 0: another runtime adds in another order, and the last digits of 32-bit numbers differ. That is harmless
# unless two action values are that close. Whether it is harmless *here*, the exam says:

# %% tags=["look"]
for name in [name for name in values if name != "onnx reference"]:  # that one takes its time
    returns = exam_anywhere(decide_by(values[name]), 50, exam_seed)
    print(
        f"{name:14} mean {returns.mean():.1f}, other than at home: {(returns != at_home).sum()} of 50"
    )

# %% [markdown]
# Seed by seed the same. (Where every episode lasts 500 steps that is easily said. The benchmark below does the same with
# agents that fall.) A runtime is strict where PyTorch is kind: `float64`, which is what NumPy makes of a list, is
# refused, and so is a state with a number too few. The server below has to think of that.
#
# ## What is it worth?  (about 28 min to here) (deeper)
#
# Measured apart, with these very cells: the core time of one decision, for one state and for 256 at once.
# %% tags=["look"]
from statistics import median

from course_utils import load_results

forms = load_results("19_export")["runs"]["export"]
original = forms["TorchRL, a tensordict"]
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(8, 3.4))
said = []
for panel, size in zip(panels, (1, 256), strict=True):
    cost = {
        form: median(run[f"microseconds_{size}"] for run in runs.values())
        for form, runs in forms.items()
    }
    panel.barh(list(cost), list(cost.values()))
    panel.set(title=f"{size} state{'s' * (size > 1)}", xlabel="microseconds of core time")
    said += [f"{size}, {form}: {microseconds:.0f} µs" for form, microseconds in cost.items()]
panels[0].invert_yaxis()
show_figure(figure, "; ".join(said))

# %% tags=["look"]
for form, runs in forms.items():
    wait = median(run["ready_after_seconds"] for run in runs.values())
    gain = [
        median(
            original[seed][f"microseconds_{size}"] / run[f"microseconds_{size}"]
            for seed, run in runs.items()
        )
        for size in (1, 256)
    ]
    differ = sum(run["returns_that_differ"] for run in runs.values())
    print(
        f"{form:22} ready after {wait:4.1f} s; {gain[0]:4.1f} and {gain[1]:.1f} times as quick; "
        f"exams that differ: {differ} of {50 * len(runs)}"
    )

# %% [markdown]
# *One state*, the robot's case: nearly all of TorchRL's time is machinery, and whoever drops it gains most; here a
# runtime, or NumPy, wins. (`torch.export`'s file, *run from Python*, is no faster than the network: it is checked at each
# call. It is a format, not an accelerator.) *256 states*, the server's case: the arithmetic dominates, and nobody is
# much quicker than anybody. So export for *where* it can run; for speed only if you decide for one state at a time.
#
# *And `torch.compile`?* For acting you see it above: after a wait of seconds it is slower than the network as it
# is, because each call is checked first. For training, lesson 07 raced it, on its own update:

# %% tags=["look"]
for setting, runs in load_results("07_compile")["runs"]["compile"].items():
    run = {fact: median(other[fact] for other in runs.values()) for fact in runs["0"]}
    wait, saved = run["compile_seconds"], run["eager_milliseconds"] - run["compiled_milliseconds"]
    after = (
        f"{round(1_000 * wait / saved, -2):,.0f} updates" if saved > 0 else "no number of updates"
    )
    print(f"{setting:16} wait {wait:.0f} s, saves {saved:.2f} ms an update: pays after {after}")

# %% [markdown]
# It pays for long training with large batches, not for a run of seconds. Measure yours before you wait.
#
# **TorchScript**, the way of most tutorials until 2024 (`torch.jit.script`, `torch.jit.trace`), is deprecated; `torch.export`
# (for a file) and `torch.compile` (for speed) took its place. What happens when you follow such a tutorial today:

# %%
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for wanted in (portable, agent):
        try:
            torch.jit.script(wanted)
            print(f"{type(wanted).__name__}: scripted")
        except Exception as error:
            print(f"{type(wanted).__name__}: {type(error).__name__}: {str(error).splitlines()[0]}")
print({str(warning.message) for warning in caught if "jit" in str(warning.message)})

# %% [markdown]
# Plain PyTorch still goes through, with a deprecation warning; the actor of TorchRL does not.


# %% [markdown]
# ## A page that plays  (about 33 min to here)
#
# Your agent plays, and you want to show it: to a friend who has no Python, to a class, on a phone. What does it
# take for an agent to *act*? No TorchRL, no tensordicts, no gradients: only the numbers it has learned, and
# the few lines that multiply them. And for CartPole itself? Two cosines and some sums.
#
# Both fit into one file of HTML. Here is the agent of lesson 07, with the weights that its act two found for seed
# 0. They were kept with 16 bits each, which is enough to act. (If you have a checkpoint of your own from lesson
# 07, load that.) Beside it, the same network before any training, rounded in the same way. Why not the agent from
# above? Its scale stood in the environment, and a page shows raw numbers; lesson 07's has it inside, as a first layer,
# here `Times`. With such a layer before it, the one from above fits on a page, too.

# %% id="19-player"
from course_utils import load_weights
from torchrl.data import Categorical
from torchrl.modules import MLP, QValueActor


class Times(torch.nn.Module):
    def __init__(self, factors):
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors))

    def forward(self, inputs):
        return inputs * self.factors


def make_player():
    layers = MLP(
        in_features=4, out_features=2, num_cells=[256, 256], activation_class=torch.nn.ReLU
    )
    network = torch.nn.Sequential(Times((1.0, 1.0, 5.0, 1.0)), layers)
    return network, QValueActor(network, in_keys=["observation"], spec=Categorical(2))


# %% id="19-players"
torch.manual_seed(seed)
(_, novice), (expert_network, expert) = make_player(), make_player()
novice.half().float()  # rounded to 16 bits
expert_network.load_state_dict(load_weights("07_agent")["network"])

# %% [markdown]
# `play_page` reads the layers out of an agent, whatever it is wrapped in, and writes the page. What it returns
# shows the page here; the file `my_agent.html` lies beside the notebook. Open it in your browser, too.

# %% id="19-page"
from course_utils import play_page

page = play_page({"before training": novice, "after training": expert}, "my_agent.html")
page

# %% [markdown]
# First choose *you*, and hold an arrow key. How many steps do you last? Then let the agents play from the same
# seed, at a tenth of the speed, and look at the two values. When are they far apart, and when are they so close that
# it hardly matters which way to push?
#
# What is in the file? Let us count.

# %%
import re

data = page.page.split("const PAGE = ")[1].split("</script>")[0]
learned = sum(weight.numel() for weight in expert.parameters())
print(f"{len(page.page):,} characters, {len(data):,} of them two networks of {learned:,} numbers")
print(
    "files it asks for:",
    [link for link in re.findall(r'(?:src|href)="([^"]*)"', page.page) if link != "data:,"],
)

# %% [markdown]
# Nearly all of it is weights: as text, four characters stand for three bytes. It asks for no other file, and its first lines
# forbid it to (`default-src 'none'`): no server learns who plays. The rest is physics, buttons, and this:

# %%
script = page.page[
    page.page.index("/** Each row of the weights") : page.page.index("/** The layers")
]
print(script)

# %% [markdown]
# That is the whole forward pass, in the browser's language: for each layer, each row of weights times the input,
# plus a bias, then bent. You will write it in Python below (exercise 19.3), without PyTorch.
#
# **Handing it out.** A page like this is a *static* file: send it by mail, put it on any web server that serves
# files, or show it within a page of yours:
#
# ```html
# <iframe src="my_agent.html" title="My agent plays CartPole" width="100%" height="740"></iframe>
# ```
#
# Two things to know. Who has the page has your weights: nothing in it is a secret. And run the cell again, and
# the page is written anew; but a file that `play_page` did not write, or that you have changed since, it leaves
# alone and says so.
#
# ## Is it still the same agent?  (about 38 min to here) (deeper)
#
# On the page the pole stays up. Does that prove that the page plays as the agent does? Let us make two wrong copies.
# One forgets the first layer, which multiplies the pole angle by 5, as happens easily to somebody who exports "the
# network". The other one takes `LeakyReLU` for `ReLU`. In how many of 1,000 states does each push the other way? And
# how long does it stay up? Predict, then run.

# %% id="19-wrong-copies"
from copy import deepcopy

from tensordict import TensorDict
from torchrl.envs import GymEnv

bent = deepcopy(expert_network)
bent[1][1] = bent[1][3] = torch.nn.LeakyReLU()
networks = {"the agent": expert_network, "no factor 5": expert_network[1], "LeakyReLU": bent}
copies = {
    name: QValueActor(network, in_keys=["observation"], spec=Categorical(2))
    for name, network in networks.items()
}

# %%
env = GymEnv("CartPole-v1", categorical_action_encoding=True)
ends = torch.tensor([2.4, 3.0, 0.21, 3.0])
torch.manual_seed(seed)
positions = TensorDict({"observation": ends * (2 * torch.rand(1_000, 4) - 1)}, [1_000])
apart, stays = {}, {}
with torch.no_grad():
    wanted = expert(positions.clone())["action"]
    for name, player in copies.items():
        apart[name] = (player(positions.clone())["action"] != wanted).sum().item()
        env.set_seed(seed)
        stays[name] = len(env.rollout(500, player))
        print(f"{name:12} another push in {apart[name]:3} of 1,000 states, {stays[name]} steps")

# %% [markdown]
# Without the factor the pole falls at once: that one would be noticed. The other copy plays a whole episode, and yet
# it is another agent, which pushes the other way in some of the 1,000 states. Nobody sees that by watching.
#
# So playing is no proof, and comparing is: `play_page` itself puts 1,000 random states before the agent and
# before the numbers it read, and writes nothing if one action differs. What did it find here?

# %%
found = page.compared["after training"]
found

# %% [markdown]
# No action differs. The numbers do, in the seventh digit: PyTorch adds up with 32 bits, the page with 64. Could so small a
# difference turn an action around? Only where two values are closer than that.

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
with torch.no_grad():
    to_left, to_right = expert(positions.clone())["action_value"].unbind(1)
gaps = (to_left - to_right).abs()
figure, axes = plt.subplots()
axes.hist(gaps.log10().numpy(), bins=40, label="two values of one state")
rounding = torch.tensor(found["largest_difference"])
axes.axvline(rounding.log10(), color="C1", label="page and agent")
axes.set(xlabel="how far apart (powers of ten)", ylabel="states of 1,000")
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"The two values of a state are at least {gaps.min():.1g} apart, {gaps.median():.1g} in the middle; "
    f"page and agent at most {found['largest_difference']:.1g}.",
)

# %% [markdown]
# The line stands far left of all bars: in no state of these does rounding decide. That is what makes *the same
# action in 1,000 states* a fair thing to ask. (What no such test sees is a normalisation that stood in the
# *environment*, as a transform: then agent and page are alike, and both read numbers that they have never seen.)
#
# Not every agent fits. A page has three worlds, CartPole, Pendulum and lesson 11's Catch, and carries layers that multiply,
# add and bend, and filters. An agent with a memory (lesson 11) gets an answer that says so:

# %%
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.modules import GRUModule

keys = {"in_keys": ["observation", "h", "is_init"], "out_keys": ["seen", ("next", "h")]}
memory = GRUModule(input_size=4, hidden_size=8, **keys)
head = TensorDictModule(torch.nn.Linear(8, 2), ["seen"], ["action_value"])
try:
    play_page(TensorDictSequential(memory, head), "memory.html")
except ValueError as error:
    print(error)

# %% [markdown]
# A board game needs no network in the page at all. Lesson 15's `Board` can ask its agent in every position
# that can come up, and the answers make a table:

# %%
from course_utils import Board


def first_free(board, mask):
    return -torch.arange(9.0)


print(play_page(Board(first_free), "board.html", title="Tic-tac-toe").text)


# %% [markdown]
# ## An agent behind a server  (about 43 min to here)
#
# A file is for who can run it. A robot's computer, a game, a colleague's spreadsheet often cannot: they *ask*. Then
# the agent sits in one place, and others send it what they see, over HTTP. (Ours is small here: four numbers that
# balance the pole.)

# %% id="19-served"
balance = torch.tensor([0.2, 0.6, 2.0, 2.0])
calls = []  # how many rows each call of the network had


def decide(observations):
    calls.append(len(observations))
    return (torch.tensor(observations) @ balance > 0).int().tolist()


# %% [markdown]
# Ten people who ask at the same time are ten calls of the network. One call with ten rows costs hardly more than one
# with one: that is why TorchRL plays in batches, and a server can do it, too. It lets requests wait for one another for
# an instant: **dynamic batching**. A queue does it.

# %% id="19-queue"
import asyncio


class Batcher:
    def __init__(self, decide, most=64, wait=0.02):
        self.decide, self.most, self.wait = decide, most, wait
        self.queue = asyncio.Queue()

    async def act(self, observations):
        answer = asyncio.get_running_loop().create_future()
        await self.queue.put((observations, answer))
        return await answer

    async def run(self):
        while True:
            batch = [await self.queue.get()]  # the first one opens a batch
            await asyncio.sleep(self.wait)  # others may come
            while not self.queue.empty() and len(batch) < self.most:
                batch.append(self.queue.get_nowait())
            actions = iter(self.decide([row for rows, _ in batch for row in rows]))
            for rows, answer in batch:
                answer.set_result([next(actions) for _ in rows])


# %% [markdown]
# Who asks puts the observations and an empty *future* into the queue, and waits until somebody fills it. (`most` counts
# requests here; the whole server, and exercise 19.4, count their rows.) Around it goes a server. FastAPI looks at what
# comes: `Question` says that it is a list of observations, four finite numbers each. And it asks for a token, because a
# server does not know who is calling.

# %% id="19-app"
import contextlib
import secrets

from course_utils import ask_for_extra

has_deploy = ask_for_extra("deploy", without="no server starts, and no stranger's file is opened")
token, batcher = secrets.token_urlsafe(32), Batcher(decide)

if has_deploy:
    from typing import Annotated
    from fastapi import FastAPI, Header, HTTPException
    from pydantic import BaseModel, Field, FiniteFloat

    Row = Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]

    class Question(BaseModel):
        observations: Annotated[list[Row], Field(min_length=1, max_length=64)]

    @contextlib.asynccontextmanager
    async def lifespan(app):
        running = asyncio.create_task(batcher.run())
        yield
        running.cancel()


# %% id="19-act"
if has_deploy:
    app = FastAPI(lifespan=lifespan)

    @app.post("/act")
    async def act(question: Question, authorization: Annotated[str, Header()] = ""):
        wanted = f"Bearer {token}"
        if not secrets.compare_digest(authorization.encode(), wanted.encode()):
            raise HTTPException(401, "The token is missing or wrong.")
        return {"actions": await batcher.act(question.observations)}


# %% [markdown]
# `compare_digest` takes as long for a token that is nearly right as for one that is not: how long `==` takes tells how many
# signs were right. Now it starts, in a thread, at a port that is free, and listens to this machine alone.

# %% id="19-start-server" tags=["look"]
import http.client
import json
import threading
import time

if has_deploy:
    import uvicorn

    settings = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical")
    server = uvicorn.Server(settings)
    answering = threading.Thread(target=server.run, daemon=True)
    answering.start()
    while not server.started:
        time.sleep(0.01)
    place = server.servers[0].sockets[0].getsockname()


def ask(observations, token):
    connection = http.client.HTTPConnection(*place)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/act", json.dumps({"observations": observations}), headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


# %% tags=["look"]
questions = {
    "the pole leans right": ([[0.0, 0.0, 0.1, 0.0]], token),
    "three numbers": ([[0.0, 0.0, 0.1]], token),
    "a wrong token": ([[0.0, 0.0, 0.1, 0.0]], "please"),
    "not a number": ([[0.0, 0.0, float("nan"), 0.0]], token),
}
replies = {name: ask(*question) for name, question in questions.items()} if has_deploy else {}
for name, (status, words) in replies.items():
    print(f"{name:21} {status}  {words[:64]}")

# %% [markdown]
# 200 is an answer, 4xx means "you made a mistake", 5xx "I did". So the last one is a fault of *ours*: FastAPI found the
# NaN, wanted to repeat it in its refusal, and JSON has no word for it. Who sends a NaN gets a server to break: try what is
# wrong before others do. The whole server, `examples/serving/`, answers 422 with a sentence; it also has limits on the size of
# a request and on how long it may take, and it answers who is waiting before it stops.
#
# And together? 64 questions from 32 threads:

# %% tags=["look"]
from concurrent.futures import ThreadPoolExecutor

calls.clear()
crowd = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))
if has_deploy:
    with ThreadPoolExecutor(32) as clients:
        got = list(clients.map(lambda row: ask([row], token), crowd.tolist()))
    expected = [
        json.dumps({"actions": [int(row @ balance > 0)]}, separators=(",", ":")) for row in crowd
    ]
    print("all right:", got == [(200, words) for words in expected])
    print("rows:", sum(calls), "- fewer calls than rows:", len(calls) < 64)

# %% tags=["look"]
if has_deploy:
    server.should_exit = True
    answering.join()

# %% [markdown]
# ## What a batch gains  (about 50 min to here) (deeper)
#
# Two servers that differ in nothing else, one of which decides each request alone, were asked by 32 clients in turns. How
# much work of a core does a request cost the server, for networks of three sizes?

# %% tags=["look"]
import statistics

import matplotlib.pyplot as plt
from course_utils import load_results, show_figure, use_course_style

use_course_style()
served = load_results("19_serving")["runs"]["serving"]
kinds = {"unbatched": "each alone", "batched": "in batches"}
costs = {
    kind: [
        statistics.median(run[f"{kind}_core_seconds"] for run in runs.values())
        for runs in served.values()
    ]
    for kind in kinds
}
saved = [
    alone / together for alone, together in zip(costs["unbatched"], costs["batched"], strict=True)
]

# %% tags=["look"]
figure, axes = plt.subplots()
for shift, (kind, label) in zip((-0.2, 0.2), kinds.items(), strict=True):
    axes.bar([place + shift for place in range(len(served))], costs[kind], 0.4, label=label)
axes.set_xticks(range(len(served)), served)
axes.set(ylabel="core milliseconds a request")
figure.legend(loc="outside right upper")
show_figure(
    figure,
    "Work of the server for a request, each alone and in batches: "
    + "; ".join(
        f"{name}: {ratio:.1f} times as much alone"
        for name, ratio in zip(served, saved, strict=True)
    ),
)

# %% tags=["look"]
gained, rows = {}, {}
for name, runs in served.items():
    runs = list(runs.values())
    gained[name] = statistics.median(
        run["batched_per_second"] / run["unbatched_per_second"] for run in runs
    )
    rows[name] = statistics.median(run["batched_rows"] for run in runs)
    print(
        f"{name:11}  {rows[name]:.0f} rows a batch, {gained[name]:.1f} times as many answers a second"
    )

# %% [markdown]
# A network as small as the course's costs less than the HTTP around it, so a second brings hardly more answers. The larger
# the network, the more a batch gains: its weights are fetched once for all rows. And it has a price: a client who is
# alone waits for others who do not come (2 milliseconds in these servers, 20 in the small one above).
#
# ## Strangers' files  (about 53 min to here)
#
# The other way round: others hand in agents, and *you* run them. What is a stranger's file allowed to do? PyTorch's usual
# way to save is a pickle, and a pickle is a program:

# %% tags=["look"]
import io
import pickle


class Agent:
    def __reduce__(self):  # what is to be called when it is loaded
        return print, ("This line was printed by a file that was opened.",)


handed_in = pickle.dumps(Agent())
pickle.loads(handed_in)

# %% [markdown]
# It could have been any other function. `torch.load` refuses such a file, as long as nobody writes `weights_only=False`:

# %% tags=["look"]
saved_agent = io.BytesIO()
torch.save(Agent(), saved_agent)
try:
    torch.load(io.BytesIO(saved_agent.getvalue()))
except pickle.UnpicklingError as error:
    refused = str(error)
print("refused" if "Weights only load failed" in refused else "loaded")

# %% [markdown]
# An ONNX file is data: a list of operators and their weights. But a list of operators can be long, or never end, or
# name a file of yours as the place where its weights lie. So it is looked at before it is run:

# %% id="19-objection"
ALLOWED = {"Add", "ArgMax", "Gemm", "Identity", "MatMul", "Mul", "Relu", "Sub", "Tanh"}


def objection(data):
    try:
        graph = onnx.load_model_from_string(data).graph
    except Exception:
        return "cannot be read"
    for node in graph.node:
        if node.domain or node.op_type not in ALLOWED:
            return f"wants to run {node.domain}{node.op_type}"
    for weight in graph.initializer:
        for entry in weight.external_data:
            return f"wants to read {entry.value}"
    return "" if graph.node else "is empty"


# %% id="19-strangers" tags=["look"]
if has_deploy:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def policy_file(operator="MatMul", domain="", elsewhere=""):
        weight = numpy_helper.from_array(balance.numpy()[:, None], "weight")
        if elsewhere:
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
            weight.external_data.add(key="location", value=elsewhere)
        reads = helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", 4])
        writes = helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", 1])
        node = helper.make_node(operator, ["observation", "weight"], ["action"], domain=domain)
        graph = helper.make_graph([node], "policy", [reads], [writes], [weight])
        return helper.make_model(graph).SerializeToString()


# %% tags=["look"]
if has_deploy:
    strangers = {
        "an honest one": policy_file(),
        "cut off": policy_file()[:-9],
        "a loop": policy_file("Loop"),
        "an operator of its own": policy_file("Trick", "own."),
        "weights elsewhere": policy_file(elsewhere="../../passwords.txt"),
        "a pickle": handed_in,
    }
    said = {name: objection(data) for name, data in strangers.items()}
    for name, words in said.items():
        print(f"{name:23}", words or "may be run")

# %% [markdown]
# What no look can find is what a file *costs*: 450 multiplications of large matrices are allowed operators all the same.
# So a stranger's agent runs in a process of its own:
#
# | what a file could do | what stands against it |
# |---|---|
# | run code | it is data (ONNX, no pickle), with operators from a list |
# | read your files | weights inside, or it is refused |
# | be a terabyte, or a link to another file | looked at before it is opened |
# | take all memory, never end | limits of its process, and a clock outside |
# | send something away | its process has no network |
# | answer NaN, or action 7 of 2 | every answer is looked at |
# | have a name that is HTML | on the page it is text |
#
# That is what `make ranking FOLDER=agents` does with a folder of ONNX files and their cards: it examines each on the same
# 100 fresh episodes, whose seeds are drawn when the files are there already, and writes one page with the best on top,
# the refused ones with a sentence, and the limits that held. [The ranking](../docs/ranking.md) tells how to hold one
# with a class.


# %% [markdown]
# ## The loop, packed  (about 57 min to here) (deeper)
#
# Every lesson so far wrote its training loop out. TorchRL has one that is written: a **trainer** (class `Trainer`). It
# owns the `for` and calls what you hang into it, at places that have names. Something that is hung in is called a
# **hook**. When does that pay, and does it learn the same? We take the loop of lesson 07's second act, which `train`
# at the top of this lesson shortened, and pack it.
#
# First its parts, as they stand there: an agent (its scale is inside), exploration, a memory, a loss with its target
# network, an optimiser, and a collector that plays 16 CartPoles.

# %%
from types import SimpleNamespace


# %% id="19-cartpoles"
class Scaled(MLP):
    def forward(self, seen):
        return super().forward(seen * torch.tensor([1.0, 1.0, 5.0, 1.0]))


def cartpoles(count, seed, **options):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("CartPole-v1", count, "sync", vector_kwargs=autoreset, **options)
    envs = GymWrapper(copies, categorical_action_encoding=True)
    envs.set_seed(seed)
    return envs


# %% id="19-loop-parts"
def make_parts(seed, frames):
    torch.manual_seed(seed)
    run, actions = SimpleNamespace(frames=frames), Categorical(2)
    network = Scaled(4, 2, num_cells=[256, 256], activation_class=torch.nn.ReLU)
    run.agent = QValueActor(network, in_keys=["observation"], spec=actions)
    run.egreedy = EGreedyModule(actions, 1.0, 0.15, annealing_num_steps=5_000 / 256)
    run.memory = TensorDictReplayBuffer(storage=LazyTensorStorage(50_000), batch_size=128)
    run.loss = DQNLoss(run.agent, loss_function="l2", delay_value=True)
    run.loss.make_value_estimator(gamma=0.95)
    run.target = HardUpdate(run.loss, value_network_update_interval=32)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), 5e-4, fused=True)
    run.collector = Collector(
        cartpoles(16, 100_000 * seed, sutton_barto_reward=True),
        TensorDictSequential(run.agent, run.egreedy),
        frames_per_batch=256,
        total_frames=frames,
        auto_register_policy_transforms=False,
        track_traj_ids=False,
    )
    return run


# %% [markdown]
# The loop, written out. (Lesson 07 validates after each block as well; that comes in exercise 19.6. And it draws the
# 4,096 transitions of a block in one go and splits them; 32 draws of 128 give the very same ones.)


# %% id="19-loop"
def written_out(run):
    frames = 0
    for batch in run.collector:
        frames += batch.numel()
        run.memory.extend(batch.reshape(-1))
        for _ in range(32 if frames >= 1_000 else 0):
            loss = run.loss(run.memory.sample())["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(run.loss.parameters(), max_norm=10.0)
            run.optimiser.step()
            run.optimiser.zero_grad()
            run.target.step()
        run.egreedy.step()
    run.collector.shutdown()


# %% [markdown]
# Packed. Two thirds of the lines have become arguments; the others are hooks, each registered at a *stage*:
#
# | line of the loop | in the trainer |
# |---|---|
# | `for batch in run.collector` | `collector`, `total_frames`; `train()` shuts it down, too |
# | `frames += batch.numel()` | `trainer.collected_frames` (times `frame_skip`) |
# | `batch.reshape(-1)`, `memory.extend` | hooks at `batch_process` |
# | `range(32)` | `optim_steps_per_batch` |
# | `if frames >= 1_000` | `collector.init_random_frames`; we need a hook of our own |
# | `memory.sample()` | a hook at `process_optim_batch` |
# | `run.loss(...)`, `backward`, `clip`, `step`, `zero_grad` | `DefaultOptimizationStepper`, `clip_norm` |
# | `target.step()` | a hook at `post_optim`: after each update |
# | `egreedy.step()` | a hook at `post_steps`: after all updates of a batch |

# %% id="19-packed"
from torchrl.trainers import (
    DefaultOptimizationStepper,
    ReplayBufferTrainer,
    TargetNetUpdaterHook,
    Trainer,
)


def make_trainer(run, updates=32, **options):
    return Trainer(
        collector=run.collector,
        total_frames=run.frames,
        frame_skip=1,
        optim_steps_per_batch=updates,
        loss_module=run.loss,
        optimizer=run.optimiser,
        optimization_stepper=DefaultOptimizationStepper(),
        clip_norm=10.0,
        progress_bar=False,
        **options,
    )


# %% id="19-hooks"
def packed(run, **options):
    trainer = make_trainer(run, **options)
    memory = ReplayBufferTrainer(run.memory, batch_size=128)

    def sample(batch):
        if trainer.collected_frames < 1_000:
            raise StopIteration  # the trainer takes it for: no more updates from this batch
        return memory.sample(batch)

    trainer.register_op("batch_process", lambda batch: batch.reshape(-1))
    trainer.register_op("batch_process", memory.extend)
    trainer.register_op("process_optim_batch", sample)
    trainer.register_op("post_optim", TargetNetUpdaterHook(run.target))
    trainer.register_op("post_steps", run.egreedy.step)
    return trainer


# %% [markdown]
# (Why a hook for the first 1,000 frames? The trainer has a threshold of its own, the collector's `init_random_frames`.
# But that one also plays those frames at random, without asking the policy. That is another loop than ours.)
#
# Predict: will the two end with the same weights? Nearly the same?

# %% id="19-equal"
loop = make_parts(seed, 2_560)
written_out(loop)
trained = make_parts(seed, 2_560)
trainer = packed(trained)
trainer.train()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# %% tags=["look"]
print("all frames:", torch.equal(loop.memory[:]["observation"], trained.memory[:]["observation"]))
print("all weights:", same(loop.loss.state_dict(), trained.loss.state_dict()))
print("updates, as the trainer counts them:", trainer._optim_count, "- really:", 7 * 32)

# %% [markdown]
# The same, bit by bit: frames, network and target network. Nothing was gained in learning, and nothing lost. (The count
# is three too many: an update that `StopIteration` called off has been counted.)
#
# ### When is whose turn?
# Stages have names that do not tell when they come. So we hang a hook that only notes into each, and train for two
# batches with three updates each.

# %% id="19-stages"
STAGES = [
    "setup",
    "batch_process",
    "pre_steps_log",
    "pre_optim_steps",
    "pre_epoch_log",
    "pre_epoch",
]
STAGES += ["process_optim_batch", "post_optim", "post_optim_log", "post_epoch_log", "post_epoch"]
STAGES += ["post_optim_complete_log", "post_steps", "post_steps_log", "shutdown"]
run, turns = make_parts(seed, 512), []
small = make_trainer(run, updates=3)
for stage in STAGES:

    def note(*given, stage=stage):
        turns.append(stage)
        return given[0] if stage == "pre_epoch" else None

    small.register_op(stage, note)
small.train()

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, axes = plt.subplots(figsize=(8, 4.4))
for place, stage in enumerate(turns):
    inner = stage in ("process_optim_batch", "post_optim", "post_optim_log")
    axes.plot(place, STAGES.index(stage), "s", color="C1" if inner else "C0")
axes.set(xlabel="turn", yticks=range(len(STAGES)), yticklabels=STAGES)
axes.invert_yaxis()
each = {stage: turns.count(stage) for stage in STAGES}
show_figure(
    figure,
    "The turns of a trainer's stages, from top left to bottom right: two batches, three updates each. How often: "
    + ", ".join(f"{stage} {count}" for stage, count in each.items()),
)

# %% [markdown]
# Two times down the list, one for each batch, and three times through the orange stages within: those come with each
# *update*, the blue ones with each batch (`setup` and `shutdown` once). A trainer's loop is easy to read; it is about
# seventy lines. (Hooks at `..._log` return a dictionary, which is logged. Two stages are missing here, `post_loss` and
# `optimizer`: TorchRL is about to replace them by the stepper.)
#
# ### What it writes down, and when
# All that is logged is kept in `trainer._log_dict`, every update of it. A `logger` (lesson 06) is told now and then. The
# hook `LogScalar` logs the mean of one entry of each batch:

# %% id="19-logged"
from torchrl.trainers import LogScalar


class Told:
    def __init__(self):
        self.rows = []

    def log_scalar(self, name, value, step):
        self.rows.append((step, name, round(torch.as_tensor(value).item(), 3)))


def logged(**options):
    told = Told()
    small = packed(make_parts(seed, 1_536), logger=told, **options)
    small.register_op("pre_steps_log", LogScalar(("next", "reward"), "reward", include_std=False))
    small.train()
    return told.rows


# %% tags=["look"]
print("by default:", logged())
print("log_interval=256:", [row for row in logged(log_interval=256) if row[1] == "reward"])
print("log_interval=255:", [row for row in logged(log_interval=255) if row[1] == "reward"])

# %% [markdown]
# By default a number is logged when *more than* 10,000 frames have passed since it was logged last: this run logs
# nothing. With 256, a batch, it logs every second batch: 256 frames are not more than 256. The same rule with the same
# default decides when a trainer saves.
#
# ### Four more traps
# 1. *Register by name or by hand?* A hook often has a `register(trainer)` that knows its stage. That of
#    `TargetNetUpdaterHook` chooses `post_steps`, once a batch, while its documentation says `post_optim`:

# %% id="19-register"
counted = make_parts(seed, 512)
steps, counted.target.step = [], lambda: steps.append(1)
small = make_trainer(counted, updates=8)
TargetNetUpdaterHook(counted.target).register(small, "target")
small.train()
print(f"{small._optim_count} updates, and {len(steps)} steps of the target network")

# %% [markdown]
# 2. *Who flattens?* `ReplayBufferTrainer(flatten_tensordicts=True)` takes the `reshape(-1)` over, and marks the last
#    step of each row as `truncated`. At least it means to:

# %% id="19-flatten"
flattened = TensorDictReplayBuffer(storage=LazyTensorStorage(1_000), batch_size=128)
batch = make_parts(seed, 256).collector.rollout()
print("truncated before:", int(batch["next", "truncated"].sum()), "of", batch.numel())
ReplayBufferTrainer(flattened, flatten_tensordicts=True).extend(batch)
print("in the memory:   ", int(flattened[:]["next", "truncated"].sum()))

# %% [markdown]
#    *All* steps are marked. The flag has shape `[16, 16, 1]`, and the code asks for `[..., -1]`: the last of one.
#    `DQNLoss` reads `terminated` and learns the same; but whoever counts or cuts episodes by `truncated` finds none
#    longer than a step.
# 3. *Two trainers at once* keep one diary of what was logged when. It belongs to the class, and the second trainer
#    begins it anew, for both.
# 4. *TorchRL's own exam*, the hook `LogValidationReward`, explores unless told otherwise (its documentation says the
#    opposite), draws from the random numbers of training, and leaves the policy in training mode, however it was.

# %% id="19-traps"
import inspect

from torchrl.trainers import LogValidationReward

other = make_trainer(make_parts(seed, 256))
print("one diary for both:", other._last_log is trainer._last_log)
default = inspect.signature(LogValidationReward).parameters["exploration_type"].default
print("an exam of TorchRL's plays with:", default.name)

# %% [markdown]
# ### Saved, but what?
# A trainer saves by itself: `checkpoint=Checkpoint()` (TorchRL's, of lesson 07) and a path. Which parts?

# %% id="19-saved"
import tempfile
from pathlib import Path

from torchrl.checkpoint import Checkpoint

folder = tempfile.TemporaryDirectory()
place = Path(folder.name) / "trainer"
saving = packed(make_parts(seed, 512), checkpoint=Checkpoint(), save_trainer_file=place)
saving.train()
print(*sorted(Checkpoint.manifest(place)["components"]), sep=", ")
folder.cleanup()

# %% [markdown]
# Policy, loss (with the target network), optimiser, collector, and the trainer's counters. Not the memory; not the
# target updater's count; not epsilon; not the random numbers; not where the episodes stood. The trainer saves what it
# was *given* or what was registered (`replay_buffer=`, `target_net_updater=`, `trainer.register_module(name, part)`);
# our memory came in by hooks alone, so it does not know of it. So such a run can be loaded, but does not go on as if
# nothing had happened.
#
# | | what it keeps | go on exactly? |
# |---|---|---|
# | the trainer's own | the parts it knows; what else you register | only if you register the rest |
# | `save_checkpoint` (the course's) | what you name, and no more | if you name everything (lesson 07) |
# | both | | not the middle of an episode |
#
# (Without `checkpoint=`, the path alone chooses an older format that is being phased out.)
#
# ### A trainer that knows its algorithm
# `torchrl.trainers.algorithms` goes a step further: `DQNTrainer` registers those hooks itself. Here with the first
# 1,000 frames learned from, too, as it knows no other threshold than `init_random_frames`.

# %% id="19-dqn-trainer"
import warnings

from torchrl.trainers.algorithms import DQNTrainer


def with_dqn_trainer(run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is experimental, and uses stages that go
        return DQNTrainer(
            collector=run.collector,
            total_frames=run.frames,
            frame_skip=1,
            optim_steps_per_batch=32,
            loss_module=run.loss,
            optimizer=run.optimiser,
            clip_norm=10.0,
            replay_buffer=run.memory,
            target_net_updater=run.target,
            greedy_module=run.egreedy,
            progress_bar=False,
            enable_logging=False,
        )


# %% tags=["look"]
ready = with_dqn_trainer(make_parts(seed, 512))
for name, hooks in vars(ready).items():
    if name.endswith("_ops") and hooks:
        print(f"{name[1:-4]:20}", ", ".join(hook.__name__ for hook, _ in hooks))

# %% [markdown]
# The same hooks as ours, chosen for you, down to the trap: it flattens. (`_step_greedy` steps by *frames*, so its
# `annealing_num_steps` is counted in frames; and `UpdateWeights` copies weights to collectors that have their own.) Our
# test trains it beside the loop: with those two things said alike, the weights are equal again.
#
# ### When to use which
#
# | | take |
# |---|---|
# | you want to understand or change the algorithm | a loop: what happens stands there, in its order |
# | a known algorithm, many runs, logging and saving around it | `Trainer` with your hooks |
# | exactly DQN, PPO, SAC, TD3, ... as TorchRL sees it | `DQNTrainer`, `PPOTrainer`, ...: experimental in 0.14 |
# | a file to hand on | one of the single scripts below |
#
# The course's agents also come as *single-file scripts*, each below 200 lines, with all settings in a dataclass and a
# command line that `tyro` makes of it: `python examples/agents/dqn_cartpole.py --seed 3 --learning-rate 1e-3` (and `ppo.py`,
# `continuous_control.py`, `team_posts.py`, `planner_pendulum.py`, `grpo_sums.py`). They play the frames of their
# lessons, number by number; a test compares them.


# %% [markdown]
# ## Exercises  (about 77 min to here)
#
# ### Exercise 19.1: into the first layer  (4 min)
# A normalisation need not be a layer of its own: `(raw - loc) / scale` and then `weight @ ... + bias` is again
# one matrix and one bias. Write `fold(weight, bias, loc, scale)`: return `(new_weight, new_bias)` such that
# `new_weight @ raw + new_bias` gives for raw inputs what the old layer gave for normalised ones. `weight` has shape
# `[units, inputs]`, as in `nn.Linear`, `bias` `[units]`, the other two `[inputs]`. Then nothing can be left behind.
# <details><summary>Hint</summary>Which column of <code>weight</code> meets input number <i>i</i>? Divide it by
# <code>scale[i]</code>. Then ask what both layers say of <code>raw = loc</code>.</details>

# %% tags=["exercise"]
from course_utils import check


def fold(weight, bias, loc, scale):
    # your code
    ...


check("19.1", fold)


# %% tags=["solution"]
def fold(weight, bias, loc, scale):
    new_weight = weight / scale  # one scale for each column
    return new_weight, bias - new_weight @ loc


check("19.1", fold)

# %% [markdown]
# ### Exercise 19.2: the action itself  (4 min)
# A policy of SAC's kind was handed to you as a bare network. For $n$ numbers of an action it gives $2n$: first
# the $n$ numbers `loc`, then $n$ raw scales (so `NormalParamExtractor` cuts them). Its actions came from a `TanhNormal`: a
# draw is put through `tanh`, and -1 ... 1 is stretched to `low` ... `high`. Write `act(output, low, high)`: the action
# *without exploration*, where `loc` stands in the place of the draw. `output` has shape `[batch, 2 * n]`, the limits
# `[n]`; the result `[batch, n]`.
# <details><summary>Hint</summary><code>output.chunk(2, -1)</code> cuts into halves. Where must a
# <code>tanh</code> of -1 go, where one of 1, and where one of 0?</details>


# %% tags=["exercise"]
def act(output, low, high):
    # your code
    ...


check("19.2", act)


# %% tags=["solution"]
def act(output, low, high):
    loc, _ = output.chunk(2, -1)
    return low + (loc.tanh() + 1) / 2 * (high - low)


check("19.2", act)


# %% [markdown]
# ### Exercise 19.3: think without PyTorch  (6 min)
# Write `think(layers, observation)`, what the page does, in plain Python. `layers` is a list of pairs
# `(weight, bias)` as PyTorch's `Linear` keeps them: `weight` is a list of rows, one row for each output, and
# `bias` has a number for each output. Between two layers stands a ReLU; the last layer's numbers are the values
# as they are. `observation` is a list of numbers. Return the list of values. No tensors: floats and lists.
# <details><summary>Hint</summary>One output of a layer:
# <code>sum(w * x for w, x in zip(row, inputs)) + b</code>. Bend before each layer but the first one.</details>

# %% tags=["exercise"]
from course_utils import check


def think(layers, observation): ...  # your code


check("19.3", think)


# %% tags=["solution"]
def think(layers, observation):
    numbers = observation
    for place, (weight, bias) in enumerate(layers):
        if place > 0:
            numbers = [max(0.0, x) for x in numbers]
        numbers = [
            sum(w * x for w, x in zip(row, numbers, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]
    return numbers


check("19.3", think)

# %% [markdown]
# ### Exercise 19.4: who is decided together?  (5 min)
# A server collects requests. `arrivals` holds when each came, in milliseconds, the earliest first; `rows` how many
# observations each brings. The first request opens batch 0. A request goes into the batch that is open, unless
#
# - it came more than `wait` milliseconds after the *first* request of that batch, or
# - with it the batch would have more than `most` rows.
#
# Then it opens the next batch, and nobody enters the old one any more. Write `batch_numbers(arrivals, rows, most, wait)`: a
# list with the number of each request's batch. (No request has more than `most` rows.)
# <details><summary>Hint</summary>Go through both with <code>zip</code>, and remember three things of the batch that is open: its
# number, when it was opened, and how many rows it has.</details>

# %% tags=["exercise"]
from course_utils import check


def batch_numbers(arrivals, rows, most, wait):
    # your code
    ...


check("19.4", batch_numbers)


# %% tags=["solution"]
def batch_numbers(arrivals, rows, most, wait):
    numbers, number, opened, full = [], -1, float("-inf"), 0
    for arrival, count in zip(arrivals, rows, strict=True):
        if arrival - opened > wait or full + count > most:
            number, opened, full = number + 1, arrival, 0
        full += count
        numbers.append(number)
    return numbers


check("19.4", batch_numbers)


# %% [markdown]
# ### Exercise 19.5: when does it save?  (5 min)
# A trainer looks at its clock after each batch of `batch` frames. It saves when *more than* `interval` frames have
# passed since it saved last (at the start: since frame 0). Training ends with the first batch that brings the frames to
# `total` or beyond; then it saves in any case. Write `saved_at(batch, total, interval)`: the list of frames at which it
# saves, each once. All three are whole numbers. So how much is lost, at worst, when the machine dies?
# <details><summary>Hint</summary>Play the batches one by one, and keep the frame of the last save in a variable.</details>


# %% tags=["exercise"]
from course_utils import check


def saved_at(batch, total, interval):
    # your code
    ...


check("19.5", saved_at)


# %% tags=["solution"]
from course_utils import check


def saved_at(batch, total, interval):
    frames, last, saved = 0, 0, []
    while frames < total:
        frames += batch
        if frames - last > interval or frames >= total:
            saved.append(frames)
            last = frames
    return saved


check("19.5", saved_at)

# %% [markdown]
# ### Exercise 19.6: build it: an exam that disturbs nothing  (20 min)
# Lesson 07 validates as it learns, keeps the best weights, and stops when they are good. Give a trainer that, as a hook
# of your own. Build a class `Exam(agent, judge, every, stop_at)`. `agent` is a `torch.nn.Module`; `judge(agent)` plays
# a few episodes, draws random numbers while it does, and returns the mean return.
#
# - `register(trainer)` hooks it in, so that it comes after the updates of a batch.
# - An exam is due as soon as *at least* `every` frames (`trainer.collected_frames`) were collected since the last one, at
#   the start since frame 0. It is held after the batch with which that happens.
# - The judge is asked with exploration off, the agent in evaluation mode, and no gradients recorded.
# - Training goes on as if nothing had been: the same random numbers of torch, the same weights, the same `training` flag
#   of each of the agent's parts (one of them may have been switched off for good).
# - `scores` is a list of pairs `(frames, score)`, `best_score` the best of them, and `best_weights` what
#   `agent.load_state_dict` takes: the weights of that exam, whatever happens later.
# - From a score of `stop_at` on training ends, with this batch: `trainer.request_stop(...)`.
#
# <details><summary>Hint 1: where</summary><code>trainer.register_op("post_steps_log", self)</code> calls
# <code>self(batch)</code> after each batch. Keep the trainer in <code>register</code>; its
# <code>collected_frames</code> is all you need to know when.</details>
# <details><summary>Hint 2: before and after</summary>Note <code>[(part, part.training) for part in
# agent.modules()]</code> and <code>torch.get_rng_state()</code>; give both back after.</details>
# <details><summary>Hint 3: in between</summary><code>agent.eval()</code>, then <code>with torch.no_grad(),
# set_exploration_type(ExplorationType.DETERMINISTIC):</code> and ask the judge.</details>
# <details><summary>Hint 4: the best</summary>A <code>state_dict()</code> holds the weights themselves. Take a
# <code>deepcopy</code>. And scores may be negative: begin with minus infinity.</details>


# %% tags=["exercise"]
class Exam:
    def __init__(self, agent, judge, every, stop_at): ...

    def register(self, trainer): ...

    def __call__(self, batch): ...


check("19.6", Exam)


# %% tags=["solution"]
from copy import deepcopy

import torch
from course_utils import check
from torchrl.envs import ExplorationType, set_exploration_type


def undisturbed(agent, judge):
    flags = [(part, part.training) for part in agent.modules()]
    random_state = torch.get_rng_state()
    agent.eval()
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        score = judge(agent)
    for part, training in flags:
        part.training = training
    torch.set_rng_state(random_state)
    return score


# %% tags=["solution"]
class Exam:
    def __init__(self, agent, judge, every, stop_at):
        self.agent, self.judge, self.every, self.stop_at = agent, judge, every, stop_at
        self.scores, self.best_score, self.best_weights = [], float("-inf"), None
        self.last = 0

    def register(self, trainer):
        self.trainer = trainer
        trainer.register_op("post_steps_log", self)

    def __call__(self, batch):
        frames = self.trainer.collected_frames
        if frames - self.last < self.every:
            return
        self.last, score = frames, undisturbed(self.agent, self.judge)
        self.scores.append((frames, score))
        if score > self.best_score:
            self.best_score, self.best_weights = score, deepcopy(self.agent.state_dict())
        if score >= self.stop_at:
            self.trainer.request_stop("good enough")


check("19.6", Exam)

# %% [markdown]
# And in use: CartPole, examined every 512 frames on eight fresh poles. The run without an exam stands above; are the
# weights still the same?


# %% tags=["solution"]
def eight_poles(agent):
    episodes = cartpoles(8, 500_000_000).rollout(500, agent, break_when_all_done=True)["next"]
    first = episodes["done"].cumsum(1) - episodes["done"].int() == 0
    return (episodes["reward"] * first).sum(1).mean().item()


examined = make_parts(seed, 2_560)
trainer = packed(examined)
examiner = Exam(examined.agent, eight_poles, every=512, stop_at=500)
examiner.register(trainer)
trainer.train()
print([(frames, round(score)) for frames, score in examiner.scores])
print("best:", round(examiner.best_score))
print("the same weights as without:", same(examined.loss.state_dict(), loop.loss.state_dict()))


# %% [markdown]
# ## What we left out
#
# This was the last lesson. TorchRL has more than fits into a course: hindsight replay, curiosity,
# transformers that decide, tree search. [What we left out, and where to read on](../docs/left_out.md) says in a
# paragraph each what it is good for, and what it is called there.
#
# ## What you can do now
#
# You can say what of an agent has to travel, write it on a card, and catch a normalisation that was left behind by
# repeating an exam. You can turn any actor into a function from tensor to tensor, export it to plain PyTorch,
# `torch.export` and ONNX, and prove that it still decides alike. You can hand it out as a page and as a server, rank it
# among others, and read what a ready-made trainer does in your place.
#
# **Try next:** take the agent of a lesson you liked, write its card, give file and card to somebody who has not
# seen your notebook, and let them repeat the exam. Predict which line of the card they will ask you about.
#
# Back to the [map of the course](00_start_here.ipynb).
