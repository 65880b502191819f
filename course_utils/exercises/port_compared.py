"""What judges a port of a plain PyTorch DQN to TorchRL's parts: the numbers of both, side by side, on fresh inputs."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from course_utils.exercises.exercise import Draw

UPDATES, BATCH, OBSERVED, ACTIONS = 30, 32, 4, 2
RATE = 1e-2  # of both optimisers


def td_loss(network: nn.Module, target: nn.Module, batch: dict[str, torch.Tensor], gamma: float) -> torch.Tensor:
    """The loss of `examples/libraries/plain_dqn.py`; `tests/lessons/test_lesson_13.py` holds them together."""
    value = network(batch["seen"]).gather(1, batch["action"][:, None]).squeeze(1)
    with torch.no_grad():
        best_next = target(batch["seen_next"]).max(1).values
    wanted = batch["reward"] + gamma * best_next * ~batch["terminated"]
    return nn.functional.mse_loss(value, wanted)


def make_network(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(OBSERVED, width), nn.ReLU(), nn.Linear(width, ACTIONS))


def make_batch(draw: Draw) -> dict[str, torch.Tensor]:
    terminated = draw.flags(0.3, BATCH)
    terminated[:2] = torch.tensor([True, False])
    return {
        "seen": draw.normal(BATCH, OBSERVED),
        "action": draw.integers(0, ACTIONS, BATCH),
        "reward": 1 + draw.normal(BATCH),
        "seen_next": draw.normal(BATCH, OBSERVED),
        "terminated": terminated,
    }


def examine(port: Callable, draw: Draw) -> str:
    """The first thing in which a port differs from the plain program, or "".

    Args:
        port: the learner's function: of `(network, target, gamma, tau)` it makes
            `act, loss_module, updater, to_tensordict`.
        draw: the source of weights and batches.
    """
    # Far from 0.99, the default, and a target that is another network: what is not taken over shows in the loss.
    network, target = make_network(16), make_network(16)
    gamma, tau = draw.uniform(0.6, 0.9), draw.uniform(0.1, 0.3)
    with torch.no_grad():
        for parameter in [*network.parameters(), *target.parameters()]:
            parameter.copy_(0.7 * draw.normal(*parameter.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of targets that nobody moves yet
        parts = port(copy.deepcopy(network), copy.deepcopy(target), gamma, tau)
        return _parts(parts) or _numbers(*parts, network, target, gamma, tau, draw)


def _parts(parts: Any) -> str:
    from torchrl.objectives import LossModule

    if not isinstance(parts, tuple | list) or len(parts) != 4:
        return f"Return four things, `act, loss_module, updater, to_tensordict`; yours returns {_kind(parts)}."
    act, loss_module, updater, to_tensordict = parts
    for name, part in (("act", act), ("to_tensordict", to_tensordict)):
        if not callable(part):
            return f"`{name}` has to be a function, and yours is {_kind(part)}."
    if not isinstance(loss_module, LossModule):
        return f"`loss_module` has to be a loss of TorchRL's, such as `DQNLoss`, and yours is {_kind(loss_module)}."
    if not callable(getattr(updater, "step", None)):
        return f"`updater.step()` has to move the target, as `SoftUpdate`'s does; yours is {_kind(updater)}."
    return ""


def _numbers(
    act: Callable,
    loss_module: Any,
    updater: Any,
    to_tensordict: Callable,
    network: nn.Module,
    target: nn.Module,
    gamma: float,
    tau: float,
    draw: Draw,
) -> str:
    if wrong := _actions(act, network, draw, "Before any training"):
        return wrong
    if wrong := _loss(loss_module, to_tensordict, network, target, gamma, draw):
        return wrong
    theirs = torch.optim.Adam([each for each in loss_module.parameters() if each.requires_grad], RATE)
    ours = torch.optim.Adam(network.parameters(), RATE)
    before = copy.deepcopy(target)
    for update in range(UPDATES):
        batch = make_batch(draw)
        wanted = td_loss(network, target, batch, gamma)
        found = loss_module(to_tensordict(dict(batch)))["loss"]
        if not torch.allclose(found, wanted, rtol=1e-3, atol=1e-5):
            if update == 1 and (wrong := _moved(found, network, before, batch, gamma, tau)):
                return wrong
            return (
                f"The first losses agree, but after {update} updates of both on the same batches the plain one is "
                f"{wanted.item():.4f} and yours {found.item():.4f}: something else is trained than what is played "
                "and judged."
            )
        for optimiser, loss in ((ours, wanted), (theirs, found)):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        updater.step()
        before.load_state_dict(target.state_dict())
        move(target, network, tau)
    return _actions(act, network, draw, f"After {UPDATES} updates")


def move(target: nn.Module, network: nn.Module, tau: float) -> nn.Module:
    """The plain program's target, a step of the share `tau` towards its network; in place."""
    with torch.no_grad():
        for slow, quick in zip(target.parameters(), network.parameters(), strict=True):
            slow.lerp_(quick, tau)
    return target


def _moved(found, network, before, batch, gamma, tau) -> str:
    """How else the target moved in its first step, if in a way that people write."""
    shares = {
        "After the first update your target is where it was. `updater.step()` has to move it, and the loss has "
        "to see that.": 0.0,
        "After the first update your target is a copy of the network. It should move by the share `tau` of "
        "the way.": 1.0,
        "Your target moves by `1 - tau` of the way, not by `tau`: `SoftUpdate(eps=...)` is told how much *stays*.": 1
        - tau,
    }
    for sentence, share in shares.items():
        other = td_loss(network, move(copy.deepcopy(before), network, share), batch, gamma)
        if torch.allclose(found, other, rtol=1e-3, atol=1e-5):
            return sentence
    return ""


def _actions(act: Callable, network: nn.Module, draw: Draw, when: str) -> str:
    import numpy as np

    observations = draw.normal(200, OBSERVED).numpy()
    before = observations.copy()
    actions = act(observations)
    if not isinstance(actions, np.ndarray) or actions.dtype.kind not in "iu":
        kind = f"an array of {actions.dtype}" if isinstance(actions, np.ndarray) else _kind(actions)
        return (
            "`act` has to return a NumPy array of whole numbers, as Gymnasium's vectors want it, and yours "
            f"returns {kind}."
        )
    if actions.shape != (200,):
        return (
            f"For observations of shape [200, {OBSERVED}] `act` has to return one action each, shape [200]; "
            f"yours returns {list(actions.shape)}."
        )
    if not (observations == before).all():
        return "`act` has changed the observations it was given."
    with torch.no_grad():
        values = network(torch.as_tensor(observations))
    clear = (values[:, 0] - values[:, 1]).abs() > 1e-3  # else rounding may decide
    same = torch.as_tensor(actions.astype(np.int64))[clear] == values.argmax(1)[clear]
    if same.all():
        return ""
    after = " Does `act` play with the network that the loss trains?" if "After" in when else ""
    return (
        f"{when}, `act` does what the plain network does in {same.float().mean():.0%} of the states, not in all.{after}"
    )


def _loss(
    loss_module: Any, to_tensordict: Callable, network: nn.Module, target: nn.Module, gamma: float, draw: Draw
) -> str:
    from tensordict import TensorDictBase

    batch = make_batch(draw)
    given = {name: values.clone() for name, values in batch.items()}
    written = to_tensordict(given)
    if not isinstance(written, TensorDictBase):
        return f"`to_tensordict` has to return a tensordict, and yours returns {_kind(written)}."
    if tuple(written.batch_size) != (BATCH,):
        return f"A batch of {BATCH} transitions has the batch size [{BATCH}]; yours has {list(written.batch_size)}."
    if any(not torch.equal(given[name], values) for name, values in batch.items() if name in given):
        return "`to_tensordict` has changed the batch it was given."
    try:
        losses = loss_module(written)
    except Exception as error:  # the learner's tensordict and loss do not fit each other
        return f"Your loss cannot read what your `to_tensordict` writes: {type(error).__name__}: {_first_line(error)}"
    found = losses.get("loss", None)
    if found is None or found.numel() != 1:
        return 'Your loss module has to write one number to "loss".'
    wanted = td_loss(network, target, batch, gamma)
    if torch.allclose(found, wanted, rtol=1e-4, atol=1e-6):
        return ""
    return _explain(found.detach(), wanted.detach(), network, target, batch, gamma)


def _explain(found, wanted, network, target, batch, gamma) -> str:
    """Which other loss it is, if it is one that people write."""
    with torch.no_grad():
        going_on = {**batch, "terminated": torch.zeros(BATCH, dtype=torch.bool)}
        swapped = {**batch, "seen": batch["seen_next"], "seen_next": batch["seen"]}
        chosen = network(batch["seen_next"]).argmax(1, keepdim=True)
        double = batch["reward"] + gamma * target(batch["seen_next"]).gather(1, chosen)[:, 0] * ~batch["terminated"]
        value = network(batch["seen"]).gather(1, batch["action"][:, None])[:, 0]
        best = batch["reward"] + gamma * target(batch["seen_next"]).max(1).values * ~batch["terminated"]
        others = {
            "Your target starts as a copy of `network`, and `target` is another network. (Building a loss copies the "
            "network into its target, and building an updater does so again.)": td_loss(network, network, batch, gamma),
            "Your loss still has TorchRL's gamma of 0.99: `loss_module.make_value_estimator(gamma=gamma)`.": td_loss(
                network, target, batch, 0.99
            ),
            'Your targets go on after the end of an episode: ("next", "terminated") has to say where '
            "it ended.": td_loss(network, target, going_on, gamma),
            "Your observations are the wrong way round: `seen` is the root's, `seen_next` that of `next`.": td_loss(
                network, target, swapped, gamma
            ),
            "That is double DQN, in which `network` chooses the next action. The plain program lets `target` "
            "choose and "
            "judge.": nn.functional.mse_loss(value, double),
            "That is the smooth L1 loss; the plain program's is the mean of the "
            "squares, `l2`.": nn.functional.smooth_l1_loss(value, best),
            "That is the sum over the batch; the plain program takes the mean.": BATCH * wanted,
        }
    for sentence, other in others.items():
        if torch.allclose(found, other, rtol=1e-4, atol=1e-6):
            return sentence
    return f"For the same {BATCH} transitions the plain loss is {wanted.item():.4f}, and yours {found.item():.4f}."


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, tuple | list):
        return f"{len(value)} things"
    return f"a {type(value).__name__}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0][:160]
