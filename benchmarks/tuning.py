"""What lesson 14's searches find, over whole studies that were not used to write the lesson.

Runs the lesson's own definitions. Each study searches twice with the same frames, with Optuna and at random without
stopping anything early, and judges both winners, the first guess and lesson 07's recipe on the same fresh seeds.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict

import jupytext
import numpy as np

from benchmarks.group import Group
from benchmarks.store import ROOT

LESSON = ROOT / "lessons" / "14_tuning.py"
FIRST_SEED = 100
NOT_NEEDED = {"parameters", "exercise", "solution", "look"}
LAST = "14-search"
DEFAULT, BY_HAND, TPE, RANDOM = "first guess", "by hand", "TPE and pruning", "random search"
ARMS = [DEFAULT, BY_HAND, TPE, RANDOM]


@functools.cache
def code() -> str:
    """The lesson's cells that define the recipe, its score and both searches.

    Raises:
        LookupError: the lesson has no cell with the id 14-search.
    """
    found = []
    for cell in jupytext.read(LESSON, fmt="py:percent").cells:
        if cell.cell_type == "code" and not NOT_NEEDED & set(cell.metadata.get("tags", [])):
            found.append(cell.source)
        if cell.metadata.get("id") == LAST:
            return "\n".join(found)
    raise LookupError(f"{LESSON.name} has no cell with the id {LAST}")


def definitions(seed: int) -> dict:
    space: dict = {"seed": seed}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code(), space)
    return space


def judged(space: dict, setting) -> dict:
    """A setting on the fresh seeds: each score, and the processor's seconds of a run."""
    start = time.process_time()
    scores = space["scores"](setting, space["fresh_seeds"])
    seconds = (time.process_time() - start) / len(scores)
    return {"fresh": [round(float(score), 1) for score in scores], "run_seconds": round(seconds, 2)}


def searched(space: dict, trials: list) -> dict:
    """What a search claims, what it took, and what its winner is worth."""
    best = max(space["finished"](trials), key=lambda tried: tried.means[-1])
    return {
        "claimed": round(best.means[-1], 1),
        **judged(space, best.setting),
        "setting": {name: float(f"{asdict(best.setting)[name]:.3g}") for name in space["ranges"]},
        "trials": len(trials),
        "finished": len(space["finished"](trials)),
        "frames": sum(tried.frames for tried in trials),
        "cpu_seconds": round(sum(tried.seconds for tried in trials), 1),
    }


def importances(space: dict, study) -> dict[str, float]:
    evaluator = space["optuna"].importance.PedAnovaImportanceEvaluator()
    found = space["optuna"].importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(float(found[name]), 3) for name in space["ranges"]}


def run_study(seed: int) -> dict[str, dict]:
    """Both searches of one seed, and what was there before them."""
    space = definitions(seed)
    study = space["open_study"]("benchmark")
    with_optuna = space["search"](study, space["budget"])
    at_random = space["random_search"](space["budget"], np.random.default_rng(seed), prune=False)
    trials = [[tried.frames, round(tried.means[-1], 1), round(tried.seconds, 2)] for tried in with_optuna]
    return {
        DEFAULT: judged(space, space["default"]),
        BY_HAND: judged(space, space["by_hand"]),
        TPE: searched(space, with_optuna) | {"importances": importances(space, study), "list": trials},
        RANDOM: searched(space, at_random),
    }


def truth(run: dict) -> float:
    """What a setting is worth: its mean score on the fresh seeds."""
    return statistics.mean(run["fresh"])


def gain(runs: Mapping[str, dict], others: Mapping[str, dict]) -> tuple[float, float]:
    """By how much the truth of these runs is above that of others, study by study: the mean and its standard error.

    The error of a single study is not a number.
    """
    differences = np.array([truth(run) - truth(others[seed]) for seed, run in runs.items()])
    error = differences.std(ddof=1) / len(differences) ** 0.5 if len(differences) > 1 else np.nan
    return float(differences.mean()), float(error)


def overstated(runs: Mapping[str, dict]) -> float:
    """By how much winners claim more than they are worth, on average."""
    return statistics.mean(run["claimed"] - truth(run) for run in runs.values())


GROUP = Group(
    file="14_tuning",
    jobs=lambda count: [(TPE, seed) for seed in range(FIRST_SEED, FIRST_SEED + count)],
    measure=lambda arm, seed: run_study(seed),
    arms=lambda: ARMS,
    code=code,
    repeats=5,
    missing=lambda: "" if importlib.util.find_spec("optuna") else "optuna is not installed",
)
