"""What some groups need and a machine may lack; each function says in a few words what is missing, or nothing."""

from __future__ import annotations

import importlib.util

DEVICES = ["cpu", "cuda"]
OF_VMAS = ("vmas", "gym")


def of_a_gpu() -> str:
    import torch

    return "" if torch.cuda.is_available() else "this machine has no CUDA device"


def of_vmas() -> str:
    absent = [name for name in OF_VMAS if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    return (
        f"{' and '.join(absent)} not installed; they come as source alone, so they are no extra of the course: "
        "pip install --no-deps vmas==1.5.2 gym==0.26.2"
    )
