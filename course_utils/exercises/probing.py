"""Probes that several exercises use: what of a result is compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def tensors(value: Any, inputs: dict[str, Any]) -> Any:
    """The result as it is, where a tensor is asked for, or several.

    Raises:
        TypeError: a list in the place of a tensor.
    """
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, (list, tuple)):
            raise TypeError("a tensor is asked for; `torch.stack` or `torch.tensor` makes one of a list")
    return value


def numbers(value: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """Numbers as one tensor, where the text does not say how they are to be held together.

    Raises:
        TypeError: what cannot be made into a tensor.
    """
    if isinstance(value, (list, tuple)):
        value = [one.item() if isinstance(one, (torch.Tensor, np.generic)) else one for one in value]
    return torch.as_tensor(value)
