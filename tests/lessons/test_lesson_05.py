"""Facts about TorchRL that lesson 05 tells."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import Categorical
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
