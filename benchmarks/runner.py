"""Run the jobs of a group that are not done yet, store each as soon as it is finished, and show how far it is."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import wait

from tqdm import tqdm

from benchmarks import fingerprint, store
from benchmarks.group import Group

# For this process and all it starts, before any of them imports torch.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "COURSE_DEVICE": "cpu",
    "PYTHONWARNINGS": "ignore:resource_tracker",  # of workers that were stopped by Ctrl-C
}


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare_worker(pinned: bool) -> None:
    """One core for a pinned worker, and no worker that outlives its parent."""
    if pinned and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    threading.Thread(target=leave_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def leave_with(parent) -> None:
    wait([parent.sentinel])
    os._exit(1)


def do(groups: Callable[[], dict[str, Group]], name: str, arm: str, key: int) -> dict[str, dict]:
    """A job, in a worker; `groups` is passed because a group's functions do not travel between processes."""
    return groups()[name].measure(arm, key)


def run(
    groups: Callable[[], dict[str, Group]],
    name: str,
    results: store.Store,
    count: int | None = None,
    *,
    command: str = "make bench",
    fresh: bool = False,
    workers: int | None = None,
) -> list[str]:
    """Bring one group of results up to date.

    Args:
        groups: an importable function that returns all groups by name.
        name: the group to run.
        results: where its results are, and go to after each job.
        count: how many seeds or repeats; the group's own number if not given.
        command: what to type to measure this group again; kept with the results.
        fresh: forget what is stored of this group first.
        workers: processes side by side, for groups that do not run alone; one per core if not given.

    Returns:
        The jobs that failed, a line each; the others are stored all the same.
    """
    group = groups()[name]
    if reason := group.missing():
        print(f"{name}: left out, {reason}")
        return []
    if fresh:
        results.runs.pop(name, None)
    stamp = store.environment(group.code(), fingerprint.measuring_code(group.measure), command)
    forgotten = results.begin(name, list(group.arms()), stamp, only_seconds=group.only_seconds)
    if forgotten:
        and_cpu = " or on another CPU" if group.only_seconds else ""
        print(f"{name}: {forgotten} runs forgotten: made by other code, with other versions{and_cpu}")
    jobs = group.jobs(count or group.repeats)
    todo = [job for job in jobs if not results.has(name, *job) or is_stale(group, results, *job)]
    if todo and name in results.without_seconds:
        print(
            f"{name}: the stored seconds are of {store.machine_words(results.stamps[name])}; new runs are kept without "
            "theirs (--fresh measures all of them here)"
        )
    with tqdm(total=len(jobs), initial=len(jobs) - len(todo), desc=name, unit="run", file=sys.stdout) as bar:
        return work(groups, name, todo, results, bar, group, workers) if todo else []


def is_stale(group: Group, results: store.Store, arm: str, key: int) -> bool:
    return group.stale(arm, results.runs[group.name][arm][str(key)])


def work(groups, name, todo, results, bar, group, workers) -> list[str]:
    failed = []
    executor = ProcessPoolExecutor(
        1 if group.alone else min(workers or cores(), len(todo)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=prepare_worker,
        initargs=(group.pinned,),
    )
    try:
        futures = {executor.submit(do, groups, name, *job): job for job in todo}
        for future in as_completed(futures):
            arm, key = futures[future]
            if error := future.exception():
                failed.append(f"{name}, {arm}, {key}: {type(error).__name__}: {str(error).strip() or 'no message'}")
                tqdm.write(failed[-1], file=sys.stdout)
            else:
                results.add(name, key, future.result())
            bar.update()
    except KeyboardInterrupt:
        for worker in multiprocessing.active_children():
            worker.terminate()  # do not wait for the jobs under way
        raise
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    return failed
