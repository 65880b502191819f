"""Leave Python, NumPy and torch as they were, whatever an answer does to them."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import torch


def current_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def torch_state() -> torch.Tensor:
    """The state of torch's default generator, as `torch.get_rng_state` gives it, but in any thread and at any time.

    `torch.get_rng_state` makes its tensor while it holds the generator's lock. Up to Python 3.11 that may begin a
    garbage collection, which runs finalizers: one that draws, or another thread that gets its turn meanwhile and draws,
    waits for the lock for ever, and holds Python's own. Of a clone nobody else has the lock.
    """
    return torch.default_generator.clone_state().get_state()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, gradients are on and nothing else is changed; afterwards all of this is as it was before.

    The random states of Python, NumPy and torch, torch's default type and device, its gradient, inference, anomaly and
    determinism modes, its number of threads, NumPy's reaction to bad numbers, the filters of warnings, the standard
    streams, the working folder, the environment's variables, and Python's limit of recursion. `os._exit` raises
    SystemExit, so that an answer cannot end the kernel.
    """
    here, variables = current_folder(), dict(os.environ)
    streams = sys.stdin, sys.stdout, sys.stderr
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch_state()
    graphics = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    kind, device, threads, depth = (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        sys.getrecursionlimit(),
    )
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    anomaly = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    leave, mine = os._exit, os.getpid()

    def stay(status: int) -> None:
        if os.getpid() != mine:  # a process that the answer has started may end
            leave(status)
        raise SystemExit(f"os._exit({status}) would have ended the kernel, and with it all that you have computed")

    os._exit = stay
    try:
        with warnings.catch_warnings(), np.errstate(), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        os._exit = leave
        sys.stdin, sys.stdout, sys.stderr = streams
        if here is not None:
            with contextlib.suppress(OSError):  # the answer may have deleted it
                os.chdir(here)
        os.environ.clear()
        os.environ.update(variables)
        sys.setrecursionlimit(depth)
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if graphics is not None:
            torch.cuda.set_rng_state_all(graphics)
        torch.set_default_dtype(kind)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        torch.autograd.set_detect_anomaly(*anomaly)
