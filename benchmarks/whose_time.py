"""Whose code the seconds of a loop go to, library by library, as Python's own profiler sees it."""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable
from pathlib import Path

OPERATIONS = "torch's operations"
OTHER = "Python and others"
LIBRARIES = {
    "torch": "torch's Python",
    "tensordict": "tensordict",
    "torchrl": "torchrl",
    "stable_baselines3": "Stable-Baselines3",
    "gymnasium": "Gymnasium",
    "numpy": "NumPy",
}


def owner_of(file: str) -> str:
    """Whose file it is; `OTHER` for Python's own and for code without a file."""
    return next((LIBRARIES[part] for part in reversed(Path(file).parts) if part in LIBRARIES), OTHER)


def whose_time(loop: Callable[[], object]) -> dict[str, float]:
    """Run a loop once under `cProfile`, and give each library's share of its seconds; they sum to 1.

    What is written in C has no file. Such functions of torch are `OPERATIONS`; any other, and an
    operator such as `*`, counts for who called it.
    The profiler lengthens each call of a function, so that libraries of many small ones look dearer than they are.
    """
    profile = cProfile.Profile()
    profile.runcall(loop)
    spent: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, callers) in pstats.Stats(profile).stats.items():
        if file != "~":
            spent[owner_of(file)] += own
        elif "torch" in name:
            spent[OPERATIONS] += own
        else:
            for (caller, *_), (*_, theirs, _) in callers.items():
                spent[owner_of(caller)] += theirs
    return {name: seconds / spent.total() for name, seconds in spent.most_common()}
