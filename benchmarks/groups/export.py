"""What an agent of lesson 19 costs, and reaches, in each of the forms in which it can be handed out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from benchmarks.group import Group
from benchmarks.lesson_code import named_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table
from benchmarks.store import ROOT
from course_utils.machine.extras import has_extra

LESSON = "19_take_it_along"
CELLS = (
    *("19-start", "19-world", "19-exam", "19-parts", "19-train", "19-judge", "19-decide"),
    *("19-portable", "19-numpy", "19-one-tensor", "19-program", "19-ahead", "19-onnx"),
)
BATCHES = (1, 256)
STATES = 1_000
CALLS = 500
EPISODES = 50
ORIGINAL = "TorchRL, a tensordict"
WAYS = (
    *(ORIGINAL, "TorchRL, keywords", "plain PyTorch", "torch.export", "torch.compile"),
    *("AOTInductor", "onnxruntime", "NumPy"),
)


def code() -> str:
    return named_code(LESSON, *CELLS)


def core_seconds() -> float:
    return sum(os.times()[:4])  # ours, and those of programs that we started


def forms(space: Mapping, agent, folder: Path) -> dict[str, Callable[[], Callable]]:
    """For each way what makes its function from a batch of raw observations (a tensor) to action values.

    Those of NumPy and of onnxruntime take and give arrays; their `decide` differs in that alone.
    """
    import torch
    from tensordict import TensorDict

    limits, portable = space["limits"], space["make_portable"](agent)
    keywords = space["OneTensor"](agent, "action_value")
    program = space["make_program"](portable)

    def with_tensordict(seen):
        return agent(TensorDict({"observation": seen / limits}, [len(seen)]))["action_value"]

    def compiled():
        function = torch.compile(portable, dynamic=True)
        function(torch.zeros(2, 4))
        return function

    def ahead():
        package = space["ahead_of_time"](program, folder / "agent.aoti.pt2")
        return torch._inductor.aoti_load_package(package)

    def by_runtime():
        space["save_onnx"](program, str(folder / "agent.onnx"))
        return space["open_onnx"](str(folder / "agent.onnx"))

    return {
        ORIGINAL: lambda: with_tensordict,
        "TorchRL, keywords": lambda: lambda seen: keywords(seen / limits),
        "plain PyTorch": lambda: portable,
        "torch.export": lambda: space["make_program"](portable).module(),
        "torch.compile": compiled,
        "AOTInductor": ahead,
        "onnxruntime": by_runtime,
        "NumPy": lambda: space["by_hand"](portable),
    }


def microseconds(call: Callable[[], object]) -> float:
    """Core time of one call: the median over ten rounds."""
    for _ in range(20):
        call()
    rounds = []
    for _ in range(10):
        start = time.process_time()
        for _ in range(CALLS // 10):
            call()
        rounds.append((time.process_time() - start) / (CALLS // 10))
    return 1e6 * median(rounds)


def compare_here(seed: int, folder: str) -> dict[str, dict]:
    """Train the lesson's agent and hand it out in each way, in this process."""
    import torch

    warnings.simplefilter("ignore")
    space = run_code(code(), seed)
    agent, _ = space["train"](seed)
    exam_seed = 1_000_000_000 + 1_000 * seed
    states = torch.randn(STATES, 4, generator=torch.Generator().manual_seed(seed))
    found, right, returns = {}, None, space["exam"](agent, EPISODES, exam_seed)
    with torch.no_grad():
        for way, make in forms(space, agent, Path(folder)).items():
            start = core_seconds()
            function = make()
            waited = core_seconds() - start
            arrays = way in ("onnxruntime", "NumPy")

            def values(seen, function=function, arrays=arrays):
                return torch.as_tensor(function(seen.numpy() if arrays else seen))

            right = values(states) if right is None else right
            inputs = {size: states[:size].numpy() if arrays else states[:size] for size in BATCHES}
            cost = {size: microseconds(lambda size=size, f=function, i=inputs: f(i[size])) for size in BATCHES}
            own = space["exam_anywhere"](space["decide_by"](values), EPISODES, exam_seed)
            found[way] = {
                "ready_after_seconds": round(waited, 2),
                **{f"microseconds_{size}": round(cost[size], 1) for size in BATCHES},
                "largest_difference": float((values(states) - right).abs().max()),
                "test_return": round(own.mean().item(), 2),
                "returns_that_differ": int((own != returns).sum()),
            }
    return found


def measure(arm: str, seed: int) -> dict[str, dict]:
    """All ways with the agent of one seed, in a process of its own whose compiler finds nothing compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        call = f"compare({seed}, {folder!r})"
        own = f"import json; from {__name__} import {compare_here.__name__} as compare; print(json.dumps({call}))"
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": folder + "/cache"}
        command = [sys.executable, "-W", "ignore", "-c", own]
        done = subprocess.run(command, env=os.environ | threads, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    return json.loads(done.stdout.splitlines()[-1])


def medians(runs: Mapping[str, dict]) -> dict[str, float]:
    facts = next(iter(runs.values()))
    return {fact: median(run[fact] for run in runs.values()) for fact in facts}


def times_as_quick(arms: Arms, way: str, size: int) -> float:
    """How many times as quick as the original a way is, for a batch of this size; the median of the ratios by seed."""
    fact = f"microseconds_{size}"
    original = arms[ORIGINAL]
    return median(original[seed][fact] / run[fact] for seed, run in arms[way].items() if seed in original)


def tell(section: Section, arms: Arms) -> None:
    found = {way: medians(runs) for way, runs in arms.items()}
    others = [way for way in found if way != ORIGINAL]
    differing = sum(run["returns_that_differ"] for way in others for run in arms[way].values())
    episodes = EPISODES * sum(len(arms[way]) for way in others)
    quickest = {size: max(found, key=lambda way: times_as_quick(arms, way, size)) for size in BATCHES}
    section.answer(
        f"For one state {quickest[1]} is {times_as_quick(arms, quickest[1], 1):.1f} times as quick as the agent with "
        f"its tensordict, for {BATCHES[1]} states {quickest[BATCHES[1]]} "
        f"{times_as_quick(arms, quickest[BATCHES[1]], BATCHES[1]):.1f} times. Of {episodes:,} episodes of the exams of "
        f"all exports {differing} differ from the original's of the same seed."
    )
    heads = ["", "ready after, s", "1 state, µs", "256 states, µs", "largest difference", "exam", "returns that differ"]
    rows = [
        [
            way,
            f"{facts['ready_after_seconds']:.1f}",
            f"{facts['microseconds_1']:.0f} ({times_as_quick(arms, way, 1):.1f}×)",
            f"{facts['microseconds_256']:.0f} ({times_as_quick(arms, way, 256):.1f}×)",
            f"{max(run['largest_difference'] for run in arms[way].values()):.1e}",
            f"{facts['test_return']:.1f}",
            str(sum(run["returns_that_differ"] for run in arms[way].values())),
        ]
        for way, facts in found.items()
    ]
    section.say(table(heads, rows))
    section.measured(
        f"Lesson 19's own cells, {seeds_of(arms)}: the agent is trained, handed out in each way, and judged on "
        f"{EPISODES} episodes of seeds of its own. Core time on one thread, medians over the seeds; in brackets "
        "how many times as quick as the first row (the median of the ratios seed by seed). *Ready after*: exporting "
        "and compiling, the C++ compiler's seconds included; the cache is empty before torch.compile, and AOTInductor "
        "finds there the headers that it compiled."
    )
    section.limits("One small network on a CPU: what is saved is machinery around little arithmetic.")


GROUP = Group(
    name="export",
    order=166,
    question="What does an exported agent cost, and does it still decide alike?",
    tell=tell,
    file="19_export",
    jobs=lambda count: [(ORIGINAL, seed) for seed in seeds(count)],
    measure=measure,
    arms=lambda: list(WAYS),
    code=code,
    repeats=3,
    only_seconds=True,
    missing=lambda: "" if has_extra("deploy") else "the extra deploy is not installed",
)
