"""Checkpoints that a kill, a full disk or a stranger's file cannot harm."""

from __future__ import annotations

import errno
import os
import pickle
import stat
import zipfile
from pathlib import Path
from typing import IO, Any

from course_utils.runs.drafts import delete_orphans, draft_in, put_in_place

SAFE_CONTENT = "tensors, numbers, strings, None, and lists, tuples and dictionaries of them"


class CheckpointError(Exception):
    """A checkpoint could not be written or read; the message says why, what is still there, and the fix."""


class Checkpoint(dict):
    """What a checkpoint holds; says so in words when something it should hold is not in it."""

    def __init__(self, state: dict, path: Path) -> None:
        super().__init__(state)
        self.path = path

    def __missing__(self, key: object) -> None:
        raise CheckpointError(
            f"{self.path} has no {key!r}, only {', '.join(map(repr, self)) or 'nothing'}: another program or another "
            "version of this one wrote it. Move it away, or name the file this run wrote."
        )


def save_checkpoint(state: dict[str, Any], path: str | Path) -> None:
    """Write the state of a run, so that at any moment there is a whole checkpoint under `path`.

    It is written beside the old one, read back as `load_checkpoint` would, and only then put in its place: an
    interruption, a full disk, a second process that saves to the same path, or something that could not be loaded
    again leaves the previous checkpoint as it was. Where `path` is a link, the file it leads to is replaced.

    Args:
        state: a dictionary of what `torch.load(weights_only=True)` accepts: tensors, numbers, strings, None, and
            lists, tuples and dictionaries of them, such as any `state_dict()`.
        path: where to write; missing folders are made. A file that is there keeps its permissions.

    Raises:
        CheckpointError: it could not be written (full disk, no permission), or could not be loaded again.

    Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
    """
    import torch

    path = Path(path)
    kept = (
        f"The checkpoint written before is still in {path}." if os.path.exists(path) else "No checkpoint was written."
    )
    try:
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        old = target.stat() if target.exists() else None
        if old and not stat.S_ISREG(old.st_mode):
            raise OSError(errno.EEXIST, "something that is no file is there")
        delete_orphans(target.parent)
        with draft_in(target.parent, old) as file:
            torch.save(state, file)
            file.flush()
            read_state(file, path, map_location="cpu")
            put_in_place(file, target)
    except CheckpointError as error:
        raise CheckpointError(f"What you save could not be loaded again. {kept} {error}") from error
    # torch's writer turns a full disk into a RuntimeError; what cannot be pickled raises one of the last three.
    except (OSError, RuntimeError, ValueError, AttributeError, TypeError, pickle.PicklingError) as error:
        raise CheckpointError(
            f"{path} could not be written ({first_line(error)}). {kept} "
            "Is the disk full (`df -h`), or the folder not yours to write in? Name another path and save again."
        ) from error


def load_checkpoint(path: str | Path, map_location: Any = None) -> Checkpoint:
    """Read a checkpoint, refusing files that are damaged or would have to run code to be read.

    Args:
        path: a file that `save_checkpoint` or `torch.save` wrote.
        map_location: the device on which the tensors are wanted; None: where they were.

    Returns:
        The saved dictionary. Asking it for something it does not hold raises CheckpointError.

    Raises:
        CheckpointError: there is no such file; it is no checkpoint, is cut short or damaged; it would run code.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.load.html
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # reading a device may never end
            raise CheckpointError(f"{path} is no file but a folder, a device or a pipe. Name the file that was saved.")
        with path.open("rb") as file:
            return read_state(file, path, map_location)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(
            f"There is no checkpoint {path}. Was it saved, and is this the folder it was saved in?"
        ) from error
    except PermissionError as error:
        raise CheckpointError(f"{path} may not be read: the file or its folder belongs to somebody else.") from error
    except (OSError, RuntimeError, ValueError) as error:  # links that go in a circle, a name no file can have
        raise CheckpointError(f"{path} could not be read ({first_line(error)}). Name another path.") from error


def read_state(file: IO[bytes], path: Path, map_location: Any) -> Checkpoint:
    """What an open file holds, by the rules of `load_checkpoint`; `path` is its name in messages.

    Raises:
        CheckpointError: it is no checkpoint, is cut short or damaged, or would run code.
    """
    import torch

    check_archive(file, path)
    file.seek(0)
    try:
        state = torch.load(file, weights_only=True, map_location=map_location)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded: it holds more than {SAFE_CONTENT}, and to read that, Python would have to run "
            f"code from the file. If you write it, save a state_dict() or a plain number in place of the object; a "
            f"stranger's, delete it. ({first_line(error)})"
        ) from error
    except Exception as error:  # a wrong bit can raise nearly anything
        raise CheckpointError(f"{path} is not a checkpoint of PyTorch ({first_line(error)}).") from error
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{path} holds one {type(state).__name__}, not the state of a run: a dictionary, such as "
            '{"frames": 1_000, "loss": loss.state_dict()}.'
        )
    return Checkpoint(state, path)


def check_archive(file: IO[bytes], path: Path) -> None:
    """Is the file whole? torch itself does not compare the checksums that it writes.

    Raises:
        CheckpointError: it is not an archive as torch writes it, or is cut short, or a checksum is wrong.
    """
    fix = "Go on from an earlier checkpoint, or start the run anew; the file is left as it is."
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            # torch packs nothing: whatever claims to be larger than the file would fill the memory.
            if sum(entry.file_size for entry in entries) > os.fstat(file.fileno()).st_size:
                raise zipfile.BadZipFile("its parts are larger than the whole")
            # One bit (0x10) makes an entry a folder, in whose place torch reads whatever was in memory.
            folders = (entry.filename for entry in entries if entry.external_attr & 0x10)
            damaged = archive.testzip() or next(folders, None)
    except Exception as error:  # a wrong bit can raise nearly anything
        raise CheckpointError(
            f"{path} is cut short, or is no checkpoint at all ({first_line(error)}). {fix}"
        ) from error
    if damaged:
        raise CheckpointError(f"{path} is damaged: {damaged} in it is not what was written. {fix}")


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
