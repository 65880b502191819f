"""Exercise 13.6: a port that is right, and the mistakes people make."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from course_utils.exercises.exercise import Build, Mutant
from course_utils.exercises.port_compared import examine, td_loss


def _agent(network: nn.Module) -> Any:
    from torchrl.data import Categorical
    from torchrl.modules import QValueActor

    return QValueActor(network, in_keys=["observation"], spec=Categorical(2))


def _act(agent: Any) -> Callable:
    from tensordict import TensorDict

    def act(observations):
        with torch.no_grad():
            seen = TensorDict({"observation": torch.as_tensor(observations)}, [len(observations)])
            return agent(seen)["action"].numpy()

    return act


def _to_tensordict(batch: dict[str, torch.Tensor], column: Callable = lambda values: values[:, None]) -> Any:
    from tensordict import TensorDict

    over = column(batch["terminated"])
    after = {
        "observation": batch["seen_next"],
        "reward": column(batch["reward"]),
        "terminated": over,
        "done": over.clone(),
    }
    return TensorDict({"observation": batch["seen"], "action": batch["action"], "next": after}, [len(over)])


def _port(
    network: nn.Module,
    target: nn.Module,
    gamma: float,
    tau: float,
    *,
    played: nn.Module | None = None,
    moved: dict | None = None,
    to_tensordict: Callable = _to_tensordict,
    **options: Any,
) -> tuple[Callable, Any, Any, Callable]:
    from torchrl.objectives import DQNLoss, SoftUpdate

    agent = _agent(network)
    now = copy.deepcopy(network.state_dict())
    network.load_state_dict(target.state_dict())  # loss and updater copy the network into the target
    loss_module = DQNLoss(agent, **{"loss_function": "l2", "delay_value": True, **options})
    updater = SoftUpdate(loss_module, **(moved or {"tau": tau}))
    network.load_state_dict(now)
    loss_module.make_value_estimator(gamma=gamma)
    return _act(_agent(played) if played else agent), loss_module, updater, to_tensordict


def port(network, target, gamma, tau):
    return _port(network, target, gamma, tau)


class Still:
    """An updater that moves nothing."""

    def step(self) -> None:
        pass


def _updater_last(network, target, gamma, tau):
    from torchrl.objectives import SoftUpdate

    act, loss_module, _, to_tensordict = _port(network, target, gamma, tau)
    return act, loss_module, SoftUpdate(loss_module, tau=tau), to_tensordict


def _gamma_forgotten(network, target, gamma, tau):
    return _port(network, target, 0.99, tau)


def _no_target(network, target, gamma, tau):
    from torchrl.objectives import DQNLoss

    agent = _agent(network)
    loss_module = DQNLoss(agent, loss_function="l2", delay_value=False)
    loss_module.make_value_estimator(gamma=gamma)
    return _act(agent), loss_module, Still(), _to_tensordict


def _double(network, target, gamma, tau):
    return _port(network, target, gamma, tau, double_dqn=True)


def _smooth(network, target, gamma, tau):
    return _port(network, target, gamma, tau, loss_function="smooth_l1")


def _stays(network, target, gamma, tau):
    return _port(network, target, gamma, tau, moved={"eps": tau})


def _stands_still(network, target, gamma, tau):
    act, loss_module, _, to_tensordict = _port(network, target, gamma, tau)
    return act, loss_module, Still(), to_tensordict


def _copied(network, target, gamma, tau):
    return _port(network, target, gamma, tau, moved={"tau": 1.0})


def _never_ends(network, target, gamma, tau):
    def to_tensordict(batch):
        return _to_tensordict({**batch, "terminated": torch.zeros_like(batch["terminated"])})

    return _port(network, target, gamma, tau, to_tensordict=to_tensordict)


def _swapped(network, target, gamma, tau):
    def to_tensordict(batch):
        return _to_tensordict({**batch, "seen": batch["seen_next"], "seen_next": batch["seen"]})

    return _port(network, target, gamma, tau, to_tensordict=to_tensordict)


def _no_column(network, target, gamma, tau):
    def to_tensordict(batch):
        return _to_tensordict(batch, column=lambda values: values)

    return _port(network, target, gamma, tau, to_tensordict=to_tensordict)


def _new_network(network, target, gamma, tau):
    def fresh():
        return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

    return _port(fresh(), fresh(), gamma, tau)


def _acts_alone(network, target, gamma, tau):
    return _port(network, target, gamma, tau, played=copy.deepcopy(network))


def _one_hot(network, target, gamma, tau):
    from tensordict import TensorDict
    from torchrl.data import OneHot
    from torchrl.modules import QValueActor

    agent = QValueActor(network, in_keys=["observation"], spec=OneHot(2))

    def act(observations):
        with torch.no_grad():
            return agent(TensorDict({"observation": torch.as_tensor(observations)}))["action"].numpy()

    return act, *_port(network, target, gamma, tau)[1:]


def _partly_frozen(network, target, gamma, tau):
    network[0].requires_grad_(False)
    return _port(network, target, gamma, tau)


def _tensors(network, target, gamma, tau):
    act, *others = _port(network, target, gamma, tau)
    return lambda seen: torch.as_tensor(act(seen)), *others


def _plain_loss(network, target, gamma, tau):
    act, _, updater, to_tensordict = _port(network, target, gamma, tau)
    return act, lambda batch: td_loss(network, target, batch, gamma), updater, to_tensordict


def _three(network, target, gamma, tau):
    return _port(network, target, gamma, tau)[:3]


BUILD = Build(
    number="13.6",
    tests="On fresh inputs: the plain network's actions, the plain loss, and, after 30 updates of both, still "
    "the same.",
    reference=port,
    examine=examine,
    mutants=[
        Mutant(
            "three things",
            _three,
            "Return four things, `act, loss_module, updater, to_tensordict`; yours returns 3 things.",
        ),
        Mutant("a plain loss", _plain_loss, "`loss_module` has to be a loss of TorchRL's"),
        Mutant("tensors for Gymnasium", _tensors, "`act` has to return a NumPy array of whole numbers"),
        Mutant(
            "one-hot actions", _one_hot, "`act` has to return one action each, shape [200]; yours returns [200, 2]."
        ),
        Mutant("a new network", _new_network, "Before any training, `act` does what the plain network does in"),
        Mutant(
            "updater last", _updater_last, "Your target starts as a copy of `network`, and `target` is another network."
        ),
        Mutant("gamma forgotten", _gamma_forgotten, "Your loss still has TorchRL's gamma of 0.99"),
        Mutant("double DQN", _double, "That is double DQN, in which `network` chooses the next action."),
        Mutant("smooth L1", _smooth, "That is the smooth L1 loss"),
        Mutant("never ends", _never_ends, "Your targets go on after the end of an episode"),
        Mutant("observations swapped", _swapped, "Your observations are the wrong way round"),
        Mutant("no column", _no_column, "Your loss cannot read what your `to_tensordict` writes"),
        Mutant("eps for tau", _stays, "Your target moves by `1 - tau` of the way, not by `tau`"),
        Mutant("stands still", _stands_still, "After the first update your target is where it was."),
        Mutant("copied whole", _copied, "After the first update your target is a copy of the network."),
        Mutant("a layer that is frozen", _partly_frozen, "something else is trained than what is played and judged."),
        Mutant("acts with a copy", _acts_alone, "Does `act` play with the network that the loss trains?"),
    ],
)
