"""What more workers bring, by kind of collector: lesson 12.

Speeds are those of `examples/cluster/train.py`, playing and learning, beside a single process in the same run.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.group import Group
from benchmarks.section import Arms, Section, table
from benchmarks.store import ROOT

EXAMPLE = ROOT / "examples" / "cluster"
WORKERS = {"sync": [1, 2, 4], "async": [1, 2, 4, 8], "ray": [2], "distributed": [2], "rpc": [2]}
SLOW = 0.05  # seconds a step; a sleep, so that many workers share two cores
SLOW_LEARNER = 0.4  # seconds more to learn from a batch; a sleep as well, as if a GPU were at work
BATCH_FRAMES = 512  # of a worker of the example
AS_IT_IS, BUSY_LEARNER = 1_000, 2_000  # added to the keys of runs without any sleep, and of those with both


def collector_of(example, kind: str, workers: int, step_seconds: float):
    """A run of the example that has learned nothing, and its collector."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = {"collector": kind, "workers": workers, "step_seconds": step_seconds, "port": port, "resource": None}
    options, run = argparse.Namespace(**words), example.build(0)
    return run, example.make_collector(options, run)


def learn_in(example, run, batch, slept: float) -> None:
    """Learn, and sleep for each worker's part of the batch."""
    example.learn(run, batch, 0.0)
    time.sleep(slept * batch.numel() / BATCH_FRAMES)


def halves(example, step_seconds: float, slept: float, batches: int = 4) -> tuple[float, float]:
    """Median seconds that one process plays, and learns from, a batch."""
    run, collector = collector_of(example, "single", 1, step_seconds)
    played, learned, stream = [], [], iter(collector)
    for _ in range(batches):
        start = time.perf_counter()
        batch = next(stream)
        middle = time.perf_counter()
        learn_in(example, run, batch, slept)
        played.append(middle - start)
        learned.append(time.perf_counter() - middle)
    collector.shutdown()
    return statistics.median(played[1:]), statistics.median(learned[1:])


def measure(kind: str, key: int) -> dict[str, dict]:
    """Frames per second of one kind with so many workers.

    Returns:
        For the kind: `workers`, `step_seconds` and `learn_slept` (the sleeps), `frames_per_second` (playing and
        learning), and of one process beside it `simulate` and `learn`, seconds a batch; for `async` also `carry`, the
        seconds that a batch which is ready takes to arrive.
    """
    sys.path.insert(0, str(EXAMPLE))
    import train as example

    workers, case = key % AS_IT_IS, key - key % AS_IT_IS
    step_seconds, slept = 0.0 if case == AS_IT_IS else SLOW, SLOW_LEARNER if case == BUSY_LEARNER else 0.0
    simulate, learn = halves(example, step_seconds, slept)
    if kind == "ray":
        start_ray(workers)
    run, collector = collector_of(example, kind, workers, step_seconds)
    stream, turns = iter(collector), 2 if kind == "sync" else 2 * workers
    for _ in range(turns):
        learn_in(example, run, next(stream), slept)
    before, start = run.frames, time.perf_counter()
    for _ in range(turns if step_seconds else 10 * turns):
        learn_in(example, run, next(stream), slept)
    frames_per_second = (run.frames - before) / (time.perf_counter() - start)
    carry = None
    if kind == "async":
        time.sleep(3 * simulate)  # by then a batch of every worker is ready
        start = time.perf_counter()
        next(stream)
        carry = round(time.perf_counter() - start, 5)
    collector.shutdown()
    del collector, stream
    gc.collect()  # at the end of an interpreter, what is left of a collector can wait without end
    facts = {"workers": workers, "step_seconds": step_seconds, "learn_slept": slept, "carry": carry}
    seconds = {"simulate": round(simulate, 4), "learn": round(learn, 4)}
    return {kind: facts | seconds | {"frames_per_second": round(frames_per_second, 1)}}


def start_ray(workers: int) -> None:
    import ray

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(EXAMPLE)}  # actors import the example too
    quiet = {"logging_level": "error", "log_to_driver": False, "include_dashboard": False}
    small = {"num_cpus": workers, "object_store_memory": 100_000_000}
    ray.init(address="local", _node_ip_address="127.0.0.1", **small, **quiet)


def times_one_process(run: dict) -> float:
    """Frames per second as a multiple of the single process that was measured beside it."""
    return run["frames_per_second"] * (run["simulate"] + run["learn"]) / BATCH_FRAMES


def jobs(count: int) -> list[tuple[str, int]]:
    kinds = [kind for kind in WORKERS if kind != "ray" or importlib.util.find_spec("ray")]
    slow = [(kind, workers) for kind in kinds for workers in WORKERS[kind]]
    busy = [(kind, BUSY_LEARNER + workers) for kind in ("sync", "async") for workers in (1, 2, 4, 8)]
    return slow + [(kind, AS_IT_IS + 2) for kind in ("sync", "async")] + busy


def tell(section: Section, arms: Arms) -> None:
    rows = [
        [
            kind,
            str(run["workers"]),
            f"{1_000 * run['step_seconds']:.0f}",
            f"{1_000 * run['learn_slept']:.0f}",
            f"{run['frames_per_second']:,.0f}",
            f"{times_one_process(run):.1f}",
            "-" if run["carry"] is None else f"{1_000 * run['carry']:.1f}",
        ]
        for kind, runs in arms.items()
        for run in runs.values()
    ]
    quick_learner = most(arms, lambda run: run["step_seconds"] and not run["learn_slept"])
    busy_learner = most(arms, lambda run: run["step_seconds"] and run["learn_slept"])
    section.answer(
        "With a simulator that sleeps, frames per second as a multiple of one process beside it: "
        f"{quick_learner}. Where the learner sleeps as well: {busy_learner}."
    )
    heads = ["workers", "ms slept a step", "ms slept to learn", "frames/s", "times one process", "ms to carry a batch"]
    section.say(table(["collector", *heads], rows))
    section.measured(
        "Playing and learning with `examples/cluster/train.py`, 16 CartPoles in each worker, 512 frames a batch; one "
        "run of each kind and number, and one process alone just before it. To carry: how long a batch that is ready "
        "takes to arrive."
    )
    section.limits(
        "One run each, on a machine that did other things as well: read the multiples, not the frames per second. Who "
        "sleeps needs no core, so this says nothing of many workers that compute, nor of a network."
    )


def most(arms: Arms, wanted: Callable[[dict], float]) -> str:
    """What the most workers bring, for each kind of which there are such runs."""
    found = {kind: [run for run in runs.values() if wanted(run)] for kind, runs in arms.items()}
    return "; ".join(
        f"{kind} {times_one_process(runs[-1]):.1f} with {runs[-1]['workers']} workers"
        for kind, runs in found.items()
        if runs
    )


GROUP = Group(
    name="workers",
    order=110,
    question="What do more workers bring, by kind of collector?",
    tell=tell,
    file="12_scaling_out",
    jobs=jobs,
    measure=measure,
    arms=lambda: list(WORKERS),
    code=(EXAMPLE / "train.py").read_text,
    repeats=1,
    only_seconds=True,
)
