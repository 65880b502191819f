"""NaN and infinities: counted and named in the same words by every view."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SEARCHED = 20_000_000  # of more values than this, nobody waits for all to be searched
PIECE = 1_000_000


def readable(tensor: Tensor) -> bool:
    """Are there values to read, in the plain layout? Not on the meta device, nor where it is sparse or quantized."""
    return tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_quantized or tensor.is_nested)


WIDER = {torch.uint16: torch.int64, torch.uint32: torch.int64, torch.uint64: torch.float64}


def plain_values(tensor: Tensor) -> Tensor:
    """Detached, on the CPU, and in a dtype that torch can do more with than store."""
    values = tensor.detach().as_subclass(Tensor).cpu()
    return values.to(WIDER.get(values.dtype, values.dtype))


def not_finite(values: Tensor) -> dict[str, int]:
    """How many values are NaN and how many infinite, of either sign; names without any are left out.

    Args:
        values: a strided tensor of any shape and dtype; it is not copied as a whole.
    """
    if not values.is_floating_point() or values.numel() == 0:
        return {}
    values = values.detach()
    if values.element_size() == 1:  # torch can do nearly nothing with 8-bit floats
        values = values.float()
    low, high = torch.aminmax(values)  # one pass without a copy; a NaN makes both NaN
    if math.isfinite(low) and math.isfinite(high):
        return {}
    counts = {"NaN": 0, "inf": 0}
    rows = values.reshape(1) if values.ndim == 0 else values
    for part in rows.split(max(1, PIECE * len(rows) // values.numel())):
        counts["NaN"] += int(part.isnan().sum())
        counts["inf"] += int(part.isinf().sum())
    return {name: count for name, count in counts.items() if count}


def in_words(counts: dict[str, int], total: int) -> str:
    """As in "30 of 50 NaN, 1 of 50 inf"."""
    return ", ".join(f"{count:,} of {total:,} {name}" for name, count in counts.items())
