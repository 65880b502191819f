"""Files that are written beside the one whose place they take, so that nobody ever sees half of one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows has no such locks; the drafts of a killed process stay there
    flock = None


@contextmanager
def draft_in(folder: Path, like: os.stat_result | None = None) -> Iterator[IO[bytes]]:
    """A new file, open to write and read, locked, and gone at the end unless it was renamed.

    Its name cannot be guessed and it must not exist yet, so that nobody's file and no planted link is written to.

    Args:
        folder: where it lies.
        like: whose owner and permissions it gets; None: those of any new file.

    Raises:
        OSError: it cannot be made there.
    """
    mode = stat.S_IMODE(like.st_mode) if like else 0o666
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        name = folder / f"course-{secrets.token_hex(8)}.draft"
        file = open(name, "w+b", opener=lambda name, _: os.open(name, flags, mode))  # noqa: SIM115
        if flock:
            flock(file, LOCK_EX)
        if name.exists():  # else another process took it for an orphan before it was locked
            break
        file.close()
    try:
        with file:
            if like and hasattr(os, "chown"):
                for owner, group in [(-1, like.st_gid), (like.st_uid, -1)]:
                    with suppress(OSError):  # only root may give files away
                        os.chown(name, owner, group)
                with suppress(OSError):  # some file systems know no permissions; wider than before they are not
                    os.chmod(name, mode)
            yield file
    finally:
        name.unlink(missing_ok=True)


def put_in_place(file: IO[bytes], target: Path) -> None:
    """Let a draft replace `target`: its content is on the disk first, and its name afterwards.

    Source: https://lwn.net/Articles/457667/
    """
    sync(file)
    if not flock:
        file.close()  # Windows renames no open file
    os.replace(file.name, target)
    with suppress(OSError):  # not every file system can
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def delete_orphans(folder: Path) -> None:
    """Delete drafts that a killed process left: nobody holds their lock any more."""
    for draft in folder.glob(f"course-{'[0-9a-f]' * 16}.draft") if flock else ():
        if draft.is_symlink() or not draft.is_file():
            continue
        with suppress(OSError), draft.open("rb") as file:
            flock(file, LOCK_EX | LOCK_NB)
            draft.unlink()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here with the same folder. The lock goes with its process."""
    if not flock:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system can
            flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)
