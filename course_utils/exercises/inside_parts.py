"""What a part of a training loop holds: an optimiser its weights, a loss its target networks, a batch its frames."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase
from torchrl.envs.utils import ExplorationType, exploration_type
from torchrl.modules import AdditiveGaussianModule, EGreedyModule, OrnsteinUhlenbeckProcessModule
from torchrl.objectives import LossModule

NOISE = (EGreedyModule, AdditiveGaussianModule, OrnsteinUhlenbeckProcessModule)
Rows = tuple[int, ...]
# What losses and value estimators write beside the observations, at the root and under "next".
WRITTEN_LATER = {"state_value", "state_action_value", "action_value", "chosen_action_value", "episode_reward"}


def held_by(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [weight for group in optimiser.param_groups for weight in group["params"]]


def target_weights(module: LossModule) -> list[torch.Tensor]:
    """The weights of a loss's target networks, where they are copies of their own."""
    found = []
    for name, part in module.named_children():
        if name.startswith("target_") and name.endswith("_params"):
            online = getattr(module, name.removeprefix("target_"), None)
            near = {leaf.data_ptr() for leaf in leaves(online)} if online is not None else set()
            found += [leaf for leaf in leaves(part) if leaf.data_ptr() not in near]
    return found


def leaves(parameters: Any) -> list[torch.Tensor]:
    return [leaf for leaf in parameters.values(True, True) if isinstance(leaf, torch.Tensor)]


def values_of(module: LossModule) -> tuple[torch.Tensor, torch.Tensor]:
    """All values of the online and of the target networks, each in one row."""
    targets = target_weights(module)
    far = {weight.data_ptr() for weight in targets}
    online = [weight for weight in module.parameters() if weight.requires_grad and weight.data_ptr() not in far]
    return in_one_row(online), in_one_row(targets)


def in_one_row(weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([weight.detach().flatten().double().cpu() for weight in weights]) if weights else torch.zeros(0)


def empty(gradient: torch.Tensor | None) -> bool:
    return gradient is None or not gradient.any()


def draws_now(module: Any) -> bool:
    """Do the actions that this module writes hang on chance?"""
    kind = exploration_type()
    if isinstance(module, EGreedyModule):
        return kind in (ExplorationType.RANDOM, None) and bool(module.eps > 0)
    if isinstance(module, NOISE):
        return kind in (ExplorationType.RANDOM, None)
    return kind == ExplorationType.RANDOM


def count_frames(data: Any) -> int:
    if isinstance(data, TensorDictBase):
        return max(1, data.numel())
    return len(data) if hasattr(data, "__len__") else 1


def rows_of(data: Any) -> Rows | None:
    """A number for each frame, made of what it observed: entries that stand at the root and under "next" as well."""
    if not isinstance(data, TensorDictBase) or "next" not in set(data.keys()):
        return None
    later = set(data["next"].keys(True, True)) if isinstance(data["next"], TensorDictBase) else set()
    seen = [data.get(key) for key in sorted(later & set(data.keys(True, True)) - WRITTEN_LATER, key=str)]
    kinds = (torch.float32, torch.float64, torch.uint8)
    pieces = [
        value.detach().reshape(count_frames(data), -1).double().cpu()
        for value in seen
        if isinstance(value, torch.Tensor) and value.dtype in kinds
    ]
    if not pieces:
        return None
    return tuple(hash(row.tobytes()) for row in torch.cat(pieces, 1).numpy())


def entries_inside(losses: TensorDictBase) -> set[str]:
    """The other entries that a loss was computed from: gradients pass through them, though nobody trains on them."""
    others = {
        value.grad_fn: name
        for name, value in losses.items()
        if not name.startswith("loss") and isinstance(value, torch.Tensor) and value.grad_fn is not None
    }
    if not others:
        return set()
    left = [value.grad_fn for name, value in losses.items() if name.startswith("loss")]
    met, found = set(), set()
    while left:
        function = left.pop()
        if function is None or function in met:
            continue
        met.add(function)
        if function in others:
            found.add(others[function])
        left += [before for before, _ in function.next_functions]
    return found
