"""What more workers bring, by kind of collector, and what V-trace makes of old frames: lesson 12.

Speeds are those of `examples/cluster/train.py`, playing and learning, beside a single process in the same run. The
staleness runs are the lesson's own definitions, over seeds that were not used to find its settings.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import importlib.util
import io
import os
import socket
import statistics
import sys
import time

import jupytext

from benchmarks.group import Group
from benchmarks.store import ROOT

LESSON = ROOT / "lessons" / "12_scaling_out.py"
EXAMPLE = ROOT / "examples" / "cluster"
NEEDED = ["12-stale", "12-exam"]
NOT_NEEDED = {"parameters", "exercise", "solution", "look"}
FIRST_SEED = 100  # the settings were found on smaller seeds
LAGS = {  # batches that the player lags behind, and whether V-trace corrects for it
    "fresh": (0, True),
    "4 old, V-trace": (4, True),
    "4 old, not corrected": (4, False),
    "20 old, V-trace": (20, True),
    "20 old, not corrected": (20, False),
}

WORKERS = {"sync": [1, 2, 4], "async": [1, 2, 4, 8], "ray": [2], "distributed": [2], "rpc": [2]}
SLOW = 0.05  # seconds a step; a sleep, so that many workers share two cores
SLOW_LEARNER = 0.4  # seconds more to learn from a batch; a sleep as well, as if a GPU were at work
BATCH_FRAMES = 512  # of a worker of the example
AS_IT_IS, BUSY_LEARNER = 1_000, 2_000  # added to the keys of runs without any sleep, and of those with both


# Speed


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


def speed(kind: str, key: int) -> dict[str, dict]:
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


def speed_jobs(count: int) -> list[tuple[str, int]]:
    kinds = [kind for kind in WORKERS if kind != "ray" or importlib.util.find_spec("ray")]
    slow = [(kind, workers) for kind in kinds for workers in WORKERS[kind]]
    busy = [(kind, BUSY_LEARNER + workers) for kind in ("sync", "async") for workers in (1, 2, 4, 8)]
    return slow + [(kind, AS_IT_IS + 2) for kind in ("sync", "async")] + busy


# Staleness


@functools.cache
def code() -> str:
    """The lesson's cells that define something; those that look at a run are left out.

    Raises:
        LookupError: the lesson has no cell with an id that is needed.
    """
    cells = [cell for cell in jupytext.read(LESSON, fmt="py:percent").cells if cell.cell_type == "code"]
    ids = [cell.metadata.get("id") for cell in cells]
    if missing := set(NEEDED) - set(ids):
        raise LookupError(f"{LESSON.name} has no cell with the id {' and '.join(sorted(missing))}")
    wanted = cells[: ids.index(NEEDED[-1]) + 1]
    return "\n".join(cell.source for cell in wanted if not NOT_NEEDED & set(cell.metadata.get("tags", [])))


def staleness(arm: str, seed: int) -> dict[str, dict]:
    """One training with a player that lags behind, and its exam.

    Returns:
        For the arm: `test_return`, frames, and the processor's seconds of training.
    """
    space: dict = {"seed": seed}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code(), space)
    lag, corrected = LAGS[arm]
    start = time.process_time()
    run = space["train_stale"](seed, lag, corrected)
    seconds = time.process_time() - start
    score = space["examine"](run)
    return {arm: {"test_return": round(score, 1), "frames": run.frames, "cpu_seconds": round(seconds, 1)}}


SPEED = Group(
    file="12_scaling_out",
    jobs=speed_jobs,
    measure=speed,
    arms=lambda: list(WORKERS),
    code=(EXAMPLE / "train.py").read_text,
    repeats=1,
)
STALENESS = Group(
    file="12_scaling_out",
    jobs=lambda count: [(arm, seed) for seed in range(FIRST_SEED, FIRST_SEED + count) for arm in LAGS],
    measure=staleness,
    arms=lambda: list(LAGS),
    code=code,
    repeats=20,
    alone=False,
)
