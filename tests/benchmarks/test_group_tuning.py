"""What tuning finds."""

from __future__ import annotations

from made_up_results import arms, told

from benchmarks import lesson_code
from benchmarks.groups import tuning


def test_the_lessons_words_about_tuning_hold():
    found = arms("tuning")
    assert all(len(runs) >= 5 and min(map(int, runs)) >= lesson_code.FIRST_SEED for runs in found.values())
    for search in (tuning.TPE, tuning.RANDOM):
        for seed, run in found[search].items():
            assert tuning.truth(run) > tuning.truth(found[tuning.DEFAULT][seed]), "every winner leaves it behind"
            assert 100_000 <= run["frames"] < 106_144, "the same frames"
    pairs = [(found[tuning.TPE][seed], run) for seed, run in found[tuning.RANDOM].items()]
    assert all(ours["trials"] > theirs["trials"] for ours, theirs in pairs), "stopping early bought more trials"
    gain, error = tuning.gain(found[tuning.TPE], found[tuning.DEFAULT])
    assert gain > 2 * error, "tuning paid, by the lesson's rule"
    lines = [
        run["claimed"] - tuning.truth(run) for search in (tuning.TPE, tuning.RANDOM) for run in found[search].values()
    ]
    assert min(lines) < 0 < max(lines), "a line that falls, and one that rises"
    asked = [run["importances"] for run in found[tuning.TPE].values()]
    assert max(one["updates"] for one in asked) < 0.3, "updates gets little in the stored ones"


def made_up_studies(arm: str) -> dict[str, dict]:
    """Two studies; a search finds 100 more than the first guess in one, 200 in the other, and claims 250."""
    spent = {"claimed": 250.0, "trials": 20, "finished": 15, "frames": 100_000, "cpu_seconds": 50.0}
    gains = {"100": 100.0, "101": 200.0} if arm in (tuning.TPE, tuning.RANDOM) else {"100": 0.0, "101": 0.0}
    found = spent if arm in (tuning.TPE, tuning.RANDOM) else {}
    return {seed: {"fresh": [40.0 + gain, 60.0 + gain], **found} for seed, gain in gains.items()}


def test_tuning_is_judged_study_by_study_on_fresh_seeds(tmp_path):
    text = told(tmp_path, "tuning", {name: made_up_studies(name) for name in tuning.ARMS})
    assert f"{tuning.TPE} minus {tuning.DEFAULT}: +150 ± 50" in text and f"{tuning.RANDOM} +50" in text
