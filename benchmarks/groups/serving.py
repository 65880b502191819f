"""What does it gain to decide the requests of several clients at once? The server of examples/serving/."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from statistics import median

from benchmarks.group import Group
from benchmarks.section import Arms, Section, counted, table
from benchmarks.store import ROOT

SCRIPTS = ROOT / "examples" / "serving"
WIDTHS = {"width 64": 64, "width 1,024": 1_024, "width 4,096": 4_096}
CLIENTS, REQUESTS, ROUNDS = 32, 192, 12
NEEDED = ("fastapi", "httpx", "onnx", "onnxruntime", "uvicorn")


def code() -> str:
    return "\n".join((SCRIPTS / f"{name}.py").read_text() for name in ("app", "batching", "load", "serve"))


def missing() -> str:
    import importlib.util

    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


def measure(arm: str, repeat: int) -> dict[str, dict]:
    """The script as it is, in a process of its own: two servers, asked in turns."""
    settings = {"width": WIDTHS[arm], "clients": CLIENTS, "requests": REQUESTS, "rounds": ROUNDS}
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, str(SCRIPTS / "load.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    return {arm: json.loads(done.stdout.splitlines()[-1])}


def gain(run: Mapping[str, float]) -> float:
    """How many times as many requests were answered in a second."""
    return run["batched_per_second"] / run["unbatched_per_second"]


def saving(run: Mapping[str, float]) -> float:
    """How many times as much work of a core a request costs without batches."""
    return run["unbatched_core_seconds"] / run["batched_core_seconds"]


def tell(section: Section, arms: Arms) -> None:
    def middle(arm: str, what) -> float:
        return median(what(run) for run in arms[arm].values())

    small, large = list(arms)[0], list(arms)[-1]
    section.answer(
        f"It depends on the network. With {small} a server that batches answers {middle(small, gain):.1f} times as "
        f"many requests a second as one that decides each alone, with {large} {middle(large, gain):.1f} times as many."
    )
    later = "batched_alone_milliseconds", "unbatched_alone_milliseconds"
    heads = ["", "requests a second, batched : unbatched", "core seconds of the server, unbatched : batched"]
    heads += ["rows in a batch", "alone: waits longer by"]
    rows = [
        [
            arm,
            f"{middle(arm, gain):.2f}",
            f"{middle(arm, saving):.2f}",
            f"{middle(arm, lambda run: run['batched_rows']):.0f}",
            f"{middle(arm, lambda run: run[later[0]] - run[later[1]]):.1f} ms",
        ]
        for arm in arms
    ]
    section.say(table(heads, rows))
    count = len(next(iter(arms.values())))
    section.measured(
        f"`examples/serving/load.py`: two servers, one that decides up to 64 rows at once and waits 2 ms for them, and "
        f"one that decides each request alone; {CLIENTS} clients ask one question after the other, {REQUESTS} in a "
        f"round, each server {ROUNDS} rounds, in turns. Networks with two hidden layers of random weights, in ONNX "
        f"Runtime on one thread. Medians of {counted(count, 'repeat')}."
    )
    section.limits(
        "Clients and servers share one machine, and other work ran beside them: only ratios are said, of rounds that "
        "followed one another. What a lone client waits longer is the most uncertain of the numbers. Not tried: a GPU."
    )


GROUP = Group(
    name="serving",
    order=195,
    question="Served: what do batches gain?",
    tell=tell,
    file="19_serving",
    jobs=lambda count: [(arm, repeat) for repeat in range(count) for arm in WIDTHS],
    measure=measure,
    arms=lambda: list(WIDTHS),
    code=code,
    repeats=3,
    only_seconds=True,
    missing=missing,
)
