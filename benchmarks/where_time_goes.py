"""Where the seconds of lesson 07's act two go, and how near its loop comes to what the machine allows.

Each repeat measures, one after another on one core: the lesson's loop without validation, the least that the same
frames and updates can cost, the same frames and updates in Stable-Baselines3 (SB3), and, part by part, one real run.
"""

from __future__ import annotations

import functools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from benchmarks import dqn_cartpole, peers
from benchmarks.group import Group

FRAMES = 5_120
COLLECTING = "collector"
REST = "the rest of the loop"


class Stopwatch:
    """Tells how the time of a run is shared out: each part's own time, without the parts it calls.

    Attributes:
        seconds: for each part.
        calls: for each part.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._open: list[tuple[str, list[float]]] = []
        self._blind = 0

    def part(self, name: str, function: Callable, *, within: str = "", whole: bool = False) -> Callable:
        """`function`, timed from now on.

        Args:
            name: of the part.
            function: what to time.
            within: count calls only while this part is the one that runs.
            whole: count all it calls as its own.
        """

        @functools.wraps(function)
        def timed(*args, **kwargs):
            if self._blind or (within and (not self._open or self._open[-1][0] != within)):
                return function(*args, **kwargs)
            inner: list[float] = []
            self._open.append((name, inner))
            self._blind += whole
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                self._blind -= whole
                self._open.pop()
                self.seconds[name] += spent - sum(inner)
                self.calls[name] += 1
                if self._open:
                    self._open[-1][1].append(spent)

        return timed


@contextmanager
def replaced(owner: object, attribute: str, value: object) -> Iterator[None]:
    mine = attribute in vars(owner)
    before = getattr(owner, attribute)
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        if mine:
            setattr(owner, attribute, before)
        else:
            delattr(owner, attribute)


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


def by_part(seed: int, frames: int | None = None) -> dict:
    """One real run of act two, from its start to its stop, with each part timed.

    Args:
        seed: of the run.
        frames: where it ends at the latest; the lesson's own cap if not given.

    Returns:
        `parts`: seconds for each part, `frames`, and `seconds` of the whole run; what no part accounts for is `REST`.
    """
    watch, space = Stopwatch(), dqn_cartpole.definitions(seed)
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
    return {
        "frames": run.frames,
        "seconds": round(seconds, 3),
        "parts": {name: round(share, 4) for name, share in spent.items()},
    }


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
    model, _ = peers.same_recipe(seed, lesson)
    peers.quiet(model)
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
    optimiser = torch.optim.Adam(online.parameters(), lr=settings.learning_rate)
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


def measure(seed: int, frames: int = FRAMES) -> dict:
    """One repeat of all four.

    Raises:
        RuntimeError: SB3 did not do the same number of updates as the lesson, so their seconds cannot be compared.
    """
    peers.warm_up(peers.OURS), peers.warm_up(peers.SAME_RECIPE)
    settings = dqn_cartpole.definitions(seed)["settings"]
    ours, updates = lesson_loop(seed, frames)
    stepping, updating = raw_stepping(settings, frames), raw_updates(settings, updates)
    theirs, their_updates = sb3_loop(seed, frames)
    if updates != their_updates:
        raise RuntimeError(f"The lesson made {updates} updates and SB3 {their_updates}: not the same work.")
    return {
        "frames": frames,
        "updates": updates,
        "lesson": round(ours, 4),
        "raw stepping": round(stepping, 4),
        "raw updates": round(updating, 4),
        "SB3": round(theirs, 4),
        "run": by_part(seed),
    }


GROUP = Group(
    file="time",
    jobs=lambda count: [("act two", seed) for seed in dqn_cartpole.seeds(count)],
    measure=lambda arm, seed: {arm: measure(seed)},
    arms=lambda: ["act two"],
    code=dqn_cartpole.recipe_code,
    repeats=5,
    pinned=True,
)
