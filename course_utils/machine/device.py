"""Choose where tensors live, and say why."""

from __future__ import annotations

import os

import torch


def available_devices() -> list[str]:
    """The devices this machine has: `cpu` always, `cuda:0`, `cuda:1`, ... and `mps` where they are there."""
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def is_there(device: str) -> bool:
    """Does this machine have the device? `cuda` means the first GPU."""
    return (f"{device}:0" if device == "cuda" else device) in available_devices()


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device to use and print one line about the choice.

    It is the CPU unless somebody asks for another. The course's networks are small: moving their batches and starting
    kernels costs a GPU more than the CPU's whole work, until somebody measures otherwise (`make bench ARGS='--groups
    gpu'`).

    Args:
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`; without it the environment variable `COURSE_DEVICE` decides,
            and without that it is the CPU.

    Raises:
        ValueError: the device asked for does not exist here; the message says which do.
    """
    there = available_devices()
    if device is not None:
        asked, reason = str(device), "asked for in the call"
    elif os.environ.get("COURSE_DEVICE"):
        asked, reason = os.environ["COURSE_DEVICE"], "asked for by COURSE_DEVICE"
    elif there == ["cpu"]:
        asked, reason = "cpu", "no GPU was found"
    else:
        asked = "cpu"
        reason = f"networks of this size are not known to be faster on {there[0]}. To try: choose_device({there[0]!r})"
    if not is_there(asked):
        raise ValueError(
            f"The device {asked!r} ({reason}) is not on this machine. Here there is: {', '.join(there)}. "
            "Ask for one of these, or unset COURSE_DEVICE to let the course choose."
        )
    print(f"Using {asked}: {reason}.")
    return torch.device(asked)
