"""Whether a stack of frames decides in lesson 18's small game of pixels, and what Atari would cost on one core."""

from __future__ import annotations

import statistics
import time
from copy import deepcopy

from benchmarks import store
from benchmarks.group import Group
from benchmarks.lesson_code import FIRST_SEED, named_code, run_code, seeds
from benchmarks.section import Arms, Section, table

WEIGHTS = "18_pixels_{looks}.pt"
LOOKS = {"one frame": 1, "two frames": 2, "four frames": 4}
UPDATES, HALFWAY = 600, 300
GAMES, EXAM_SEED = 500, 600_000_000
ATARI_STEPS, ATARI_UPDATES = 50_000_000, 12_500_000  # of Mnih et al. (2015): a step is four frames of the game


def code() -> str:
    """The lesson's cells that define the game, the agent, its training, and the exam."""
    names = ["sizes", "road", "move", "make-road", "hen", "update", "learn", "judge", "hide"]
    return named_code("18_worlds_and_records", *(f"18-{name}" for name in names))


def measure(arm: str, seed: int) -> dict[str, dict]:
    """One training, or what Atari costs.

    The weights of the first seed are kept beside the stored results: the lesson loads them.

    Returns:
        For a training: `curve`, [updates, rows gained a game] every 50 updates; `exam`, rows gained in fresh games;
        `hidden`, the same with one frame hidden, from the newest to the oldest; the processor's seconds.
        For Atari: steps a core second by TorchRL's transforms and by ale-py's vector environment, and core seconds of
        one update of the DQN of Mnih et al. (2015).
    """
    import torch

    torch.set_num_threads(1)
    return {arm: atari() if arm == "Atari" else training(arm, seed)}


def training(arm: str, seed: int) -> dict:
    import torch

    space, looks, curve, kept = run_code("import torch\n" + code(), seed), LOOKS[arm], [], {}
    torch.manual_seed(seed)
    began, hen = time.process_time(), space["make_hen"](looks)

    def weights() -> dict:
        return deepcopy(hen).half().state_dict()

    def watch(update: int) -> None:
        with torch.random.fork_rng():
            curve.append([update, round(space["rows_gained"](space["play_road"](hen, looks)), 2)])
        if update == HALFWAY:
            kept["halfway"] = weights()

    space["learn"](hen, looks, UPDATES, seed, watch=watch)
    seconds = round(time.process_time() - began, 1)
    kept["trained"] = weights()
    if seed == FIRST_SEED:
        torch.save(kept, store.RESULTS / WEIGHTS.format(looks=looks))

    def exam(agent) -> float:
        return round(space["rows_gained"](space["play_road"](agent, looks, GAMES, EXAM_SEED)), 2)

    hidden = [exam(space["blinkered"](hen, age)) for age in range(looks)] if looks > 1 else []
    return {"curve": curve, "exam": exam(hen), "hidden": hidden, "cpu_seconds": seconds}


def atari() -> dict:
    import ale_py
    import gymnasium as gym
    import torch
    from ale_py.vector_env import AtariVectorEnv
    from torch.nn import functional
    from torchrl.envs import CatFrames, Compose, GrayScale, GymEnv, ToTensorImage, TransformedEnv, UnaryTransform

    gym.register_envs(ale_py)

    def shrink(pixels):
        return functional.interpolate(pixels.unsqueeze(0), (84, 84), mode="area").squeeze(0)

    chain = Compose(
        ToTensorImage(), GrayScale(), UnaryTransform(["pixels"], ["pixels"], fn=shrink), CatFrames(N=4, dim=-3)
    )
    env = TransformedEnv(GymEnv("ALE/Pong-v5", from_pixels=True, pixels_only=True), chain)
    env.rollout(20)
    steps = 300
    began = time.process_time()
    env.rollout(steps, break_when_any_done=False)
    by_torchrl = steps / (time.process_time() - began)

    games = AtariVectorEnv(game="pong", num_envs=8, num_threads=1)
    games.reset(seed=0)
    began = time.process_time()
    for _ in range(100):
        games.step(torch.randint(6, (8,)).numpy())
    by_vector = 800 / (time.process_time() - began)
    return {"torchrl": round(by_torchrl), "vector": round(by_vector), "update": round(update_seconds(), 4)}


def update_seconds(times: int = 30) -> float:
    """Core seconds of one update of the DQN of Mnih et al. (2015): 32 transitions of four pictures of 84 by 84."""
    import torch
    from tensordict import TensorDict
    from torchrl.data import Categorical
    from torchrl.modules import MLP, ConvNet, QValueActor
    from torchrl.objectives import DQNLoss

    eyes = ConvNet(in_features=4, num_cells=[32, 64, 64], kernel_sizes=[8, 4, 3], strides=[4, 2, 1])
    brain = MLP(in_features=3136, out_features=6, num_cells=[512], activation_class=torch.nn.ReLU)
    actor = QValueActor(torch.nn.Sequential(eyes, brain), in_keys=["pixels"], spec=Categorical(6))
    loss = DQNLoss(actor, delay_value=True)
    optimiser = torch.optim.Adam(loss.parameters())
    pixels, ends = torch.rand(32, 4, 84, 84), torch.zeros(32, 1, dtype=torch.bool)
    after = {"pixels": pixels, "reward": torch.rand(32, 1), "done": ends, "terminated": ends}
    batch = TensorDict({"pixels": pixels, "action": torch.randint(6, (32,)), "next": after}, [32])
    for update in range(times + 3):
        if update == 3:
            began = time.process_time()
        optimiser.zero_grad()
        loss(batch)["loss"].backward()
        optimiser.step()
    return (time.process_time() - began) / times


def tell(section: Section, arms: Arms) -> None:
    rows, exams = [], {}
    for arm in LOOKS:
        runs = arms.get(arm, {})
        exams[arm] = sorted(run["exam"] for run in runs.values())
        half = sorted(run["curve"][len(run["curve"]) // 2 - 1][1] for run in runs.values())
        seconds = [run["cpu_seconds"] for run in runs.values()]
        if runs:
            rows.append([arm, *(", ".join(f"{one:.1f}" for one in many) for many in (half, exams[arm], seconds))])
    one, four = exams["one frame"], exams["four frames"]
    if one and four:
        section.answer(
            f"Rows gained a game: {four[0]:.1f} to {four[-1]:.1f} by {len(four)} agents that see four frames, "
            f"{one[0]:.1f} to {one[-1]:.1f} by {len(one)} that see one."
        )
    section.say(table(["", "rows gained after half of the updates", "rows gained in the exam", "core seconds"], rows))
    hidden = [run["hidden"] for run in arms.get("four frames", {}).values()]
    if hidden:
        means = [statistics.mean(column) for column in zip(*hidden, strict=True)]
        section.say(
            "The agents with four frames, when one frame is hidden from them, from the newest to the oldest: "
            + ", ".join(f"{mean:.1f}" for mean in means)
            + " rows in the mean."
        )
    for found in arms.get("Atari", {}).values():
        updates, steps = ATARI_UPDATES * found["update"] / 3600, ATARI_STEPS / found["vector"] / 3600
        section.say(
            "**Why not Atari.** Pong at 84 by 84, four frames in a stack, each action played for four: "
            f"{found['torchrl']:,} steps a core second by TorchRL's transforms, {found['vector']:,} by ale-py's vector "
            f"environment; one update of the DQN of Mnih et al. (2015) takes {found['update']:.3f} core seconds. Their "
            f"{ATARI_UPDATES:,} updates and {ATARI_STEPS:,} steps would take {updates:,.0f} and {steps:,.0f} hours of "
            "this core."
        )
    section.measured(
        f"Lesson 18's cells: {UPDATES} updates of DQN with 128 roads at once; the exam are {GAMES} fresh games of 50 "
        f"steps, greedily. The weights of seed {FIRST_SEED} are kept in `{WEIGHTS.format(looks='<frames>')}`."
    )
    section.limits(
        "One small game and one recipe, whose settings were found with four frames (seed 0). An agent with one frame "
        "might do better with settings of its own. Seconds were measured while other programs ran: they are the "
        "processor's, and still some longer than on a quiet machine."
    )


GROUP = Group(
    name="pixel_game",
    order=173,
    question="Do the frames decide, in a small game of pixels?",
    tell=tell,
    file="18_pixel_game",
    jobs=lambda count: [
        ("Atari", FIRST_SEED),
        *((arm, seed) for seed in seeds(count) for arm in sorted(LOOKS, key=LOOKS.get, reverse=True)),
    ],
    measure=measure,
    arms=lambda: [*LOOKS, "Atari"],
    code=code,
    repeats=3,
    alone=False,
)
