# ---
# jupyter:
#   course:
#     title: "Tuning: search honestly, pay less"
#     objectives:
#       - see why the best of many trials can look better than it is, and judge it on fresh seeds
#       - search the settings of a DQN with Optuna, stop hopeless trials early, lose nothing
#       - read the plots of a study, and say what they cannot show
#       - weigh what a setting achieves against what it costs
#       - write a study of your own that keeps its budget and reports what is true
#     prerequisites: lessons 03, 05 and 07 (each part is recalled here in a sentence)
#     minutes: {reading: 69, exercises: 41, short: 31}
# ---

# %% [markdown]
# ## The best of thirty  (about 1 min to here)
#
# Thirty dice are thrown three times each. The best die has a mean of five and a third. You keep it:
# what will it show tomorrow?
#
# Tuning can go like that. Try many settings, keep the best, report its score; and part of that score may be
# luck, which you chose it *for*. That is the **winner's curse**. How strong is it when settings really differ? That
# depends on the search, and "Was it luck?" looks at ten real ones. This lesson tunes lesson
# 07's DQN, because it pays, with three habits that hold whether the curse is strong or weak:
#
# > **The rule.** A setting is judged on several seeds. The seeds of the search are used for choosing
# > and for nothing else. *Tuned beats default* only if, on **fresh seeds** and seed by seed, the mean
# > difference is more than two standard errors above zero (the word is explained below, on ten seeds).

# %% tags=["parameters"]
seed = 0

# %%
import torch
from course_utils import choose_device, seed_everything

device = choose_device()
seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more

# %% [markdown]
# First the dice. Suppose all settings are *equally good*: each scores 100 on average, and a single run
# is off by 60 or so, up or down. We try `settings` of them on three seeds each, and keep the best. Predict:
# what does the best of 30 claim, and what does it score on fresh seeds?

# %%
import numpy as np

dice = np.random.default_rng(seed)


def throw(settings, seeds, true=100.0, noise=60.0):
    return dice.normal(true, noise, (2_000, settings, seeds)).mean(2)  # 2,000 studies


# %% tags=["look"]
for settings in [1, 3, 10, 30, 100]:
    claim = throw(settings, seeds=3).max(1).mean()
    again = throw(1, seeds=3).mean()  # the winner is as good as any, so throw any
    print(f"the best of {settings:3} claims {claim:.0f}; on fresh seeds it scores {again:.0f}")

# %% [markdown]
# Nothing was found, for there was nothing to find. Yet the more is tried, the more is claimed: a longer
# search makes the claim *less* true. The cure costs little: throw the winner again.
#
# ## What is tuned, and how it is judged  (about 5 min to here)
#
# Lesson 07 let its agent play until it was good. Now there are **2,048 frames and no more**, about as
# many as lesson 13's runs of lesson 07's recipe needed in the median (some needed three times as
# many). Eight times on the way, every 256 frames, the agent is judged greedily; the judge's own
# frames are not counted. The *score* of a run is the mean of the eight: it asks for learning early
# *and* well, and says nothing of seconds, which depend on the machine.
#
# The parts are those of lesson 07's act two; to save time the network is half as wide and the copies are twice as many,
# and there is no warm-up. The first five settings will be tuned. They start as tutorials have them, our *first guess*;
# what lesson 07 found by hand is `by_hand`, and waits until the end. In place of $\gamma$ stands the *horizon*: rewards
# much further ahead than so many steps hardly count, $\gamma = 1 - 1 / \text{horizon}$.

# %%
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    learning_rate: float = 1e-3
    horizon: float = 100.0  # steps the agent looks ahead
    angle_scale: float = 1.0  # the pole angle is multiplied by this
    updates: int = 16  # updates after each batch
    eps_frames: int = 4_000  # exploration falls over so many frames, from 1 ...
    eps_end: float = 0.15  # ... to this
    envs: int = 32  # copies stepped side by side
    batch_frames: int = 256  # frames between two blocks of updates
    batch_size: int = 128  # transitions in one update
    width: int = 128  # units in each of the two hidden layers
    target_every: int = 32  # updates between two copies to the target network


default = Settings()
by_hand = Settings(5e-4, 20.0, 5.0, 32, 5_000)  # what lesson 07 found
LOOKS = 8  # a run is judged after each batch, and ends with the eighth

# %% [markdown]
# The environment is lesson 07's: many copies in one vector, a reward of -1 for falling and 0 otherwise.

# %%
import gymnasium as gym
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymWrapper


def make_envs(count, seed):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec(
        "CartPole-v1", count, "sync", vector_kwargs=autoreset, sutton_barto_reward=True
    )
    envs = GymWrapper(copies, categorical_action_encoding=True, device=device)
    envs.set_seed(seed)
    return envs


# %% [markdown]
# The judge is called hundreds of times, so it must be cheap. Gymnasium has a CartPole that computes all
# copies at once (`"vector_entry_point"`); TorchRL's wrapper does not take it, but a greedy judge needs a
# network and a loop, no more. As ever, only the first episode of each copy counts, in the unmodified task.


# %%
def judge(network, seed, episodes=64):
    envs = gym.make_vec("CartPole-v1", episodes, "vector_entry_point")
    observation, _ = envs.reset(seed=seed)
    returns, playing = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while playing.any():
        with torch.no_grad():
            values = network(torch.as_tensor(observation, device=device))
        observation, _, terminated, truncated, _ = envs.step(values.argmax(1).cpu().numpy())
        returns += playing
        playing &= ~(terminated | truncated)
    return returns.mean()


# %% [markdown]
# A run is built from a setting and a seed.

# %%
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Categorical
from torchrl.modules import MLP, EGreedyModule, QValueActor

actions = Categorical(2, device=device)


class Scale(torch.nn.Module):
    def __init__(self, angle_scale):
        super().__init__()
        self.register_buffer("factors", torch.tensor([1.0, 1.0, angle_scale, 1.0]))

    def forward(self, observation):
        return observation * self.factors


def make_network(setting):
    cells = [setting.width, setting.width]
    layers = MLP(in_features=4, out_features=2, num_cells=cells, activation_class=torch.nn.ReLU)
    return torch.nn.Sequential(Scale(setting.angle_scale), layers).to(device)


# %%
from types import SimpleNamespace

from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.objectives import DQNLoss, HardUpdate


# %%
def build(setting, seed):
    torch.manual_seed(seed)
    run = SimpleNamespace(setting=setting, seed=seed, frames=0, network=make_network(setting))
    agent = QValueActor(run.network, in_keys=["observation"], spec=actions)
    steps = max(1, round(setting.eps_frames / setting.batch_frames))  # one for each batch
    run.egreedy = EGreedyModule(actions, 1.0, setting.eps_end, annealing_num_steps=steps).to(device)
    storage = LazyTensorStorage(LOOKS * setting.batch_frames, device=device)
    sampled = setting.updates * setting.batch_size  # for a whole block
    run.buffer = TensorDictReplayBuffer(storage=storage, batch_size=sampled)
    run.loss = DQNLoss(agent, loss_function="l2", delay_value=True)
    run.loss.make_value_estimator(gamma=1 - 1 / setting.horizon)
    run.target = HardUpdate(run.loss, value_network_update_interval=setting.target_every)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), setting.learning_rate, fused=True)
    options = {"auto_register_policy_transforms": False, "track_traj_ids": False}
    options |= {
        "frames_per_batch": setting.batch_frames,
        "total_frames": LOOKS * setting.batch_frames,
    }
    explorer = TensorDictSequential(agent, run.egreedy)
    run.collector = Collector(make_envs(setting.envs, 100_000 * seed), explorer, **options)
    run.batches = iter(run.collector)
    return run


# %% [markdown]
# A run can be played in pieces. `advance` plays and learns to the next look. It sets the random state from seed
# and frame, so that a run comes out the same, whichever others are trained beside it.


# %%
def learn(run):
    for batch in run.buffer.sample().split(run.setting.batch_size):
        loss = run.loss(batch)["loss"]
        run.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.loss.parameters(), max_norm=10.0)
        run.optimiser.step()
        run.target.step()


def advance(run):
    torch.manual_seed(100_000 * run.seed + run.frames)
    batch = next(run.batches)
    run.frames += batch.numel()
    run.buffer.extend(batch.reshape(-1))
    run.egreedy.step()
    learn(run)
    return judge(run.network, seed=500_000_000 + run.seed)


# %% [markdown]
# One setting, several seeds, side by side. `looks` hands out after each batch how good all of them are, so
# that somebody can say *enough* on the way. A run's score is the mean of its looks.


# %%
def looks(setting, seeds):
    runs = [build(setting, seed) for seed in seeds]
    for _ in range(LOOKS):
        yield [advance(run) for run in runs]
    for run in runs:
        run.collector.shutdown()


def scores(setting, seeds):
    return np.mean(list(looks(setting, seeds)), 0)


# %% [markdown]
# ## One setting, ten seeds  (about 15 min to here)
#
# Here is the first guess, ten times. Only the seed differs: first weights, start positions, random actions. These
# ten are the **fresh seeds** of this lesson. The search will never see them; it has three of its own.

# %%
search_seeds = [1_000 * seed + number for number in range(3)]
fresh_seeds = [1_000 * seed + 500 + number for number in range(10)]

# %% id="14-ten-seeds" tags=["look"]
curves = np.array(list(looks(default, fresh_seeds)))  # [looks, seeds]
default_scores = curves.mean(0)
noise = default_scores.std(ddof=1)

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=[2, 1])
left.plot(256 * np.arange(1, LOOKS + 1), curves, color="grey")
left.set(xlabel="frames", ylabel="greedy return")
right.scatter(np.zeros(10), default_scores, alpha=0.6)
right.scatter([0], [default_scores.mean()], marker="_", s=900, color="black")
right.set(xticks=[], ylabel="score", xlim=(-1, 1), ylim=(0, None))
show_figure(
    figure,
    f"One setting, ten seeds: scores from {default_scores.min():.0f} to {default_scores.max():.0f}, "
    f"mean {default_scores.mean():.0f} (the bar), standard deviation {noise:.0f}.",
)

# %% tags=["look"]
for count in [1, 3, 10]:
    print(f"the mean of {count:2} seeds is off by about {noise / count**0.5:.0f}, up or down")

# %% [markdown]
# Which of these dots is *the* score of the setting? Somebody with one seed holds one of them and does not know
# which. A mean of $n$ seeds is off by about the standard deviation divided by $\sqrt n$: its **standard error**.
#
# To compare two settings, run both on the same seeds and look at the *differences*, one per seed. If a seed's
# start is hard for both, that falls out.
#
# ### Exercise 14.1: is it more than noise?  (4 min)
# Write `in_standard_errors(tuned, default)`: two lists of scores, seed by seed. Return by how many standard errors
# the mean difference (tuned minus default) is above zero: the mean of the differences, divided by their standard
# deviation (with $n - 1$, as `torch.std` has it) over $\sqrt n$.
# <details><summary>Hint</summary>First make one tensor of the differences; everything else is about that
# tensor.</details>

# %% tags=["exercise"]
from course_utils import check


def in_standard_errors(tuned, default):
    # your code
    ...


check("14.1", in_standard_errors)


# %% tags=["solution"]
def in_standard_errors(tuned, default):
    difference = torch.tensor(tuned) - torch.tensor(default)
    return difference.mean() / (difference.std() / len(difference) ** 0.5)


check("14.1", in_standard_errors)

# %% [markdown]
# More than 2 of them, and luck alone is a poor explanation (with ten seeds it gets there about once in 25 times). That
# is the rule of this lesson.
#
# ## Where to look  (about 25 min to here)
#
# A search needs ranges. For a learning rate the question is not "0.0051 or 0.0052?" but "a tenth or ten times as
# much?": what counts is the *factor*. So settings like these are drawn evenly on a **log scale**.

# %% tags=["look"]
shares = np.random.default_rng(seed).random(10_000)
linear, logarithmic = 1e-4 + shares * (1e-2 - 1e-4), 1e-4 * 100**shares
for name, drawn in {"evenly": linear, "evenly on a log scale": logarithmic}.items():
    print(f"{name}: {(drawn < 1e-3).mean():.0%} of the learning rates are below 0.001")

# %% [markdown]
# Drawn evenly, the whole lower half of the range (in factors) is hardly visited.
#
# ### Exercise 14.2: evenly on a log scale  (3 min)
# Write `on_log_scale(share, low, high)`: `share` is a number from 0 to 1. Return `low` at 0, `high` at 1, and in
# between such that equal steps of `share` are equal *factors*.
# <details><summary>Hint</summary>The whole way is the factor <code>high / low</code>. Half of the way is its square
# root.</details>


# %% tags=["exercise"]
def on_log_scale(share, low, high):
    # your code
    ...


check("14.2", on_log_scale)


# %% tags=["solution"]
def on_log_scale(share, low, high):
    return low * (high / low) ** share


check("14.2", on_log_scale)

# %% [markdown]
# Our ranges, all on a log scale, and what a search may spend: it pays for about 16 settings on three seeds each.

# %%
ranges = {  # whole numbers stay whole
    "learning_rate": (1e-4, 1e-2),
    "horizon": (5.0, 200.0),
    "angle_scale": (1.0, 20.0),
    "updates": (8, 64),
    "eps_frames": (300, 6_000),
}
budget = 100_000  # frames that a search may play


# %%
def draw_setting(source):
    values = {}
    for name, (low, high) in ranges.items():
        value = low * (high / low) ** source.random()
        values[name] = round(value) if isinstance(low, int) else value
    return Settings(**values)


# %% [markdown]
# ## Stop what will not win  (about 32 min to here) (deeper)
#
# A **trial** is one setting on the three search seeds, side by side. After each look `attempt` asks somebody whether
# that was `enough`, and gives back the means so far (one number per look: all seeds, all looks up to it), the frames
# played, and the processor's seconds. Those who are let through to the end have `finished`.

# %%
import time


def attempt(setting, enough):
    tried = SimpleNamespace(setting=setting, means=[])
    start, seen = time.process_time(), []
    for returns in looks(setting, search_seeds):
        seen.append(returns)
        tried.means.append(float(np.mean(seen)))
        if enough(tried.means):
            break
    tried.frames = len(seen) * len(search_seeds) * setting.batch_frames
    tried.seconds = time.process_time() - start
    return tried


def finished(trials):
    return [tried for tried in trials if len(tried.means) == LOOKS]


# %% [markdown]
# Who says *enough*? Most trials can be told apart from the best long before the end, and each one that is stopped
# (*pruned*) pays for a part of another. The simplest rule that works: stop a trial whose mean so far is below the
# median of what the finished ones had at the same look. Two provisos: not before the third look, when most have
# hardly begun to learn, and not before four trials have finished.
#
# ### Exercise 14.3: the median rule  (5 min)
# Write `hopeless(means, look, finished)`: `means` holds the means so far of several trials after `look` looks (counted
# from 1), `finished` has one row per finished trial, column 0 for the first look. Return a boolean tensor, True where a
# trial shall stop: below their median at this look. Nobody stops while there are fewer than four rows. (The other
# proviso, the third look, is not asked for here.)
# <details><summary>Hint</summary>Looks count from 1, columns from 0. <code>quantile(0.5)</code> is the median. For
# nobody: <code>torch.zeros_like(means, dtype=bool)</code>.</details>


# %% tags=["exercise"]
def hopeless(means, look, finished):
    # your code
    ...


check("14.3", hopeless)


# %% tags=["solution"]
def hopeless(means, look, finished):
    if len(finished) < 4:
        return torch.zeros_like(means, dtype=torch.bool)
    return means < finished[:, look - 1].quantile(0.5)


check("14.3", hopeless)

# %% [markdown]
# With it, a whole tuner is a dozen lines: draw at random, start with what we have, stop what falls behind.


# %%
def below_median(means, trials):
    others = [tried.means[len(means) - 1] for tried in finished(trials)]
    return len(means) >= 3 and len(others) >= 4 and means[-1] < np.median(others)


def random_search(frames, source, prune=True, watch=None):
    trials = []
    while sum(tried.frames for tried in trials) < frames:
        setting = draw_setting(source) if trials else default
        trials.append(attempt(setting, lambda means: prune and below_median(means, trials)))
        if watch:
            watch(trials)
    return trials


# %% [markdown]
# **Successive halving** does the same in rounds: all trials get a little, the better half gets twice as much, and so
# on; its asynchronous form, ASHA (Li et al., 2020), lets many workers do so without waiting for one another.
#
# ## Optuna  (about 41 min to here) (deeper)
#
# Random search forgets what it saw. **Optuna** is a library that remembers: its sampler **TPE** (tree-structured Parzen
# estimator, Bergstra et al., 2011) keeps two piles, the settings that did well and the rest, and draws next where the
# first pile is dense and the second is not. "Did well" means the best tenth: one to three of our trials. Optuna is
# an optional part of this course. Is it here?

# %%
from course_utils import ask_for_extra

has_optuna = ask_for_extra(
    "tuning", "our own random search takes its place, and Optuna's plots are left out"
)
if has_optuna:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


# %% [markdown]
# Optuna calls an `objective` with a `trial`. The trial *suggests* a value for each name, takes *reports* on the way,
# and says whether it *should prune*; the objective returns the score, or raises `TrialPruned`. It is written here for
# our `attempt`.


# %%
def suggest(trial):
    values = {}
    for name, (low, high) in ranges.items():
        ask = trial.suggest_int if isinstance(low, int) else trial.suggest_float
        values[name] = ask(name, low, high, log=True)
    return Settings(**values)


def objective(trial):
    def enough(means):
        trial.report(means[-1], step=len(means))
        return len(means) < LOOKS and trial.should_prune()

    tried = attempt(suggest(trial), enough)
    trial.set_user_attr("frames", tried.frames)
    trial.set_user_attr("seconds", tried.seconds)
    if len(tried.means) < LOOKS:
        raise optuna.TrialPruned
    return tried.means[-1]


# %% [markdown]
# A `study` is all trials and where they are kept. With a `storage` they are kept in a file, too, and `load_if_exists`
# goes on with a study that is there. `MedianPruner` is our rule, ready-made (it compares the best of a trial's reports).
# The first trial is the first guess: a search should not end below its start. The next seven are drawn at random
# (`n_startup_trials=8`, in `search`): two piles need something to sort.


# %%
def open_study(name, storage=None):
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3)
    study = optuna.create_study(
        storage=storage, study_name=name, pruner=pruner, direction="maximize", load_if_exists=True
    )
    if not study.trials:
        study.enqueue_trial({name: getattr(default, name) for name in ranges})
    return study


# %%
def tried_in(study):
    trials = []
    for trial in study.trials:
        if "frames" in trial.user_attrs:  # left out: a trial that was interrupted
            means = list(trial.intermediate_values.values())
            facts = {"setting": Settings(**trial.params), "means": means, **trial.user_attrs}
            trials.append(SimpleNamespace(**facts))
    return trials


# %% id="14-search"
def search(study, frames, watch=None):
    while sum(tried.frames for tried in tried_in(study)) < frames:
        # After a restart, a sampler with the same seed would draw again what it drew before.
        draws = 1_000 * seed + len(study.trials)
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=8, seed=draws)
        study.optimize(objective, n_trials=1)
        if watch:
            watch(tried_in(study))
    return tried_in(study)


# %% [markdown]
# ## A study, interrupted  (about 46 min to here) (deeper)
#
# We spend a third of the budget, and then do as if the kernel had died: `study` is gone, the file is
# not. (It is a journal: Optuna appends a line for everything that happens.) In the figure each corner
# of a line is a trial: to the right, the frames spent so far; upwards, its mean when it finished or
# was stopped.

# %%
from datetime import datetime
from pathlib import Path

study_name = f"{datetime.now():%Y-%m-%d %H:%M:%S}"


def study_file(path="runs/14_studies.log"):
    Path(path).parent.mkdir(exist_ok=True)
    lock = optuna.storages.journal.JournalFileOpenLock(path)  # one that Windows has, too
    backend = optuna.storages.journal.JournalFileBackend(path, lock)
    return optuna.storages.JournalStorage(backend)


def watch_in(live):
    def watch(trials):
        frames = sum(tried.frames for tried in trials)
        kind = "finished" if trials[-1] in finished(trials) else "stopped"
        best = max(tried.means[-1] for tried in finished(trials))
        live.add(frames, **{kind: trials[-1].means[-1], "best so far": best})

    return watch


# %% id="14-first-leg" tags=["look"]
from course_utils import LivePlot

if has_optuna:
    study = open_study(study_name, study_file())
    with LivePlot(y_label="score") as live:
        search(study, budget // 3, watch_in(live))
    del study

# %% id="14-second-leg" tags=["look"]
with LivePlot(y_label="score") as live:
    if has_optuna:
        study = open_study(study_name, study_file())
        print(f"The file knows {len(study.trials)} trials. On we go.")
        trials = search(study, budget, watch_in(live))
    else:
        trials = random_search(budget, np.random.default_rng(seed), watch=watch_in(live))

# %% tags=["look"]
whole = LOOKS * 256 * len(search_seeds)
frames = sum(tried.frames for tried in trials)
print(f"{len(trials)} trials, {len(finished(trials))} of them finished, for {frames:,} frames.")
print(f"Without stopping early they would have taken {len(trials) * whole:,}.")

# %% [markdown]
# The second leg begins where the first ended. A trial that was under way at that moment would be lost,
# and only that one. Two traps when you go on: the file knows settings and scores but not your *code*, so a changed recipe
# needs a new name; and a sampler that starts again from the same seed repeats its draws (see the comment in `search`).
# After a restart of the kernel, `optuna.get_all_study_names(study_file())` tells the names.
#
# ## What the plots say  (about 50 min to here) (deeper)
#
# Optuna brings plots that are drawn from a study alone, in matplotlib (`optuna.visualization.matplotlib`).

# %%
import warnings


def dashboard(plot, alt, **options):
    if not has_optuna:
        return "Optuna is not installed, so this plot is left out."
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        panels = getattr(optuna.visualization.matplotlib, f"plot_{plot}")(study, **options)
        figure = np.ravel(panels)[0].figure
        for panel in np.ravel(panels):
            panel.legend([]).remove()  # it would have a line for each trial
            panel.xaxis.set_minor_formatter("")  # on a log axis these labels overlap
            if panel.get_xscale() == "log":
                low, high = panel.get_xlim()
                fine = (1, 3) if high < 50 * low else (1,)  # some ranges hold no power of ten
                panel.xaxis.set_major_locator(plt.matplotlib.ticker.LogLocator(subs=fine))
                panel.xaxis.set_major_formatter("{x:g}")
        figure.set_size_inches(10 if np.size(panels) > 1 else 8, 3.2)
        return show_figure(figure, alt)


# %% tags=["look"]
best = max(finished(trials), key=lambda tried: tried.means[-1])
claim = best.means[-1]
dashboard(
    "intermediate_values", f"Mean score by look, a line per trial; the best ends at {claim:.0f}."
)

# %% [markdown]
# Each line is a trial; the short ones were stopped. Optuna's *step* is our look, its *value* our mean so far; colours
# mean nothing. Do lines cross after the third look? There a trial came from behind, and a rule like ours might have
# stopped it: pruning pays for more trials with mistakes.

# %% tags=["look"]
names = list(ranges)
known = np.array([[getattr(tried.setting, name) for name in names] for tried in finished(trials)])
reached = np.array([tried.means[-1] for tried in finished(trials)])
slopes = [np.corrcoef(np.log(column), reached)[0, 1] for column in known.T]
facts = ", ".join(f"{name} {slope:+.1f}" for name, slope in zip(names, slopes, strict=True))
alt = f"Score of finished trials against each setting. Correlations: {facts}."
dashboard("slice", alt, target_name="score")

# %% [markdown]
# One panel per setting, on a log scale; one dot per finished trial, and the pale ones came first. Where do the late ones
# crowd? There the sampler thinks the good settings are. A dot's height is the mean of three seeds, so it may be off by
# what you saw above.
#
# Which setting matters most? Optuna puts a number on it. PED-ANOVA asks how differently two groups are spread over each
# range: all finished trials, and the best tenth of them. Of ours that tenth is one or two! So before you believe its
# bar chart, ask five other studies of the same recipe, with other seeds, stored with the course
# (<code>make bench ARGS='--groups tuning'</code> makes them anew):

# %% tags=["look"]
from course_utils import load_results

measured = load_results("14_tuning")["runs"]["tuning"]
asked = [run["importances"] for run in measured["TPE and pruning"].values()]
if has_optuna:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    ours = optuna.importance.get_param_importances(study, evaluator=evaluator)
figure, axes = plt.subplots()
for place, name in enumerate(names):
    axes.scatter([place] * len(asked), [found[name] for found in asked], alpha=0.6, color="C0")
    if has_optuna:
        axes.scatter([place], [ours[name]], marker="*", s=150, color="C1")
axes.set(xticks=range(len(names)), xticklabels=names, ylabel="importance", ylim=(0, 1))
axes.set_xlim(-0.5, len(names) - 0.5)
facts = [
    f"{name} {min(a[name] for a in asked):.2f} to {max(a[name] for a in asked):.2f}"
    for name in names
]
show_figure(
    figure,
    f"Importance in {len(asked)} stored studies: {'; '.join(facts)}.{' A star: this one.' if has_optuna else ''}",
)

# %% tags=["look"]
searches = ["TPE and pruning", "random search"]
won = [run["setting"]["updates"] for arm in searches for run in measured[arm].values()]
print(f"updates of the {len(won)} stored winners: {min(won):.0f} to {max(won):.0f}, of 8 to 64")

# %% [markdown]
# A dot is a study, the star (if Optuna is here) is ours. The dots of one setting are far apart: the
# studies do not even agree which comes first. And `updates` gets little in most, though no winner
# does with few. If the sampler soon tries only good values of a setting, good and bad trials hardly
# differ in it, and the chart gives it little. Take such a chart as a hint where to look, never as a
# finding. (More plots to try in `dashboard`: `"optimization_history"`, `"timeline"`.)
#
# ## The exam: fresh seeds  (about 56 min to here) (deeper)
#
# The study has a winner and a claim. Predict before you run: what will the winner score on the ten fresh seeds, and will
# it pass the rule against the first guess?

# %% tags=["look"]
print("first guess:", {name: getattr(default, name) for name in names})
print("winner:     ", {name: round(getattr(best.setting, name), 4) for name in names})
print(f"On the search seeds it claims {claim:.0f}, the first guess {trials[0].means[-1]:.0f}.")

# %% id="14-exam" tags=["look"]
tuned_scores = scores(best.setting, fresh_seeds)
difference = tuned_scores - default_scores
error = difference.std(ddof=1) / len(difference) ** 0.5
verdict = "beats" if difference.mean() > 2 * error else "is not shown to beat"
print(f"claimed {claim:.0f}; on fresh seeds {tuned_scores.mean():.0f}")
print(f"first guess {default_scores.mean():.0f}; difference {difference.mean():.0f} ± {error:.0f}")
print(f"Tuned {verdict} the first guess.")

# %% tags=["look"]
figure, axes = plt.subplots()
columns = {
    "finished trials": reached,
    "winner, fresh": tuned_scores,
    "first guess, fresh": default_scores,
}
for place, values in enumerate(columns.values()):
    axes.scatter([place] * len(values), values, alpha=0.6)
    axes.scatter([place], [values.mean()], marker="_", s=900, color="black")
axes.scatter([0], [claim], marker="*", s=150, color="black")
axes.set(
    xticks=range(3), xticklabels=list(columns), ylabel="score", ylim=(0, None), xlim=(-0.5, 2.5)
)
show_figure(
    figure,
    f"The claim, a star, {claim:.0f}; the winner's ten fresh seeds, mean {tuned_scores.mean():.0f}; the first "
    f"guess on the same seeds, mean {default_scores.mean():.0f}.",
)

# %% [markdown]
# The star is what would have stood in a report. The second column is what the setting is worth; report that one, with its
# number of seeds. (And once you go back and choose another setting *because* of the second column, these seeds are no longer
# fresh.)
#
# ### Exercise 14.4: claim and truth  (4 min)
# Write `claim_and_truth(search, fresh)`: both have shape `[settings, seeds]`. The winner is the setting with the largest
# mean in `search`. Return two numbers: what it claims there, and its mean in `fresh`.
# <details><summary>Hint</summary>Choose with one, judge with the other, as in double DQN (lesson 07). You need
# <code>argmax</code> once, on <code>search.mean(1)</code>.</details>


# %% tags=["exercise"]
def claim_and_truth(search, fresh):
    # your code
    ...


check("14.4", claim_and_truth)


# %% tags=["solution"]
def claim_and_truth(search, fresh):
    winner = search.mean(1).argmax()
    return search[winner].mean(), fresh[winner].mean()


check("14.4", claim_and_truth)

# %% [markdown]
# ## Many settings, or many seeds?  (about 63 min to here) (deeper)
#
# A fixed number of runs can be spent on many settings with one seed each, or on few settings with many. The dice know.
# This time settings differ: their true scores scatter by 70, and a single run by the noise of our winner. 60 runs in all.

# %% tags=["look"]
noise = tuned_scores.std(ddof=1)
claimed, true = {}, {}
for seeds in [1, 2, 3, 5, 10, 20]:
    worth = dice.normal(150, 70, (4_000, 60 // seeds))
    seen = worth + dice.normal(0, noise / seeds**0.5, worth.shape)
    winner = seen.argmax(1)[:, None]
    claimed[seeds] = np.take_along_axis(seen, winner, 1).mean()
    true[seeds] = np.take_along_axis(worth, winner, 1).mean()

# %% tags=["look"]
figure, axes = plt.subplots()
axes.plot(list(claimed), list(claimed.values()), marker="o", label="what the winner claims")
axes.plot(list(true), list(true.values()), marker="o", label="what it is worth")
axes.set(xlabel="seeds per setting", ylabel="score", xscale="log", xticks=list(true))
axes.xaxis.set_major_formatter("{x:g}")
axes.xaxis.set_minor_formatter("")
figure.legend(loc="outside right upper")
top = max(true, key=true.get)
show_figure(
    figure,
    f"60 runs in all. Worth most with {top} seeds per setting, {true[top]:.0f}; the claim falls from "
    f"{claimed[1]:.0f} with one seed to {claimed[20]:.0f} with twenty.",
)

# %% [markdown]
# Two questions, two answers. To *find* a good setting, few seeds and many settings do well: with twenty seeds each there
# are only three settings to choose from. To *know* what was found, no small number of seeds will do: the claim comes down
# to the truth only where many seeds stand behind it. So search with few, and examine the winner, or the best three, with many.
#
# ## What does it cost?  (about 67 min to here) (deeper)
#
# Our score knows nothing of seconds. But `updates` costs them: eight times the updates are not free. Each finished trial
# has a score and a cost. A trial is on the **Pareto front** if no other one is at least as good in both and better in one:
# there is no reason ever to use the rest.
#
# ### Exercise 14.5: the Pareto front  (5 min)
# Write `on_front(score, cost)`: two tensors of the same length. Return a boolean tensor: True where no other entry has a
# score at least as large *and* a cost at least as small, with one of the two strictly better.
# <details><summary>Hint</summary>Compare all with all: <code>score[:, None] &lt;= score</code> is a square table, row by
# row "who is at least as good as this one". Who beats it? <code>.any(1)</code>.</details>


# %% tags=["exercise"]
def on_front(score, cost):
    # your code
    ...


check("14.5", on_front)


# %% tags=["solution"]
def on_front(score, cost):
    no_worse = (score[:, None] <= score) & (cost[:, None] >= cost)
    better = (score[:, None] < score) | (cost[:, None] > cost)
    return ~(no_worse & better).any(1)


check("14.5", on_front)

# %% [markdown]
# ## A search that knows the cost  (about 74 min to here) (deeper)
#
# You lose nothing that is needed later if you pass over this section. Its cells are the densest of the lesson, and their one
# proposal often misses.
#
# **CARBS** (cost-aware Pareto-region Bayesian search, Fetterman et al., 2023) is a search that knows of cost. It does not
# look for *the* best setting but for the whole front, from cheap to expensive. Two models learn from the trials what a
# setting will score and what it will cost, and how sure that is (*Gaussian processes*). New settings are drawn close to those
# on the front, and the one goes next that promises most *above the front at its own cost*. So spending more is no merit.
# The front then tells what the next point of score costs.
# Its package could not be installed where this course was made; but one step of the idea fits into three cells.


# %%
def place_of(setting):  # every range becomes 0 to 1
    return [
        np.log(getattr(setting, name) / low) / np.log(high / low)
        for name, (low, high) in ranges.items()
    ]


def guess(known, values, asked, doubt):
    """A Gaussian process: mean and standard deviation of `values` at `asked`."""

    def alike(some, others):
        distance = ((some[:, None] - others) ** 2).sum(2)
        return np.exp(-distance / (2 * 0.6**2))

    level, scale = values.mean(), values.std()
    table = alike(known, known) + (doubt / scale) ** 2 * np.eye(len(known))
    near = np.linalg.solve(table, alike(known, asked)).T  # how much each trial counts
    unsure = 1 - (near * alike(asked, known)).sum(1)
    return level + near @ (values - level), scale * np.sqrt(np.maximum(unsure, 0))


# %% [markdown]
# A guess is a weighted mean of the trials, near ones counting most, and it is the less sure the farther all of them are.
# `doubt` is how far a known score may be off: the noise of three seeds. `promise` adds to the guess how unsure it is:
# what nobody has tried may be good.


# %%
def front_at(costs, score, cost):
    """The best score that was had for at most so many seconds."""
    affordable = cost[None] <= costs[:, None] * 1.001
    return np.where(affordable, score, score[cost.argmin()]).max(1)


def propose(trials, source):
    place = np.array([place_of(tried.setting) for tried in trials])
    score = np.array([tried.means[-1] for tried in trials])
    cost = np.array([tried.seconds for tried in trials])
    parents = place[score >= front_at(cost, score, cost)]
    born = parents[source.integers(len(parents), size=500)] + source.normal(0, 0.15, (500, 5))
    born = born.clip(0, 1)
    mean, unsure = guess(place, score, born, doubt=noise / len(search_seeds) ** 0.5)
    seconds = np.exp(guess(place, np.log(cost), born, doubt=0.1)[0])
    promise = mean + unsure - front_at(seconds, score, cost)
    return born[promise.argmax()], mean[promise.argmax()], seconds[promise.argmax()]


# %% id="14-proposal" tags=["look"]
place, expected, price = propose(finished(trials), np.random.default_rng(seed))
values = {}
for share, (name, (low, high)) in zip(place, ranges.items(), strict=True):
    value = float(low * (high / low) ** share)
    values[name] = round(value) if isinstance(low, int) else value
proposed = attempt(Settings(**values), lambda means: False)

# %% tags=["look"]
cost = np.array([tried.seconds for tried in finished(trials)])
front = reached >= front_at(cost, reached, cost)
order = cost[front].argsort()
figure, axes = plt.subplots()
axes.scatter(cost, reached, label="finished trials")
axes.step(cost[front][order], reached[front][order], where="post", color="C0", label="the front")
axes.scatter(
    [price], [expected], marker="o", facecolors="none", edgecolors="C1", s=120, label="expected"
)
axes.scatter(
    [proposed.seconds], [proposed.means[-1]], marker="*", s=150, color="C1", label="came out"
)
axes.set(xlabel="processor's seconds of a trial", ylabel="score", ylim=(0, None))
figure.legend(loc="outside right upper")
show_figure(
    figure,
    f"{front.sum()} of {len(front)} trials are on the front. Proposed: expected {expected:.0f} for {price:.1f} s, "
    f"came out {proposed.means[-1]:.0f} for {proposed.seconds:.1f} s.",
)

# %% [markdown]
# How far is the star from the ring? (Seconds differ from run to run, and with them the proposal.) The price is the easier
# guess, since updates are what is paid for. For the score the model knew some ten trials in five dimensions, and the ring
# was chosen among 500 guesses *because* it promised most: the winner's curse again. Every corner of the front suffers from
# it, too. CARBS reckons with it: its front is a smooth curve that no single trial can lift far.
#
# ## Was it luck?  (about 79 min to here)
#
# One study is one draw. Here are five, each with search seeds and fresh seeds of its own, by both ways of searching, with the
# same budget. Random search ran without pruning; TPE as above. Beside them the first guess, and what lesson 07 found
# by hand: it took a person about 130 settings, with another aim (to solve the task, reliably and in few seconds).

# %% tags=["look"]
from course_utils import load_results

measured = load_results("14_tuning")["runs"]["tuning"]
searches = ["TPE and pruning", "random search"]
figure, axes = plt.subplots(figsize=(8, 3.2))
facts = []
for place, (arm, runs) in enumerate(measured.items()):
    means = [np.mean(run["fresh"]) for run in runs.values()]
    dots = axes.scatter([place + 0.12] * len(means), means, color="C0")
    facts.append(f"{arm} {np.mean(means):.0f}")
    if arm in searches:  # the others claim nothing
        claims = [run["claimed"] for run in runs.values()]
        stars = axes.scatter([place - 0.12] * len(claims), claims, marker="*", color="C1")
        axes.plot([place - 0.12, place + 0.12], [claims, means], color="grey", alpha=0.5)
axes.set(xticks=range(len(measured)), xticklabels=list(measured), ylabel="score", ylim=(0, None))
axes.set_xlim(-0.5, len(measured) - 0.5)
figure.legend([stars, dots], ["claimed", "fresh seeds"], loc="outside right upper")
show_figure(figure, f"Mean score on fresh seeds: {', '.join(facts)}.")


# %% tags=["look"]
def over_studies(differences):
    error = np.std(differences, ddof=1) / len(differences) ** 0.5
    return f"{np.mean(differences):+.0f} ± {error:.0f}, {len(differences)} studies"


worth = {
    arm: np.array([np.mean(run["fresh"]) for run in runs.values()])
    for arm, runs in measured.items()
}
for other in ["first guess", "by hand", "random search"]:
    print(f"TPE and pruning minus {other}: {over_studies(worth['TPE and pruning'] - worth[other])}")
for arm in searches:
    claims = [run["claimed"] for run in measured[arm].values()]
    count = np.mean([run["trials"] for run in measured[arm].values()])
    print(f"{arm}, {count:.0f} trials: claim minus worth {over_studies(claims - worth[arm])}")

# %% [markdown]
# A grey line leads from a winner's claim to what it is worth. One that falls claimed too much; one that rises had bad luck
# during the search. The curse is about the average, and in the two last lines above the average is less than two standard
# errors from zero: **these ten studies do not show it**. Most of their claims were too large, but some were far too small.
#
# Why are dice so different? Their settings had nothing but luck to be chosen for. These differ: the winners are worth more
# than twice as much as the first guess, in the mean, and beside that the luck of three seeds is small. Nobody knows beforehand
# which of the two a search will be like, and the seeds that chose the winner cannot tell. Fresh ones can. That, and not that
# every claim is false, is why they are asked.
#
# Every winner leaves the first guess behind: tuning paid. For the rest, look at the lines above before you speak: is TPE
# better than random search, or than a person with 130 settings? What is not above two standard errors is not shown by five
# studies, whatever the mean says. (Nor would it tell whether the sampler helped or stopping early, which paid for more
# trials for the same frames.)
#
# ## A study of your own  (about 85 min to here) (deeper)
#
# ### Exercise 14.6: build it: a study  (20 min)
# Now a whole study, by you: a search that spends a budget, stops what will not win, and says something true at its end.
# Write `study(looks, ranges, search_seeds, fresh_seeds, budget)`.
#
# - `ranges` is as above, a dict of `(low, high)` by name. A *setting* is a dict with a number for each name. Draw each
#   evenly on a log scale.
# - `looks(setting, seeds)` trains the setting on these seeds, side by side. It is a generator, as in this lesson: after each
#   of eight looks it hands out a list of returns, one for each seed. **A look costs as much as it has seeds.** Leave the
#   loop, and no more is paid. All looks together, those of the exam too, may cost `budget`, and no more. Spend it: with
#   1,200 looks and three search seeds the check expects at least 24 different settings.
# - A score is the mean over looks and seeds. Choose the winner by its score on all `search_seeds`, among the settings that
#   went to the eighth look. Stop others earlier: those that fall behind. One setting in four, at least.
# - `fresh_seeds` are for the winner alone, when nothing is left to choose. Return two things: the winner, and its score on
#   *all* the fresh seeds.
#
# In the check a training costs nothing, so it is quick: the returns come from a formula, with noise. First try yours on one
# like it:


# %%
def easy_looks(setting, seeds):
    away = np.log(setting["learning_rate"] / 3e-4) ** 2 + np.log(setting["horizon"] / 20) ** 2
    worth = 300 * np.exp(-away / 20)
    for look in range(1, LOOKS + 1):
        luck = [
            np.random.default_rng([seed, look, round(1e6 * worth)]).normal(0, 40) for seed in seeds
        ]
        yield [worth * (1 - np.exp(-look / 2)) + each for each in luck]


easy_ranges = {"learning_rate": (1e-5, 1e-1), "horizon": (5.0, 500.0)}
np.round(list(easy_looks({"learning_rate": 1e-3, "horizon": 50.0}, search_seeds)))

# %% [markdown]
# Rows are looks, columns are seeds. Then `study(easy_looks, easy_ranges, search_seeds, fresh_seeds, 1_200)` is a first run.
#
# <details><summary>Hint 1: draw</summary>Exercise 14.2, with <code>random.random()</code> for <code>share</code>.</details>
# <details><summary>Hint 2: one trial</summary>A <code>for</code> loop over <code>looks(setting, search_seeds)</code>: add the
# returns to a list, their number to what is spent, and keep the mean of all returns so far. <code>break</code> where
# that is hopeless.</details>
# <details><summary>Hint 3: who is hopeless?</summary>Exercise 14.3: below the median that those who finished had at this
# look, once four have finished.</details>
# <details><summary>Hint 4: when to end</summary>The exam costs <code>8 * len(fresh_seeds)</code>, a whole trial
# <code>8 * len(search_seeds)</code>. Begin a trial only if both can still be paid.</details>


# %% tags=["exercise"]
def study(looks, ranges, search_seeds, fresh_seeds, budget):
    # your code
    ...


check("14.6", study)

# %% tags=["solution"]
import random
from statistics import mean, median


def draw_one(ranges):
    return {name: low * (high / low) ** random.random() for name, (low, high) in ranges.items()}


def try_one(looks, setting, seeds, finished):
    """The means so far, one a look; fewer than eight where the setting was stopped."""
    means, returns = [], []
    for seen in looks(setting, seeds):
        returns += list(seen)
        means.append(mean(returns))
        others = [each[len(means) - 1] for _, each in finished]
        if len(others) >= 4 and 2 <= len(means) < 8 and means[-1] < median(others):
            break
    return means


# %% tags=["solution"]
def study(looks, ranges, search_seeds, fresh_seeds, budget):
    exam, trial = 8 * len(fresh_seeds), 8 * len(search_seeds)
    spent, finished = 0, []
    while spent + trial + exam <= budget:
        setting = draw_one(ranges)
        means = try_one(looks, setting, search_seeds, finished)
        spent += len(means) * len(search_seeds)
        if len(means) == 8:
            finished.append((setting, means))
    winner, _ = max(finished, key=lambda each: each[1][-1])
    return winner, mean(value for seen in looks(winner, fresh_seeds) for value in seen)


check("14.6", study)

# %% [markdown]
# Yours takes a real training as well. In a cell of your own, with lesson 07's DQN and half of this lesson's budget, which
# plays and learns for half a minute or more:
#
# ```python
# def real_looks(setting, seeds):
#     whole = {name: round(setting[name]) for name in ["updates", "eps_frames"]}
#     return looks(Settings(**(setting | whole)), seeds)
#
# study(real_looks, ranges, search_seeds, fresh_seeds, 200)
# ```
#
# ## What you can do now
# You can search the settings of an agent with a budget, stop what falls behind, go on after an interruption, read a
# study's plots with the doubt they deserve, report a tuned score that is true, and weigh it against its cost.
#
# **Try next:** a final round. Run the three best trials on ten seeds more, choose among them by *those*, and judge on
# seeds that are fresh to all. Or tune for seconds: let `objective` return two numbers, without `report` and `should_prune`
# (they know one number only), with `directions=["maximize", "minimize"]`, and Optuna searches the front itself.
# Or take the recipe of a lesson of your choice: what would you tune first, on how many seeds, and who is the judge?
#
# Next: [{{next title}}]({{next file}}).
