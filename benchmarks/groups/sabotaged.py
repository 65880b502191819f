"""Lesson 06's loop with exactly one fault in it, eight times, and without: logs for a learner to diagnose."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

from benchmarks.group import Group
from benchmarks.lesson_code import named_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table

LESSON = "06_logging_and_watching"
CELLS = ["envs", "agent", "build", "update", "beliefs", "ended", "learn", "train", "judge", "checkup"]
IMPORTS = """import torch
from tensordict import TensorDict
from torchrl.envs import ExplorationType
from torchrl.objectives import SoftUpdate
"""
# The lesson's judge is handed the whole explorer here, so that one word decides whether it explores.
JUDGE = """
def off_greedy(played):
    return {"off_greedy": (played["action"] != played["action_value"].argmax(-1)).float().mean()}


def judge_of(run, seed):
    evaluator = make_judge(
        build(seed).explorer, exploration_type=ExplorationType.DETERMINISTIC, metrics_fn=off_greedy
    )
    return SimpleNamespace(evaluate=lambda agent: evaluator.evaluate(run.explorer), shutdown=evaluator.shutdown)
"""
FRAMES = 4_096
STORE = "        run.buffer.extend(batch.reshape(-1))"
# What stands in the healthy loop, and what stands there instead.
CHANGES = {
    "nothing is wrong": ("", ""),
    "learning rate too high": ("lr=5e-4", "lr=1.0"),
    "no target network": (
        "HardUpdate(run.loss, value_network_update_interval=32)",
        "SoftUpdate(run.loss, tau=1.0)",
    ),
    "falls stored as done, not as terminated": (
        STORE,
        f'        batch["next", "terminated"] = batch["next", "truncated"]\n{STORE}',
    ),
    "dead ReLUs": (
        "    network = torch.nn.Sequential(Scale(), layers)",
        "    torch.nn.init.constant_(layers[0].bias, -20.0)\n    network = torch.nn.Sequential(Scale(), layers)",
    ),
    "epsilon stuck": ("        run.egreedy.step(batch.numel())\n", ""),
    "rewards scaled up": (STORE, f'        batch["next", "reward"] *= 100\n{STORE}'),
    "evaluation explores": ("ExplorationType.DETERMINISTIC", "ExplorationType.RANDOM"),
    "memory of one batch": ("LazyTensorStorage(50_000)", "LazyTensorStorage(256)"),
}
KEPT = ("train/", "check/", "memory/", "eval/reward", "eval/off_greedy")  # no seconds
LEFT_OUT = {"eval/reward_std"}


def code() -> str:
    return IMPORTS + named_code(LESSON, *(f"06-{name}" for name in CELLS)) + JUDGE


def changed(fault: str) -> str:
    """The healthy code with one place of it changed.

    Raises:
        LookupError: the code to change is not there, or more than once.
    """
    before, after = CHANGES[fault]
    if before and code().count(before) != 1:
        raise LookupError(f"{before!r} stands {code().count(before)} times in the code for {fault!r}, not once.")
    return code().replace(before, after) if before else code()


class Log:
    """A logger that keeps the numbers: one row for each step."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}

    def log_metrics(self, metrics: dict, step: int) -> None:
        self.rows.setdefault(step, {}).update({name: float(value) for name, value in metrics.items()})

    def flush(self) -> None:
        """Nothing waits to be written."""

    def curves(self) -> dict[str, list[float | None]]:
        """All curves, equally long, in four digits; None where nothing was measured or it is not finite."""
        names = sorted({name for row in self.rows.values() for name in row if name.startswith(KEPT)} - LEFT_OUT)
        columns = {name: [short(row.get(name)) for row in self.rows.values()] for name in names}
        return {"frames": list(self.rows), **columns}


def short(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")


def with_checkup(learn: Callable, checkup: Callable) -> Callable:
    return lambda run: learn(run) | checkup(run)


def measure(fault: str, seed: int) -> dict[str, dict]:
    """Train with this fault, and keep the log: curves by name, and `gamma`."""
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SoftUpdate finds a tau of 1 unusual; so do we
        space = run_code(changed(fault), seed)
        space["learn"] = with_checkup(space["learn"], space["checkup"])  # `train` looks it up when it runs
        run, log = space["build"](seed), Log()
        judge = space["judge_of"](run, seed)
        space["train"](run, space["make_envs"](16, 1_000 * seed), FRAMES, log, judge)
        judge.shutdown()
    return {fault: {**log.curves(), "gamma": [space["GAMMA"]]}}


def last(run: dict, name: str) -> float | None:
    return next((value for value in reversed(run[name]) if value is not None), None)


def span(runs: dict, name: str) -> str:
    ends = [value for run in runs.values() if (value := last(run, name)) is not None]
    return f"{min(ends):.3g} to {max(ends):.3g}" if ends else "never measured"


def tell(section: Section, arms: Arms) -> None:
    columns = {"greedy return": "eval/reward", "loss": "train/loss", "value": "train/q_value"}
    rows = [[fault, *(span(runs, name) for name in columns.values())] for fault, runs in arms.items()]
    healthy = arms.get(next(iter(CHANGES)), {})
    section.answer(
        f"The healthy loop ends at greedy returns of {span(healthy, 'eval/reward')}; what each fault leaves of it "
        "stands in the table. Which one a run has is told by its curves: the lab of lesson 06 asks for it."
    )
    section.say("The last point of each run, lowest to highest:", table(["fault", *columns], rows))
    section.measured(
        f"Lesson 06's loop over {FRAMES:,} frames with one place of its code changed, {seeds_of(arms)}. All curves are "
        "stored."
    )
    section.limits("Each fault in one strength, on one task: a weaker one may leave no sign, or another.")


GROUP = Group(
    name="sabotaged",
    order=65,
    question="What does one wrong line do to a run's curves?",
    tell=tell,
    file="06_sabotaged",
    jobs=lambda count: [(fault, seed) for seed in seeds(count) for fault in CHANGES],
    measure=measure,
    arms=lambda: list(CHANGES),
    code=code,
    repeats=6,
    alone=False,
)
