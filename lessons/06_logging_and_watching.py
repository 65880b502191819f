# ---
# jupyter:
#   course:
#     title: Logging and watching
#     objectives:
#       - log a training run with any logger, and read the log back
#       - say what each logged figure can tell, and what it cannot
#       - judge an agent while it trains, without exploration, with TorchRL's Evaluator
#       - record what an agent does, and catch one that learned the wrong thing
#       - read from a run's curves which line of its loop is wrong
#     prerequisites: PyTorch and lessons 01 to 05 (the parts of the loop are recalled in a table)
#     minutes: {reading: 46, exercises: 32, short: 30}
# ---

# %% [markdown]
# ## Did it learn?  (about 1 min to here)
#
# Somebody has trained an agent and sends you the last line it printed: `loss 0.04`. Has it learned
# anything? You cannot say. A run leaves nothing behind but its weights, unless you write down what
# happened while it happened, and look at what the agent does.
#
# In this lesson you write it down, draw it, and film it. At the end you meet an agent whose curves
# look just as one wishes, and you decide whether you would trust it.

# %%
from course_utils import seed_everything

seed_everything(0)

# %% [markdown]
# ## A logger is a place for numbers  (about 2 min to here)
#
# A *logger* takes three things: a name, a number, and the *step* at which it was measured. Steps
# here are frames. `CSVLogger` is the plainest one: a folder with one text file per name. All files
# of this lesson go into a temporary folder.

# %%
import tempfile
from pathlib import Path

from torchrl.record import CSVLogger

scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
folder = Path(scratch.name)
logger = CSVLogger("first_run", log_dir=str(folder))
logger.log_hparams({"learning rate": 5e-4, "seed": 0})
for step, loss in [(256, 0.9), (512, 0.5), (768, 0.7)]:
    logger.log_scalar("train/loss", loss, step=step)

# %% tags=["nbval-check-output"]
for path in sorted(folder.rglob("*.*")):
    print(path.relative_to(folder).as_posix())
print((folder / "first_run/scalars/train/loss.csv").read_text())

# %% [markdown]
# A `/` in a name makes a group, here `train`. Each line holds step and value. The settings
# (*hyperparameters*) went into a text file: a curve without them cannot be made again.
#
# `log_metrics` writes many numbers at the same step. It takes a dictionary, or a `TensorDict`,
# whose nested keys become groups; tensors are turned into numbers.

# %% tags=["nbval-check-output"]
import torch
from tensordict import TensorDict

metrics = TensorDict(train=TensorDict(loss=torch.tensor(0.25), epsilon=torch.tensor(0.5)))
logger.log_metrics(metrics, step=1_024)

# %% [markdown]
# It hands back what it wrote, under flat names. Each number must be *one* number; a tensor of
# several is refused:

# %% tags=["nbval-check-output"]
try:
    logger.log_metrics({"train/q_values": torch.zeros(3)}, step=1_024)
except TypeError as error:
    print(f"TypeError: {error}")

# %% [markdown]
# So take the mean first. One more trap: what happens if a run is started twice?

# %% tags=["nbval-check-output"]
again = CSVLogger("first_run", log_dir=str(folder))
again.log_scalar("train/loss", 0.8, step=256)
print((folder / "first_run/scalars/train/loss.csv").read_text())

# %% [markdown]
# A second logger of the same name *adds* to the files of the first, and the curve jumps back to
# step 256. Give each run a folder of its own. Here, where you may run a cell twice, we empty it
# first:

# %%
import shutil


def fresh(name):
    shutil.rmtree(folder / name, ignore_errors=True)
    return name


# %% [markdown]
# ## The same numbers in TensorBoard  (about 5 min to here) (deeper)
#
# `TensorboardLogger` has the same methods, and writes *event files*, which TensorBoard draws as
# curves in a browser, also while the run goes on.

# %%
from torchrl.record import TensorboardLogger

board = TensorboardLogger(fresh("first_run_board"), log_dir=str(folder))
for step, loss in [(256, 0.9), (512, 0.5), (768, 0.7)]:
    board.log_scalar("train/loss", loss, step=step)
board.flush()
[path.name[:19] for path in (folder / "first_run_board").iterdir()]

# %% [markdown]
# **To open it:** run `tensorboard --logdir` and your log folder (here what `print(folder)` shows)
# in a terminal, and visit the address it prints.
#
# Event files can also be read in Python. `EventAccumulator` is TensorBoard's own reader.

# %% tags=["nbval-check-output"]
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(str(folder / "first_run_board")).Reload()
for event in events.Scalars("train/loss"):
    print(event.step, round(event.value, 3))

# %% [markdown]
# The three numbers are back.
#
# ### Exercise 6.1: the smoothing slider  (3 min)
# TensorBoard has a slider named *smoothing*. A simple form of it: the first smoothed value is the
# first value; each later one is `weight` times the *smoothed* value before it plus `1 - weight`
# times the new value. Write `smooth(values, weight)`; `values` has shape `[time]`, and so has the
# result.
# <details><summary>Hint</summary>Keep the last smoothed value in a variable, start it with
# <code>values[0]</code>, and collect results in a list; <code>torch.stack</code> makes a tensor of
# it.</details>

# %% tags=["exercise"]
from course_utils import check


def smooth(values, weight):
    # your code
    ...


check("6.1", smooth)


# %% tags=["solution"]
def smooth(values, weight):
    smoothed = [values[0]]
    for value in values[1:]:
        smoothed.append(weight * smoothed[-1] + (1 - weight) * value)
    return torch.stack(smoothed)


check("6.1", smooth)

# %% [markdown]
# A strongly smoothed curve lags behind, and hides collapses. Look at the raw one too.
#
# ## A loop that takes any logger  (about 11 min to here)
#
# To have something to log, we train a small DQN agent on CartPole. Its parts in one table; the loop
# is explained part by part in lesson 07.
#
# | part | in TorchRL |
# |---|---|
# | 16 CartPoles stepped in one call | `GymWrapper` around a Gymnasium vector environment |
# | sum of rewards and number of steps of the running episode | `RewardSum`, `StepCounter` |
# | a network that gives each action a value; the best is taken | `MLP` in a `QValueActor` |
# | sometimes a random action instead, with probability $\varepsilon$ | `EGreedyModule` |
# | memory of transitions | `TensorDictReplayBuffer` on a `LazyTensorStorage` |
# | loss, and a slower copy of the network that says what the future is worth | `DQNLoss`, `HardUpdate` |
# | plays and hands over batches of frames | `Collector` |

# %% id="06-envs"
import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymWrapper, RewardSum, StepCounter


def make_envs(count, seed, *transforms):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("CartPole-v1", count, "sync", vector_kwargs=autoreset)
    envs = GymWrapper(copies, categorical_action_encoding=True)
    for transform in (*transforms, RewardSum(), StepCounter()):
        envs.append_transform(transform)
    envs.set_seed(seed)
    return envs


# %% [markdown]
# The agent multiplies the pole angle, the third of its four inputs, by 5 (lesson 07 finds out why).
# Its spec, `Categorical(2)`, says that an action is 0 or 1.

# %% id="06-agent"
from torchrl.data import Categorical
from torchrl.modules import MLP, QValueActor

actions = Categorical(2)


class Scale(torch.nn.Module):
    def forward(self, observation):
        return observation * torch.tensor([1.0, 1.0, 5.0, 1.0])


def make_agent():
    layers = MLP(
        in_features=4, out_features=2, num_cells=[256, 256], activation_class=torch.nn.ReLU
    )
    network = torch.nn.Sequential(Scale(), layers)
    return QValueActor(network, in_keys=["observation"], spec=actions)


# %% [markdown]
# Everything one run needs, built from a seed. `TensorDictSequential` chains two modules: first the
# agent writes its action, then the exploration may overwrite it.

# %% id="06-build"
from types import SimpleNamespace

from tensordict.nn import TensorDictSequential
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.modules import EGreedyModule
from torchrl.objectives import DQNLoss, HardUpdate

GAMMA = 0.95


def build(seed):
    torch.manual_seed(seed)
    run = SimpleNamespace(agent=make_agent(), frames=0)
    run.egreedy = EGreedyModule(actions, eps_end=0.1, annealing_num_steps=3_000)
    run.explorer = TensorDictSequential(run.agent, run.egreedy)
    run.buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(50_000), batch_size=128)
    run.loss = DQNLoss(run.agent, loss_function="l2", delay_value=True)
    run.loss.make_value_estimator(gamma=GAMMA)
    run.target = HardUpdate(run.loss, value_network_update_interval=32)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), lr=5e-4)
    return run


# %% [markdown]
# First source of numbers: the updates. The loss, and the length of the gradient over all weights
# (its *norm*), which `clip_grad_norm_` computes anyway and returns as it was before clipping.


# %% id="06-update"
def update(run):
    loss = run.loss(run.buffer.sample())["loss"]
    run.optimiser.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(run.loss.parameters(), max_norm=10.0)
    run.optimiser.step()
    run.target.step()
    return TensorDict(loss=loss.detach(), gradient_norm=norm)


# %% [markdown]
# Second source: what the agent expects. On one random sample we take two means: the value $Q(s, a)$ of
# the remembered actions, and the *target* that the loss compares it with. The target is the reward,
# and $\gamma$ times the best value of the next state, which counts for nothing where the episode was over.
#
# Two sets of weights say these values, and the loss module holds both (lesson 04):
# `value_network_params` are the ones in training, `target_value_network_params` the slower copy, which
# judges the next state. There is one agent for both, so `values` puts one of the sets into it, asks,
# and takes it out again (`to_module`). In `beliefs`, `gather` then picks from each row of values that of
# the remembered action, and `amax` the largest.


# %% id="06-beliefs"
@torch.no_grad()
def values(run, weights, observations):
    with weights.to_module(run.agent):
        return run.agent(TensorDict(observation=observations))["action_value"]


def beliefs(run):
    sample = run.buffer.sample()
    online, delayed = run.loss.value_network_params, run.loss.target_value_network_params
    taken = values(run, online, sample["observation"]).gather(-1, sample["action"].unsqueeze(-1))
    best_next = values(run, delayed, sample["next", "observation"]).amax(-1, keepdim=True)
    target = sample["next", "reward"] + GAMMA * best_next * ~sample["next", "terminated"]
    return {"train/q_value": taken.mean(), "train/target": target.mean()}


# %% [markdown]
# Third source: the episodes that ended in a batch. You write this one.
#
# ### Exercise 6.2: the return to log  (4 min)
# `batch` is what a collector hands over, with batch size `[copies, time]`. At each step,
# `batch["next", "episode_reward"]` is the sum of the rewards of the running episode up to and
# including this step; `batch["next", "done"]` is True where an episode ended. An episode may have
# begun in an earlier batch. Write `training_return(batch)`: the mean return of the episodes that
# *ended* in this batch, as a number, or `None` if none did.
# <details><summary>Hint</summary>A boolean tensor can pick entries: <code>x[mask]</code>. Ask
# <code>mask.any()</code> first.</details>


# %% tags=["exercise"]
def training_return(batch):
    # your code
    ...


check("6.2", training_return)


# %% tags=["solution"]
def training_return(batch):
    done = batch["next", "done"]
    if not done.any():
        return None
    return batch["next", "episode_reward"][done].mean().item()


check("6.2", training_return)

# %% [markdown]
# Where nothing ended, nothing is logged: a curve may have gaps, and a 0 there would be a lie. The
# loop calls `ended`, which does what yours does, but gives a dictionary, and adds the number of
# steps (the *length*) of the finished episodes.


# %% id="06-ended"
def ended(batch):
    done = batch["next", "done"]
    if not done.any():
        return {}
    return {
        "train/return": batch["next", "episode_reward"][done].mean(),
        "train/length": batch["next", "step_count"][done].float().mean(),
    }


# %% [markdown]
# After each batch come 32 updates, of which we log the mean.


# %% id="06-learn"
def learn(run):
    block = torch.stack([update(run) for _ in range(32)]).mean()
    updates = {"train/loss": block["loss"], "train/gradient_norm": block["gradient_norm"]}
    return updates | beliefs(run)


# %% [markdown]
# And the loop. A batch has 256 frames, so 16 steps of each of the 16 copies. For the first 1,000
# frames the agent only fills its memory; then the updates begin. `judge` is for later.

# %% id="06-train"
import time

from torchrl.collectors import Collector


def train(run, envs, frames, logger, judge=None):
    options = {"frames_per_batch": 256, "auto_register_policy_transforms": True}
    collector = Collector(envs, run.explorer, total_frames=frames, **options)
    clock = time.perf_counter()
    for batch in collector:
        run.frames += batch.numel()
        run.buffer.extend(batch.reshape(-1))
        run.egreedy.step(batch.numel())
        metrics = {"train/epsilon": run.egreedy.eps} | ended(batch)
        if run.frames > 1_000:
            metrics |= learn(run)
        now = time.perf_counter()
        metrics["speed/frames_per_second"] = batch.numel() / (now - clock)
        logger.log_metrics(metrics, step=run.frames)
        if judge and run.frames % 512 == 0:
            logger.log_metrics(judge.evaluate(run.agent), step=run.frames)
        clock = time.perf_counter()
    collector.shutdown()
    logger.flush()


# %% [markdown]
# The loop does not know which logger it has. We run it twice, same seed, two loggers.

# %%
from torchrl.record import TensorboardLogger

for kind, name in [(CSVLogger, "csv"), (TensorboardLogger, "board")]:
    train(build(seed=0), make_envs(16, 0), 2_048, kind(fresh(name), log_dir=str(folder)))


# %% [markdown]
# And read both back, into the same form: for each name an array of rows *(step, value)*.

# %%
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read_csv(name):
    root = folder / name / "scalars"
    files = {
        path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.csv")
    }
    return {tag: np.loadtxt(path, delimiter=",", ndmin=2) for tag, path in sorted(files.items())}


def read_board(name):
    events = EventAccumulator(str(folder / name)).Reload()
    tags = sorted(events.Tags()["scalars"])
    return {tag: np.array([(e.step, e.value) for e in events.Scalars(tag)]) for tag in tags}


# %% tags=["nbval-check-output"]
from_csv, from_board = read_csv("csv"), read_board("board")
for tag in from_csv:
    same = np.allclose(from_csv[tag], from_board[tag])
    print(f"{tag:24} {len(from_csv[tag])} points,", "equal" if same else "different")

# %% [markdown]
# All equal except the speed, which the clock decides. `WandbLogger` and `MLFlowLogger` are further
# loggers of TorchRL with these methods, for services you may already use.
#
# ## A judge for the agent  (about 26 min to here)
#
# The training return is earned with exploration on, and its $\varepsilon$ changes as we go. How
# good is the agent when it does what it thinks best (*greedy*)? That takes episodes of their own,
# apart from training. `Evaluator` plays them: it has its own environments and its own copy of the
# policy, switches exploration off, and returns the figures. It plays 800 frames at a time until
# `num_trajectories` episodes have ended. Its seed is far from the one we train on.

# %% id="06-judge"
from torchrl.collectors import Evaluator


def make_judge(policy, **more):
    options = {"auto_register_policy_transforms": True, "traj_format": "cat"}
    return Evaluator(
        make_envs(16, 500_000_000),
        policy,
        num_trajectories=16,
        max_steps=500,
        frames_per_batch=800,
        collector_kwargs=options,
        **more,
    )


# %%
judge = make_judge(make_agent())
untrained = build(seed=0)
judge.evaluate(untrained.agent)

# %% [markdown]
# `eval/reward` is the mean return of 16 episodes, `eval/reward_std` their spread. They are among
# the first to end, and a copy whose episode was short starts another at once, so short episodes
# get a little more than their share; the judge of lesson 07 avoids this. We handed over an agent,
# and its weights were copied into the judge's own one. (The two `options` choose how TorchRL
# behaves where its defaults are about to change; without them it warns.)
#
# A longer run, judged every 512 frames. The loop waits for each judgement.

# %%
run = build(seed=0)
train(run, make_envs(16, 0), 5_120, CSVLogger(fresh("judged"), log_dir=str(folder)), judge)
log = read_csv("judged")
print(", ".join(log))

# %% [markdown]
# ## A judge that does not make you wait  (about 29 min to here) (deeper)
#
# `evaluate` makes you wait. `trigger_eval` does not: the episodes are played in a thread of their
# own while your loop goes on, and you ask for the result when it suits you.

# %% tags=["nbval-check-output"]
print("accepted:", judge.trigger_eval(untrained.agent, step=1))
print("a second one meanwhile:", judge.trigger_eval(untrained.agent, step=2))
print("ready at once:", judge.poll())
result = judge.wait(timeout=60)
print("after waiting: the result of step", result["eval/step"])

# %% [markdown]
# The second request was refused, because the first was still running; that is the default. Our loop
# waits, so that the same seed gives the same log.
#
# ## What each figure tells  (about 30 min to here)
#
# | figure | the question it answers | it cannot tell |
# |---|---|---|
# | `train/loss` | are the predictions near *their own* targets? | if the targets are right: they move |
# | `train/q_value`, `train/target` | what does the agent expect? Do the two part, or run away? | if it comes true |
# | `train/gradient_norm` | are updates steady? Jumps, 0 and NaN are alarms | if they help |
# | `train/epsilon` | how much of the play is random by now? | |
# | `train/return` | how is it going, exploration included? | how good the agent is without it |
# | `eval/reward` | how good is the agent itself? | if the reward means what you want |
# | `speed/frames_per_second` | is something slow, or getting slower? | |
#
# A small function draws figures from a log:

# %%
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()


def panels(log, groups, columns=2):
    rows = -(-len(groups) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(8, 2.1 * rows), sharex=True, squeeze=False)
    for place, tags in zip(axes.flat, groups, strict=False):
        for tag in tags:
            place.plot(*log[tag].T, marker=".", label=tag)
        place.legend(fontsize=8)
    for place in axes[-1]:
        place.set_xlabel("frames")
    return figure


# %% tags=["look"]
groups = [
    ["train/return", "eval/reward"],
    ["train/loss"],
    ["train/q_value", "train/target"],
    ["train/gradient_norm"],
    ["train/epsilon"],
    ["speed/frames_per_second"],
]
ends = {tag: (log[tag][0, 1], log[tag][-1, 1]) for group in groups for tag in group}
changes = "; ".join(f"{tag} from {first:.3g} to {last:.3g}" for tag, (first, last) in ends.items())
show_figure(panels(log, groups), f"Six panels over frames, first and last values: {changes}.")

# %% tags=["look"]
loss_first, loss_last = ends["train/loss"]
print(f"Greedy return {ends['eval/reward'][0]:.0f} -> {ends['eval/reward'][1]:.0f}")
print(f"Loss {loss_first:.3f} -> {loss_last:.3f}: times {loss_last / loss_first:.1f}")

# %% [markdown]
# Read the panels against one another. The greedy return and the one with exploration are two
# different curves. The value climbs together with its target: the longer the pole stays up, the
# more there is to expect. The speed drops where the updates begin. And compare the loss with the
# returns: in supervised learning the loss is the judge; here it measures the distance to a moving
# target, and need not fall while the agent gets better.
#
# ### Exercise 6.3: the gradient norm  (2 min)
# Write `gradient_norm(gradients)`. It gets a list of tensors of different shapes, the gradients of
# a network's weights, and returns one number: the length of the vector you get when you lay all
# entries of all tensors in one row. (The length of $(3, 4)$ is 5.)
# <details><summary>Hint</summary>Add up all squares, over all tensors; take one square root at the
# end.</details>


# %% tags=["exercise"]
def gradient_norm(gradients):
    # your code
    ...


check("6.3", gradient_norm)


# %% tags=["solution"]
def gradient_norm(gradients):
    return sum((gradient**2).sum() for gradient in gradients).sqrt()


check("6.3", gradient_norm)

# %% [markdown]
# ## Film it  (about 36 min to here)
#
# A number is an average of something. A video is the thing itself.

# %%
from course_utils import record_episode, show_video

show_video(record_episode("CartPole-v1", run.agent, seed=1, max_steps=200), "The judged run")

# %% [markdown]
# `record_episode` is the course's helper.
#
# ## Film within TorchRL  (about 37 min to here) (deeper)
#
# TorchRL can film within its own environments: `PixelRenderTransform` draws every step into the
# entry `pixels`, `VideoRecorder` collects these pictures, and `dump` hands them to a logger.
# `CSVLogger` stores a video as a tensor (`"pt"`), as a memory-mapped file (`"memmap"`), or, with the
# package torchcodec, as `"mp4"`. One `GymEnv` is enough here; `skip=1` keeps every picture, and a
# rollout without a policy acts at random.

# %%
from torchrl.envs import Compose, GymEnv, TransformedEnv
from torchrl.record import PixelRenderTransform, VideoRecorder

films = CSVLogger(fresh("films"), log_dir=str(folder), video_format="pt")
recorder = VideoRecorder(films, tag="random", skip=1)
camera = GymEnv("CartPole-v1", render_mode="rgb_array")
filmed = TransformedEnv(camera, Compose(PixelRenderTransform(), recorder))
filmed.set_seed(0)
fall = filmed.rollout(100)
recorder.dump(step=0)

# %% tags=["look"]
path = next((folder / "films/videos").iterdir())
video = torch.load(path)
print(path.name, list(video.shape), f"{path.stat().st_size / 1e6:.0f} MB")

# %% [markdown]
# Shape: one video, time, three colours, height, width. It is large, since nothing is compressed:
# film seldom. Four of its pictures:

# %% tags=["look"]
picks = np.linspace(0, video.shape[1] - 1, 4).astype(int)
figure, axes = plt.subplots(1, 4, figsize=(8, 1.6))
for place, pick in zip(axes, picks, strict=True):
    place.imshow(video[0, pick].permute(1, 2, 0))
    place.set_title(f"step {pick}", fontsize=9)
    place.axis("off")
lean = fall["next", "observation"][-1, 2].rad2deg()
show_figure(
    figure, f"A random episode: after {len(fall)} steps the pole leans by {lean:.0f} degrees."
)

# %% [markdown]
# The pictures survived the way to the disk and back. (Without code: `rlrender`, a command that is
# installed with TorchRL, films the rollouts of a saved policy.)
#
# ## A curve for you to judge  (about 39 min to here)
#
# A new project. The task: **keep the pole up**. A colleague has a proposal for the reward. "Walking
# robots are rewarded for their forward speed, and they learn not to fall by themselves, because who
# has fallen makes no way. Let us do the same: the reward is the speed of the cart to the right. A
# fallen pole ends the episode and earns nothing more, so the agent will keep it up."
#
# That sounds reasonable. A transform can set a reward by any rule; everything after it, `RewardSum`
# too, sees the new one. `Transform` is the base class, and `_step` gets what a step produced.

# %%
from torchrl.envs import Transform


class SetReward(Transform):
    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def _step(self, tensordict, next_tensordict):
        return next_tensordict.set("reward", self.rule(next_tensordict))


def forward_speed(after):
    return after["observation"][..., 1:2]


# %% [markdown]
# The same agent, the same loop; only the reward is another.

# %%
speedy = build(seed=0)
envs = make_envs(16, 0, SetReward(forward_speed))
train(speedy, envs, 4_096, CSVLogger(fresh("speedy"), log_dir=str(folder)))
speedy_log = read_csv("speedy")

# %% tags=["look"]
groups = [["train/return"], ["train/loss"], ["train/q_value", "train/target"], ["train/epsilon"]]
returns = speedy_log["train/return"][:, 1]
show_figure(
    panels(speedy_log, groups),
    f"Four panels. The training return starts at {returns[0]:.1f}; its last eight points lie between "
    f"{returns[-8:].min():.1f} and {returns[-8:].max():.1f}. The value follows its target.",
)

# %% [markdown]
# **Your verdict, before you go on.** The return has risen and settled. The value follows its
# target. Exploration is down to its floor. Write down one of these, and why:
#
# 1. It has learned to keep the pole up. Ship it.
# 2. It is on the way. Train longer.
# 3. I cannot tell from this.
#
# Now look at what it does, ten times slower than real time.

# %%
from dataclasses import replace

from course_utils import record_episode, show_video

episode = record_episode("CartPole-v1", speedy.agent, seed=1)
show_video(replace(episode, fps=5), "The agent with the beautiful curve, in slow motion")

# %% [markdown]
# It pushes to the right from the first step and lets the pole fall behind. The log knew it all the
# time, in a figure we did not draw: `train/length`, the steps an episode lasted, which is the very
# thing we want. Here it is beside the curve you judged.

# %% tags=["look"]
lengths = speedy_log["train/length"][:, 1]
figure = panels(speedy_log, [["train/return"], ["train/length"]])
show_figure(
    figure,
    f"Two panels of one run. Left, the return it was trained on goes from {returns[0]:.1f} to "
    f"{returns[-1]:.1f}. Right, the steps an episode lasts go from a highest {lengths.max():.0f} "
    f"to {lengths[-1]:.0f}.",
)

# %% [markdown]
# The better it got at what was rewarded, the worse it got at what was meant. (The first point of
# the length is low for another reason: in a first batch of 16 steps only short episodes can end.)
#
# Nothing is broken: no bug, no bad luck. A push to the right pays at once, in speed; balancing
# first would pay later, and it never found out. A reward is not a hint, it is the whole task. An
# agent that collects it in a way nobody meant is said to do *reward hacking*.
#
# ### Exercise 6.4: an alarm for the next run  (4 min)
# Next time a program shall notice. Several runs were logged: `returns` holds the points of
# `train/return`, `lengths` those of `train/length`, both of shape `[runs, points]`, in order of
# time. Write `parted(returns, lengths)`: for each run True if its return went up while its length
# went down, else False, shape `[runs]`. Single points are noise, so compare the mean of the last
# four points of a curve with the mean of its first four.
# <details><summary>Hint</summary><code>curves[:, :4].mean(1)</code> is the mean of each run's first
# four points. Two boolean tensors are joined by <code>&amp;</code>, with brackets around each
# comparison.</details>


# %% tags=["exercise"]
def parted(returns, lengths):
    # your code
    ...


check("6.4", parted)


# %% tags=["solution"]
def parted(returns, lengths):
    def rise(curves):
        return curves[:, -4:].mean(1) - curves[:, :4].mean(1)

    return (rise(returns) > 0) & (rise(lengths) < 0)


check("6.4", parted)

# %% [markdown]
# Such an alarm needs the figure you mean in the log; what was never written down, nobody can
# compare. And mind the end of the return that ours was trained on: **flat means that it has
# stopped improving, not that it is good.** Only a comparison from outside says what a number is
# worth.
#
# ## Mend the reward  (about 49 min to here) (deeper)
#
# Say what you want, and as little else as possible: 1 for each step after which the pole is still
# up and the cart on the track. (CartPole's own reward, which the colleague replaced, is nearly the
# same: 1 for every step.)


# %%
def still_up(after):
    return (~after["terminated"]).float()


mended = build(seed=0)
envs = make_envs(16, 0, SetReward(still_up))
train(mended, envs, 5_120, CSVLogger(fresh("mended"), log_dir=str(folder)))

# %% [markdown]
# This time the *true* figure for both, greedy, on the unmodified environment, and beside them what
# anyone can do: `RandomPolicy`, which draws its actions blindly.

# %%
from torchrl.envs.utils import RandomPolicy

blind_envs = make_envs(16, 500_000_000)
blind = Evaluator(
    blind_envs,
    RandomPolicy(blind_envs.action_spec),
    num_trajectories=16,
    frames_per_batch=800,
    collector_kwargs={"traj_format": "cat"},
)
steps = {
    "random actions": blind.evaluate()["eval/episode_length"],
    "trained for speed": judge.evaluate(speedy.agent)["eval/episode_length"],
    "trained to stay up": judge.evaluate(mended.agent)["eval/episode_length"],
}
blind.shutdown()
judge.shutdown()

# %% tags=["look"]
from course_utils import PALETTE

figure, axes = plt.subplots(figsize=(7, 2))
bars = axes.barh(list(steps), list(steps.values()), color=PALETTE["blue"])
axes.bar_label(bars, fmt="%.0f", padding=4)
axes.set(xlabel="steps an episode lasts, mean of 16", xlim=(0, 500))
show_figure(figure, "; ".join(f"{name}: {value:.0f} steps" for name, value in steps.items()) + ".")

# %%
show_video(record_episode("CartPole-v1", mended.agent, seed=1, max_steps=300), "The mended reward")

# %% [markdown]
# Speed training ended *below* random actions. With the mended reward the same loop, from the same
# seed, stays up many times longer. It need not be perfect yet; bringing it to 500 steps, and
# proving it, is lesson 07.
#
# What to remember, in a table:
#
# | it looks good, but | what may be wrong | how to find out |
# |---|---|---|
# | the return rises | the reward is not the task | log the true figure; watch an episode |
# | the return is flat and steady | stuck, not finished | compare with random play and with the best possible |
# | the loss is small | the targets are poor, or all alike | look at the values and at the greedy return |
# | one episode was long | luck | the mean of many greedy episodes |
# | the run went well | luck again | several seeds |
#
# ### Exercise 6.5: stay up, in the middle  (4 min)
# The agents so far may drift away until the track ends. Write `centred(td)` for transitions of
# batch size `[batch]`: the reward is 1 if, *after* the step, the cart is in the middle, falls in a
# straight line to 0 at 2.4 metres on either side, and is 0 if the pole fell or the cart left the
# track on this step. A step on which only the clock ended the episode keeps its reward. The cart's
# position is the first of the four numbers of `observation`; `td["next"]` holds what came after
# the step: `observation`, `terminated`, `truncated`, `done`. Return shape `[batch, 1]`.
# <details><summary>Hint</summary><code>[..., :1]</code> takes the first number and keeps the
# dimension. <code>abs()</code> makes both sides alike, and a flag can switch a reward
# off.</details>


# %% tags=["exercise"]
def centred(td):
    # your code
    ...


check("6.5", centred)


# %% tags=["solution"]
def centred(td):
    position = td["next", "observation"][..., :1]
    return (1 - position.abs() / 2.4) * ~td["next", "terminated"]


check("6.5", centred)

# %% [markdown]
# ## Eight sick runs  (about 57 min to here) (deeper)
#
# There the reward was wrong, and the loop was sound. It can be the other way round: one wrong line
# in the loop, no error message, and an agent that learns badly or seems to learn well. Some of these
# faults show in the figures above. Others need a check-up: a few more figures, from what the memory
# holds. It draws no random numbers, so a run with it is the same run.
#
# | figure | what it is |
# |---|---|
# | `check/spread` | how much the values differ from state to state (standard deviation) |
# | `check/lag` | how far the values of the network and of its slower copy are apart |
# | `check/q_at_end` | the value of the last actions of episodes: after those comes nothing (to look at; no rule below needs it) |
# | `memory/frames` | how many frames are remembered |
# | `memory/reward` | the mean reward of a remembered frame |
# | `memory/done`, `memory/terminated` | the share of remembered frames with these flags |


# %% id="06-checkup"
def checkup(run):
    memory = run.buffer[:]
    online, delayed = run.loss.value_network_params, run.loss.target_value_network_params
    believed = values(run, online, memory["observation"])
    figures = {
        "check/spread": believed.std(0).mean(),
        "check/lag": (believed - values(run, delayed, memory["observation"])).abs().mean(),
        "memory/frames": len(memory),
    }
    for entry in ("reward", "done", "terminated"):
        figures[f"memory/{entry}"] = memory["next", entry].float().mean()
    ends = memory["next", "done"].squeeze(-1)
    if ends.any():
        taken = believed.gather(-1, memory["action"].unsqueeze(-1))
        figures["check/q_at_end"] = taken[ends].mean()
    return figures


# %% tags=["look"]
for name, value in checkup(run).items():
    print(f"{name:20} {float(value):.3g}")

# %% [markdown]
# This is the judged run at its end. Its values differ from state to state, the slower copy lags a
# little, and all ends in its memory are falls. The last actions are believed to be worth little.
#
# We ran the loop of this lesson again with exactly one place of its code changed, in eight ways, and
# stored the curves, with the check-up after each batch. Two more figures come from a judge that is
# handed the agent *and* its exploration module. A sound judge switches exploration off
# (`DETERMINISTIC`), so that nothing is drawn; a wrong one lets it play. They are `eval/reward`, and
# `eval/off_greedy`, the share of its actions that are not those the agent thinks best. (A
# **dead ReLU** gives 0 in every state, and lets no gradient back that could change it.)
#
# | what we changed | in the code |
# |---|---|
# | learning rate too high | 1.0 for 0.0005 |
# | no target network | the slower copy follows after every update |
# | falls stored as done, not as terminated | `terminated` is overwritten by `truncated` |
# | dead ReLUs | the first layer's biases start at -20 |
# | epsilon stuck | the line `run.egreedy.step(...)` is missing |
# | rewards scaled up | stored times 100 |
# | evaluation explores | the judge's exploration type is `RANDOM` |
# | memory of one batch | room for 256 frames, not 50,000 |
#
# Each run below has one of these faults; one has none. Which has which? With $\gamma = 0.95$ and a
# reward of 1 a step, no discounted return can pass $1 / (1 - 0.95) = 20$: the dashed line.

# %% tags=["look"]
from course_utils import FaultLab, load_results

stored = load_results("06_sabotaged")["runs"]["sabotaged"]
FaultLab(stored)

# %% [markdown]
# Notice how little the returns say. Some sick runs end with a high greedy return and would pass for
# healthy; and several that never get off the ground look alike there. What tells them apart is a rule
# that every sound loop obeys: a bound that no value passes, two figures that are equal, or one that
# moves.
#
# ### Exercise 6.6: build it: a doctor for training runs  (15 min)
# Write the doctor down, so that it can look at every run of yours: `diagnose(curves)` gets the curves
# of one run, a dictionary of tensors, each of shape `[points]` and without gaps, and returns one of
# the names in `stored`: `"nothing is wrong"` or a fault. (Curves differ in length, since losses begin
# only when learning does: compare first, last or largest points, not point by point. And this
# `diagnose` has nothing to do with lesson 00's, which looks at your machine.) Below, `known[name]`
# holds three runs of each. `check` hands over *other* runs, of seeds you have not seen, some of them
# ended early: a rule has to catch the fault, not the run.
#
# There are also `curves["frames"]`, the frames played at each batch, `curves["train/length"]`, and
# $\gamma$ as `curves["gamma"][0]`. Use as many cells as you like.
# <details><summary>Hint 1: how to begin</summary>Let the function return
# <code>"nothing is wrong"</code> and add one rule at a time, the surest first. After each, print
# what it says of all runs in <code>known</code>.</details>
# <details><summary>Hint 2: what a rule looks like</summary>Compare numbers of the same run with one
# another, rather than with numbers you read off a figure: what is remembered with what was played,
# the network with its slower copy, the first epsilon with the last.</details>
# <details><summary>Hint 3: two that look alike</summary>With a learning rate of 1 the weights are
# thrown so far in the first updates that no ReLU lets anything through any more. Both that run and
# the one with dead ReLUs end with a spread of 0. Their first points differ: see the loss. The loss
# is large with scaled rewards, too; so ask for those before.</details>
# <details><summary>Hint 4: which curve for which fault</summary>Rewards: <code>memory/reward</code>
# beside <code>train/return</code> over <code>train/length</code>. Learning rate: the largest
# <code>train/loss</code>, beside 20 squared. Dead ReLUs: <code>check/spread</code>. Target network:
# <code>check/lag</code>. Falls: <code>memory/terminated</code> beside <code>memory/done</code>.
# Epsilon: <code>train/epsilon</code>. Evaluation: <code>eval/off_greedy</code>. Memory:
# <code>memory/frames</code> beside <code>frames</code>.</details>


# %%
def without_gaps(log):
    return {
        name: torch.tensor([value for value in values if value is not None])
        for name, values in log.items()
    }


known = {
    name: [without_gaps(log) for log in list(logs.values())[:3]] for name, logs in stored.items()
}


# %% tags=["exercise"]
def diagnose(curves):
    # your code
    ...


check("6.6", diagnose)


# %% tags=["solution"]
def diagnose(curves):
    first, last = ({name: values[at].item() for name, values in curves.items()} for at in (0, -1))
    paid = last["train/return"] / last["train/length"]
    largest_return = paid / (1 - first["gamma"])
    if last["memory/reward"] > 2 * paid:
        return "rewards scaled up"
    if curves["train/loss"].max() > largest_return**2:
        return "learning rate too high"
    if curves["check/spread"].max() == 0:
        return "dead ReLUs"
    if curves["check/lag"].max() == 0:
        return "no target network"
    if last["memory/terminated"] < last["memory/done"]:
        return "falls stored as done, not as terminated"
    if first["train/epsilon"] == last["train/epsilon"]:
        return "epsilon stuck"
    if curves["eval/off_greedy"].max() > 0:
        return "evaluation explores"
    return "memory of one batch" if last["memory/frames"] < last["frames"] else "nothing is wrong"


check("6.6", diagnose)

# %% [markdown]
# Such a doctor knows eight illnesses, on one task, each in one strength: what it calls healthy may
# have a ninth. But these eight it finds in a second, and its questions are worth asking of every
# run. To let it see a run of your own, end `learn` in `| beliefs(run) | checkup(run)`.
#
# ## What you can do now
# You can log any loop with any logger, read logs back, judge an agent greedily while it trains, and
# film it. You log the figure you mean beside the one you train on, you look at an episode before
# you believe a curve, and you know which figures tell a sick run from a healthy one.
#
# **Try next:** train with `forward_speed` once more, with `GAMMA = 0.99` and 16,384
# frames. Predict the curve, and what the video will show.
#
# Go on with [{{next title}}]({{next file}}).
