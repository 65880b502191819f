# ---
# jupyter:
#   course:
#     title: "Any world, any record: the atlas, and a simulator of your own"
#     objectives:
#       - find out what a family of environments needs, and what is inside it, before installing anything
#       - give every kind of observation and action its policy, its loss and its buffer
#       - load any of TorchRL's datasets, and prove that what was loaded is what was written
#       - bring your own simulator along in three ways, and have it examined before an agent learns in it
#       - train on pixels, and see which of the frames an agent looks at decide
#     prerequisites: lessons 01 to 07 (pixels are from lesson 11, records from lesson 10)
#     minutes: {reading: 89, exercises: 39, short: 45}
# ---

# %% [markdown]
# ## Somebody sends you the name of a world  (about 1 min to here)
#
# So far every world was chosen for you, and it ran. Out there you are sent something: the name of an
# environment, a file of recorded episodes, a simulator that a colleague wrote. Four questions come before any
# agent learns:
#
# | you are sent | you have to find out | from |
# |---|---|---|
# | a name | Does it run *here*, and what is inside? Which policy and which loss fit its spaces? | "Ask before you install" |
# | a record | Is what was loaded what was written? | "What does a dataset class do?" |
# | a simulator | Does it do what its author believes? | "A simulator of your own" |
# | pixels | Which of the frames an agent looks at decide? | "Which of the frames decide?" |
#
# The rule first, as always:
#
# > A world counts as *understood* when five questions are answered, each by a cell that was run: what goes in
# > and out, where it lies, whether it keeps its promises, how an episode ends, and what somebody gets in it who
# > has learned nothing.

# %% tags=["parameters"]
seed = 0

# %% id="18-start"
import torch
from course_utils import seed_everything

seed_everything(seed)
torch.set_num_threads(1)  # networks this small gain nothing from more, nor from a GPU

# %% [markdown]
# ## Ask before you install  (about 2 min to here)
#
# TorchRL wraps the environments of many libraries. Let us call all that come from one library a **family**:
# Atari, Brax, VMAS. We tried 28 of them: each was installed beside the course in a virtual environment of its
# own, from wheels at exact versions, and played at random by one script of `examples/worlds/`. What came of it
# was stored, and what has to be agreed to and had is in a table beside the scripts.

# %% id="18-atlas"
from course_utils import load_families, load_results

families = load_families()
stored = load_results("18_worlds")["runs"]["worlds"]
tried = {name: next(iter(runs.values())) for name, runs in stored.items()}
ran = [name for name, record in tried.items() if record["ran"]]
print(f"{len(tried)} families, {len(ran)} run here:", ", ".join(ran))

# %% [markdown]
# And the others? Predict the usual reason: no GPU, another Python, or a game that has to be bought?


# %% id="18-obstacle"
def obstacle(record):
    if record["ran"]:
        return "runs"
    if record["step"] == "run":
        return "installs, and stops when it starts"
    missing = "not found in the package registry" in record["error"]
    return "is not in the package registry" if missing else "has no wheel for this Python"


# %% tags=["look"]
from collections import defaultdict

sorted_by = defaultdict(list)
for name, record in tried.items():
    sorted_by[obstacle(record)].append(name)
for what, names in sorted_by.items():
    if what != "runs":
        print(f"{len(names)}  {what}: {', '.join(names)}")

# %% [markdown]
# Mostly it is packaging: no wheel that fits, of the family or of something it needs. (Some of these would ask for a
# GPU, too; but one does not get that far.) So the cheapest question comes first, and it needs no installation:
# what does it want? A card for each family:


# %% id="18-card"
def card(name):
    family, record = families[name], tried[name]
    install = " ".join(family["needs"]) or "nothing: it comes with the course"
    lines = {
        "install": f"{install}  ({record['megabytes']} MB)",
        "licence": family["licence"],
        "platform": family["platform"],
        "here": "runs" if record["ran"] else f"no: {record['error'][:110]} ...",
    }
    print(family["title"])
    for word, fact in lines.items():
        print(f"  {word:9}{fact}")
    for what, came in record.get("breaks", []):
        print(f"  tried    {what} -> {came[:90]}")


for name in ["atari", "vmas", "safety_gymnasium"]:
    card(name)

# %% [markdown]
# Look at the licence before you build on a world: two of these three are under the GPL, which matters if you hand
# on what you built. `tried` is what a newcomer would try, with what came of it: a trap somebody else fell into.
#
# And how fast are they? One number says little: what counts is what *many copies* cost. Frames of all
# copies in a second of CPU time, with one copy and with many:

# %% tags=["look"]
import matplotlib.pyplot as plt
from course_utils import show_figure, use_course_style

use_course_style()
paces = {}
for name, record in tried.items():
    copies = record.get("speed", {}).get("copies", {})
    paces[name] = [(int(n), found["frames_per_core_second"]) for n, found in copies.items()]
paces = {name: found for name, found in paces.items() if found}
order = sorted(paces, key=lambda name: paces[name][-1][1])
figure, axes = plt.subplots(figsize=(8.5, 5.2), layout="constrained")
for place, name in enumerate(order):
    (_, one), (count, many) = paces[name][0], paces[name][-1]
    axes.plot([one, many], [place, place], color="C5", linewidth=2, zorder=1)
    axes.scatter([one], [place], color="white", edgecolor="C0", zorder=3)
    axes.scatter([many], [place], color="C0", zorder=2)
    axes.annotate(f"  {count}", (max(one, many), place), va="center")
axes.set(xscale="log", xlabel="frames in a second of CPU time (number: copies)", xlim=(3, 200_000))
labels = [
    f"{families[name]['title'].split(' (')[0]}, {tried[name]['megabytes']} MB" for name in order
]
axes.set_yticks(range(len(order)), labels)
alt = "; ".join(f"{name} {paces[name][0][1]:,.0f} to {paces[name][-1][1]:,.0f}" for name in order)
show_figure(figure, f"Frames per CPU second, from one copy (hollow) to many (filled): {alt}.")

# %% [markdown]
# Nearly four powers of ten lie between the slowest dot and the fastest. Three kinds can be told apart:
#
# - *Copies one after the other* (`SerialEnv`: Atari, MiniGrid, PettingZoo): hollow and filled nearly coincide. Eight
#   copies cost eight times as much.
# - *Copies as rows of one array* (VMAS, OpenML): a row more costs next to nothing. 256 copies of VMAS are 151
#   times as fast as one.
# - *Made for a GPU* (Brax, Jumanji, MuJoCo Playground): rows of an array, too, but a CPU is slow at it. Their
#   numbers here say nothing about the hardware they were made for.
#
# What does that mean for a run of ten million frames, a usual size for Atari?

# %% tags=["look"]
for name in ["gymnasium_classic", "atari", "vmas", "brax"]:
    count, pace = max(paces[name], key=lambda found: found[1])
    print(f"{name:18} {1e7 / pace / 3600:5.1f} hours of one core, {count} at a time")

# %% [markdown]
# That is playing alone, before anything was learned. [The atlas](../docs/worlds.md) has a card with a picture for each family.
#
# ## Five questions to a world  (about 8 min to here)
#
# Now a world that you have never seen. `FinancialRegimeEnv` comes with TorchRL itself: a share whose price moves,
# and somebody who trades it. We know no more. First question: **what goes in, and what comes out?**


# %% id="18-specs"
def print_specs(env):
    for side in ["action", "observation", "reward", "done"]:
        for key, leaf in getattr(env, f"full_{side}_spec").items(True, True):
            name = key if isinstance(key, str) else ".".join(key)
            kind = f"{type(leaf).__name__} {list(leaf.shape)} {leaf.dtype or ''}"
            print(f"{side:12} {name:25} {kind.replace('torch.', '')}")


# %% tags=["look"]
from torchrl.envs import FinancialRegimeEnv

market = FinancialRegimeEnv(seed=0)
print_specs(market)

# %% [markdown]
# One choice of three; 50 prices, whether one owns the share and what was paid for it, a clock; and parameters of
# the simulation, which stand among the observations. A policy should not read those by accident: it gets what
# its `in_keys` name.
#
# Second question: **where does it lie?** A rollout of three steps tells, unfolded.

# %% tags=["look"]
from course_utils import show

show(market.rollout(3))

# %% [markdown]
# Third and fourth: **does it keep its promises**, and **how does an episode end?**

# %% tags=["look"]
from torchrl.envs import check_env_specs

print("check_env_specs:", check_env_specs(market) or "holds")
year = market.rollout(1_000)
last = year["next"][-1]
print(f"{len(year)} steps;", {flag: last[flag].item() for flag in ["terminated", "truncated"]})

# %% [markdown]
# It holds, and the end is a clock: 252 trading days. Nothing terminates, so the future always counts.
#
# Fifth: **what does somebody get who has learned nothing?** Not only who acts at random: also who always does the
# same. Predict: the price rises by 5 % a year on average. What does buying and keeping bring, what does random trading?


# %% id="18-nothing-learned"
def play(choice, days=252):
    def always(td):
        return td.set("action", torch.tensor([choice]))

    return market.rollout(days, None if choice is None else always)["next", "reward"]


torch.manual_seed(seed)
choices = {"at random": None, "always 0: hold": 0, "always 1: buy": 1, "always 2: sell": 2}
for name, choice in choices.items():
    returns = torch.stack([play(choice).sum() for _ in range(4)])
    print(f"{name:15} {returns.mean():7.2f} ± {returns.std():.2f}")

# %% [markdown]
# Who trades at random loses about ten, who buys and keeps loses a little, and *nobody beats doing nothing*. Why? Look
# at the first step of five who buy:

# %% tags=["look"]
purchases = torch.stack([play(1, days=1)[0] for _ in range(5)])
print("reward of a purchase:", purchases.flatten().numpy().round(3))
print(f"cost 0.001, price near 100: {0.001 * 100:.3f}")

# %% [markdown]
# The cost of a trade is 0.001 times the *price*, in coins: 0.1. But what a sale earns is a *share* of
# the price: 0.05 for the whole average year. Two units are added up, and a trade costs more than it can bring. (So it is
# in TorchRL 0.14.1.) An agent that learns to sit still here would look clever, with a rising curve: from
# -10 to 0. `check_env_specs` cannot find this; the fifth question did, in a few seconds.
#
# Here are all five as one function. It answers in five lines, and goes on where a question fails.


# %% id="18-attempt"
import warnings


def attempt(question):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what fails is told by its error
            return question()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:75]}"


# %% id="18-five"
def ends(env):
    data = env.rollout(300)["next"]
    flags = [key for key in ["terminated", "truncated"] if data.get(key) is not None]
    set_now = [key for key in flags if data[key][-1].any()]
    return (
        f"{', '.join(set_now) or 'no end'} after {data.shape[-1]} steps; flags: {', '.join(flags)}"
    )


def total(env):
    return sum(env.rollout(300)["next", key].sum().item() for key in env.reward_keys)


def five(env):
    print("in and out ", sorted(map(str, env.action_keys)), "->", list(env.observation_spec.keys()))
    print("lies       ", attempt(lambda: list(env.rollout(2)["next"].keys())))
    print("promises   ", attempt(lambda: check_env_specs(env) or "hold"))
    print("ends       ", attempt(lambda: ends(env)))
    print("at random  ", attempt(lambda: [round(total(env), 1) for _ in range(3)]))


# %% [markdown]
# Five small worlds that come with the course's own packages. (Gymnasium's names carry a version, which changes;
# `newest` looks up the present one.) Each has something that would cost you an afternoon. Can you find it?

# %% id="18-newest"
import gymnasium as gym
from torchrl.envs import GymEnv, TicTacToeEnv, ToyVLAEnv


def newest(name):
    return max(known for known in gym.registry if known.startswith(f"{name}-v"))


# %% tags=["look"]
torch.manual_seed(seed)
small_worlds = {
    "Taxi": lambda: GymEnv(newest("Taxi")),
    "CliffWalking": lambda: GymEnv(newest("CliffWalking")),
    "Blackjack": lambda: GymEnv(newest("Blackjack")),
    "ToyVLAEnv": ToyVLAEnv,
    "TicTacToeEnv": TicTacToeEnv,
}
for name, make in small_worlds.items():
    print(f"-- {name}")
    five(make())

# %% [markdown]
# - `CliffWalking` does not end within 300 steps, and nothing is ever `truncated`: it has no clock. A collector
#   would wait for ever for an end. `StepCounter(max_steps=200)` gives it one.
# - `Blackjack` is made without a complaint and breaks at the first step: it shows a `Tuple` of three choices of
#   different sizes, for which TorchRL has no spec that works.
# - `ToyVLAEnv` has no `truncated` at all: whoever asks for it gets a `KeyError`. One of its observations is a sentence.
# - `TicTacToeEnv` has two rewards, and none at the root (lesson 15). Their sum is 1 or 0, whoever wins: the last line says
#   nothing about a player.
# - `Taxi` is well-behaved, and random driving earns about -700. Keep that number; it comes back.
#
# ### Exercise 18.1: which traps are in it?  (6 min)
# Write `traps(data)`. `data` is a rollout of one copy, batch size `[time]`, that was played on over the ends of
# episodes (`break_when_any_done=False`). Return a dictionary of three booleans:
#
# - `"double"`: is any entry, at whatever depth, of type float64, which a float32 layer refuses?
# - `"no clock"`: is no step of it truncated? (The entry may be missing altogether.)
# - `"no reset"`: did the world go on after a step that is done, at least once, as if nothing had happened? Then the
#   `observation` at the root of the following step is the one that lay under `next`. The last step has no following one.
# <details><summary>Hint</summary><code>data.values(True, True)</code> gives all leaves of the tree.
# <code>data["next"].get("truncated")</code> is None where there is none. And compare
# <code>data["observation"][1:]</code> with <code>data["next", "observation"][:-1]</code>.</details>

# %% tags=["exercise"]
from course_utils import check


def traps(data):
    # your code
    ...


check("18.1", traps)


# %% tags=["solution"]
def traps(data):
    truncated = data["next"].get("truncated")
    done = data["next", "done"][:-1].squeeze(-1)
    went_on = (data["observation"][1:] == data["next", "observation"][:-1]).all(-1)
    return {
        "double": any(leaf.dtype == torch.float64 for leaf in data.values(True, True)),
        "no clock": truncated is None or not truncated.any(),
        "no reset": (done & went_on).any(),
    }


check("18.1", traps)

# %% [markdown]
# ## The same traps, in the atlas and live  (about 20 min to here) (deeper)
#
# What others fell into can be searched. Where does a time limit look like a defeat, where can one not seed?


# %% id="18-search"
def search(word):
    for name, record in tried.items():
        # Where the simulator is missing, TorchRL's wrapper alone was tried.
        seen = record.get("stand_in", record)
        for what, came in seen.get("breaks", []):
            if word in what + came:
                print(f"{name}: {what} -> {came[:95]}")


# %% tags=["look"]
for word in ["seed", "limit", "truncated", "dtype"]:
    print(f"-- {word}")
    search(word)

# %% [markdown]
# Six traps, live, each in a line or two. Predict which of them raise an error, and which are silent.

# %% tags=["look"]
import os

from torchrl.envs import GymWrapper

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # draw without a display
taxi = newest("Taxi")
pole = GymEnv("CartPole-v1")


def seeded_start(look=lambda: None):
    pole.set_seed(0)
    look()
    return pole.reset()["observation"]


def same_start():
    same = (seeded_start() == seeded_start(lambda: check_env_specs(pole))).all()
    return "the same start" if same else "another start"


# %% tags=["look"]
live_traps = {
    "a layer on what Taxi shows": lambda: torch.nn.Linear(500, 8)(
        GymEnv(taxi).reset()["observation"]
    ),
    "seeded, then looked at": same_start,
    "two copies of Gymnasium's": lambda: GymWrapper(gym.make_vec(taxi, 2, "sync")),
    "a pendulum's 200 steps": lambda: len(
        GymWrapper(gym.make("Pendulum-v1").unwrapped).rollout(500)
    ),
    "pixels of a world made without": lambda: GymWrapper(gym.make(taxi), from_pixels=True),
    "pixels: and the rest?": lambda: list(GymEnv(taxi, from_pixels=True).observation_spec.keys()),
}
for what, question in live_traps.items():
    print(f"{what:31} {attempt(question)}")

# %% [markdown]
# | trap | says so? | remedy |
# |---|---|---|
# | whole numbers, or float64, meet a float32 layer | error | `DTypeCastTransform`, `DoubleToFloat`, or an embedding |
# | the seed is used up by a look | *silent* | look first, seed last; some worlds want the seed *before* the first reset |
# | copies that restart by themselves in the next step | error | `autoreset_mode` `SAME_STEP` or `DISABLED` (lesson 01) |
# | the clock is a wrapper, and `unwrapped` takes it off | *silent* | `StepCounter(max_steps=...)` |
# | pictures of a world not made for it | error, about something else | `gym.make(..., render_mode="rgb_array")` |
# | pixels push everything else out | *silent* | `pixels_only=False` |
#
# ## A real game  (about 23 min to here) (deeper)
#
# Pong is the world on which deep reinforcement learning became known: a screen, a joystick, a score. The games
# come with the package `ale-py`.

# %% id="18-atari"
from course_utils import ask_for_extra

has_atari = ask_for_extra("atari", "this section prints what was measured for everybody instead")
if has_atari:
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner in every cell
    gym.register_envs(ale_py)
else:
    print(tried["atari"]["specs"], tried["atari"]["transform"], sep="\n")

# %% [markdown]
# Where is the trap here? Each action is usually played for four frames (**frame skip**). Three
# ways to make the game; how many frames of it are ten steps?

# %% tags=["look"]
pong = "ALE/Pong-v5"
makers = {
    "gym.make": lambda: GymWrapper(gym.make(pong)),
    "GymEnv": lambda: GymEnv(pong),
    "GymEnv, frameskip=4": lambda: GymEnv(pong, frameskip=4),
    "GymEnv, frame_skip=4": lambda: GymEnv(pong, frame_skip=4),
    "gym.make, frame_skip=4": lambda: GymWrapper(gym.make(pong), frame_skip=4),
}
if has_atari:
    for name, make in makers.items():
        env = make()
        env.rollout(10)
        print(f"{name:23} {env.unwrapped.ale.getEpisodeFrameNumber():4} frames in 10 steps")

# %% [markdown]
# One, four or sixteen frames a step, and no word about it. The game skips four by itself. `GymEnv` hands its own
# `frame_skip`, 1 unless told, to the game, over whatever `frameskip` you write; `GymWrapper` repeats
# what skips already. Count once, in any new world. (There is chance in it, too: with
# `repeat_action_probability` 0.25 the joystick sticks for a frame, which is called **sticky actions**.)
#
# From the screen to what a network gets: `ToTensorImage`, `GrayScale`, a smaller picture, `CatFrames`. The third
# is usually `Resize(84, 84)`, which needs the package torchvision. Without it, it is a line of PyTorch in a `Transform` of
# your own, which has to say what becomes of the spec.

# %% id="18-shrink"
from torchrl.data import Bounded
from torchrl.envs import CatFrames, Compose, GrayScale, ToTensorImage, Transform, TransformedEnv


class Shrink(Transform):
    def __init__(self, side):
        super().__init__(in_keys=["pixels"], out_keys=["pixels"])
        self.side = side

    def _apply_transform(self, pixels):
        size = (self.side, self.side)
        return torch.nn.functional.interpolate(pixels[None], size, mode="area")[0]

    def _reset(self, tensordict, tensordict_reset):
        return self._call(tensordict_reset)

    def transform_observation_spec(self, spec):
        colours = spec["pixels"].shape[:-2]
        spec["pixels"] = Bounded(0, 1, (*colours, self.side, self.side))
        return spec


# %% tags=["look"]
if has_atari:
    screen = GymEnv(pong, frame_skip=4, repeat_action_probability=0.0)
    steps = Compose(ToTensorImage(), GrayScale(), Shrink(84), CatFrames(4, dim=-3))
    game = TransformedEnv(screen, steps)
    check_env_specs(game)
    game.set_seed(seed)
    torch.manual_seed(seed)
    stack = game.rollout(90)["pixels"][-1]
    raw = torch.as_tensor(screen.unwrapped.ale.getScreenRGB())
    for name, picture in {"the screen": raw, "one look": stack[-1:], "the stack": stack}.items():
        kind = str(picture.dtype).removeprefix("torch.")
        print(f"{name:10} {list(picture.shape)} {kind}, {picture.nbytes:,} bytes")


# %% tags=["look"]
def draw_looks():
    figure, panels = plt.subplots(1, 6, figsize=(10, 2.4), layout="constrained")
    moved = stack.amax(0) - stack.amin(0)
    pictures = {"screen": raw, "3 looks ago": stack[0], "2": stack[1], "1": stack[2]}
    pictures |= {"now": stack[3], "what moved": moved}
    for panel, (name, picture) in zip(panels, pictures.items(), strict=True):
        panel.imshow(picture, cmap="gray", aspect="auto" if name == "screen" else "equal")
        panel.set(title=name, xticks=[], yticks=[])
        panel.grid(False)
    words = "the screen; then four looks, grey and 84 by 84; then where they differ"
    share = (moved > 0.05).float().mean()
    return show_figure(figure, f"Pong: {words}: {share:.1%} of the pixels.")


draw_looks() if has_atari else None

# %% [markdown]
# In the last panel ball and bats have tails: a stack tells which way the ball flies, one look does not. But as float32
# the stack is *larger* than the screen, and each look lies in four stacks. So keep single looks as bytes,
# 84 times 84 of them, and stack them when a batch is sampled (lesson 11).
#
# And the fifth question, with one game at random:

# %% tags=["look"]
if has_atari:
    screen.set_seed(seed)
    played = screen.rollout(10_000)["next"]
    rewards = played["reward"]
    print(f"{len(played)} steps: {(rewards > 0).sum()} points won, {(rewards < 0).sum()} lost")

# %% [markdown]
# A game ends when somebody has 21. Who acts at random stands at about -20, of -21 at worst.
#
# ## From a spec to a loss  (about 27 min to here)
#
# A world is understood. Which network fits, which loss? A loss never sees an action: it sees the
# **log-probability** of one. So for any space the chain is the same:
#
# > *spec* (what may be done) → *distribution* (whose parameters a network writes) → *log-probability* (one
# > number for each step) → *loss* (which needs nothing else).
#
# First, what does TorchRL make of Gymnasium's spaces? A world that does nothing shows it.

# %% id="18-parrot"
from gymnasium import spaces
from torchrl.envs import GymWrapper


class Parrot(gym.Env):
    observation_space = spaces.Box(-1, 1, (3,))

    def __init__(self, action_space):
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.got = action
        return self.observation_space.sample(), 0.0, False, False, {}


# %% tags=["look"]
two_parts = spaces.Dict(joint=spaces.Box(-1, 1, (2,)), gripper=spaces.Discrete(2))
kinds = {
    "Box": spaces.Box(-2, 3, (2,)),
    "Discrete": spaces.Discrete(4),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary(4),
    "Dict": two_parts,
    "Tuple": spaces.Tuple(two_parts.values()),
    "Text": spaces.Text(8),
}


def seen_as(space):
    spec = GymWrapper(Parrot(space), categorical_action_encoding=True).full_action_spec
    parts = [f"{key}: {type(leaf).__name__} {list(leaf.shape)}" for key, leaf in spec.items()]
    return ", ".join(parts)


for name, space in kinds.items():
    print(f"{name:14} {attempt(lambda space=space: seen_as(space))}")

# %% [markdown]
# The parts of a `Dict` lie at the root, there is no `action`. A `Tuple` of unlike parts is refused. And `Text` is a
# place holder: no policy of ours writes it. [The page on spaces](../docs/spaces.md) has a policy, a loss and
# a buffer for each kind, in short cells that run. Here we do the two that are hard.
#
# ## One action of two parts  (about 30 min to here) (deeper)
#
# An arm sees where a thing lies (two numbers) and whether it is to be held (0 or 1). It answers with two joint
# angles, which are numbers, and a gripper that is open or closed, which is a choice. Its reward: minus the distance of joints
# and thing, and one more if the gripper is right. An episode is a single step.

# %% id="18-arm-imports"
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


# %% id="18-arm"
class Arm(EnvBase):
    def __init__(self, copies):
        super().__init__(batch_size=[copies])
        parts = {"joint": Bounded(-1, 1, (copies, 2)), "gripper": Categorical(2, (copies,))}
        self.observation_spec = Composite(observation=Unbounded((copies, 3)), shape=[copies])
        self.action_spec = Composite(parts, shape=[copies])
        self.reward_spec = Unbounded((copies, 1))

    def _set_seed(self, seed):
        self.chance = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        thing = torch.rand(*self.batch_size, 3, generator=self.chance) * 1.6 - 0.8
        thing[:, 2] = (thing[:, 2] > 0).float()
        return TensorDict({"observation": thing}, self.batch_size)

    def _step(self, td):
        place, held = td["observation"].split([2, 1], -1)
        distance = (td["joint"] - place).norm(dim=-1, keepdim=True)
        right = (td["gripper"].unsqueeze(-1) == held).float()
        over = torch.ones_like(right, dtype=torch.bool)
        answer = {"observation": td["observation"], "reward": right - distance}
        return TensorDict(answer | {"done": over, "terminated": over.clone()}, self.batch_size)


# %% tags=["look"]
arms = Arm(64)
arms.set_seed(seed)
check_env_specs(arms)
print_specs(arms)

# %% [markdown]
# Each part gets a network that writes the parameters of *its* distribution, under `params`. `CompositeDistribution`
# draws the whole tree at once: it is a **composite distribution**.

# %% id="18-arm-actor-imports"
from tensordict.nn import (
    CompositeDistribution,
    NormalParamExtractor,
    TensorDictModule,
    TensorDictSequential,
)
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal


# %% id="18-arm-actor"
def make_arm_actor():
    moves = torch.nn.Sequential(MLP(3, 4, num_cells=[32]), NormalParamExtractor())
    bends = [("params", "joint", "loc"), ("params", "joint", "scale")]
    heads = TensorDictSequential(
        TensorDictModule(moves, ["observation"], bends),
        TensorDictModule(
            MLP(3, 2, num_cells=[32]), ["observation"], [("params", "gripper", "logits")]
        ),
    )
    parts = {"joint": TanhNormal, "gripper": torch.distributions.Categorical}
    return ProbabilisticActor(
        heads,
        in_keys=["params"],
        out_keys=["joint", "gripper"],
        distribution_class=CompositeDistribution,
        distribution_kwargs={"distribution_map": parts},
        return_log_prob=True,
    )


# %% tags=["look"]
from torchrl.envs import ExplorationType, set_exploration_type

torch.manual_seed(seed)
actor = make_arm_actor()
with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
    played = arms.rollout(1, actor)
show(played)

# %% [markdown]
# One tree holds all of it: what was seen, the parameters of both distributions, what was drawn, and *two*
# log-probabilities. But the loss wants one number for each step. Both parts were drawn independently, given what was
# seen, so their probabilities multiply, and their log-probabilities *add up*. Let us do it by hand, and ask `ClipPPOLoss`:

# %% tags=["look"]
from torchrl.modules import ValueOperator
from torchrl.objectives import ClipPPOLoss

frames = played.reshape(-1)
joint = TanhNormal(*(frames["params", "joint", name] for name in ["loc", "scale"]))
gripper = torch.distributions.Categorical(logits=frames["params", "gripper", "logits"])
by_hand = joint.log_prob(frames["joint"]) + gripper.log_prob(frames["gripper"])
by_part = frames["joint_log_prob"] + frames["gripper_log_prob"]
print("shapes:", list(by_hand.shape), "  equal:", torch.allclose(by_hand, by_part, atol=1e-5))
critic = ValueOperator(MLP(3, 1, num_cells=[32]), in_keys=["observation"])
loss = ClipPPOLoss(actor, critic, entropy_coeff=0.0)
print(loss.tensor_keys.action, loss.tensor_keys.sample_log_prob)

# %% [markdown]
# The loss asked the actor for its parts and their log-probabilities, so nothing has to be told. It adds them up before it
# makes its ratio of them. Does it learn both?


# %% id="18-arm-train"
def train_arm(actor, critic, updates=60):
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.0)
    loss.make_value_estimator(gamma=0.9, lmbda=0.9)
    optimiser = torch.optim.Adam(loss.parameters(), lr=3e-3)
    misses, rights = [], []
    for _ in range(updates):
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            batch = loss.value_estimator(arms.rollout(1, actor)).reshape(-1)
        for _ in range(4):
            found = loss(batch)
            (found["loss_objective"] + found["loss_critic"]).backward()
            optimiser.step()
            optimiser.zero_grad()
        place, held = batch["observation"][:, :2], batch["observation"][:, 2]
        misses.append((batch["joint"] - place).norm(dim=-1).mean().item())
        rights.append((batch["gripper"] == held).float().mean().item())
    return misses, rights


misses, rights = train_arm(actor, critic)

# %% tags=["look"]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
steps = [64 * (update + 1) for update in range(len(misses))]
left.plot(steps, misses, color="C0")
right.plot(steps, [100 * share for share in rights], color="C1")
left.set(title="joint", xlabel="frames", ylabel="distance", ylim=(0, None))
right.set(title="gripper", xlabel="frames", ylabel="right (%)", ylim=(0, 103))
words = f"distance {misses[0]:.2f} to {misses[-1]:.2f}, right {rights[0]:.0%} to {rights[-1]:.0%}"
show_figure(figure, f"Both parts learn from one loss, over {steps[-1]:,} frames: {words}.")

# %% [markdown]
# Both, from one number for each step. A head of another kind changes nothing but its line in `distribution_map`.
#
# ## What is allowed now  (about 34 min to here) (deeper)
#
# Back to the taxi. Of its six actions most are useless most of the time: driving into a wall, picking up
# nobody. The simulator knows, and says so, but not in the observation: in `info`, which TorchRL drops unless asked (lesson
# 01). Ask:

# %% tags=["look"]
_, info = gym.make(taxi).reset(seed=0)
print(info)
drives = GymWrapper(gym.make(taxi), categorical_action_encoding=True)
print(attempt(drives.auto_register_info_dict))

# %% [markdown]
# `prob` is a plain Python number, and `auto_register_info_dict` takes NumPy's only: the whole of `info` is lost because of
# an entry that nobody wants. So read it yourself, with a
# `BaseInfoDictReader`: a spec and a function.

# %% id="18-allowed"
from torchrl.data import Binary
from torchrl.envs import ActionMask, TransformedEnv
from torchrl.envs.gym_like import BaseInfoDictReader


class Allowed(BaseInfoDictReader):
    info_spec = {"action_mask": Binary(6, dtype=torch.bool)}

    def __call__(self, info, tensordict):
        mask = torch.as_tensor(info["action_mask"], dtype=torch.bool)
        return tensordict.set("action_mask", mask)


drives = GymWrapper(gym.make(taxi), categorical_action_encoding=True)
drives.set_info_dict_reader(Allowed())
masked = TransformedEnv(drives, ActionMask())
check_env_specs(masked)

# %% [markdown]
# `ActionMask` narrows the action spec at each step, so `rand_action` draws from what is allowed. What is that worth to
# somebody who has learned nothing?

# %% tags=["look"]
earned = {}
for name, env in {"any action": drives, "allowed ones": masked}.items():
    env.set_seed(seed)
    torch.manual_seed(seed)
    earned[name] = [env.rollout(200)["next", "reward"].sum().item() for _ in range(5)]
    print(
        f"random, {name:13} {min(earned[name]):5.0f} to {max(earned[name]):5.0f} in five episodes"
    )

# %% [markdown]
# From far below -500 to about -180, before any learning. An agent trained without the mask that ends at -180 has learned
# what `info` knew all along.
#
# A policy has to read the mask itself: `ActionMask` does not hold it back. In the distribution a forbidden action has
# probability 0, and the logarithm of it is minus infinity:

# %% id="18-driver"
from torchrl.modules import MaskedCategorical


def driver(kind, in_keys):
    scores = TensorDictModule(torch.nn.Embedding(500, 6), ["observation"], ["logits"])
    return ProbabilisticActor(scores, in_keys, distribution_class=kind, return_log_prob=True)


drivers = {
    "reads the mask": driver(MaskedCategorical, {"logits": "logits", "mask": "action_mask"}),
    "does not": driver(torch.distributions.Categorical, ["logits"]),
}

# %% tags=["look"]
for name, policy in drivers.items():
    torch.manual_seed(seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        trip = masked.rollout(100, policy)
    kept = trip["action_mask"].gather(1, trip["action"].unsqueeze(1)).float().mean().item()
    print(f"{name:15} {kept:.0%} of its actions were allowed")
mask, logits = trip["action_mask"][0], trip["logits"][0]
print("mask:    ", mask.int().tolist())
print(
    "log-prob:", MaskedCategorical(logits=logits, mask=mask).logits.log_softmax(-1).numpy().round(2)
)

# %% [markdown]
# No error: who does not read it plays what is forbidden. The mask has to lie in the batch, too, because the
# loss asks the policy again: its ratio compares log-probabilities under the *same* mask. It does, as an entry of
# its own, through any buffer.
#
# ### Exercise 18.2: the log-probability of a two-part action  (5 min)
# A gripper that may be open, closed, half or turned, but not always all of it. Write `log_prob(loc, scale, logits, mask,
# joint, gripper)`:
#
# - `joint` was drawn from a normal distribution with `loc` and `scale`, all three of shape `[batch, joints]`;
# - `gripper`, int64 of shape `[batch]`, was drawn from a categorical one with `logits` of shape `[batch, 4]`, among
#   what `mask` (booleans of the same shape) allows.
#
# Return the log-probability of the whole action, shape `[batch]`. A gradient has to reach `loc`, `scale` and `logits`.
# <details><summary>Hint</summary>What is forbidden gets a score of minus infinity, before the softmax:
# <code>logits.masked_fill(~mask, -torch.inf)</code>. The joints are independent of each other, too.</details>


# %% tags=["exercise"]
def log_prob(loc, scale, logits, mask, joint, gripper):
    # your code
    ...


check("18.2", log_prob)


# %% tags=["solution"]
def log_prob(loc, scale, logits, mask, joint, gripper):
    moves = torch.distributions.Normal(loc, scale).log_prob(joint).sum(-1)
    allowed = logits.masked_fill(~mask, -torch.inf)
    return moves + torch.distributions.Categorical(logits=allowed).log_prob(gripper)


check("18.2", log_prob)


# %% [markdown]
# ## Which one do I take?  (about 43 min to here)
#
# | spec | distribution | a network writes | mind |
# |---|---|---|---|
# | `Bounded`, k numbers | `TanhNormal(low, high)` | 2 k: `loc`, `scale` | one without limits draws beyond them, silently |
# | `Categorical`, one of n | `torch.distributions.Categorical` | n `logits` | |
# | `OneHot`, one of n | `OneHotCategorical` | n `logits` | mixed up with `Categorical`: always action 0 |
# | `MultiCategorical`, one of n and one of m | a sum of two `Categorical` | n + m `logits` | log-probabilities add up |
# | `Binary`, n switches | `Independent(Bernoulli, 1)` | n `logits` | draws floats, the spec wants int8 |
# | `Composite` (a `Dict`) | `CompositeDistribution` | what each part needs | parts lie at the root |
# | a `Tuple` of unlike parts | none: make a `Dict` of it in a wrapper | | |
# | with a mask | `MaskedCategorical` | n `logits` | as booleans, and in the batch |
# | text | a language model (lesson 17) | a token's `logits` | |
#
# Each line is a cell that runs in [the page on spaces](../docs/spaces.md), with observations of all kinds (`Dict`,
# `Text`, images) and their traps.

# %% [markdown]
# ## What does a dataset class do?  (about 44 min to here)
#
# The next thing that you may be sent is a record. Much has been recorded: people's hands in a simulated kitchen, a DQN at
# sixty games of Atari, robots in a hundred labs. TorchRL has a **dataset class** for each of nine collections. All do the same
# four things: *fetch* files, *convert* them to tensors that stay on the disk (a memory map, lesson 05), *split* a list of T + 1
# pictures into what was seen before and after each of T steps, and *sample*.
#
# Each of the four can go wrong without an error, and then an agent learns from something that nobody recorded. How would
# you notice? By loading a record of which you know every number. So we write one, in the files of somebody else.
# Predict, before you read on: which numbers would you write, so that *any* mix-up shows?

# %% id="18-record"
import numpy as np

LENGTHS = [7, 5, 9]  # steps of three episodes


def write_episode(number, steps):
    count = np.arange(steps + 1)
    pictures = np.zeros((steps + 1, 3, 64, 64), np.uint8)
    pictures[:, 0], pictures[:, 1] = number, count[:, None, None]
    rewards = (100 * number + count[1:]).astype(np.float32)
    ends = count[1:] == steps
    return {"observations": pictures, "actions": count[1:] % 3, "rewards": rewards, "dones": ends}


record = [write_episode(number, steps) for number, steps in enumerate(LENGTHS, 1)]
print(*(episode["rewards"].tolist() for episode in record), sep="\n")

# %% [markdown]
# Each number says where it belongs: the reward 203 is the third of the second episode, and in a picture the first channel
# is the episode (from 1, so that no picture is all zeros) and the second one the step. There is one picture more than there
# are steps: what the last action led to.
#
# Gen-DGRL, a collection of Procgen's games, keeps one NumPy file an episode, all of them in one archive:

# %% id="18-pack"
import io
import shutil
import tarfile
from pathlib import Path

folder = Path("runs/18_records").absolute()
shutil.rmtree(folder, ignore_errors=True)
archive = folder / "elsewhere/100k/level_1/expert/bigfish.tar.xz"
archive.parent.mkdir(parents=True)
with tarfile.open(archive, "w:xz") as tar:
    for number, episode in enumerate(record):
        np.save(file := io.BytesIO(), episode, allow_pickle=True)
        info = tarfile.TarInfo(f"bigfish/{number}.npy")
        info.size = file.tell()
        file.seek(0)
        tar.addfile(info, file)

# %% [markdown]
# Now TorchRL's own class, `GenDGRLExperienceReplay`, with two changes: what it would fetch from the network it copies
# from our folder, and it expects 25 steps (the real collection has 100,000 or more, a number that the class takes from
# the *name*). Our archive has 21, like a download that broke off. (It shows its progress on stderr, which we drop.)

# %% id="18-load"
from contextlib import redirect_stderr
from torchrl.data.datasets import GenDGRLExperienceReplay


class Ours(GenDGRLExperienceReplay):
    BASE_URL = str(folder / "elsewhere")

    @classmethod
    def _download_with_progress_bar(cls, url, file_path):
        shutil.copy(url, file_path)

    @classmethod
    def _get_category_len(cls, category):
        return 25


with redirect_stderr(io.StringIO()):
    data = Ours("bigfish-level_1_E", batch_size=8, root=folder / "kept")
for key in sorted(data[:].keys(True, True), key=str):
    print(f"{str(key):28} {str(data[:][key].dtype):14} {tuple(data[:][key].shape)}")

# %% [markdown]
# Other names than those in the files: `observations` has become `observation` and `("next", "observation")`, and
# `dones` three entries under `next`. On the disk there is now one file an entry, and the archive is no longer asked for:

# %% tags=["look"]
for path in sorted((folder / "kept").rglob("*.memmap")):
    print(f"{path.stat().st_size:8,} bytes  {path.relative_to(folder / 'kept').as_posix()}")
archive.unlink()
again = Ours("bigfish-level_1_E", batch_size=8, root=folder / "kept")
print("loaded a second time, without the archive:", bool((again[:] == data[:]).all()))

# %% [markdown]
# ## Is what was loaded what was written?  (about 48 min to here)
#
# The question has an answer for each entry, so we ask it for each entry. `differences` names what is missing, what has
# another type or shape, and else how many values differ:


# %% id="18-differences"
def differences(written, loaded):
    told = {}
    for key in sorted({*written.keys(True, True), *loaded.keys(True, True)}, key=str):
        ours, theirs = written.get(key), loaded.get(key)
        if ours is None or theirs is None:
            told[key] = "only loaded" if ours is None else "only written"
        elif (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
            told[key] = f"{ours.dtype} {[*ours.shape]} became {theirs.dtype} {[*theirs.shape]}"
        elif not torch.equal(ours, theirs):
            told[key] = f"{(ours != theirs).sum()} of {ours.numel()} values"
    return told


# %% [markdown]
# What we wrote, as it should come out: in lesson 10's form, with a last dimension of 1 for rewards and ends.

# %% id="18-compare"
from tensordict import TensorDict


def joined(name, part=slice(None)):
    return torch.as_tensor(np.concatenate([episode[name][part] for episode in record]))


rewards, dones = (joined(name).unsqueeze(-1) for name in ("rewards", "dones"))
after = {"observation": joined("observations", slice(1, None)), "reward": rewards, "done": dones}
before = {"observation": joined("observations", slice(-1)), "action": joined("actions")}
written = TensorDict(before | {"next": after}, batch_size=[21])

loaded = data[:].select(*written.keys(True, True))
differences(written, loaded)

# %% [markdown]
# Every entry differs, because there are 25 rows of 21. What are the other four? And without them?

# %% tags=["look"]
filling = max(value[21:].max().item() for value in loaded.values(True, True))
print("largest number in the last four rows:", filling)
differences(written, loaded[:21])

# %% [markdown]
# All else is equal, value by value. Two traps, neither of which raised anything:
#
# - *Rows of zeros* that nobody recorded are sampled like all others, here every sixth or so.
# - *The rewards have no last dimension.* `DQNLoss` wants `[batch, 1]`; with `[batch]` some losses raise, and sums of the
#   two shapes make a square of `[batch, batch]`, which has a mean like anything else.
#
# A third shows only if one knows the world: the class calls each end `terminated`, a time limit too (lesson 04 says what that
# does to values). The way around is short: keep what was filled in a buffer of our own
# (`TensorStorage` takes tensors as they are), and let a transform, `UnsqueezeTransform`, add the dimension. A transform
# of a buffer works when it is *sampled*; what is stored stays as it is.

# %% id="18-filled"
from torchrl.data import SliceSampler, TensorDictReplayBuffer, TensorStorage
from torchrl.envs import UnsqueezeTransform


def buffer_of(rows, sampler, batch_size=8):
    buffer = TensorDictReplayBuffer(
        storage=TensorStorage(rows), sampler=sampler, batch_size=batch_size
    )
    buffer.append_transform(
        UnsqueezeTransform(dim=-1, in_keys=[("next", "reward")], in_keys_inv=[])
    )
    return buffer


filled = data[:][:21]
slices = buffer_of(filled, SliceSampler(slice_len=4, end_key=("next", "done")))
torch.manual_seed(seed)
batch = slices.sample()
print(
    "stored:",
    tuple(filled["next", "reward"].shape),
    "sampled:",
    tuple(batch["next", "reward"].shape),
)
batch["next", "reward"].view(-1, 4)

# %% [markdown]
# Two slices of four steps, each from one episode: the rewards tell. (Lesson 11 trained on such slices.)
#
# ## Where does an episode end?  (about 52 min to here) (deeper)
#
# `end_key` told the sampler. A collection without such an entry needs a number for each row instead: `trajectories`. The
# loader of the DQN replay (Atari) makes one by counting ends, `terminated.cumsum(0)`. It looks right. Predict: is it?


# %% id="18-jumps"
def jumps(sampler):
    torch.manual_seed(seed)
    steps = buffer_of(filled, sampler, 400).sample()["next", "reward"].view(-1, 4)
    wrong = (steps.diff(dim=1) != 1).any(1)
    return f"{wrong.sum()} of {len(steps)} slices jump", steps[wrong][:1].tolist()


counted = filled["next", "done"].flatten().cumsum(0)
print(*jumps(SliceSampler(slice_len=4, end_key=("next", "done"))))
print(*jumps(SliceSampler(slice_len=4, trajectories=counted, cache_values=True)))

# %% [markdown]
# A slice that begins at 107 and goes on at 201 never happened: the last step of an episode got the number of the next
# one. A model of the world that learns from it learns to teleport. Can you mend the count?
#
# ### Exercise 18.3: where an episode ends  (4 min)
# Write `episode_numbers(done)`: `done` is boolean, of shape `[time]`, and True at the last step of each episode. Return
# the number of the episode of each step, from 0, shape `[time]`: what `SliceSampler(trajectories=...)` wants. The step that
# ends an episode still belongs to it. (The record may stop in the middle of an episode.)
# <details><summary>Hint</summary>How many episodes have ended <em>before</em> this step? <code>cumsum(0)</code> counts those
# that end at this step, too.</details>


# %% tags=["exercise"]
def episode_numbers(done):
    # your code
    ...


check("18.3", episode_numbers)


# %% tags=["solution"]
def episode_numbers(done):
    return done.cumsum(0) - done.long()


check("18.3", episode_numbers)

# %% [markdown]
# ## Which classes can be trusted?  (about 58 min to here) (deeper)
#
# What we did to one class, `examples/datasets/` does to all nine: our record in *their* format, behind a server on the
# same machine, read by TorchRL's own code, compared value by value. The results are stored.

# %% tags=["look"]
checked = load_results("18_records")["runs"]["records"]
for family, runs in checked.items():
    told = runs["0"]
    print(
        f"{family:10} {len(told['equal']):2} entries equal, {sum(told['faults'].values())} traps, "
        f"{told['megabytes']:5.1f} MB of packages; first trap: {[*told['faults']][0]}"
    )

# %% [markdown]
# None is free of traps, and one cannot be used as it is: `MinariExperienceReplay` of 0.14.1 hands out zeros. It
# fills its memory, and then stores it with `memmap_like`, which copies shapes and no values. In miniature, with the loader's
# own call and the one that it needs:

# %% id="18-empty-copy"
print("memmap_like:", differences(written, written.memmap_like(folder / "like")))
print("memmap:     ", differences(written, written.memmap(folder / "same")))

# %% [markdown]
# The way around it: `patch.object(TensorDict, "memmap_like", TensorDict.memmap)` around the call (from `unittest.mock`), or
# read Minari's episodes yourself, as lesson 10 does. And the real collections? What they hold, weigh and are licensed under,
# as far as their makers say it:
#
# {{table 18_records records}}
#
# All traps and the ways around them are in the [guide to records](../docs/records.md).
#
# ## A record of your own  (about 61 min to here)
#
# Your own robot, shop or game needs no class at all. Record in TorchRL's form, store, load, prove:

# %% id="18-own"
env = GymEnv("CartPole-v1")
env.set_seed(seed)
torch.manual_seed(seed)
own = env.rollout(100, break_when_any_done=False)
own.memmap(folder / "own")
own_loaded = TensorDict.load_memmap(folder / "own")
print(
    differences(own, own_loaded)
    or f"equal: {len([*own.keys(True, True)])} entries, {len(own)} steps"
)

# %% [markdown]
# `break_when_any_done=False` plays on after an end, so there are several episodes in one row of steps, each end marked.
# (`TensorDictReplayBuffer.dumps` and `loads` keep a buffer with its sampler, lesson 05.)
#
# "Equal" is worth what the comparison would have found. So damage a copy in three ways that have happened to others: one
# step is moved by one, a type is made coarser, an entry is lost. A proof that cannot fail is none:

# %% tags=["look"]
damaged = own.clone()
damaged["action"] = damaged["action"].roll(1, 0)
damaged["observation"] = damaged["observation"].half()
del damaged["next", "truncated"]
differences(own, damaged)

# %% [markdown]
# All three are named. (Moved by one, some actions still fit by chance: a record of which you know every number shows more
# than one that looks real.) Four habits, then: store whole episodes; note for each end whether the world ended or a clock
# ran out; write a record whose numbers say where they belong through the same code; and compare, entry by entry.

# %% [markdown]
# ## A simulator of your own: what is wrong with it?  (about 64 min to here)
#
# Somebody hands you a simulator: a class in NumPy, with `reset` and `step`. How does an agent of TorchRL's get to play in
# it? And how do you know that it does what its author believes? The agent will not tell. It learns in a
# broken world as well, only something else.
#
# A drone should hover at height 0. Its motor pushes up or down, wind pushes at random. Beyond a height of 1 it is
# lost; after 200 steps the flight is over.


# %% id="18-drone"
class Drone:
    def __init__(self, seed=None):
        self.rng = np.random.default_rng(seed)

    def reset(self):
        self.state = self.rng.uniform(-0.5, 0.5, 2)  # height and speed
        self.steps = 0
        return self.state.copy()

    def step(self, thrust):
        height, speed = self.state
        speed = speed + 0.1 * thrust + 0.05 * self.rng.normal()
        self.state = np.array([height + 0.1 * speed, speed])
        self.steps += 1
        over = abs(self.state[0]) > 1 or self.steps >= 200
        return self.state.copy(), -abs(self.state[0]), over


# %% [markdown]
# `check_simulator` takes what *makes* a simulator, a class or a function. It makes several copies, plays with them side by
# side, over ends and resets, and says in words what it saw:

# %% id="18-check" tags=["look"]
from course_utils import check_simulator

seen = check_simulator(Drone)
print(seen.verdict)
print(seen.notes[-1])

# %% [markdown]
# Nothing is wrong with the drone itself. It only does not say what it takes and gives. That is what is
# added now, in three ways.
#
# ## First way: through Gymnasium  (about 67 min to here)
#
# The shortest one. Two spaces, a seed, and the two ends told apart: lost is `terminated`, a flight that is over is
# `truncated`. One line of this class is wrong. Which one?


# %% id="18-unseeded"
class DroneGym(gym.Env):
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self):
        self.drone = Drone()

    def reset(self, *, seed=None, options=None):
        self.drone = Drone()
        return self.drone.reset().astype(np.float32), {}

    def step(self, action):
        state, reward, _ = self.drone.step(float(np.clip(action, -1, 1)[0]))
        lost, late = bool(abs(state[0]) > 1), self.drone.steps >= 200
        return state.astype(np.float32), float(reward), lost, late, {}


# %% tags=["look"]
print("\n".join(check_simulator(DroneGym).faults).replace(". ", ".\n"))

# %% [markdown]
# It runs, it can be trained in, and no run can ever be repeated: the seed is taken and thrown away. The sentence
# tells where the chance comes from, and what mends it. `super().reset(seed=seed)` fills `self.np_random`, and the drone has
# to draw from there:


# %% id="18-seeded"
class SeededDrone(DroneGym):
    def reset(self, *, seed=None, options=None):
        super(DroneGym, self).reset(seed=seed)  # Gymnasium's own, which fills `self.np_random`
        self.drone.rng = self.np_random
        return self.drone.reset().astype(np.float32), {}


# %% tags=["look"]
print(check_simulator(lambda: GymWrapper(SeededDrone())).verdict)
print(GymWrapper(SeededDrone()).rollout(5)["next", "observation"].shape)

# %% [markdown]
# ## Second way: an `EnvBase` around it  (about 70 min to here)
#
# Without Gymnasium, `_reset`, `_step` and `_set_seed` stand around the same class. This pays where Gymnasium has no
# word for what you hand out: several agents, a reward of several parts, a state that lies in the tensordict.

# %%
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


# %% id="18-drone-specs"
def drone_specs(env, *count):
    flags = ("done", "terminated", "truncated")
    flag = {name: Categorical(2, [*count, 1], dtype=torch.bool) for name in flags}
    env.observation_spec = Composite(observation=Unbounded([*count, 2]), shape=count)
    env.action_spec, env.reward_spec = Bounded(-1.0, 1.0, [*count, 1]), Unbounded([*count, 1])
    env.done_spec = Composite(flag, shape=count)


def drone_look(state, steps, count=()):
    lost, late = state[..., :1].abs() > 1, steps >= 200
    seen = {"observation": state.clone(), "done": lost | late}
    return TensorDict(seen | {"terminated": lost, "truncated": late}, count)


# %% id="18-envbase"
class DroneEnv(EnvBase):
    def __init__(self):
        super().__init__()
        drone_specs(self)
        self.drone = Drone()

    def _set_seed(self, seed):
        self.drone.rng = np.random.default_rng(seed)

    def _reset(self, tensordict):
        return self.seen(self.drone.reset())

    def _step(self, tensordict):
        state, reward, _ = self.drone.step(tensordict["action"].clamp(-1, 1).item())
        return self.seen(state).set("reward", torch.tensor([reward], dtype=torch.float32))

    def seen(self, state):
        return drone_look(
            torch.tensor(state, dtype=torch.float32), torch.tensor([self.drone.steps])
        )


print(check_simulator(DroneEnv).verdict)

# %% [markdown]
# `drone_specs` and `drone_look` are written for any number of copies in front of the shapes: none here. `float32` is said
# each time something comes from NumPy, which counts with 64 bits.
#
# ## Third way: many at once, in torch  (about 73 min to here)
#
# The last way gives up the class. Its arithmetic is written in torch, for a whole column of drones at once. Copies
# end at different steps, so a reset is for *some* of them, a **partial reset**: `tensordict["_reset"]` is True for those
# that begin anew. What will the check say of this class, which does not look there?


# %% id="18-forgetful"
class ForgetfulDrones(EnvBase):
    def __init__(self, count):
        super().__init__(batch_size=[count])
        drone_specs(self, count)
        self.set_seed(0)

    def _set_seed(self, seed):
        self.rng = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        self.state = torch.rand(*self.batch_size, 2, generator=self.rng) - 0.5
        self.steps = torch.zeros(*self.batch_size, 1)
        return drone_look(self.state, self.steps, self.batch_size)

    def _step(self, tensordict):
        wind = torch.randn(*self.batch_size, 1, generator=self.rng)
        height, speed = self.state.split(1, -1)
        speed = speed + 0.1 * tensordict["action"].clamp(-1, 1) + 0.05 * wind
        self.state, self.steps = torch.cat([height + 0.1 * speed, speed], -1), self.steps + 1
        answer = drone_look(self.state, self.steps, self.batch_size)
        return answer.set("reward", -self.state[:, :1].abs())


# %% id="18-what-it-says"
check_env_specs(ForgetfulDrones(4))  # finds nothing
print("\n".join(check_simulator(lambda: ForgetfulDrones(4)).faults).replace(". ", ".\n"))

# %% [markdown]
# `check_env_specs` compares shapes and types with the specs, and those are right. What is wrong is what *happens*: one drone
# that falls takes all others back to a start, in the middle of their episodes, and nobody marks an end there.
# Mended:


# %% id="18-drones"
class Drones(ForgetfulDrones):
    state = steps = torch.zeros(1)  # before the first reset

    def _reset(self, tensordict):
        begins = torch.ones(*self.batch_size, 1, dtype=torch.bool)
        if tensordict is not None and "_reset" in tensordict:
            begins = tensordict["_reset"]
        start = torch.rand(*self.batch_size, 2, generator=self.rng) - 0.5
        self.state = torch.where(begins, start, self.state)
        self.steps = torch.where(begins, 0.0, self.steps)
        return drone_look(self.state, self.steps, self.batch_size)


print(check_simulator(lambda: Drones(4)).verdict)

# %% [markdown]
# Six more such findings, each one wrong line, stand in
# [Your own simulator](../docs/your_simulator.md), the long form of these sections.
#
# ## What each way costs  (about 78 min to here) (deeper)
#
# Which way is the quickest, and by how much? Predict first: GymWrapper, `EnvBase`, 64 copies at once, 1,024 copies. Here and
# now, frames in a second of computing, with random actions:

# %% id="18-live"
import time


def frames_per_second(env, seconds=0.5):
    env.rollout(20, break_when_any_done=False)
    began, frames = time.process_time(), 0
    while time.process_time() - began < seconds:
        frames += env.rollout(50, break_when_any_done=False).numel()
    return frames / (time.process_time() - began)


first, many = frames_per_second(GymWrapper(SeededDrone())), frames_per_second(Drones(64))
print(f"64 copies at once play more than five times as many frames as one: {many > 5 * first}")

# %% [markdown]
# Numbers of a machine that did nothing else were stored (the classes of the long form, in which the same is written
# without `drone_specs` and `drone_look`):

# %% tags=["look"]
from statistics import median

ways = load_results("18_simulators")["runs"]["simulators"]
speeds = {
    way: median(run["frames_per_second"] for run in runs.values()) for way, runs in ways.items()
}
for way, speed in speeds.items():
    print(
        f"{way:32} {speed:>11,.0f}  {speed / speeds['first way: GymWrapper']:7.1f} times the first way"
    )

# %% tags=["look"]
figure, panel = plt.subplots(figsize=(8, 3), layout="constrained")
panel.barh(list(speeds), list(speeds.values()))
panel.set(xscale="log", xlim=(1_000, 3_000_000), xlabel="frames per second of computing")
panel.invert_yaxis()
told = ", ".join(f"{way} {speed:,.0f}" for way, speed in speeds.items())
show_figure(figure, f"Frames per second of each way, on a logarithmic axis: {told}")

# %% [markdown]
# A step of this drone is a few additions, so all that is seen here is the machinery. The first two ways pay the price of a
# tensordict for each frame and are about equally fast; so is the third with a single copy. With more copies
# the price is shared. Two questions decide:
#
# - Is one step of your simulator slow, a tenth of a second say? Then the way does not matter: take the first, and spread
#   copies over processes (lesson 12).
# - Can its arithmetic be written for a column of numbers? Then the third way is worth an afternoon.

# %% [markdown]
# ## Which of the frames decide?  (about 81 min to here) (deeper)
#
# Last, pixels. Pong was only looked at, and lesson 11 said why: training takes "millions of frames, and a GPU". How much is
# that here? It was measured on one core, with the network and the sizes of the DQN that played Atari first (Mnih et al.,
# 2015):

# %% tags=["look"]
pixel_runs = load_results("18_pixel_game")["runs"]["pixel_game"]
atari = pixel_runs["Atari"]["100"]
hours = {
    "12.5 million updates": 12.5e6 * atari["update"] / 3600,
    "50 million steps by TorchRL's transforms": 50e6 / atari["torchrl"] / 3600,
    "50 million steps by AtariVectorEnv": 50e6 / atari["vector"] / 3600,
}
for what, long in hours.items():
    print(f"{what:42} {long:5.0f} hours of a core")

# %% [markdown]
# (A step is four frames of Pong, shrunk to 84 by 84. `AtariVectorEnv` of `ale-py` does this in C++.) Nearly a week for one
# training, and a claim wants several. So we take a game that is smaller, and has the same trouble as Atari's: **one
# picture does not say where things go**. A hen crosses a road of six lanes, up, wait or down, 50 steps long. Cars of
# two pixels come every five pixels, in each lane in a direction of its own; half of the lanes move every step, the others
# every second one. Who is hit is thrown back by three rows. A row gained is worth 1, a row lost -1.

# %% id="18-sizes"
from tensordict import TensorDict
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

LANES, WIDTH, APART, LONG, STEPS, THROWN = 6, 9, 5, 2, 50, 3
MIDDLE = WIDTH // 2  # the hen's column


# %% id="18-road"
class Road(EnvBase):
    def __init__(self, count, seed=0):
        super().__init__(batch_size=[count])
        picture = Unbounded([count, 1, LANES + 2, WIDTH])
        self.observation_spec = Composite(pixels=picture, shape=[count])
        self.action_spec = Categorical(3, shape=[count])  # down, wait, up
        self.reward_spec = Unbounded([count, 1])
        self.set_seed(seed)

    def _set_seed(self, seed):
        self.dice = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        self.time, self.row = 0, torch.zeros(self.batch_size, dtype=torch.long)
        self.start, self.way, self.every, self.phase = (
            torch.randint(low, high, [*self.batch_size, LANES], generator=self.dice)
            for low, high in [(0, APART), (0, 2), (1, 3), (0, 2)]
        )
        return look(self)

    def _step(self, tensordict):
        return move(self, tensordict["action"])


# %% [markdown]
# `start` says where the cars of a lane are at first, `way` where they go, `every` how often they move, `phase` when. Three
# functions do the rest: where the cars are, what a step does, and the picture.


# %% id="18-move"
def cars(road):
    """[count, rows, width]: is there a car? Row 0 and the last one are pavements."""
    moved = (road.time + road.phase) // road.every * (2 * road.way - 1)
    places = torch.arange(WIDTH) - (road.start + moved).unsqueeze(-1)
    return torch.nn.functional.pad(places % APART < LONG, (0, 0, 1, 1))


def move(road, action):
    before, road.time = road.row, road.time + 1
    row = (before + action - 1).clamp(min=0)
    hit = cars(road)[torch.arange(len(row)), row, MIDDLE]
    row = torch.where(hit, (row - THROWN).clamp(min=0), row)
    road.row = torch.where(row == LANES + 1, 0, row)  # across: the next hen starts
    return look(road).set("reward", (row - before).float().unsqueeze(-1))


def look(road):
    picture = 0.5 * cars(road).float()
    picture[torch.arange(len(picture)), road.row, MIDDLE] = 1.0
    never = torch.zeros(len(picture), 1, dtype=torch.bool)
    answer = {"pixels": picture.flip(1).unsqueeze(1), "done": never, "terminated": never.clone()}
    return TensorDict(answer, road.batch_size)


# %% [markdown]
# The road itself never ends; `StepCounter` is the clock (`truncated`, so values look beyond it, lesson 04), and
# `CatFrames` stacks the newest pictures, as in lesson 11.

# %% id="18-make-road"
from torchrl.envs import CatFrames, Compose, StepCounter, TransformedEnv


def make_road(count, seed, looks):
    stack = CatFrames(N=looks, dim=-3, in_keys=["pixels"])
    return TransformedEnv(Road(count, seed), Compose(stack, StepCounter(STEPS)))


# %% [markdown]
# The network looks at 3 by 3 pixels of all frames at once, combines what it saw there, and keeps the strongest answer of
# all places (`AdaptiveMaxPool2d`): what a car does to a hen is the same in each lane, so it is learned once for all.

# %% id="18-hen"
from torchrl.modules import MLP, ConvNet, QValueActor

moves = Categorical(3)


def make_hen(looks):
    eyes = ConvNet(
        in_features=looks,
        num_cells=[32, 64],
        kernel_sizes=[3, 1],
        activation_class=torch.nn.ReLU,
        aggregator_class=torch.nn.AdaptiveMaxPool2d,
        aggregator_kwargs={"output_size": 1},
    )
    brain = MLP(in_features=64, out_features=3, num_cells=[128], activation_class=torch.nn.ReLU)
    network = torch.nn.Sequential(eyes, torch.nn.Flatten(-3), brain)
    return QValueActor(network, in_keys=["pixels"], spec=moves)


# %% [markdown]
# DQN as in lesson 07, with 128 roads at once. The score is a mean over games that played no part in training.

# %% id="18-update"
from torchrl.objectives import DQNLoss, SoftUpdate


def make_update(hen, memory):
    loss = DQNLoss(hen, delay_value=True, double_dqn=True, loss_function="smooth_l1")
    loss.make_value_estimator(gamma=0.7)
    target = SoftUpdate(loss, eps=0.95)
    optimiser = torch.optim.Adam(loss.parameters(), lr=3e-3)

    def update():
        optimiser.zero_grad()
        loss(memory.sample())["loss"].backward()
        optimiser.step()
        target.step()

    return update


# %% id="18-learn"
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.modules import EGreedyModule


def learn(hen, looks, updates, seed, eps=1.0, watch=None):
    memory = ReplayBuffer(storage=LazyTensorStorage(20_000), batch_size=256)
    update, done = make_update(hen, memory), 0
    explore = EGreedyModule(moves, eps, 0.05, annealing_num_steps=100 * updates)
    policy, roads = TensorDictSequential(hen, explore), make_road(128, seed, looks)
    sizes = {"frames_per_batch": 512, "total_frames": 512 * (3 + updates // 2)}
    collector = Collector(roads, policy, auto_register_policy_transforms=False, **sizes)
    for frames in collector:
        explore.step(frames.numel())
        memory.extend(frames.reshape(-1).select("pixels", "action", "next"))
        for _ in range(2 if len(memory) > 2_000 else 0):
            update()
            done += 1
            if watch and done % 50 == 0:
                watch(done)
    collector.shutdown()


# %% id="18-judge"
from torchrl.envs.utils import ExplorationType, set_exploration_type


@torch.no_grad()
def play_road(hen, looks, games=200, seed=500_000_000):
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        return make_road(games, seed, looks).rollout(STEPS, hen)


def rows_gained(rollout):
    return rollout["next", "reward"].sum((1, 2)).mean().item()


# %% [markdown]
# Which frame is needed? We hide one: in its place stands its newer neighbour (for the newest one, its older one), and the
# agent plays on with that. Weights and games stay the same.


# %% id="18-hide"
from tensordict.nn import TensorDictModule


def hide(pixels, age):  # [..., frames, height, width]; age 0 is the newest
    frames = list(pixels.unbind(-3))
    newest = len(frames) - 1
    frames[newest - age] = frames[newest - age + 1] if age else frames[newest - 1]
    return torch.stack(frames, -3)


def blinkered(hen, age):
    blinker = TensorDictModule(lambda pixels: hide(pixels, age), ["pixels"], ["pixels"])
    return TensorDictSequential(blinker, hen)


# %% [markdown]
# ## A beginning, and the end  (about 90 min to here) (deeper)
#
# How good can one be? Whoever knows all that will come can work it out backwards, row by row. And how good is it to run
# without looking?


# %% id="18-best"
def best_possible(road):
    """The rows that can be gained in each of the next games, where nothing is hidden."""
    road.reset()
    rows = torch.arange(LANES + 1)
    worth = torch.zeros(*road.batch_size, LANES + 1)
    for now in range(STEPS, 0, -1):
        road.time = now
        here, choices = cars(road)[:, :, MIDDLE], []
        for step in (-1, 0, 1):
            row = (rows + step).clamp(min=0)
            row = torch.where(here[:, row], (row - THROWN).clamp(min=0), row)
            choices.append(row - rows + worth.gather(1, torch.where(row == LANES + 1, 0, row)))
        worth = torch.stack(choices).amax(0)
    return worth[:, 0].mean().item()


# %% tags=["look"]
from course_utils import load_weights


def runs_blindly(td):
    return td.set("action", torch.full(td.batch_size, 2))


best, blind = best_possible(Road(200, seed=500_000_000)), rows_gained(play_road(runs_blindly, 1))
print(f"best possible {best:.1f} rows, always up {blind:.1f}")

# %% [markdown]
# The weights that follow were **not** trained in this notebook: `make bench ARGS='--groups pixel_game'` made them with the
# cells above, 600 updates for each hen. They see one frame, two or four; of the last one the weights after *half* of the
# updates are there, too. With those we go on, live (some ten seconds), with little exploration from the start:

# %% id="18-train-on" tags=["look"]
hens = {looks: make_hen(looks) for looks in (1, 2, 4)}
for looks, hen in hens.items():
    hen.load_state_dict(load_weights(f"18_pixels_{looks}")["trained"])

learner = make_hen(4)
learner.load_state_dict(load_weights("18_pixels_4")["halfway"])
halfway = rows_gained(play_road(learner, 4))
torch.manual_seed(seed)
learn(learner, 4, updates=200, seed=seed, eps=0.05)
later = rows_gained(play_road(learner, 4))
print(
    f"four frames: {halfway:.1f} rows after half of the updates, {later:.1f} after 200 more, here"
)

# %% [markdown]
# ## One frame, four frames  (about 93 min to here) (deeper)
#
# The rule was fixed before the runs: **the frames decide if the worst of the agents with four gains at least five rows
# more than the best of those with one**, on seeds that chose nothing, in 500 fresh games. Predict the score of one frame:
# nearer to "always up", or to the best possible?

# %% tags=["look"]
figure, axes = plt.subplots(figsize=(7, 4))
facts, exams = [], {}
for place, arm in enumerate(["one frame", "two frames", "four frames"]):
    runs = pixel_runs[arm].values()
    for run in runs:
        axes.plot(*zip(*run["curve"], strict=True), color=f"C{place}", alpha=0.7)
    axes.plot([], [], color=f"C{place}", label=arm)
    exams[arm] = sorted(run["exam"] for run in runs)
    facts.append(f"{arm}: " + ", ".join(f"{exam:.1f}" for exam in exams[arm]))
axes.axhline(best, linestyle="--", color="gray", label="best possible")
axes.axhline(blind, linestyle=":", color="gray", label="always up")
axes.set(xlabel="updates", ylabel="rows gained in a game", ylim=(0, None))
figure.legend(loc="outside right upper")
show_figure(figure, "Rows gained in the exam, seed by seed. " + "; ".join(facts))

# %% tags=["look"]
apart = exams["four frames"][0] - exams["one frame"][-1]
print(*facts, sep="\n")
print(f"worst with four less best with one: {apart:.1f} rows")

# %% [markdown]
# It is decided: with four frames every seed gains three quarters or more of what can be gained, with one hardly more
# than a hen that runs blindly. And two frames? Lesson 11 needed no more. Here they are nearly as bad as one: a slow car
# stands still between two pictures, and nothing says where it will go. Three pictures always say it, so the fourth should
# be of no use.
#
# *Should*: is that what the agent does? Hide one frame after the other (`hide`, above). Predict the order.

# %% tags=["look"]
rows = rows_gained(play_road(hens[4], 4))
hidden = [rows_gained(play_road(blinkered(hens[4], age), 4)) for age in range(4)]
figure, axes = plt.subplots(figsize=(6, 3))
names = ["newest", "one before", "two before", "oldest"]
axes.bar(names, hidden)
for run in pixel_runs["four frames"].values():
    axes.plot(range(4), run["hidden"], "o", color="C1")
axes.plot([], [], "o", color="C1", label="other games, each seed")
axes.axhline(rows, linestyle="--", color="gray", label="nothing hidden")
axes.set(xlabel="the frame that is hidden", ylabel="rows gained in a game")
figure.legend(loc="outside upper right", ncols=2)
words = ", ".join(f"{name} {score:.1f}" for name, score in zip(names, hidden, strict=True))
show_figure(figure, f"Rows gained with all frames: {rows:.1f}; with one of them hidden: {words}.")

# %% tags=["look"]
print(f"all frames {rows:.1f} rows; hidden: {words}")

# %% [markdown]
# Little is lost without the frame *two before* (two or three rows), and nearly half without the *oldest*, the one that nobody
# needs. Both say which cars are slow and where they go; training took one of two ways, and all three seeds took the same.
# What a task needs and what a network uses are two questions: the first is answered by thinking about the world, the second
# only by hiding something from the agent. (A hidden frame is also a road she never saw: cars that jump. The exercise hides in
# a gentler way.)
#
# ### Exercise 18.4: a shorter memory  (5 min)
# Write `keep_newest(pixels, kept)`: `pixels` has shape `[batch, frames, height, width]`, the newest frame last. The newest
# `kept` frames stay as they are; in the place of each older one stands the *oldest of those that stay*, as if the episode had
# begun there. The shape stays the same. (With it you can ask the hen how many frames she needs, without training again.)
# <details><summary>Hint</summary>Which frame belongs in each place? Write the list of their numbers for four frames of which
# two are kept; <code>clamp</code> makes it from <code>torch.arange</code>.</details>


# %% tags=["exercise"]
def keep_newest(pixels, kept):
    # your code
    ...


check("18.4", keep_newest)


# %% tags=["solution"]
def keep_newest(pixels, kept):
    frames = pixels.shape[1]
    return pixels[:, torch.arange(frames).clamp(min=frames - kept)]


check("18.4", keep_newest)

# %% [markdown]
# ## Where it still goes wrong  (about 103 min to here) (deeper)
#
# A score says how often, not why. We look for the game in which the hen with four frames loses rows to cars most often,
# and look at the same road with one frame, too. (A hen that is hit in the first lane loses nothing, so she may try.)


# %% tags=["look"]
def thrown(rollout):  # two rows lost at once, or more: only a car does that
    return rollout["next", "reward"].squeeze(-1) < -1


games = {looks: play_road(hen, looks) for looks, hen in hens.items()}
worst = thrown(games[4]).sum(1).argmax().item()
for looks, rollout in games.items():
    steps = thrown(rollout)[worst].nonzero().flatten().tolist()
    each = thrown(rollout).float().sum(1).mean()
    print(f"{looks} frame(s): thrown back {each:.1f} times a game; in game {worst} at {steps}")


# %% tags=["look"]
from course_utils import EpisodeScrubber


def draw(pixels):
    """[time, frames, height, width] as a film: cars blue, the hen yellow, pavements lighter than the road."""
    colours = torch.tensor([[70, 70, 70], [86, 180, 233], [240, 228, 66]])
    film = colours[(2 * pixels[:, -1]).long()]
    film[:, [0, -1]] += 60 * (pixels[:, -1, [0, -1]] == 0).unsqueeze(-1)
    return film.repeat_interleave(24, 1).repeat_interleave(24, 2).byte().numpy()


EpisodeScrubber(
    {f"{looks} frame(s)": games[looks][worst] for looks in (1, 4)},
    {f"{looks} frame(s)": draw(games[looks][worst]["pixels"]) for looks in (1, 4)},
    action_names=["down", "wait", "up"],
)

# %% [markdown]
# Go to the steps that were printed. What did she believe of the three moves just before? Was another one free? Two kinds are
# worth telling apart: a step where the right move was *not seen* (its value is low, and wrong), and one where all three moves
# were bad, because she had walked into a trap earlier. Against the first helps more training, against the second looking
# farther ahead.
#
# "Four frames" is no law: it was a habit of Atari (a light that flickers there every second frame is one reason). Count what
# hides in *your* world: how many frames until it must have shown? And ask the trained agent, as we did: hide a frame, and see
# whether it matters.

# %% [markdown]
# ## Your turn: resets and reservoirs  (about 107 min to here)
#
# Back to simulators, once more the third way: first its heart, then a whole one.
#
# ### Exercise 18.5: begin anew, but only where it is asked for  (4 min)
# Write `restart(state, steps, start, begins)`, the heart of a batched `_reset`. `state` and `start` have shape
# `[copies, numbers]`, `steps` (whole numbers) and `begins` (True or False) `[copies, 1]`. Where `begins` is True, a row gets
# its own row of `start` and a clock at 0; all others stay as they were. Return the new state and the new
# steps, and leave what you were given unchanged.
# <details><summary>Hint</summary><code>torch.where(condition, this, that)</code> takes <code>this</code> where
# the condition is True. A condition of shape <code>[copies, 1]</code> is stretched over all numbers of its
# row.</details>


# %% tags=["exercise"]
def restart(state, steps, start, begins):
    # your code
    ...


check("18.5", restart)


# %% tags=["solution"]
def restart(state, steps, start, begins):
    return torch.where(begins, start, state), torch.where(begins, 0, steps)


check("18.5", restart)

# %% [markdown]
# ### Exercise 18.6: build it: reservoirs  (15 min)
# Build a simulator from words, the third way. Behind a dam lies a reservoir; rain fills it, a gate lets water out. It should
# be half full. Write a class `Reservoirs(EnvBase)`; `Reservoirs(count, days)` is `count` reservoirs (batch size
# `[count]`) whose episodes last `days` days at most.
#
# - `level`, the observation, float32 of shape `[count, 1]`, from 0 to 10; its spec says so. An episode begins
#   at a level between 4 and 6, all equally likely, drawn for each row.
# - `action`, float32 of shape `[count, 1]`, from 0 to 1: how far the gate is open. What lies beyond counts as the limit.
# - A step is a day. It rains between 0 and 2, all equally likely, drawn for each row and day; the gate lets out twice the
#   action. What is added and taken away adds up, then the level is cut to 0 and 10.
# - The reward is minus the distance of the *new* level from 5.
# - `terminated` where the new level is 0 or 10. `truncated` on day `days` of a row's own episode. `done` where one
#   of the two is.
# - All chance comes from a generator of the world's own, which `_set_seed` fills.
#
# Rows that are reset begin anew, at a level and with a clock of their own; the others do not notice. Where the state lies is up
# to you. The check plays, resets some rows, seeds, and at the end lets `check_simulator` play, too: use it on the way.
# <details><summary>Hint 1: specs</summary><code>Bounded(0.0, 10.0, [count, 1])</code> for the level,
# <code>Bounded(0.0, 1.0, [count, 1])</code> for the gate. A world with <code>truncated</code> needs a
# <code>done_spec</code> of three flags, as <code>drone_specs</code> has it.</details>
# <details><summary>Hint 2: a day</summary><code>2 * torch.rand(*self.batch_size, 1, generator=self.sky)</code> is the
# rain. <code>(level + rain - 2 * gate).clamp(0, 10)</code> is a new tensor, so nothing that was handed out
# changes.</details>
# <details><summary>Hint 3: ends</summary>After the cut a lost level <i>is</i> 0 or 10: <code>(level &lt;= 0) | (level &gt;=
# 10)</code>. Count the days of each row, shape <code>[count, 1]</code>.</details>
# <details><summary>Hint 4: some rows</summary>Exercise 18.5, with levels for states and days for steps;
# <code>begins</code> is <code>tensordict["_reset"]</code> where there is one, else True
# everywhere.</details>

# %% tags=["exercise"]
from torchrl.envs import EnvBase


class Reservoirs(EnvBase):
    # your code
    ...


check("18.6", Reservoirs)

# %% tags=["solution"]
import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


def reservoir_specs(env, count):
    names = ("done", "terminated", "truncated")
    flags = {name: Categorical(2, [count, 1], dtype=torch.bool) for name in names}
    env.observation_spec = Composite(level=Bounded(0.0, 10.0, [count, 1]), shape=[count])
    env.action_spec, env.reward_spec = Bounded(0.0, 1.0, [count, 1]), Unbounded([count, 1])
    env.done_spec = Composite(flags, shape=[count])


def from_the_sky(env):
    return 2 * torch.rand(*env.batch_size, 1, generator=env.sky)


def reservoir_look(env):
    lost, late = (env.level <= 0) | (env.level >= 10), env.day >= env.days
    seen = {"level": env.level.clone(), "done": lost | late}
    return TensorDict(seen | {"terminated": lost, "truncated": late}, env.batch_size)


# %% tags=["solution"]
class Reservoirs(EnvBase):
    def __init__(self, count, days):
        super().__init__(batch_size=[count])
        reservoir_specs(self, count)
        self.days, self.level, self.day = days, torch.zeros(count, 1), torch.zeros(count, 1)
        self.set_seed(0)

    def _set_seed(self, seed):
        self.sky = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        everyone = torch.ones(*self.batch_size, 1, dtype=torch.bool)
        begins = everyone if tensordict is None else tensordict.get("_reset", everyone)
        self.level = torch.where(begins, 4 + from_the_sky(self), self.level)
        self.day = torch.where(begins, 0.0, self.day)
        return reservoir_look(self)

    def _step(self, tensordict):
        level = self.level + from_the_sky(self) - 2 * tensordict["action"].clamp(0, 1)
        self.level, self.day = level.clamp(0, 10), self.day + 1
        return reservoir_look(self).set("reward", -(self.level - 5).abs())


check("18.6", Reservoirs)

# %% [markdown]
# Does it matter who is at the gate? Below a gate that is always half open, which lets out as much as rains on
# average, and one that looks at the level. Both play in the `Reservoirs` that were defined last. Predict: how many of 256
# reservoirs are lost within 100 days?

# %% tags=["solution"]
rules = {
    "always half open": lambda level: torch.full_like(level, 0.5),
    "by the level": lambda level: ((level - 5) / 2 + 0.5).clamp(0, 1),
}
for name, rule in rules.items():
    dams = Reservoirs(256, 100)
    dams.set_seed(seed)
    td, lost = dams.reset(), torch.zeros(256, 1, dtype=torch.bool)
    for _ in range(100):
        step, td = dams.step_and_maybe_reset(td.set("action", rule(td["level"])))
        lost = lost | step["next", "terminated"]
    print(f"{name}: {int(lost.sum())} of 256 lost")

# %% [markdown]
# ## What you can do now
#
# You can find out what a family of environments wants before you install it, and answer five questions about any world
# before an agent learns in it. You know the chain from a spec to a loss, for actions of several parts and with
# masks. You can load a record and prove that it is what was written, bring your own simulator
# along and have it examined, and say which of the frames an agent looks at decide.
#
# **Try next:** take a simulator, a game or a file of records from your own work, and answer the five questions about it.
# Which of them did you not expect to be hard?
#
# Next: [{{next title}}]({{next file}}).
