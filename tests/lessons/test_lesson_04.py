"""What lesson 04 says of TorchRL's losses and target updaters is so."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torchrl.data import Categorical
from torchrl.envs import GymEnv
from torchrl.modules import MLP, Actor, QValueActor, ValueOperator
from torchrl.objectives import DDPGLoss, DQNLoss, HardUpdate


@pytest.fixture
def agent():
    torch.manual_seed(0)
    return QValueActor(MLP(4, 2, num_cells=[8]), in_keys=["observation"], spec=Categorical(2))


@pytest.fixture
def steps():
    flag = torch.tensor([[False], [True], [False], [True], [False]])
    after = {"observation": torch.randn(5, 4), "reward": torch.full((5, 1), 20.0), "done": flag, "terminated": ~flag}
    root = {"observation": torch.randn(5, 4), "action": torch.zeros(5, dtype=torch.long)}
    return TensorDict(root | {"next": after}, [5])


def loss_of(agent, steps, **options):
    return DQNLoss(agent, delay_value=False, **options)(steps.clone())["loss"]


def test_the_squared_error_is_what_the_loss_takes_if_nothing_is_said(agent, steps):
    assert torch.equal(loss_of(agent, steps), loss_of(agent, steps, loss_function="l2"))
    assert loss_of(agent, steps, loss_function="smooth_l1") < 0.2 * loss_of(agent, steps)


def test_done_is_read_and_counts_only_where_terminated_is_missing(agent, steps):
    assert ("next", "done") in DQNLoss(agent, delay_value=False).in_keys
    turned = steps.clone()
    turned["next", "done"] = ~turned["next", "done"]
    assert torch.equal(loss_of(agent, steps), loss_of(agent, turned))
    without = [one.exclude(("next", "terminated")) for one in (steps, turned)]
    assert not torch.equal(loss_of(agent, without[0]), loss_of(agent, without[1]))


def test_the_td_error_that_ddpg_notes_is_a_square_in_the_data():
    critic = ValueOperator(MLP(4, 1, num_cells=[8]), in_keys=["observation", "action"])
    env = GymEnv("Pendulum-v1")
    data = env.rollout(20)
    losses = DDPGLoss(Actor(MLP(3, 1, num_cells=[8]), spec=env.action_spec), critic, delay_value=False)(data)
    squares = (losses["target_value"] - losses["pred_value"]).pow(2)
    assert torch.allclose(data["td_error"].squeeze(), squares.detach().squeeze(), rtol=1e-4)
    assert torch.allclose(losses["loss_value"], squares.mean())


def test_a_hard_update_copies_at_the_call_after_the_interval(agent):
    loss = DQNLoss(agent, delay_value=True)
    updater, copied = HardUpdate(loss, value_network_update_interval=32), []
    weight = next(agent.parameters())
    target = loss.target_value_network_params["module", "0", "module", "0", "weight"]
    for call in range(1, 101):
        weight.data.fill_(call)
        updater.step()
        if (target == call).all():
            copied.append(call)
    assert copied == [33, 66, 99]
