"""Stop at the first loss that is no number, and say where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from tensordict import TensorDictBase


def stop_on_nan(loss: torch.Tensor, batch: TensorDictBase, module: torch.nn.Module, at: str) -> None:
    """Do nothing while the loss is finite; stop the run at the first one that is not.

    Without it a run goes on with weights that are all NaN, and acts at random until somebody looks.

    Args:
        loss: the loss of one update, shape `[]`.
        batch: the transitions it was computed on.
        module: the loss module, or whatever holds the weights; only what its `in_keys` name, if it has any, counts as
            data.
        at: where the run is, such as `frame 1,280`.

    Raises:
        FloatingPointError: the loss is infinite or not a number; the message names the most likely cause.
    """
    if not loss.isfinite():
        raise FloatingPointError(f"Stopped at {at}: the loss is {loss.item()}. {likely_cause(batch, module)}")


def likely_cause(batch: TensorDictBase, module: torch.nn.Module) -> str:
    """The first of these that holds: bad data, bad weights, numbers that grew too large."""
    read = getattr(module, "in_keys", None)  # a loss writes into its batch as well, and that is not the data's fault
    data = batch.select(*read, strict=False) if read else batch
    bad = {key: int((~value.isfinite()).sum()) for key, value in numbers(data).items()}
    if bad := {key: count for key, count in bad.items() if count}:
        found = ", ".join(f"{count} of the values in {key!r}" for key, count in bad.items())
        return (
            f"Not finite in its batch: {found}. Look at the environment and its transforms, where these are made, and "
            "throw away what the replay buffer holds of them."
        )
    if wrong := [name for name, weight in module.named_parameters() if not weight.isfinite().all()]:
        return (
            f"The batch is finite, but {len(wrong)} of the module's parameters are not ({wrong[0]} is the first): the "
            "last update made them so. Try a learning rate ten times smaller, clip the gradient, and look for a square "
            "root, logarithm or division that can reach zero."
        )
    largest = max((weight.abs().max().item() for weight in module.parameters()), default=0.0)
    return (
        f"Batch and weights are finite (the largest weight is {largest:.2g}), so numbers grew too large on the way. "
        "Try a learning rate ten times smaller, and bring inputs and rewards near to 1."
    )


def numbers(batch: TensorDictBase) -> dict:
    """All entries that can hold a NaN, by key."""
    entries = batch.items(include_nested=True, leaves_only=True)
    return {key: value for key, value in entries if hasattr(value, "is_floating_point") and value.is_floating_point()}
