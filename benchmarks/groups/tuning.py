"""What lesson 14's searches find, over whole studies that were not used to write the lesson.

Runs the lesson's own definitions. Each study searches twice with the same frames, with Optuna and at random without
stopping anything early, and judges both winners, the first guess and lesson 07's recipe on the same fresh seeds.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from benchmarks.group import Group
from benchmarks.lesson_code import defining_code, run_code, seeds
from benchmarks.section import Arms, Section, seeds_of, table
from benchmarks.tables import median_text

DEFAULT, BY_HAND, TPE, RANDOM = "first guess", "by hand", "TPE and pruning", "random search"
ARMS = [DEFAULT, BY_HAND, TPE, RANDOM]


def code() -> str:
    """The lesson's cells that define the recipe, its score and both searches."""
    return defining_code("14_tuning", "14-search")


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


def measure(arm: str, seed: int) -> dict[str, dict]:
    """Both searches of one seed, and what was there before them."""
    space = run_code(code(), seed)
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


def tell(section: Section, arms: Arms) -> None:
    rows = []
    for name, runs in arms.items():
        true = list(map(truth, runs.values()))
        row = [name, f"{statistics.mean(true):.0f}", ", ".join(f"{score:.0f}" for score in true)]
        if "claimed" in next(iter(runs.values())):
            row += [
                f"{statistics.mean(run['claimed'] for run in runs.values()):.0f}",
                *(median_text(runs, fact) for fact in ("trials", "finished", "frames", "cpu_seconds")),
            ]
        rows.append(row + ["-"] * (8 - len(row)))
    heads = [
        "",
        "fresh seeds: mean score",
        "study by study",
        "claimed: mean",
        "trials",
        "finished",
        "frames",
        "processor seconds",
    ]
    pairs = [(TPE, DEFAULT), (TPE, BY_HAND), (TPE, RANDOM)]
    gains = [(one, other, *gain(arms[one], arms[other])) for one, other in pairs]
    section.answer(
        "; ".join(f"{one} minus {other}: {mean:+.0f} ± {error:.0f}" for one, other, mean, error in gains)
        + " (mean over studies and its standard error). What winners claim minus what they are worth: "
        + "; ".join(f"{name} {overstated(arms[name]):+.0f}" for name in (TPE, RANDOM))
        + "."
    )
    section.say(table(heads, rows))
    section.measured(
        "The definitions of lesson 14: DQN on CartPole-v1 with 2,048 frames; a score is the mean of eight greedy "
        "validations on the way, of 64 episodes each. A study searches with three seeds per setting and as many frames "
        "either way; winners, the first guess and lesson 07's recipe are judged on ten fresh seeds, the same for all "
        f"four. Trials, frames and seconds are medians; {seeds_of(arms)}."
    )
    section.limits(
        "Few studies of about twenty trials, one easy task, and five settings; seconds were taken on a busy machine."
    )


GROUP = Group(
    name="tuning",
    order=130,
    question="What does tuning find, and what does it only claim?",
    tell=tell,
    file="14_tuning",
    jobs=lambda count: [(TPE, seed) for seed in seeds(count)],
    measure=measure,
    arms=lambda: ARMS,
    code=code,
    repeats=5,
    missing=lambda: "" if importlib.util.find_spec("optuna") else "optuna is not installed",
)
