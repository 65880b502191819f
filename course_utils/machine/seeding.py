"""Make a run repeatable."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int, env=None) -> None:
    """Seed Python, NumPy, torch and, if given, an environment; print what that promises and what not.

    Args:
        seed: a whole number from 0 to 2**32 - 1.
        env: a TorchRL environment (seeded with `set_seed`) or a Gymnasium one (seeded with `reset(seed=...)`).

    Raises:
        ValueError: the seed is not such a number.
        TypeError: `env` can be seeded in neither way.

    See https://docs.pytorch.org/docs/stable/notes/randomness.html for what torch itself promises.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"A seed is a whole number from 0 to 2**32 - 1, for example 0; this was {seed!r}.")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if env is None:
        what = "Python, NumPy and torch"
    else:
        what = "Python, NumPy, torch and the environment"
        if hasattr(env, "set_seed"):
            env.set_seed(seed)
        elif hasattr(env, "reset"):
            env.reset(seed=seed)
        else:
            raise TypeError(f"A {type(env).__name__} cannot be seeded: it has neither `set_seed` nor `reset`.")
    print(
        f"Seed {seed} set for {what}: the same cells, run in the same order on this machine, give the same numbers. "
        "Not promised: other machines or versions, GPUs, worker processes."
    )
