"""The lessons' own training on a device that is not the CPU: a tensor that is forgotten on the CPU is an error there.

No GPU is needed for it; see `other_device.py`. Recurrent layers pack their sequences, which that device cannot follow,
so of lesson 11 the loop is run, and not the agent with a memory.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from other_device import DEVICE, Elsewhere, a_device_that_is_not_there
from torchrl.envs import ExplorationType, set_exploration_type

import course_utils
from benchmarks import dqn_cartpole
from benchmarks.groups import acrobot, control, memory_and_pixels, offline, ppo, tuning
from benchmarks.lesson_code import defining_code, run_code


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Lessons choose the other device."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", "set by the lesson")
    with a_device_that_is_not_there() as device:
        monkeypatch.setattr(course_utils, "choose_device", lambda *_: device, raising=False)
        yield device


class TestTheDevice:
    def test_it_computes_what_the_cpu_does(self, elsewhere):
        torch.manual_seed(0)
        here = torch.nn.Linear(3, 2)
        there = copy.deepcopy(here).to(elsewhere)
        inputs = torch.randn(4, 3)
        for layer, given in ((here, inputs), (there, inputs.to(elsewhere))):
            optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
            layer(given).square().mean().backward()
            optimiser.step()
        assert isinstance(there.weight, Elsewhere) and there.weight.device == DEVICE
        assert torch.allclose(there.weight.cpu(), here.weight)

    def test_it_refuses_what_a_gpu_refuses(self, elsewhere):
        there = torch.ones(3, device=elsewhere)
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            torch.nn.Linear(3, 1)(there)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert (there + torch.tensor(1.0)).sum().item() == 6, "a number may come from the CPU"

    def test_a_lesson_that_forgets_to_move_its_network_is_caught(self, elsewhere):
        space = dqn_cartpole.definitions(0)
        run = space["build"](0)
        run.agent.to("cpu")
        with pytest.raises(RuntimeError, match="same device"):
            space["train"](run, 512)


def test_dqn(elsewhere):
    space = dqn_cartpole.definitions(0)
    space["settings"] = replace(space["settings"], stop_at=float("inf"), validation_episodes=2, updates=2, width=32)
    run = space["build"](0)
    space["train"](run, 1536)
    assert all(weight.device == elsewhere for weight in run.agent.parameters())


def test_dqn_goes_on_from_a_checkpoint(elsewhere):
    space = run_code(defining_code("07_dqn", "07-legs"), seed=0)
    space["settings"] = replace(space["settings"], stop_at=float("inf"), validation_episodes=2, updates=2, width=32)
    space["train_in_legs"](0, 1024, "run.pt")
    assert space["load"]("run.pt").frames == 1024
    run = space["train_in_legs"](0, 2048, "run.pt")
    assert run.frames == 2048 and run.buffer[:]["observation"].device == elsewhere


def test_dqn_for_any_task(elsewhere):
    space = acrobot.definitions.__wrapped__()
    space["acrobot"].frames = 512
    agent = space["train_on"](space["acrobot"], 0, lambda frames, score: None)
    assert all(weight.device == elsewhere for weight in agent.parameters())


@pytest.fixture
def pendulum(monkeypatch):
    def set_seed(env, seed):
        env.rng = torch.Generator()  # torch makes none for a device it cannot start

    monkeypatch.setattr("torchrl.envs.custom.pendulum.PendulumEnv._set_seed", set_seed)


def test_ppo_on_cartpole(elsewhere, pendulum):
    space = run_code(ppo.code(), seed=0)
    settings = replace(space["cartpole"], envs=4, steps=16, minibatch=16)
    run = space["build"](space["cartpole_actor"](), 4, settings, 0)
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        batch = space["make_envs"]("CartPole-v1", 4, 0).rollout(16, run.actor, break_when_any_done=False)
    assert space["learn"](run, batch) and batch.device == elsewhere


def test_ppo_on_the_pendulum(elsewhere, pendulum):
    space = run_code(ppo.code(), seed=0)
    settings = replace(space["pendulum"], envs=4, steps=16, minibatch=16, batches=2)
    seen = []
    space["train_pendulum"](settings, 0, lambda number, batch, readings: seen.append(batch.device))
    assert seen == [elsewhere] * 2


@pytest.mark.parametrize("name", ["DDPG", "TD3", "SAC", "REDQ"])
def test_continuous_control(elsewhere, name):
    space = run_code(control.code(), seed=0)
    run = space["build"](space["algorithms"][name], 0)
    run.buffer.extend(space["make_envs"](4, 0).rollout(40).reshape(-1))
    space["learn"](run)
    assert run.updates > 0


@pytest.mark.parametrize("method", ["cloning", "DQN", "CQL", "IQL"])
def test_offline(elsewhere, method):
    space = run_code(offline.code(), seed=0)
    space["settings"] = replace(space["settings"], early_runs=3, late_runs=2, updates=2)
    agent = space["learn"](method, torch.cat(space["make_record"](0)), 0)
    space["evaluate"](agent, 2, seed=1)


def test_the_loop_of_memory_and_pixels(elsewhere):
    code = memory_and_pixels.code()
    space = run_code(code[: code.index("def remembering_agent(")], seed=0)
    space["pole_settings"] = replace(space["pole_settings"], envs=4, max_frames=400, warm_up=50, judge_every=1_000)
    run = space["train_poles"](space["memoryless_agent"](), 0)
    assert run.frames >= 400


def test_tuning(elsewhere):
    space = run_code(tuning.code(), seed=0)
    run = space["build"](space["Settings"](), 0)
    for _ in itertools.repeat(None, 2):
        space["advance"](run)
    assert run.frames > 0
