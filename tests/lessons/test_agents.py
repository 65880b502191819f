"""The single scripts of `examples/agents/`: each plays and learns, number by number, as its lesson does."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch
from conftest import ROOT
from torchrl.envs import EnvBase

from benchmarks.lesson_code import defining_code, named_code, run_code
from course_utils.machine.extras import extra_install, has_extra

FOLDER = ROOT / "examples" / "agents"
SCRIPTS = sorted(FOLDER.glob("*.py"))
SEED = 3  # of no lesson
needs_tyro = pytest.mark.skipif(not has_extra("deploy"), reason=f"tyro is not installed: {extra_install('deploy')}")


def script(name: str):
    """A script as a module, which does not start it."""
    spec = importlib.util.spec_from_file_location(f"agent_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the meaning of annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def same(ours: dict, theirs: dict) -> bool:
    """Two state_dicts: the same names, and the same weights bit by bit."""
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


class Noted:
    """What a `watch` was told."""

    def __init__(self):
        self.told = []

    def __call__(self, *told, **named):
        self.told.append((*told, *named.values()))


def test_dqn_is_lesson_07():
    lesson, agent = run_code(defining_code("07_dqn", "07-train"), SEED), script("dqn_cartpole")
    theirs, ours, run = Noted(), Noted(), lesson["build"](SEED)
    lesson["train"](run, 1_280, theirs)
    mine = agent.train(agent.Settings(seed=SEED, max_frames=1_280), ours)
    assert len(ours.told) == 2 and ours.told == theirs.told, "the validation after each block"
    assert same(mine.loss.state_dict(), run.loss.state_dict()), "both networks"
    assert same(mine.best_weights, run.best_weights)
    assert torch.equal(mine.buffer[:]["observation"], run.buffer[:]["observation"]), "every frame"
    assert torch.equal(agent.evaluate(mine.agent, 8, 7), lesson["evaluate"](run.agent, 8, 7))
    whole = agent.Settings()
    knobs = [name for name in vars(lesson["settings"]) if hasattr(whole, name)]
    assert len(knobs) == 18 and all(getattr(whole, name) == getattr(lesson["settings"], name) for name in knobs)


TASKS = {"CartPole-v1": ("cartpole", "train_cartpole"), "Pendulum-v1": ("pendulum", "train_pendulum")}


@pytest.mark.parametrize("task", TASKS)
def test_ppo_is_lesson_08(task):
    lesson, agent = run_code(defining_code("08_ppo", "08-pendulum"), SEED), script("ppo")
    settings, train = (lesson[name] for name in TASKS[task])
    theirs, ours = Noted(), Noted()
    run = train(replace(settings, batches=2), SEED, theirs)
    mine = agent.train(agent.filled_in(agent.Settings(task=task, seed=SEED, batches=2)), ours)
    actions = [[batch["action"] for _, batch, _ in noted.told] for noted in (ours, theirs)]
    assert len(actions[0]) == 2 and all(map(torch.equal, *actions)), "every action"
    readings = [[told for *_, told in noted.told] for noted in (ours, theirs)]
    assert readings[0] == readings[1], "clip fraction, KL and entropy of each batch"
    assert same(mine.loss.state_dict(), run.loss.state_dict()), "actor and critic"
    assert torch.equal(agent.evaluate(task, mine.actor, 4, 7), lesson["evaluate"](task, run.actor, 4, 7))
    whole = agent.filled_in(agent.Settings(task=task))
    assert all(getattr(whole, name) == value for name, value in vars(settings).items())


@pytest.mark.parametrize("name", ["DDPG", "TD3", "SAC", "REDQ"])
def test_continuous_control_is_lesson_09(name):
    lesson, agent = (
        run_code(defining_code("09_continuous_control", "09-algorithms"), SEED),
        script("continuous_control"),
    )
    run, collector, asked = lesson["build"](lesson["algorithms"][name], SEED), lesson["Collector"], []

    def for_a_while(*words, **options):
        asked.append(options["total_frames"])
        return collector(*words, **{**options, "total_frames": 600})

    lesson["Collector"] = for_a_while
    lesson["train"](run, None)
    assert asked == [agent.Settings().total_frames]
    settings = agent.Settings(algorithm=name.lower(), seed=SEED, total_frames=600)
    mine = agent.train(settings, Noted())
    assert mine.updates == run.updates == 20
    assert same(mine.loss.state_dict(), run.loss.state_dict()), "all networks and their targets"
    assert torch.equal(mine.buffer[:]["action"], run.buffer[:]["action"]), "every action"
    assert torch.equal(agent.evaluate(mine.actor, 2, 7), lesson["evaluate"](run.actor, 2, 7))


LANGUAGE = ["start", "signs", "sums", "model", "score", "write", "writer", "specs", "env", "exact", "imitate", "exam"]
LANGUAGE += ["advantage", "train"]


def test_grpo_is_lesson_17():
    """The script writes out the losses that the lesson takes from TorchRL: the weights tell that they are the same."""
    lesson = run_code(named_code("17_language_models", *(f"17-{cell}" for cell in LANGUAGE)), SEED)
    agent, theirs, ours = script("grpo_sums"), Noted(), Noted()
    torch.manual_seed(SEED)
    pupil = lesson["LanguageModel"]()
    assert agent.Settings().rounds == inspect.signature(lesson["train"]).parameters["rounds"].default
    lesson["teach"](pupil, 30, SEED)
    lesson["train"](pupil, SEED, rounds=2, watch=lambda number, batch: theirs(number, paid(batch)))
    mine = agent.train(agent.Settings(seed=SEED, imitation_batches=30, rounds=2), ours)
    assert ours.told == theirs.told and len(ours.told) == 2 and max(share for _, share in ours.told) > 0
    assert same(mine.state_dict(), pupil.state_dict())
    for draw, kind in [(False, lesson["GREEDY"]), (True, lesson["DRAWN"])]:
        assert agent.evaluate(mine, draw) == lesson["share_exact"](pupil, kind)


def paid(batch) -> float:
    return batch["next", "reward"].mean().item()


@pytest.fixture
def short_episodes(monkeypatch):
    """All rollouts end after 40 steps: a plan at each step takes its time."""
    whole = EnvBase.rollout

    def short(env, steps, *words, **options):
        return whole(env, min(steps, 40), *words, **options)

    monkeypatch.setattr(EnvBase, "rollout", short)


def test_the_planner_is_lesson_16(short_episodes):
    lesson, agent = run_code(defining_code("16_world_models", "16-agent"), SEED), script("planner_pendulum")
    fit, asked = lesson["fit"], []
    lesson["fit"] = lambda model, frames, updates: (asked.append(updates), fit(model, frames, updates // 50))
    model, frames = lesson["live"](SEED, 2, lambda model, frames: None)
    whole, ours = agent.Settings(), Noted()
    assert asked == [whole.first_updates, whole.more_updates]
    settings = agent.Settings(seed=SEED, episodes=2, first_updates=20, more_updates=10)
    mine, played = agent.train(settings, ours)
    assert same(mine.state_dict(), model.state_dict()), "the models"
    assert torch.equal(played["action"], frames["action"]), "every torque, drawn and planned"
    assert torch.equal(played["next", "reward"], frames["next", "reward"])
    assert [frames for frames, _ in ours.told] == [40, 80]
    torch.manual_seed(SEED)
    theirs = lesson["exam"](lesson["Planner"](model), SEED)
    torch.manual_seed(SEED)
    assert torch.equal(agent.evaluate(mine, whole.exam_episodes, 1_000_000_000 + 1_000 * SEED, settings), theirs)


@pytest.mark.parametrize("shared", [True, False])
def test_the_team_is_lesson_15(shared):
    lesson, agent = run_code(defining_code("15_many_agents", "15-judge"), SEED), script("team_posts")
    theirs, ours = Noted(), Noted()
    run = lesson["train"](lesson["Settings"](batches=2, shared_policy=shared), SEED, theirs)
    settings = agent.Settings(seed=SEED, batches=2, shared_policy=shared)
    mine = agent.train(settings, ours)
    moves = [[batch["agents", "action"] for _, batch in noted.told] for noted in (ours, theirs)]
    assert len(moves[0]) == 2 and all(map(torch.equal, *moves)), "every move"
    assert same(mine.loss.state_dict(), run.loss.state_dict()), "actor and critic"
    assert all(getattr(agent.Settings(), name) == value for name, value in vars(lesson["Settings"]()).items())
    assert agent.evaluate(mine.actor, 50, 7, settings) == lesson["all_held"](lesson["play"](run.actor, 50, 7))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
class TestEachScript:
    def test_it_is_short_and_stands_alone(self, path):
        text = path.read_text()
        assert text.count("\n") < 200
        assert "course_utils" not in text and "benchmarks" not in text, "whoever copies the file has all of it"

    def test_a_sentence_stands_under_each_knob(self, path):
        lines = path.read_text().split("class Settings:\n")[1].split("\n\n\n")[0].splitlines()
        knobs, sentences = lines[0::2], lines[1::2]
        assert all(re.fullmatch(r"    \w+: .+ = .+", knob) for knob in knobs), knobs
        assert all(re.fullmatch(r'    """[A-Z].+\."""', sentence) for sentence in sentences), sentences

    def test_without_tyro_one_sentence_says_what_installs_it(self, path, tmp_path):
        (tmp_path / "tyro.py").write_text("raise ImportError('not here')")
        lines = path.read_text().split('if __name__ == "__main__":\n')[1]
        end = textwrap.dedent(lines)
        done = subprocess.run([sys.executable, "-c", end], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "python -m pip install tyro" in done.stderr


@needs_tyro
def test_one_command_trains_keeps_and_judges_and_the_other_judges_alone(tmp_path):
    command = [sys.executable, FOLDER / "continuous_control.py", "--total-frames", "550", "--look-every", "550"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "", done.stderr
    folder = tmp_path / "runs" / "continuous_control"
    logged = (folder / "log.csv").read_text().split()
    assert logged[0] == "frames,greedy" and len(logged) == 2 and logged[1].startswith("550,-")
    assert torch.load(folder / "agent.pt", weights_only=True)["settings"].startswith(
        "Settings(algorithm='sac', seed=0,"
    )
    again = subprocess.run(
        [*command[:2], "--exam", folder / "agent.pt"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert again.stdout.splitlines()[-1].split(": ", 1)[1] == done.stdout.splitlines()[-1].split(": ", 1)[1]


@needs_tyro
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_command_line_shows_each_knob_and_its_sentence(path, monkeypatch, capsys):
    import tyro

    agent = script(path.stem)
    with pytest.raises(SystemExit):
        tyro.cli(agent.Settings, description=agent.__doc__, args=["--help"])
    said = capsys.readouterr().out
    assert all(f"--{name.replace('_', '-')}" in said for name in vars(agent.Settings()))
    assert "Weights" in said and f"python {path.name}" in said


def test_the_readme_names_every_script():
    readme = (FOLDER / "README.md").read_text()
    assert set(re.findall(r"^\| `(\w+\.py)", readme, flags=re.MULTILINE)) == {path.name for path in SCRIPTS}
