"""IMPALA on CartPole, on one core or on a Ray cluster: `make_collector` is the only function that knows which.

    python train.py --collector single
    python train.py --collector ray --workers 8 --checkpoint /shared/run.pt

The same line, started again, goes on from its checkpoint. Lesson 12 explains every part.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.envs import ExplorationType, GymWrapper, Transform, set_exploration_type
from torchrl.modules import MLP, ProbabilisticActor, ValueOperator
from torchrl.objectives import A2CLoss
from torchrl.objectives.value.functional import vtrace_advantage_estimate

COPIES = 16  # CartPoles side by side in each worker
STEPS = 32  # of each of them in a batch
ROWS = 4  # CartPoles in an update; every frame is used once
RATES = [2e-3, 5e-3]  # learning rates of actor and critic at the start; they fall in a straight line to a twentieth
GAMMA = 0.99
REWARD_SCALE = 0.1  # the critic's targets stay below 10

KINDS = ["single", "sync", "async", "ray", "distributed", "rpc"]
REBUILT = ["sync", "async", "ray"]  # torch.distributed starts once in a process, so the other two cannot be
RAY_STARTS = 3  # Ray gives itself 30 seconds to start, too few for a machine that is busy
STOPPED = 3  # exit status of a run that lost its workers and left a checkpoint


# The environment and the learner: what stands in the lesson


class Wait(Transform):
    """Makes every step last so many seconds more, as in a simulator that is slow."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def _step(self, tensordict, next_tensordict):
        time.sleep(self.seconds)
        return next_tensordict


def make_env(seed: int, copies: int = COPIES, step_seconds: float = 0.0):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = GymWrapper(
        gym.make_vec("CartPole-v1", copies, "sync", vector_kwargs=autoreset), categorical_action_encoding=True
    )
    envs.set_seed(seed)
    return envs.append_transform(Wait(step_seconds)) if step_seconds else envs


def network(outputs: int) -> MLP:
    return MLP(4, outputs, num_cells=[64, 64], activation_class=torch.nn.Tanh)


def build(seed: int) -> SimpleNamespace:
    """An agent that has learned nothing yet.

    Its `player` is what workers get: the actor, and a layer that writes into each frame how many batches its weights
    had been trained on.
    """
    torch.manual_seed(seed)
    run = SimpleNamespace(seed=seed, frames=0, batches=0)
    run.actor = ProbabilisticActor(
        TensorDictModule(network(2), ["observation"], ["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    run.age = torch.nn.Linear(4, 1).requires_grad_(False)
    torch.nn.init.zeros_(run.age.weight)
    torch.nn.init.zeros_(run.age.bias)
    run.player = TensorDictSequential(run.actor, TensorDictModule(run.age, ["observation"], ["trained_on"]))
    run.critic = ValueOperator(network(1), in_keys=["observation"])
    run.loss = A2CLoss(run.actor, run.critic, entropy_coeff=0.01, critic_coeff=0.5, loss_critic_type="l2")
    run.optimiser = torch.optim.Adam([{"params": part.parameters()} for part in (run.actor, run.critic)])
    return run


def with_advantages(run: SimpleNamespace, rows):
    """Write V-trace's targets and advantages (these without their mean) into rows of shape [copies, steps].

    The function, not torchrl's `VTrace`: that asks (0.14) how likely the actor's favourite action is now, not the one
    that was taken.
    """
    with torch.no_grad():
        log_pi = run.actor.get_dist(rows).log_prob(rows["action"])
        advantage, rows["value_target"] = vtrace_advantage_estimate(
            GAMMA,
            log_pi.unsqueeze(-1),
            rows["action_log_prob"].unsqueeze(-1),
            run.critic(rows.clone())["state_value"],
            run.critic(rows["next"].clone())["state_value"],
            REWARD_SCALE * rows["next", "reward"],
            *(rows["next", name] for name in ["done", "terminated"]),
        )
    rows["advantage"] = advantage - advantage.mean()  # what the critic is wrong by everywhere pushes nowhere
    return rows


def learn(run: SimpleNamespace, batch, share_done: float) -> None:
    """Learn from every frame of a batch, of shape [..., STEPS], once.

    V-trace looks anew before each update how far the actor has come from the one that played.
    """
    from course_utils import stop_on_nan

    for group, rate in zip(run.optimiser.param_groups, RATES, strict=True):
        group["lr"] = rate * max(0.05, 1 - share_done)
    rows = batch.reshape(-1, STEPS)
    for part in rows[torch.randperm(len(rows))].split(ROWS):
        frames = with_advantages(run, part).reshape(-1)
        losses = run.loss(frames)
        total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
        stop_on_nan(total, frames, run.loss, at=f"frame {run.frames}")
        run.optimiser.zero_grad()
        total.backward()
        for group in run.optimiser.param_groups:  # a clip each: else the critic's gradient shrinks the actor's
            torch.nn.utils.clip_grad_norm_(group["params"], max_norm=1.0)
        run.optimiser.step()
    run.frames += batch.numel()
    run.batches += 1
    run.age.bias.fill_(run.batches)


def evaluate(run: SimpleNamespace, episodes: int = 100) -> float:
    """Mean return of so many fresh episodes, played greedily."""
    envs = make_env(1_000_000_000 + run.seed, copies=episodes)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = envs.rollout(500, run.actor, break_when_all_done=True)
    done = rollout["next", "done"]
    first = done.cumsum(1) - done.int() == 0
    return (rollout["next", "reward"] * first).sum(1).mean().item()


# The collector: all that changes on the way from one process to a cluster


def make_collector(options: argparse.Namespace, run: SimpleNamespace):
    """A collector of the kind asked for.

    Each of them hands over batches of shape [..., STEPS], and sends its workers the newest weights by itself.
    """
    from torchrl import collectors
    from torchrl.collectors import distributed

    seeds = [1_000 * run.seed + run.frames + 100_000_000 * worker for worker in range(options.workers)]
    envs = [functools.partial(make_env, seed, step_seconds=options.step_seconds) for seed in seeds]
    frames = COPIES * STEPS
    common = {"policy": run.player, "total_frames": 1_000_000 * frames * options.workers}  # the learner ends it
    transforms = {"auto_register_policy_transforms": False}
    local = common | transforms
    if options.collector == "single":
        return collectors.Collector(envs[0], frames_per_batch=frames, **local)
    if options.collector == "sync":
        return collectors.MultiSyncCollector(
            envs, frames_per_batch=frames * options.workers, cat_results="stack", **local
        )
    if options.collector == "async":
        return collectors.MultiAsyncCollector(envs, frames_per_batch=frames, **local)
    if options.collector == "ray":
        collector = distributed.RayCollector(
            envs,
            frames_per_batch=frames,
            collector_kwargs=transforms,
            remote_configs={"num_cpus": 1, "resources": {options.resource: 1} if options.resource else None},
            update_after_each_batch=True,
            **common,
        )
        collector.update_policy_weights_()
        return collector
    stay_on_this_machine()
    launched = {"launcher": "mp", "tcp_port": options.port, "frames_per_batch": frames, "collector_kwargs": transforms}
    if options.collector == "distributed":
        return distributed.DistributedCollector(envs, update_interval=1, **launched, **common)
    return distributed.RPCCollector(envs, update_after_each_batch=True, **launched, **common)


def stay_on_this_machine() -> None:
    """Let torch.distributed and its RPC listen on 127.0.0.1 alone.

    Their stores listen on all addresses and ask nobody for a key, and whoever reaches an RPC agent can run code in it.

    Source: https://docs.pytorch.org/docs/stable/notes/security.html
    """
    from torch import distributed

    interface = next(name for _, name in socket.if_nameindex() if name in ("lo", "lo0"))
    os.environ |= {"GLOO_SOCKET_IFNAME": interface, "TP_SOCKET_IFNAME": interface}

    opened = {}  # by port; who asks for one a second time shares it, as with torch's own

    class LocalStore(distributed.TCPStore):
        def __init__(self, host_name, port, world_size=None, is_master=False, *args, **options) -> None:
            is_master = is_master and port not in opened
            if is_master:
                opened[port] = self
                options["master_listen_fd"] = socket.create_server(("127.0.0.1", port)).detach()
            super().__init__("127.0.0.1", port, world_size, is_master, *args, **options)

    rendezvous = importlib.import_module("torch.distributed.rendezvous")  # the package has a function of this name
    distributed.TCPStore = rendezvous.TCPStore = LocalStore


# Checkpoints


def save(run: SimpleNamespace, path: Path) -> None:
    from course_utils import save_checkpoint

    parts = {name: getattr(run, name).state_dict() for name in ["loss", "optimiser"]}
    counts = {name: getattr(run, name) for name in ["seed", "frames", "batches"]}
    save_checkpoint(parts | counts | {"random": torch.get_rng_state()}, path)


def load(path: Path) -> SimpleNamespace:
    from course_utils import load_checkpoint
    from course_utils.runs.checkpoint import CheckpointError

    state = load_checkpoint(path)
    run = build(state["seed"])
    try:
        run.loss.load_state_dict(state["loss"])
        run.optimiser.load_state_dict(state["optimiser"])
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} holds another network than this script's. Move it away, or name another --checkpoint."
        ) from error
    run.frames, run.batches = state["frames"], state["batches"]
    run.age.bias.fill_(run.batches)
    torch.set_rng_state(state["random"])
    return run


# Workers that die, and workers that stand still


class WorkersLost(Exception):
    """A collector failed, while it was built or while it played."""


class Watch:
    """Turns what collectors raise into `WorkersLost`, ends the run where they only wait, and hears who asks to leave.

    TorchRL waits without end for a worker that stands still, and Ray for a node that nobody starts.
    """

    def __init__(self, run: SimpleNamespace, options: argparse.Namespace) -> None:
        self.run, self.options = run, options
        self.learning, self.asked_to_leave = threading.Lock(), False
        for number in (signal.SIGTERM, signal.SIGINT):  # the first is how a cluster asks a job to leave
            signal.signal(number, self.leave)

    def leave(self, *_) -> None:
        """After the next batch: half a batch would be learned and not counted, and a collector can swallow an error."""
        self.asked_to_leave = True

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        timer = threading.Timer(self.options.patience, self.give_up, [for_what])
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            raise WorkersLost(f"{type(error).__name__}: {first_line(error)}") from error
        finally:
            timer.cancel()

    def give_up(self, for_what: str) -> None:
        with self.learning:
            say(
                f"No {for_what} for {self.options.patience:g} s: a worker stands still, or there is no room for one. "
                "(Is it only slow? Then raise --patience.)"
            )
            stop(self.run, self.options)


def first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def say(words: str) -> None:
    print(words, flush=True)


def stop(run: SimpleNamespace, options: argparse.Namespace) -> None:
    """Save, say so, and leave."""
    save(run, options.checkpoint)
    say(
        f"Stopped. Nothing that was learned is lost: frame {run.frames} is saved in {options.checkpoint}, and the same "
        "command goes on from there."
    )
    leave(STOPPED)


def leave(status: int) -> None:
    """End this process without the farewells of an interpreter, in which collectors can wait without end."""
    for process in multiprocessing.active_children():
        process.kill()
    os._exit(status)


def play_and_learn(run: SimpleNamespace, options: argparse.Namespace, watch: Watch) -> None:
    """Learn until the last frame, or until somebody asked to leave.

    Raises:
        WorkersLost: the collector failed; the run is whole, as it was after its last batch.
    """
    with watch.waiting("worker"):
        collector = make_collector(options, run)
        if options.collector == "ray":
            say(f"workers on {', '.join(nodes_of(collector))}")
        batches = iter(collector)
    try:
        while run.frames < options.frames:
            start = time.perf_counter()
            with watch.waiting("batch"):
                batch = next(batches)
            with watch.learning:
                waited = time.perf_counter() - start
                lag = run.batches - batch["trained_on"].mean().item()
                learn(run, batch, run.frames / options.frames)
                report(run, batch, lag, waited, time.perf_counter() - start)
                if run.batches % options.save_every == 0:
                    save(run, options.checkpoint)
            if watch.asked_to_leave:
                stop(run, options)
    except WorkersLost:
        if options.collector in REBUILT:
            with suppress(Exception):  # the dead cannot say goodbye
                collector.shutdown()
        raise
    save(run, options.checkpoint)
    with suppress(Exception):  # a worker may be dead that nobody missed
        collector.shutdown()


def report(run: SimpleNamespace, batch, lag: float, waited: float, whole: float) -> None:
    falls = 1_000 * batch["next", "terminated"].float().mean().item()
    say(
        f"batch {run.batches} frame {run.frames}: {falls:.1f} falls per 1,000 steps, weights {lag:.1f} batches old, "
        f"waited {waited / whole:.0%} of the time, {batch.numel() / whole:.0f} frames/s"
    )


# Ray


def start_ray() -> None:
    """Join the cluster that `RAY_ADDRESS` or this machine names, or start one here.

    Raises:
        SystemExit: Ray does not start; the message says what can be done.
    """
    import ray

    for left in reversed(range(RAY_STARTS)):
        try:
            # What workers print stays in Ray's own logs; what they raise arrives here.
            ray.init(logging_level="error", log_to_driver=False, include_dashboard=False)
            return
        except Exception as error:  # it has no kind of its own
            ray.shutdown()
            if left == 0:
                sys.exit(
                    f"Ray did not start, {RAY_STARTS} times ({first_line(error)}). Is the machine busy, or RAY_ADDRESS "
                    "that of a cluster that is gone? Try again, or without Ray: --collector async"
                )
            say(f"Ray did not start ({first_line(error)}); trying again.")


def nodes_of(collector) -> list[str]:
    """The id of each worker's node, asked of the worker itself."""
    import ray

    def node(actor) -> str:
        return ray.get_runtime_context().get_node_id()[:8]

    return ray.get([actor.__ray_call__.remote(node) for actor in collector.remote_collectors])


def room_for_workers(options: argparse.Namespace) -> int:
    """How many workers the nodes that are alive can hold."""
    import ray

    return int(ray.cluster_resources().get(options.resource or "CPU", 0))


# The command


def train(run: SimpleNamespace, options: argparse.Namespace) -> None:
    losses, asked, watch = 0, options.workers, Watch(run, options)
    while run.frames < options.frames:
        try:
            play_and_learn(run, options, watch)
        except WorkersLost as lost:
            losses += 1
            say(f"Lost a worker at frame {run.frames} ({lost}).")
            if options.collector == "ray":
                options.workers = min(asked, room_for_workers(options))
            if options.collector not in REBUILT or losses > options.restarts or options.workers == 0:
                stop(run, options)
            save(run, options.checkpoint)
            say(f"Saved. Going on with {options.workers} new workers ({losses} of {options.restarts} restarts).")


def number(kind: type, least: float, most: float = math.inf):
    """A number from `least` to `most`, for argparse; a finite one."""

    def parse(word: str) -> float:
        try:
            value = kind(word)
        except ValueError:
            value = math.nan
        if not (least <= value <= most and math.isfinite(value)):
            limits = f"from {least} to {most}" if math.isfinite(most) else f"of {least} or more"
            raise argparse.ArgumentTypeError(f"{word!r} is no {'whole ' * (kind is int)}number {limits}")
        return value

    return parse


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add, least = parser.add_argument, functools.partial(number, int)
    seconds = functools.partial(number, float, most=threading.TIMEOUT_MAX)
    add("--collector", choices=KINDS, default="single")
    add("--workers", type=least(1), default=2)
    add("--frames", type=least(1), default=81_920, help="to learn from, those before a stop included")
    add("--checkpoint", type=Path, default=Path("run.pt"), help="on a cluster: in a folder that survives the head node")
    add("--save-every", type=least(1), default=10, help="batches between two checkpoints")
    # Each worker's copies have a hundred million seeds, and each run a thousand of them.
    add("--seed", type=least(0, 99_999), help="of a new run; one that goes on has its own (default: 0)")
    add("--step-seconds", type=seconds(0.0), default=0.0, help="a slower simulator: every step lasts so much longer")
    add("--resource", help="ray: a custom resource that only the nodes for workers offer")
    add("--restarts", type=least(0), default=3, help="how often lost workers are replaced before the run stops")
    add("--patience", type=seconds(1.0), default=120.0, help="seconds without a batch or a worker before the run stops")
    add("--port", type=least(1, 65_535), default=10_003, help="distributed and rpc: where workers find the learner")
    return parser.parse_args(words)


def begin(options: argparse.Namespace) -> SimpleNamespace:
    """The run that the checkpoint holds, or a new one.

    Raises:
        SystemExit: the checkpoint is one of another seed.
    """
    if not os.path.lexists(options.checkpoint):
        return build(options.seed or 0)
    run = load(options.checkpoint)
    if options.seed not in (None, run.seed):
        sys.exit(
            f"{options.checkpoint} holds a run of seed {run.seed}, at frame {run.frames}, not one of seed "
            f"{options.seed}. Go on with it (--seed {run.seed}), or name another file (--checkpoint other.pt)."
        )
    return run


def main() -> None:
    from course_utils.runs.checkpoint import CheckpointError

    options = parse()
    torch.set_num_threads(1)  # a network this small gains nothing from more
    try:
        run = begin(options)
        if options.collector == "ray":
            start_ray()
        say(f"from frame {run.frames} to {options.frames}, collector: {options.collector}")
        train(run, options)
    except CheckpointError as error:
        say(str(error))
        leave(1)
    say(f"Done. Frame {run.frames}; mean return of 100 fresh greedy episodes: {evaluate(run):.0f}")
    leave(0)


if __name__ == "__main__":
    main()
