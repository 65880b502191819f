"""What goes wrong on other people's machines, made to go wrong here."""

from __future__ import annotations

import importlib.metadata
import os
import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
def never_written_to(path: Path) -> Iterator[None]:
    """A pipe: whoever reads it waits for ever. Here the wait is ended after a while, and then it is an error."""
    os.mkfifo(path)
    waited = []

    def end() -> None:
        waited.append(path)
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    timer = threading.Timer(10, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    assert not waited, f"{path.name} was read"


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


@contextmanager
def folder_of_somebody_else() -> Iterator[Path]:
    """A folder outside pytest's own, which nobody can look into; set its permissions with `chmod`."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "theirs"
        folder.mkdir()
        yield folder
        folder.chmod(0o755)


class RunsCode:
    """An object that, when it is unpickled, makes a folder; a stranger's would do worse."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def versions(monkeypatch, **found: str | None) -> None:
    """Let these packages be installed in these versions, None for absent, and all others as they are."""
    real = importlib.metadata.version

    def version(name):
        if name in found and found[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
