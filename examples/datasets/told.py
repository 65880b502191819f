"""What a script found out, as one line of JSON: keys, what is equal to what was written, faults, and a slice."""

from __future__ import annotations

import json

import numpy as np
import torch
from tensordict import TensorDictBase, is_non_tensor, is_tensor_collection


class Told:
    """Collects, and prints at the end. A value that should be equal and is not ends the script with an error."""

    def __init__(self) -> None:
        self.says = {"equal": [], "faults": {}, "slices": "", "transform": ""}

    def same(self, key: str, found: torch.Tensor, written: np.ndarray | torch.Tensor) -> None:
        """`found` has, but for a last dimension of 1 that TorchRL adds, shape and values of what was written.

        Raises:
            ValueError: it has not.
        """
        if not equal(found, written):
            raise ValueError(f"{key} was read differently from what was written: {found.shape}, {written.shape}")
        self.says["equal"].append(key)

    def fault(self, name: str, is_there: bool) -> None:
        """Note whether a fault of the loader is still there; `docs` tells it by its name."""
        self.says["faults"][name] = bool(is_there)

    def slices(self, batch: TensorDictBase, length: int, position: str) -> None:
        """Slices of `length` steps were sampled: steps follow one another in each, by a key that counts up by one.

        Raises:
            ValueError: they do not.
        """
        steps = batch[position].reshape(-1, length).double()
        if not (steps.diff(dim=-1) == 1).all():
            raise ValueError(f"steps of a slice do not follow one another: {steps.tolist()}")
        self.says["slices"] = f"{len(steps)} of {length} steps, none across two episodes"

    def transform(self, says: str) -> None:
        self.says["transform"] = says

    def print(self, data: TensorDictBase, **more: int) -> None:
        """Print everything, with keys, dtypes and shapes of one row of the buffer's data."""
        print(json.dumps(self.says | {"rows": len(data), "keys": keys_of(data)} | more))


def equal(found: torch.Tensor, written: np.ndarray | torch.Tensor) -> bool:
    written = torch.as_tensor(written)
    if found.shape == (*written.shape, 1):
        found = found.squeeze(-1)
    return found.shape == written.shape and torch.equal(found.to(written.dtype), written)


def keys_of(data: TensorDictBase) -> dict[str, str]:
    """Each leaf's dtype and its shape without the batch's dimensions, by its key; words for what is no tensor."""
    said = {}
    for key, value in data.items(include_nested=True):
        name = " > ".join(key) if isinstance(key, tuple) else key
        if isinstance(value, torch.Tensor):
            shape = list(value.shape[data.ndim :])
            said[name] = f"{str(value.dtype).removeprefix('torch.')}{f' {shape}' if shape else ''}"
        elif is_non_tensor(value) or not is_tensor_collection(value):
            said[name] = "text"
    return dict(sorted(said.items()))
