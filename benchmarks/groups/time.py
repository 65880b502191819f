"""Where the seconds of lesson 07's act two go, and how near its loop comes to what the machine allows.

Each repeat measures, one after another on one core: the lesson's loop without validation, the least that the same
frames and updates can cost, the same frames and updates in Stable-Baselines3 (SB3), part by part one real run, and its
judge on the agent that came of it. Both loops are then run once more under a profiler.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import SimpleNamespace

import gymnasium as gym
import matplotlib.pyplot as plt
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from matplotlib.figure import Figure

from benchmarks import dqn_cartpole, sb3_cartpole
from benchmarks.figures import heights
from benchmarks.group import Group
from benchmarks.lesson_code import seeds
from benchmarks.section import Arms, Section, counted, per_cent, table, upper
from benchmarks.stopwatch import Stopwatch, replaced
from benchmarks.whose_time import whose_time
from course_utils.views.plotting import PALETTE, use_course_style

FRAMES = 5_120
COLLECTING = "collector"
REST = "the rest of the loop"


def parts() -> list[tuple[str, object, str, str]]:
    """The parts of the loop: name, and whose method it is; the last entry as `within` in `Stopwatch.part`."""
    from tensordict.nn import TensorDictSequential
    from torchrl.collectors import Collector
    from torchrl.data import TensorDictReplayBuffer
    from torchrl.envs import EnvBase
    from torchrl.objectives import DQNLoss, HardUpdate

    return [
        (COLLECTING, Collector, "rollout", ""),
        ("environment", SyncVectorEnv, "step", ""),
        ("environment wrapper", EnvBase, "step_and_maybe_reset", COLLECTING),
        ("policy", TensorDictSequential, "forward", COLLECTING),
        ("extend", TensorDictReplayBuffer, "extend", ""),
        ("sample", TensorDictReplayBuffer, "sample", ""),
        ("loss", DQNLoss, "forward", ""),
        ("backward", torch.Tensor, "backward", ""),
        ("clip", torch.nn.utils, "clip_grad_norm_", ""),
        ("optimiser", torch.optim.Adam, "step", ""),
        ("optimiser", torch.optim.Adam, "zero_grad", ""),
        ("target update", HardUpdate, "step", ""),
    ]


def by_part(space: dict, seed: int, frames: int | None = None) -> tuple[dict, SimpleNamespace]:
    """One real run of act two, from its start to its stop, with each part timed.

    Args:
        space: what the lesson defines.
        seed: of the run.
        frames: where it ends at the latest; the lesson's own cap if not given.

    Returns:
        `parts`: seconds for each part, `frames`, and `seconds` of the whole run; what no part accounts for is `REST`.
        And the run, with its best weights.
    """
    watch = Stopwatch()
    space["validate"] = watch.part("evaluation", space["validate"], whole=True)
    with ExitStack() as stack:
        for name, owner, attribute, within in parts():
            timed = watch.part(name, getattr(owner, attribute), within=within)
            stack.enter_context(replaced(owner, attribute, timed))
        start = time.perf_counter()
        run = space["build"](seed)
        space["train"](run, frames or space["settings"].max_frames)
        seconds = time.perf_counter() - start
    spent = dict.fromkeys([name for name, *_ in parts()] + ["evaluation"], 0.0) | watch.seconds
    spent[REST] = seconds - sum(spent.values())
    run.agent.load_state_dict(run.best_weights)
    facts = {
        "frames": run.frames,
        "seconds": round(seconds, 3),
        "parts": {name: round(share, 4) for name, share in spent.items()},
    }
    return facts, run


def plainest_judge(network: torch.nn.Module, episodes: int, seed: int) -> None:
    """The same steps as the lesson's quick judge for an agent that never falls, and nothing besides."""
    envs = gym.make_vec("CartPole-v1", episodes, "vector_entry_point")
    seen, _ = envs.reset(seed=seed)
    for _ in range(500):
        with torch.no_grad():
            action = network(torch.from_numpy(seen)).argmax(-1)
        seen, *_ = envs.step(action.numpy())


def judges(space: dict, run: SimpleNamespace) -> dict[str, float]:
    """Milliseconds a step of three judges of 32 copies; the median of five turns, in which one follows the other."""
    spent: dict[str, list[float]] = {}
    for turn in range(5):
        for name, judge, judged in [
            ("plainest", plainest_judge, run.network),
            ("greedy_returns", space["greedy_returns"], run.network),
            ("evaluate", space["evaluate"], run.agent),
        ]:
            start = time.perf_counter()
            returns = judge(judged, 32, 700_000_000 + turn)
            steps = 500 if returns is None else float(returns.max())
            spent.setdefault(name, []).append(1_000 * (time.perf_counter() - start) / steps)
    return {name: round(statistics.median(each), 4) for name, each in spent.items()}


def lesson_loop(seed: int, frames: int) -> tuple[float, int]:
    """The lesson's loop over so many frames, not validated and so never stopped: seconds and updates."""
    space, blocks = dqn_cartpole.definitions(seed), []
    space["validate"] = lambda run: blocks.append(run.frames) or 0.0  # once after each block of updates
    start = time.perf_counter()
    space["train"](space["build"](seed), frames)
    return time.perf_counter() - start, len(blocks) * space["settings"].updates


def sb3_loop(seed: int, frames: int) -> tuple[float, int]:
    """The same frames and updates in SB3."""
    lesson = dqn_cartpole.definitions(seed)
    start = time.perf_counter()
    model, _ = sb3_cartpole.same_recipe(seed, lesson)
    sb3_cartpole.quiet(model)
    model.learn(frames)
    return time.perf_counter() - start, model._n_updates


def raw_stepping(settings, frames: int) -> float:
    """Seconds to step Gymnasium's vector of environments so often, with random actions, and nothing else."""
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = gym.make_vec("CartPole-v1", settings.envs, "sync", vector_kwargs=autoreset)
    envs.reset(seed=0)
    actions = torch.randint(2, (frames // settings.envs, settings.envs)).numpy()
    start = time.perf_counter()
    for action in actions:
        envs.step(action)
    return time.perf_counter() - start


def raw_updates(settings, updates: int) -> float:
    """Seconds for so many updates of the same sizes in plain PyTorch: the arithmetic of DQN, on made-up frames."""

    def network() -> torch.nn.Sequential:
        width = settings.width
        layers = [torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU()]
        return torch.nn.Sequential(*layers, torch.nn.Linear(width, 2))

    online, target = network(), network()
    optimiser = torch.optim.Adam(online.parameters(), lr=settings.learning_rate, fused=True)
    size = FRAMES
    seen, following = torch.randn(size, 4), torch.randn(size, 4)
    action, reward = torch.randint(2, (size, 1)), -(torch.rand(size) < 0.05).float()
    start = time.perf_counter()
    for number in range(updates):
        batch = torch.randint(size, (settings.batch_size,))
        with torch.no_grad():
            best = target(following[batch]).max(1).values
        wanted = reward[batch] + settings.gamma * best * (reward[batch] == 0)
        loss = torch.nn.functional.mse_loss(online(seen[batch]).gather(1, action[batch]).squeeze(1), wanted)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(online.parameters(), 10.0)
        optimiser.step()
        if number % settings.target_every == 0:
            target.load_state_dict(online.state_dict())
    return time.perf_counter() - start


def one_repeat(seed: int, frames: int) -> dict:
    """One repeat of all four.

    Raises:
        RuntimeError: SB3 did not do the same number of updates as the lesson, so their seconds cannot be compared.
    """
    dqn_cartpole.warm_up()
    sb3_cartpole.warm_up(sb3_cartpole.same_recipe)
    space = dqn_cartpole.definitions(seed)
    settings = space["settings"]
    ours, updates = lesson_loop(seed, frames)
    stepping, updating = raw_stepping(settings, frames), raw_updates(settings, updates)
    theirs, their_updates = sb3_loop(seed, frames)
    if updates != their_updates:
        raise RuntimeError(f"The lesson made {updates} updates and SB3 {their_updates}: not the same work.")
    in_parts, run = by_part(space, seed)
    loops = {"lesson 07": lesson_loop, "SB3": sb3_loop}
    return {
        "frames": frames,
        "updates": updates,
        "lesson": round(ours, 4),
        "raw stepping": round(stepping, 4),
        "raw updates": round(updating, 4),
        "SB3": round(theirs, 4),
        "run": in_parts,
        "judges": judges(space, run),
        "whose": {name: whose_time(lambda loop=loop: loop(seed, frames)) for name, loop in loops.items()},
    }


def measure(arm: str, seed: int) -> dict[str, dict]:
    return {arm: one_repeat(seed, FRAMES)}


# What is said and drawn


def repeats_of(arms: Arms) -> list[dict]:
    return list(arms["act two"].values()) if arms else []


def loop_ratios(repeats: Sequence[dict]) -> dict[str, list[float]]:
    """The lesson's loop without validation, as a multiple of the least possible and of SB3, for each repeat."""
    return {
        "bound": [repeat["lesson"] / (repeat["raw stepping"] + repeat["raw updates"]) for repeat in repeats],
        "SB3": [repeat["lesson"] / repeat["SB3"] for repeat in repeats],
    }


def median_over(repeats: Sequence[dict], fact: str) -> float:
    return statistics.median(repeat[fact] for repeat in repeats)


def judge_ratios(repeats: Sequence[dict]) -> dict[str, list[float]]:
    """Seconds a step of the lesson's two judges, as a multiple of the plainest loop's, for each repeat."""
    names = ("greedy_returns", "evaluate")
    return {name: [each["judges"][name] / each["judges"]["plainest"] for each in repeats] for name in names}


def quick_judge(repeats: Sequence[dict]) -> list[float]:
    return judge_ratios(repeats)["greedy_returns"]


def validation_share(repeats: Sequence[dict]) -> list[float]:
    """Validation's share of a whole run of act two, for each repeat."""
    return [repeat["run"]["parts"]["evaluation"] / repeat["run"]["seconds"] for repeat in repeats]


def whose_rows(repeats: Sequence[dict]) -> list[list[str]]:
    """For each library its share of both loops; medians, and what has less than one per cent of both left out."""
    loops = list(repeats[0]["whose"])
    libraries = dict.fromkeys(name for loop in loops for name in repeats[0]["whose"][loop])

    def share(library: str, loop: str) -> float:
        return statistics.median(repeat["whose"][loop].get(library, 0.0) for repeat in repeats)

    found = {library: [share(library, loop) for loop in loops] for library in libraries}
    return [[name, *map(per_cent, each)] for name, each in found.items() if max(each) >= 0.01]


def times(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"


def loops_figure(repeats: Sequence[dict]) -> tuple[Figure, str]:
    """Seconds of the lesson's loop, of SB3's and of the least possible, for the same frames and updates."""
    use_course_style()
    figure, axes = plt.subplots(figsize=(8, 2.6))
    stepping, updates, ours, theirs = (
        [repeat[name] for repeat in repeats] for name in ("raw stepping", "raw updates", "lesson", "SB3")
    )
    least = [a + b for a, b in zip(stepping, updates, strict=True)]
    rows = {"the least possible": least, "lesson 07": ours, "SB3, the same recipe": theirs}
    medians = [statistics.median(values) for values in rows.values()]
    axes.barh(list(rows), medians, color=PALETTE["sky"])
    for row, (name, values) in enumerate(rows.items()):
        label = f"  {medians[row]:.2f} s, {medians[row] / medians[0]:.1f} x"
        axes.text(max(values), row, label, verticalalignment="center")
        axes.scatter(values, heights(row, len(values)), color="black", s=9, gid=name, zorder=3)
    axes.set(
        xlabel="seconds without validation (a dot: one repeat)", xlim=(0, 1.35 * max(max(v) for v in rows.values()))
    )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    words = ", ".join(f"{name} {median:.2f}" for name, median in zip(rows, medians, strict=True))
    return figure, f"Bars. Median seconds for the same frames and updates: {words}."


def shares(repeats: Sequence[dict]) -> dict[str, tuple[float, float]]:
    """For each part its mean seconds in a run, and its share of all seconds of all runs."""
    total = sum(repeat["run"]["seconds"] for repeat in repeats)
    spent = {
        name: sum(repeat["run"]["parts"].get(name, 0.0) for repeat in repeats) for name in repeats[0]["run"]["parts"]
    }
    return {name: (seconds / len(repeats), seconds / total) for name, seconds in spent.items()}


def parts_figure(repeats: Sequence[dict]) -> tuple[Figure, str]:
    """Where the seconds of a run go, part by part."""
    use_course_style()
    found = shares(repeats)
    figure, axes = plt.subplots(figsize=(8, 4.2))
    bars = axes.barh(list(found), [100 * share for _, share in found.values()], color=PALETTE["sky"])
    axes.bar_label(bars, [f"{seconds:.2f} s, {100 * share:.0f} %" for seconds, share in found.values()], padding=4)
    axes.set(xlabel="share of a run's seconds (%)", xlim=(0, 125 * max(share for _, share in found.values())))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    words = ", ".join(f"{name} {100 * share:.0f} %" for name, (_, share) in found.items())
    return figure, f"Bars. Share of a run's seconds: {words}."


def tell(section: Section, arms: Arms) -> None:
    repeats = repeats_of(arms)
    found, ratios, judges_of = shares(repeats), loop_ratios(repeats), judge_ratios(repeats)
    section.show("parts", parts_figure(repeats))
    largest = sorted(found, key=lambda name: -found[name][1])[:3]
    section.answer(
        "Most of a run's seconds go into "
        + ", ".join(f"{name} ({per_cent(found[name][1])})" for name in largest)
        + ". How near is the loop, without validation, to what the machine allows?"
    )
    section.show("loops", loops_figure(repeats))
    section.say(
        f"The lesson's loop takes {times(ratios['bound'])} the least possible ("
        f"{median_over(repeats, 'raw stepping'):.2f} s of stepping, {median_over(repeats, 'raw updates'):.2f} s of "
        f"updates), and {times(ratios['SB3'])} the seconds of "
        "Stable-Baselines3 for the same frames and updates (median and range over the repeats).",
        table(
            ["part", "seconds in a run (mean)", "share"],
            [[name, f"{seconds:.3f}", per_cent(share)] for name, (seconds, share) in found.items()],
        ),
        "Validation is quick because its judge is near the plainest loop over Gymnasium's vectorised CartPole. For a "
        f"step of 32 copies it takes {times(judges_of['greedy_returns'])} its seconds, and a rollout with tensordicts, "
        f"as in the exam, {times(judges_of['evaluate'])}.",
        "And whose are the seconds of the two loops? Under Python's profiler:",
        table(["whose code", *repeats[0]["whose"]], whose_rows(repeats)),
    )
    section.measured(
        f"{counted(len(repeats), 'repeat')}, in each of them all one after the other on one pinned core with one "
        f"thread: the lesson's loop over {repeats[0]['frames']:,} frames without validation; the least possible, which "
        "is to step Gymnasium's vector of environments so often and to do the same "
        f"{repeats[0]['updates']:,} updates of the same sizes in plain PyTorch; the same frames and updates in "
        "Stable-Baselines3; one whole run of act two with a stopwatch around each part, validation (*evaluation*) "
        "included; five turns of each judge on the agent that came of it; and both loops once more under `cProfile`. A "
        "part's time is its own, without the parts it calls: *collector* is what the collector adds to "
        f"policy and environment. *{upper(REST)}* is what no stopwatch saw."
    )
    section.limits(
        "A profiler makes each call longer, so libraries of many small functions look dearer than they are. "
        "The stopwatches themselves cost about a microsecond a call. The least possible is not quite reachable: it "
        "neither stores frames nor asks the policy."
    )


GROUP = Group(
    name="time",
    order=140,
    question="Where does the time go?",
    tell=tell,
    file="time",
    jobs=lambda count: [("act two", seed) for seed in seeds(count)],
    measure=measure,
    arms=lambda: ["act two"],
    code=dqn_cartpole.recipe_code,
    repeats=5,
    pinned=True,
    only_seconds=True,
)
