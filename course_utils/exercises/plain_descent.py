"""Gradients read from where weights went: in plain gradient descent a weight's way is its gradient times the rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn.utils import parameters_to_vector


class CountingSGD(torch.optim.SGD):
    """Gradient descent that counts its steps."""

    steps = 0

    def step(self, closure: Callable | None = None) -> Any:
        self.steps += 1
        return super().step(closure)


def flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """All numbers of these tensors in one vector of its own."""
    return parameters_to_vector([tensor.detach() for tensor in tensors]).clone()


def alike(one: torch.Tensor, other: torch.Tensor, share: float = 3e-3) -> bool:
    """Whether two vectors differ by no more than this share of the second one's length, and rounding."""
    return one.shape == other.shape and bool((one - other).norm() <= share * other.norm() + 2e-5)


def gradient(loss: torch.Tensor, leaves: Iterable[torch.Tensor]) -> torch.Tensor:
    """Of a loss, as one vector; zeros where it does not depend on a leaf. The graph is kept."""
    pieces = torch.autograd.grad(loss, list(leaves), retain_graph=True, allow_unused=True, materialize_grads=True)
    return flat(pieces)


def compare(way: torch.Tensor, wanted: torch.Tensor) -> tuple[float, bool, float]:
    """How many times `wanted` a way is, whether it is nothing but that, and the cosine of the two."""
    factor = (way @ wanted / (wanted @ wanted)).item()
    return factor, alike(way, factor * wanted), torch.nn.functional.cosine_similarity(way, wanted, 0).item()
