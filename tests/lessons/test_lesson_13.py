"""Lesson 13's scripts do what their names say, its judge is fair, and what it says of libraries is true of the pins."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import json
import re
import statistics
import sys
from collections import Counter

import jupytext
import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from torch.optim.optimizer import register_optimizer_step_post_hook
from torchrl.data import Categorical
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss, HardUpdate, SoftUpdate

import course_utils
from benchmarks.groups import libraries
from benchmarks.lesson_code import FIRST_SEED
from course_utils import library_scripts, load_results
from course_utils.exercises.exercise import Draw
from course_utils.exercises.port_compared import make_batch, make_network, td_loss
from course_utils.machine.extras import extra_install, has_extra
from course_utils.runs import shipped
from tools import lock

SCRIPTS = library_scripts()
PURPOSES = ["dqn", "recipe", "algorithm", "loss", "network", "workers"]
FEATURES = json.loads((SCRIPTS / "features.json").read_text())
# Past the frames that each library's settings fill the buffer with before the first update.
FRAMES = {"plain": 10_050, "torchrl": 11_000, "sb3": 1_300, "rllib": 1_000}
EXTRA = {"sb3": "sb3", "rllib": "rllib"}


@pytest.fixture(scope="module", autouse=True)
def scripts_importable():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield


@pytest.fixture
def judge():
    return importlib.import_module("judge")


@pytest.fixture(scope="module")
def ray_running():
    if not has_extra("rllib"):
        pytest.skip(extra_install("rllib"))
    import ray

    importlib.import_module("quiet_ray").start_ray()
    yield
    ray.shutdown()


class TestJudge:
    @pytest.fixture
    def played(self, judge, monkeypatch):
        """What the judge asked to be played; a stand-in gives the returns."""
        asked, returns = [], {}

        def mean_return(act, episodes, seed):
            asked.append((episodes, seed))
            return returns.get("exam" if episodes == judge.EXAM_EPISODES else "validation", 100.0)

        monkeypatch.setattr(judge, "mean_return", mean_return)
        return asked, returns

    def test_the_exam_is_played_once_on_seeds_of_its_own_run(self, judge, played):
        asked, returns = played
        for seed in (3, 4):
            asked.clear()
            returns.update(validation=495.0, exam=480.0)
            verdict = judge.Judge(seed, frames=1_000, every=100)
            assert verdict(None, 50)
            assert asked == [(32, judge.VALIDATION_SEED), (100, judge.EXAM_SEED + 1_000 * seed)]
            assert verdict.result["solved"] and verdict.result["test_return"] == 480.0

    def test_a_good_validation_and_a_bad_exam_is_not_solved(self, judge, played):
        played[1].update(validation=500.0, exam=474.9)
        verdict = judge.Judge(0, frames=1_000, every=100)
        assert verdict(None, 10) and not verdict.result["solved"]

    def test_it_validates_every_so_many_frames_and_gives_up_at_the_cap(self, judge, played):
        verdict = judge.Judge(0, frames=1_000, every=300)
        stopped = [frames for frames in range(0, 1_001, 50) if verdict(None, frames)]
        assert stopped == [1_000] and [at for at, _ in verdict.result["curve"]] == [0, 300, 600, 900, 1_000]
        assert not verdict.result["solved"] and verdict.result["frames"] == 1_000

    def test_its_own_time_is_not_the_librarys(self, judge, monkeypatch):
        now = [0.0]

        def mean_return(act, episodes, seed):
            now[0] += 100.0
            return 100.0

        monkeypatch.setattr(judge, "mean_return", mean_return)
        monkeypatch.setattr(judge.time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(judge.time, "process_time", lambda: now[0])
        verdict = judge.Judge(0, frames=20, every=10)
        for frames in (0, 10, 20):
            verdict(None, frames)
            now[0] += 1.0
        assert verdict.result["seconds"] == verdict.result["cpu_seconds"] == 2.0

    def test_only_the_first_episode_of_each_copy_counts(self, judge):
        def left(seen):
            return np.zeros(len(seen), int)

        def balance(seen):
            return (seen[:, 2] + 0.3 * seen[:, 3] > 0).astype(int)

        def half(seen):
            return np.concatenate([left(seen[:10]), balance(seen[10:])])

        short, long = judge.mean_return(left, 10, seed=0), judge.mean_return(balance, 10, seed=10)
        assert short < 11 and long > 100
        assert judge.mean_return(half, 20, seed=0) == pytest.approx((short + long) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("purpose", [purpose for purpose in PURPOSES if purpose != "recipe"])  # the notebook runs those
@pytest.mark.parametrize("library", FRAMES)
def test_every_script_learns_from_what_it_plays(library, purpose, judge, request):
    if library == "rllib":
        request.getfixturevalue("ray_running")
    elif library in EXTRA and not has_extra(EXTRA[library]):
        pytest.skip(extra_install(EXTRA[library]))
    script = importlib.import_module(f"{library}_{purpose}")
    steps = []
    hook = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    verdict = judge.Judge(0, frames=FRAMES[library], every=1_000_000)
    try:
        script.train(0, verdict)
    finally:
        hook.remove()
    assert len(steps) >= 1 and verdict.result["frames"] >= FRAMES[library]


class TestScripts:
    def lines(self, library, purpose):
        text = (SCRIPTS / f"{library}_{purpose}.py").read_text()
        return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith(("#", '"""'))]

    def to_write(self, library, purpose):
        return (Counter(self.lines(library, purpose)) - Counter(self.lines(library, "dqn"))).total()

    def test_every_library_has_a_script_for_every_purpose(self):
        for library in FRAMES:
            for purpose in PURPOSES:
                text = (SCRIPTS / f"{library}_{purpose}.py").read_text()
                assert re.match(r'"""CartPole .+\.?"""\n', text), "a first line that says what it is, and no more"
                assert text.count('"""') == 2 and "main(train, frames=" in text

    def test_the_lessons_words_about_lines_hold(self):
        changes = {purpose: {name: self.to_write(name, purpose) for name in FRAMES} for purpose in PURPOSES[1:]}
        lengths = {name: len(self.lines(name, "dqn")) for name in FRAMES}
        assert min(lengths, key=lengths.get) == "sb3", "fewest lines"
        assert max(changes["algorithm"][name] for name in ("sb3", "rllib")) < min(
            changes["algorithm"][name] for name in ("plain", "torchrl")
        ), "a class's name and its settings, or a new script"
        loss, network = changes["loss"], changes["network"]
        assert max(loss["plain"], loss["torchrl"]) <= 3 < loss["rllib"] < loss["sb3"], "the other way round"
        assert max(network["plain"], network["torchrl"]) < 10 < min(network["rllib"], network["sb3"]), "a network too"
        assert all(count <= 8 for count in changes["workers"].values())

    def test_the_benchmark_runs_what_the_lesson_compares(self):
        assert set(libraries.LIBRARIES.values()) == set(FRAMES)
        assert set(libraries.LIBRARIES) == set(FEATURES["versions"])

    def test_they_are_found_in_a_clone_and_in_an_installed_package(self, tmp_path, monkeypatch):
        assert library_scripts() == lock.ROOT / "examples" / "libraries"
        monkeypatch.setattr(shipped, "PACKAGE", tmp_path)
        (tmp_path / "libraries").mkdir()
        assert library_scripts() == tmp_path / "libraries"

    def test_an_installed_package_brings_them_along(self):
        settings = lock.pyproject()["tool"]["setuptools"]
        assert settings["package-dir"]["course_utils.libraries"] == "examples/libraries"
        assert "course_utils.libraries" in settings["packages"]


class TestSB3:
    """What the lesson says of Stable-Baselines3's exploration and of its replay buffer."""

    @pytest.fixture
    def model(self):
        if not has_extra("sb3"):
            pytest.skip(extra_install("sb3"))
        from stable_baselines3 import DQN
        from stable_baselines3.common.env_util import make_vec_env

        return DQN("MlpPolicy", make_vec_env("CartPole-v1", n_envs=16), seed=0, buffer_size=320, device="cpu")

    def test_one_toss_tells_all_copies_whether_to_explore(self, model):
        model.exploration_rate = 0.5
        chosen = [model.predict(np.zeros((16, 4), np.float32))[0] for _ in range(40)]
        greedy = sum(len(set(actions.tolist())) == 1 for actions in chosen)
        assert 5 <= greedy <= 35, "with a toss for each of 16 copies, nearly every call would mix the two actions"

    def test_its_sample_takes_timeouts_out_of_the_dones(self, model):
        memory = model.replay_buffer
        seen, flags = np.zeros((16, 4)), np.arange(16) % 3  # going on; over; over by the clock
        infos = [{"TimeLimit.truncated": bool(flag == 2)} for flag in flags]
        memory.add(seen, seen, np.zeros((16, 1)), flags, flags > 0, infos)
        assert memory.dones[0].tolist() == (flags > 0).tolist() and memory.timeouts[0].tolist() == (flags == 2).tolist()
        batch = memory.sample(200)
        assert ((batch.rewards == 1) == batch.dones.bool()).all()


def found(name: str):
    """The object with this dotted name.

    Raises:
        ImportError, AttributeError: there is none.
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            value = importlib.import_module(".".join(parts[:length]))
            for part in parts[length:]:
                value = getattr(value, part)
            return value
    raise ImportError(name)


class TestFeatures:
    ENTRIES = [(feature, library) for feature, row in FEATURES["features"].items() for library in row]

    def test_every_library_has_an_entry_with_a_reason_for_every_feature(self):
        for feature, row in FEATURES["features"].items():
            assert list(row) == list(FEATURES["versions"]), feature
            assert all(entry["has"] in ("yes", "partly", "no") and entry["why"] for entry in row.values())

    def test_the_versions_are_those_that_are_pinned(self):
        pins = [pin for name in ("torch", "core", "rllib", "sb3") for pin in lock.read_requirements(name)]
        pinned = {Requirement(pin).name: str(Requirement(pin).specifier).removeprefix("==") for pin in pins}
        for checked in FEATURES["versions"].values():
            name, version = checked.split()
            assert pinned[name] == version, f"{name} moved to {pinned[name]}: check its entries again"

    @pytest.mark.slow
    def test_what_a_library_is_said_to_have_is_there(self):
        if not (has_extra("rllib") and has_extra("sb3")):
            pytest.skip(extra_install("rllib") + " and " + extra_install("sb3"))
        for feature, library in self.ENTRIES:
            entry = FEATURES["features"][feature][library]
            if library != "plain PyTorch" and entry["has"] != "no":
                assert found(entry["name"]) is not None, (feature, library)


class TestResults:
    RUNS = load_results(libraries.FILE)["runs"]

    @pytest.mark.parametrize("group", ["libraries", "recommended"])
    def test_every_library_ran_on_seeds_that_were_not_used_for_tuning(self, group):
        for library, runs in self.RUNS[group].items():
            fewest = libraries.SLOW_SEEDS if (group, library) == ("recommended", libraries.SLOW) else 5
            assert len(runs) >= fewest and min(map(int, runs)) >= FIRST_SEED
        assert set(self.RUNS[group]) == set(libraries.LIBRARIES)

    def test_the_lessons_words_about_the_same_recipe_hold(self):
        runs = {library: list(found.values()) for library, found in self.RUNS["libraries"].items()}
        frames = {library: statistics.median(run["frames"] for run in found) for library, found in runs.items()}
        assert max(frames.values()) < 3 * min(frames.values()), "the same range"
        cost = {
            library: statistics.median(run["cpu_seconds"] / run["frames"] for run in found if "cpu_seconds" in run)
            for library, found in runs.items()
        }
        ranked = sorted(cost, key=cost.get)
        assert ranked[2:] == ["TorchRL", "RLlib"], "paid for even with one worker, and TorchRL's lies between"
        peers = load_results("07_dqn")["runs"]["peers"]
        per_frame = {
            name: statistics.median(
                (run["seconds"] - run["validation_seconds"]) / run["frames"] for run in found.values()
            )
            for name, found in peers.items()
        }
        lesson_07 = per_frame["TorchRL DQN, this recipe"] / per_frame["SB3 DQN, this recipe"]
        assert lesson_07 < cost["TorchRL"] / cost["Stable-Baselines3"], "lesson 07's own loop pays less"

    def test_the_judge_looks_in_as_often_as_the_lesson_says(self):
        def looks_in_every(run):
            return run["curve"][2][0] - run["curve"][1][0]

        often = {
            library: looks_in_every(next(iter(runs.values()))) for library, runs in self.RUNS["recommended"].items()
        }
        assert often == {"plain PyTorch": 5_000, "TorchRL": 5_000, "Stable-Baselines3": 1_000, "RLlib": 1_000}
        same = [looks_in_every(next(iter(runs.values()))) for runs in self.RUNS["libraries"].values()]
        assert max(same) < 300

    def test_runs_without_seconds_count_for_frames_and_success_alone(self, monkeypatch):
        """As they are stored when they were added on another machine."""
        lesson = jupytext.read(lock.ROOT / "lessons" / "13_choosing_a_library.py", fmt="py:percent")
        cells = [cell.source for cell in lesson.cells if cell.cell_type == "code"]
        stored = copy.deepcopy(load_results(libraries.FILE))
        for runs in [runs for group in stored["runs"].values() for runs in group.values()]:
            run = runs[max(runs)]
            for fact in [fact for fact in run if fact.endswith("seconds")]:
                del run[fact]
        monkeypatch.setattr(course_utils, "load_results", lambda file: stored)
        monkeypatch.setattr(course_utils, "show_figure", lambda figure, alt: None)
        space = {"scripts": SCRIPTS}
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            for cell in cells:
                if "def lines_of" in cell or "stored" in cell or "timed(" in cell or "print_table" in cell:
                    exec(cell, space)
        assert said.getvalue().count(" of 5") >= 7 and "times as many" in said.getvalue()

    def test_a_run_is_called_solved_by_its_exam(self):
        for group in self.RUNS.values():
            for runs in group.values():
                assert all(run["solved"] == (run["test_return"] >= 475) for run in runs.values())


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_building_an_updater_copies_the_network_into_the_target(kind):
    """So a port that has a target of its own sets it last."""
    network = torch.nn.Linear(4, 2)
    loss = DQNLoss(QValueActor(network, in_keys=["observation"], spec=Categorical(2)), delay_value=True)
    target = loss.target_value_network_params["module", "0", "module", "bias"].data
    assert torch.equal(target, network.bias)
    target.fill_(7.0)
    SoftUpdate(loss, tau=0.1) if kind == "soft" else HardUpdate(loss, value_network_update_interval=9)
    assert torch.equal(target, network.bias)


def test_the_port_is_judged_by_the_loss_of_the_plain_script():
    plain = importlib.import_module("plain_dqn")
    network, target, batch = make_network(8), make_network(8), make_batch(Draw(0))
    assert torch.equal(plain.td_loss(network, target, batch, 0.9), td_loss(network, target, batch, 0.9))


def test_what_was_not_run_is_said_so():
    cells = jupytext.read(lock.ROOT / "lessons" / "13_choosing_a_library.py", fmt="py:percent").cells
    prose = next(cell.source for cell in cells if "## Three more" in cell.source)
    assert prose.lower().count("not run") >= 4 and "Tianshou" in prose and "PufferLib" in prose and "moolib" in prose
    assert not {"tianshou", "pufferlib", "moolib"} & set(sys.modules)
