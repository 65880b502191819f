"""Facts about TorchRL that lesson 05 tells."""

from __future__ import annotations

import re
import subprocess
import sys

import jupytext
import pytest
import torch
from conftest import ROOT
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import Categorical, LazyTensorStorage, PrioritizedSampler, TensorDictReplayBuffer
from torchrl.envs.utils import ExplorationType, exploration_type
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss

from course_utils.exercises.tiny_parts import Walk


@pytest.fixture
def judged():
    """A DQN loss, three last frames with a reward of 1, and what their TD errors are."""
    torch.manual_seed(0)
    actor = QValueActor(torch.nn.Linear(4, 2), in_keys=["observation"], spec=Categorical(2))
    loss_module = DQNLoss(actor, loss_function="l2", delay_value=False)
    over = torch.ones(3, 1, dtype=torch.bool)
    after = {"observation": torch.randn(3, 4), "reward": torch.ones(3, 1), "done": over, "terminated": over}
    frames = TensorDict({"observation": torch.randn(3, 4), "action": torch.tensor([0, 1, 0]), "next": after}, [3])
    values = actor(frames.select("observation"))["action_value"].gather(1, frames["action"][:, None])
    return loss_module, frames, (1 - values).detach()


def test_dqn_loss_weighs_each_frame_unasked_and_divides_by_the_sum_of_the_weights(judged):
    loss_module, frames, error = judged
    weight = torch.tensor([1.0, 0.5, 0.1])
    plain = loss_module(frames.clone())["loss"]
    assert plain.item() == pytest.approx((error**2).mean().item())
    weighted = loss_module(frames.set("priority_weight", weight))["loss"]
    assert weighted.item() == pytest.approx(((weight * error[:, 0] ** 2).sum() / weight.sum()).item())


def test_the_td_error_that_dqn_loss_writes_is_squared(judged):
    loss_module, frames, error = judged
    loss_module(frames)
    assert torch.allclose(frames["td_error"], error**2) and not torch.allclose(frames["td_error"], error.abs())


def test_a_collector_draws_unless_told_otherwise():
    seen = []

    def act(observation):
        seen.append(exploration_type())
        return torch.zeros((), dtype=torch.long)

    policy = TensorDictModule(act, in_keys=["observation"], out_keys=["action"])
    collector = Collector(Walk(), policy, frames_per_batch=3, total_frames=3, auto_register_policy_transforms=False)
    list(collector)
    collector.shutdown()
    assert set(seen[-3:]) == {ExplorationType.RANDOM}


def lessons_sampler():
    """The sampler that the lesson builds in four steps."""
    cells = jupytext.read(ROOT / "lessons" / "05_collectors_and_buffers.py", fmt="py:percent").cells
    classes = [
        cell.source for cell in cells if re.search(r"^class \w+\((Sampler|Drawing|Prioritizing)\)", cell.source, re.M)
    ]
    space = {"torch": torch}
    exec("\n".join(classes), space)
    PrioritizedSampler.register(space["MultinomialSampler"])
    return space["MultinomialSampler"]


def filled(sampler_class, errors):
    sampler = sampler_class(max_capacity=len(errors) + 1, alpha=0.5, beta=0.5)
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(len(errors) + 1), sampler=sampler, priority_key="td_error"
    )
    buffer.extend(TensorDict({"x": torch.arange(len(errors))}, [len(errors)]))
    frames = buffer[:]
    frames["td_error"] = errors
    buffer.update_tensordict_priority(frames)
    return buffer


def test_the_lessons_sampler_draws_and_weighs_as_the_rule_says():
    torch.manual_seed(0)
    drawn = filled(lessons_sampler(), torch.tensor([1.0, 4.0, 16.0])).sample(7_000)
    assert torch.allclose(torch.bincount(drawn["x"]) / 1_000, torch.tensor([1.0, 2.0, 4.0]), rtol=0.1)
    assert torch.allclose(drawn["priority_weight"], 2.0 ** (-0.5 * drawn["x"]), atol=1e-5)


def test_a_new_frame_gets_the_largest_priority_there_is():
    buffer = filled(lessons_sampler(), torch.tensor([1.0, 4.0, 2.0]))
    buffer.extend(TensorDict({"x": torch.tensor([3])}, [1]))
    assert buffer.sampler.priority[3].item() == pytest.approx(4)


def test_its_priorities_are_saved_with_the_buffer_and_emptied_with_it(tmp_path):
    sampler_class = lessons_sampler()
    buffer, other = filled(sampler_class, torch.tensor([1.0, 4.0])), filled(sampler_class, torch.tensor([9.0, 9.0]))
    buffer.dumps(tmp_path / "saved")
    other.loads(tmp_path / "saved")
    assert torch.equal(other.sampler.priority, buffer.sampler.priority)
    buffer.empty()
    assert not buffer.sampler.priority.any() and other.sampler.priority.any()


NOTEBOOK = """
import torch
from torchrl.collectors import MultiSyncCollector
from torchrl.data import Categorical
from torchrl.envs import GymEnv
from torchrl.modules import QValueActor

class Mine(torch.nn.Linear):
    pass

def make_env():
    return GymEnv("CartPole-v1", categorical_action_encoding=True)

policy = QValueActor(Mine(4, 2), in_keys=["observation"], spec=Categorical(2))
options = {"frames_per_batch": 10, "total_frames": 20, "auto_register_policy_transforms": True}
try:
    MultiSyncCollector([make_env], policy, **options)
except RuntimeError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_policy_whose_class_stands_in_the_notebook_does_not_reach_its_worker():
    """Code given by -c is, as a notebook's, in no file that a worker could run."""
    command = [sys.executable, "-W", "ignore", "-c", NOTEBOOK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "Worker 0 failed to initialize" in done.stdout
    assert "AttributeError: Can't get attribute 'Mine' on <module '__main__' (built-in)>" in done.stderr
