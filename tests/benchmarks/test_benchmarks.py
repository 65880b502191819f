"""What lessons and docs/benchmark.md say about results is what the stored results show."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from benchmarks import (
    dqn_cartpole,
    figures,
    page,
    peers,
    results_table,
    runner,
    scaling,
    store,
    tuning,
    where_time_goes,
)
from benchmarks.__main__ import command_for, parse
from benchmarks.dqn_cartpole import NO_CHANGE
from benchmarks.figures import FRAMES, SECONDS, TRAINING, Cost
from benchmarks.groups import GROUPS
from benchmarks.summary import (
    NEVER,
    bootstrap_interval,
    interquartile_mean,
    is_solved,
    percentile,
    spread,
    success_interval,
    to_solve,
)

NEEDS_A_GPU = {"gpu"}
MAX_BYTES = 250_000


# The stored results and what lessons say about them. To test another sentence: `arms`, `share_solved`, `times_the`.


def stamp_and_arms(group: str) -> tuple[dict, Mapping[str, Mapping[str, dict]]]:
    stamp, arms = store.read_group(store.RESULTS, GROUPS[group].file, group)
    if not arms:
        pytest.skip(f"{group} was not measured yet: make bench ARGS='--groups {group}'")
    return stamp, arms


def arms(group: str) -> Mapping[str, Mapping[str, dict]]:
    """The stored runs of a group, {arm: {seed: result}}; skips the test where there are none yet."""
    return stamp_and_arms(group)[1]


def share_solved(runs: Mapping[str, dict]) -> float:
    return sum(map(is_solved, runs.values())) / len(runs)


def median(runs: Mapping[str, dict], cost: Cost) -> float:
    """Median of what runs spent until they stopped, solved or not, as the lesson's tables show it."""
    return statistics.median(map(cost.of, runs.values()))


def times_the(runs: Mapping[str, dict], others: Mapping[str, dict], cost: Cost) -> float:
    """How many times the others' median `cost` these runs need."""
    return median(runs, cost) / median(others, cost)


def test_every_group_was_measured():
    missing = [name for name, group in GROUPS.items() if not store.read_group(store.RESULTS, group.file, name)[1]]
    assert set(missing) <= NEEDS_A_GPU


@pytest.mark.parametrize("group", GROUPS)
def test_results_say_what_they_were_measured_with(group):
    stamp, _ = stamp_and_arms(group)
    assert set(stamp) >= {"torch", "torchrl", "gymnasium", "python", "cpu", "cores", "code", "date", "command"}


@pytest.mark.parametrize(("group", "seeds"), [("notebook", 30), ("ablations", 10), ("peers", 10)])
def test_every_arm_ran_on_enough_seeds_not_used_for_tuning(group, seeds):
    for runs in arms(group).values():
        assert len(runs) >= seeds and min(map(int, runs)) >= dqn_cartpole.FIRST_SEED


def test_the_lessons_words_about_offline_methods_hold():
    found = arms("offline")
    assert all(len(runs) >= 5 and min(map(int, runs)) >= dqn_cartpole.FIRST_SEED for runs in found.values())
    middle = {name: statistics.median(run["test_return"] for run in runs.values()) for name, runs in found.items()}
    players = statistics.median(np.mean(run["players"]) for run in found["CQL"].values())
    assert 100 < players < 140 and middle["cloning"] > 1.5 * players, "teachers of about 120 are left behind"
    assert 0.8 < middle["DQN"] / players < 1.2, "stays where its teachers are"
    pairs = [(found["CQL"][seed]["test_return"], run["test_return"]) for seed, run in found["cloning"].items()]
    assert all(cql > clone for cql, clone in pairs), "beats the clone of the same record on every seed"
    mixed = {name: share_solved(runs) for name, runs in found.items() if not name.startswith("good record")}
    control = [found["CQL without its term"][seed]["test_return"] for seed in found["CQL"]]
    assert {name: share for name, share in mixed.items() if share} == {"CQL": 0.4, "CQL without its term": 0.4}
    assert statistics.mean(control) - players > 0.5 * (statistics.mean(cql for cql, _ in pairs) - players), "most of it"
    gains = [cql - without for (cql, _), without in zip(pairs, control, strict=True)]
    assert sum(gain > 0 for gain in gains) == 3 and min(gains) < -200, "better on three, once worse by 200"
    assert min(cql for cql, _ in pairs) < 300, "far from it on the worst seed"
    assert 0.9 < middle["CQL"] / middle["good record: CQL"] < 1.1, "about as far as from the good record"
    assert middle["cloning the best tenth"] < middle["cloning"], "no gain"
    assert 0.7 < middle["IQL"] / middle["cloning"] < 1, "a little behind the clone"
    seconds = {name: statistics.median(run["seconds"] for run in runs.values()) for name, runs in found.items()}
    assert 2 < seconds["IQL"] / seconds["CQL"] < 4, "three times as long"
    assert 1 < middle["good record: CQL"] / middle["good record: cloning"] < 1.1, "the lead is small"
    assert middle["good record: DQN"] < middle["good record: cloning"] / 2, "far behind"


def test_the_lessons_words_about_tuning_hold():
    found = arms("tuning")
    assert all(len(runs) >= 5 and min(map(int, runs)) >= tuning.FIRST_SEED for runs in found.values())
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


def test_every_notebook_was_measured():
    assert list(arms("notebooks")) == GROUPS["notebooks"].arms()


def test_no_notebook_needs_more_of_the_computer_than_the_readme_says():
    assert "the computer needs one and a half per lesson at most" in (ROOT / "README.md").read_text()
    assert max(run["seconds"] for runs in arms("notebooks").values() for run in runs.values()) <= 90


def test_results_are_small():
    for path in store.RESULTS.glob("*.json"):
        assert path.stat().st_size < MAX_BYTES, path.name


def test_the_ablations_are_the_switches_of_the_lesson():
    assert list(arms("ablations")) == dqn_cartpole.switches()
    for runs in arms("ablations").values():
        assert all({"test_return", "frames", "seconds", "curve"} <= set(run) for run in runs.values())


def test_lesson_07_solves_cartpole_on_at_least_nine_of_ten_seeds_and_resumes_exactly():
    acts = arms("notebook")
    assert share_solved(acts["act two"]) >= 0.9
    assert all(run["resumes"] for run in acts["act two"].values())
    assert share_solved(acts["act one"]) == 0, "act one says it is not solved"
    assert max(run["notebook_seconds"] for run in acts["act two"].values()) < 90


def test_the_lessons_words_about_each_change_hold():
    found = arms("ablations")
    recipe = found[NO_CHANGE]
    assert share_solved(recipe) == 1
    scale = found["no input scale"]
    assert 0.3 <= share_solved(scale) <= 0.7 and times_the(scale, recipe, FRAMES) > 3, "about half, and slowly"
    greedy = found["no exploration"]
    assert share_solved(greedy) >= 0.8 and times_the(greedy, recipe, FRAMES) > 2, "arrives, but needs twice the frames"
    plain = found["no failure reward"]
    assert share_solved(plain) < 1 and times_the(plain, recipe, FRAMES) <= 1.5, "quick, but some never arrive"
    for name in ("no target network", "no replay"):
        assert share_solved(found[name]) >= 0.9 and times_the(found[name], recipe, FRAMES) <= 1.5, "not missed"
    one = found["one environment"]
    assert share_solved(one) == 1 and times_the(one, recipe, FRAMES) <= 1.5, "no more frames"
    per_frame = [median(runs, TRAINING) / median(runs, FRAMES) for runs in (one, recipe)]
    assert per_frame[0] > 1.2 * per_frame[1], "more time to play them"


def test_the_lessons_words_about_the_other_library_hold():
    found = arms("peers")
    ours, theirs = found[peers.OURS], found[peers.SAME_RECIPE]
    assert share_solved(ours) == 1 and share_solved(theirs) == 1, "the same result"
    assert times_the(theirs, ours, TRAINING) < 1, "and the other library is the quicker one"
    dqn, ppo = found[peers.ZOO_DQN], found[peers.ZOO_PPO]
    assert times_the(dqn, ours, FRAMES) > 4 and times_the(dqn, ours, TRAINING) > 8, "many times"
    assert times_the(ppo, ours, FRAMES) > 1.3 and times_the(ppo, ours, TRAINING) > 1.3, "more of both"


def test_the_lessons_words_about_costs_hold():
    sizes = {
        name: dict(zip(*figures.medians_of(arm, "milliseconds"), strict=True)) for name, arm in arms("updates").items()
    }
    batch, width = sizes["batch_size"], sizes["width"]
    assert batch[128] / batch[32] < 2.5 and width[256] / width[64] < 2.5, (
        "four times the size, far less than four times"
    )
    assert batch[4096] / batch[1024] > 2.5 and width[1024] / width[512] > 2, "at the large end it grows with the size"
    speed = {
        name: dict(zip(*figures.medians_of(arm, "frames_per_second"), strict=True))
        for name, arm in arms("environments").items()
    }
    serial, vector = speed["SerialEnv"], speed["GymWrapper of a SyncVectorEnv"]
    native = speed["PendulumEnv (tensors)"]
    assert serial[4] > 2 * serial[1] and serial[256] < 1.5 * serial[16], "gains with the first few copies only"
    assert vector[64] > 1.5 * vector[16] and vector[256] < 2 * vector[64], "gains longer"
    assert native[256] > 2.5 * native[64], "goes on gaining"


def test_the_page_is_what_the_stored_results_say():
    files = page.build(store.RESULTS)
    assert {name for name, content in files.items() if (page.DOCS / name).read_bytes() != content} == set(), (
        "make bench-page"
    )
    drawn = {f"benchmark/{path.name}" for path in (page.DOCS / "benchmark").glob("*")}
    assert drawn == set(files) - {"benchmark.md"}


def test_links_of_the_page_point_to_files_that_exist():
    targets = re.findall(r"\]\(([^)]+)\)", (page.DOCS / "benchmark.md").read_text())
    local = [target for target in targets if not target.startswith("http")]
    assert local and all((page.DOCS / target).exists() for target in local)


# Made-up results


def made_up_run(cost: float, solved: bool = True) -> dict:
    frames = int(1_000 * cost)
    return {
        "test_return": 500.0 if solved else 100.0,
        "frames": frames,
        "seconds": 3 * cost,
        "validation_seconds": 2 * cost,
        "curve": [[frames // 2, 20.0], [frames, 495.0 if solved else 100.0]],
    }


def made_up_arm(costs, failed=()) -> dict[str, dict]:
    """Runs that cost so many thousand frames; those at the places in `failed` ended without success."""
    return {str(100 + place): made_up_run(cost, place not in failed) for place, cost in enumerate(costs)}


def made_up_repeat(lesson: float = 2.0, sb3: float = 1.0, bound: float = 1.0) -> dict:
    spent = {"environment": 0.2, "policy": 0.3, "evaluation": 2.0, "loss": 1.0, where_time_goes.REST: 0.5}
    return {
        "frames": 5_120,
        "updates": 544,
        "lesson": lesson,
        "raw stepping": 0.1 * bound,
        "raw updates": 0.9 * bound,
        "SB3": sb3,
        "run": {"frames": 2_048, "seconds": 4.0, "parts": spent},
    }


def sizes(fact: str, found: dict[int, float]) -> dict[str, dict]:
    return {str(size): {fact: [0.9 * value, value, 1.2 * value]} for size, value in found.items()}


def made_up_scores(found: dict[str, list[float]]) -> dict:
    return {
        name: {
            str(100 + place): {"score": score, "frames": 8_192, "cpu_seconds": 20.0, "curve": [[1024, score]]}
            for place, score in enumerate(scores)
        }
        for name, scores in found.items()
    }


def made_up_studies(arm: str) -> dict[str, dict]:
    """Two studies; a search finds 100 more than the first guess in one, 200 in the other, and claims 250."""
    spent = {"claimed": 250.0, "trials": 20, "finished": 15, "frames": 100_000, "cpu_seconds": 50.0}
    gains = {"100": 100.0, "101": 200.0} if arm in (tuning.TPE, tuning.RANDOM) else {"100": 0.0, "101": 0.0}
    found = spent if arm in (tuning.TPE, tuning.RANDOM) else {}
    return {seed: {"fresh": [40.0 + gain, 60.0 + gain], **found} for seed, gain in gains.items()}


def made_up_groups() -> dict[str, dict]:
    act_two = made_up_arm(np.linspace(1.5, 6, 30), failed={29})
    return {
        "notebook": {"act one": made_up_arm([8] * 30, failed=set(range(30))), "act two": act_two},
        "ablations": {
            NO_CHANGE: made_up_arm(np.linspace(1.5, 5, 10)),
            "no replay": made_up_arm([*np.linspace(2, 9, 6), 20, 20, 20, 20], failed={6, 7, 8, 9}),
            "no input scale": made_up_arm([20] * 10, failed=set(range(10))),
        },
        "peers": {
            peers.OURS: made_up_arm(np.linspace(1.5, 5, 10)),
            peers.SAME_RECIPE: made_up_arm(np.linspace(1, 4, 10)),
            peers.ZOO_DQN: made_up_arm(np.linspace(20, 50, 10), failed={9}),
            peers.ZOO_PPO: made_up_arm(np.linspace(10, 20, 10)),
        },
        **{
            name: {
                "TorchRL": {
                    str(seed): {"test_return": 490.0, "frames": 2_560, "cpu_seconds": 2.0, "startup_cpu_seconds": 4.0}
                    for seed in (100, 101)
                }
            }
            for name in ("libraries", "recommended")
        },
        "time": {"act two": {str(100 + place): made_up_repeat(lesson=2 + place / 10) for place in range(5)}},
        "environments": {
            "raw SyncVectorEnv": sizes("frames_per_second", {1: 20_000, 16: 70_000, 256: 80_000}),
            "ParallelEnv": sizes("frames_per_second", {1: 1_000, 2: 1_500, 4: 2_000}),
        },
        "updates": {
            "batch_size": sizes("milliseconds", {32: 1.2, 512: 2.5, 4096: 20}),
            "width": sizes("milliseconds", {64: 1.1, 1024: 30}),
        },
        "notebooks": {
            "00_start_here": {"0": {"seconds": 6.0, "peak_mb": 430}, "1": {"seconds": 8.0, "peak_mb": 430}},
            "07_dqn": {"0": {"seconds": 20.0, "peak_mb": 900}, "1": {"seconds": 22.0, "peak_mb": 910}},
        },
        "ppo": {
            name: {
                str(seed): {"test_return": best, "frames": 40_960, "cpu_seconds": 9.0, "curve": [[1, 40.0]]}
                for seed in (100, 101)
            }
            for name, best in {"CartPole": 490.0, "Pendulum": -160.0}.items()
        },
        "control": {
            name: {
                "100": {"test_return": best, "cpu_seconds": 10.0, "curve": [[1000, -900.0]]},
                "101": {"test_return": -400.0, "cpu_seconds": 12.0, "curve": [[1000, -900.0]]},
            }
            for name, best in {"DDPG": -150.0, "REDQ": -201.0}.items()
        },
        "offline": {
            name: {str(seed): {"test_return": reached, "seconds": 6.0, "frames": 20_000} for seed in (100, 101)}
            for name, reached in {"cloning": 60.0, "CQL": 480.0}.items()
        },
        "workers": {
            kind: {
                str(key): {
                    "workers": 2,
                    "step_seconds": step,
                    "learn_slept": slept,
                    "frames_per_second": 1_000.0,
                    "simulate": 0.8,
                    "learn": 0.224,
                    "carry": carry,
                }
                for key, (step, slept) in {2: (0.05, 0.0), 1_002: (0.0, 0.0), 2_002: (0.05, 0.4)}.items()
            }
            for kind, carry in {"sync": None, "async": 0.001}.items()
        },
        "staleness": {
            name: {str(seed): {"test_return": 400.0, "cpu_seconds": 9.0} for seed in (100, 101)}
            for name in ("fresh", "20 old, V-trace")
        },
        "tuning": {name: made_up_studies(name) for name in tuning.ARMS},
        "memory": made_up_scores({"no memory": [40.0, 60.0], "memory": [480.0, 470.0]}),
        "pixels": made_up_scores({"one look": [50.0, 60.0], "two looks": [97.0, 96.0]}),
        "gpu": {
            "batch_size, cpu": sizes("milliseconds", {32: 1.0, 4096: 20}),
            "batch_size, cuda": sizes("milliseconds", {32: 2.0, 4096: 2.5}),
            "act two, cuda": made_up_arm([2, 3, 4]),
        },
    }


STAMP = dict.fromkeys(["torch", "torchrl", "gymnasium"], "1.0") | {
    "python": "3.11",
    "cpu": "a made-up CPU",
    "cores": 2,
    "code": "abc",
    "date": "2030-01-01",
    "command": "make bench",
}


def store_made_up(folder, groups: dict[str, dict]) -> None:
    for name, found in groups.items():
        results = store.Store(folder / f"{GROUPS[name].file}.json")
        results.begin(name, list(found), STAMP)
        for arm, runs in found.items():
            results.runs[name][arm] = runs
        results.write()


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made_up")
    store_made_up(folder, made_up_groups())
    return folder


@pytest.fixture(scope="module")
def built(made_up):
    return page.build(made_up)


def text_of(folder) -> str:
    return page.build(folder)["benchmark.md"].decode()


class TestPage:
    def test_without_any_results_it_says_so_for_every_group(self, tmp_path):
        files = page.build(tmp_path)
        text = files["benchmark.md"].decode()
        assert set(files) == {"benchmark.md"} and text.count("Not measured") == len(GROUPS)
        assert text.count("not measured yet") == 4, "and for every target"

    @pytest.mark.parametrize("measured", GROUPS)
    def test_each_group_is_shown_without_the_others(self, tmp_path, measured):
        store_made_up(tmp_path, {measured: made_up_groups()[measured]})
        text = text_of(tmp_path)
        missing = re.findall(r"Not measured.*?--groups (\w+)'", text)
        assert missing == [name for name in GROUPS if name != measured]
        assert text.count("**Answer.**") == text.count("**How it was measured.**") == text.count("**Limits.**") == 1

    def test_tuning_is_judged_study_by_study_on_fresh_seeds(self, built):
        text = built["benchmark.md"].decode()
        assert f"{tuning.TPE} minus {tuning.DEFAULT}: +150 ± 50" in text and f"{tuning.RANDOM} +50" in text

    def test_the_same_results_give_the_same_bytes(self, made_up, built):
        assert page.build(made_up) == built

    def test_every_figure_has_words_with_its_numbers(self, built):
        words = dict(re.findall(r"!\[([^\]]+)\]\((.+?)\)", built["benchmark.md"].decode()))
        assert sorted(words.values()) == sorted(set(built) - {"benchmark.md"}) and len(words) == 9
        assert all(re.search(r"\d", text) for text in words)
        by_file = {file: text for text, file in words.items()}
        assert "act two: 29 of 30 runs solved" in by_file["benchmark/notebook.svg"]
        assert (
            "no input scale: 0 of 10 runs solved, returns from 100 to 100, medians to solve: frames not reached"
            in (by_file["benchmark/ablations.svg"])
        )

    def test_answers_are_computed(self, built):
        text = built["benchmark.md"].decode()
        assert "Act one solves it on 0 of 30 seeds; act two solves it on 29 of 30 seeds, the median run after" in text
        assert "The whole recipe solves it on 10 of 10 seeds, the median run after 3,250 frames." in text
        assert "no replay: 6 of 10, 2.6 times the frames; no input scale: 0 of 10." in text
        assert (
            "| no input scale | 0 of 10 | 0 % to 28 % | 100.0, 100.0 to 100.0 | 100.0 | not reached | not reached |"
            in text
        )
        assert "With the same recipe Stable-Baselines3 is the quicker one: the other needs 1.3 times" in text
        assert "The 2 notebooks together run in 28 s" in text and "07_dqn, 905 MB" in text
        assert "16 times the width (64 to 1024)" in text
        assert "Batch size 32: the GPU is 0.5 times as fast as the CPU, 4096: 8.0 times" in text

    def test_the_quicker_library_is_the_one_with_fewer_seconds(self, tmp_path):
        groups = {"peers": made_up_groups()["peers"]}
        groups["peers"][peers.OURS] = made_up_arm(np.linspace(0.5, 2, 10))
        store_made_up(tmp_path, groups)
        assert "With the same recipe TorchRL is the quicker one: the other needs 2.0 times" in text_of(tmp_path)

    @pytest.mark.parametrize(
        ("lesson", "sb3", "met"),
        [(2.4, 1.5, ["yes", "yes"]), (2.6, 1.5, ["**no**", "**no**"]), (1.8, 1.0, ["yes", "**no**"])],
    )
    def test_targets_of_the_loop_are_judged_by_the_data(self, tmp_path, lesson, sb3, met):
        store_made_up(tmp_path, {"time": {"act two": {"100": made_up_repeat(lesson, sb3)}}})
        assert re.findall(r"\| (yes|\*\*no\*\*) \|", text_of(tmp_path)) == met

    @pytest.mark.parametrize(("zoo", "met"), [(23.9, False), (24.1, True)])
    def test_the_target_of_eight_times_is_judged_by_each_clock(self, tmp_path, zoo, met):
        found = {peers.OURS: made_up_arm([3] * 10), peers.ZOO_DQN: made_up_arm([zoo] * 10)}
        store_made_up(tmp_path, {"peers": found})
        page_so_far = page.Page(tmp_path)
        assert [target.met for target in page.targets(page_so_far)[2:]] == [met, met]
        for run in found[peers.ZOO_DQN].values():
            run["validation_seconds"] += 1.5  # less training, the same in all
        store_made_up(tmp_path, {"peers": found})
        assert [target.met for target in page.targets(page_so_far)[2:]] == [False, met]

    def test_writing_removes_figures_it_no_longer_has(self, tmp_path, capsys):
        store_made_up(tmp_path, {name: made_up_groups()[name] for name in ("notebooks", "gpu")})
        docs = tmp_path / "docs"
        for expected in ({"notebooks", "gpu"}, {"notebooks"}):
            page.write(tmp_path, docs)
            assert {path.stem for path in (docs / "benchmark").glob("*.svg")} == expected
            assert f"and {len(expected)} figures" in capsys.readouterr().out
            (tmp_path / "gpu.json").unlink(missing_ok=True)


def drawn_points(axes) -> dict[str, list[float]]:
    """What stands in the scatter plots of an axes: x values by the group they were drawn as."""
    return {
        points.get_gid(): sorted(points.get_offsets()[:, 0].tolist())
        for points in axes.collections
        if points.get_gid() is not None
    }


class TestFigures:
    """What is drawn is what the data say: read back from the figure, not from its words."""

    def test_every_run_is_a_point_and_failed_ones_are_apart(self):
        runs = made_up_arm([2, 3, 4, 20], failed={3})
        figure, _ = figures.runs_figure({"one": runs, "two": made_up_arm([5, 6])}, [FRAMES, SECONDS])
        returns, frames, seconds = figure.axes
        assert drawn_points(frames) == {
            "one: solved": [2_000, 3_000, 4_000],
            "one: failed": [20_000],
            "two: solved": [5_000, 6_000],
        }
        assert drawn_points(seconds)["one: failed"] == [60]
        assert drawn_points(returns)["one: failed"] == [100]

    def test_median_and_percentiles_stand_where_they_belong(self):
        figure, _ = figures.runs_figure({"one": made_up_arm(range(1, 12))}, [FRAMES, SECONDS])
        frames = figure.axes[1]
        (low, high), (median,) = (list(line.get_xdata()) for line in frames.lines)
        assert [low, median, high] == [2_000, 6_000, 10_000]

    def test_an_arm_that_mostly_failed_has_no_median_but_an_arrow(self):
        runs = made_up_arm([2, 3, 4, 20, 20, 20, 20], failed={3, 4, 5, 6})
        frames = figures.runs_figure({"one": runs}, [FRAMES, SECONDS])[0].axes[1]
        assert [line.get_marker() for line in frames.lines] == ["None", ">"]

    def test_growth_is_drawn_through_the_medians(self):
        arm = {"1": {"milliseconds": [3.0, 1.0, 2.0]}, "4": {"milliseconds": [8.0, 6.0, 7.0]}}
        axes = figures.updates_figure({"width": arm})[0].axes[0]
        (line,) = [line for line in axes.lines if line.get_gid() == "width"]
        assert line.get_xydata().tolist() == [[1, 2], [4, 7]]

    def test_bars_of_the_loop_are_medians_and_every_repeat_a_dot(self):
        repeats = [made_up_repeat(lesson) for lesson in (1.0, 2.0, 6.0)]
        axes = figures.loops_figure(repeats)[0].axes[0]
        assert [bar.get_width() for bar in axes.patches] == [1.0, 2.0, 1.0]
        assert drawn_points(axes)["lesson 07"] == [1.0, 2.0, 6.0]

    def test_shares_of_the_parts_are_of_all_seconds(self):
        one, two = made_up_repeat(), made_up_repeat()
        two["run"] = {"seconds": 6.0, "parts": one["run"]["parts"] | {"loss": 3.0}}
        found = figures.shares([one, two])
        assert found["loss"] == (2.0, 0.4) and sum(share for _, share in found.values()) == pytest.approx(1)
        bars = figures.parts_figure([one, two])[0].axes[0].patches
        assert [bar.get_width() for bar in bars] == pytest.approx([100 * share for _, share in found.values()])


# Statistics


class TestSummary:
    def test_percentiles_are_numpys_where_no_run_failed(self):
        values = np.random.default_rng(1).normal(size=23).tolist()
        for share in (0.0, 0.1, 0.5, 0.9, 1.0):
            assert percentile(values, share) == pytest.approx(np.percentile(values, 100 * share))

    def test_failed_runs_count_as_larger_than_any_number(self):
        runs = made_up_arm([1, 2, 3, 4, 9], failed={4}).values()
        costs = to_solve(runs, FRAMES.of)
        assert costs == [1_000, 2_000, 3_000, 4_000, NEVER]
        assert spread(costs) == (1_400, 3_000, NEVER)
        assert percentile([1, 2, NEVER, NEVER], 0.5) == NEVER and percentile([NEVER, NEVER], 0.25) == NEVER

    def test_a_cheap_failure_does_not_make_an_arm_look_quick(self):
        quick_failures = made_up_arm([0.1, 0.1, 5, 6, 7], failed={0, 1}).values()
        assert spread(to_solve(quick_failures, FRAMES.of))[1] == 7_000

    def test_the_interquartile_mean_is_that_of_the_middle_half(self):
        assert interquartile_mean([-1_000, 1, 2, 3, 4, 5, 6, 1_000]) == 3.5
        assert interquartile_mean([[3, 1, 2], [0, 0, 9]]).tolist() == [2, 3]

    def test_the_interval_of_equal_values_is_a_point_and_is_the_same_each_time(self):
        assert bootstrap_interval([7.0] * 10) == (7, 7)
        values = np.random.default_rng(2).normal(size=12)
        assert bootstrap_interval(values) == bootstrap_interval(values)

    def test_the_interval_of_the_mean_is_the_one_theory_gives(self):
        values = np.random.default_rng(3).normal(size=400)
        low, high = bootstrap_interval(values, lambda drawn: drawn.mean(-1))
        half = 1.96 * values.std() / math.sqrt(len(values))
        assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)

    def test_a_95_per_cent_interval_holds_the_truth_about_so_often(self):
        rng = np.random.default_rng(4)
        intervals = [bootstrap_interval(rng.normal(size=30), resamples=500) for _ in range(300)]
        assert 0.88 < np.mean([low < 0 < high for low, high in intervals]) < 0.98

    def test_the_interval_of_a_success_rate_is_wilsons(self):
        assert success_interval(30, 30) == pytest.approx((0.886, 1.0), abs=1e-3)
        assert success_interval(5, 10) == pytest.approx((0.237, 0.763), abs=1e-3)

    def test_nothing_cannot_be_summarised(self):
        for function in (lambda: percentile([], 0.5), lambda: bootstrap_interval([]), lambda: success_interval(0, 0)):
            with pytest.raises(ValueError, match="no values|no runs"):
                function()


class TestTable:
    RUNS = {
        str(seed): {"test_return": 400 + 50 * seed, "frames": 1_000 * seed, "seconds": float(seed)} for seed in range(3)
    }

    def test_it_shows_solved_runs_medians_and_the_worst(self):
        assert results_table.table({"x": self.RUNS}).splitlines()[-1] == "| x | 1 of 3 | 1,000 | 1.0 (2.0) |"

    def test_training_alone_gets_a_column_where_all_arms_know_it(self):
        apart = {seed: run | {"validation_seconds": 0.75 * run["seconds"]} for seed, run in self.RUNS.items()}
        lines = results_table.table({"x": apart}).splitlines()
        assert lines[0].endswith("| without validation |") and lines[-1].endswith("| 1.0 (2.0) | 0.2 |")
        assert len({line.count("|") for line in lines}) == 1
        assert "without" not in results_table.table({"x": apart, "y": self.RUNS})


# Storing and going on


class TestStore:
    def test_what_is_stored_is_read_again_in_order_of_seeds_one_run_per_line(self, tmp_path):
        results = store.Store(tmp_path / "new" / "x.json")
        results.begin("peers", ["one", "two"], STAMP)
        results.add("peers", 101, {"one": {"frames": 2}})
        results.add("peers", 99, {"one": {"frames": 1, "curve": [[1, 2.5]]}, "two": {"frames": 3}})
        again = store.Store(results.path)
        assert again.runs == {
            "peers": {
                "one": {"99": {"frames": 1, "curve": [[1, 2.5]]}, "101": {"frames": 2}},
                "two": {"99": {"frames": 3}},
            }
        }
        assert list(again.runs["peers"]["one"]) == ["99", "101"]
        assert '    "99": {"frames": 1, "curve": [[1, 2.5]]},\n' in results.path.read_text()
        assert again.has("peers", "one", 99) and not again.has("peers", "two", 101)

    def test_the_bytes_do_not_depend_on_the_order_of_finishing(self, tmp_path):
        jobs = [("one", 1), ("two", 1), ("one", 2)]
        for name, order in [("a", jobs), ("b", jobs[::-1])]:
            results = store.Store(tmp_path / f"{name}.json")
            results.begin("peers", ["one", "two"], STAMP)
            for arm, key in order:
                results.add("peers", key, {arm: {"frames": key}})
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()

    def test_runs_of_other_code_are_not_mixed_with_new_ones(self, tmp_path):
        results = store.Store(tmp_path / "x.json")
        results.begin("peers", ["one", "gone"], STAMP)
        results.begin("time", ["one"], STAMP)
        results.add("peers", 1, {"one": {"frames": 1}, "gone": {"frames": 1}})
        results.add("time", 1, {"one": {"frames": 1}})
        assert store.Store(results.path).begin("peers", ["one", "gone"], STAMP | {"date": "2031-01-01"}) == 0
        assert store.Store(results.path).begin("peers", ["one"], STAMP) == 1, "an arm that is no more"
        other = store.Store(results.path)
        assert other.begin("peers", ["one", "gone"], STAMP | {"code": "def"}) == 2
        assert other.has("time", "one", 1), "another group of the same file"

    def test_a_number_that_json_does_not_know_is_refused_and_the_file_stays(self, tmp_path):
        results = store.Store(tmp_path / "x.json")
        results.begin("peers", ["one"], STAMP)
        results.add("peers", 1, {"one": {"seconds": 1.0}})
        before = results.path.read_bytes()
        with pytest.raises(ValueError):
            results.add("peers", 2, {"one": {"seconds": math.nan}})
        assert results.path.read_bytes() == before

    def test_results_without_a_stamp_of_their_own_count_as_not_measured(self, tmp_path):
        old = {"measured with": {"torch": "2.0"}, "runs": {"peers": {"one": {"1": {"frames": 1}}}}}
        (tmp_path / "x.json").write_text(json.dumps(old))
        assert store.read_group(tmp_path, "x", "peers") == ({}, {})

    def test_the_stamp_knows_versions_cpu_and_code(self):
        stamp = store.environment("x = 1", "make bench")
        assert stamp["torch"] and stamp["cpu"] and stamp["cores"] >= 1
        assert stamp["code"] != store.environment("x = 2", "make bench")["code"]
        assert store.same_conditions(stamp, stamp | {"date": "1999-01-01", "command": "x"})
        assert not store.same_conditions(stamp, stamp | {"cpu": "another"})


JOBS = '''
"""Jobs that leave a trace; each seed that has a file "<seed>.fails" raises."""
import os, pathlib, time
from benchmarks.group import Group

FOLDER = pathlib.Path(os.environ["TRACES"])

def measure(arm, seed):
    if (FOLDER / f"{seed}.fails").exists():
        raise ArithmeticError(f"seed {seed} is broken")
    time.sleep(float(os.environ.get("PAUSE", 0)))
    with (FOLDER / "trace").open("a") as file:
        file.write(f"{arm} {seed}\\\\n")
    return {arm: {"frames": seed}}

def groups():
    jobs = lambda count: [(arm, seed) for seed in range(count) for arm in ("one", "two")]
    alone = Group("x", jobs, measure, lambda: ["one", "two"], lambda: "", 3)
    absent = Group("x", jobs, measure, lambda: ["one", "two"], lambda: "", 3, missing=lambda: "there is no sun")
    return {"alone": alone, "absent": absent}
'''


class TestRunner:
    @pytest.fixture
    def jobs(self, tmp_path, monkeypatch):
        (tmp_path / "made_up_jobs.py").write_text(JOBS.replace("\\\\n", "\\n"))
        monkeypatch.setenv("TRACES", str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
        monkeypatch.syspath_prepend(tmp_path)
        import made_up_jobs

        yield made_up_jobs
        del sys.modules["made_up_jobs"]

    def traces(self, folder) -> list[str]:
        return (folder / "trace").read_text().splitlines()

    def test_finished_jobs_are_not_run_again_and_failed_ones_are(self, jobs, tmp_path, capsys):
        (tmp_path / "1.fails").touch()
        results = store.Store(tmp_path / "x.json")
        failed = runner.run(jobs.groups, "alone", results)
        assert [line.split(":")[0] for line in failed] == ["alone, one, 1", "alone, two, 1"]
        assert all("ArithmeticError: seed 1 is broken" in line for line in failed)
        assert self.traces(tmp_path) == ["one 0", "two 0", "one 2", "two 2"], "alone: in this order"
        (tmp_path / "1.fails").unlink()
        assert runner.run(jobs.groups, "alone", store.Store(tmp_path / "x.json")) == []
        assert self.traces(tmp_path)[4:] == ["one 1", "two 1"]
        assert list(store.Store(tmp_path / "x.json").runs["alone"]["two"]) == ["0", "1", "2"]
        assert "6/6" in capsys.readouterr().out

    def test_fresh_measures_anew(self, jobs, tmp_path):
        for fresh in (False, False, True):
            runner.run(jobs.groups, "alone", store.Store(tmp_path / "x.json"), 1, fresh=fresh)
        assert self.traces(tmp_path) == ["one 0", "two 0"] * 2

    def test_a_group_that_cannot_be_measured_here_is_left_out_and_says_why(self, jobs, tmp_path, capsys):
        assert runner.run(jobs.groups, "absent", store.Store(tmp_path / "x.json")) == []
        assert capsys.readouterr().out == "absent: left out, there is no sun\n"
        assert not (tmp_path / "x.json").exists()

    def test_a_kill_costs_the_job_under_way_and_nothing_else(self, jobs, tmp_path, monkeypatch):
        monkeypatch.setenv("PAUSE", "0.3")
        script = textwrap.dedent("""
            import pathlib, sys, made_up_jobs
            from benchmarks import runner, store
            if __name__ == "__main__":
                runner.run(made_up_jobs.groups, "alone", store.Store(pathlib.Path(sys.argv[1])), 20)
        """)
        (tmp_path / "script.py").write_text(script)
        path = tmp_path / "x.json"
        bench = subprocess.Popen([sys.executable, tmp_path / "script.py", path], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(store.Store(path).runs.get("alone", {}).get("two", {})) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        bench.send_signal(signal.SIGKILL)
        bench.wait()
        done = store.Store(path).runs["alone"]
        finished = sum(map(len, done.values()))
        assert finished >= 4
        time.sleep(1)  # its worker leaves with it, at the latest after the job under way
        before = self.traces(tmp_path)
        assert finished <= len(before) <= finished + 2
        monkeypatch.setenv("PAUSE", "0")
        runner.run(jobs.groups, "alone", store.Store(path), 4)
        after = self.traces(tmp_path)[len(before) :]
        assert len(after) == 8 - finished and not set(after) & set(before[:finished])

    def test_a_kill_while_writing_leaves_the_file_whole(self, tmp_path, monkeypatch):
        results = store.Store(tmp_path / "x.json")
        results.begin("peers", ["one"], STAMP)
        results.add("peers", 1, {"one": {"frames": 1}})

        def killed(descriptor):
            raise KeyboardInterrupt

        monkeypatch.setattr(store.os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            results.add("peers", 2, {"one": {"frames": 2}})
        assert store.Store(tmp_path / "x.json").runs == {"peers": {"one": {"1": {"frames": 1}}}}


class TestCommand:
    def test_the_stored_command_chooses_the_group_and_its_seeds(self):
        assert command_for("time", 3) == "make bench ARGS='--groups time --seeds 3'"
        chosen = parse(["--groups", "time", "peers", "--seeds", "3"])
        assert chosen.groups == ["time", "peers"] and chosen.seeds == 3 and chosen.results == store.RESULTS
        assert parse([]).groups == list(GROUPS)

    @pytest.mark.parametrize("wrong", [["--groups", "tim"], ["--seeds", "0"], ["--workers", "-1"]])
    def test_wrong_arguments_are_named(self, wrong, capsys):
        with pytest.raises(SystemExit):
            parse(wrong)
        assert "invalid choice: 'tim'" in (said := capsys.readouterr().err) or "have to be 1 or more" in said


class TestGroups:
    def test_timed_groups_run_alone(self):
        assert {name for name, group in GROUPS.items() if not group.alone} == {
            "notebook",
            "ablations",
            "control",
            "staleness",
        }
        assert {"peers", "time"} <= {name for name, group in GROUPS.items() if group.pinned}

    def test_peers_are_interleaved_seed_by_seed(self):
        jobs = peers.GROUP.jobs(2)
        assert [seed for _, seed in jobs] == [100] * 4 + [101] * 4
        assert [arm for arm, _ in jobs] == peers.arms() * 2

    @pytest.mark.parametrize("name", GROUPS)
    def test_every_job_leads_to_an_arm_that_is_shown(self, name):
        assert {arm for arm, _ in GROUPS[name].jobs(1)} <= set(GROUPS[name].arms())


# The lesson


@pytest.fixture(scope="module")
def space():
    return dqn_cartpole.definitions(seed=0)


class TestLesson:
    def test_the_definitions_of_the_lesson_run_without_its_training(self, space, capsys):
        assert {"build", "train", "learn", "evaluate", "validate", "settings", "switches", "device"} <= set(space)
        assert "run" not in space and len(space["buffer"]) == 0

    def test_the_unchanged_recipe_is_one_of_the_switches(self, space):
        assert space["switches"][NO_CHANGE] == {}
        fields = set(vars(space["settings"]))
        assert all(set(changes) <= fields for changes in space["switches"].values())

    def test_the_whole_notebook_is_the_lessons_code_with_two_probes(self):
        notebook = dqn_cartpole.probed_notebook()
        sources = [cell.source for cell in notebook.cells]
        mine = [source for source in sources if source in (dqn_cartpole.AFTER_THE_EXAM, dqn_cartpole.AT_THE_END)]
        assert [source for source in sources if source not in mine] == [cell.source for cell in dqn_cartpole.cells()]
        assert len(mine) == 2 and "test_returns =" in sources[sources.index(dqn_cartpole.AFTER_THE_EXAM) - 1]
        assert any("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells)
        dqn_cartpole.index_of(notebook, "textbook_curve =")

    def test_a_name_the_lesson_no_longer_has_is_told(self):
        with pytest.raises(LookupError, match="No cell of 07_dqn.py has 'gone ='"):
            dqn_cartpole.index_of(dqn_cartpole.probed_notebook(), "gone =")

    def test_a_result_is_stored_in_few_digits(self):
        found = dqn_cartpole.rounded(
            {"test_return": 1.23456, "frames": 5.0, "seconds": 1.23456, "curve": [(256.0, 9.87)]}
        )
        assert found == {"test_return": 1.2, "frames": 5, "seconds": 1.235, "curve": [[256, 9.9]]}

    def test_training_is_stopped_and_recorded_as_the_lesson_does_it(self, space):
        scores = iter([20.04, 495.0])

        def validate(run):
            time.sleep(0.05)
            return next(scores)

        changed = dict(space)
        train = type(space["train"])(space["train"].__code__, changed, argdefs=space["train"].__defaults__)
        changed |= {"validate": validate, "train": train, "evaluate": lambda *_: np.array([500.0, 450.0])}
        found = dqn_cartpole.train_and_test(changed, seed=0)
        settings = space["settings"]
        first = -(-settings.warm_up // settings.batch_frames) * settings.batch_frames
        assert found["curve"] == [[first, 20.0], [first + settings.batch_frames, 495.0]]
        assert found["frames"] == first + settings.batch_frames and found["test_return"] == 475.0
        assert 0.1 <= found["validation_seconds"] < found["seconds"]


class TestWhereTimeGoes:
    def test_a_parts_time_is_its_own_and_not_that_of_the_parts_it_calls(self, monkeypatch):
        clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
        monkeypatch.setattr(where_time_goes, "time", clock)

        def work(seconds):
            clock.now += seconds

        watch = where_time_goes.Stopwatch()
        inner = watch.part("inner", lambda: work(2))
        watch.part("outer", lambda: (work(4), inner(), inner()))()
        assert watch.calls == {"inner": 2, "outer": 1}
        assert watch.seconds == {"inner": 4, "outer": 4}

    def test_within_a_part_and_whole(self):
        watch = where_time_goes.Stopwatch()
        policy = watch.part("policy", lambda: None, within="collector")
        policy()
        watch.part("collector", policy)()
        watch.part("evaluation", policy, whole=True)()
        watch.part("loss", policy)()
        assert watch.calls == {"policy": 1, "collector": 1, "evaluation": 1, "loss": 1}

    def test_the_stopwatch_is_taken_off_again_even_after_an_error(self):
        class Owner:
            def mine(self): ...

        class Heir(Owner): ...

        before = Owner.mine
        with pytest.raises(ZeroDivisionError), where_time_goes.replaced(Heir, "mine", lambda self: None):
            assert Heir.mine is not before
            1 / 0  # noqa: B018
        assert Heir.mine is before and "mine" not in vars(Heir)

    def test_every_part_is_one_the_lessons_loop_has_and_together_they_are_the_run(self, space):
        settings = space["settings"]
        found = where_time_goes.by_part(seed=0, frames=dqn_cartpole.first_frames(settings))
        assert [name for name, seconds in found["parts"].items() if seconds <= 0] == []
        assert sum(found["parts"].values()) == pytest.approx(found["seconds"], abs=0.01)

    def test_the_bound_does_the_work_it_is_asked_for(self, space):
        import torch
        from gymnasium.vector import SyncVectorEnv

        watch = where_time_goes.Stopwatch()
        for owner, name in [(SyncVectorEnv, "step"), (torch.Tensor, "backward")]:
            timed = watch.part(name, getattr(owner, name))
            with where_time_goes.replaced(owner, name, timed):
                assert where_time_goes.raw_stepping(space["settings"], 160) > 0
                assert where_time_goes.raw_updates(space["settings"], 7) > 0
        assert watch.calls == {"step": 160 // space["settings"].envs, "backward": 7}


class TestScaling:
    def test_every_way_plays_as_many_copies_as_asked(self):
        for way in ("raw SyncVectorEnv", "GymWrapper of a SyncVectorEnv", "SerialEnv", "PendulumEnv (tensors)"):
            (speed,) = scaling.frames_per_second(way, 2, repeats=1, seconds=0.01)
            assert speed > 10, way

    def test_more_arithmetic_takes_longer(self):
        (small,), (large,) = (scaling.update_milliseconds(1, seconds=0.01, batch_size=size) for size in (8, 1_024))
        assert 0 < small < large


class TestPeers:
    @pytest.fixture
    def lesson(self, space):
        pytest.importorskip("stable_baselines3", reason='pip install "torchrl-course[sb3]"')
        return dict(space)

    @pytest.mark.parametrize(
        ("make", "frames"), [(peers.same_recipe, 1_024), (peers.zoo_dqn, 1_024), (peers.zoo_ppo, 256)]
    )
    def test_one_that_validates_well_at_once_stops_after_its_first_updates(self, lesson, make, frames):
        asked = []
        lesson["evaluate"] = lambda agent, episodes, seed: asked.append((episodes, seed)) or np.full(episodes, 495.0)
        judge = peers.make_judge(lesson, scale=1.0)
        model, cap = make(0, lesson)
        peers.quiet(model)
        model.learn(cap, callback=judge)
        settings = lesson["settings"]
        assert asked == [(settings.validation_episodes, settings.validation_seed)]
        assert judge.curve == [(frames, 495.0)] and len(judge.seconds) == 1 and judge.best_agent is not None

    def test_all_are_validated_after_every_block_and_the_best_is_kept(self, lesson):
        scores = iter([100.0, 300.0, 200.0, 495.0])
        agents = []
        lesson["evaluate"] = lambda agent, episodes, seed: agents.append(agent) or np.full(episodes, next(scores))
        judge = peers.make_judge(lesson, scale=1.0)
        model, _ = peers.zoo_ppo(0, lesson)
        peers.quiet(model)
        model.learn(3 * 256, callback=judge)
        assert [frames for frames, _ in judge.curve] == [256, 512, 768]
        assert judge.best_agent is agents[1]

    @pytest.mark.parametrize("make", [peers.zoo_dqn, peers.zoo_ppo])
    def test_the_adapter_acts_as_the_model_does_without_exploring(self, lesson, make):
        import torch
        from tensordict import TensorDict

        model, _ = make(3, lesson)
        seen = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
        agent = peers.greedy_agent(model, torch.ones(4))
        mine = agent(TensorDict({"observation": seen}, [64]))["action"]
        assert mine.tolist() == model.predict(seen.numpy(), deterministic=True)[0].tolist()
        assert 0 < mine.float().mean() < 1, "both actions occur"

    def test_the_same_recipe_makes_the_same_frames_and_updates(self, lesson, monkeypatch):
        monkeypatch.setattr(dqn_cartpole, "definitions", lambda seed: lesson | {"settings": settings})
        settings = SimpleNamespace(**vars(lesson["settings"]))
        frames = dqn_cartpole.first_frames(settings)
        _, theirs = where_time_goes.sb3_loop(0, frames)
        monkeypatch.undo()
        _, ours = where_time_goes.lesson_loop(0, frames)
        assert ours == theirs == 2 * settings.updates
