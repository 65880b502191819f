"""What goes wrong on other people's machines, made to go wrong here."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534


def random_faults() -> random.Random:
    """Other faults in each run; what it prints is shown with a failure, and repeats it."""
    seed = int(os.environ.get("FAULT_SEED", random.randrange(2**32)))
    print(f"To repeat these faults: FAULT_SEED={seed}")
    return random.Random(seed)


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: the kernel refuses the write, as it does on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def rights_of_nobody() -> Iterator[None]:
    """Permissions count: root, who knows none, is somebody else for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
